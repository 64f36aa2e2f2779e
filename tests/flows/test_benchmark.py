"""`cxr-audit benchmark explainers` from phantoms to a page, as it is typed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from models import BundleCard, build, save_bundle
from pipeline.artifacts import sha256_file
from pipeline.benchmark import planted_marks
from pipeline.config import IngestConfig
from pipeline.dataset import DatasetVersion
from pipeline.explain import available
from pipeline.ingest import find_manifest, ingest, read_rows
from pipeline.ingest.synthetic import PhantomSpec, generate
from tests.studies import phantom_study

pytestmark = pytest.mark.slow

COMMAND = [str(Path(sys.executable).parent / "cxr-audit"), "benchmark", "explainers"]
MANIFEST = phantom_study("tiny", images=40, other_source_images=2, size=128, strength=0.9, honest_signal=0.6)


@dataclass(frozen=True)
class Subject:
    bundle: Path
    dataset: Path

    def command(self, out: Path, *more: str) -> list[str]:
        return [*COMMAND, "--model", str(self.bundle), "--dataset", str(self.dataset), "--out", str(out),
                "--explainers", "gradient,grad-cam", "--images", "4", "--stability-images", "0", *more]  # fmt: skip


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Forty phantoms in a workspace, and an untrained network: what it reads is unknown, so no mark decides."""
    workspace = tmp_path_factory.mktemp("workspace")
    (workspace / "tiny.yaml").write_text(MANIFEST)
    manifest = find_manifest(str(workspace / "tiny.yaml"))
    root = generate(
        PhantomSpec(images=40, other_source_images=2, size=128, format="png"), workspace / "generated" / "aa"
    )
    config = IngestConfig(store_size=64)
    dataset = ingest(manifest, read_rows(manifest, root), root, workspace / "datasets", config, 0)
    model, spec = build("small", classes=("clear", "opacity"), input_size=(32, 32), width=4)
    card = BundleCard("1.0", "task", "description", "research", "data", "# Card\n")
    save_bundle(workspace / "bundle", model, spec, card)
    return Subject(workspace / "bundle", dataset.path)


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_list_says_what_there_is() -> None:
    result = run(*COMMAND, "--list", "--json")
    listed = {entry["name"]: entry for entry in json.loads(result.stdout)}
    assert tuple(listed) == available()
    assert listed["random"]["trivial"]
    assert listed["grad-cam"]["needs"] == "layers"
    assert "grad-cam" in run(*COMMAND, "--list").stdout


def test_without_a_model_it_is_a_usage_error() -> None:
    result = run(*COMMAND)
    assert result.returncode == 2
    assert "--model" in result.stderr


def test_an_unknown_explainer_is_refused_before_anything_is_computed(subject: Subject, tmp_path: Path) -> None:
    result = run(*subject.command(tmp_path / "out", "--explainers", "grad-can"))
    assert result.returncode == 1
    assert "grad-cam" in result.stderr
    assert not (tmp_path / "out").exists()


def test_marks_of_ingested_phantoms_are_found(subject: Subject) -> None:
    dataset = DatasetVersion(subject.dataset)
    marks = planted_marks(dataset)
    assert marks is not None
    assert set(marks) <= set(dataset.images["path"])


@pytest.mark.slow
def test_from_phantoms_to_a_page(subject: Subject, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run(*subject.command(out, "--json"))
    assert result.returncode == 0, result.stderr
    rows = {row["explainer"]: row for row in json.loads(result.stdout)}
    assert list(rows) == ["gradient", "grad-cam", "random", "centre", "edges"]
    assert all(row["images"] == 4 and row["failed"] == 0 for row in rows.values())
    assert rows["gradient"]["enrichment"] is None
    assert rows["gradient"]["enrichment_n"] == 0
    assert 0 <= rows["gradient"]["igos_deletion"] <= 1
    assert len(pd.read_parquet(out / "explainers.parquet")) == 5 * 4
    assert "Tiny phantoms" in (out / "index.html").read_text()
    assert (out / "maps.png").read_bytes().startswith(b"\x89PNG")
    assert "5 explainers, at most 4 images" in result.stderr


@pytest.mark.slow
def test_sigkill_and_the_same_command_end_with_the_same_bytes(subject: Subject, tmp_path: Path) -> None:
    assert run(*subject.command(tmp_path / "whole")).returncode == 0
    out = tmp_path / "cut"
    process = subprocess.Popen(
        subject.command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not any(out.glob("units/grad-cam/*")):
        assert process.poll() is None, "the command ended before it could be killed"
        assert time.monotonic() < deadline, "the second explainer was never reached"
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "index.html").exists()
    assert run(*subject.command(out)).returncode == 0
    for name in ("explainers.parquet", "summary.parquet", "maps.png"):
        assert sha256_file(out / name) == sha256_file(tmp_path / "whole" / name), name


@pytest.mark.slow
def test_options_reach_the_explainer_and_wrong_ones_are_named(subject: Subject, tmp_path: Path) -> None:
    out = tmp_path / "out"
    more = ["--explainers", "rise", "--option", "rise.masks=10", "--option", "rise.keep=0.3"]
    subprocess.run(subject.command(out, *more), check=True, capture_output=True)
    table = pd.read_parquet(out / "explainers.parquet")
    assert set(table.loc[table["explainer"] == "rise", "forward"]) == {10}
    for text, message in (("rise.masks", "NAME.KEY=VALUE"), ("rize.masks=3", "Did you mean 'rise'")):
        failed = subprocess.run(subject.command(out, "--option", text), capture_output=True, text=True, check=False)
        assert failed.returncode in (1, 2)
        assert message in " ".join(failed.stderr.replace("│", " ").split())
