"""Manifests: what is read, and how every mistake is named with its place."""

from __future__ import annotations

import hashlib
import pickle
import re
import typing
from pathlib import Path

import pytest
from pydantic import BaseModel

from pipeline.errors import ManifestError
from pipeline.ingest.manifest import Manifest, builtin_manifests, find_manifest, load_manifest

REPOSITORY = Path(__file__).resolve().parents[3]

VALID = """\
name: study
title: A study
licence: CC0-1.0
classes: [normal, pneumonia]
positive: pneumonia
labels:
  map:
    No: normal
    001: pneumonia
sources:
  - name: clinic
    layout: folders
audit:
  train:
    epochs: 3
"""


@pytest.fixture
def write(tmp_path: Path) -> typing.Callable[[str], Path]:
    def _write(text: str) -> Path:
        path = tmp_path / "study.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return _write


def mistakes(path: Path) -> list[str]:
    """The lines of the error, without the file's name."""
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    *lines, last = str(caught.value).splitlines()
    assert "README.md" in last
    assert all(line.startswith(f"{path}:") for line in lines)
    return [line.removeprefix(f"{path}:") for line in lines]


def test_a_valid_manifest_is_read_as_written(write):
    path = write(VALID)
    manifest = load_manifest(path)
    assert (manifest.name, manifest.classes, manifest.positive) == ("study", ("normal", "pneumonia"), "pneumonia")
    assert manifest.audit == {"train": {"epochs": 3}}
    assert manifest.raw_text == VALID
    assert manifest.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_yaml_1_1_surprises_stay_text(write):
    assert load_manifest(write(VALID)).labels.map == {"No": "normal", "001": "pneumonia"}


def test_a_manifest_survives_the_way_to_a_worker(write):
    manifest = load_manifest(write(VALID))
    copy = pickle.loads(pickle.dumps(manifest))
    assert copy == manifest
    assert copy.sha256 == manifest.sha256


def test_a_manifest_does_not_change(write):
    manifest = load_manifest(write(VALID))
    with pytest.raises(ValueError, match="frozen"):
        manifest.name = "other"


CASES = [
    pytest.param(
        "layout: folders",
        "layout: folders\n    file_patern: x",
        "13:5: sources[0].file_patern: unknown key. Did you mean 'file_pattern'?",
        id="unknown key of a source",
    ),
    pytest.param("title:", "titel:", "2:1: titel: unknown key. Did you mean 'title'?", id="unknown key at the top"),
    pytest.param("title: A study\n", "", "1:1: title: this key is required", id="missing key"),
    pytest.param(
        "epochs: 3",
        "epohcs: 3",
        "15:5: audit.train.epohcs: unknown key. Did you mean 'epochs'?",
        id="unknown audit setting",
    ),
    pytest.param(
        "epochs: 3",
        "epochs: 0",
        "15:5: audit.train.epochs: input should be greater than or equal to 1; found 0",
        id="audit setting out of range",
    ),
    pytest.param(
        "layout: folders",
        "layout: foldrs",
        "12:5: sources[0].layout: 'foldrs' is not allowed here. Did you mean 'folders'?",
        id="unknown layout",
    ),
    pytest.param("layout: folders", "role: internal", "11:5: sources[0]: needs the key 'layout'", id="no layout"),
    pytest.param(
        "layout: folders",
        "layout: folders\n    role: other-source",
        "13:5: sources[0].role: 'other-source' is not allowed here. Did you mean 'other_source'?",
        id="unknown role",
    ),
    pytest.param(
        "positive: pneumonia",
        "positive: pneumona",
        "5:1: positive: 'pneumona' is not one of classes. Did you mean 'pneumonia'?",
        id="positive is no class",
    ),
    pytest.param(
        "No: normal",
        "No: norml",
        "8:5: labels.map.No: 'norml' is not one of classes. Did you mean 'normal'?",
        id="label mapped to no class",
    ),
    pytest.param(
        "positive: pneumonia",
        "positive: pneumonia\npositive: normal",
        "6:1: positive: this key already stands in line 5; keep one",
        id="repeated key",
    ),
    pytest.param(
        "001: pneumonia",
        "No: pneumonia",
        "9:5: labels.map.No: this key already stands in line 8; keep one",
        id="repeated label",
    ),
    pytest.param(
        "classes: [normal, pneumonia]", "classes: [normal, normal]", "'normal' stands 2 times", id="repeated class"
    ),
    pytest.param(
        "[normal, pneumonia]", "[normal, pneumonia", "5:9: not valid YAML: expected ',' or ']'", id="broken YAML"
    ),
    pytest.param(
        "title: A study", "title: &a A study", "2:8: not valid YAML: anchors and aliases are not", id="anchor"
    ),
    pytest.param("title: A study", "title: !!python/name:os.system", "2:8: not valid YAML", id="python object"),
    pytest.param("title: A study", "title: true", "2:1: title: input should be a valid string; found True", id="type"),
    pytest.param(
        "layout: folders",
        "layout: folders\n    root: ../secret",
        "13:5: sources[0].root: '../secret' must be a relative path",
        id="path out of the data root",
    ),
    pytest.param(
        "layout: folders",
        "layout: folders\n    file_pattern: (?P<name>x)",
        "13:5: sources[0].file_pattern: needs named groups, any of (?P<patient>...), (?P<view>...), (?P<study>...); "
        "found name",
        id="pattern with an unknown group",
    ),
    pytest.param(
        "layout: folders",
        "layout: generated",
        "generate: belongs to a source with layout: generated",
        id="generated source without generate",
    ),
    pytest.param(
        "layout: folders",
        "layout: table\n    table: a.csv\n    columns: {path: p, label: l, patient: x}",
        "14:34: sources[0].columns.patient: unknown key. Did you mean 'patient_id'?",
        id="unknown column role",
    ),
    pytest.param(
        "layout: folders",
        "layout: table\n    table: a.csv\n    columns: {path: p, label: l}\n    roles: {x: other_source}",
        "15:5: sources[0].roles: needs columns.source",
        id="roles without a source column",
    ),
    pytest.param(
        "layout: folders",
        "layout: table\n    table: a.csv\n    encoding: utf-9\n    columns: {path: p, label: l}",
        "14:5: sources[0].encoding: 'utf-9' is not an encoding Python knows",
        id="unknown encoding",
    ),
    pytest.param(
        "layout: folders",
        "layout: dicom",
        "sources[0].patient_salt: patient ids are hashed: give a secret text",
        id="hashing without salt",
    ),
    pytest.param(
        "layout: folders",
        "layout: folders\n    origin: {kind: git, url: 'ssh://x/y', commit: main}",
        "13:25: sources[0].origin.url: 'ssh://x/y' must be https://",
        id="address that is not allowed",
    ),
    pytest.param(
        "layout: folders",
        "layout: folders\n    root: here\n    origin: {kind: files, files: [{url: 'https://x/y', sha256: "
        + "0" * 64
        + ", path: y}]}",
        "13:5: sources[0].root: fetch puts this source into clinic/",
        id="root outside what fetch gets",
    ),
]


