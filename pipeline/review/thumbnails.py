"""Small grey pictures of stored x-rays, for the gallery.

Made one at a time when first asked for, not a shard at a time: an image of 640 px takes 4 ms to read from the store, as
long alone as among its neighbours, and 0.5 ms to shrink and pack. JPEG rather than WebP: half the time again as small a
file is not worth ten times the work.

<workspace>/cache/thumbnails/<data set version>/<size>/<first two digits>/<image id>.jpg

Version and id are content hashes, so what is there stays true. 100,000 images take about 0.3 GB at 128 px and 0.8 GB at
256 px; the folder may be deleted at any time.
"""

from __future__ import annotations

import io
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.artifacts import atomic_file
from pipeline.errors import StorageError
from pipeline.types import StoreTransform


class ThumbnailSize(IntEnum):
    """Side, pixels."""

    SMALL = 128
    LARGE = 256


QUALITY = 80
"""Of the JPEG."""
WINDOW = (0.5, 99.5)
"""Percentiles of the picture, padding left out, that become black and white."""
_END = b"\xff\xd9"


def thumbnail(pixels: NDArray[Any], transform: StoreTransform, size: int) -> bytes:
    """A JPEG of `size` x `size`.

    Args:
        pixels: stored pixels (S, S), uint8 or uint16.
        transform: how the picture lies in them; padding stays black and does not count for the window.
        size: side, pixels.
    """
    # Numbers stay as fine as they are stored until the window is known: 16 bits may use a small part of their range.
    small = Image.fromarray(pixels.astype(np.float32)).resize(
        (size, size), Image.Resampling.BOX if pixels.shape[0] >= size else Image.Resampling.BILINEAR
    )
    grey = np.asarray(small)
    content = grey[_content(transform, size / pixels.shape[0])]
    low, high = np.percentile(content if content.size else grey, WINDOW)
    windowed = np.rint((grey - low) / max(high - low, 1.0) * 255).clip(0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(windowed).save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


def read_thumbnail(path: Path) -> bytes | None:
    """The JPEG at `path`, None where there is none or half of one."""
    try:
        found = path.read_bytes()
    except OSError:
        return None
    return found if found.endswith(_END) else None


def keep_thumbnail(path: Path, picture: bytes) -> None:
    """Write `picture` for the next server; a disk that cannot take it is no reason not to show it."""
    with suppress(StorageError, OSError), atomic_file(path) as temporary:
        temporary.write_bytes(picture)


def _content(transform: StoreTransform, scale: float) -> tuple[slice, slice]:
    """Where the picture lies in a square store that was shrunk by `scale`."""
    x, y = transform.pad_x * scale, transform.pad_y * scale
    width, height = (side * transform.scale * scale for side in (transform.width, transform.height))
    return slice(round(y), round(y + height)), slice(round(x), round(x + width))
