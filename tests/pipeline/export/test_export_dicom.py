"""Cleansed DICOM against the source: what must change does, what must not does not; read by other programs too."""

import shutil
import subprocess
from collections import Counter
from io import BytesIO
from pathlib import Path

import gdcm
import numpy as np
import pydicom
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from pipeline.errors import InputError
from pipeline.export.dicom import cleansed_bytes
from pipeline.export.dicom_pixels import TRANSFER_SYNTAXES, transfer_syntax
from pipeline.export.images import Painting, Refused
from tests.pipeline.export.films import HEIGHT, MARK, WIDTH, an_image, radiograph, slope, to_bytes

HOW = Painting()


def cleansed(made: Dataset, syntax: str = "explicit", origin: str = "o", **facts) -> tuple[bytes, Dataset]:
    data = to_bytes(made)
    written = cleansed_bytes(data, an_image(data=data, **facts), how=HOW, syntax=transfer_syntax(syntax), origin=origin)
    return written, pydicom.dcmread(BytesIO(written))


def gdcm_pixels(data: bytes, folder: Path, dtype: np.dtype, bits: int) -> np.ndarray:
    """Stored values as GDCM reads them; it leaves it to the caller to extend the sign from the bits that are stored."""
    (folder / "read.dcm").write_bytes(data)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(folder / "read.dcm"))
    assert reader.Read()
    image = reader.GetImage()
    values = np.frombuffer(image.GetBuffer().encode("utf-8", "surrogateescape"), dtype).reshape(HEIGHT, WIDTH)
    spare = dtype.itemsize * 8 - bits
    return (values << spare) >> spare


STORED = {
    "8 bits": (slope(255).astype("u1"), 8),
    "12 bits": (slope(4095).astype("<u2"), 12),
    "16 bits": (slope(65535).astype("<u2"), 16),
    "12 bits signed": ((slope(4095) - 2048).astype("<i2"), 12),
    "16 bits signed": ((slope(65535) - 32768).astype("<i2"), 16),
}


@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
@pytest.mark.parametrize("depth", STORED)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_only_the_mark_changes_in_every_depth_and_syntax(
    syntax: str, depth: str, photometric: str, tmp_path: Path
) -> None:
    stored, bits = STORED[depth]
    source = radiograph(stored, bits, PhotometricInterpretation=photometric)
    data, made = cleansed(source, syntax)
    mask = an_image().mask()
    pixels = made.pixel_array
    np.testing.assert_array_equal(pixels[~mask], stored[~mask])
    ground = stored[~mask].astype(float)
    assert ground.min() <= pixels[mask].min()
    assert pixels[mask].max() <= ground.max()
    around = stored[MARK[0].start - 3, MARK[1]].astype(float).mean()
    assert abs(pixels[MARK].mean() - around) < 0.05 * (ground.max() - ground.min())
    np.testing.assert_array_equal(gdcm_pixels(data, tmp_path, stored.dtype, bits), pixels)
    kept = ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "WindowCenter", "WindowWidth")
    assert [made[name].value for name in kept] == [source[name].value for name in kept]
    assert made.PhotometricInterpretation == photometric
    assert made.file_meta.TransferSyntaxUID == TRANSFER_SYNTAXES[syntax]


def test_it_says_what_it_is_and_what_it_was_made_from() -> None:
    source = radiograph(DerivationDescription="resampled")
    made = cleansed(source)[1]
    assert list(made.ImageType) == ["DERIVED", "SECONDARY", ""]
    assert made.SOPInstanceUID != source.SOPInstanceUID
    assert made.SeriesInstanceUID != source.SeriesInstanceUID
    assert made.StudyInstanceUID == source.StudyInstanceUID
    assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID
    (reference,) = made.SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert reference.ReferencedSOPClassUID == source.SOPClassUID
    assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    (equipment,) = made.ContributingEquipmentSequence
    assert equipment.ManufacturerModelName == "cxr-audit"
    assert equipment.PurposeOfReferenceCodeSequence[0].CodeValue == "109103"
    assert made.DerivationDescription.startswith("resampled; ")
    assert "removed: 1 side; filled by telea" in made.DerivationDescription
    assert made.PatientName == "Doe^Jane"


def test_equal_requests_give_equal_bytes_and_others_other_instances() -> None:
    data, made = cleansed(radiograph())
    assert cleansed(radiograph())[0] == data
    other = cleansed(radiograph(), origin="another plan")[1]
    assert len({made.SOPInstanceUID, other.SOPInstanceUID}) == 2
    assert len({made.SeriesInstanceUID, other.SeriesInstanceUID}) == 2


def test_what_described_or_signed_the_old_pixels_is_gone() -> None:
    icon = Dataset()
    icon.Rows = icon.Columns = 1
    stale = {
        "IconImageSequence": Sequence([icon]),
        "InstanceCreationDate": "20200102",
        "DigitalSignaturesSequence": Sequence([Dataset()]),
    }
    source = radiograph(**stale)
    source.add_new("LargestImagePixelValue", "US", 4095)
    made = cleansed(source)[1]
    assert not [name for name in (*stale, "LargestImagePixelValue") if name in made]


