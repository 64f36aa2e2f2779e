"""Requests that the review refuses: what they name is not there, or somebody else changed it in the meantime."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.errors import InputError
from pipeline.review.values import Change

SHOWN = 20
"""So many changes are told one by one."""


class Missing(InputError):
    """An audit, a finding, an image or a region that is not there."""


class Conflict(InputError):
    """Somebody else changed what a request is about after its sender last saw it; nothing was done.

    Attributes:
        changes: the first `SHOWN` things that were done, in order.
    """

    def __init__(self, changes: Sequence[Change]) -> None:
        more = f" And {len(changes) - 1} more changes." if len(changes) > 1 else ""
        super().__init__(f"Nothing was changed: {changes[0].words}{more} Look at it again, then decide.")
        self.changes = tuple(changes[:SHOWN])
