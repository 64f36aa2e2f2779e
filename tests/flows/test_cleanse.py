"""`cxr-audit cleanse`: a plan from decisions or from a person's hand, and the version that follows from it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flows.audit import Audited
from flows.cleanse import _plan
from flows.review.frozen import COLUMNS
from flows.steps import Steps
from flows.tasks import repair
from flows.workspace import Workspace
from pipeline.artifacts import RunFolder, read_json, read_parquet, write_json, write_parquet
from pipeline.cleanse import Plan, regions_to_clean
from pipeline.config import AuditConfig
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.errors import EmptyResultError, InputError

CONFIG = AuditConfig.model_validate({"cleanse": {"fill": "median"}})
SIZE, COUNT = 64, 12


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Grey pictures, so no lungs; a bright mark on those with odd numbers, found, and confirmed as a shortcut."""
    space = Workspace(tmp_path / "ws")
    names = [f"id{number:02d}" for number in range(COUNT)]
    table = pd.DataFrame({name: [None] * COUNT for name in IMAGE_COLUMNS}).assign(
        image_id=names, path=names, label=["rest", "covid"] * (COUNT // 2), patient_id=names, split="test",
        width=SIZE, height=SIZE, scale=1.0, pad_x=0.0, pad_y=0.0,
    )  # fmt: skip
    pixels = np.random.default_rng(0).integers(90, 110, (COUNT, SIZE, SIZE)).astype(np.uint8)
    pixels[1::2, 4:12, 4:16] = 250
    meta = DatasetMeta("study", "v0", "A study", ("rest", "covid"), "covid", SIZE, "uint8")
    with write_version(space.datasets / "study" / "v0", SIZE, "uint8") as writer:
        writer.write_shard(0, table, pixels)
        writer.finish(meta, table, 1)

    run = space.runs / "r1"
    request = {"dataset": "study/v0", "bundle": "m/1", "config": CONFIG.model_dump(mode="json")}
    folder = RunFolder(run, request)
    corners = {"x0": 4.0, "y0": 4.0, "x1": 16.0, "y1": 12.0}
    marks = [{"region_id": f"r{n}", "image_id": n, "kind": "side", "text": "L", **corners} for n in names[1::2]]
    findings = [
        {"id": "F1", "kind": "side", "text": None, "status": "confirmed"},
        {"id": "F2", "kind": "date", "text": None, "status": "suspected"},
        {"id": "F3", "kind": "trait/exposure", "text": None, "status": "suspected"},
    ]
    write_parquet(run / "regions.parquet", pd.DataFrame(marks))
    write_parquet(run / repair.ALL_REGIONS, pd.DataFrame(marks))
    write_json(run / "findings.json", {"findings": findings})
    for name in ("regions.parquet", repair.ALL_REGIONS, "findings.json"):
        folder.record(name)
    return space


def decided(run: Path, **verdicts: str) -> None:
    """What `freeze` would write for decisions of ann about findings."""
    about = {"reviewers": ["ann"], "comment": "", "time": "2026-01-02T03:04:05+00:00", "software": "test"}
    entries = {name: {"finding": name, "decision": verdict, **about} for name, verdict in verdicts.items()}
    write_json(run / "decisions.json", entries)


def reviewed(run: Path, **verdicts: str) -> None:
    """The same for decisions about single regions."""
    corners = {"x0": 4.0, "y0": 4.0, "x1": 16.0, "y1": 12.0}
    about = {"kind": "side", "text": "L", **corners, "detector": "text", "confidence": 1.0, "origin": "detected"}
    state = {"deleted": False, "edited": False, "decided_by": "ann"}
    rows = [
        {"region_id": f"rid{name[1:]}", "image_id": f"id{name[1:]}", **about, **state, "verdict": verdict}
        for name, verdict in verdicts.items()
    ]
    write_parquet(run / "reviewed_regions.parquet", pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS))


def planned(workspace: Workspace, accepted: dict[str, str], edited: Path | None = None) -> Plan:
    run = workspace.runs / "r1"
    repair.plan.fn(run, workspace.datasets / "study" / "v0", CONFIG, accepted, edited)
    return Plan.read(run / "plan.yaml")


