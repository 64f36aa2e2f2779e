"""Mutations: one number decides one of them, so that a failing input is a base and a few numbers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from tests.fuzz import binary, dicom, markup
from tests.fuzz.bases import base, made, real

IMAGES: Final = ("dicom", "png", "jpeg", "webp", "tiff", "gif", "bmp")
TEXTS: Final = ("manifest", "table", "covidx", "recipe")
KINDS: Final = (*IMAGES, *TEXTS)
SHARES: Final = dict(zip(KINDS, (30, 15, 15, 4, 8, 1, 1, 14, 8, 2, 2), strict=True))
"""Percent of the inputs of a run."""
MOST_STEPS: Final = 5


@dataclass(frozen=True)
class Input:
    """A mutated file, as what it is made of: a base and the mutations applied to it, one after the other."""

    kind: str
    base: str
    steps: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.kind}|{self.base}|{' '.join(map(str, self.steps))}"

    @classmethod
    def parse(cls, line: str) -> Input:
        """The input that a line, as `str` writes it, stands for."""
        kind, name, steps = line.strip().split("|")
        return cls(kind, name, tuple(map(int, steps.split())))

    @classmethod
    def drawn(cls, seed: int, number: int, kinds: tuple[str, ...] = KINDS, *, from_real: bool = True) -> Input:
        """Input `number` of the run with this `seed`. A third are mutations of real files, where there are any."""
        rng = random.Random(f"{seed} {number}")
        kind = rng.choices(kinds, [SHARES[kind] for kind in kinds])[0]
        names = list(made(kind))
        if from_real and real(kind) and rng.random() < 1 / 3:
            names = list(real(kind))
        steps = rng.choices(range(1, MOST_STEPS + 1), (40, 25, 15, 12, 8))[0]
        return cls(kind, rng.choice(names), tuple(rng.getrandbits(32) for _ in range(steps)))

    def bytes(self) -> bytes:
        """The mutated file."""
        data = base(self.kind, self.base)
        for step in self.steps:
            data = mutated(data, self.kind, random.Random(step))
        return data

    def without(self, position: int) -> Input:
        """The same without one of its mutations."""
        return Input(self.kind, self.base, self.steps[:position] + self.steps[position + 1 :])


def mutated(data: bytes, kind: str, rng: random.Random) -> bytes:
    """One mutation of `data`: of its structure as often as of its bytes."""
    if rng.random() < 0.1:
        return binary.spliced(data, rng.choice(list(made(kind).values())), rng)
    if rng.random() < 0.4:
        return binary.mutated(data, rng)
    if kind in TEXTS:
        return markup.mutated(data, rng)
    return dicom.mutated(data, rng) if kind == "dicom" else binary.restructured(data, kind, rng)
