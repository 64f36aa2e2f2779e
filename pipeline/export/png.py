"""Images and masks as PNG trees that mirror the data root."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.artifacts import atomic_file
from pipeline.errors import IntegrityError
from pipeline.export.images import ExportImage, Painting, Written
from pipeline.export.originals import LIMITS, original_bytes
from pipeline.ingest.readers import read_bytes


def write_png(image: ExportImage, *, data_root: Path, folder: Path, how: Painting) -> Written:
    """Write an image as grey PNG at its original size, 8 or 16 bits, with its holes filled.

    Unchanged images are written in the same way, never copied: were only changed ones encoded anew, format,
    colour mode and size of a file would tell which these are.
    """
    target = folder / image.png
    if not target.exists():
        try:
            data = original_bytes(data_root, image.path, image.file_sha256)
        except IntegrityError as error:
            return Written(image.path, "lost", str(error))
        pixels = image.repainted(read_bytes(data, LIMITS).pixels, how)
        with atomic_file(target) as temporary:
            Image.fromarray(np.ascontiguousarray(pixels)).save(temporary, format="PNG")
    return Written(image.path, image.outcome)


def write_mask(image: ExportImage, *, folder: Path) -> Written:
    """Write which pixels of an image change as PNG of its original size: 255 changed, 0 not."""
    target = folder / image.png
    if not target.exists():
        with atomic_file(target) as temporary:
            Image.fromarray(image.mask().astype(np.uint8) * 255).save(temporary, format="PNG", optimize=False)
    return Written(image.path, image.outcome)
