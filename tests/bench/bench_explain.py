"""How much iGOS++ costs beside the bare model passes it needs. Run: python tests/bench/bench_explain.py

Every call of the model during one run is recorded (batch size, with or without backward pass), then the same calls
are replayed on the bare model, interleaved with further runs. Prints one line and one JSON object per network.
A spread in `ratios` beyond a few percent means that something else used the machine: measure again.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

import models
from pipeline.explain import blurred_baseline, optimize_mask
from pipeline.explain.frozen import frozen

Call = tuple[int, bool]


def record_calls(model: nn.Module, run: Callable[[], Tensor]) -> list[Call]:
    """(batch size, with backward) of every call of `model` while `run` runs."""
    calls: list[Call] = []
    handle = model.register_forward_hook(lambda _, inputs, __: calls.append((len(inputs[0]), torch.is_grad_enabled())))
    try:
        run()
    finally:
        handle.remove()
    return calls


def replay(model: nn.Module, calls: list[Call], shape: tuple[int, ...]) -> None:
    """The same passes on ready-made input: nothing but the model."""
    inputs = {size: torch.randn(size, *shape, generator=torch.Generator().manual_seed(size)) for size, _ in calls}
    with frozen(model):
        for size, backward in calls:
            images = inputs[size].detach().requires_grad_(backward)
            with torch.set_grad_enabled(backward):
                score = model(images)[:, 0].sum()
            if backward:
                torch.autograd.grad(score, images)


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(name: str, *, size: int, images: int, iterations: int, repeats: int) -> dict[str, object]:
    """Times for one network on `images` images of `size` pixels."""
    torch.manual_seed(0)
    model, _ = models.build(name, classes=("a", "b"), input_size=(size, size))
    model.eval()
    batch = torch.randn(images, 1, size, size, generator=torch.Generator().manual_seed(1))
    baseline = blurred_baseline(batch)

    def explain() -> Tensor:
        return optimize_mask(model, batch, baseline, 1, ig_steps=20, iterations=iterations)

    calls = record_calls(model, explain)
    replay(model, calls[:8], batch.shape[1:])
    pairs = [(seconds(explain), seconds(lambda: replay(model, calls, batch.shape[1:]))) for _ in range(repeats)]
    ours, bare = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {
        "network": name,
        "size": size,
        "images": images,
        "forward_only": sum(count for count, backward in calls if not backward),
        "forward_backward": sum(count for count, backward in calls if backward),
        "igos_seconds": round(ours, 3),
        "bare_seconds": round(bare, 3),
        "ratio": round(statistics.median(a / b for a, b in pairs), 3),
        "ratios": [round(a / b, 3) for a, b in pairs],
        "threads": torch.get_num_threads(),
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=["small", "resnet18"])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--images", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    for name in options.networks:
        result = measure(
            name, size=options.size, images=options.images, iterations=options.iterations, repeats=options.repeats
        )
        sys.stdout.write(f"igos++ on {name}: {result['ratio']} x the bare model passes (at most 1.25 wanted)\n")
        sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
