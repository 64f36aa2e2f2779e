"""From rows to a dataset version: what is stored, what is refused, and what happens when something goes wrong."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset

from pipeline.artifacts import read_json, read_parquet, sha256_tree
from pipeline.config import IngestConfig
from pipeline.dataset import IMAGE_COLUMNS, DatasetVersion
from pipeline.errors import EmptyResultError, InputError, IntegrityError, StorageError
from pipeline.ingest import Manifest, SourceRows, data_quality, ingest
from pipeline.ingest.decode import image_id
from pipeline.ingest.sources import PROBLEM_COLUMNS, ROW_COLUMNS
from pipeline.spread import processes

CONFIG = IngestConfig(store_size=64, min_side=16, max_pixels=1_000_000, max_file_bytes=2_000_000)
CLASSES = ("covid", "other")


@dataclass
class Study:
    """A data root with pictures, and the rows that list them."""

    root: Path
    workspace: Path
    rows: list[dict[str, Any]]
    problems: list[dict[str, Any]]

    def add(self, path: str, data: bytes | np.ndarray | None = None, label: str = "covid", **facts: Any) -> None:
        """List a file, and write it when its bytes or pixels are given."""
        if data is not None:
            place = self.root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(png(data) if isinstance(data, np.ndarray) else data)
        self.rows.append({"path": path, "label": label, "label_raw": label, "source": "clinic", **facts})

    def source_rows(self) -> SourceRows:
        rows = pd.DataFrame(self.rows, columns=list(ROW_COLUMNS)).astype(ROW_COLUMNS)
        rows["dataset"], rows["licence"] = "study", "CC0-1.0"
        problems = pd.DataFrame(self.problems, columns=list(PROBLEM_COLUMNS)).astype(PROBLEM_COLUMNS)
        return SourceRows(rows, problems)

    def ingest(self, config: IngestConfig = CONFIG, seed: int = 0, **options: Any) -> DatasetVersion:
        return ingest(manifest(), self.source_rows(), self.root, self.workspace, config, seed, **options)


def manifest() -> Manifest:
    values = {
        "name": "study",
        "title": "A study",
        "licence": "CC0-1.0",
        "classes": CLASSES,
        "positive": "covid",
        "sources": [{"name": "clinic", "layout": "folders"}],
    }
    return Manifest.from_bytes(b"name: study\n", values)


def png(pixels: np.ndarray) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def dicom(pixels: np.ndarray | None, **tags: Any) -> bytes:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = uid.ComputedRadiographyImageStorage, "1.2.3"
    made.Modality, made.PatientName = "CR", "Doe^Jane"
    if pixels is not None:
        made.Rows, made.Columns = pixels.shape
        made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
        made.BitsAllocated = pixels.dtype.itemsize * 8
        made.BitsStored, made.HighBit = made.BitsAllocated, made.BitsAllocated - 1
        made.PixelData = pixels.tobytes()
    for name, value in tags.items():
        setattr(made, name, value)
    stream = BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@pytest.fixture
def study(tmp_path: Path, picture: Callable[..., np.ndarray]) -> Study:
    """Twelve pictures, six a class, each of another patient."""
    made = Study(tmp_path / "data", tmp_path / "datasets", [], [])
    for number in range(12):
        pixels = picture(number, width=80 + number, height=100)
        made.add(f"{number:02d}.png", pixels, CLASSES[number % 2], patient_id=f"clinic:{number}")
    return made


def problems_of(dataset: DatasetVersion) -> dict[str, str]:
    table = read_parquet(dataset.path / "problems.parquet")
    return dict(zip(table["path"], table["reason"], strict=True))


class TestStore:
    def test_pixels_are_the_letterboxed_originals(self, study, picture):
        dataset = study.ingest()
        assert len(dataset) == 12
        row = dataset.images["path"].tolist().index("03.png")
        original = picture(3, width=83, height=100)
        # 83 x 100 at 64/100: 53 x 64, (64 - 53) // 2 = 5 columns of black on the left
        expected = np.zeros((64, 64), np.uint8)
        expected[:, 5:58] = cv2.resize(original, (53, 64), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(dataset.pixels([row])[0], expected)
        transform = dataset.transform(row)
        assert (transform.scale, transform.pad_x, transform.pad_y) == (0.64, 5, 0)
        assert (transform.width, transform.height) == (83, 100)
        assert dataset.images["image_id"][row] == image_id(original)

    def test_the_table_has_every_column_and_unknown_is_null(self, study):
        images = study.ingest().images
        assert list(images) == list(IMAGE_COLUMNS)
        assert images[["view", "sex", "age", "modality", "manufacturer", "duplicate_group"]].isna().all(axis=None)
        assert images[["image_id", "path", "file_sha256", "phash", "split", "scale"]].notna().all(axis=None)

    def test_meta_and_manifest_travel_along(self, study):
        dataset = study.ingest()
        assert (dataset.meta.name, dataset.meta.classes, dataset.meta.positive) == ("study", CLASSES, "covid")
        assert (dataset.path / "manifest.yaml").read_text() == "name: study\n"
        assert dataset.path == study.workspace / "study" / dataset.meta.version

    def test_one_deep_image_makes_the_store_deep(self, study, picture):
        shallow = study.ingest()
        study.add("deep.png", picture(50).astype(np.uint16) * 100)
        deep = study.ingest()
        assert (shallow.meta.dtype, deep.meta.dtype) == ("uint8", "uint16")
        rows = {path: row for row, path in enumerate(deep.images["path"])}
        np.testing.assert_array_equal(deep.pixels([rows["00.png"]]), shallow.pixels([0]).astype(np.uint16) * 257)
        assert deep.pixels([rows["deep.png"]]).max() <= 25_500

    def test_dicom_facts_complete_the_rows(self, study, picture):
        facts = {"PatientID": "77", "ViewPosition": "AP", "PatientSex": "F", "PatientAge": "033Y"}
        study.add("a.dcm", dicom(picture(60), Manufacturer="Acme", **facts))
        study.add("b.dcm", dicom(picture(61), **facts), view="PA", view_source="table", sex="M", age=20.0)
        images = study.ingest().images.set_index("path")
        a, b = images.loc["a.dcm"], images.loc["b.dcm"]
        assert (a["view"], a["view_source"], a["sex"], a["age"]) == ("AP", "dicom", "F", 33.0)
        assert (b["view"], b["view_source"], b["sex"], b["age"]) == ("PA", "table", "M", 20.0)
        assert (a["manufacturer"], a["modality"], a["file_format"]) == ("Acme", "CR", "DICOM")
        assert a["patient_id"] == b["patient_id"]
        assert a["patient_id"].startswith("clinic:")
        assert "77" not in a["patient_id"].removeprefix("clinic:")[:2]
        assert a["split"] == b["split"]


def bad_files(picture: Callable[..., np.ndarray]) -> dict[str, tuple[bytes | None, str]]:
    """Name -> (content, reason it must be refused for)."""
    stream = BytesIO()
    Image.fromarray(picture(90)).save(stream, "JPEG")
    header = bytearray(png(np.zeros((16, 16), np.uint8)))
    header[16:24] = (20_000).to_bytes(4, "big") * 2
    header[29:33] = zlib.crc32(bytes(header[12:29])).to_bytes(4, "big")
    return {
        "missing.png": (None, "missing-file"),
        "truncated.jpg": (stream.getvalue()[:800], "truncated"),
        "zero-byte.dcm": (b"", "empty-file"),
        "no-pixels.dcm": (dicom(None), "no-pixels"),
        "ct.dcm": (dicom(picture(91), SOPClassUID=uid.CTImageStorage, Modality="CT"), "not-a-radiograph"),
        "one-pixel.png": (png(np.zeros((1, 1), np.uint8)), "too-small"),
        "20000x20000.png": (bytes(header), "too-large"),
        "heavy.png": (b"\x89PNG\r\n\x1a\n" + bytes(2_000_000), "too-large"),
        "page.png": (b"<html>404</html>", "unsupported-format"),
        "../outside.png": (None, "outside-data-root"),
    }


class TestRefusals:
    def test_each_bad_file_is_a_problem_with_its_reason_and_all_rows_are_accounted_for(self, study, picture):
        expected = bad_files(picture)
        for path, (data, _) in expected.items():
            study.add(path, data)
        (study.root.parent / "outside.png").write_bytes(png(picture(92)))
        (study.root / "link.png").symlink_to(study.root.parent / "outside.png")
        study.add("link.png")
        study.add("colour.png", np.stack([picture(93)] * 3, axis=-1))
        study.problems.append({"path": "ct/1.png", "reason": "excluded-by-manifest", "detail": "label 'CT'"})
        dataset = study.ingest()
        assert problems_of(dataset) == {
            **{path: reason for path, (_, reason) in expected.items()},
            "link.png": "outside-data-root",
            "ct/1.png": "excluded-by-manifest",
        }
        assert "colour.png" in set(dataset.images["path"])
        counts = read_json(dataset.path / "lineage.json")["counts"]
        assert counts == {"rows_in": len(study.rows) + 1, "kept": 13, "problems": 12}

    def test_copies_are_dealt_with(self, study, picture):
        near = cv2.resize(picture(0, width=80, height=100), (160, 200), interpolation=cv2.INTER_CUBIC)
        study.add("again.png", picture(0, width=80, height=100))
        study.add("larger.png", near)
        study.add("conflict.png", picture(2, width=82, height=100), "other")
        dataset = study.ingest()
        assert problems_of(dataset) == {
            "again.png": "duplicate",
            "02.png": "conflicting-label",
            "conflict.png": "conflicting-label",
        }
        images = dataset.images.set_index("path")
        assert images.loc["larger.png", "duplicate_group"] == images.loc["00.png", "duplicate_group"]
        assert images.loc["larger.png", "split"] == images.loc["00.png", "split"]
        assert images["duplicate_group"].notna().sum() == 2

    def test_nothing_usable_is_an_error_that_says_why(self, study):
        for path in study.root.iterdir():
            path.write_bytes(b"")
        with pytest.raises(EmptyResultError, match=r"12 empty-file \(such as 00.png: 0 bytes"):
            study.ingest()

    def test_an_unreadable_class_is_an_error_that_says_why(self, study):
        for number in range(1, 12, 2):
            (study.root / f"{number:02d}.png").unlink()
        with pytest.raises(InputError, match=r"class 'other'.*6 missing-file \(such as 01.png: no such file"):
            study.ingest()

    def test_a_patient_pinned_to_two_splits_is_an_error(self, study):
        for number, split in ((0, "train"), (2, "test")):
            study.rows[number] |= {"patient_id": "clinic:ANON191", "split": split}
        with pytest.raises(InputError, match=r"1 patients .* are pinned to more than one of test, train") as refused:
            study.ingest()
        assert "ANON191" not in str(refused.value)  # it ends up in logs of others

    def test_a_file_that_changes_meanwhile_is_noticed(self, study, picture):
        def meddle(stage: str, done: int, total: int) -> None:
            if stage == "hash files" and done == total:
                (study.root / "04.png").write_bytes(png(picture(70)))

        with pytest.raises(IntegrityError, match=r"04.png changed while it was being ingested"):
            study.ingest(progress=meddle)

    def test_a_shard_of_refusals_only(self, study, monkeypatch):
        monkeypatch.setattr("pipeline.ingest.shards.FILES", 2)
        noise = png(np.random.default_rng(0).integers(0, 256, (60, 60)).astype(np.uint8))
        for name in ("a", "b"):  # a sound header, and data that end early
            study.rows.insert(4, {**study.rows[0], "path": f"{name}.png"})
            (study.root / f"{name}.png").write_bytes(noise[: len(noise) // 2])
        dataset = study.ingest()
        assert problems_of(dataset) == {"a.png": "truncated", "b.png": "truncated"}
        assert len(dataset) == 12


class TestVersions:
    def test_the_same_request_does_no_work_twice(self, study, monkeypatch):
        first = study.ingest()
        before = sha256_tree(first.path)
        monkeypatch.setattr("pipeline.ingest.build.write_shards", None)
        assert study.ingest().path == first.path
        assert sha256_tree(first.path) == before

    @pytest.mark.parametrize("change", ["seed", "config", "row", "file"])
    def test_another_request_is_another_version(self, study, picture, change):
        first = study.ingest()
        if change == "row":
            study.rows[0]["view"] = "PA"
        if change == "file":
            (study.root / "00.png").write_bytes(png(picture(71)))
        config = CONFIG.model_copy(update={"store_size": 80}) if change == "config" else CONFIG
        assert study.ingest(config, seed=int(change == "seed")).path != first.path

    def test_the_place_of_the_data_does_not_matter(self, study, tmp_path):
        first = study.ingest()
        study.root.rename(tmp_path / "elsewhere")
        moved = replace(study, root=tmp_path / "elsewhere", workspace=tmp_path / "other")
        assert sha256_tree(moved.ingest().path) == sha256_tree(first.path)

    @pytest.mark.slow
    def test_workers_do_not_change_a_byte(self, study, tmp_path):
        study.problems.append({"path": "x", "reason": "missing-label", "detail": ""})
        study.add("bad.dcm", dicom(None))
        alone = study.ingest()
        together = replace(study, workspace=tmp_path / "two").ingest(spread=processes(2))
        assert sha256_tree(together.path) == sha256_tree(alone.path)


KILLED = """
import os, signal, sys
from pathlib import Path
import pipeline.ingest.build as build, pipeline.ingest.shards as shards
sys.path.insert(0, str(Path({here!r}).parent))
from test_build import Study
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
shards.FILES = 5
if {moment!r} == "between shards":
    progress = lambda stage, done, total: die() if (stage, done) == ("read images", 5) else None
