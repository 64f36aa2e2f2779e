"""Telling people and machines what an audit came to: webhooks and Prefect events, without anything about a patient."""

from flows.notices.config import Notices, Webhook, read_notices
from flows.notices.notice import Finding, Kind, Notice, ended, failed, not_passed
from flows.notices.telling import announce

__all__ = [
    "Finding", "Kind", "Notice", "Notices", "Webhook", "announce", "ended", "failed", "not_passed",
    "read_notices",
]  # fmt: skip
