"""Groups of regions that look alike, on pictures where the groups are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.review import lookalikes as module
from pipeline.review.lookalikes import lookalikes

SIZE, IMAGES = 64, 30
NOISE = np.random.default_rng(0)


def cross(size: int) -> np.ndarray:
    mark = np.zeros((size, size))
    mark[size // 2 - 1 : size // 2 + 1] = mark[:, size // 2 - 1 : size // 2 + 1] = 1.0
    return mark


def ring(size: int) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return (np.abs(np.hypot(x, y) - size / 2.8) < 1.2).astype(float)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetVersion, pd.DataFrame]:
    """30 images with a cross, a ring or a bright square each, in all exposures and two sizes; two regions more."""
    pixels = np.empty((IMAGES, SIZE, SIZE), dtype=np.uint16)
    rows = []
    for row in range(IMAGES):
        picture = 0.2 + 0.02 * NOISE.standard_normal((SIZE, SIZE))
        kind, text, size = ("side", "L", 16), ("side", "L", 20), ("border", None, 16)
        name, word, side = (kind, text, size)[row % 3]
        gain = 0.3 + 0.5 * (row % 5) / 5
        mark = {0: cross, 1: ring}.get(row % 3, lambda n: np.ones((n, n)))(side)
        picture[10 : 10 + side, 5 : 5 + side] += gain * mark
        pixels[row] = np.rint(picture.clip(0, 1) * 65535)
        rows.append((f"{row:016x}", f"{row:064x}", name, word, 5.0, 10.0, 5.0 + side, 10.0 + side))
    rows.append((f"{98:016x}", f"{0:064x}", "side", "R", 5.0, 10.0, 21.0, 26.0))
    rows.append((f"{99:016x}", f"{1:064x}", "device", None, 50.0, 50.0, 70.0, 70.0))
    table = pd.DataFrame(rows, columns=["region_id", "image_id", "kind", "text", "x0", "y0", "x1", "y1"])
    return _dataset(tmp_path_factory.mktemp("alike") / "v1", pixels), table


def _dataset(target: Path, pixels: np.ndarray) -> DatasetVersion:
    images = pd.DataFrame(
        [
            {
                "image_id": f"{row:064x}",
                "label": "a",
                "scale": 1.0,
                "pad_x": 0.0,
                "pad_y": 0.0,
                "width": SIZE,
                "height": SIZE,
            }
            for row in range(len(pixels))
        ],
        columns=list(IMAGE_COLUMNS),
    )
    with write_version(target, SIZE, "uint16") as writer:
        writer.write_shard(0, images.astype(IMAGE_COLUMNS), pixels)
        writer.finish(DatasetMeta("alike", "v1", "Alike", ("a",), "a", SIZE, "uint16"), images, 1)
    return DatasetVersion(target)


def members(found: pd.Series) -> set[frozenset[int]]:
    return {frozenset(int(name, 16) for name in names) for names in found.groupby(found).groups.values()}


def test_marks_group_by_their_look_whatever_their_exposure_and_size(study: tuple[DatasetVersion, pd.DataFrame]) -> None:
    found = lookalikes(*study)
    assert members(found) == {frozenset(range(start, IMAGES, 3)) for start in range(3)}
    assert {name.rsplit("-", 1)[0] for name in found.dropna()} == {"side", "border"}
    assert found.index.tolist() == sorted(study[1]["region_id"])


def test_kind_and_text_separate_what_looks_the_same(study: tuple[DatasetVersion, pd.DataFrame]) -> None:
    assert pd.isna(lookalikes(*study)[f"{98:016x}"])


def test_a_region_that_leaves_the_picture_is_cut_to_it(study: tuple[DatasetVersion, pd.DataFrame]) -> None:
    assert pd.isna(lookalikes(*study)[f"{99:016x}"])


def test_the_order_of_regions_and_their_number_at_once_change_nothing(
    study: tuple[DatasetVersion, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, regions = study
    whole = lookalikes(dataset, regions)
    pd.testing.assert_series_equal(lookalikes(dataset, regions.sample(frac=1, random_state=3)), whole)
    monkeypatch.setattr(module, "SHARD", 4)
    assert members(lookalikes(dataset, regions)) == members(whole)


def test_the_largest_group_of_a_kind_comes_first(study: tuple[DatasetVersion, pd.DataFrame]) -> None:
    dataset, regions = study
    fewer = regions[~regions["region_id"].isin([f"{row:016x}" for row in (0, 3, 6)])]
    sizes = lookalikes(dataset, fewer).value_counts()
    assert (sizes["side-1"], sizes["side-2"]) == (10, 7)


def test_no_region_gives_no_group(study: tuple[DatasetVersion, pd.DataFrame]) -> None:
    assert lookalikes(study[0], study[1].head(0)).empty
