"""Bodies of notices: Slack's messages, and JSON with a signature that receivers can check."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from typing import Any

from flows.notices.notice import Finding, Notice

_MOST_LISTED = 10


def body_of(notice: Notice, form: str) -> bytes:
    """The body of a request in the form that a webhook asks for."""
    said = slack(notice) if form == "slack" else notice.model_dump(mode="json", by_alias=True)
    return json.dumps(said, sort_keys=True).encode()


def signature_headers(body: bytes, secret: str | None, now: float | None = None) -> dict[str, str]:
    """Headers that prove who sent `body`: HMAC-SHA256 with `secret` over `<timestamp>.<body>`; none without a secret.

    The timestamp is signed as well, so that a receiver can refuse what is repeated later.
    """
    if secret is None:
        return {}
    timestamp = str(int(time.time() if now is None else now))
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"X-Cxr-Audit-Timestamp": timestamp, "X-Cxr-Audit-Signature": f"sha256={digest}"}


def slack(notice: Notice) -> dict[str, Any]:
    """A message of Slack's incoming webhooks: `text` for notifications, `blocks` for the channel."""
    lines = [f"*{_plain(notice.words)}*", *(_line(each) for each in notice.confirmed[:_MOST_LISTED])]
    lines += [
        f"• {_plain(' '.join(filter(None, (each.measure, each.name, each.classifier_class))))}"
        for each in notice.drift[:_MOST_LISTED]
    ]
    left = max(len(notice.confirmed), len(notice.drift)) - _MOST_LISTED
    lines += [f"… and {left} more"] if left > 0 else []
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(lines)}}]
    if notice.link:
        link = {"type": "mrkdwn", "text": f"<{notice.link}|Review page>"}
        blocks.append({"type": "section", "text": link})
    return {"text": _plain(notice.words), "blocks": blocks}


def _line(finding: Finding) -> str:
    effect = finding.effect
    size = f": {effect.mean:.2f} ({effect.low:.2f} to {effect.high:.2f}), N = {effect.n}" if effect else ""
    return f"• {_plain(finding.id)} {_plain(finding.kind)} for {_plain(finding.classifier_class)}{size}"


def _plain(text: str) -> str:
    """Slack's control characters escaped; class names and data set names are the user's."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
