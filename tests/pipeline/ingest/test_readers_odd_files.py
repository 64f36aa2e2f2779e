"""Real oddities, byte for byte: each either reads as listed here or is refused with a reason."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.ingest.readers import ReadLimits, read_image

pytestmark = pytest.mark.real

ODD_FILES = {
    "001.jpeg": ("JPEG", (751, 873)),
    "002.jpeg": ("JPEG", (826, 877)),
    "007.jpg": ("JPEG", (1402, 1401)),
    "008.jpg": ("JPEG", (1412, 1404)),
    "037.jpg": ("JPEG", (611, 695)),
    "040.png": ("PNG", (399, 466)),
    "041.png": ("PNG", (368, 323)),
    "054.jpeg": ("JPEG", (1326, 1384)),
    "056.jpg": ("JPEG", (437, 424)),
    "1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm": ("DICOM", (1024, 1024)),
    "104.jpeg": ("JPEG", (990, 1024)),
    "139.webp": ("WEBP", (922, 1024)),
    "144.webp": ("WEBP", (869, 1024)),
    "164.jfif": ("JPEG", (821, 797)),
    "165.jfif": ("JPEG", (768, 765)),
    "214.png": ("PNG", (372, 338)),
    "215.png": ("PNG", (372, 338)),
    "248.jfif": ("JPEG", (1310, 1383)),
    "259.jfif": ("JPEG", (1326, 1384)),
    "484p.png": ("PNG", (494, 660)),
    "485-.png": ("PNG", (689, 793)),
    "871.jpg": ("PNG", (382, 472)),  # a PNG by content
    "872.jpg": ("PNG", (388, 480)),  # a PNG by content
    "Fake_MONOHR1.dcm": ("DICOM", (1024, 1024)),
}


def test_no_file_is_forgotten(real_data):
    assert {path.name for path in (real_data / "odd_files").iterdir()} == set(ODD_FILES)


@pytest.mark.parametrize("name", ODD_FILES)
def test_odd_file_reads(real_data, name):
    file_format, shape = ODD_FILES[name]
    image = read_image(real_data / "odd_files" / name, ReadLimits())
    assert (image.file_format, image.pixels.shape) == (file_format, shape)
    assert image.pixels.dtype == np.uint8
    assert image.pixels.std() > 10, "an x-ray, not a blank"


def test_the_same_pixels_under_monochrome1_are_the_negative(real_data):
    plain, fake = (name for name in ODD_FILES if name.endswith(".dcm"))
    first = read_image(real_data / "odd_files" / plain, ReadLimits())
    second = read_image(real_data / "odd_files" / fake, ReadLimits())
    np.testing.assert_array_equal(second.pixels, 255 - first.pixels)
    assert (first.view, first.sex, first.age, first.modality) == ("PA", "M", 62.0, "CR")
