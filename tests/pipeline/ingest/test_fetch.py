"""Fetching against a git repository made here and a server on this machine; no network."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.errors import FetchError, InputError, IntegrityError
from pipeline.ingest import fetch_files
from pipeline.ingest.fetch import fetch
from pipeline.ingest.manifest import find_manifest
from pipeline.ingest.manifest_schema import Manifest
from pipeline.ingest.sources import read_rows

CONTENT = bytes(range(256)) * 40_000  # 10 MB: more than a socket buffers
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def manifest(**origin) -> Manifest:
    source = {"name": "clinic", "layout": "folders", **({"origin": origin} if origin else {})}
    return Manifest.model_validate(
        {
            "name": "study",
            "title": "A study",
            "licence": "CC0-1.0",
            "classes": ["normal", "pneumonia"],
            "positive": "pneumonia",
            "sources": [source],
        }
    )


# --- git


class Repository:
    """A small repository with two commits; `commit` is the first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "--quiet")
        for name in ("normal/1.png", "pneumonia/2.png", "odd [dir]/3.png", "README.md"):
            (path / name).parent.mkdir(exist_ok=True)
            (path / name).write_text(f"first {name}")
        self.commit = self.save("first")
        (path / "normal" / "1.png").write_text("second")
        self.save("second")

    def save(self, message: str) -> str:
        self.git("add", "--all")
        self.git("-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", message)
        return self.git("rev-parse", "HEAD")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(self.path), *arguments], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def origin(self, *paths: str, **changes: str) -> dict:
        return {"kind": "git", "url": f"file://{self.path}", "commit": self.commit, "paths": paths, **changes}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "remote")


def files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


@pytest.mark.parametrize("filters", ["true", "false"], ids=["partial clone", "server without filters"])
def test_git_gets_the_pinned_commit_and_only_the_wanted_folders(tmp_path, repository, filters):
    repository.git("config", "uploadpack.allowFilter", filters)
    root = fetch(manifest(**repository.origin("normal", "odd [dir]")), tmp_path / "cache")
    assert root == tmp_path / "cache" / "study"
    assert files(root / "clinic") == {"normal/1.png": "first normal/1.png", "odd [dir]/3.png": "first odd [dir]/3.png"}


def test_a_fetched_source_is_where_its_rows_are_looked_for(tmp_path, repository):
    wanted = manifest(**repository.origin("normal", "pneumonia"))
    rows = read_rows(wanted, fetch(wanted, tmp_path / "cache")).rows
    assert list(rows["path"]) == ["clinic/normal/1.png", "clinic/pneumonia/2.png"]


def test_a_second_fetch_needs_no_repository_and_restores_changed_files(tmp_path, repository):
    wanted = manifest(**repository.origin())
    folder = fetch(wanted, tmp_path / "cache") / "clinic"
    before = files(folder)
    assert len(before) == 4
    shutil.rmtree(repository.path)
    (folder / "normal" / "1.png").write_text("changed by hand")
    (folder / "README.md").unlink()
    fetch(wanted, tmp_path / "cache")
    assert files(folder) == before


def test_more_paths_of_the_same_commit_are_added_later(tmp_path, repository):
    repository.git("config", "uploadpack.allowFilter", "true")
    fetch(manifest(**repository.origin("normal")), tmp_path / "cache")
    root = fetch(manifest(**repository.origin("normal", "pneumonia")), tmp_path / "cache")
    assert list(files(root / "clinic")) == ["normal/1.png", "pneumonia/2.png"]


