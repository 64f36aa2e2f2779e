"""A real audit of files full of patients' names: none of them reaches logs, output, notices, Prefect or the report."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pandas as pd
import pydicom
import pytest
import yaml
from PIL import Image

from pipeline.ingest.synthetic import PhantomSpec, generate
from tests.receiver import started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

BIN = Path(sys.executable).parent
NAMES = ("Mustermann", "MUSTERMANN", "Erika", "Zaphod", "HOSP-4711", "1964-08-12", "19640812", "Dr.Quincy")
"""In file names, the table, and headers; nothing else of the study contains them."""
AUDIT = {
    "ingest": {"store_size": 160},
    "train": {"network": "small", "input_size": 64, "epochs": 3, "patience": 3, "batch_size": 8, "augment": False},
    "explain": {"images": 2, "mask_size": 7, "options": {"igos++-fast": {"ig_steps": 3, "iterations": 2}}},
    "flag": {"images": 12, "min_effect": 0.0, "fdr": 0.5, "transplants": 4, "blackout_images": 20},
}  # fmt: skip


@dataclass
class Study:
    """Where it is, and what it needs to be audited."""

    folder: Path
    manifest: Path
    refused: int = 3


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Phantoms, three of four as DICOM, all called after patients; one cut short, one missing, one too small."""
    folder = tmp_path_factory.mktemp("study")
    rows = []
    for form, images, seed in (("dicom", 24, 0), ("png", 8, 1)):
        made = folder / form
        spec = PhantomSpec(
            images, strength=1.0, other_source_images=8, honest_signal=0.2, size=160, format=form, seed=seed
        )
        generate(spec, made)
        table = pd.read_csv(made / "phantoms.csv")
        for number, row in enumerate(table.to_dict("records")):
            name = f"{form}/Mustermann_Erika_{number:03d}.img"
            (made / row["path"]).rename(folder / name)
            if form == "dicom":
                identify(folder / name, number)
            rows.append({**row, "path": name, "patient_id": f"HOSP-4711-{form}-{row['patient_id']}"})
    spoil(folder, rows)
    pd.DataFrame(rows).to_csv(folder / "Mustermann.csv", index=False)
    columns = {name: name for name in ("path", "label", "patient_id", "view", "sex", "age", "source")}
    other = {name: "other_source" for name in {row["source"] for row in rows} if name.endswith("b")}
    source = {"name": "ward", "layout": "table", "table": "Mustermann.csv", "columns": columns, "roles": other}
    said = {
        "name": "named",
        "title": "Named",
        "licence": "none",
        "classes": ["clear", "opacity"],
        "positive": "opacity",
    }
    manifest = folder / "manifest.yaml"
    manifest.write_text(yaml.safe_dump({**said, "sources": [source], "audit": AUDIT}))
    return Study(folder, manifest)


def identify(path: Path, number: int) -> None:
    """Names wherever a header can hold one, in places too where pydicom warns about the value."""
    file = pydicom.dcmread(path)
    file.PatientName, file.PatientID = "Mustermann^Erika", f"HOSP-4711-{number}"
    file.PatientBirthDate, file.ReferringPhysicianName = "19640812", "Dr.Quincy"
    file.InstitutionName, file.PatientComments = "Zaphod", "Erika Mustermann 1964-08-12"
    file.add_new(0x00100020 + 0x10000000, "LO", "Zaphod " * 20)
    file.add_new("StudyTime", "TM", "")
    file["StudyTime"]._value = "Mustermann"  # past pydicom's own check, as foreign writers do
    file.save_as(path)


def spoil(folder: Path, rows: list[dict[str, object]]) -> None:
    cut, small = (folder / str(rows[at]["path"]) for at in (3, 8))
    cut.write_bytes(cut.read_bytes()[:3000])
    Image.new("L", (8, 8)).save(small, "PNG")
    rows[12]["path"] = "dicom/Mustermann_Zaphod_missing.img"


@dataclass
class Audited:
    """What an audit left and said; `first` and `got`: notices after it, and after the same command again."""

    workspace: Path
    runs: list[subprocess.CompletedProcess[str]]
    first: list[bytes]
    got: list[bytes]

    @property
    def log(self) -> list[dict[str, object]]:
        return [json.loads(line) for file in (self.workspace / "logs").glob("*.jsonl") for line in file.open()]


