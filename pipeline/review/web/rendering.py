"""Templates to pages. Everything a template prints is escaped; nothing it needs may be missing."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from pipeline import __version__
from pipeline.review.web.charts import interval_words, percent


@cache
def environment() -> Environment:
    """The pages' templates with their filters."""
    made = Environment(
        loader=PackageLoader("pipeline.review.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(number=number, counted=counted, moment=moment, interval=interval_words, percent=percent)
    made.filters.update(slug=slug)
    return made


def render(request: Request, template: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A page.

    Args:
        request: whose `state` may hold `actor` (who is signed in), `csrf` (their token) and `accounts` (whether they
            signed in by password and can sign out).
        template: its file name in `templates/`.
        status: HTTP status.
        context: what the template needs besides.
    """
    state = request.state
    frame = {
        "actor": getattr(state, "actor", None),
        "csrf": getattr(state, "csrf", None) or "",
        "accounts": getattr(state, "accounts", False),
        "version": __version__,
    }
    text = environment().get_template(template).render(frame | context)
    return HTMLResponse(text, status_code=status, headers={"Cache-Control": "no-store"})


def number(value: int) -> str:
    """12345 -> "12,345"."""
    return f"{value:,}"


def counted(value: int, noun: str) -> str:
    """(1, "image") -> "1 image"; (2000, "image") -> "2,000 images"."""
    return f"{value:,} {noun}{'' if value == 1 else 's'}"


def moment(value: datetime) -> str:
    """A time as people read it, in UTC, to the minute."""
    return f"{value.astimezone(UTC):%d %b %Y, %H:%M} UTC"


def slug(value: str) -> str:
    """The first word of a state, as a class name of the style sheet: "awaiting review" -> "awaiting"."""
    return value.split(" ", 1)[0]
