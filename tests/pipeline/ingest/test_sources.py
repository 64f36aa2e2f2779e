"""From files and tables to rows: everything met is a row or a problem, and says what it is."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pandas as pd
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from pipeline.errors import EmptyResultError, InputError
from pipeline.ingest import vocabulary
from pipeline.ingest.check import check_manifest
from pipeline.ingest.manifest import load_manifest
from pipeline.ingest.manifest_schema import LabelRules, Manifest
from pipeline.ingest.sources import PROBLEM_COLUMNS, ROW_COLUMNS, label_of, read_rows
from pipeline.ingest.tables import read_table

COVID_SHARED = Path(__file__).resolve().parents[2] / "real" / "covid_shared.yaml"


def manifest(*sources: dict, **changes) -> Manifest:
    values = {
        "name": "study",
        "title": "A study",
        "licence": "CC0-1.0",
        "classes": ["normal", "pneumonia"],
        "positive": "pneumonia",
        "sources": [{"name": "clinic", **source} for source in sources],
    }
    return Manifest.model_validate({**values, **changes})


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"an image")


def reasons(problems: pd.DataFrame) -> dict[str, str]:
    return dict(zip(problems["path"], problems["reason"], strict=True))


FOLDERS = {"layout": "folders"}
TABLE = {"layout": "table", "table": "t.csv", "columns": {"path": "path", "label": "label"}}


def table(columns: str = "", **options) -> dict:
    extra = {name: name for name in columns.split()}
    return {**TABLE, "columns": {**TABLE["columns"], **extra}, **options}


# --- folders


def test_the_class_is_the_folder_and_the_pattern_reads_patient_and_view(tmp_path):
    put(tmp_path, "normal/p1_pa.png", "normal/deep/p1_ll.png", "pneumonia/p2_ap.png", "pneumonia/odd.png")
    pattern = r"^(?P<patient>p\d+)_(?P<view>[a-z]+)"
    rows = read_rows(manifest({**FOLDERS, "file_pattern": pattern}), tmp_path).rows
    assert list(rows["path"]) == [
        "normal/deep/p1_ll.png",
        "normal/p1_pa.png",
        "pneumonia/odd.png",
        "pneumonia/p2_ap.png",
    ]
    assert list(rows["label"]) == ["normal", "normal", "pneumonia", "pneumonia"]
    assert list(rows["patient_id"].fillna("?")) == ["clinic:p1", "clinic:p1", "?", "clinic:p2"]
    assert list(rows["view"].fillna("?")) == ["L", "PA", "?", "AP"]
    assert list(rows["view_source"].fillna("?")) == ["filename", "filename", "?", "filename"]


def test_columns_and_types_are_fixed(tmp_path):
    put(tmp_path, "normal/1.png", "pneumonia/2.png")
    found = read_rows(manifest(FOLDERS), tmp_path)
    assert {name: str(kind) for name, kind in found.rows.dtypes.items()} == ROW_COLUMNS
    assert {name: str(kind) for name, kind in found.problems.dtypes.items()} == PROBLEM_COLUMNS
    assert set(found.rows["dataset"]) == {"study"}
    assert set(found.rows["licence"]) == {"CC0-1.0"}
    assert found.rows["split"].isna().all()
    assert found.rows["sex"].isna().all()


def test_ignored_names_are_problems_not_silence(tmp_path):
    put(tmp_path, "normal/1.png", "normal/.DS_Store", "normal/.cache/2.png", "pneumonia/3.png", ".git/config")
    found = read_rows(manifest(FOLDERS), tmp_path)
    assert list(found.rows["path"]) == ["normal/1.png", "pneumonia/3.png"]
    assert reasons(found.problems) == {
        "normal/.DS_Store": "excluded-by-manifest",
        "normal/.cache/2.png": "excluded-by-manifest",
    }


def test_class_folders_name_folders_deep_down(tmp_path):
    put(tmp_path, "data/x/1.png", "data/y/2.png", "data/z/3.png")
    source = {**FOLDERS, "root": "data", "class_folders": {"x": "normal", "y": "pneumonia"}}
    assert list(read_rows(manifest(source), tmp_path).rows["path"]) == ["data/x/1.png", "data/y/2.png"]


def test_what_git_keeps_beside_the_images_is_no_data(tmp_path):
    put(tmp_path, "clone/1.png", "clone/.git/objects/aa/bb", "other/2.png")
    found = read_rows(manifest({**FOLDERS, "class_folders": {"clone": "normal", "other": "pneumonia"}}), tmp_path)
    assert list(found.rows["path"]) == ["clone/1.png", "other/2.png"]
    assert found.problems.empty


def test_not_recursive_leaves_subfolders_alone(tmp_path):
    put(tmp_path, "normal/1.png", "normal/masks/1.png", "pneumonia/2.png")
    rows = read_rows(manifest({**FOLDERS, "recursive": False}), tmp_path).rows
    assert list(rows["path"]) == ["normal/1.png", "pneumonia/2.png"]


def test_other_source_images_carry_their_split(tmp_path):
    put(tmp_path, "a/normal/1.png", "a/pneumonia/2.png", "b/normal/1.png")
    sources = {**FOLDERS, "root": "a"}, {**FOLDERS, "name": "away", "root": "b", "role": "other_source"}
    rows = read_rows(manifest(*sources), tmp_path).rows
    assert rows.set_index("path")["split"].dropna().to_dict() == {"b/normal/1.png": "other_source"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({**FOLDERS, "root": "dta"}, r"should lie in .*dta, which is no folder; .* has data\."),
        ({**FOLDERS, "root": "data/normal"}, "but a folder for each class was expected"),
        ({**FOLDERS, "root": "data", "class_folders": {"nrml": "normal"}}, "no folder 'nrml' .* has normal, pneumonia"),
        ({**TABLE, "root": "data"}, r"t\.csv is missing; .*data has normal, pneumonia"),
    ],
)
def test_a_missing_place_says_what_is_there(tmp_path, source, expected):
    put(tmp_path, "data/normal/1.png", "data/pneumonia/2.png")
    with pytest.raises(InputError, match=expected):
        read_rows(manifest(source), tmp_path)


def test_a_missing_data_root_says_what_is_there(tmp_path):
    put(tmp_path, "cxr/1.png")
    with pytest.raises(InputError, match=r"cxrs is no folder; .* has cxr\. Give --data-root"):
        read_rows(manifest(FOLDERS), tmp_path / "cxrs")


# --- tables


def test_a_table_gives_everything_it_knows(tmp_path):
    put(tmp_path, "i/1.png", "i/2.png", "i/3.png")
    (tmp_path / "t.csv").write_text(
        "path,label,patient_id,study_id,view,sex,age,split,source,licence\n"
        "1.png,normal,7,s1,AP supine,male,057Y,valid,north,CC BY\n"
        "2.png,pneumonia,7,,axial,F,50+,,south,\n"
        "3.png,normal,unknown,,,,,train,away,\n",
        encoding="utf-8",
    )
    source = table(
        "patient_id study_id view sex age split source licence", path_prefix="i", roles={"away": "other_source"}
    )
    rows = read_rows(manifest(source), tmp_path).rows.astype(object)
    first, second, third = (rows.iloc[number].where(rows.iloc[number].notna(), None).to_dict() for number in range(3))
    assert first == {
        "path": "i/1.png",
        "label": "normal",
        "label_raw": "normal",
        "source": "north",
        "dataset": "study",
        "patient_id": "north:7",
        "study_id": "s1",
        "view": "AP Supine",
        "view_source": "csv",
        "sex": "M",
        "age": 57.0,
        "split": "val",
        "licence": "CC BY",
    }
    unknown = {"study_id": None, "view": None, "view_source": None, "age": None, "split": None, "licence": "CC0-1.0"}
    assert {key: second[key] for key in unknown} == unknown
    assert second["patient_id"] == "south:7"
    assert (third["patient_id"], third["split"]) == (None, "other_source")


def test_patient_namespaces_join_sources_that_number_the_same_people(tmp_path):
    put(tmp_path, "1.png", "2.png", "3.png")
    (tmp_path / "t.csv").write_text(
        "path,label,patient_id,source\n1.png,normal,7,a\n2.png,pneumonia,7,b\n3.png,normal,7,c\n"
    )
    joined = manifest(table("patient_id source"), patient_namespaces={"a": "nih", "b": "nih"})
    assert list(read_rows(joined, tmp_path).rows["patient_id"]) == ["nih:7", "nih:7", "c:7"]
    with pytest.raises(InputError, match=r"patient_namespaces names the source 'd'"):
        read_rows(manifest(table("patient_id source"), patient_namespaces={"d": "nih"}), tmp_path)


def test_every_row_ends_somewhere_and_says_why(tmp_path):
    put(tmp_path, "1.png", "2.png", "3.png", "4.png", "5.png", "6.png", "7.jpg")
    (tmp_path / "t.csv").write_text(
        "path,label,kind,view\n"
        "1.png,normal,xray,PA\n"
        "2.png,pneumonia,xray,PA\n"
        "3.png,,xray,PA\n"
        "4.png,todo,xray,PA\n"
        "5.png,normal,ct,PA\n"
        "6.png,normal,xray,lateral\n"
        "7,pneumonia,xray,PA\n"
        "8,pneumonia,xray,PA\n"
        "../9.png,pneumonia,xray,PA\n"
        "/etc/passwd,pneumonia,xray,PA\n"
        ",normal,xray,PA\n"
        "1.png,normal,xray,PA\n",
    )
    source = table("view", where={"kind": ["xray"]}, extensions=[".png", ".jpg"])
    found = read_rows(manifest(source, labels={"exclude": ["todo"]}, exclude_views=["L"]), tmp_path)
    assert list(found.rows["path"]) == ["1.png", "2.png", "7.jpg"]
    assert reasons(found.problems) == {
        "../9.png": "outside-data-root",
        "/etc/passwd": "outside-data-root",
        "1.png": "duplicate",
        "3.png": "missing-label",
        "4.png": "excluded-by-manifest",
        "5.png": "excluded-by-manifest",
        "6.png": "excluded-by-manifest",
        "8": "missing-file",
        "t.csv": "missing-file",
    }
    assert len(found.rows) + len(found.problems) == 12
    assert found.problems["detail"].str.len().gt(0).all()


def test_a_file_with_two_labels_or_two_patients_is_not_used(tmp_path):
    put(tmp_path, "1.png", "2.png", "3.png", "4.png")
    (tmp_path / "t.csv").write_text(
        "path,label,patient_id\n1.png,normal,a\n2.png,pneumonia,b\n"
        "3.png,normal,c\n3.png,pneumonia,c\n4.png,normal,d\n4.png,normal,e\n"
    )
    found = read_rows(manifest(table("patient_id")), tmp_path)
    assert list(found.rows["path"]) == ["1.png", "2.png"]
    assert Counter(found.problems["reason"]) == {"conflicting-label": 4}
    assert list(found.problems["detail"].str.split("different ").str[1]) == [
        "label",
        "label",
        "patient_id",
        "patient_id",
    ]


def test_an_unknown_label_is_counted_and_answered(tmp_path):
    put(tmp_path, "normal/1.png", "pneumonia/2.png", "Pneumonia/3.png", "Pneumonia/4.png", "other/5.png")
    with pytest.raises(InputError) as caught:
        read_rows(manifest(FOLDERS, labels={"map": {"ill": "pneumonia"}, "exclude": ["todo"]}), tmp_path)
    assert str(caught.value) == (
        "Manifest study: unknown labels 'Pneumonia' (2 images), 'other' (1 images). "
        "Known: ill, normal, pneumonia, todo. "
        "Map each to a class under labels.map (or labels.contains), or list it under labels.exclude."
    )


def test_a_class_without_images_is_an_error(tmp_path):
    put(tmp_path, "a/normal/1.png", "b/pneumonia/2.png")
    sources = {**FOLDERS, "root": "a"}, {**FOLDERS, "name": "away", "root": "b", "role": "other_source"}
    with pytest.raises(EmptyResultError, match=r"no image of class 'pneumonia' to train on\. Found {'normal': 1}"):
        read_rows(manifest(*sources), tmp_path)


def test_no_image_at_all_is_an_error_that_says_what_was_left_out(tmp_path):
    (tmp_path / "t.csv").write_text("path,label\n1.png,normal\n2.png,normal\n")
    with pytest.raises(EmptyResultError, match=r"no usable image\. Left out: 2 missing-file"):
        read_rows(manifest(TABLE), tmp_path)


@pytest.mark.parametrize(
    ("text", "source", "expected"),
    [
        ("file,label\n1.png,normal\n", TABLE, r"No column 'path'\. Allowed: file, label\. Correct the column names"),
        ("path,lable\n1.png,normal\n", TABLE, r"No column 'label'\. Did you mean 'lable'\?"),
        ("path;label\n1.png;normal\n", TABLE, "or its 'separator'"),
        ("path,label\n", TABLE, "has no rows below its header"),
        ("", TABLE, "has no rows below its header"),
        ("path,label\n1.png,normal\n2.png,a,b\n", TABLE, "line 3 has 3 cells, the header has 2. Check 'separator'"),
        ("path,label,label\n1.png,normal,x\n", TABLE, "two columns have the same name; the header is"),
        ("path,label,split\n1.png,normal,tset\n", table("split"), "split 'tset' is unknown. Did you mean 'test'"),
        ("path,label,source\n1.png,normal,x\n", table("source", roles={"y": "other_source"}), "no row of source 'y'"),
    ],
)
def test_a_table_that_is_not_as_described_says_how(tmp_path, text, source, expected):
    put(tmp_path, "1.png")
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises((InputError, EmptyResultError), match=expected):
        read_rows(manifest(source), tmp_path)


@pytest.mark.parametrize(
    ("written_in", "encoding", "expected"),
    [
        ("utf-8", None, "é"),
        ("utf-8-sig", None, "é"),
        ("utf-8", "mac_roman", "é"),
        ("cp1252", None, "é"),
        ("utf-16", None, "é"),
        ("mac_roman", "mac_roman", "é"),
        ("mac_roman", None, "Ž"),
    ],
)
def test_encodings_are_tried_in_order(tmp_path, written_in, encoding, expected):
    (tmp_path / "t.csv").write_bytes("name\né\n".encode(written_in))
    assert read_table(tmp_path / "t.csv", encoding=encoding)["name"].tolist() == [expected]


def test_quoted_cells_may_hold_separators_and_line_breaks(tmp_path):
    (tmp_path / "t.csv").write_bytes(b'path,label\r\n"a,\r\nb.png", x \r\n\r\n')
    assert read_table(tmp_path / "t.csv").to_dict("list") == {"path": ["a,\r\nb.png"], "label": ["x"]}


def test_an_encoding_that_fits_nothing_is_an_error(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"name\n\x81\xff\n")
    with pytest.raises(InputError, match="none of the encodings utf-8-sig, cp1252"):
        read_table(tmp_path / "t.csv")


def test_parquet_and_tsv_read_like_csv(tmp_path):
    frame = pd.DataFrame({"path": ["1.png", None], "age": [57.0, None]})
    frame.to_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.tsv").write_text("path\tage\n1.png\t57.0\n\t\n")
    expected = {"path": ["1.png", ""], "age": ["57.0", ""]}
    for name in ("t.parquet", "t.tsv"):
        assert {key: list(cells) for key, cells in read_table(tmp_path / name).items()} == expected


def test_the_result_does_not_depend_on_the_order_of_the_table(tmp_path):
    put(tmp_path, "1.png", "2.png", "3.png")
    lines = ["1.png,normal", "2.png,pneumonia", "3.png,normal", "4.png,normal"]
    tables = []
    for order in (lines, lines[::-1]):
        (tmp_path / "t.csv").write_text("\n".join(["path,label", *order]) + "\n")
        tables.append(read_rows(manifest(TABLE), tmp_path))
    pd.testing.assert_frame_equal(tables[0].rows, tables[1].rows)


def test_generated_rows_come_from_the_generators_table(tmp_path):
    put(tmp_path, "i/1.dcm", "i/2.dcm", "i/3.dcm")
    (tmp_path / "phantoms.csv").write_text(
        "path,label,source,patient_id,view,sex,age,split\n"
        "i/1.dcm,normal,site-a,1,PA,F,40,\ni/2.dcm,pneumonia,site-a,2,PA,M,41,\ni/3.dcm,normal,site-b,3,AP,M,42,other_source\n"
    )
    spec = {"images": 2, "strength": 1, "other_source_images": 1, "honest_signal": 0.5}
    rows = read_rows(manifest({"layout": "generated"}, generate=spec), tmp_path).rows
    assert list(rows["source"]) == ["site-a", "site-a", "site-b"]
    assert list(rows["split"].fillna("?")) == ["?", "?", "other_source"]
    assert list(rows["patient_id"]) == ["site-a:1", "site-a:2", "site-b:3"]


# --- DICOM


def write_dicom(path: Path, **fields: str) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    meta.MediaStorageSOPInstanceUID = fields.get("SOPInstanceUID", "1.2.3")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.PatientName = "Secret^Name"
    for keyword, value in fields.items():
        setattr(dataset, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)


SALT = "a long secret"


def dicom(**options) -> dict:
    return {"layout": "dicom", "patient_salt": SALT, **options}


def test_dicom_headers_give_patient_view_sex_and_age(tmp_path):
    write_dicom(
        tmp_path / "normal" / "1.dcm",
        PatientID="MRN1",
        StudyInstanceUID="1.2.9",
        ViewPosition="LL",
        PatientSex="F",
        PatientAge="018M",
    )
    write_dicom(tmp_path / "pneumonia" / "deep" / "2.dcm")
    rows = read_rows(manifest(dicom()), tmp_path).rows
    hashed = {text: hashlib.sha256((SALT + text).encode()).hexdigest()[:16] for text in ("MRN1", "1.2.9")}
    first = rows.iloc[0]
    assert first["patient_id"] == f"clinic:{hashed['MRN1']}"
    assert first["study_id"] == hashed["1.2.9"]
    assert (first["view"], first["view_source"], first["sex"], first["age"]) == ("L", "dicom", "F", 1.5)
    assert rows["label"].tolist() == ["normal", "pneumonia"]
    assert rows.iloc[1][["patient_id", "study_id", "view", "view_source", "sex", "age"]].isna().all()
    text = rows.to_csv()
    assert "Secret" not in text
    assert "MRN1" not in text


def test_pseudonyms_stay_as_they_are(tmp_path):
    write_dicom(tmp_path / "normal" / "1.dcm", PatientID="anon1")
    write_dicom(tmp_path / "pneumonia" / "2.dcm", PatientID="anon2")
    rows = read_rows(manifest({"layout": "dicom", "patient_ids": "pseudonyms"}), tmp_path).rows
    assert list(rows["patient_id"]) == ["clinic:anon1", "clinic:anon2"]


@pytest.mark.parametrize(
    ("key", "first", "second"),
    [
        ("file_name", "1.dcm", "2"),
        ("SOPInstanceUID", "1.2.3.1", "1.2.3.2"),
        ("StudyInstanceUID", "1.2.4.1", "1.2.4.2"),
        ("PatientID", "MRN1", "MRN2"),
    ],
)
def test_dicom_labels_come_from_a_table_by_any_key(tmp_path, key, first, second):
    for number in (1, 2):
        write_dicom(
            tmp_path / "x" / f"{number}.dcm",
            SOPInstanceUID=f"1.2.3.{number}",
            StudyInstanceUID=f"1.2.4.{number}",
            PatientID=f"MRN{number}",
        )
    write_dicom(tmp_path / "x" / "3.dcm", SOPInstanceUID="1.2.3.3", StudyInstanceUID="1.2.4.3", PatientID="MRN3")
    (tmp_path / "labels.csv").write_text(f"who,what\n{first},normal\n{second},pneumonia\nMRN-nobody,normal\n")
    labels = {"table": "labels.csv", "key": key, "key_column": "who", "label_column": "what"}
    found = read_rows(manifest(dicom(label_table=labels)), tmp_path)
    assert dict(zip(found.rows["path"], found.rows["label"], strict=True)) == {
        "x/1.dcm": "normal",
        "x/2.dcm": "pneumonia",
    }
    assert reasons(found.problems) == {"labels.csv": "missing-file", "x/3.dcm": "missing-label"}
    assert "MRN" not in found.problems.to_csv()


def test_a_label_table_that_contradicts_itself_is_an_error_that_shows_no_patient(tmp_path):
    write_dicom(tmp_path / "1.dcm", PatientID="MRN1")
    (tmp_path / "labels.csv").write_text("who,what\nMRN1,normal\nMRN1,pneumonia\n")
    labels = {"table": "labels.csv", "key": "PatientID", "key_column": "who", "label_column": "what"}
    with pytest.raises(InputError, match="rows 2 and 3 give the same PatientID two labels") as caught:
        read_rows(manifest(dicom(label_table=labels)), tmp_path)
    assert "MRN1" not in str(caught.value)


def test_files_that_are_no_dicom_are_problems(tmp_path):
    write_dicom(tmp_path / "normal" / "1.dcm")
    write_dicom(tmp_path / "pneumonia" / "2.dcm")
    put(tmp_path, "normal/notes.txt", "normal/DICOMDIR")
    (tmp_path / "normal" / "empty.dcm").write_bytes(b"")
    assert reasons(read_rows(manifest(dicom()), tmp_path).problems) == {
        "normal/DICOMDIR": "excluded-by-manifest",
        "normal/empty.dcm": "empty-file",
        "normal/notes.txt": "unsupported-format",
    }


# --- words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PA", "PA"),
        ("ap", "AP"),
        ("AP erect", "AP"),
        ("AP_horizontal", "AP Supine"),
        ("APS", "AP Supine"),
        ("Lateral", "L"),
        ("RL", "L"),
        ("LLD", None),
        ("Axial", None),
        ("", None),
        (None, None),
    ],
)
def test_views(text, expected):
    assert vocabulary.view(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("57", 57.0),
        ("057Y", 57.0),
        ("018M", 1.5),
        ("50+", None),
        ("early 40s", None),
        ("411", None),
        ("", None),
        ("-1", None),
    ],
)
def test_ages(text, expected):
    assert vocabulary.age(text) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("Pneumonia", "pneumonia"),
        ("Infiltration|Pneumonia", "pneumonia"),
        ("Infiltration | Pneumonia", "pneumonia"),
        ("No Finding|Pneumonia", "pneumonia"),
        ("No Finding", "normal"),
        ("Pneumonia|exact", "normal"),
        ("Pneumonitis", None),
        ("normal", "normal"),
    ],
)
def test_multi_label_strings(raw, expected):
    rules = LabelRules.model_validate(
        {
            "map": {"Pneumonia|exact": "normal"},
            "contains": {
                "separator": "|",
                "rules": [
                    {"any_of": ["Pneumonia", "Consolidation"], "label": "pneumonia"},
                    {"any_of": ["No Finding"], "label": "normal"},
                ],
            },
        }
    )
    assert label_of(raw, rules, ("normal", "pneumonia")) == expected


# --- check


def test_the_check_counts_by_source_class_and_split(tmp_path):
    put(tmp_path, "1.png", "2.png", "3.png", "4.png")
    (tmp_path / "t.csv").write_text(
        "path,label,patient_id,source,split\n1.png,normal,7,a,\n2.png,normal,7,a,\n3.png,pneumonia,,a,test\n"
        "4.png,normal,9,b,\n5.png,normal,9,b,\n"
    )
    source = table("patient_id source split", roles={"b": "other_source"})
    report = check_manifest(manifest(source), tmp_path)
    groups = [
        (group.source, group.label, group.split, group.images, group.patients, group.without_patient)
        for group in report.groups
    ]
    assert groups == [
        ("a", "normal", "to be drawn", 2, 1, 0),
        ("a", "pneumonia", "test", 1, 0, 1),
        ("b", "normal", "other_source", 1, 1, 0),
    ]
    assert (report.images, report.patients, report.problems) == (4, 2, {"missing-file": 1})
    assert report.missing_files == ("5.png",)
    assert report.by("label") == {"normal": 3, "pneumonia": 1}
    assert report.to_dict()["groups"][0]["source"] == "a"


# --- real data


@pytest.mark.real
def test_covid_shared_finds_what_its_table_says(real_data):
    root = real_data / "cxr"
    written = pd.read_csv(root / "images.csv", dtype=str, keep_default_na=False)
    found = read_rows(load_manifest(COVID_SHARED), root)
    counts = Counter(zip(found.rows["source"], found.rows["label"], found.rows["split"].fillna(""), strict=True))
    assert counts == {
        ("covid-cxnet", "COVID-19", ""): 572,
        ("ieee8023", "COVID-19", ""): 92,
        ("nih-no-finding", "non-COVID", ""): 331,
        ("nih-pneumonia", "non-COVID", ""): 349,
        ("actualmed", "COVID-19", "other_source"): 26,
        ("actualmed", "non-COVID", "other_source"): 18,
    }
    assert Counter(found.problems["reason"]) == {"excluded-by-manifest": 10}
    assert len(found.rows) + len(found.problems) == len(written)
    nih = found.rows[found.rows["source"].str.startswith("nih")]
    assert nih["patient_id"].nunique() == written.loc[written["source"].str.startswith("nih"), "patient_id"].nunique()


@pytest.mark.real
def test_a_table_that_is_not_utf8_keeps_its_degree_signs(real_data):
    table = read_table(real_data / "figure1_metadata.csv")
    assert len(table) == 55
    assert table["notes"].str.contains("Fever 38° + cough", regex=False).sum() == 1
    assert Counter(table["finding"]) == {"COVID-19": 35, "": 15, "No finding": 3, "Pneumonia": 2}