def test_what_a_policy_accepts_is_held_back_where_lungs_are_unknown(workspace: Workspace) -> None:
    run = workspace.runs / "r1"
    plan = planned(workspace, {"F1": "policy: confirmed"})
    held = read_parquet(run / "held_back.parquet")
    assert held["reason"].tolist() == ["lungs-unknown"] * 6
    assert (plan.impact["covid"].held_back, plan.impact["covid"].pixels) == (6, 0)
    plan = planned(workspace, {"F1": "reviewer ann"})
    assert len(read_parquet(run / "held_back.parquet")) == 0
    assert (plan.impact["covid"].regions, plan.impact["covid"].in_lungs) == (6, None)
    assert len(regions_to_clean(plan, repair.planned_regions(run))) == 6


def test_every_decision_about_regions_gives_a_line(workspace: Workspace) -> None:
    run = workspace.runs / "r1"
    decided(run, F2="rejected", F3="unsure")  # F3 is image-wide: there is nothing to fill or keep
    plan = planned(workspace, {"F1": "reviewer ann"})
    assert [(line.finding, line.policy, line.decided_by) for line in plan.lines] == [
        ("F1", "remove", "reviewer ann"),
        ("F2", "keep", "reviewer ann: rejected"),
    ]


def test_an_edited_plan_stays_and_an_untouched_one_follows_the_decisions(workspace: Workspace) -> None:
    path = workspace.runs / "r1" / "plan.yaml"
    planned(workspace, {"F1": "policy: confirmed"})
    assert planned(workspace, {"F1": "reviewer ann"}).lines[0].in_lungs == "allow"
    path.write_text(path.read_text().replace("policy: remove", "policy: review"))
    again = planned(workspace, {"F1": "reviewer ann"})
    assert (again.lines[0].policy, again.impact["covid"].held_back, again.impact["covid"].regions) == ("review", 6, 0)
    path.unlink()
    assert planned(workspace, {"F1": "reviewer ann"}).lines[0].policy == "remove"


def test_versions_are_made_once_and_listed(workspace: Workspace) -> None:
    run, dataset = workspace.runs / "r1", workspace.datasets / "study" / "v0"
    planned(workspace, {"F1": "reviewer ann"})
    versions, made = repair.cleanse.fn(run, dataset, CONFIG)
    assert (tuple(versions), made) == (repair.VERSIONS, 3)
    assert read_json(run / "versions.json") == {name: path.name for name, path in versions.items()}
    assert DatasetVersion(versions["cleansed"]).pixels(range(COUNT)).max() < 120
    assert repair.cleanse.fn(run, dataset, CONFIG) == (versions, 0)


def test_a_mistake_in_an_edited_plan_is_named(workspace: Workspace, tmp_path: Path) -> None:
    planned(workspace, {"F1": "reviewer ann"})
    edited = tmp_path / "mine.yaml"
    edited.write_text((workspace.runs / "r1" / "plan.yaml").read_text().replace("policy: remove", "policy: delete"))
    with pytest.raises(InputError, match=r"mine.yaml:\d+: lines\[0\].policy"):
        planned(workspace, {}, edited)


def test_the_key_of_a_plan_follows_decisions_and_edits(workspace: Workspace, tmp_path: Path) -> None:
    run = workspace.runs / "r1"
    folder = RunFolder(run, read_json(run / "run.json")["request"])
    (tmp_path / "mine.yaml").write_text("a")
    keys = [
        repair.plan_key(folder, CONFIG, {}),
        repair.plan_key(folder, CONFIG, {"F1": "reviewer ann"}),
        repair.plan_key(folder, CONFIG, {}, tmp_path / "mine.yaml"),
    ]
    decided(run, F2="keep")
    keys.append(repair.plan_key(folder, CONFIG, {}))
    reviewed(run, r01="keep")
    assert len({*keys, repair.plan_key(folder, CONFIG, {})}) == 5