def test_a_server_that_gives_out_branches_only_is_cloned_whole(tmp_path, repository, monkeypatch):
    """Protocol version 0 refuses a commit that is no branch head, as old servers do."""
    for key, value in {"COUNT": "1", "KEY_0": "protocol.version", "VALUE_0": "0"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{key}", value)
    root = fetch(manifest(**repository.origin("normal")), tmp_path / "cache")
    assert files(root / "clinic") == {"normal/1.png": "first normal/1.png"}


def test_a_killed_git_is_resumed(tmp_path, repository):
    wanted = manifest(**repository.origin())
    folder = tmp_path / "cache" / "study" / "clinic"
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    (folder / ".git" / "index.lock").write_bytes(b"")
    (folder / "normal").mkdir()
    (folder / "normal" / "1.png").write_text("half a fi")
    fetch(wanted, tmp_path / "cache")
    assert files(folder)["normal/1.png"] == "first normal/1.png"


def test_the_callers_repository_is_not_touched(tmp_path, repository, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(repository.path / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(repository.path))
    fetch(manifest(**repository.origin()), tmp_path / "cache")
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_WORK_TREE")
    assert repository.git("rev-parse", "HEAD") != repository.commit
    assert repository.git("status", "--porcelain") == ""


def test_a_commit_that_is_not_there_is_an_error(tmp_path, repository):
    with pytest.raises(FetchError, match=r"git (fetch|checkout) failed"):
        fetch(manifest(**repository.origin(commit="0" * 39 + "1")), tmp_path / "cache")


def test_a_path_that_is_not_in_the_repository_is_an_error(tmp_path, repository):
    with pytest.raises(IntegrityError, match=r"not in the repository: norml\. Correct 'paths'"):
        fetch(manifest(**repository.origin("normal", "norml")), tmp_path / "cache")


def test_links_in_a_repository_do_not_lead_out_of_it(tmp_path, repository):
    (repository.path / "normal" / "link").symlink_to("/etc/passwd")
    origin = repository.origin(commit=repository.save("link"))
    folder = fetch(manifest(**origin), tmp_path / "cache") / "clinic"
    assert not (folder / "normal" / "link").is_symlink()
    assert (folder / "normal" / "link").read_text() == "/etc/passwd"


def test_without_git_the_message_says_what_to_do(tmp_path, repository, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match="git is not installed; install it, or get the data yourself"):
        fetch(manifest(**repository.origin()), tmp_path / "cache")


# --- downloads


class Server(ThreadingHTTPServer):
    """Serves CONTENT under any path and records the Range of each request."""

    ranges: list[str | None]
    status: int | None = None
    break_after: int | None = None
    ignores_ranges = False
    redirect_to: str | None = None
    pause = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/image.png"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if self.server.redirect_to:
            self.send_response(302)
            self.send_header("Location", self.server.redirect_to)
            self.end_headers()
        elif self.server.status:
            self.send_error(self.server.status)
        else:
            self._send(0 if self.server.ignores_ranges or wanted is None else int(wanted[len("bytes=") : -1]), wanted)

    def _send(self, start: int, wanted: str | None) -> None:
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if wanted and not self.server.ignores_ranges else 200)
        if wanted and not self.server.ignores_ranges:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        end, self.server.break_after = start + (self.server.break_after or len(CONTENT)), None
        for at in range(start, min(end, len(CONTENT)), 1 << 18):
            try:
                self.wfile.write(CONTENT[at : min(at + (1 << 18), end)])
            except OSError:  # the client was killed
                return
            time.sleep(self.server.pause)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.ranges = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_files, "_wait", lambda failures: None)


def download(server: Server, sha256: str = SHA256) -> dict:
    return {"kind": "files", "files": [{"url": server.url, "sha256": sha256, "path": "normal/1.png"}]}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "study" / "clinic" / "normal" / "1.png"


def partial_of(target: Path) -> Path:
    return target.with_name(".1.png.partial")


def test_a_download_is_verified_and_a_second_fetch_asks_nobody(tmp_path, server, target):
    heard = []
    wanted = manifest(**download(server))
    fetch(wanted, tmp_path / "cache", progress=lambda *report: heard.append(report))
    assert target.read_bytes() == CONTENT
    assert heard == [("fetch clinic", 0, 1), ("fetch clinic", 1, 1)]
    fetch(wanted, tmp_path / "cache")
    assert server.ranges == [None]