else:
    progress = lambda *_: None
if {moment!r} == "within a shard":
    shards.DatasetWriter.write_shard.__globals__["write_parquet"] = die
if {moment!r} == "before the end":
    build._check_sum = die
Study(Path({root!r}), Path({workspace!r}), {rows!r}, []).ingest(progress=progress)
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["between shards", "within a shard", "before the end"])
def test_killed_and_run_again_gives_the_same_bytes(study, tmp_path, monkeypatch, moment):
    monkeypatch.setattr("pipeline.ingest.shards.FILES", 5)
    undisturbed = study.ingest()
    killed = replace(study, workspace=tmp_path / "killed")
    names = {"root": str(study.root), "workspace": str(killed.workspace), "rows": study.rows}
    script = KILLED.format(here=__file__, moment=moment, **names)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == -signal.SIGKILL, run.stderr
    left = [path.name for path in (killed.workspace / "study").iterdir() if path.suffix != ".lock"]
    assert left == [undisturbed.path.name + ".partial"]
    again = killed.ingest()
    assert again.path.name == undisturbed.path.name
    assert sha256_tree(again.path) == sha256_tree(undisturbed.path)


def test_resuming_does_not_decode_finished_shards(study, monkeypatch):
    monkeypatch.setattr("pipeline.ingest.shards.FILES", 5)
    asked: list[str] = []

    def stop(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("read images", 10):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study.ingest(progress=stop)
    decode = sys.modules["pipeline.ingest.sacrifice"].decode
    monkeypatch.setattr(
        "pipeline.ingest.sacrifice.decode", lambda path, *a, **k: asked.append(path) or decode(path, *a, **k)
    )
    study.ingest()
    assert asked == ["10.png", "11.png"]


class TestStorage:
    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> Iterator[Path]:
        """A file system of 64 KiB; only root may mount one."""
        place = tmp_path / "small"
        place.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
        if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
            pytest.skip("cannot mount a small file system here")
        yield place
        subprocess.run(["umount", str(place)], check=True)

    def test_a_disk_that_fills_up(self, study, small_disk):
        with pytest.raises(StorageError, match=r"The disk is full.*the run resumes where it stopped"):
            replace(study, workspace=small_disk).ingest()

    def test_a_disk_that_fills_up_while_pixels_are_written(self, study, monkeypatch):
        def full(*_: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr("pipeline.dataset.create_pixels", full)
            with pytest.raises(StorageError, match="The disk is full"):
                study.ingest()
        assert len(study.ingest()) == 12, "freed space lets it resume"

    @pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs a place that even root cannot write")
    def test_a_read_only_workspace(self, study):
        with pytest.raises(StorageError, match=r"cannot be written.*--workspace or CXR_AUDIT_HOME"):
            replace(study, workspace=Path("/sys/kernel/cxr-audit")).ingest()


def test_quality_counts(study, picture):
    study.rows[0]["view"] = "AP"
    study.rows[1]["patient_id"] = None
    study.add("near.png", picture(2, width=82, height=100)[2:-2, 2:-2], patient_id="hospital:1", source="hospital")
    study.add("gone.png")
    dataset = study.ingest()
    quality = read_json(dataset.path / "quality.json")
    assert quality == data_quality(dataset)
    assert quality["rows"] == {"in": 14, "kept": 13, "refused": 1}
    assert quality["problems"] == {"missing-file": 1}
    assert quality["patients"] == {"known": 12, "images_with": 12, "images_without": 1, "largest": 1}
    assert quality["near_duplicates"] == {
        "groups": 1,
        "images": 2,
        "groups_across_sources": 1,
        "groups_across_classes": 0,
    }
    assert quality["views"] == {"covid": {"AP": 1, "unknown": 6}, "other": {"AP": 0, "unknown": 6}}
    # clinic: 6 covid, 6 other, so 6 right; hospital: 1 covid, 1 right; always covid: 7 right
    assert quality["source_only"] == {"right": 7, "images": 13, "commonest_class": 7}
    assert sum(entry["count"] for entry in quality["images"]) == 13
    assert [sentence.split(" images")[0] for sentence in quality["warnings"]] == ["1 of 13"]


@pytest.mark.real
@pytest.mark.slow
def test_the_real_study(real_data, tmp_path):
    """1,398 x-rays: 20 identical copies go, 16 groups of near copies stay together, no patient is torn."""
    from pipeline.ingest import load_manifest, read_rows

    study = load_manifest(Path(__file__).resolve().parents[2] / "real" / "covid_shared.yaml")
    root = real_data / "cxr"
    config = IngestConfig(store_size=128)
    dataset = ingest(study, read_rows(study, root), root, tmp_path, config, 0)
    quality = data_quality(dataset)
    assert quality["rows"] == {"in": 1398, "kept": 1368, "refused": 30}
    assert quality["problems"] == {"duplicate": 20, "excluded-by-manifest": 10}
    assert quality["near_duplicates"]["groups"] == 16
    assert quality["near_duplicates"]["groups_across_sources"] == 11
    for key in ("patient_id", "duplicate_group"):
        assert dataset.images.dropna(subset=[key]).groupby(key)["split"].nunique().max() == 1
    assert set(dataset.images.loc[dataset.images["source"] == "actualmed", "split"]) == {"other_source"}
