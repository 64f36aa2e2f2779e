"""Copies are found through re-encoding, scaling, windowing and cropping; look-alikes are not taken for copies."""

from __future__ import annotations

import csv
from io import BytesIO

import cv2
import imagehash
import numpy as np
import pytest
from PIL import Image

from pipeline.ingest.duplicates import (
    SAME_PICTURE,
    candidate_pairs,
    components,
    duplicate_groups,
    fine_structure,
    similarity,
)


def hash_of(pixels: np.ndarray) -> int:
    return int(str(imagehash.phash(Image.fromarray(pixels))), 16)


def groups_of(pictures: list[np.ndarray], distance: int = 64) -> list[str | None]:
    """Groups when every pair is a candidate: the check alone decides."""
    hashes = np.array([hash_of(pixels) for pixels in pictures], dtype=np.uint64)
    return duplicate_groups([f"{i:064d}" for i in range(len(pictures))], hashes, pictures.__getitem__, distance)


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


COPIES = {
    "jpeg": lambda pixels: jpeg(pixels, 40),
    "half size": lambda pixels: cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "window": lambda pixels: np.clip((pixels.astype(float) - 30) * 1.15, 0, 255).astype(np.uint8),
    "gamma": lambda pixels: (255 * (pixels / 255) ** 0.7).astype(np.uint8),
    "crop 3 %": lambda pixels: pixels[4:-4, 4:-4],
    "white frame": lambda pixels: np.pad(pixels, 3, constant_values=255),
    "stamp": lambda pixels: cv2.putText(pixels.copy(), "R", (8, 26), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2),
}


@pytest.mark.parametrize("change", COPIES)
def test_a_changed_copy_is_found(picture, change):
    original = picture(1)
    groups = groups_of([picture(0), original, picture(2), COPIES[change](original)])
    assert groups == [None, "same-0000000000000000", None, "same-0000000000000000"]


def test_negatives_and_mirror_images_are_other_pictures(picture):
    original = picture(1)
    assert groups_of([original, 255 - original, original[:, ::-1]]) == [None, None, None]


def test_different_pictures_score_far_below_the_limit(picture):
    fine = [fine_structure(picture(seed)) for seed in range(40)]
    scores = [similarity(fine[i], fine[j]) for i in range(40) for j in range(i)]
    assert max(scores) < SAME_PICTURE - 0.2


def test_blank_pictures_resemble_nothing_unless_identical():
    blank = np.zeros((50, 50), np.uint8)
    assert similarity(fine_structure(blank), fine_structure(blank + 9)) == 0
    same = duplicate_groups(["a" * 64, "a" * 64], np.zeros(2, np.uint64), lambda _: blank, 0)
    assert same[0] == same[1] == f"same-{'a' * 16}"


def test_names_do_not_depend_on_row_order(picture):
    ids = ["c", "a", "b"]
    pictures = [picture(1), picture(0), jpeg(picture(1), 60)]
    hashes = [hash_of(pixels) for pixels in pictures]
    for order in ([0, 1, 2], [2, 0, 1]):
        turned = [pictures[i] for i in order]
        names = duplicate_groups(
            [ids[i] for i in order], np.array([hashes[i] for i in order], np.uint64), turned.__getitem__, 10
        )
        assert dict(zip((ids[i] for i in order), names, strict=True)) == {"a": None, "b": "same-b", "c": "same-b"}


@pytest.mark.parametrize("distance", [0, 4, 20])
def test_candidate_pairs_agree_with_counting_bits_one_by_one(distance, monkeypatch):
    monkeypatch.setattr("pipeline.ingest.duplicates._PAIRS_AT_ONCE", 300)  # several blocks
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2**63, 10, dtype=np.uint64)
    hashes = np.concatenate([base, base, *(base ^ np.uint64(1 << bit | 1 << 9) for bit in (3, 40))])
    slow = [
        (i, j)
        for i in range(len(hashes))
        for j in range(i + 1, len(hashes))
        if bin(int(hashes[i]) ^ int(hashes[j])).count("1") <= distance
    ]
    assert list(candidate_pairs(hashes, distance)) == slow
    assert len(slow) >= 10


def test_components_join_chains():
    numbers = components(6, [(0, 1), (1, 4), (2, 5)])
    assert numbers[0] == numbers[1] == numbers[4]
    assert numbers[2] == numbers[5]
    assert len({numbers[0], numbers[2], numbers[3]}) == 3


@pytest.mark.real
@pytest.mark.slow
def test_copies_between_the_real_sources(real_data):
    """ieee8023 and covid-cxnet share figures of the same articles; different exposures must stay apart."""
    with (real_data / "cxr" / "images.csv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["source"] in ("covid-cxnet", "ieee8023")]
    pictures = [np.asarray(Image.open(real_data / "cxr" / row["path"]).convert("L")) for row in rows]
    hashes = np.array([hash_of(pixels) for pixels in pictures], dtype=np.uint64)
    names = duplicate_groups([row["path"] for row in rows], hashes, pictures.__getitem__, 4)
    members: dict[str, set[str]] = {}
    for row, name in zip(rows, names, strict=True):
        if name:
            members.setdefault(name, set()).add(row["source"])
    across = sum(len(sources) == 2 for sources in members.values())
    assert across == 30
    group = dict(zip((row["path"] for row in rows), names, strict=True))
    # Cropped, re-windowed copies, seen by eye; and two figures of one article that are different days.
    assert group["covid-cxnet/043.jpg"] == group["ieee8023/kjr-21-e24-g001-l-a.jpg"] is not None
    assert group["covid-cxnet/154.jpg"] == group["covid-cxnet/453.jpg"] is not None
    assert group["covid-cxnet/152.jpg"] is None
