"""Samples of notices, to try a configuration with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from flows.notices.config import Webhook
from flows.notices.notice import Drift, Effect, Finding, Kind, Notice
from flows.notices.telling import PATIENCE, at_once, sender
from flows.review.address import review_url


def send_samples(webhooks: Sequence[Webhook]) -> dict[str, str | None]:
    """Send each webhook a sample of the first kind it asks for; name -> None, or why it was not delivered."""
    return at_once({each.name: sender(sample(each.on[0]), each, PATIENCE) for each in webhooks})


def sample(kind: Kind) -> Notice:
    """A notice of a run that does not exist."""
    finding = Finding(id="F01", kind="position", effect=Effect(mean=0.38, low=0.28, high=0.49, n=13), **{"class": "a"})
    said: dict[Kind, dict[str, Any]] = {
        "awaiting-review": {"state": "awaiting review", "findings": {"confirmed": 1}, "confirmed": (finding,)},
        "confirmed-finding": {"state": "awaiting review", "findings": {"confirmed": 1}, "confirmed": (finding,)},
        "failed": {"error": "StorageError", "stage": "train"},
        "drift": {"drift": (Drift(measure="prevalence", name="position"),), "compared_with": "0" * 16},
    }
    run, now = "0" * 16, datetime.now(UTC)
    return Notice(notice=kind, at=now, flow="test", dataset="sample", run=run, link=review_url(run), **said[kind])
