"""One phantom: a generated chest x-ray with a known label and known marks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from pipeline.ingest.synthetic.anatomy import Body, Plane, Pose, build_chest, film
from pipeline.ingest.synthetic.disease import Mask, add_distractor, add_opacities
from pipeline.ingest.synthetic.marks import SOURCE_A, SOURCE_B, PlantedMark, Printer
from pipeline.randomness import numpy_generator

Source = Literal["phantom-a", "phantom-b"]
POSITIVE, NEGATIVE = "opacity", "clear"
SECOND_IMAGE = 0.3
"""Share of patients with two images."""


@dataclass(frozen=True)
class PhantomSpec:
    """What is generated.

    Attributes:
        images: of source phantom-a, which is trained on.
        other_source_images: of source phantom-b: other exposure, noise and print, mark independent of the class.
        size: side of the square images, pixels.
        strength: how strongly `mark` is tied to the positive class in phantom-a, in [0, 1]:
            P(mark | positive) = (1 + strength) / 2, P(mark | negative) = (1 - strength) / 2.
        mark: the word that is printed.
        format: of the files.
        honest_signal: visibility of the opacities, in [0, 1].
        seed: everything derives from it.
    """

    images: int = 480
    other_source_images: int = 120
    size: int = 512
    strength: float = 0.9
    mark: str = "PORTABLE"
    format: Literal["dicom", "png"] = "dicom"
    honest_signal: float = 0.6
    seed: int = 0


@dataclass(frozen=True)
class Phantom:
    """A generated x-ray and its truth. `image`: float32 (size, size) in [0, 1], bright = dense."""

    image: Plane
    label: str
    marks: tuple[PlantedMark, ...]
    opacities: Mask
    patient: str
    sex: Literal["F", "M"]
    age: int
    view: Literal["AP", "PA"]


@cache
def _patients(seed: int, source: Source, count: int) -> tuple[int, ...]:
    """Patient number of each image: some have two images in a row."""
    rng = numpy_generator(seed, "patients", source)
    numbers: list[int] = []
    patient = 0
    while len(numbers) < count:
        numbers += [patient] * (2 if rng.random() < SECOND_IMAGE else 1)
        patient += 1
    return tuple(numbers[:count])


def render(spec: PhantomSpec, index: int, source: Source, *, with_marks: bool = True) -> Phantom:
    """The phantom number `index` of `source`; depends on nothing but its arguments.

    Args:
        spec: what is generated.
        index: in 0..images-1 (phantom-a) or 0..other_source_images-1 (phantom-b).
        source: which hospital.
        with_marks: False leaves the film unprinted, everything else being equal.
    """
    count = spec.images if source == "phantom-a" else spec.other_source_images
    number = _patients(spec.seed, source, count)[index]
    person = numpy_generator(spec.seed, "person", source, number)
    body = Body.draw(person)
    sex: Literal["F", "M"] = "F" if person.random() < 0.5 else "M"
    age = int(person.integers(20, 90))
    positive = number % 2 == 0
    rng = numpy_generator(spec.seed, "image", source, index)
    chest = build_chest(spec.size, body, Pose.draw(rng), rng)
    opacities: Mask = np.zeros(chest.lungs.shape, dtype=bool)
    if positive:
        attenuation, opacities = add_opacities(chest, spec.honest_signal, rng)
    else:
        attenuation = add_distractor(chest, spec.honest_signal, rng)
    image = _expose(attenuation, source, rng)
    printer = Printer(
        image, SOURCE_A if source == "phantom-a" else SOURCE_B, numpy_generator(spec.seed, "marks", source, index)
    )
    if with_marks:
        _print(printer, spec, source, positive, numpy_generator(spec.seed, "mark choice", source, index))
    view: Literal["AP", "PA"] = "AP" if rng.random() < 0.5 else "PA"
    label = POSITIVE if positive else NEGATIVE
    return Phantom(printer.image, label, tuple(printer.marks), opacities, f"{source}-{number:05d}", sex, age, view)


def _expose(attenuation: Plane, source: Source, rng: np.random.Generator) -> Plane:
    if source == "phantom-a":
        return film(
            attenuation,
            rng,
            exposure=rng.uniform(0.52, 0.64),
            contrast=rng.uniform(4.0, 5.2),
            noise=rng.uniform(0.02, 0.035),
        )
    return film(
        attenuation,
        rng,
        exposure=rng.uniform(0.46, 0.60),
        contrast=rng.uniform(3.4, 4.4),
        noise=rng.uniform(0.03, 0.05),
    )


def _print(printer: Printer, spec: PhantomSpec, source: Source, positive: bool, choice: np.random.Generator) -> None:
    tie = spec.strength if source == "phantom-a" else 0.0
    # The tied mark goes first: it always finds room, so its frequency is exactly as asked.
    if choice.random() < (1 + tie) / 2 if positive else choice.random() < (1 - tie) / 2:
        printer.stamp(spec.mark)
    printer.side_marker()
    printer.incidental()
