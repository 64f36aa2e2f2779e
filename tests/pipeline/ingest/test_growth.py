"""A data set that grows: known files are not decoded again, patients keep their splits, nobody leaks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset

from pipeline.artifacts import read_parquet
from pipeline.config import IngestConfig
from pipeline.dataset import DatasetVersion
from pipeline.ingest import Manifest, SourceRows, ingest, sacrifice
from pipeline.ingest.sources import PROBLEM_COLUMNS, ROW_COLUMNS

CONFIG = IngestConfig(store_size=64, min_side=16, max_pixels=1_000_000, max_file_bytes=2_000_000)
CLASSES = ("covid", "other")


@dataclass
class Folder:
    """A data root that changes from night to night, and the table that lists it."""

    root: Path
    workspace: Path
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, path: str, data: np.ndarray | bytes, label: str = "covid", **facts: Any) -> None:
        self.root.mkdir(exist_ok=True)
        (self.root / path).write_bytes(png(data) if isinstance(data, np.ndarray) else data)
        source = {"label_raw": label, "source": "clinic", "dataset": "study", "licence": "CC0-1.0"}
        self.rows[path] = {"path": path, "label": label, **source, **facts}

    def drop(self, path: str) -> dict[str, Any]:
        (self.root / path).unlink()
        return self.rows.pop(path)

    def ingest(self, previous: DatasetVersion | None = None, workspace: str = "datasets") -> DatasetVersion:
        rows = pd.DataFrame(sorted(self.rows.values(), key=lambda row: row["path"]), columns=list(ROW_COLUMNS))
        none = pd.DataFrame(columns=list(PROBLEM_COLUMNS)).astype(PROBLEM_COLUMNS)
        listed = SourceRows(rows.astype(ROW_COLUMNS), none)
        place = self.workspace / workspace
        return ingest(manifest(), listed, self.root, place, CONFIG, 0, previous=previous)


def manifest() -> Manifest:
    sources = [{"name": "clinic", "layout": "folders"}]
    values = {"name": "study", "title": "A study", "licence": "CC0-1.0", "positive": "covid"}
    return Manifest.from_bytes(b"name: study\n", {**values, "classes": CLASSES, "sources": sources})


def png(pixels: np.ndarray) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def dicom(pixels: np.ndarray, **tags: Any) -> bytes:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID, made.Modality = uid.ComputedRadiographyImageStorage, "1.2.3", "CR"
    made.Rows, made.Columns = pixels.shape
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelData = 8, 8, 7, pixels.tobytes()
    for name, value in tags.items():
        setattr(made, name, value)
    stream = BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path, picture: Callable[..., np.ndarray]) -> Folder:
    """Twenty pictures, ten a class, each of another patient."""
    made = Folder(tmp_path / "data", tmp_path)
    for number in range(20):
        made.add(f"{number:02d}.png", picture(number), CLASSES[number % 2], patient_id=f"clinic:{number}")
    return made


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the files that were decoded, in order."""
    paths: list[str] = []
    decode = sacrifice.decode

    def spy(path: str, *given: Any, **options: Any) -> Any:
        paths.append(path)
        return decode(path, *given, **options)

    monkeypatch.setattr(sacrifice, "decode", spy)
    return paths


def split_of(version: DatasetVersion, paths: Iterable[str] | None = None) -> dict[str, str]:
    splits = dict(zip(version.images["path"], version.images["split"], strict=True))
    return splits if paths is None else {path: splits[path] for path in paths}


def in_split(version: DatasetVersion, split: str) -> str:
    return next(path for path, each in split_of(version).items() if each == split)


def test_only_new_and_changed_files_are_decoded(
    folder: Folder, decoded: list[str], picture: Callable[..., np.ndarray]
) -> None:
    first = folder.ingest()
    decoded.clear()
    folder.add("new.png", picture(100), patient_id="clinic:100")
    folder.add("03.png", picture(101), "other", patient_id="clinic:3")
    folder.drop("04.png")
    (folder.root / "05.png").rename(folder.root / "renamed.png")
    folder.rows["renamed.png"] = {**folder.rows.pop("05.png"), "path": "renamed.png"}

    grown = folder.ingest(first)

    assert decoded == ["03.png", "new.png"]
    whole = folder.ingest(workspace="whole")
    assert grown.path.name != whole.path.name
    pd.testing.assert_frame_equal(grown.images.drop(columns="split"), whole.images.drop(columns="split"))
    np.testing.assert_array_equal(grown.pixels(range(len(grown))), whole.pixels(range(len(whole))))
    kept = [path for path in split_of(first) if path not in ("03.png", "04.png", "05.png")]
    assert split_of(grown, kept) == split_of(first, kept)
    assert split_of(grown)["renamed.png"] == split_of(first)["05.png"]
    assert split_of(grown)["03.png"] == split_of(first)["03.png"], "the patient is known"


def test_nothing_new_is_the_same_version(folder: Folder, decoded: list[str]) -> None:
    first = folder.ingest()
    decoded.clear()
    assert folder.ingest(first).path == first.path
    assert decoded == []


def test_what_files_say_of_themselves_is_taken_over(
    folder: Folder, decoded: list[str], picture: Callable[..., np.ndarray]
) -> None:
    said = {"PatientID": "7", "PatientSex": "F", "ViewPosition": "PA"}
    folder.add("a.dcm", dicom(picture(50), **said), sex="M", view="AP")
    first = folder.ingest()
    decoded.clear()
    del folder.rows["a.dcm"]["sex"], folder.rows["a.dcm"]["view"]  # the table does not overrule the file any more
    grown = folder.ingest(first)
    assert decoded == []
    whole = folder.ingest(workspace="whole").images.set_index("path").loc["a.dcm"]
    taken = grown.images.set_index("path").loc["a.dcm"]
    assert (taken["sex"], taken["view"], taken["view_source"]) == ("F", "PA", "dicom")
    assert taken.drop("split").equals(whole.drop("split"))


