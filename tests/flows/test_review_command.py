"""`review` and `users`: who is let in, what is refused before anything is served, and a server from start to end."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import typer
from argon2 import PasswordHasher
from click.testing import Result
from typer.testing import CliRunner

from flows.cli import review
from flows.workspace import DATABASE_ENVIRONMENT, Workspace
from pipeline.errors import InputError
from pipeline.review.store import Store, open_store
from pipeline.review.store.tables import Decision, LogEntry
from pipeline.review.values import Actor
from pipeline.review.web.access import accounts
from pipeline.review.web.access.sessions import Sessions
from tests.pipeline.review.entering import ACCOUNTS
from tests.pipeline.review.study import RUN, Study, phantom_workspace

PASSWORD = "seven blue lanterns"
Call = Callable[..., Result]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return phantom_workspace(tmp_path_factory.mktemp("review") / "workspace")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(tmp_path / "review.sqlite")
    yield store
    store.dispose()


@pytest.fixture
def call(study: Study, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """The commands in this process, on the test's own database: hashes are cheap, and none gets as far as to serve."""

    def serve(*_: object, **__: object) -> None:
        raise AssertionError("this was to be refused")

    monkeypatch.setattr(accounts, "_HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    monkeypatch.setattr("flows.review.serving.serve", serve)
    monkeypatch.setattr("flows.settings.configure_prefect", lambda _: None)
    monkeypatch.setenv("COLUMNS", "120")
    app = typer.Typer()
    review.register(app)
    database = str(tmp_path / "review.sqlite")

    def call(*arguments: str, stdin: str = "", workspace: Path = study.workspace) -> Result:
        own = ("--workspace", str(workspace), "--database", database)
        return CliRunner().invoke(app, [*arguments, *own], input=stdin)

    return call


def refusal(result: Result) -> str:
    """What a command that was refused says."""
    assert isinstance(result.exception, InputError), result.output
    return str(result.exception)


# ---------------------------------------------------------------- users


def test_an_account_from_its_making_to_its_end(call: Call, store: Store) -> None:
    added = call("users", "add", "vera", "--role", "viewer", stdin=f"{PASSWORD}\n")
    assert (added.exit_code, added.stdout) == (0, "vera: viewer\n")
    assert accounts.check_password(store, "vera", PASSWORD) == Actor(name="vera", role="viewer")
    here = Sessions(store, ACCOUNTS)
    cookie = here.begin(Actor(name="vera", role="viewer"))

    assert call("users", "role", "vera", "reviewer").stdout == "vera: reviewer\n"
    found = here.find(cookie)
    assert found is not None
    assert found.actor.role == "reviewer"

    assert call("users", "password", "vera", stdin="eight green lanterns\n").exit_code == 0
    assert here.find(cookie) is None
    assert accounts.check_password(store, "vera", PASSWORD) is None
    assert accounts.check_password(store, "vera", "eight green lanterns") is not None

    cookie = here.begin(Actor(name="vera", role="reviewer"))
    assert call("users", "disable", "vera").exit_code == 0
    assert here.find(cookie) is None
    assert re.search(r"vera +reviewer +\d{4}-\d\d-\d\d +disabled", call("users", "list").stdout)
    assert call("users", "enable", "vera").exit_code == 0
    assert re.search(r"vera +reviewer +\d{4}-\d\d-\d\d *\n", call("users", "list").stdout)
    assert accounts.check_password(store, "vera", "eight green lanterns") is not None


def test_a_password_is_no_argument_and_is_not_shown(call: Call) -> None:
    assert call("users", "add", "vera", PASSWORD).exit_code == 2
    assert call("users", "add", "vera", "--password", PASSWORD).exit_code == 2
    added = call("users", "add", "vera", stdin=f"{PASSWORD}\r\n")
    assert added.stdout == "vera: reviewer\n"
    assert PASSWORD not in added.output


def test_accounts_that_cannot_be_are_refused(call: Call, store: Store) -> None:
    assert "12 to 1024" in refusal(call("users", "add", "vera", stdin="short\n"))
    assert "12 to 1024" in refusal(call("users", "add", "vera"))  # nothing on stdin
    assert call("users", "add", "vera", "--role", "owner", stdin=f"{PASSWORD}\n").exit_code == 2
    with store.reading() as session:
        assert list(accounts.accounts(session)) == []
    call("users", "add", "vera", stdin=f"{PASSWORD}\n")
    assert "'vera' already" in refusal(call("users", "add", "Vera", stdin=f"{PASSWORD}\n"))
    for command in (("password", "vra"), ("role", "vra", "admin"), ("disable", "vra"), ("enable", "vra")):
        assert "no account 'vra'" in refusal(call("users", *command, stdin=f"{PASSWORD}\n"))


# ---------------------------------------------------------------- what is not served


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_others_are_not_served_without_tls(call: Call, host: str) -> None:
    call("users", "add", "ada", "--role", "admin", stdin=f"{PASSWORD}\n")
    said = refusal(call("review", "--host", host, "--port", "0"))
    assert "there is no TLS" in said
    assert "--tls-certificate" in said


@pytest.mark.parametrize(
    "options",
    [("--host", "0.0.0.0", "--insecure-http"), ("--host", "0.0.0.0", "--behind-tls"), ("--behind-tls",)],
)
def test_others_are_not_served_without_an_account_that_is_enabled(call: Call, options: tuple[str, ...]) -> None:
    assert "users add NAME" in refusal(call("review", "--port", "0", *options))
    call("users", "add", "ada", "--role", "admin", stdin=f"{PASSWORD}\n")
    call("users", "disable", "ada")
    assert "no account that is enabled" in refusal(call("review", "--port", "0", *options))


def test_a_port_in_use_is_named_and_a_free_one_offered(call: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refusal(call("review", "--port", str(port), "--no-open"))
    free = re.fullmatch(rf"Port {port} of 127\.0\.0\.1 is taken, .* Free now: --port (\d+)\.", said)
    assert free is not None
    with socket.create_server(("127.0.0.1", int(free[1]))):
        assert int(free[1]) != port


def test_a_certificate_needs_its_key_and_must_be_one(call: Call, tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("no certificate")
    file = str(tmp_path / "none.pem")
    assert "needs both" in refusal(call("review", "--tls-certificate", file))
    assert "cannot be used for TLS" in refusal(call("review", "--tls-certificate", file, "--tls-key", file))


def test_there_must_be_an_audit_and_a_reviewer_with_a_name(call: Call, tmp_path: Path) -> None:
    assert "no finished audit" in refusal(call("review", workspace=tmp_path))
    assert "cannot be a reviewer's name" in refusal(call("review", "--reviewer", "<b>"))


# ---------------------------------------------------------------- a server


class Server:
    """`python -m flows review` as a process; stopped with SIGTERM where the test did not."""

    def __init__(self, study: Study, database: Path, home: Path, *options: str) -> None:
        command = [sys.executable, "-m", "flows", "review", "--workspace", str(study.workspace), "--port", "0"]
        quiet = {"PREFECT_HOME": str(home), DATABASE_ENVIRONMENT: str(database), "PYTHONUNBUFFERED": "1"}
        self.errors = home / "stderr.txt"
        home.mkdir()
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [*command, "--no-open", *options],
                env={**os.environ, **quiet},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )

    def line(self, pattern: str) -> str:
        """What `pattern` finds first in the lines to come."""
        assert self.process.stdout is not None
        for each in self.process.stdout:
            if found := re.search(pattern, each):
                return found[0]
        pytest.fail(f"the server ended: {self.errors.read_text()[-2000:]}")

    def stop(self) -> int:
        """Ask it to end, and wait."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def left(self) -> bool:
        """Whether it or a process that it started is still there."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def kill(self) -> None:
        """End what is left."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


@pytest.fixture
def start(study: Study, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    started = []

    def start(*options: str) -> Server:
        started.append(Server(study, tmp_path / "served.sqlite", tmp_path / "home", *options))
        return started[-1]

    yield start
    for each in started:
        each.kill()


@pytest.mark.slow
def test_one_person_reviews_by_a_link_and_the_server_ends_cleanly(
    start: Callable[..., Server], study: Study, tmp_path: Path
) -> None:
    server = start("--reviewer", "ann")
    link = server.line(r"http://127\.0\.0\.1:\d+/\?token=\S+")
    home = link.partition("/?")[0]
    with httpx.Client() as ann, httpx.Client() as other:
        assert other.get(f"{home}/api/me").status_code == 401
        assert ann.get(link).headers["location"] == "/"
        following = server.line(r"http://127\.0\.0\.1:\d+/\?token=\S+")
        assert following != link
        refused = other.get(link)
        assert (refused.status_code, "used already" in refused.text) == (401, True)
        assert other.get(following).status_code == 303

        me = ann.get(f"{home}/api/me")
        assert me.json() == {"name": "ann", "role": "admin"}
        [audit] = ann.get(f"{home}/api/audits").json()
        assert audit["run"] == RUN
        decision = {"key": "a-decision", "target": {"finding": "F01"}, "verdict": "accepted"}
        address, token = f"{home}/api/audits/{RUN}/decisions", {"X-CSRF-Token": me.headers["x-csrf-token"]}
        assert ann.post(address, json=decision).status_code == 403
        assert ann.post(address, json=decision, headers=token).json()["action"] == "decide"
        too_large = ann.post(address, content=iter([b" " * 600_000] * 2), headers=token)
        assert too_large.status_code == 413
        assert "server" not in me.headers
    assert server.stop() == 0
    assert not server.left()
    assert link.partition("=")[2] not in server.errors.read_text()
    with pytest.raises(httpx.ConnectError):
        httpx.get(home)
    store = open_store(tmp_path / "served.sqlite")
    with store.reading() as session:
        [made] = session.query(Decision).all()
        assert (made.subject_id, made.verdict, made.reviewer) == ("F01", "accepted", "ann")
        assert [each.action for each in session.query(LogEntry)] == ["sign in", "sign in"]
    store.dispose()
    assert not Workspace(study.workspace).database.exists()  # the environment named another


@pytest.mark.slow
def test_people_with_accounts_come_through_a_proxy_that_speaks_tls(
    start: Callable[..., Server], tmp_path: Path
) -> None:
    store = open_store(tmp_path / "served.sqlite")
    with store.writing() as session:
        accounts.add_account(session, "ada", PASSWORD, "admin", by="operator")
    store.dispose()
    server = start("--behind-tls", "--allowed-host", "xray.clinic.example")
    assert server.line(r"https://\S+") == "https://xray.clinic.example/"
    port = _port_of(server)
    through = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "10.9.8.7", "Host": "xray.clinic.example"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=through) as client:
        credentials = {"name": "ada", "password": PASSWORD}
        assert client.post("/api/login", json=credentials, headers={"X-Forwarded-Proto": "http"}).status_code == 400
        signed = client.post("/api/login", json=credentials, headers={"Origin": "https://xray.clinic.example"})
        assert signed.status_code == 200
        cookie = signed.headers["set-cookie"]
        assert cookie.startswith(f"__Host-cxr-audit-{port}=")
        assert "Secure" in cookie
        told = client.get("/api/log", headers={"Cookie": cookie.partition(";")[0]}).json()
    assert (told[0]["action"], told[0]["address"]) == ("sign in", "10.9.8.7")
    assert server.stop() == 0
    assert not server.left()
    assert "GET /api/log" in server.errors.read_text()


def _port_of(server: Server) -> int:
    """The address that people are told is the proxy's: the port is what the process listens on."""
    inodes = set()
    for each in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with suppress(OSError):
            inodes.add(os.readlink(each))
    for row in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = row.split()
        if f"socket:[{fields[9]}]" in inodes and fields[3] == "0A":
            return int(fields[1].partition(":")[2], 16)
    pytest.fail("the server does not listen")