@pytest.mark.parametrize(("old", "new", "expected"), CASES)
def test_a_mistake_is_named_with_its_place(write, old, new, expected):
    assert VALID.count(old) == 1
    assert expected in "\n".join(mistakes(write(VALID.replace(old, new))))


def test_all_mistakes_are_reported_at_once_in_line_order(write):
    text = VALID.replace("title:", "titel:").replace("epochs: 3", "epohcs: 3").replace("layout: folders", "layout: dcm")
    found = mistakes(write(text + "name: again\n"))
    assert [line.split(": ")[1] for line in found] == [
        "title",
        "titel",
        "sources[0].layout",
        "audit.train.epohcs",
        "name",
    ]


def test_a_layout_named_like_a_key_does_not_hide_the_key(write):
    """A source with layout `table` has a key `table` too: both are on the way to `columns`."""
    text = VALID.replace("layout: folders", "layout: table\n    table: a.csv\n    columns:\n      path: p")
    assert mistakes(write(text)) == ["14:5: sources[0].columns.label: this key is required"]


def test_a_manifest_that_is_not_utf8_names_the_line(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_bytes(VALID.replace("A study", "Étude").encode("cp1252"))
    assert mistakes(path) == ["2:1: byte 0xc9 is not UTF-8; save the manifest as UTF-8"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n- b\n", "word\n"])
def test_a_file_that_is_no_mapping_is_refused(write, text):
    assert "a manifest is a mapping" in mistakes(write(text))[0]


def test_a_missing_file_says_what_could_be_given_instead(tmp_path):
    with pytest.raises(ManifestError, match=r"no\.yaml: cannot be read .*covid_public.*phantom"):
        load_manifest(tmp_path / "no.yaml")


def test_built_in_manifests_are_valid_and_called_by_their_name():
    assert list(builtin_manifests()) == ["covid_public", "dicom_folder_example", "folder_example", "phantom"]
    for name in builtin_manifests():
        assert find_manifest(name).name == name


def test_find_manifest_takes_a_path_too(write):
    assert find_manifest(str(write(VALID))).name == "study"


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ManifestError, match=r"No built-in manifest is called 'fantom'\. Did you mean 'phantom'\?"):
        find_manifest("fantom")


def test_covid_public_is_pinned_as_the_study_says():
    manifest = find_manifest("covid_public")
    pins = {source.name: source.origin.commit for source in manifest.sources}
    assert pins == {
        "covid-cxnet": "3ade488b3828705706fc5f58c0667421d8b04a01",
        "ieee8023": "ee3e2cffc0824711bed675275506b26f19be7198",
        "nih": "ee3e2cffc0824711bed675275506b26f19be7198",
        "actualmed": "27240dd8dec9454bc97f9f3c0c432ef434de2517",
    }
    assert [source.name for source in manifest.sources if source.role == "other_source"] == ["actualmed"]


def schema_fields(model: type[BaseModel]) -> set[str]:
    names = set(model.model_fields)
    for field in model.model_fields.values():
        for nested in models_in(field.annotation):
            names |= schema_fields(nested)
    return names


def models_in(annotation: typing.Any) -> typing.Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from models_in(argument)


def test_the_readme_documents_every_field():
    prose = (REPOSITORY / "data_manifests" / "README.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`([a-z0-9_]+)`", prose))
    fields = schema_fields(Manifest)
    assert len(fields) > 40
    assert fields - documented == set()


def test_the_readmes_first_example_is_a_valid_manifest(write):
    prose = (REPOSITORY / "data_manifests" / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(name: .*?)```", prose, re.DOTALL)
    assert [source.role for source in load_manifest(write(example[1])).sources] == ["internal", "other_source"]
