"""Thumbnails: the right picture, windowed to what it shows."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pipeline.review.thumbnails import keep_thumbnail, read_thumbnail, thumbnail
from pipeline.types import StoreTransform


def decoded(picture: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(picture))
    assert (image.format, image.mode) == ("JPEG", "L")
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("size", [128, 256])
def test_a_faint_ramp_is_shown_in_full_range_and_padding_stays_black(dtype: str, size: int):
    # 64 of 512 columns are padding on either side; the ramp uses a sixteenth of the range, far from its ends.
    top = np.iinfo(dtype).max
    pixels = np.zeros((512, 512), dtype)
    pixels[:, 64:448] = np.linspace(top / 2, top / 2 + top / 16, 384).astype(dtype)
    found = decoded(thumbnail(pixels, StoreTransform(0.5, 64, 0, 768, 1024), size))
    assert found.shape == (size, size)
    edge = size // 8
    assert found[:, : edge - 4].max() < 12, "padding is black"
    assert found[:, edge + 4].max() < 40, "the darkest of the picture is dark"
    assert found[:, size - edge - 4].min() > 215, "the brightest of the picture is bright"
    middle = found[size // 2, edge + 4 : size - edge - 4]
    assert np.all(np.diff(middle) >= -6), "and it rises in between"


def test_a_store_smaller_than_the_thumbnail_is_enlarged():
    pixels = np.zeros((64, 64), np.uint16)
    pixels[:, 32:] = 60000
    found = decoded(thumbnail(pixels, StoreTransform(1.0, 0, 0, 64, 64), 128))
    assert found.shape == (128, 128)
    assert found[:, :56].max() < 20
    assert found[:, 72:].min() > 235


def test_a_blank_image_has_a_thumbnail():
    assert decoded(thumbnail(np.full((64, 64), 9, np.uint8), StoreTransform(1.0, 0, 0, 64, 64), 128)).max() == 0


def test_half_a_file_is_none(tmp_path):
    picture = thumbnail(np.eye(64, dtype=np.uint8), StoreTransform(1.0, 0, 0, 64, 64), 128)
    path = tmp_path / "a" / "b.jpg"
    assert read_thumbnail(path) is None
    keep_thumbnail(path, picture)
    assert read_thumbnail(path) == picture
    path.write_bytes(picture[:-2])
    assert read_thumbnail(path) is None


def test_a_place_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "cache").write_text("in the way")
    keep_thumbnail(tmp_path / "cache" / "b.jpg", b"x")
    assert (tmp_path / "cache").read_text() == "in the way"
