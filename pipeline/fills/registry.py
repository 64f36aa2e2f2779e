"""All removal operators by name."""

from __future__ import annotations

from pathlib import Path

from pipeline.artifacts import sha256_artifact
from pipeline.errors import InputError, did_you_mean
from pipeline.fills.contract import Fill, by_plane
from pipeline.fills.diffusion import biharmonic, navier_stokes, telea
from pipeline.fills.learned import learned
from pipeline.fills.local import blur, mean, median, noise
from pipeline.fills.torchscript import torchscript

LEARNED = "learned"
TORCHSCRIPT = "torchscript"

_PLAIN: dict[str, Fill] = {
    "biharmonic": by_plane(biharmonic),
    "blur": by_plane(blur),
    "mean": by_plane(mean),
    "median": by_plane(median),
    "navier-stokes": by_plane(navier_stokes),
    "noise": noise,
    "telea": by_plane(telea),
}


def available_fills() -> tuple[str, ...]:
    """Names of the fills that need no network; `fill` accepts the others besides."""
    return tuple(sorted(_PLAIN))


def fill(name: str, bundles: Path | None = None) -> Fill:
    """The removal operator called `name`.

    * ``mean``, ``median``: each connected region becomes that of the ring around it; ``noise``: Gaussian noise with the
      ring's mean and deviation;
    * ``blur``: Gaussian average of the pixels outside (normalised convolution);
    * ``telea``, ``navier-stokes``, ``biharmonic``: the surroundings continued inwards;
    * ``learned``: the shipped inpainter; ``learned:FOLDER``: that of a bundle;
    * ``torchscript:FILE``: a network in the form of LaMa, see `pipeline.fills.torchscript`.

    Args:
        name: as above.
        bundles: where FOLDER and FILE are looked for unless they are absolute; the working directory when None.

    Raises:
        InputError: no such fill, or its file cannot be used.
        ModelError: a bundle cannot be loaded.
    """
    if name in _PLAIN:
        return _PLAIN[name]
    kind, path = _parsed(name, bundles)
    return torchscript(path) if kind == TORCHSCRIPT and path else learned(path)


def fill_version(name: str, bundles: Path | None = None) -> str | None:
    """Sha256 of the weights behind `name`; None for fills that have none, whose code says all about them.

    What was filled belongs under another name once this changes.

    Raises:
        InputError: no such fill, or its weights cannot be found.
    """
    if name in _PLAIN:
        return None
    from models.inpainters import SHIPPED  # the package loads slowly

    path = _parsed(name, bundles)[1] or SHIPPED
    if not path.exists():
        raise InputError(f"The fill {name!r} needs {path}, which does not exist.")
    return sha256_artifact(path)


def _parsed(name: str, bundles: Path | None) -> tuple[str, Path | None]:
    kind, colon, place = name.partition(":")
    if (kind, bool(colon), bool(place)) not in (
        (LEARNED, False, False),
        (LEARNED, True, True),
        (TORCHSCRIPT, True, True),
    ):
        known = did_you_mean(name, [*_PLAIN, LEARNED, f"{LEARNED}:<bundle folder>", f"{TORCHSCRIPT}:<file>"])
        raise InputError(f"There is no fill {name!r}. {known}")
    return kind, (bundles or Path()) / place if place else None
