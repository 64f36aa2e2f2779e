"""DICOM: known stored values in, the pixels a viewer would show out; everything else refused by name."""

from __future__ import annotations

import logging
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from pipeline.errors import ImageReadError, ProblemReason
from pipeline.ingest.readers import ReadLimits, read_bytes, read_header, read_image

LIMITS = ReadLimits(min_side=8, max_pixels=1_000_000)
RAMP = np.linspace(0, 4095, 32 * 40).astype(np.uint16).reshape(32, 40)
"""12 bits, every pixel brighter than the one before."""


def dataset(pixels: np.ndarray = RAMP, bits: int = 12, **tags) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    made.SOPClassUID = uid.DigitalXRayImageStorageForPresentation
    made.SOPInstanceUID = uid.generate_uid(entropy_srcs=["x"])
    made.Modality, made.PatientName, made.PatientID = "DX", "Doe^Jane", "12345"
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated = pixels.dtype.itemsize * 8
    made.BitsStored, made.HighBit, made.PixelRepresentation = bits, bits - 1, int(pixels.dtype.kind == "i")
    made.PixelData = pixels.tobytes()
    for name, value in tags.items():
        setattr(made, name, value)
    return made


def to_bytes(made: Dataset) -> bytes:
    stream = BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def read(made: Dataset):
    return read_bytes(to_bytes(made), LIMITS)


def refusal(data: bytes, limits: ReadLimits = LIMITS) -> ImageReadError:
    with pytest.raises(ImageReadError) as caught:
        read_bytes(data, limits)
    return caught.value


