"""`cxr-audit reconstruct`, from a file to pictures and numbers, on a tiny phantom data set."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from models import BundleCard, build, save_bundle
from pipeline.config import IngestConfig
from pipeline.dataset import DatasetVersion
from pipeline.ingest import ingest, load_manifest, read_rows
from pipeline.ingest.synthetic import PhantomSpec, generate

COMMAND = [str(Path(sys.executable).parent / "cxr-audit"), "reconstruct"]
HOLES = (50, 60, 70, 80, 90)


@dataclass(frozen=True)
class Study:
    """What the command needs: a classifier, a dataset version, an image."""

    model: Path
    dataset: DatasetVersion
    image: Path
    workspace: Path


@pytest.fixture(scope="module")
def study(tiny_manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("study")
    spec = PhantomSpec(images=24, other_source_images=0, size=96, mark="PORTABLE", format="png")
    root = generate(spec, folder / "phantoms")
    manifest = load_manifest(tiny_manifest)
    dataset = ingest(manifest, read_rows(manifest, root), root, folder / "datasets", IngestConfig(store_size=96), 0)
    network, contract = build("small", classes=dataset.meta.classes, input_size=(64, 64), seed=3, width=4)
    save_bundle(folder / "model", network, contract, BundleCard("1", "", "", "", "", "# Random weights\n"))
    image = next(p for p in sorted(root.rglob("*.png")))
    return Study(folder / "model", dataset, image, folder / "workspace")


def run(study: Study, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    paths = ["--model", study.model, "--dataset", study.dataset.path, "--workspace", study.workspace, "--out", out]
    tiny = ["--method", "grad-cam", "--candidates", "3", "--steps", "2", "--epochs", "1", "--device", "cpu"]
    command = [*COMMAND, str(study.image), *map(str, paths), *tiny, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_pictures_numbers_and_a_table_beside_the_papers(study: Study, tmp_path: Path) -> None:
    done = run(study, tmp_path / "a")
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout
    assert "one image of one class" in done.stdout
    numbers = json.loads((tmp_path / "a" / "reconstruction.json").read_text())
    assert [round(100 * hole["share_of_box"]) for hole in numbers["holes"]] == list(HOLES)
    for hole in numbers["holes"]:
        assert hole["classification_accuracy"] == pytest.approx(hole["accepted"] / 3)
        assert sum(hole["is_accepted"]) == hole["accepted"]
        assert all(0 <= score <= 1 for score in hole["scores"])
        assert hole["change_in_hole"] > 0
    pixels = [hole["pixels"] for hole in numbers["holes"]]
    assert pixels == sorted(pixels)
    for size in HOLES:
        with Image.open(tmp_path / "a" / f"hole-{size}.png") as sheet:
            assert len(sheet.convert("RGB").getcolors(1 << 24) or []) > 100

    again = run(study, tmp_path / "b", "--json")
    assert json.loads(again.stdout) == numbers
    models = list((study.workspace / "models" / f"{study.dataset.meta.name}-generator").iterdir())
    assert len(models) == 1  # trained once
    for size in HOLES:
        name = f"hole-{size}.png"
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [(("--class", "opactiy"), "Did you mean 'opacity'"), (("--method", "gradcam"), "Did you mean 'grad-cam'")],
)
def test_a_mistaken_name_is_found_before_anything_is_trained(
    study: Study, tmp_path: Path, options: tuple[str, str], message: str
) -> None:
    fresh = Study(study.model, study.dataset, study.image, tmp_path / "workspace")
    done = run(fresh, tmp_path / "out", *options)
    assert done.returncode == 1
    assert message in " ".join(done.stderr.split())
    assert not (tmp_path / "workspace").exists()
    assert not (tmp_path / "out").exists()
