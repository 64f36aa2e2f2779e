"""What holds for any text that small parsers may meet."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import plain_yaml
from pipeline.cleanse.plan_file import load
from pipeline.cleanse.repairs.recipe import read_recipe
from pipeline.errors import InputError
from pipeline.ingest import load_manifest, vocabulary
from pipeline.ingest.covidx import LABELS, read_covidx
from pipeline.ingest.layouts import _is_file
from pipeline.ingest.manifest_schema import Manifest
from pipeline.ingest.tables import read_lines, read_table

few = settings(
    max_examples=50, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8)
CELLS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS, lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner)
)


@few
@given(header=st.lists(CELLS, min_size=1, max_size=4, unique=True), data=st.data())
def test_a_table_is_read_as_it_was_written(tmp_path: Path, header: list[str], data: st.DataObject) -> None:
    row = st.lists(CELLS, min_size=len(header), max_size=len(header))
    rows = data.draw(st.lists(row, min_size=1, max_size=5))
    with (tmp_path / "table.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    table = read_table(tmp_path / "table.csv")
    assert list(table.columns) == header
    assert table.to_numpy().tolist() == rows


@few
@given(data=st.binary(max_size=200), encoding=st.sampled_from([None, "idna", "punycode", "utf-16", "ascii"]))
def test_any_bytes_are_lines_or_refused(tmp_path: Path, data: bytes, encoding: str | None) -> None:
    (tmp_path / "lines.txt").write_bytes(data)
    try:
        lines = read_lines(tmp_path / "lines.txt", encoding)
    except InputError:
        return
    assert all(isinstance(line, str) for line in lines)


def test_broken_utf_16_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_bytes(b"\xff\xfea")
    with pytest.raises(InputError, match="none of the encodings utf-16"):
        read_lines(tmp_path / "lines.txt")


@few
@given(
    patient=st.lists(WORDS, min_size=1, max_size=3), label=st.sampled_from(LABELS), source=st.sampled_from(["", "x"])
)
def test_a_covidx_line_is_read_from_its_end(tmp_path: Path, patient: list[str], label: str, source: str) -> None:
    (tmp_path / "train.txt").write_text(f"{' '.join(patient)} image.png {label} {source}\n")
    rows = read_covidx(tmp_path / "train.txt").rows
    assert rows.to_numpy().tolist() == [[" ".join(patient), "image.png", label, source, "train"]]


@few
@given(years=st.integers(0, 120))
def test_an_age_is_the_same_in_every_unit(years: int) -> None:
    assert vocabulary.age(f"{years:03d}Y") == vocabulary.age(str(years)) == years
    assert vocabulary.age(f"{12 * years}M") == pytest.approx(years)


@few
@given(value=VALUES)
def test_plain_yaml_is_what_was_dumped(value: object) -> None:
    assert plain_yaml.load(yaml.safe_dump(value)) == value


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 5000, "- " * 5000, "? " * 5000, "&a [*a]", "!!set {a}"])
def test_what_no_person_writes_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    for read in (load_manifest, lambda path: read_recipe(str(path)), lambda path: load(path, Manifest)):
        with pytest.raises(InputError):
            read(path)


@few
@given(value=st.dictionaries(st.sampled_from(["name", "title", "classes", "sources", "labels", "audit"]), VALUES))
def test_any_mapping_is_a_manifest_or_refused(tmp_path: Path, value: dict[str, object]) -> None:
    path = tmp_path / "manifest.yaml"
    path.write_text(yaml.safe_dump(value))
    with pytest.raises(InputError, match=r"manifest\.yaml"):  # a licence is missing at least
        load_manifest(path)


@pytest.mark.parametrize("name", ["x" * 300, "a/" * 3000, "\0", "missing"])
def test_a_name_that_no_file_can_have_is_of_no_file(tmp_path: Path, name: str) -> None:
    assert not _is_file(tmp_path / name)
