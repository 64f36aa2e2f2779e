"""One phantom: a generated chest x-ray with a known label and known marks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import cv2
import numpy as np

from pipeline.errors import InputError
from pipeline.ingest.synthetic.anatomy import AIR_DEPTH, Body, Chest, View, build_chest
from pipeline.ingest.synthetic.canvas import Plane, Pose
from pipeline.ingest.synthetic.disease import Mask, add_distractor, add_opacities
from pipeline.ingest.synthetic.film import UNIT_A, UNIT_B, expose
from pipeline.ingest.synthetic.marks import HABITS_A, HABITS_B, PlantedMark, Printer
from pipeline.randomness import numpy_generator

Source = Literal["phantom-a", "phantom-b"]
POSITIVE, NEGATIVE = "opacity", "clear"
SECOND_IMAGE = 0.3
"""Share of patients with two images."""
LUNG_AIR = 0.3
"""Lung is where the beam passes at least this share of the greatest depth of air: not through the heart, nor through
the thin rim behind the diaphragm."""


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

    Raises:
        InputError: a value is out of range.
    """

    images: int = 480
    other_source_images: int = 120
    size: int = 512
    strength: float = 0.9
    mark: str = "PORTABLE"
    format: Literal["dicom", "png"] = "dicom"
    honest_signal: float = 0.6
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("images", 0, 1_000_000),
            ("other_source_images", 0, 1_000_000),
            ("size", 64, 4096),
            ("strength", 0, 1),
            ("honest_signal", 0, 1),
        ):
            if not low <= getattr(self, name) <= high:
                raise InputError(f"phantoms: {name} must lie in {low}..{high}, found {getattr(self, name)!r}.")
        if not self.mark.strip() or not self.mark.isascii() or not self.mark.isprintable():
            raise InputError(f"phantoms: mark must be printable ASCII text, found {self.mark!r}.")
        if self.format not in ("dicom", "png"):
            raise InputError(f"phantoms: format must be dicom or png, found {self.format!r}.")


@dataclass(frozen=True)
class Phantom:
    """A generated x-ray and its truth. `image`: float32 (size, size) in [0, 1], bright = dense.

    `lungs`: (size, size), the lung fields as a person would draw them, diseased parts included.
    """

    image: Plane
    label: str
    marks: tuple[PlantedMark, ...]
    opacities: Mask
    lungs: Mask
    patient: str
    sex: Literal["F", "M"]
    age: int
    view: View


@cache
def _cohort(seed: int, source: Source, count: int) -> tuple[tuple[int, bool], ...]:
    """Patient number and class of each image.

    Patients come in pairs, one of each class and as many images, so the classes are balanced for any even `count`.
    """
    rng = numpy_generator(seed, "patients", source)
    images: list[tuple[int, bool]] = []
    first = 0
    while len(images) < count:
        first_is_positive = bool(rng.random() < 0.5)
        pair = [(first, first_is_positive), (first + 1, not first_is_positive)]
        images += pair * (2 if rng.random() < SECOND_IMAGE else 1)
        first += 2
    return tuple(images[:count])


def render(spec: PhantomSpec, index: int, source: Source, *, with_marks: bool = True) -> Phantom:
    """The phantom number `index` of `source`; depends on nothing but its arguments.

    Args:
        spec: what is generated.
        index: in 0..images-1 (phantom-a) or 0..other_source_images-1 (phantom-b).
        source: which hospital.
        with_marks: False leaves the film unprinted, everything else being equal.
    """
    count = spec.images if source == "phantom-a" else spec.other_source_images
    number, positive = _cohort(spec.seed, source, count)[index]
    person = numpy_generator(spec.seed, "person", source, number)
    sex: Literal["F", "M"] = "F" if person.random() < 0.5 else "M"
    age = int(person.integers(20, 90))
    body = Body.draw(person, sex)
    rng = numpy_generator(spec.seed, "image", source, index)
    view: View = "AP" if rng.random() < 0.5 else "PA"
    chest = build_chest(spec.size, body, Pose.draw(rng), view, rng)
    disease = numpy_generator(spec.seed, "disease", source, index)
    opacities: Mask = np.zeros(chest.air.shape, dtype=bool)
    if positive:
        attenuation, opacities = add_opacities(chest, spec.honest_signal, disease)
    else:
        attenuation = add_distractor(chest, spec.honest_signal, disease)
    image = expose(attenuation, UNIT_A if source == "phantom-a" else UNIT_B, rng)
    printer = _layout(spec, index, source, positive)
    return Phantom(
        image=printer.print_on(image) if with_marks else image,
        label=POSITIVE if positive else NEGATIVE,
        marks=printer.marks if with_marks else (),
        opacities=opacities,
        lungs=_lungs(chest),
        patient=f"{source}-{number:05d}",
        sex=sex,
        age=age,
        view=view,
    )


def _lungs(chest: Chest) -> Mask:
    aerated = (chest.air > LUNG_AIR * AIR_DEPTH).astype(np.uint8)
    across = max(chest.canvas.size // 32, 1)  # wider than any vessel
    return cv2.morphologyEx(aerated, cv2.MORPH_CLOSE, np.ones((across, across), np.uint8)) > 0


def _layout(spec: PhantomSpec, index: int, source: Source, positive: bool) -> Printer:
    habits = HABITS_A if source == "phantom-a" else HABITS_B
    printer = Printer(spec.size, habits, numpy_generator(spec.seed, "marks", source, index))
    printer.side_markers(spec.mark)
    printer.incidental(spec.mark)
    tie = spec.strength if source == "phantom-a" else 0.0
    share = (1 + tie) / 2 if positive else (1 - tie) / 2
    if numpy_generator(spec.seed, "tied mark", source, index).random() < share:
        printer.tied(spec.mark)
    return printer
