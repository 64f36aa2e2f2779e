"""What environment variables and configuration files say: notices, links, logs, telemetry."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

from flows.doctor.check import Check, Place, checked, skipped
from flows.logs import log_level
from flows.notices import read_notices
from flows.review.address import DEFAULT_HOST, DEFAULT_PORT, ENVIRONMENT
from flows.settings import TELEMETRY
from pipeline.errors import CxrAuditError

GROUP = "settings"


def checks(place: Place) -> Iterator[Check]:
    """Nothing is sent."""
    yield _notices(place)
    yield _review_url()
    try:
        log_level()
        yield skipped(GROUP, "log level", "known")
    except CxrAuditError as error:
        yield checked(GROUP, "log level", False, str(error), "unset it, or use one of these")
    wrong = [name for name, off in TELEMETRY.items() if os.environ.get(name, off).lower() != off]
    found = f"{', '.join(wrong)} turned on" if wrong else "off"
    yield checked(GROUP, "telemetry", not wrong, found, "unset them: nothing shall leave the machine", "warning")


def _notices(place: Place) -> Check:
    try:
        webhooks = read_notices(place.workspace).webhooks
        for each in webhooks:
            each.ready()
    except CxrAuditError as error:
        return checked(GROUP, "notices", False, str(error), "docs/operations.md describes every key")
    names = ", ".join(each.name for each in webhooks) or "nobody"
    return skipped(GROUP, "notices", f"told are: {names} (`cxr-audit notices test` tries it)")


def _review_url() -> Check:
    url = os.environ.get(ENVIRONMENT)
    if not url:
        found = f"links point at http://{DEFAULT_HOST}:{DEFAULT_PORT}, for this machine alone"
        return skipped(GROUP, "review address", found)
    parts = urlsplit(url)
    good = parts.scheme in ("http", "https") and bool(parts.hostname)
    return checked(GROUP, "review address", good, url, f"{ENVIRONMENT} must be an address like https://review.lan")
