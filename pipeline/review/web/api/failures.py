"""What the API answers when it does not do what was asked: its one form, and which route may answer so."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pipeline.review.values import Change


class Failure(BaseModel):
    """What went wrong."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(description="for programs, e.g. not-found")
    message: str = Field(description="for people: what was found, what is allowed, what to do")
    changes: tuple[Change, ...] | None = Field(None, description="of a conflict: what somebody else did")


class FailureBody(BaseModel):
    """Every answer below /api whose status is 400 or more."""

    model_config = ConfigDict(extra="forbid")

    error: Failure


_WORDS = {
    400: "The request cannot be done as it is",
    401: "Nobody is signed in",
    403: "The role does not allow it, or the CSRF token is missing",
    404: "There is none",
    409: "Somebody else changed it in the meantime; nothing was done",
    413: "The body is too large",
    421: "The server is not known under this name",
    422: "The request does not have the documented form",
    429: "One at a time; try again soon",
    503: "The database or the disk cannot be used now; nothing was done",
}


def failures(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with these statuses."""
    return {code: {"model": FailureBody, "description": _WORDS[code]} for code in codes}
