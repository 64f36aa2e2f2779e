"""Tables of marks boxed by a person: read, split into halves, scored."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.benchmark.detectors import eyes
from pipeline.benchmark.detectors.eyes import EyeMark, half_of, read_truth, score_file
from pipeline.errors import InputError
from pipeline.types import Box, Region

TABLE = """path,x0,y0,x1,y1,kind,text
a.png,10,10,30,20,word,PORTABLE
a.png,60,60,70,70,side,
b.png,,,,,none,
"""


def test_marks_are_read_and_an_image_without_any_is_kept(tmp_path: Path) -> None:
    (tmp_path / "marks.csv").write_text(TABLE)
    truth = read_truth(tmp_path / "marks.csv")
    assert truth == {
        "a.png": (EyeMark("word", Box(10, 10, 30, 20)), EyeMark("side", Box(60, 60, 70, 70))),
        "b.png": (),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,x0\na,1\n", "kind"),
        ("path,x0,y0,x1,y1,kind\na,5,5,5,9,word\n", "x1 > x0"),
        ("path,x0,y0,x1,y1,kind\na,,,,,word\n", "x1 > x0"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "marks.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_truth(tmp_path / "marks.csv")


def test_halves_follow_the_parity_of_the_sha1_of_the_path() -> None:
    for path in ("a.png", "b.png", "c/d.png", "e.png"):
        even = int(hashlib.sha1(path.encode()).hexdigest()[-1], 16) % 2 == 0
        assert half_of(path) == ("development" if even else "held back")


def test_found_missed_and_false_are_counted_and_borders_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = next(f"{number}.png" for number in range(9) if half_of(f"{number}.png") == "development")
    other = next(f"{number}.png" for number in range(9) if half_of(f"{number}.png") == "held back")
    for file in (name, other):
        cv2.imwrite(str(tmp_path / file), np.random.default_rng(0).integers(0, 255, (100, 100), dtype=np.uint8))
    regions = [
        Region("x", "position", Box(10, 10, 30, 20), "test", 1.0),
        Region("x", "glyph", Box(80, 10, 90, 20), "test", 1.0),
        Region("x", "border", Box(0, 90, 100, 100), "test", 1.0),
        Region("x", "border", Box(55, 55, 75, 75), "test", 1.0),
    ]
    monkeypatch.setattr(eyes, "detect", lambda image, image_id: regions)
    marks = (EyeMark("word", Box(10, 10, 30, 20)), EyeMark("side", Box(60, 60, 70, 70)))
    records, misses = score_file(tmp_path, name, marks)
    assert [(row["kind"], row["found"], row["found_kind"]) for row in records["eye_marks"]] == [
        ("word", True, "position"),
        ("side", False, None),
    ]
    assert records["eye_images"] == [{"image": name, "half": "development", "boxes": 2, "false": 1}]
    assert [miss.kind for miss in misses] == ["eye side"]
    assert score_file(tmp_path, other, marks)[1] == []
