"""What went wrong, in words that a page may show."""

from __future__ import annotations

import re

from pipeline import errors

_ERROR = re.compile(r"(?:^|: )(?:[a-z_]+\.)*([A-Z]\w*(?:Error|Exception|Interrupt)): ?(.*)$", re.MULTILINE)


def last_error(text: str) -> str | None:
    """The last error that a log or a message names, None if it names none.

    Only errors of our own are quoted: others may quote what they were given, a patient's name among it.
    """
    found = _ERROR.findall(text)
    if not found:
        return None
    name, message = found[-1]
    kind = getattr(errors, name, None)
    ours = isinstance(kind, type) and issubclass(kind, errors.CxrAuditError)
    return str(message) if ours else f"It ended with {name}."
