"""Small classifiers of a glyph of one grey value: the worlds in which input bias is measured.

An image is noisy middle grey. Class 1 shows an 8 x 8 glyph somewhere, class 0 the same pixels permuted: only the
texture tells them apart, not brightness or place. The evidence is the glyph's inked pixels, all of one grey value. One
world is made for each value, one of them the value that becomes network input 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import EmptyResultError
from pipeline.progress import Progress, silent
from pipeline.randomness import derive_seed, torch_generator

SIZE = 32
"""Side of an image, pixels."""
GLYPH = 8
BACKGROUND = 0.5
NOISE = 0.03
"""Standard deviation of the background, intensity."""
ZERO = 0.2
"""The intensity that becomes network input 0: not the background's, or evidence of that value could not be seen."""
VALUES = (0.0, 0.1, ZERO, 0.8, 0.9, 1.0)
"""Intensities that the glyph takes: none close to the background, where networks learn another, weaker solution."""
ENOUGH = 0.99
"""Accuracy at which training ends."""
MOST_STEPS = 1500
SPEC = ModelSpec("glyph-network", ("permuted", "glyph"), (SIZE, SIZE), mean=ZERO, std=0.25)

_STROKES = ("11111111", "10000001", "10111101", "10100001", "10101111", "10100000", "10111111", "10000000")
"""A spiral: 1 is ink."""


class GlyphNetwork(nn.Module):
    """Three convolutions with ReLU and the largest response anywhere; everything every kind of explainer needs."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
        )
        self.pool = nn.AdaptiveMaxPool2d(1)
        self.classifier = nn.Linear(32, 2)

    def forward(self, images: Tensor) -> Tensor:
        """Network input (B, 1, H, W) -> logits (B, 2)."""
        return self.classifier(self.pool(self.features(images)).flatten(1))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class GlyphWorld:
    """A classifier and images whose evidence has one grey value.

    Attributes:
        value: intensity of the evidence.
        model: tells class 1 from class 0 with accuracy >= `ENOUGH`.
        spec: its contract.
        images: network input of class 1, (B, 1, `SIZE`, `SIZE`).
        evidence: the inked pixels, bool, same shape.
    """

    value: float
    model: nn.Module
    spec: ModelSpec
    images: Tensor
    evidence: Tensor


def glyph_worlds(
    *, seed: int, values: tuple[float, ...] = VALUES, images: int = 8, progress: Progress = silent
) -> tuple[GlyphWorld, ...]:
    """One world per value with `images` images of class 1 each; a few seconds per value on one core.

    Raises:
        EmptyResultError: a network did not learn its glyph.
    """
    worlds = []
    for done, value in enumerate(values):
        progress("glyphs", done, len(values))
        model = _trained(value, seed)
        scene = draw(value, images, torch_generator(seed, "glyphs", "explained", str(value)))
        shown = scene.labels == 1
        worlds.append(GlyphWorld(value, model, SPEC, scene.inputs[shown], scene.evidence[shown]))
    progress("glyphs", len(values), len(values))
    return tuple(worlds)


@dataclass(frozen=True)
class Scene:
    """Network input (B, 1, H, W), int64 labels (B,) and inked pixels, bool (B, 1, H, W)."""

    inputs: Tensor
    labels: Tensor
    evidence: Tensor


def draw(value: float, per_class: int, generator: torch.Generator) -> Scene:
    """`per_class` images of each class, the glyph at `value`."""
    count = 2 * per_class
    labels = torch.arange(count) % 2
    ink = torch.tensor([[stroke == "1" for stroke in row] for row in _STROKES]).flatten()
    order = torch.rand(count, GLYPH * GLYPH, generator=generator).argsort(dim=1)
    tiles = torch.where(labels[:, None] == 1, ink.expand(count, -1), ink[order])
    evidence = torch.zeros(count, 1, SIZE, SIZE, dtype=torch.bool)
    corners = torch.randint(2, SIZE - GLYPH - 1, (count, 2), generator=generator)
    for canvas, tile, (top, left) in zip(evidence, tiles, corners.tolist(), strict=True):
        canvas[0, top : top + GLYPH, left : left + GLYPH] = tile.view(GLYPH, GLYPH)
    grey = (BACKGROUND + NOISE * torch.randn(evidence.shape, generator=generator)).clamp(0, 1)
    return Scene(SPEC.normalise(torch.where(evidence, value, grey)), labels, evidence)


def random_network(seed: int) -> nn.Module:
    """An untrained `GlyphNetwork`."""
    # torch's initialisers only know the global generator: seed a fork of it.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, "glyphs", "weights"))
        return GlyphNetwork().eval()


def _trained(value: float, seed: int) -> nn.Module:
    model = random_network(seed)
    generator = torch_generator(seed, "glyphs", "training", str(value))
    held_out = draw(value, 256, torch_generator(seed, "glyphs", "validation", str(value)))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(1, MOST_STEPS + 1):
        scene = draw(value, 32, generator)
        loss = functional.cross_entropy(model(scene.inputs), scene.labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step % 50 == 0 and _accuracy(model, held_out) >= ENOUGH:
            return model
    raise EmptyResultError(
        f"The network for glyphs of intensity {value} reached {_accuracy(model, held_out):.1%} after {MOST_STEPS} "
        f"steps, {ENOUGH:.0%} needed. Choose a value further from the background, {BACKGROUND}, or another seed."
    )


def _accuracy(model: nn.Module, scene: Scene) -> float:
    with torch.no_grad():
        return float((model(scene.inputs).argmax(dim=1) == scene.labels).float().mean())