def stretched(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Oracle: values between low and high over all of uint16."""
    return np.rint(np.clip((values.astype(float) - low) / (high - low), 0, 1) * 65535)


class TestDisplay:
    def test_without_a_window_the_used_range_is_shown(self):
        image = read(dataset(RAMP // 2 + 100))
        np.testing.assert_array_equal(image.pixels, stretched(RAMP // 2, 0, 2047))
        assert (image.pixels.dtype, image.bits) == (np.uint16, 12)

    def test_8_bits_without_a_window_stay_as_they_are(self):
        grey = (RAMP >> 5).astype(np.uint8)
        image = read(dataset(grey, 8))
        np.testing.assert_array_equal(image.pixels, grey)
        assert image.pixels.dtype == np.uint8

    def test_linear_window(self):
        # PS3.3 C.11.2.1.2.1: ((x - (c - 0.5)) / (w - 1) + 0.5)
        image = read(dataset(WindowCenter=2048, WindowWidth=1001))
        np.testing.assert_allclose(image.pixels, stretched(RAMP, 2047.5 - 500, 2047.5 + 500), atol=1)

    def test_linear_exact_window(self):
        image = read(dataset(WindowCenter=1000, WindowWidth=500, VOILUTFunction="LINEAR_EXACT"))
        np.testing.assert_allclose(image.pixels, stretched(RAMP, 750, 1250), atol=1)

    def test_sigmoid_window(self):
        image = read(dataset(WindowCenter=2000, WindowWidth=800, VOILUTFunction="SIGMOID"))
        np.testing.assert_allclose(image.pixels, 65535 / (1 + np.exp(-4 * (RAMP - 2000.0) / 800)), atol=20)

    def test_the_first_of_several_windows_counts(self):
        several = read(dataset(WindowCenter=[1000, 3000], WindowWidth=[500, 100]))
        np.testing.assert_array_equal(several.pixels, read(dataset(WindowCenter=1000, WindowWidth=500)).pixels)

    def test_rescale_comes_before_the_window(self):
        image = read(dataset(RescaleSlope=2, RescaleIntercept=-100, WindowCenter=2000.5, WindowWidth=1001))
        np.testing.assert_allclose(image.pixels, stretched(RAMP * 2.0 - 100, 1500, 2500), atol=1)

    def test_a_negative_slope_turns_the_picture_around(self):
        image = read(dataset(RescaleSlope=-1, RescaleIntercept=4095))
        np.testing.assert_array_equal(image.pixels, stretched(4095 - RAMP, 0, 4095))

    def test_voi_lut(self):
        table = (np.arange(4096, dtype=np.uint32) ** 2 // 4095 * 16).clip(0, 65535).astype(np.uint16)
        item = Dataset()
        item.LUTDescriptor, item.LUTData = [4096, 0, 16], table.tobytes()
        item["LUTDescriptor"].VR, item["LUTData"].VR = "US", "OW"
        image = read(dataset(VOILUTSequence=Sequence([item])))
        np.testing.assert_array_equal(image.pixels, stretched(table[RAMP], table[0], table[-1]))

    @pytest.mark.parametrize("window", [(2000, 0), (60000, 10), (-9000, 2)])
    def test_a_window_that_shows_nothing_does_not_count(self, window):
        image = read(dataset(WindowCenter=window[0], WindowWidth=window[1]))
        np.testing.assert_array_equal(image.pixels, stretched(RAMP, 0, 4095))

    def test_monochrome1_is_inverted(self):
        plain = read(dataset(WindowCenter=1500, WindowWidth=900)).pixels
        turned = read(dataset(WindowCenter=1500, WindowWidth=900, PhotometricInterpretation="MONOCHROME1"))
        np.testing.assert_array_equal(turned.pixels, 65535 - plain)
        assert turned.photometric == "MONOCHROME1"

    def test_signed_values(self):
        signed = RAMP.astype(np.int16) - 2048
        np.testing.assert_array_equal(read(dataset(signed)).pixels, stretched(RAMP, 0, 4095))

    def test_bits_above_bits_stored_are_ignored(self):
        overlaid = RAMP | np.uint16(0x8000)
        np.testing.assert_array_equal(read(dataset(overlaid)).pixels, read(dataset()).pixels)

    def test_one_value_everywhere_is_black(self):
        assert not read(dataset(np.full((16, 16), 700, np.uint16))).pixels.any()


class TestPadding:
    PADDED = np.where(np.arange(40) < 5, 4000, RAMP // 4).astype(np.uint16)

    def test_padding_is_black_and_does_not_count_for_the_range(self):
        image = read(dataset(self.PADDED, PixelPaddingValue=4000)).pixels
        assert not image[:, :5].any()
        exposed = self.PADDED[:, 5:]
        np.testing.assert_array_equal(image[:, 5:], stretched(exposed, exposed.min(), exposed.max()))

    def test_padding_range(self):
        image = read(dataset(self.PADDED, PixelPaddingValue=3900, PixelPaddingRangeLimit=4095)).pixels
        assert not image[:, :5].any()

    def test_padding_is_black_under_monochrome1_too(self):
        image = read(dataset(self.PADDED, PixelPaddingValue=4000, PhotometricInterpretation="MONOCHROME1")).pixels
        assert not image[:, :5].any()
        assert image[0, 5] == 65535

    def test_signed_padding(self):
        signed = np.where(np.arange(40) < 5, -2000, RAMP // 4).astype(np.int16)
        made = dataset(signed, 16)
        made.add_new("PixelPaddingValue", "SS", -2000)
        image = read(made).pixels
        assert not image[:, :5].any()
        np.testing.assert_array_equal(image[:, 5:], stretched(signed[:, 5:], signed[0, 5], signed.max()))

    def test_nothing_but_padding(self):
        made = dataset(np.full((16, 16), 7, np.uint16), PixelPaddingValue=7)
        assert refusal(to_bytes(made)).reason == ProblemReason.NO_PIXELS


class TestCompression:
    @pytest.mark.parametrize(
        "syntax",
        [uid.RLELossless, uid.JPEGLSLossless, uid.JPEG2000Lossless],
        ids=lambda syntax: syntax.keyword,
    )
    @pytest.mark.parametrize("bits", [8, 12])
    def test_lossless_syntaxes_give_the_same_pixels(self, syntax, bits):
        pixels = RAMP if bits == 12 else (RAMP >> 4).astype(np.uint8)
        made = dataset(pixels, bits)
        expected = read(made).pixels
        made.compress(syntax)
        np.testing.assert_array_equal(read(made).pixels, expected)

    def test_jpeg_lossless_by_gdcm(self):
        """A colour capture of pydicom's, .70, beside its uncompressed-equivalent RLE twin."""
        lossless = read_image(Path(get_testdata_file("SC_rgb_jpeg_gdcm.dcm", download=False)), LIMITS)
        twin = read_image(Path(get_testdata_file("SC_rgb_rle.dcm", download=False)), LIMITS)
        np.testing.assert_array_equal(lossless.pixels, twin.pixels)

    def test_baseline_jpeg(self):
        from PIL import Image

        smooth = np.tile(np.linspace(10, 240, 64).astype(np.uint8), (64, 1))
        stream = BytesIO()
        Image.fromarray(smooth).save(stream, "JPEG", quality=95)
        made = dataset(smooth, 8)
        made.PixelData = encapsulate([stream.getvalue()])
        made["PixelData"].is_undefined_length = True
        made.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
        np.testing.assert_allclose(read(made).pixels.astype(int), smooth, atol=4)

    def test_12_bit_lossy_jpeg_names_the_extra(self):
        made = pydicom.dcmread(get_testdata_file("JPGExtended.dcm", download=False))
        made.Modality = "CR"
        error = refusal(to_bytes(made))
        assert error.reason == ProblemReason.NO_DECODER
        assert "cxr-audit[gpl-decoders]" in str(error)

    def test_video_has_no_decoder(self):
        made = dataset()
        made.compress(uid.RLELossless)
        made.file_meta.TransferSyntaxUID = uid.MPEG2MPML
        assert refusal(to_bytes(made)).reason == ProblemReason.NO_DECODER

    def test_a_frame_larger_than_the_header_says_is_not_decoded(self):
        for syntax in (uid.JPEGLSLossless, uid.JPEG2000Lossless):
            made = dataset(np.tile(RAMP, (4, 4)))
            made.compress(syntax)
            made.Rows, made.Columns = 32, 40
            error = refusal(to_bytes(made))
            assert "the header says 40 x 32 pixels, the compressed frame 160 x 128" in str(error)

    def test_deflated(self):
        made = dataset()
        made.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
        np.testing.assert_array_equal(read(made).pixels, read(dataset()).pixels)

    def test_a_deflated_bomb_is_not_inflated(self):
        made = dataset(np.zeros((1000, 1000), np.uint16))
        made.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian
        data = to_bytes(made)
        assert len(data) < 10_000
        error = refusal(data, ReadLimits(max_file_bytes=1_000_000))
        assert error.reason == ProblemReason.TOO_LARGE


class TestColour:
    def test_rgb_becomes_luma(self):
        colour = np.empty((16, 16, 3), np.uint8)
        colour[...] = (200, 100, 50)
        made = dataset(colour, 8, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)
        made.SOPClassUID, made.Modality = uid.SecondaryCaptureImageStorage, "OT"
        image = read(made)
        assert np.unique(image.pixels) == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
        assert image.photometric == "RGB"

    def test_ybr_agrees_with_rgb(self):
        rgb = read_image(Path(get_testdata_file("SC_rgb_dcmtk_+eb+cr.dcm", download=False)), LIMITS).pixels
        ybr = read_image(Path(get_testdata_file("SC_rgb_dcmtk_+eb+cy+np.dcm", download=False)), LIMITS).pixels
        # A test card of flat stripes: chroma subsampling can only touch their borders.
        assert np.mean(np.abs(rgb.astype(int) - ybr) <= 3) > 0.9

    def test_palette(self):
        made = pydicom.dcmread(get_testdata_file("examples_palette.dcm", download=False))
        made.SOPClassUID, made.Modality = uid.SecondaryCaptureImageStorage, "OT"
        image = read(made)
        colour = pydicom.pixels.apply_color_lut(made.pixel_array, made) / 65535
        np.testing.assert_allclose(image.pixels, colour @ [0.299, 0.587, 0.114] * 255, atol=0.51)


class TestAcceptance:
    @pytest.mark.parametrize(
        ("sop_class", "modality"),
        [
            (uid.ComputedRadiographyImageStorage, "CR"),
            (uid.DigitalXRayImageStorageForPresentation, "DX"),
            (uid.DigitalXRayImageStorageForProcessing, "DX"),
            (uid.SecondaryCaptureImageStorage, "CR"),
            (uid.SecondaryCaptureImageStorage, "OT"),
            (uid.SecondaryCaptureImageStorage, ""),
            (uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage, "OT"),
        ],
    )
    def test_radiographs_and_captures_of_them(self, sop_class, modality):
        assert read(dataset(SOPClassUID=sop_class, Modality=modality)).modality == (modality or None)

    @pytest.mark.parametrize(
        ("sop_class", "modality", "named"),
        [
            (uid.CTImageStorage, "CT", "CT Image Storage"),
            (uid.MRImageStorage, "MR", "MR Image Storage"),
            (uid.UltrasoundImageStorage, "US", "Ultrasound Image Storage"),
            (uid.SecondaryCaptureImageStorage, "CT", "modality CT"),
            (uid.ComputedRadiographyImageStorage, "MG", "modality MG"),
            (uid.EncapsulatedPDFStorage, "DOC", "Encapsulated PDF Storage"),
        ],
    )
    def test_other_objects_are_refused_by_name(self, sop_class, modality, named):
        error = refusal(to_bytes(dataset(SOPClassUID=sop_class, Modality=modality)))
        assert error.reason == ProblemReason.NOT_A_RADIOGRAPH
        assert named in str(error)

    def test_several_frames_are_refused(self):
        made = dataset(np.concatenate([RAMP, RAMP]), NumberOfFrames=2, Rows=32)
        assert refusal(to_bytes(made)).reason == ProblemReason.MULTI_FRAME

    def test_no_pixel_data(self):
        made = dataset()
        del made.PixelData
        assert refusal(to_bytes(made)).reason == ProblemReason.NO_PIXELS

    def test_huge_header_is_refused_before_decoding(self):
        error = refusal(to_bytes(dataset(Rows=20_000, Columns=20_000)), ReadLimits())
        assert error.reason == ProblemReason.TOO_LARGE

    def test_more_than_16_bits_are_refused(self):
        made = dataset(RAMP.astype(np.uint32), 32)
        assert refusal(to_bytes(made)).reason == ProblemReason.UNSUPPORTED_FORMAT

    def test_truncated_native(self):
        assert refusal(to_bytes(dataset())[:-500]).reason == ProblemReason.TRUNCATED

    def test_truncated_encapsulated(self):
        made = dataset()
        made.compress(uid.RLELossless)
        assert refusal(to_bytes(made)[:-300]).reason == ProblemReason.TRUNCATED

    def test_without_preamble_and_file_meta(self):
        for syntax in (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian):
            made = dataset()
            made.file_meta.TransferSyntaxUID = syntax
            stream = BytesIO()
            pydicom.dcmwrite(stream, made, enforce_file_format=False, **_bare(made, syntax))
            data = stream.getvalue()
            assert data[128:132] != b"DICM"
            np.testing.assert_array_equal(read_bytes(data, LIMITS).pixels, read(dataset()).pixels)

    def test_garbage_behind_a_dicom_mark(self):
        noise = np.random.default_rng(1).integers(0, 256, 5000).astype(np.uint8).tobytes()
        assert refusal(bytes(128) + b"DICM" + noise).reason in {ProblemReason.UNREADABLE, ProblemReason.NO_PIXELS}

    def test_no_single_corrupted_byte_ends_in_another_error(self):
        """Every byte of a small header flipped in turn: the file reads or is refused, nothing else."""
        data = to_bytes(dataset(RAMP[:8, :8].copy()))
        outcomes = {"read": 0, "refused": 0}
        for at in range(132, len(data) - 128):
            damaged = data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]
            try:
                read_bytes(damaged, LIMITS)
                outcomes["read"] += 1
            except ImageReadError:
                outcomes["refused"] += 1
        assert min(outcomes.values()) > 0


