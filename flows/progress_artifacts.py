"""How far a flow run is, as Prefect shows it: a progress artifact for every stage, where nobody sees a screen."""

from __future__ import annotations

import logging
import os
import re
import time
from functools import cache
from typing import cast
from uuid import UUID

from pipeline.progress import Progress, silent

EVERY = 5.0
"""Seconds between two updates of a stage; its end is told at once."""
_log = logging.getLogger("cxr_audit.flows")


def progress_artifacts() -> Progress:
    """The callback of this process, if a worker started it as a flow run; else a silent one."""
    return _of_process() if "PREFECT__FLOW_RUN_ID" in os.environ else silent


@cache
def _of_process() -> ProgressArtifacts:
    return ProgressArtifacts()


class ProgressArtifacts:
    """Keeps one artifact a stage, with the key `progress-<stage>`, up to date.

    A server that does not take it is not asked again: no stage waits for its own progress bar.
    """

    def __init__(self) -> None:
        self._artifacts: dict[str, UUID] = {}
        self._told: dict[str, float] = {}
        self._refused = False

    def __call__(self, stage: str, done: int, total: int) -> None:
        """A `pipeline.progress.Progress`."""
        now = time.monotonic()
        waits = stage in self._told and done < total and now - self._told[stage] < EVERY
        if not (waits or self._refused):
            self._told[stage] = now
            self._tell(stage, 100.0 * done / total if total else 100.0, f"{stage}: {done:,} of {total:,}")

    def _tell(self, stage: str, percent: float, words: str) -> None:
        import httpx
        from prefect.artifacts import create_progress_artifact, update_progress_artifact
        from prefect.exceptions import PrefectException

        try:
            if stage in self._artifacts:
                update_progress_artifact(self._artifacts[stage], percent, description=words)
            else:
                made = create_progress_artifact(percent, key=_key(stage), description=words)
                self._artifacts[stage] = cast(UUID, made)  # typed for callers that are asynchronous, too
        except (httpx.HTTPError, PrefectException) as error:
            self._refused = True
            _log.warning("progress is not shown: %s", type(error).__name__)


def _key(stage: str) -> str:
    """Keys of artifacts are small letters, digits and dashes."""
    return f"progress-{re.sub('[^a-z0-9]+', '-', stage.lower()).strip('-')}"
