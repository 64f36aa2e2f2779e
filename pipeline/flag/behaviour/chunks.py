"""Finished blocks of a long computation, kept so that an interrupted call resumes where it stopped."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.artifacts import canonical_json, read_json, read_parquet, write_json, write_parquet

Record = dict[str, Any]


class Chunks:
    """Numbered blocks of records under one folder, or nowhere when the folder is None."""

    def __init__(self, folder: Path | None, request: dict[str, Any]) -> None:
        """Empty `folder`, unless it holds blocks of the same `request`: all that the records are made from."""
        self._folder = folder
        if folder is None:
            return
        ledger = folder / "request.json"
        if not (ledger.exists() and canonical_json(read_json(ledger)) == canonical_json(request)):
            shutil.rmtree(folder, ignore_errors=True)
            write_json(ledger, request)

    def once(self, number: int, work: Callable[[], list[Record]]) -> list[Record]:
        """Records of block `number`: those kept, or what `work` returns. Equal, apart from null read back as NaN."""
        if self._folder is None:
            return work()
        path = self._folder / f"{number:06d}.parquet"
        if path.exists():
            return [
                {str(name): value for name, value in each.items()} for each in read_parquet(path).to_dict("records")
            ]
        records = work()
        write_parquet(path, pd.DataFrame(records))
        return records