class TestBurnedInAnnotation:
    def test_stays_without_review_and_clean_second_look(self) -> None:
        assert cleansed(radiograph())[1].BurnedInAnnotation == "YES"
        source = radiograph()
        del source.BurnedInAnnotation
        assert "BurnedInAnnotation" not in cleansed(source)[1]

    def test_no_after_both(self) -> None:
        made = cleansed(radiograph(), cleared=True)[1]
        assert made.BurnedInAnnotation == "NO"
        assert "DeidentificationMethodCodeSequence" not in made

    def test_method_only_beside_a_cleaned_header(self) -> None:
        basic = Dataset()
        basic.CodeValue, basic.CodingSchemeDesignator, basic.CodeMeaning = "113100", "DCM", "Basic"
        header = {"PatientIdentityRemoved": "YES", "DeidentificationMethodCodeSequence": Sequence([basic])}
        made = cleansed(radiograph(**header), cleared=True)[1]
        assert [item.CodeValue for item in made.DeidentificationMethodCodeSequence] == ["113100", "113101"]
        assert len(cleansed(radiograph(**header))[1].DeidentificationMethodCodeSequence) == 1


def jpeg(grey: np.ndarray) -> bytes:
    from PIL import Image

    stream = BytesIO()
    Image.fromarray(grey).save(stream, format="JPEG", quality=95)
    return stream.getvalue()


class TestLossyHistory:
    def test_is_kept(self) -> None:
        source = radiograph(LossyImageCompression="01", LossyImageCompressionRatio="12")
        made = cleansed(source)[1]
        assert (made.LossyImageCompression, made.LossyImageCompressionRatio) == ("01", 12)

    def test_is_remembered_where_the_header_does_not_mention_it(self) -> None:
        grey = slope(255).astype("u1")
        frame = jpeg(grey)
        source = radiograph(grey, 8)
        del source.LossyImageCompression
        source.PixelData = encapsulate([frame])
        source["PixelData"].is_undefined_length = True
        source.file_meta.TransferSyntaxUID = uid.JPEGBaseline8Bit
        made = cleansed(source)[1]
        assert (made.LossyImageCompression, made.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
        assert float(made.LossyImageCompressionRatio) == pytest.approx(grey.size / len(frame), rel=0.02)


@pytest.mark.parametrize(
    "syntax", [uid.ImplicitVRLittleEndian, uid.DeflatedExplicitVRLittleEndian, *TRANSFER_SYNTAXES.values()]
)
def test_every_lossless_input_gives_the_same_pixels(syntax: uid.UID) -> None:
    source = radiograph()
    if syntax.is_compressed and not syntax.is_deflated:
        source.compress(syntax, generate_instance_uid=False)
    else:
        source.file_meta.TransferSyntaxUID = syntax
    np.testing.assert_array_equal(cleansed(source)[1].pixel_array, cleansed(radiograph())[1].pixel_array)


def test_padding_is_respected_in_the_file() -> None:
    stored = slope(4095).astype("<u2")
    stored[:, :8] = 4095
    source = radiograph(stored)
    source.add_new("PixelPaddingValue", "US", 4095)
    made = cleansed(source)[1]
    assert (made.pixel_array[:, :8] == 4095).all()
    assert made.pixel_array[an_image().mask()].max() < 4095


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "palette"),
        ({"BitsAllocated": 12}, "12 bits"),
        ({"SOPInstanceUID": ""}, "no SOP class and instance"),
    ],
)
def test_what_cannot_be_filled_is_refused_by_name(tags: dict[str, object], reason: str) -> None:
    source = radiograph()
    for name, value in tags.items():
        setattr(source, name, value)
    stream = BytesIO()
    pydicom.dcmwrite(stream, source)
    data = stream.getvalue()
    with pytest.raises(Refused, match=reason):
        cleansed_bytes(data, an_image(data=data), how=HOW, syntax=uid.ExplicitVRLittleEndian, origin="o")


def test_unknown_syntax_is_named() -> None:
    with pytest.raises(InputError, match="Did you mean 'jpeg-ls'"):
        transfer_syntax("jpegls")


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dciodvfy (Debian package dicom3tools)")
@pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
def test_dciodvfy_finds_no_fault_that_the_source_has_not(syntax: str, tmp_path: Path) -> None:
    source = radiograph(PatientIdentityRemoved="YES", DeidentificationMethod="headers cleaned")
    faults = [verified(data, tmp_path) for data in (to_bytes(source), cleansed(source, syntax, cleared=True)[0])]
    assert faults[0] == Counter()
    assert faults[1] == Counter()


def verified(data: bytes, folder: Path) -> Counter[str]:
    """Errors that an independent reader reports; it must also have recognised the object."""
    path = folder / "image.dcm"
    path.write_bytes(data)
    found = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False).stderr
    assert "DXImageForPresentation" in found
    return Counter(line for line in found.splitlines() if line.startswith("Error"))
