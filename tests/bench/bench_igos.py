"""iGOS++ as published, our own at the same settings, and the fast preset: time, evaluations, faithfulness.

Run: python -m tests.bench igos [-- RUN ...], where RUN is the folder of a finished audit (default: the newest one of
./workspace, which `make demo` makes). Images are test images whose predicted class has a probability of 0.6 at least.
All three explain the same images; times are of one process after the other, in turns, so read them as ratios.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from flows.workspace import Workspace
from pipeline.artifacts import read_json
from pipeline.dataset import DatasetVersion
from pipeline.explain import blurred_baseline, choose_rows, create, deletion_insertion
from pipeline.explain.frozen import frozen
from pipeline.explain.igos_objective import upsample
from pipeline.inference import predict
from pipeline.train import load_classifier
from tests.bench.published_loop import explain_one_by_one

KINDS = ("seconds_per_image", "cpu_seconds_per_image")
"""By the clock; and processor time, which other work on the machine disturbs less."""


def newest_run(workspace: Path = Path("workspace")) -> Path:
    """The run that was written last."""
    runs = sorted(workspace.glob("runs/*/run.json"), key=lambda path: path.stat().st_mtime)
    if not runs:
        raise SystemExit(f"No finished run in {workspace}: `make demo` makes one, or name the folder of another.")
    return runs[-1].parent


def measure(run: Path, images: int) -> dict[str, object]:
    """Everything for the classifier and the data of one run."""
    request, workspace = read_json(run / "run.json")["request"], Workspace(run.parent.parent)
    dataset = DatasetVersion(workspace.datasets / request["dataset"])
    model, spec = load_classifier(workspace.models / request["bundle"])
    probabilities = predict(model, spec, dataset, dataset.rows("test"))
    rows = choose_rows(dataset, probabilities, images=images, seed=0)
    batch = spec.preprocess(dataset.tensor(rows))
    target = torch.softmax(model(batch), dim=1).argmax(dim=1)
    baseline = blurred_baseline(batch)
    model.requires_grad_(False)  # as the authors do; a backward pass to the weights would be wasted on them
    explainers = {preset: create("igos++", model, spec, preset=preset) for preset in ("full", "fast")}
    ways: dict[str, Callable[[], Tensor]] = {
        "published": lambda: upsample(1 - explain_one_by_one(model, batch, baseline, target), batch.shape[-2:]),
        **{name: (lambda e=explainer: e.attribute(batch, target)) for name, explainer in explainers.items()},  # type: ignore[misc]
    }
    result: dict[str, object] = {
        "network": spec.name,
        "size": spec.input_size,
        "images": len(rows),
        "threads": torch.get_num_threads(),
    }
    for name, way in ways.items():
        torch.manual_seed(0)
        counter = _Counter(model)
        wall, processor = time.perf_counter(), time.process_time()
        saliency = way()
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        result[name] = {
            "seconds_per_image": round(wall / len(rows), 3),
            "cpu_seconds_per_image": round(processor / len(rows), 3),
            **counter.per_image(len(rows)),
            **_faithfulness(model, batch, baseline, saliency, target),
        }
    return result


class _Counter:
    """Images that go through the model, with and without a backward pass."""

    def __init__(self, model: nn.Module) -> None:
        self._counts = [0, 0]
        self._handle = model.register_forward_hook(self._count)

    def _count(self, _module: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        self._counts[int(torch.is_grad_enabled())] += len(inputs[0])

    def per_image(self, images: int) -> dict[str, float]:
        self._handle.remove()
        return {"forward": round(sum(self._counts) / images), "backward": round(self._counts[1] / images)}


def _faithfulness(
    model: nn.Module, images: Tensor, baseline: Tensor, saliency: Tensor, target: Tensor
) -> dict[str, float]:
    grid = torch.nn.functional.adaptive_avg_pool2d(saliency, 28)
    with frozen(model):
        curves = deletion_insertion(model, images, baseline, grid, target)
    return {
        "deletion": round(curves.deletion_auc.mean().item(), 4),
        "insertion": round(curves.insertion_auc.mean().item(), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--images", type=int, default=4)
    options = parser.parse_args()
    for run in options.runs or [newest_run()]:
        result = measure(run, options.images)
        published, full, fast = (result[name] for name in ("published", "full", "fast"))
        ratios = [published[kind] / own[kind] for kind in KINDS for own in (full, fast)]  # type: ignore[index]
        sys.stdout.write(
            f"igos++ on {result['network']}: full {ratios[0]:.2f} x and fast {ratios[1]:.2f} x as fast as the "
            f"published loop by the clock, {ratios[2]:.2f} x and {ratios[3]:.2f} x by processor time; "
            f"{(full['forward'] + full['backward']) / (fast['forward'] + fast['backward']):.1f} x fewer evaluations\n"  # type: ignore[index]
        )
        sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