def test_the_fractions_hold_while_a_data_set_grows_patient_by_patient(
    folder: Folder, picture: Callable[..., np.ndarray]
) -> None:
    version = folder.ingest()
    for night in range(4):
        before = split_of(version)
        for number in range(10):
            name = f"n{night}{number}"
            label = CLASSES[number % 2]
            folder.add(f"{name}.png", picture(1000 + 10 * night + number), label, patient_id=f"clinic:{name}")
        version = folder.ingest(version)
        assert split_of(version, before) == before
    counts = version.images.groupby(["label", "split"]).size()
    for label in CLASSES:
        assert counts[label].to_dict() == {"test": 6, "train": 20, "val": 4}  # 20 % and 15 % of 30


def test_new_images_of_a_known_patient_join_the_patient(folder: Folder, picture: Callable[..., np.ndarray]) -> None:
    first = folder.ingest()
    for split in ("train", "val", "test"):
        row = folder.rows[in_split(first, split)]
        folder.add(f"more-{split}.png", picture(200 + len(split)), row["label"], patient_id=row["patient_id"])
    grown = folder.ingest(first)
    assert split_of(grown, ["more-train.png", "more-val.png", "more-test.png"]) == {
        "more-train.png": "train",
        "more-val.png": "val",
        "more-test.png": "test",
    }


@pytest.mark.parametrize(("one", "other", "wanted"), [("test", "train", "train"), ("test", "val", "val")])
def test_what_a_new_copy_ties_together_goes_nearest_to_training(
    folder: Folder, one: str, other: str, wanted: str
) -> None:
    """A patient's new image is a picture of another patient: whoever learnt from one of them has seen both."""
    first = folder.ingest()
    held, seen = in_split(first, one), in_split(first, other)
    again = np.asarray(Image.open(folder.root / seen))
    copy = np.asarray(Image.fromarray(again).resize((again.shape[1] * 2, again.shape[0] * 2)))
    folder.add("tie.png", copy, folder.rows[seen]["label"], patient_id=folder.rows[held]["patient_id"])
    grown = folder.ingest(first)
    assert split_of(grown, [held, seen, "tie.png"]) == dict.fromkeys([held, seen, "tie.png"], wanted)


def test_who_comes_back_returns_to_the_old_split(folder: Folder) -> None:
    first = folder.ingest()
    chosen = [path for path, split in split_of(first).items() if split == "train"][:6]
    data = {path: (folder.root / path).read_bytes() for path in chosen}
    rows = {path: folder.drop(path) for path in chosen}
    without = folder.ingest(first)
    assert set(read_parquet(without.path / "gone.parquet")["split"]) == {"train"}
    for path in chosen:
        folder.add(path, data[path], **{name: rows[path][name] for name in ("label", "patient_id")})
    back = folder.ingest(without)
    assert split_of(back) == split_of(first)
    assert len(read_parquet(back.path / "gone.parquet")) == 0


def test_another_picture_of_who_vanished_returns_to_the_old_split(
    folder: Folder, picture: Callable[..., np.ndarray]
) -> None:
    """Rescaled, so that file and pixels are new ones, and without the patient's id; two nights later."""
    first = folder.ingest()
    chosen = [path for path, split in split_of(first).items() if split == "train"][:6]
    pixels = {path: np.asarray(Image.open(folder.root / path)) for path in chosen}
    rows = {path: folder.drop(path) for path in chosen}
    without = folder.ingest(first)
    folder.add("night.png", picture(400), patient_id="clinic:night")
    without = folder.ingest(without)
    for path in chosen:
        larger = Image.fromarray(pixels[path]).resize((pixels[path].shape[1] * 2, pixels[path].shape[0] * 2))
        folder.add(f"again-{path}", np.asarray(larger), rows[path]["label"])
    for number in range(20):
        folder.add(f"more-{number}.png", picture(300 + number), CLASSES[number % 2], patient_id=f"clinic:m{number}")
    back = folder.ingest(without)
    again = [f"again-{path}" for path in chosen]
    assert split_of(back, again) == dict.fromkeys(again, "train")
    more = {split_of(back)[f"more-{number}.png"] for number in range(20)}
    assert more == {"train", "val", "test"}, "nobody else is taken for one who vanished"


def test_what_was_learnt_from_cannot_be_held_out_later(folder: Folder, picture: Callable[..., np.ndarray]) -> None:
    first = folder.ingest()
    learnt = in_split(first, "train")
    row = folder.rows[learnt]
    folder.add("held.png", picture(77), row["label"], patient_id=row["patient_id"], split="other_source")
    grown = folder.ingest(first)
    problems = read_parquet(grown.path / "problems.parquet").set_index("path")
    assert problems.loc["held.png", "reason"] == "duplicate"
    assert "was in train in an earlier audit" in problems.loc["held.png", "detail"]
    assert split_of(grown)[learnt] == "train"


def test_another_pixel_type_decodes_everything_again(
    folder: Folder, decoded: list[str], picture: Callable[..., np.ndarray]
) -> None:
    first = folder.ingest()
    decoded.clear()
    folder.add("deep.png", picture(60).astype(np.uint16) * 257, patient_id="clinic:deep")
    grown = folder.ingest(first)
    assert len(decoded) == 21
    assert grown.meta.dtype == "uint16"
    assert split_of(grown, split_of(first)) == split_of(first)
