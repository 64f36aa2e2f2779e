"""Which trials are run: what is planted, how closely it goes with a class, and the controls beside it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle, islice
from typing import Literal, get_args

from pipeline.benchmark.planting import Place, Planter, Polarity, planter
from pipeline.randomness import numpy_generator

Arm = Literal["planted", "random", "none"]
"""planted: the mark goes with a class; random: the same mark on half of every class; none: no mark at all."""
Subset = Literal["full", "ci"]
SUBSETS: tuple[Subset, ...] = get_args(Subset)

CHARACTERS = ("word", "position", "side", "panel", "number", "date", "identifier")
FIGURES = ("arrow", "ruler", "border", "corner", "device")
TRAITS = ("exposure", "sharpness", "resolution", "compression")
"""Image-wide: without a place, and nothing that a fill could take out."""

AGAIN = (*CHARACTERS, "exposure")
"""Kinds planted a second time."""
STRONG = 0.9
"""A shortcut of at least this strength is one that an audit must not miss."""
STRONG_STRENGTHS, ALL_STRENGTHS = (1.0, 0.9), (0.6, 0.8, 0.9, 1.0)
REPLICATES = 8
"""Trainings without marks: each is the reference of some trials, and audited as a control of its own."""

SIZES = {"word": 0.06, "position": 0.06, "side": 0.09, "panel": 0.09, "number": 0.06, "date": 0.05, "identifier": 0.05}
"""Height of capitals as a share of the image's side: about twice the usual, because pictures are stored at half."""


@dataclass(frozen=True)
class Mark:
    """What is planted and how; `name` is one of `CHARACTERS`, `FIGURES` and `TRAITS`."""

    name: str
    polarity: Polarity
    place: Place

    @property
    def id(self) -> str:
        """Names it in files and tables."""
        return f"{self.name}-{self.polarity}" + ("" if self.is_trait else f"-{self.place}")

    @property
    def is_trait(self) -> bool:
        """Whether it changes the whole image."""
        return self.name in TRAITS

    @property
    def planter(self) -> Planter:
        """What plants it."""
        return planter(self.name, polarity=self.polarity, place=self.place, size=SIZES.get(self.name))


@dataclass(frozen=True)
class Trial:
    """One data set with a known shortcut or none, one classifier, one audit, one repair.

    Attributes:
        arm: see `Arm`.
        mark: what is planted; None in arm none.
        strength: P(mark | target) = strength, P(mark | the other class) = 1 - strength; 0.5 in arm random.
        target: index of the class that the mark goes with; None but in arm planted.
        replicate: seed of the training, and so the reference it is compared with.
    """

    arm: Arm
    mark: Mark | None = None
    strength: float | None = None
    target: int | None = None
    replicate: int = 0

    @property
    def id(self) -> str:
        """Names its record."""
        if self.arm == "planted":
            return f"{self._what}-{self.strength}-class{self.target}-r{self.replicate}"
        return f"{self._what}-{self.arm}-r{self.replicate}" if self.mark else f"none-r{self.replicate}"

    @property
    def _what(self) -> str:
        return self.mark.id if self.mark else "none"

    def chance(self, label: int, *, swapped: bool = False) -> float:
        """Probability of the mark on an image of class `label`; `swapped`: with the classes exchanged."""
        if self.arm != "planted" or self.strength is None:
            return 0.5 if self.arm == "random" else 0.0
        return self.strength if (label == self.target) != swapped else 1 - self.strength


def grid(seed: int, subset: Subset = "full") -> tuple[Trial, ...]:
    """The trials of one benchmark.

    Full, 24 planted and 24 controls: every kind planted strongly; those of `AGAIN` once more, for the other class, with
    a strength from the whole range; every kind at random; `REPLICATES` times nothing. `seed` deals out polarity, place,
    class and strength, evenly.
    ci: one kind, for either class, at random, and nothing.
    """
    if subset == "ci":
        mark = Mark("position", "bright", "fixed")
        return (
            Trial("planted", mark, 1.0, 0),
            Trial("planted", mark, 1.0, 1),
            Trial("random", mark, 0.5),
            Trial("none"),
        )
    marks = _marks(seed)
    generator = numpy_generator(seed, "shortcut trials")
    strong = generator.permutation(list(islice(cycle(STRONG_STRENGTHS), len(marks)))).tolist()
    other = dict(
        zip(AGAIN, generator.permutation(list(islice(cycle(ALL_STRENGTHS), len(AGAIN)))).tolist(), strict=True)
    )
    targets = generator.permutation(list(islice(cycle((0, 1)), len(marks)))).tolist()
    replicates = cycle(range(REPLICATES))
    first = zip(marks, strong, targets, strict=True)
    trials = [Trial("planted", mark, strength, target, next(replicates)) for mark, strength, target in first]
    trials += [
        Trial("planted", mark, other[mark.name], 1 - target, next(replicates))
        for mark, target in zip(marks, targets, strict=True)
        if mark.name in AGAIN
    ]
    trials += [Trial("random", mark, 0.5, None, next(replicates)) for mark in marks]
    return (*trials, *(Trial("none", replicate=number) for number in range(REPLICATES)))


def _marks(seed: int) -> list[Mark]:
    """One per kind: half of them bright, half of them at a fixed place, in characters and figures alike."""
    marks = []
    for names in (CHARACTERS, FIGURES, TRAITS):
        generator = numpy_generator(seed, "shortcut marks", names[0])
        ways: list[tuple[Polarity, Place]] = [
            *(("bright", "fixed"), ("dark", "random"), ("bright", "random"), ("dark", "fixed"))
        ]
        dealt = [ways[number % len(ways)] for number in generator.permutation(len(names))]
        marks += [Mark(name, polarity, place) for name, (polarity, place) in zip(names, dealt, strict=True)]
    return marks
