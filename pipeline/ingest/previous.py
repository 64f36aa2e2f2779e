"""What a data set that grows takes over from its previous version: decoded files, and who is in which split.

A file is known by the hash of its bytes, so renamed files are not decoded again and changed ones are. Files that were
left out before (refused, or a copy of another one) are not stored, and are looked at again.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import pandas as pd

from pipeline.artifacts import code_version, read_json, read_parquet
from pipeline.config import IngestConfig
from pipeline.dataset import DatasetVersion
from pipeline.ingest.decode import Decoded

HEADER: Final = ("patient_id", "study_id", "view", "sex", "age")
"""Facts that a file may add where the manifest's tables do not know them."""
HEADERS_FILE: Final = "headers.parquet"
"""Of a version: `file_sha256` and `HEADER` of its files that say something of themselves, before tables overrule it."""

_FACTS = (
    *("image_id", "phash", "width", "height", "bits", "photometric", "file_format", "modality", "manufacturer"),
    *("burned_in_annotation", "scale", "pad_x", "pad_y", "file_sha256"),
)
_READER = ("store_size", "min_side", "max_pixels", "max_file_bytes")


class Previous:
    """The decoded files of a dataset version."""

    def __init__(self, folder: Path) -> None:
        self._version = DatasetVersion(folder)
        table = self._version.images[list(_FACTS)].astype(object)
        self._facts: list[dict[Any, Any]] = table.where(table.notna(), None).to_dict("records")
        self._row = {str(name): row for row, name in enumerate(table["file_sha256"])}
        headers = read_parquet(folder / HEADERS_FILE).set_index("file_sha256")[list(HEADER)].astype(object)
        self._headers: dict[Any, dict[Any, Any]] = headers.where(headers.notna(), None).to_dict("index")

    def __contains__(self, file_sha256: str) -> bool:
        return file_sha256 in self._row

    def decoded(self, file_sha256: str) -> Decoded:
        """What `pipeline.ingest.decode.decode` says of a known file."""
        row = self._row[file_sha256]
        said = self._headers.get(file_sha256, dict.fromkeys(HEADER))
        return Decoded({**self._facts[row], **said}, self._version.pixels([row])[0])


@lru_cache(maxsize=1)
def opened(folder: Path) -> Previous:
    """The previous version at `folder`, opened once a process."""
    return Previous(folder)


def reads_alike(previous: DatasetVersion, name: str, config: IngestConfig, dtype: str) -> bool:
    """Whether a file would be decoded today, for a store of `dtype`, to what `previous` holds of it."""
    lineage = read_json(previous.path / "lineage.json")
    settings = config.model_dump()
    return (
        lineage["code_version"] == code_version("pipeline.ingest")
        and all(lineage["config"][key] == settings[key] for key in _READER)
        and (previous.meta.name, previous.meta.dtype) == (name, dtype)
    )


def headers_table(said: list[dict[str, Any]]) -> pd.DataFrame:
    """`file_sha256` and `HEADER` of the files that know something, with types that do not depend on the rows."""
    table = pd.DataFrame(said, columns=["file_sha256", *HEADER]).astype(
        {**dict.fromkeys(("file_sha256", *HEADER), "string"), "age": "Float64"}
    )
    return table[table[list(HEADER)].notna().any(axis=1)].reset_index(drop=True)