class TestFacts:
    def test_facts_are_brought_to_one_spelling(self):
        made = dataset(
            ViewPosition="pa",
            PatientSex="F",
            PatientAge="006M",
            Manufacturer="Acme",
            BurnedInAnnotation="YES",
            StudyInstanceUID="1.2.3",
        )
        image = read(made)
        assert (image.view, image.sex, image.age) == ("PA", "F", 0.5)
        assert (image.manufacturer, image.burned_in_annotation, image.modality) == ("Acme", "YES", "DX")

    def test_unknown_is_none(self):
        image = read(dataset(PatientID="", PatientAge="", Manufacturer=""))
        assert (image.patient_id, image.study_id, image.age, image.manufacturer, image.view) == (None,) * 5

    def test_ids_are_salted_hashes(self):
        data = to_bytes(dataset(StudyInstanceUID="1.2.3"))
        here, there = read_bytes(data, LIMITS, salt="a"), read_bytes(data, LIMITS, salt="b")
        assert here.patient_id == read_bytes(data, LIMITS, salt="a").patient_id != there.patient_id
        assert len(here.patient_id) == 16
        assert "12345" not in f"{here.patient_id}{here.study_id}"

    def test_no_identity_reaches_logs_warnings_or_errors(self, caplog):
        with pydicom.config.disable_value_validation():
            data = to_bytes(dataset(PatientID="12345" * 20, PatientAge="Doe"))
        caplog.set_level(logging.DEBUG)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            read_bytes(data, LIMITS)
            error = refusal(data[:-900])
        assert not caught
        assert "Doe" not in caplog.text + str(error)
        assert "12345" not in caplog.text + str(error)

    def test_header_agrees_with_what_is_read(self):
        data = to_bytes(dataset())
        header, image = read_header(data, LIMITS), read_bytes(data, LIMITS)
        assert (header.height, header.width) == image.pixels.shape
        assert (header.bits, header.dtype) == (image.bits, image.pixels.dtype)


def _bare(made: Dataset, syntax: uid.UID) -> dict:
    """Arguments of dcmwrite for a data set alone, as some old archives hold it."""
    del made.file_meta
    return {"implicit_vr": syntax.is_implicit_VR, "little_endian": True}
