"""PNG, JPEG, WebP, TIFF, GIF and BMP: known pixels in, the same grey pixels out."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ImageReadError, ProblemReason
from pipeline.ingest.readers import ReadLimits, read_bytes, read_header, read_image

LIMITS = ReadLimits(min_side=8, max_pixels=1_000_000, max_file_bytes=1_000_000)
GREY = np.arange(16 * 24, dtype=np.uint16).reshape(16, 24)
"""24 wide, 16 high, 384 values in rising order."""
GREY_8 = (GREY % 256).astype(np.uint8)
GREY_16 = GREY * np.uint16(170)


def encoded(image: Image.Image, file_format: str = "PNG", **options) -> bytes:
    stream = BytesIO()
    image.save(stream, format=file_format, **options)
    return stream.getvalue()


def refusal(data: bytes, limits: ReadLimits = LIMITS) -> ImageReadError:
    with pytest.raises(ImageReadError) as caught:
        read_bytes(data, limits)
    return caught.value


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "GIF", "TIFF"])
def test_grey_bytes_come_back_unchanged(file_format):
    image = read_bytes(encoded(Image.fromarray(GREY_8), file_format), LIMITS)
    np.testing.assert_array_equal(image.pixels, GREY_8)
    assert (image.pixels.dtype, image.bits, image.file_format) == (np.uint8, 8, file_format)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bits_stay_16_bits(file_format):
    image = read_bytes(encoded(Image.fromarray(GREY_16), file_format), LIMITS)
    np.testing.assert_array_equal(image.pixels, GREY_16)
    assert (image.pixels.dtype, image.bits, image.photometric) == (np.uint16, 16, "MONOCHROME2")


def tiff(bits: int, photometric: int, strip: bytes, order: str = "<") -> bytes:
    """A minimal one-strip TIFF, 24 x 16."""
    tags = {256: 24, 257: 16, 258: bits, 259: 1, 262: photometric, 273: 8, 277: 1, 278: 16, 279: len(strip)}
    offset = 8 + len(strip)
    entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, offset)
    return head + strip + struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", 0)


def test_white_is_zero_tiff_is_turned_around_at_16_bits():
    image = read_bytes(tiff(16, 0, GREY_16.astype("<u2").tobytes()), LIMITS)
    np.testing.assert_array_equal(image.pixels, 65535 - GREY_16)


def test_big_endian_tiff():
    image = read_bytes(tiff(16, 1, GREY_16.astype(">u2").tobytes(), ">"), LIMITS)
    np.testing.assert_array_equal(image.pixels, GREY_16)


def test_12_bit_tiff_fills_16_bits():
    first, second = GREY.reshape(-1, 2).T.astype(np.uint32) * 10
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=1).astype(np.uint8)
    image = read_bytes(tiff(12, 1, packed.tobytes()), LIMITS)
    assert image.bits == 12
    np.testing.assert_allclose(image.pixels, GREY * 10 * (65535 / 4095), atol=0.5)


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP"])
def test_lossy_formats_come_back_nearly_unchanged(file_format):
    smooth = np.tile(np.linspace(20, 230, 48).astype(np.uint8), (32, 1))
    image = read_bytes(encoded(Image.fromarray(smooth), file_format, quality=95), LIMITS)
    np.testing.assert_allclose(image.pixels.astype(int), smooth, atol=4)
    assert image.file_format == file_format


def test_colour_becomes_luma():
    colour = np.zeros((16, 16, 3), np.uint8)
    colour[..., 0], colour[..., 1], colour[..., 2] = 200, 100, 50
    image = read_bytes(encoded(Image.fromarray(colour)), LIMITS)
    assert np.unique(image.pixels) == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    assert image.photometric == "RGB"


def test_transparency_is_flattened_on_black():
    rgba = np.full((16, 16, 4), 200, np.uint8)
    rgba[:8, :, 3], rgba[8:, :, 3] = 0, 255
    image = read_bytes(encoded(Image.fromarray(rgba)), LIMITS)
    assert (np.unique(image.pixels[:8]), np.unique(image.pixels[8:])) == (0, 200)
    grey_alpha = Image.fromarray(rgba).convert("LA")
    np.testing.assert_array_equal(read_bytes(encoded(grey_alpha), LIMITS).pixels, image.pixels)


def test_palette_and_bilevel():
    palette = Image.fromarray((GREY_8 % 4).astype(np.uint8), mode="P")
    palette.putpalette([0, 0, 0, 90, 90, 90, 180, 180, 180, 255, 255, 255])
    image = read_bytes(encoded(palette), LIMITS)
    np.testing.assert_array_equal(image.pixels, np.array([0, 90, 180, 255], np.uint8)[GREY_8 % 4])
    bilevel = read_bytes(encoded(Image.fromarray(GREY_8 > 100)), LIMITS)
    np.testing.assert_array_equal(bilevel.pixels, np.where(GREY_8 > 100, 255, 0))
    assert (image.photometric, bilevel.bits) == ("PALETTE COLOR", 1)


def test_cmyk_jpeg():
    cmyk = Image.new("CMYK", (32, 32), (0, 0, 0, 100))
    image = read_bytes(encoded(cmyk, "JPEG", quality=95), LIMITS)
    assert image.photometric == "CMYK"
    np.testing.assert_allclose(image.pixels, 155, atol=3)


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[274] = 6  # the camera was turned: rotate by 270 degrees to see it upright
    image = read_bytes(encoded(Image.fromarray(GREY_8), exif=exif), LIMITS)
    np.testing.assert_array_equal(image.pixels, np.rot90(GREY_8, k=-1))


def test_the_name_means_nothing(tmp_path):
    path = tmp_path / "x-ray.dcm"
    path.write_bytes(encoded(Image.fromarray(GREY_8)))
    assert read_image(path, LIMITS).file_format == "PNG"


@pytest.mark.parametrize(
    ("file_format", "kept"), [("JPEG", 0.6), ("PNG", 0.6), ("WEBP", 0.6), ("TIFF", 0.6), ("JPEG", 0.05)]
)
def test_truncated_files_say_so(file_format, kept):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    data = encoded(Image.fromarray(noise), file_format)
    error = refusal(data[: int(len(data) * kept)])
    assert error.reason in {ProblemReason.TRUNCATED, ProblemReason.UNREADABLE}
    if file_format != "TIFF":  # a TIFF's directory may stand at its end: nothing says what is missing
        assert error.reason == ProblemReason.TRUNCATED


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds one empty chunk of data."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_20000_x_20000_header_is_refused_before_anything_is_decoded():
    with pytest.raises(ImageReadError, match="20000 x 20000 pixels, allowed 100,000,000") as caught:
        read_bytes(png_header(20_000, 20_000), ReadLimits())
    assert caught.value.reason == ProblemReason.TOO_LARGE
    theirs = Image.MAX_IMAGE_PIXELS
    assert read_header(png_header(20_000, 20_000), ReadLimits(max_pixels=500_000_000)).width == 20_000
    assert theirs == Image.MAX_IMAGE_PIXELS, "Pillow's own limit must be as it was"


def test_too_small():
    assert refusal(encoded(Image.new("L", (1, 1)))).reason == ProblemReason.TOO_SMALL


def test_several_frames_are_refused():
    frames = [Image.fromarray(GREY_8), Image.fromarray(255 - GREY_8)]
    for file_format in ("TIFF", "GIF", "WEBP", "PNG"):
        error = refusal(encoded(frames[0], file_format, save_all=True, append_images=frames[1:]))
        assert error.reason == ProblemReason.MULTI_FRAME, file_format


def test_float_samples_are_refused():
    error = refusal(encoded(Image.fromarray(GREY.astype(np.float32)), "TIFF"))
    assert error.reason == ProblemReason.UNSUPPORTED_FORMAT
    assert "16 bits" in str(error)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<!DOCTYPE html><html>404", "saved error page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"),
        (b"%PDF-1.7 ....", "a PDF"),
        (b"\x1f\x8b\x08\x00........", "unpack"),
        (b"patient,label\n1,2\n", "no known image format"),
    ],
)
def test_other_files_are_named(data, words):
    error = refusal(data)
    assert error.reason == ProblemReason.UNSUPPORTED_FORMAT
    assert words in str(error)


def test_files_that_are_not_there_empty_or_too_heavy(tmp_path):
    empty, heavy = tmp_path / "empty.dcm", tmp_path / "heavy.png"
    empty.touch()
    heavy.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1_000_000))
    cases = {
        tmp_path / "gone.png": ProblemReason.MISSING_FILE,
        tmp_path: ProblemReason.UNREADABLE,
        empty: ProblemReason.EMPTY_FILE,
        heavy: ProblemReason.TOO_LARGE,
    }
    for path, reason in cases.items():
        with pytest.raises(ImageReadError) as caught:
            read_image(Path(path), LIMITS)
        assert caught.value.reason == reason, path
