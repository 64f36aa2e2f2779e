"""Where the review page is served: the command's default, and the links that point there."""

from __future__ import annotations

import os

ENVIRONMENT = "CXR_AUDIT_REVIEW_URL"
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8765


def review_url(run_id: str) -> str:
    """Address of a run's review page, below `CXR_AUDIT_REVIEW_URL` or the default of `cxr-audit review`."""
    base = os.environ.get(ENVIRONMENT) or f"http://{DEFAULT_HOST}:{DEFAULT_PORT}"
    return f"{base.rstrip('/')}/audits/{run_id}"
