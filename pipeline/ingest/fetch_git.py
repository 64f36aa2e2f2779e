"""A git repository at one commit, with only the wanted folders, through the git program."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from pipeline.errors import FetchError, IntegrityError
from pipeline.ingest.source_schema import GitOrigin

_OPTIONS = (
    "advice.detachedHead=false",
    "core.autocrlf=false",
    "core.hooksPath=/dev/null",
    "core.symlinks=false",  # a link in a foreign repository could point anywhere
    "gc.auto=0",
)
_FOREIGN_STATE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY")


def fetch_git(origin: GitOrigin, folder: Path, report: Callable[[int, int], None], *, keep_open: int) -> None:
    """Bring `folder` to hold `origin.paths` of the repository at `origin.commit`, files changed by hand restored.

    Asks for the one commit and the files of those paths; servers that cannot give that little give all.

    Args:
        origin: address, commit and paths.
        folder: the working tree.
        report: called with (0, 1) and (1, 1).
        keep_open: descriptor of the held lock. git inherits it, so that a git that outlives us still holds it.

    Raises:
        FetchError: git is missing, or failed.
        IntegrityError: the working tree is not what the commit says.
    """
    report(0, 1)
    git = _Git(folder, keep_open)
    folder.mkdir(parents=True, exist_ok=True)
    git.run("init", "--quiet")
    for stale in (folder / ".git").glob("*.lock"):  # left by a killed git: we hold the lock, so nobody uses them
        stale.unlink()
    _set_remote(git, origin.url)
    if not _is_at(git, origin.commit):
        _get_commit(git, origin.commit)
    _choose_paths(git, origin.paths)
    git.run("checkout", "--quiet", "--force", "--detach", origin.commit)
    _verify(git, origin, folder)
    report(1, 1)


def _set_remote(git: _Git, url: str) -> None:
    """Name the repository as the place to get file contents from when a checkout needs them."""
    git.run("config", "remote.origin.url", url)
    git.run("config", "remote.origin.promisor", "true")
    git.run("config", "remote.origin.partialclonefilter", "blob:none")


def _get_commit(git: _Git, commit: str) -> None:
    fetch = ("fetch", "--quiet", "--no-tags")
    try:
        git.run(*fetch, "--depth", "1", "--filter=blob:none", "origin", commit)
    except FetchError:  # a server that gives out branches only
        git.run(*fetch, "--no-filter", "origin", "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")


def _choose_paths(git: _Git, paths: tuple[str, ...]) -> None:
    if paths:
        git.run("sparse-checkout", "set", "--no-cone", "--stdin", lines=[f"/{_literal(path)}" for path in paths])
    else:
        git.run("sparse-checkout", "disable")


def _literal(path: str) -> str:
    """`path` as a pattern that matches nothing but itself."""
    return "".join(f"\\{letter}" if letter in "\\*?[ " else letter for letter in path)


def _is_at(git: _Git, commit: str) -> bool:
    try:
        return git.run("rev-parse", "--verify", "--quiet", "HEAD").strip() == commit
    except FetchError:
        return False


def _verify(git: _Git, origin: GitOrigin, folder: Path) -> None:
    found = git.run("rev-parse", "HEAD").strip()
    changed = git.run("status", "--porcelain", "--untracked-files=no").strip()
    missing = [path for path in origin.paths if not (folder / path).exists()]
    if found != origin.commit or changed or missing:
        raise IntegrityError(
            f"{folder} is not {origin.url} at {origin.commit}: HEAD is {found}; changed: {changed or 'nothing'}; "
            f"not in the repository: {', '.join(missing) or 'nothing'}. "
            "Correct 'paths', or delete the folder and fetch again."
        )


class _Git:
    """Runs git in one folder, without prompts, hooks or the caller's repository."""

    def __init__(self, folder: Path, keep_open: int) -> None:
        program = shutil.which("git")
        if program is None:
            raise FetchError("git is not installed; install it, or get the data yourself and give --data-root.")
        options = [word for option in _OPTIONS for word in ("-c", option)]
        self._command = [program, *options, "-C", str(folder)]
        self._keep_open = keep_open
        self._environment = {key: value for key, value in os.environ.items() if key not in _FOREIGN_STATE}
        # The ceiling keeps a broken .git from making git use a repository further up.
        self._environment |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "GIT_CEILING_DIRECTORIES": str(folder.parent)}

    def run(self, *arguments: str, lines: list[str] | None = None) -> str:
        """Standard output of one git command, fed with `lines`.

        Raises:
            FetchError: git failed; carries the end of what it said.
        """
        done = subprocess.run(  # noqa: S603  # fixed program, arguments from a validated manifest, no shell
            [*self._command, *arguments],
            input="".join(f"{line}\n" for line in lines or []),
            capture_output=True,
            text=True,
            env=self._environment,
            pass_fds=(self._keep_open,),
            check=False,
        )
        if done.returncode != 0:
            said = " ".join(done.stderr.strip().splitlines()[-3:]) or f"exit status {done.returncode}"
            raise FetchError(f"git {arguments[0]} failed: {said}. Check address and network, then run again.")
        return done.stdout
