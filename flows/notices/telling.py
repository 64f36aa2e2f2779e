"""A notice to everybody who is to get it, once; that somebody could not be told never fails an audit."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from flows.notices.config import Notices, Webhook, read_notices
from flows.notices.deliver import deliver
from flows.notices.event import emit
from flows.notices.notice import Notice
from flows.prefect_api import configured
from flows.workspace import Workspace
from pipeline.artifacts import read_json, write_json
from pipeline.errors import CxrAuditError

PATIENCE = 25.0
"""Seconds that all webhooks together may hold an audit up."""
EVENT = "prefect-event"

_log = logging.getLogger("cxr_audit.notices")


def announce(workspace: Path, notice: Notice) -> dict[str, str | None]:
    """Tell all webhooks that want this kind of notice, and Prefect's automations where a server is configured.

    What was told about a run is not told again. Returns after `PATIENCE` at the latest; failures are logged.

    Returns:
        receiver -> None when it has the notice, else what went wrong. Receivers that had it before are left out.
    """
    try:
        notices = read_notices(workspace)
    except CxrAuditError as error:
        _log.warning("Notices are not sent, their configuration is wrong: `cxr-audit notices show` says where.")
        return {"configuration": str(error)}
    told = _Told(workspace, notice)
    receivers = {name: send for name, send in _receivers(notices, notice).items() if not told.by(name)}
    answers = at_once(receivers)
    for name, problem in answers.items():
        extra = {"webhook": name, "notice": notice.notice}
        if problem is None:
            told.keep(name)
            _log.info("notice delivered", extra=extra)
        else:
            _log.warning(f"The notice was not delivered to {name}: {problem}", extra=extra)
    return answers


def _receivers(notices: Notices, notice: Notice) -> dict[str, Callable[[], object]]:
    receivers = {each.name: sender(notice, each, PATIENCE) for each in notices.webhooks if notice.notice in each.on}
    if configured():
        payload = notice.model_dump(mode="json", by_alias=True)
        receivers[EVENT] = lambda: emit(f"cxr-audit.{notice.notice}", notice.run or "none", payload)
    return receivers


def sender(notice: Notice, webhook: Webhook, seconds: float) -> Callable[[], object]:
    """Delivers, with no attempt after so many seconds from now."""
    deadline = time.monotonic() + seconds
    return lambda: deliver(notice, webhook, deadline)


def at_once(receivers: dict[str, Callable[[], object]]) -> dict[str, str | None]:
    """Do all side by side, for `PATIENCE` seconds; name -> None where it went well, else what went wrong."""
    answers: dict[str, str | None] = dict.fromkeys(receivers, f"no answer within {PATIENCE:.0f} s")

    def send(name: str, work: Callable[[], object]) -> None:
        try:
            work()
            answers[name] = None
        except CxrAuditError as error:
            answers[name] = str(error)
        except Exception as error:  # whatever a network does, the audit is done
            answers[name] = type(error).__name__

    # Daemons: one that hangs in a name server must not outlive the audit.
    threads = [threading.Thread(target=send, args=each, daemon=True) for each in receivers.items()]
    until = time.monotonic() + PATIENCE
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return dict(answers)


class _Told:
    """Who has been told what about a run: `<workspace>/notified/<run>.json`. Failures without a run are always told."""

    def __init__(self, workspace: Path, notice: Notice) -> None:
        self._path = Workspace(workspace).notified / f"{notice.run}.json"
        self._notice = notice
        # Every failure is an event of its own: one that lasts for nights is told every night.
        self._kept = notice.run is not None and notice.notice != "failed"

    def by(self, receiver: str) -> bool:
        return self._kept and self._read().get(self._key(receiver)) == self._notice.content

    def keep(self, receiver: str) -> None:
        if self._kept:
            try:
                write_json(self._path, {**self._read(), self._key(receiver): self._notice.content})
            except (CxrAuditError, OSError):
                _log.warning("It could not be noted that a notice was delivered; it may come again.")

    def _key(self, receiver: str) -> str:
        return f"{self._notice.notice} to {receiver}"

    def _read(self) -> dict[str, str]:
        try:
            return dict(read_json(self._path))
        except (CxrAuditError, ValueError):
            return {}
