"""Whole exports: names, depths, counts, resuming, and what is refused."""

import csv
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from pipeline.cleanse.normalise import BRIGHTNESS, neutral_marker
from pipeline.errors import InputError, IntegrityError
from pipeline.export import ExportOptions, Source, available_formats, export
from pipeline.export.layout import png_names
from pipeline.ingest import read_image
from tests.pipeline.export.films import BOX, HEIGHT, LIMITS, MARK, WIDTH

Make = Callable[..., Source]


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class TestPng:
    @pytest.fixture
    def images(self, make_source: Make, data_root: Path, tmp_path: Path) -> Path:
        export(make_source(), data_root, tmp_path / "out", ["png"])
        return tmp_path / "out" / "images"

    def test_mirrors_the_input(self, images: Path) -> None:
        assert sorted(tree(images)) == ["a/one.png", "a/two.png", "b/five.png", "b/four.png", "b/three.png"]

    @pytest.mark.parametrize(
        ("name", "dtype"),
        [("a/one.dcm", np.uint16), ("a/two.png", np.uint8), ("b/three.png", np.uint16), ("b/four.jpg", np.uint8)],
    )
    def test_keeps_size_and_depth_and_changes_the_mark_only(
        self, images: Path, data_root: Path, name: str, dtype: type
    ) -> None:
        before = read_image(data_root / name, LIMITS).pixels
        after = np.asarray(Image.open((images / name).with_suffix(".png")))
        assert after.shape == before.shape == (HEIGHT, WIDTH)
        assert after.dtype == dtype
        changed = np.argwhere(after != before)
        # One stored pixel, two original ones, of dilation around the mark.
        assert changed.min(axis=0) == pytest.approx((MARK[0].start - 2, MARK[1].start - 2), abs=2)
        assert changed.max(axis=0) == pytest.approx((MARK[0].stop + 1, MARK[1].stop + 1), abs=2)
        assert after[MARK].max() < 0.8 * before[MARK].min()

    def test_an_unmarked_image_keeps_every_value(self, images: Path, data_root: Path) -> None:
        np.testing.assert_array_equal(
            np.asarray(Image.open(images / "b/five.png")), read_image(data_root / "b/five.png", LIMITS).pixels
        )


def test_dicom_keeps_what_no_plan_changes_byte_for_byte(make_source: Make, data_root: Path, tmp_path: Path) -> None:
    source = make_source()
    state = export(source, data_root, tmp_path / "out", ["dicom"])
    assert state["formats"]["dicom"] == {
        "place": "dicom", "images": 1, "changed": 1, "unchanged": 0, "refused": 0, "not_dicom": 4, "reasons": [],
    }  # fmt: skip
    untouched = Source(source.dataset, "v0")
    export(untouched, data_root, tmp_path / "plain", ["dicom"])
    assert (tmp_path / "plain/dicom/a/one.dcm").read_bytes() == (data_root / "a/one.dcm").read_bytes()


def test_all_counts_add_up(make_source: Make, data_root: Path, tmp_path: Path) -> None:
    source = make_source(decoys=True)
    state = export(source, data_root, tmp_path / "out")
    assert list(state["formats"]) == list(available_formats(source))
    assert state["counts"] == {
        "images": {"all": 5, "changed": 5, "unchanged": 0, "decoys": 1},
        "regions": {"all": 5, "removed": 4, "held_back": 0, "left": 1},
    }
    assert json.loads((tmp_path / "out/export.json").read_text()) == state
    assert state["complete"]
    for facts in state["formats"].values():
        outcomes = [facts[name] for name in ("changed", "unchanged", "refused", "not_dicom") if name in facts]
        assert not outcomes or sum(outcomes) == 5


def test_masks_are_what_changed(make_source: Make, data_root: Path, tmp_path: Path) -> None:
    export(make_source(), data_root, tmp_path / "out", ["png", "masks"])
    for name in ("a/two", "b/three", "b/five"):
        mask = np.asarray(Image.open(tmp_path / f"out/masks/{name}.png"))
        before = read_image(data_root / f"{name}.png", LIMITS).pixels
        after = np.asarray(Image.open(tmp_path / f"out/images/{name}.png"))
        assert set(np.unique(mask)) <= {0, 255}
        assert not (before != after)[mask == 0].any()
        assert (mask[MARK] == (0 if name == "b/five" else 255)).all()


