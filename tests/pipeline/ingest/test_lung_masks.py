from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.errors import EmptyResultError, InputError
from pipeline.ingest.lung_masks import MaskedImage, folds, read_masked_images
from pipeline.ingest.synthetic.phantom import PhantomSpec, render


def write(folder: Path, name: str, pixels: np.ndarray) -> None:
    folder.mkdir(exist_ok=True)
    assert cv2.imwrite(str(folder / name), pixels)


def image(name: str, group: str, level: float) -> MaskedImage:
    return MaskedImage(name, group, np.full((4, 4), level, dtype=np.float32), np.ones((4, 4), dtype=bool))


def test_pictures_are_matched_by_name(tmp_path: Path) -> None:
    mask = np.zeros((40, 50), np.uint8)
    mask[10:20] = 255
    for name in ("publication-1-a", "publication-1-b", "other", "alone"):
        write(tmp_path / "pictures", f"{name}.png", np.full((40, 50), 51, np.uint8))
    for name in ("publication-1-a", "publication-1-b", "other", "stray"):
        write(tmp_path / "masks", f"{name}.png", mask)
    found = read_masked_images(tmp_path / "pictures", tmp_path / "masks", {"other": "p7"})
    assert [each.name for each in found] == ["other", "publication-1-a", "publication-1-b"]
    assert [each.group for each in found] == ["patient p7", "series publicatio", "series publicatio"]
    assert found[0].picture.dtype == np.float32
    assert found[0].picture[0, 0] == pytest.approx(0.2)
    assert np.array_equal(found[0].lungs, mask > 0)


def test_mask_of_another_size_or_name_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "pictures", "a.png", np.zeros((40, 50), np.uint8))
    write(tmp_path / "masks", "a.png", np.zeros((50, 40), np.uint8))
    with pytest.raises(InputError, match="Resize the mask"):
        read_masked_images(tmp_path / "pictures", tmp_path / "masks")
    write(tmp_path / "others", "b.png", np.zeros((40, 50), np.uint8))
    with pytest.raises(EmptyResultError, match="same name"):
        read_masked_images(tmp_path / "pictures", tmp_path / "others")


def test_parts_share_no_group_and_do_not_depend_on_order() -> None:
    images = [image(f"{number}", f"g{number % 7}", number / 40) for number in range(40)]
    parts = folds(images, 4)
    assert sorted(each.name for part in parts for each in part) == sorted(each.name for each in images)
    groups = [{each.group for each in part} for part in parts]
    assert sum(map(len, groups)) == 7
    assert {len(part) for part in parts} <= {5, 6, 10, 11, 12}
    again = folds(images[::-1], 4)
    assert [{each.group for each in part} for part in again] == groups
    with pytest.raises(InputError, match="2 patients"):
        folds([image("a", "x", 0), image("b", "y", 1)], 3)


def test_phantoms_have_two_dark_lungs_on_both_sides() -> None:
    spec = PhantomSpec(images=4, size=128, seed=2)
    for index in range(4):
        phantom = render(spec, index, "phantom-a", with_marks=False)
        count, _, stats, centres = cv2.connectedComponentsWithStats(phantom.lungs.astype(np.uint8))
        large = [part for part in range(1, count) if stats[part, cv2.CC_STAT_AREA] > 0.05 * 128**2]
        assert len(large) == 2
        assert min(centres[large, 0]) < 64 < max(centres[large, 0])
        assert phantom.image[phantom.lungs].mean() < phantom.image[32:96, 58:70].mean()
        if phantom.label == "opacity":
            assert phantom.lungs[phantom.opacities].mean() > 0.7, "diseased lung is lung"
