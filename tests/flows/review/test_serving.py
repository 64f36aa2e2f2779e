"""`cxr-audit review` and `users` as their users meet them: processes, ports, passwords, refusals."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue

import httpx
import psutil
import pytest
from typer.testing import CliRunner, Result

from flows.__main__ import app
from flows.review.serving import Serving, serve_review
from pipeline.errors import InputError
from pipeline.review.web.server import NoQuery, Tls, listen
from tests.pipeline.review.study import RUN, Study, phantom_workspace

PASSWORD = "correct horse battery"
START_SECONDS = 120


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A workspace with one audit."""
    return phantom_workspace(tmp_path_factory.mktemp("served") / "workspace")


def asked(workspace: Path, **given: object) -> Serving:
    """The command's defaults, and what is given."""
    values: dict[str, object] = {
        "workspace": workspace,
        "database": str(workspace / "review.sqlite"),
        "host": "127.0.0.1",
        "port": 0,
        "reviewer": "ann",
        "tls": None,
        "behind_tls": False,
        "proxies": (),
        "insecure_http": False,
        "names": frozenset(),
    }
    return Serving(**(values | given))  # type: ignore[arg-type]


def users(study: Study, *arguments: str, stdin: str | None = None) -> Result:
    """`cxr-audit users`."""
    place = ["--database", str(study.workspace / "accounts.sqlite"), "--workspace", str(study.workspace)]
    return CliRunner().invoke(app, ["users", *arguments, *place], input=stdin)


# ---------------------------------------------------------------- refusals


def test_nobody_else_is_served_without_tls(study: Study) -> None:
    with pytest.raises(InputError, match="--insecure-http"):
        asked(study.workspace, host="0.0.0.0").check()
    asked(study.workspace, host="0.0.0.0", insecure_http=True).check()
    asked(study.workspace, host="0.0.0.0", behind_tls=True).check()


@pytest.mark.parametrize("more", [{"host": "0.0.0.0", "insecure_http": True}, {"behind_tls": True}])
def test_others_need_an_account(study: Study, tmp_path: Path, more: dict[str, object]) -> None:
    with pytest.raises(InputError, match="cxr-audit users add"):
        serve_review(
            asked(study.workspace, database=str(tmp_path / "empty.sqlite"), **more),
            say=pytest.fail,
            warn=lambda words: None,
            show=False,
        )


def test_a_workspace_without_audits_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cxr-audit audit"):
        asked(tmp_path).check()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["", "a/b", "x" * 65])
def test_a_reviewers_name_must_be_one(study: Study, name: str) -> None:
    with pytest.raises(InputError, match="--reviewer"):
        asked(study.workspace, reviewer=name).check()


def test_a_port_that_is_taken_names_a_free_one() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"Port {port} of 127.0.0.1 is taken") as refused:
            listen("127.0.0.1", port)
    proposed = re.search(r"--port (\d+)", str(refused.value))
    assert proposed is not None
    listen("127.0.0.1", int(proposed[1])).close()


def test_a_host_that_is_not_of_this_machine_is_refused() -> None:
    with pytest.raises(InputError, match=r"--host 127\.0\.0\.1"):
        listen("203.0.113.7", 0)


def test_files_that_are_no_certificate_are_refused(study: Study, tmp_path: Path) -> None:
    for name in ("certificate", "key"):
        (tmp_path / name).write_text("none")
    with pytest.raises(InputError, match="cannot be used for TLS"):
        asked(study.workspace, tls=Tls(tmp_path / "certificate", tmp_path / "key")).check()


def test_access_lines_have_no_query() -> None:
    values = ("1.2.3.4:5", "GET", "/?token=abc", "1.1", 303)
    record = logging.LogRecord("uvicorn.access", logging.INFO, "", 0, '%s - "%s %s HTTP/%s" %d', values, None)
    assert NoQuery().filter(record)
    assert record.getMessage() == '1.2.3.4:5 - "GET / HTTP/1.1" 303'


# ---------------------------------------------------------------- users


def test_accounts_are_managed_from_the_command_line(study: Study) -> None:
    assert users(study, "add", "rosa", stdin=f"{PASSWORD}\n").exit_code == 0
    assert users(study, "role", "rosa", "admin").exit_code == 0
    assert users(study, "disable", "rosa").exit_code == 0
    listed = users(study, "list")
    assert re.search(r"rosa\s+admin\s+\S+\s+disabled", listed.output)
    assert "$argon2" not in listed.output
    assert users(study, "enable", "rosa").exit_code == 0
    assert "disabled" not in users(study, "list").output
    assert users(study, "password", "rosa", stdin="another long password\n").exit_code == 0


def test_what_is_wrong_with_an_account_is_said(study: Study) -> None:
    assert "12 to 1024" in str(users(study, "add", "short", stdin="short\n").exception)
    assert "no account 'nobody'" in str(users(study, "disable", "nobody").exception)
    assert "no account 'nobody'" in str(users(study, "password", "nobody", stdin=f"{PASSWORD}\n").exception)