def test_metadata_says_which_marks_stood_where(make_source: Make, data_root: Path, tmp_path: Path) -> None:
    export(make_source(), data_root, tmp_path / "out", ["metadata"])
    with (tmp_path / "out/metadata.csv").open() as stream:
        rows = {row["path"]: row for row in csv.DictReader(stream)}
    chosen = ("n_side", "n_date", "n_arrow", "has_text", "regions_removed", "regions_held_back", "findings", "png")
    first = [rows["a/one.dcm"][name] for name in chosen]
    assert first == ["1", "1", "0", "True", "1", "0", "F01", "a/one.png"]
    assert [rows["b/five.png"][name] for name in chosen] == ["0", "0", "0", "False", "0", "0", "", "b/five.png"]
    assert int(rows["a/two.png"]["changed_pixels"]) > 12 * 20
    assert rows["b/five.png"]["changed_pixels"] == "0"
    assert "Doe" not in (tmp_path / "out/metadata.csv").read_text()
    assert "12345" not in (tmp_path / "out/metadata.csv").read_text()


def test_annotations_give_the_boxes_back(make_source: Make, data_root: Path, tmp_path: Path) -> None:
    export(make_source(), data_root, tmp_path / "out", ["coco", "label-studio"])
    found = json.loads((tmp_path / "out/coco.json").read_text())
    names = {image["id"]: image["file_name"] for image in found["images"]}
    kinds = {category["id"]: category["name"] for category in found["categories"]}
    assert len(found["annotations"]) == 5
    mark = next(each for each in found["annotations"] if names[each["image_id"]] == "b/four.jpg")
    assert (kinds[mark["category_id"]], mark["bbox"], mark["area"]) == ("side", [90, 8, 20, 12], 240)
    assert mark["attributes"] == {"text": "L", "detector": "test", "finding": "F01", "removed": True}

    tasks = json.loads((tmp_path / "out/label_studio.json").read_text())
    task = next(each for each in tasks if each["data"]["path"] == "b/four.jpg")
    assert task["data"]["image"] == "/data/local-files/?d=b/four.png"
    (guess,) = task["predictions"][0]["result"]
    value = guess["value"]
    assert [value["x"] * WIDTH / 100, value["y"] * HEIGHT / 100] == [BOX["x0"], BOX["y0"]]
    assert [value["width"] * WIDTH / 100, value["height"] * HEIGHT / 100] == pytest.approx([20, 12])
    assert value["rectanglelabels"] == ["side"]
    assert '<Label value="side"/>' in (tmp_path / "out/label_studio.xml").read_text()


def test_repeating_and_resuming_give_the_same_bytes(make_source: Make, data_root: Path, tmp_path: Path) -> None:
    source = make_source(decoys=True)
    export(source, data_root, tmp_path / "one")
    export(source, data_root, tmp_path / "two", ["metadata", "png"])
    (tmp_path / "two/images/b/four.png").unlink()
    kept = (tmp_path / "two/images/a/one.png").stat().st_mtime_ns
    export(source, data_root, tmp_path / "two")
    assert (tmp_path / "two/images/a/one.png").stat().st_mtime_ns == kept
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


@pytest.mark.slow
def test_workers_give_the_same_bytes(make_source: Make, data_root: Path, tmp_path: Path) -> None:
    source = make_source()
    export(source, data_root, tmp_path / "one")
    export(source, data_root, tmp_path / "two", options=ExportOptions(workers=2))
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_a_foreign_folder_is_left_alone(make_source: Make, data_root: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="not an export"):
        export(make_source(), data_root, tmp_path / "mine")
    assert sorted(tree(tmp_path / "mine")) == ["thesis.txt"]


def test_another_export_is_left_alone(make_source: Make, data_root: Path, tmp_path: Path) -> None:
    export(make_source(), data_root, tmp_path / "out", ["metadata"])
    with pytest.raises(InputError, match="transfer_syntax differ"):
        export(make_source(), data_root, tmp_path / "out", ["metadata"], ExportOptions(syntax="rle"))


def test_changed_and_missing_originals_are_listed(make_source: Make, data_root: Path, tmp_path: Path) -> None:
    (data_root / "a/two.png").write_bytes((data_root / "b/three.png").read_bytes())
    os.remove(data_root / "b/four.jpg")
    with pytest.raises(IntegrityError, match=r"2 of 5 originals.*a/two.png: the file changed.*b/four.jpg: no such"):
        export(make_source(), data_root, tmp_path / "out", ["png"])
    assert sorted(tree(tmp_path / "out/images")) == ["a/one.png", "b/five.png", "b/three.png"]
    assert not json.loads((tmp_path / "out/export.json").read_text())["complete"]