@pytest.fixture(scope="module")
def audited(
    study: Study, tmp_path_factory: pytest.TempPathFactory, prefect_environment: dict[str, str]
) -> Iterator[Audited]:
    """The audit, run twice as a user does, with logs at their most talkative and a receiver of notices."""
    workspace = tmp_path_factory.mktemp("workspace")
    environment = {**prefect_environment, "CXR_AUDIT_LOG_LEVEL": "debug"}
    with started() as receiver:
        hub, chat = {"name": "hub", "url": receiver.url}, {"name": "chat", "url": receiver.url, "format": "slack"}
        (workspace / "notices.yaml").write_text(yaml.safe_dump({"webhooks": [hub, chat]}))

        def audit(*more: object) -> subprocess.CompletedProcess[str]:
            command = [BIN / "cxr-audit", "audit", study.manifest, "--data-root", study.folder, *more]
            command += ["--workspace", workspace, "--preset", "quick", "--json"]
            return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

        def bodies() -> list[bytes]:
            return [body for _, _, body in receiver.got]

        runs = [audit()]
        first = bodies()
        yield Audited(workspace, [*runs, audit()], first, bodies())


def names_in(text: str) -> list[str]:
    return [name for name in NAMES if name in text]


def test_it_audited_and_refused_what_was_spoilt(audited: Audited, study: Study) -> None:
    assert [run.returncode for run in audited.runs] == [4, 4], audited.runs[0].stderr[-3000:]
    refused = [line for line in audited.log if line["message"] == "image refused"]
    problems = pd.read_parquet(next(audited.workspace.glob("datasets/*/*/problems.parquet")))
    assert len(problems) == 3
    assert {(line["row"], line["reason"]) for line in refused} == set(enumerate(problems["reason"]))
    assert problems["path"].str.contains("Mustermann").all()  # the place where file names are


def test_logs_tell_what_happened(audited: Audited) -> None:
    result = json.loads(audited.runs[0].stdout)
    run = Path(result["run"]).name
    ends = [line for line in audited.log if line["message"] == "stage ended"]
    assert {"ingest", "train", "predict", "explain", "report"} <= {line["stage"] for line in ends}
    assert all(line["seconds"] >= 0 and line["flow"] == "audit" and line["dataset"] == "named" for line in ends)
    assert {line["run"] for line in ends if line["stage"] in ("predict", "explain")} == {run}
    assert all(line["flow_run"] for line in ends)
    assert len({line["pid"] for line in audited.log if line["logger"] == "cxr_audit.parts"}) >= 2
    kept = [line["artifact"] for line in audited.log if line["message"] == "artifact kept"]
    assert "predictions.parquet" in kept


def test_no_name_left(audited: Audited, prefect_environment: dict[str, str]) -> None:
    for run in audited.runs:
        assert names_in(run.stdout + run.stderr) == []
    assert names_in("".join(body.decode() for body in audited.got)) == []
    assert len(audited.log) > 100
    leaks = {}
    for file in [p for p in audited.workspace.rglob("*") if p.is_file()]:
        where = file.relative_to(audited.workspace).as_posix()
        if file.suffix == ".parquet" and not where.startswith("datasets/"):
            table = pd.read_parquet(file).drop(
                columns="patient_id", errors="ignore"
            )  # ids as the study's table has them
            leaks[where] = names_in(table.to_csv())
        elif not where.startswith("datasets/") or file.suffix == ".json":
            leaks[where] = names_in(file.read_bytes().decode(errors="replace"))
    assert any(name.startswith("logs/") for name in leaks)
    assert any(name.endswith("report.html") for name in leaks)
    home = Path(prefect_environment["PREFECT_HOME"])
    for file in [p for p in home.rglob("*") if p.is_file()]:
        leaks[file.name] = names_in(file.read_bytes().decode(errors="replace"))
    assert "prefect.db" in leaks
    assert {name: found for name, found in leaks.items() if found} == {}


def test_everybody_was_told_once(audited: Audited, prefect_environment: dict[str, str]) -> None:
    run = Path(json.loads(audited.runs[0].stdout)["run"]).name
    said = [json.loads(body) for body in audited.first]
    notices = [each for each in said if "schema" in each]
    assert {(each["notice"], each["run"], each["dataset"]) for each in notices} >= {("awaiting-review", run, "named")}
    assert len(said) == 2 * len(notices)
    assert audited.got == audited.first  # the same command again worked on nothing
    assert json.loads(audited.runs[1].stdout)["worked"] == 0
    found = events(prefect_environment["PREFECT_API_URL"], f"cxr-audit.run.{run}")
    assert sorted(found) == sorted((f"cxr-audit.{each['notice']}", each["dataset"]) for each in notices)


def events(api: str, resource: str) -> list[tuple[str, str]]:
    """(name, data set) of the events about a resource, once the server has written them."""
    question = {"filter": {"resource": {"id": [resource]}}, "limit": 50}
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = httpx.post(f"{api}/events/filter", json=question, timeout=10).json()["events"]
        if found:
            return [(each["event"], each["payload"]["dataset"]) for each in found]
        time.sleep(0.5)
    return []
