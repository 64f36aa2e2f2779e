"""Tables that people open in a spreadsheet: no cell may be taken for a formula there."""

from __future__ import annotations

import pandas as pd

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def harmless(value: object) -> object:
    """`value`, with an apostrophe before a text that a spreadsheet would compute; numbers stay as they are."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def csv_text(table: pd.DataFrame) -> str:
    """A table as CSV, unknown empty, with every text `harmless`."""
    texts = table.select_dtypes(include=["object", "string", "category"]).columns
    safe = table.assign(**{name: table[name].astype(object).map(harmless, na_action="ignore") for name in texts})
    return safe.rename(columns=harmless).to_csv(index=False, lineterminator="\n")
