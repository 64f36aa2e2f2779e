"""Pixels, saliency maps, lungs and thumbnails of the images of a workspace's audits, as they are stored.

Nothing is computed here but thumbnails. What is opened is kept, a little of it, for the next request; pixels are not:
an image of 640 px takes 4 ms to read, and a browser keeps it, for it never changes.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray

from pipeline.artifacts import atomic_file, read_json, read_parquet
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError, IntegrityError
from pipeline.review.kept import Kept
from pipeline.review.store.conflict import Missing
from pipeline.review.thumbnails import keep_thumbnail, read_thumbnail, thumbnail

DATASETS_KEPT = 4
ARRAYS_KEPT = 64
THUMBNAILS_KEPT = 4096
"""About 25 MB."""

Saliency = NDArray[np.float32]


class Busy(InputError):
    """Another saliency map is being computed; one at a time."""


@dataclass(frozen=True)
class _Opened:
    """A data set version and where its images are."""

    dataset: DatasetVersion

    @cached_property
    def rows(self) -> dict[str, int]:
        return {str(name): row for row, name in enumerate(self.dataset.images["image_id"])}


@dataclass(frozen=True)
class _Arrays:
    """Arrays of some images: `store[place[image]]`."""

    place: dict[str, int]
    store: zarr.Array[Any]

    def of(self, image: str) -> NDArray[Any] | None:
        return np.asarray(self.store[self.place[image]]) if image in self.place else None


class Pictures:
    """Read access to what the audits of one workspace have of their images. Safe to share between threads.

    `run` is the name of a folder in runs/ and comes from the database, not from the address of a request; `image` is an
    image id, and an unknown one is `Missing`.
    """

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._datasets: Kept[_Opened] = Kept(DATASETS_KEPT)
        self._names: Kept[str] = Kept(1024)
        self._arrays: Kept[_Arrays | None] = Kept(ARRAYS_KEPT)
        self._thumbnails: Kept[bytes] = Kept(THUMBNAILS_KEPT)
        self._computing = threading.Lock()

    def version(self, run: str) -> str:
        """Content hash of the data set version that `run` audits: with an image id it names pixels for good."""
        return self._name(run).rpartition("/")[2]

    def dataset(self, run: str) -> DatasetVersion:
        """The data set version that `run` audits."""
        return self._opened(run).dataset

    def image_ids(self, run: str) -> dict[str, str]:
        """Path of the original file -> image id, of the whole data set."""
        images = self.dataset(run).images
        return dict(zip(images["path"].astype(str), images["image_id"].astype(str), strict=True))

    def pixels(self, run: str, image: str) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """Stored pixels (S, S) in the store's own type."""
        pixels: NDArray[np.uint8] | NDArray[np.uint16] = self.dataset(run).pixels([self._row(run, image)])[0]
        return pixels

    def thumbnail(self, run: str, image: str, size: int) -> bytes:
        """A small JPEG, see `pipeline.review.thumbnails`."""

        def make() -> bytes:
            path = self._workspace / "cache" / "thumbnails" / self.version(run) / str(size) / image[:2] / f"{image}.jpg"
            found = read_thumbnail(path)
            if found is None:
                row = self._row(run, image)
                found = thumbnail(self.pixels(run, image), self.dataset(run).transform(row), size)
                keep_thumbnail(path, found)
            return found

        return self._thumbnails.get((self.version(run), image, size), make)

    def methods(self, run: str, image: str) -> tuple[str, ...]:
        """Explainers with a map of this image, of the audit or computed later, in order of name."""
        audited = {path.stem for path in (self._run(run) / "saliency").glob("*.parquet")}
        found = {method for method in audited if self._audited(run, image, method)}
        computed = (self._workspace / "cache" / "saliency" / run).glob(f"*/{image}.npy")
        return tuple(sorted(found | {unquote(path.parent.name) for path in computed}))

    def saliency(self, run: str, image: str, method: str) -> Saliency | None:
        """The map (h, w), float32, of the audit, or one computed later; None where there is neither."""
        arrays = self._saliency(run, method)
        found = arrays.of(image) if arrays is not None else None
        return found if found is not None else _read_map(self._computed(run, image, method))

    def computed_saliency(self, run: str, image: str, method: str, compute: Callable[[], Saliency]) -> Saliency:
        """As `saliency`, but computed, and kept in cache/saliency, where there is none.

        Raises:
            Busy: another one is being computed.
            InputError: what `compute` raises.
        """
        found = self.saliency(run, image, method)
        if found is not None:
            return found
        if not self._computing.acquire(blocking=False):
            raise Busy("Another saliency map is being computed. Try again in a few seconds.")
        try:
            computed = np.ascontiguousarray(compute(), dtype="<f4")
            with atomic_file(self._computed(run, image, method)) as temporary, temporary.open("wb") as stream:
                np.save(stream, computed)
        finally:
            self._computing.release()
        return computed

    def lungs(self, run: str, image: str) -> NDArray[np.uint8] | None:
        """1 where the lungs are, (s, s), over the square of the pixel store; None where they were not found."""
        for folder in self._lung_folders(run):
            arrays = self._open(folder / "lungs.parquet", folder / "masks.zarr")
            mask = arrays.of(image) if arrays is not None else None
            if mask is not None and mask.any():
                return mask.astype(np.uint8)
        return None

    def _run(self, run: str) -> Path:
        return self._workspace / "runs" / run

    def _name(self, run: str) -> str:
        """<name>/<version> of the data set; a run is named by its content, so this does not change."""
        return self._names.get(run, lambda: str(read_json(self._run(run) / "run.json")["request"]["dataset"]))

    def _opened(self, run: str) -> _Opened:
        name = self._name(run)
        return self._datasets.get(name, lambda: _Opened(DatasetVersion(self._workspace / "datasets" / name)))

    def _row(self, run: str, image: str) -> int:
        row = self._opened(run).rows.get(image)
        if row is None:
            raise Missing(f"The data set {self._name(run)} has no image {image}. Open the gallery again.")
        return row

    def _lung_folders(self, run: str) -> list[Path]:
        """The run's own masks, and those of the whole data set, which a repair makes."""
        whole = (self._workspace / "cache" / "lungs").glob(f"*-{self.version(run)}")
        return [self._run(run) / "lungs", *sorted(whole)]

    def _saliency(self, run: str, method: str) -> _Arrays | None:
        folder = self._run(run) / "saliency"
        return self._open(folder / f"{method}.parquet", folder / f"{method}.zarr")

    def _audited(self, run: str, image: str, method: str) -> bool:
        arrays = self._saliency(run, method)
        return arrays is not None and image in arrays.place

    def _computed(self, run: str, image: str, method: str) -> Path:
        return self._workspace / "cache" / "saliency" / run / quote(method, safe="+") / f"{image}.npy"

    def _open(self, table: Path, store: Path) -> _Arrays | None:
        try:
            written = table.stat().st_mtime_ns  # an audit that goes on may write it again
        except FileNotFoundError:
            return None
        return self._arrays.get((table, written), lambda: _arrays(read_parquet(table), store))


def _arrays(table: pd.DataFrame, store: Path) -> _Arrays:
    try:
        opened = zarr.open_array(store, mode="r")
    except (OSError, ValueError, KeyError) as error:
        raise IntegrityError(f"{store} cannot be opened ({error}). Delete its run and audit again.") from error
    return _Arrays({str(image): place for place, image in enumerate(table["image_id"])}, opened)


def _read_map(path: Path) -> Saliency | None:
    try:
        return np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)  # type: ignore[no-any-return]
    except FileNotFoundError:
        return None
