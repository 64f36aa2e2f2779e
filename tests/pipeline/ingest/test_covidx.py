"""COVIDx label files: every line is a row or a problem, and the facts known of the real files come out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from pipeline.errors import InputError
from pipeline.ingest.covidx import COLUMNS, CovidxTable, read_covidx, split_of
from pipeline.ingest.manifest_schema import Manifest
from pipeline.ingest.sources import read_rows


def read(tmp_path: Path, text: str, name: str = "train_COVIDx9A.txt") -> CovidxTable:
    (tmp_path / name).write_text(text)
    return read_covidx(tmp_path / name)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("8989e25c 8989e25c.png normal", ["8989e25c", "8989e25c.png", "normal", ""]),
        ("3 SARS-Fig8a-day0.jpeg pneumonia cohen", ["3", "SARS-Fig8a-day0.jpeg", "pneumonia", "cohen"]),
        ("COVID 1 COVID(1).png COVID-19 sirm", ["COVID 1", "COVID(1).png", "COVID-19", "sirm"]),
        ("COVID 1 COVID(1).png COVID-19", ["COVID 1", "COVID(1).png", "COVID-19", ""]),
        ("SITE2-000061 MIDRC.png level2 ricord", ["SITE2-000061", "MIDRC.png", "level2", "ricord"]),
        ("ANON1 a.png NEGATIVE rnsa", ["ANON1", "a.png", "negative", "rsna"]),
        ("positive x.png negative actmed", ["positive", "x.png", "negative", "actmed"]),
        ("x.png normal", ["", "x.png", "normal", ""]),
    ],
)
def test_a_line_is_read_from_its_right_end(tmp_path, line, expected):
    row = read(tmp_path, line).rows
    assert list(row.columns) == list(COLUMNS)
    assert row.iloc[0].tolist() == [*expected, "train"]


def test_every_line_ends_somewhere(tmp_path):
    lines = ["1 a.png normal rsna", "", "2 b.png unknown rsna", "normal", "3 c normal", "  ", "1 a.png normal rsna"]
    found = read(tmp_path, "\n".join(lines))
    assert found.rows.index.tolist() == [1, 7]  # the repeated line is kept
    assert found.problems["reason"].to_dict() == {3: "unknown-label", 4: "missing-file", 5: "missing-file"}
    assert len(found.rows) + len(found.problems) == sum(bool(line.strip()) for line in lines)
    assert not found.problems["detail"].str.contains("b.png").any()


def test_a_misspelt_source_is_counted(tmp_path):
    found = read(tmp_path, "1 a.png normal rnsa\n2 b.png normal rsna\n")
    assert set(found.rows["source"]) == {"rsna"}
    assert found.respelled == {"rnsa": 1}


@pytest.mark.parametrize("text", ["", "a,b,c\n1,2,3\n"])
def test_a_file_of_something_else_is_an_error(tmp_path, text):
    with pytest.raises(InputError, match="COVIDx"):
        read(tmp_path, text)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(InputError, match="missing"):
        read_covidx(tmp_path / "train_COVIDx.txt")


@pytest.mark.parametrize(
    ("name", "split"),
    [("train_COVIDx9A.txt", "train"), ("test_COVIDxSev.txt", "test"), ("my-val.csv", "val"), ("contest.csv", None)],
)
def test_the_name_says_the_split(name, split):
    assert split_of(Path(name)) == split


def test_a_manifest_can_use_a_label_file(tmp_path):
    for name in ("a.png", "COVID(1).png"):
        (tmp_path / name).write_bytes(b"an image")
    (tmp_path / "train_COVIDx7A.txt").write_text(
        "1 a.png normal rsna\nCOVID 1 COVID(1).png COVID-19 sirm\n2 b.png normal rsna\n3 c.png nothing rsna\n"
    )
    columns = {name: name for name in ("path", "label", "patient_id", "source", "split")}
    source = {"name": "covidx", "layout": "table", "format": "covidx", "table": "train_COVIDx7A.txt"}
    manifest = Manifest.model_validate(
        {
            "name": "covidx", "title": "COVIDx", "licence": "see source", "classes": ["normal", "COVID-19"],
            "positive": "COVID-19", "sources": [{**source, "columns": columns}],
        }
    )  # fmt: skip
    found = read_rows(manifest, tmp_path)
    assert found.rows["patient_id"].tolist() == ["sirm:COVID 1", "rsna:1"]
    assert found.rows["split"].tolist() == ["train", "train"]
    assert found.problems["reason"].tolist() == ["missing-file", "unknown-label"]
    assert found.problems["detail"].str.contains("row 3 |row 4 ").all()


@pytest.fixture
def labels(real_data: Path) -> Path:
    return real_data / "covidx_labels"


@pytest.mark.real
def test_no_line_of_the_real_files_is_lost(labels):
    files = sorted(labels.glob("*.txt"))
    assert len(files) == 16
    for path in files:
        found = read_covidx(path)
        assert len(found.problems) == 0
        assert len(found.rows) == len(path.read_text().splitlines())
        assert (found.rows["patient_id"] != "").all()
        assert set(found.rows["split"]) == {path.name.split("_")[0]}


@pytest.mark.real
@pytest.mark.parametrize("version", ["3", "4", "5", "7A"])
def test_197_rows_have_no_source(labels, version):
    rows = read_covidx(labels / f"test_COVIDx{version}.txt").rows
    without = rows[rows["source"] == ""]
    assert Counter(without["label"]) == {"normal": 100, "pneumonia": 97}
    assert Counter(rows["label"]) == {"normal": 100, "pneumonia": 100, "COVID-19": 100}


@pytest.mark.real
def test_sirm_ids_hold_a_blank(labels):
    rows = pd.concat([read_covidx(labels / f"{part}_COVIDx7A.txt").rows for part in ("train", "test")])
    with_blank = rows[rows["patient_id"].str.contains(" ")]
    assert len(with_blank) == 1199
    assert set(with_blank["source"]) == {"sirm"}
    assert with_blank["path"].str.fullmatch(r"COVID\(\d+\)\.png").all()


@pytest.mark.real
def test_version_9_misspells_199_rows(labels):
    found = read_covidx(labels / "train_COVIDx9A.txt")
    assert found.respelled == {"rnsa": 199}
    assert Counter(found.rows["source"])["rsna"] == 13389 + 199
    covid = found.rows[found.rows["label"] == "COVID-19"]
    assert (len(covid), (covid["source"] == "stonybrook").sum()) == (16490, 14132)


@pytest.mark.real
@pytest.mark.parametrize("version", ["8A", "8B", "9A", "9B"])
def test_the_source_decides_the_class(labels, version):
    rows = read_covidx(labels / f"test_COVIDx{version}.txt").rows
    positive = rows["label"].isin(["COVID-19", "positive"])
    assert set(rows["source"][positive]) == {"ricord"}
    assert set(rows["source"][~positive]) == {"rsna"}
    assert positive.sum() == 200


@pytest.mark.real
def test_severity_has_levels(labels):
    assert Counter(read_covidx(labels / "test_COVIDxSev.txt").rows["label"]) == {"level2": 98, "level1": 52}
