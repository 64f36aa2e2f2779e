"""The one error of this package. `models` imports nothing of ours, so it cannot use `pipeline.errors`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ModelError(ValueError):
    """A checkpoint, bundle, spec or classifier is not what it claims to be; the message says what to do."""


def unknown(kind: str, found: str, allowed: Iterable[str]) -> ModelError:
    """The error for a name that is not in a list: names the closest allowed one, then all of them."""
    choices = sorted(allowed)
    close = difflib.get_close_matches(found, choices, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return ModelError(f"Unknown {kind} {found!r}.{hint} Allowed: {', '.join(choices) or 'none'}.")