def test_dicom_of_other_files_is_refused(make_source: Make, data_root: Path, tmp_path: Path) -> None:
    source = make_source()
    source.dataset.images["file_format"] = "PNG"
    with pytest.raises(InputError, match=r"None of the 5 images is a DICOM file.*--format png"):
        export(source, data_root, tmp_path / "out", ["dicom"])
    assert not (tmp_path / "out").exists()
    assert "dicom" not in available_formats(source)


def test_regions_of_a_version_without_are_refused(make_source: Make, data_root: Path, tmp_path: Path) -> None:
    source = Source(make_source().dataset, "v0")
    with pytest.raises(InputError, match="no regions are known"):
        export(source, data_root, tmp_path / "out", ["coco"])
    assert available_formats(source) == ("png", "dicom", "metadata")


class TestCleared:
    """Who may say that nothing identifying is burned in."""

    def cleared(self, source: Source) -> dict[str, bool]:
        return {image.path: image.cleared for image in source.images()}

    def test_after_a_person_and_a_clean_second_look(self, make_source: Make) -> None:
        found = self.cleared(make_source())
        assert not found["a/one.dcm"], "a date is left on it"
        assert found["a/two.png"]

    def test_not_by_policy(self, make_source: Make) -> None:
        assert not any(self.cleared(make_source(approved=False)).values())

    def test_not_without_a_second_look(self, make_source: Make) -> None:
        assert not any(self.cleared(make_source(still_found=None)).values())

    def test_not_where_the_second_look_found_something(self, make_source: Make) -> None:
        source = make_source()
        found = source.dataset.images.set_index("path")["image_id"]
        again = self.cleared(make_source(still_found=frozenset([found["a/two.png"]])))
        assert (again["a/two.png"], again["b/three.png"]) == (False, True)


class TestNames:
    def test_only_the_ending_changes(self) -> None:
        assert png_names(["a/x.dcm", "IM0001"]) == {"a/x.dcm": "a/x.png", "IM0001": "IM0001.png"}

    def test_twins_keep_apart(self) -> None:
        assert png_names(["x.jpg", "X.png"]) == {"X.png": "X.png", "x.jpg": "x.jpg.png"}
        with pytest.raises(InputError, match=r"x\.jpg\.tif and another"):
            png_names(["x.png", "x.jpg", "x.jpg.tif", "x.jpg.tif.png"])

    @pytest.mark.parametrize("path", ["../x.png", "/etc/x.png", "a/../../x.png", "..\\x.png"])
    def test_no_name_leads_out(self, path: str) -> None:
        with pytest.raises(InputError, match="cannot be mirrored"):
            png_names([path])


def test_unknown_counts_are_empty_not_zero(make_source: Make, data_root: Path, tmp_path: Path) -> None:
    export(Source(make_source().dataset, "v0"), data_root, tmp_path / "out", ["metadata"])
    table = pd.read_csv(tmp_path / "out/metadata.csv")
    assert "n_side" not in table
    assert "has_text" not in table


def test_the_neutral_marker_is_drawn_at_full_size_in_every_image(
    make_source: Make, data_root: Path, tmp_path: Path
) -> None:
    source = make_source()
    line = source.plan.lines[0].model_copy(update={"policy": "normalise"})
    neutral = replace(source, plan=source.plan.model_copy(update={"lines": (line,)}))
    state = export(neutral, data_root, tmp_path / "out", ["png", "dicom"])
    assert state["counts"]["images"] == {"all": 5, "changed": 5, "unchanged": 0, "decoys": 0}
    disc = neutral_marker((HEIGHT, WIDTH))
    stored = pydicom.dcmread(tmp_path / "out/dicom/a/one.dcm")
    for pixels, before in (
        (np.asarray(Image.open(tmp_path / "out/images/b/five.png")), np.asarray(Image.open(data_root / "b/five.png"))),
        (stored.pixel_array, pydicom.dcmread(data_root / "a/one.dcm").pixel_array),
    ):
        outside = (disc == 0) & (before < before.max())
        low, high = float(before[outside].min()), float(before[outside].max())
        assert pixels[disc == 1] == pytest.approx(low + BRIGHTNESS * (high - low), abs=0.04 * (high - low))
    assert "neutral marker drawn" in stored.DerivationDescription