def test_an_interrupted_transfer_goes_on_where_it_stopped(tmp_path, server, target):
    server.break_after = 3_000_000
    fetch(manifest(**download(server)), tmp_path / "cache")
    assert server.ranges == [None, "bytes=3000000-"]
    assert target.read_bytes() == CONTENT
    assert not partial_of(target).exists()


def test_what_a_killed_fetch_left_is_used(tmp_path, server, target):
    partial_of(target).parent.mkdir(parents=True)
    partial_of(target).write_bytes(CONTENT[:1_000_000])
    fetch(manifest(**download(server)), tmp_path / "cache")
    assert server.ranges == ["bytes=1000000-"]
    assert target.read_bytes() == CONTENT


@pytest.mark.slow
def test_a_fetch_killed_by_the_system_resumes(tmp_path, server, target):
    server.pause = 0.05
    program = (
        "from pathlib import Path\n"
        "from pipeline.ingest.fetch_files import fetch_files\n"
        "from pipeline.ingest.source_schema import FilesOrigin\n"
        f"origin = FilesOrigin.model_validate({download(server)!r})\n"
        f"fetch_files(origin, Path({str(target.parents[1])!r}), lambda *_: None)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program])
    deadline = time.monotonic() + 60
    while not (partial_of(target).exists() and partial_of(target).stat().st_size > 2_000_000):
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.kill()
    child.wait()
    kept = partial_of(target).stat().st_size
    server.pause = 0.0
    fetch(manifest(**download(server)), tmp_path / "cache")
    assert server.ranges == [None, f"bytes={kept}-"]
    assert target.read_bytes() == CONTENT


def test_a_server_without_ranges_starts_again(tmp_path, server, target):
    partial_of(target).parent.mkdir(parents=True)
    partial_of(target).write_bytes(b"x" * 500)
    server.ignores_ranges = True
    fetch(manifest(**download(server)), tmp_path / "cache")
    assert target.read_bytes() == CONTENT


def test_a_download_that_was_complete_but_not_renamed_is_kept(tmp_path, server, target):
    partial_of(target).parent.mkdir(parents=True)
    partial_of(target).write_bytes(CONTENT)
    fetch(manifest(**download(server)), tmp_path / "cache")
    assert target.read_bytes() == CONTENT


def test_a_wrong_hash_is_an_error_and_leaves_nothing(tmp_path, server, target):
    with pytest.raises(IntegrityError, match=f"sent 10240000 bytes with sha256 {SHA256}, but the manifest pins 000"):
        fetch(manifest(**download(server, "0" * 64)), tmp_path / "cache")
    assert list(target.parent.iterdir()) == []


def test_a_file_that_was_changed_is_fetched_again(tmp_path, server, target):
    fetch(manifest(**download(server)), tmp_path / "cache")
    target.write_bytes(b"changed")
    fetch(manifest(**download(server)), tmp_path / "cache")
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize(("status", "asked"), [(404, 1), (503, fetch_files.ATTEMPTS)])
def test_a_server_error_is_tried_again_only_where_that_helps(tmp_path, server, status, asked):
    server.status = status
    with pytest.raises(FetchError, match=f"HTTP Error {status}.* 0 bytes are kept; run again"):
        fetch(manifest(**download(server)), tmp_path / "cache")
    assert len(server.ranges) == asked


@pytest.mark.parametrize("elsewhere", ["http://example.org/image.png", "ftp://example.org/x"])
def test_a_redirect_to_an_address_that_is_not_allowed_is_refused(tmp_path, server, elsewhere):
    server.redirect_to = elsewhere
    with pytest.raises(FetchError, match="redirects to an address that is not allowed"):
        fetch(manifest(**download(server)), tmp_path / "cache")


# --- what cannot be fetched


def test_a_manifest_without_origin_has_nothing_to_fetch(tmp_path):
    with pytest.raises(InputError, match="there is nothing to fetch, no source has an 'origin'"):
        fetch(manifest(), tmp_path)
    with pytest.raises(InputError, match="there is nothing to fetch, its images are generated"):
        fetch(find_manifest("phantom"), tmp_path)
