"""Everything the fuzzer ever found, and a little of the fuzzer itself: the same inputs every time."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from pipeline.errors import ImageReadError
from pipeline.ingest.readers import ReadLimits, read_bytes
from pipeline.ingest.readers.dicom import read_facts
from tests.fuzz import targets
from tests.fuzz.bases import SECRET, made, real
from tests.fuzz.mutate import IMAGES, KINDS, Input
from tests.fuzz.sandbox import Sandbox

FOUND = [
    Input.parse(line.partition("#")[0])
    for line in (Path(__file__).parent / "found.txt").read_text().splitlines()
    if line.partition("#")[0].strip()
]
SLICE = 80
"""Inputs of every kind, from generated files alone: the same wherever the tests run."""


@pytest.mark.parametrize("found", FOUND, ids=str)
def test_what_was_found_stays_mended(found: Input, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "LIMITS", ReadLimits(max_file_bytes=16_000_000))  # a bomb is found out sooner
    if found.base not in {**made(found.kind), **real(found.kind)}:
        pytest.skip("the real file is not here")
    assert targets.judge(found.kind, found.bytes())


@pytest.mark.slow
def test_what_was_found_is_accounted_for_by_an_ingest() -> None:
    files = [each.bytes() for each in FOUND if each.kind in IMAGES and each.base in made(each.kind)]
    assert targets.judge_ingest(files) == f"ingest of {len(files)}"


@pytest.mark.parametrize("kind", [b"CC", b"FD"])
def test_a_value_that_is_not_of_its_kind_is_refused_and_not_quoted(kind: bytes) -> None:
    data = made("dicom")["explicit"].replace(b"\x10\x00\x20\x00LO", b"\x10\x00\x20\x00" + kind)
    for read in (partial(read_bytes, data, ReadLimits()), partial(read_facts, data, ["PatientID"], ReadLimits())):
        with pytest.raises(ImageReadError, match="its PatientID cannot be read") as refused:
            read()
        assert SECRET not in str(refused.value)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_mutated_is_sound_before(kind: str) -> None:
    outcomes = {targets.judge(kind, data) for data in made(kind).values()}
    assert outcomes <= {"image", "rows", "recipe"}


def test_an_input_is_its_recipe() -> None:
    inputs = [Input.drawn(1, number, from_real=False) for number in range(30)]
    assert [Input.parse(str(each)) for each in inputs] == inputs
    assert [each.bytes() for each in inputs] == [Input.parse(str(each)).bytes() for each in inputs]


@pytest.mark.slow
def test_a_slice_of_the_fuzzing_finds_nothing() -> None:
    inputs = [Input.drawn(20, number, from_real=False) for number in range(SLICE)]
    with Sandbox() as sandbox:
        verdicts = [(str(each), sandbox.judge(each)) for each in inputs]
        together = sandbox.judge(*(each for each in inputs if each.kind in IMAGES))
    assert [(each, verdict.outcome) for each, verdict in verdicts if verdict.failed] == []
    assert not together.failed, together.outcome
    outcomes = Counter(verdict.outcome for _, verdict in verdicts)
    assert outcomes["image"] > 5, "mutations that break everything reach no decoder"
    assert outcomes["truncated"] + outcomes["unreadable"] > 5, "mutations that break nothing prove nothing"