def test_no_password_is_taken_from_the_command_line(study: Study) -> None:
    for command in ("add", "password"):
        options = users(study, command, "--help").output
        assert "--password" not in options
        assert users(study, command, "rosa", PASSWORD).exit_code == 2


# ---------------------------------------------------------------- the server as a process


@dataclass
class Server:
    """A running `cxr-audit review`."""

    process: subprocess.Popen[str]
    said: Queue[str] = field(default_factory=Queue)

    def line(self, pattern: str) -> re.Match[str]:
        """The next line of stdout that fits."""
        while True:
            found = re.search(pattern, self.said.get(timeout=START_SECONDS))
            if found:
                return found

    def link(self) -> str:
        """The next link."""
        return self.line(r"https?://\S+")[0]

    def stop(self, sign: signal.Signals) -> int:
        """Exit code."""
        self.process.send_signal(sign)
        return self.process.wait(20)


@contextmanager
def review(study: Study, *options: str) -> Iterator[Server]:
    """`cxr-audit review` on a free port."""
    command = [sys.executable, "-m", "flows", "review", "--workspace", str(study.workspace), "--port", "0", *options]
    with open(study.workspace / "stderr.txt", "w") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True)
    server = Server(process)
    reader = threading.Thread(target=_pass_on, args=(server,), daemon=True)
    reader.start()
    try:
        yield server
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(20)
        reader.join(20)
        assert not _alive(process.pid)


def _pass_on(server: Server) -> None:
    assert server.process.stdout is not None
    for line in server.process.stdout:
        server.said.put(line)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_one_person_opens_the_link_and_ends_the_server(study: Study, sign: signal.Signals) -> None:
    with review(study, "--reviewer", "Dr. Ann", "--no-open") as server:
        link = server.link()
        assert link.startswith("http://127.0.0.1:")
        with httpx.Client(base_url=link.partition("/?")[0], follow_redirects=True) as browser:
            assert browser.get("/").status_code == 401
            page = browser.get(link)
            assert (page.status_code, page.url.query) == (200, b"")
            assert RUN in page.text
            assert browser.get("/api/me").json() == {"name": "Dr. Ann", "role": "admin"}
            assert "server" not in page.headers
            assert httpx.get(link).status_code == 401
            assert httpx.get(server.link(), follow_redirects=False).status_code == 303
        assert server.stop(sign) == 0
    told = (study.workspace / "stderr.txt").read_text()
    assert "token" not in told
    assert "Traceback" not in told
    assert not (study.workspace / "review-link.html").exists()


@pytest.mark.slow
def test_people_sign_in_over_tls(study: Study, tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    users(study, "add", "ada", "--role", "admin", stdin=f"{PASSWORD}\n")
    options = ["--tls-certificate", str(certificate), "--tls-key", str(key)]
    options += ["--database", str(study.workspace / "accounts.sqlite")]
    trusted = ssl.create_default_context(cafile=str(certificate))
    with review(study, *options) as server:
        with httpx.Client(base_url=server.link(), verify=trusted) as browser:
            assert browser.get("/").headers["location"] == "/login?next=%2F"
            answer = browser.post("/api/login", json={"name": "ada", "password": PASSWORD})
            assert answer.status_code == 200
            assert "Secure" in answer.headers["set-cookie"]
            assert answer.headers["set-cookie"].startswith("__Host-")
            assert RUN in browser.get("/?token=secret").text
            users(study, "disable", "ada")
            assert browser.get("/api/me").status_code == 401
        assert server.stop(signal.SIGTERM) == 0
    told = (study.workspace / "stderr.txt").read_text()
    assert '"POST /api/login HTTP/1.1" 200' in told
    assert "secret" not in told


@pytest.mark.slow
def test_a_proxy_is_believed_only_where_it_was_named(study: Study) -> None:
    users(study, "add", "pia", stdin=f"{PASSWORD}\n")
    database = ["--database", str(study.workspace / "accounts.sqlite")]
    with review(study, "--behind-tls", "--allowed-host", "review.example", *database) as server:
        address = server.link()
        assert address == "https://review.example/"
        port = _port_of(server.process.pid)
        forwarded = {"host": "review.example", "x-forwarded-proto": "https", "x-forwarded-for": "198.51.100.9"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as proxy:
            assert proxy.get("/login", headers={"host": "review.example"}).status_code == 400
            assert proxy.get("/login", headers=forwarded).status_code == 200
        assert server.stop(signal.SIGTERM) == 0
    assert "198.51.100.9" in (study.workspace / "stderr.txt").read_text()


def _port_of(process: int) -> int:
    sockets = psutil.Process(process).net_connections()
    [port] = {each.laddr.port for each in sockets if each.status == psutil.CONN_LISTEN}
    return int(port)


def test_a_port_taken_by_another_ends_the_command_with_a_sentence(study: Study) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(app, ["review", "--workspace", str(study.workspace), "--port", port, "--no-open"])
    assert "is taken" in str(result.exception)
