"""All planters by name."""

from __future__ import annotations

from pipeline.benchmark.planting.film import FILM, FilmPlanter
from pipeline.benchmark.planting.marks import MARK_KINDS, MarkPlanter
from pipeline.benchmark.planting.planted import Place, Planter, Polarity
from pipeline.benchmark.planting.traits import SIZED_TRAITS, TRAITS, TraitPlanter
from pipeline.errors import InputError, did_you_mean

PLANTERS: tuple[str, ...] = (*MARK_KINDS, *FILM, *TRAITS)
"""Names of all planters."""
_WRITING = tuple(name for name, made in MARK_KINDS.items() if made.write)


def planter(
    name: str,
    *,
    polarity: Polarity = "bright",
    place: Place = "fixed",
    size: float | None = None,
    text: str | None = None,
    angle: float | None = None,
) -> Planter:
    """The planter called `name`.

    Args:
        name: one of `PLANTERS`.
        polarity: bright or dark ink; of exposure, the way it goes. The other image-wide traits have none.
        place: see `Place`. Borders and corners stand at the top (left) when fixed and at any side (corner) otherwise;
            image-wide traits have no place.
        size: height of capitals, extent of a figure or corner, thickness of a band, sigma of the blur (sharpness) or
            side of a coarse pixel (resolution), as a share of the image's longer side; the usual one if None.
        text: what to write; else drawn per mark from the texts of its kind. The kind stays the planter's: PORTABLE is
            for `position`, words that say nothing of how the patient was placed are for `word`.
        angle: of a mark, degrees counter-clockwise; None: as such marks usually stand (side markers often a little
            askew).

    Raises:
        InputError: there is no such planter, or it takes no such option.
    """
    if name not in PLANTERS:
        raise InputError(f"There is no planter {name!r}. {did_you_mean(name, PLANTERS)}")
    _refuse(name, "text", text, _WRITING)
    _refuse(name, "angle", angle, tuple(MARK_KINDS))
    _refuse(name, "size", size, (*MARK_KINDS, *FILM, *SIZED_TRAITS))
    if size is not None and not 0 < size <= 1:
        raise InputError(f"size is {size}, but it is a share of the longer side: more than 0, at most 1.")
    if name in TRAITS:
        return TraitPlanter(name, polarity, size)
    if name in FILM:
        return FilmPlanter(name, polarity, place, size)
    return MarkPlanter(name, MARK_KINDS[name], polarity, place, size, text, angle)


def _refuse(name: str, option: str, value: object, takers: tuple[str, ...]) -> None:
    if value is not None and name not in takers:
        raise InputError(f"The planter {name!r} takes no {option}. Leave it out; {', '.join(takers)} take one.")
