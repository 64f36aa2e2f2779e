"""`cxr-audit export` and `cxr-audit diff` on a workspace with one cleansed run, and the run as a source."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from flows.__main__ import app
from pipeline.artifacts import read_json, write_json, write_parquet
from pipeline.cleanse import Plan, PlanLine, apply_plan, hold_back
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError
from pipeline.export import source_of_run, source_of_version
from pipeline.export.diff import changed_pixels
from pipeline.ingest import read_image
from tests.pipeline.export.films import LIMITS, MARK


@pytest.fixture
def run(study: DatasetVersion, regions: pd.DataFrame, tmp_path: Path) -> Path:
    """Markers removed, with decoys, by a person; the date is left for review."""
    folder = tmp_path / "runs" / "abc123"
    folder.mkdir(parents=True)
    lines = (
        PlanLine(finding="F01", kind="side", decided_by="reviewer A"),
        PlanLine(finding="F02", kind="date", decided_by="reviewer A", policy="review"),
    )
    plan = Plan(dataset="v0", fill="telea", dilation=1.0, lines=lines)
    plan.write(folder / "plan.yaml")
    found = regions.drop(columns="held_back")
    judged = hold_back(plan, found, study, None)
    write_parquet(folder / "regions.parquet", found)
    write_parquet(folder / "regions_planned.parquet", judged)
    cleansed = apply_plan(study, plan, judged, tmp_path / "datasets", decoys=True)
    write_json(folder / "versions.json", {"cleansed": cleansed.meta.version})
    write_json(folder / "run.json", {"request": {"dataset": "study/v0", "config": {}}, "artifacts": {}})
    return folder


def test_a_run_fills_at_full_size_what_its_version_lost(run: Path, tmp_path: Path, study: DatasetVersion) -> None:
    source = source_of_run(run, tmp_path / "datasets")
    cleansed = DatasetVersion(tmp_path / "datasets" / "study" / source.version)
    for row, image in enumerate(source.images()):
        lost = changed_pixels(study, cleansed, (row, row))
        shown = image.mask().reshape(48, 2, 64, 2).all(axis=(1, 3))  # stored pixels are 2 x 2 original ones
        assert lost.any()
        assert not (lost & ~shown).any()
        assert (lost == shown).mean() > 0.99


def test_a_run_knows_what_was_removed_held_back_and_by_whom(run: Path, tmp_path: Path) -> None:
    source = source_of_run(run, tmp_path / "datasets")
    told = source.regions[["kind", "removed", "held_back", "finding"]].drop_duplicates().set_index("kind")
    assert told.loc["side", ["removed", "finding"]].tolist() == [True, "F01"]
    assert pd.isna(told.loc["side", "held_back"])
    assert told.loc["date"].tolist() == [False, "review", "F02"]
    assert source.approved
    assert source.still_found is None
    write_json(run / "residual.json", {"still_found": 0})
    write_parquet(run / "residual.parquet", pd.DataFrame({"image_id": pd.Series([], dtype="string")}))
    assert source_of_run(run, tmp_path / "datasets").still_found == frozenset()


def test_a_plan_edited_since_is_refused(run: Path, tmp_path: Path) -> None:
    plan = Plan.read(run / "plan.yaml")
    plan.model_copy(update={"dilation": 5.0}).write(run / "plan.yaml")
    with pytest.raises(InputError, match=r"plan of run abc123 changed.*cxr-audit cleanse abc123"):
        source_of_run(run, tmp_path / "datasets")


def test_an_audit_without_repair_exports_what_was_audited(run: Path, tmp_path: Path) -> None:
    (run / "versions.json").unlink()
    source = source_of_run(run, tmp_path / "datasets")
    assert (source.version, source.plan) == ("v0", None)
    assert not source.regions["removed"].any()


def test_versions_lead_to_their_run_or_stand_alone(run: Path, tmp_path: Path) -> None:
    datasets, runs = tmp_path / "datasets", tmp_path / "runs"
    name = read_json(run / "versions.json")["cleansed"]
    assert source_of_version(datasets / "study" / name, runs).run == "abc123"
    assert source_of_version(datasets / "study" / "v0", runs).regions is None
    (run / "versions.json").unlink()
    with pytest.raises(InputError, match=r"derived \(cleansed\) from v0 and no run"):
        source_of_version(datasets / "study" / name, runs)


def test_export_command(run: Path, tmp_path: Path, data_root: Path) -> None:
    out = tmp_path / "out"
    asked = ["export", "abc", "--workspace", str(tmp_path), "--data-root", str(data_root), "--out", str(out)]
    asked += ["--workers", "1", "--json"]
    result = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert result.exit_code == 0
    state = json.loads(result.stdout)
    assert state["counts"]["images"] == {"all": 5, "changed": 5, "unchanged": 0, "decoys": 1}
    assert state["counts"]["regions"] == {"all": 5, "removed": 4, "held_back": 1, "left": 0}
    assert sorted(path.name for path in out.iterdir()) == [
        "coco.json", "dicom", "export.json", "images", "label_studio.json", "label_studio.xml", "masks", "metadata.csv",
    ]  # fmt: skip
    before = read_image(data_root / "b/three.png", LIMITS).pixels
    after = np.asarray(Image.open(out / "images/b/three.png"))
    assert after[MARK].max() < before[MARK].min()


def test_export_command_says_where_originals_should_be(run: Path, tmp_path: Path) -> None:
    asked = ["export", "abc", "--workspace", str(tmp_path), "--data-root", "/nowhere", "--out", str(tmp_path / "o")]
    with pytest.raises(InputError, match="--data-root /nowhere: no such folder"):
        CliRunner().invoke(app, asked, catch_exceptions=False)


def test_diff_command(run: Path, tmp_path: Path) -> None:
    name = read_json(run / "versions.json")["cleansed"]
    asked = ["diff", "v0", name[:6], "--workspace", str(tmp_path), "--out", str(tmp_path / "diff.html")]
    result = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert result.exit_code == 0
    assert "5 of 5 images in both versions changed" in result.stdout
    assert (tmp_path / "diff.html").read_text().count("<figure>") == 10
    told = json.loads(CliRunner().invoke(app, [*asked, "--json"], catch_exceptions=False).stdout)
    assert told["counts"]["changed"] == 5