def test_single_regions_make_a_plan_of_their_own(workspace: Workspace) -> None:
    run = workspace.runs / "r1"
    reviewed(run, r01="accepted", r03="unsure", r05="keep")
    plan = planned(workspace, {})
    assert plan.lines == ()
    assert plan.exceptions.removed == {"rest": 0, "covid": 1}
    assert (plan.exceptions.review, plan.exceptions.kept) == ({"rest": 0, "covid": 1}, {"rest": 0, "covid": 0})
    assert plan.exceptions.decided_by == {"ann": 2}
    assert regions_to_clean(plan, repair.planned_regions(run))["image_id"].tolist() == ["id01"]
    assert not plan.edited
    versions, _ = repair.cleanse.fn(run, workspace.datasets / "study" / "v0", CONFIG)
    cleansed = DatasetVersion(versions["cleansed"]).pixels(range(COUNT))
    assert (cleansed[1].max(), cleansed[3].max()) == (cleansed[1].max().clip(max=120), 250)


def test_a_region_wins_over_the_line_and_lungs(workspace: Workspace) -> None:
    run = workspace.runs / "r1"
    reviewed(run, r01="accepted", r03="rejected")
    plan = planned(workspace, {"F1": "policy: confirmed"})  # no lungs on grey pictures: the policy holds all back
    assert read_parquet(run / "held_back.parquet")["image_id"].tolist() == ["id05", "id07", "id09", "id11"]
    assert (plan.impact["covid"].regions, plan.impact["covid"].held_back) == (1, 4)
    plan = planned(workspace, {"F1": "reviewer bob"})
    assert plan.exceptions.kept == {"rest": 0, "covid": 1}
    assert plan.exceptions.removed == {"rest": 0, "covid": 0}  # the line removes it too
    assert (plan.lines[0].regions, plan.impact["covid"].regions) == ({"rest": 0, "covid": 5}, 5)


def test_a_plan_that_was_edited_stays_edited_and_an_untouched_one_does_not_become_so(workspace: Workspace) -> None:
    run = workspace.runs / "r1"
    plain = planned(workspace, {"F1": "reviewer bob"})
    reviewed(run, r03="keep")
    again = planned(workspace, {})  # nothing accepted: the plan stays, what was decided since joins
    assert (again.edited, again.identity() == plain.identity()) == (False, False)
    (run / "plan.yaml").write_text((run / "plan.yaml").read_text().replace("fill: median", "fill: mean"))
    reviewed(run, r05="keep")
    kept = planned(workspace, {"F1": "reviewer bob"})
    assert (kept.edited, kept.fill, kept.exceptions.kept["covid"]) == (True, "mean", 1)


def test_nothing_accepted_and_no_plan_is_an_error(workspace: Workspace) -> None:
    run = workspace.runs / "r1"
    audited = Audited.of(run, read_json(run / "run.json")["request"])
    with Steps() as steps, pytest.raises(EmptyResultError, match="cxr-audit decide r1 FINDING accepted"):
        steps.open(run, read_json(run / "run.json")["request"])
        _plan(audited, None, "none", "cpu", steps)


@pytest.mark.slow
def test_the_command(workspace: Workspace, prefect_environment: dict[str, str]) -> None:
    def cleanse(*options: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).parent / "cxr-audit"), "cleanse", "r1", "--workspace", str(workspace.path)]
        return subprocess.run(
            [*command, *options], env=prefect_environment, capture_output=True, text=True, check=False
        )

    decided(workspace.runs / "r1", F1="accepted")
    reviewed(workspace.runs / "r1")
    shown = cleanse("--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert "reviewer ann" in shown.stdout
    assert [path.name for path in (workspace.datasets / "study").iterdir()] == ["v0"]

    result = json.loads(cleanse("--json").stdout)
    assert result["changed"]["covid"]["images"] == 6
    cleansed = DatasetVersion(Path(result["version"]))
    lineage = read_json(cleansed.path / "lineage.json")
    assert (lineage["parent"], lineage["plan"]) == ("v0", Plan.read(Path(result["plan"])).identity())
    assert cleansed.pixels(range(COUNT)).max() < 120
    assert cleansed.images["split"].tolist() == ["test"] * COUNT
    assert json.loads(cleanse("--json").stdout)["worked"] == 0
