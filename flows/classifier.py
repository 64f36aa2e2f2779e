"""A classifier by the folder it lies in, for parts of work that are done elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from flows.request import resolve_device
from pipeline.artifacts import sha256_tree
from pipeline.inference import Classifier


@dataclass(frozen=True)
class Bundled:
    """The classifier of a bundle, on the device of whoever opens it; see `pipeline.inference.ClassifierSource`."""

    bundle: Path
    device: str

    @property
    def needs(self) -> tuple[Path, ...]:
        """The bundle."""
        return (self.bundle,)

    @property
    def identity(self) -> str:
        """A hash of its files."""
        return sha256_tree(self.bundle)

    def __call__(self) -> Classifier:
        """The classifier, loaded once a process.

        Raises:
            ModelError: it cannot be loaded.
            InputError: `cuda` was asked for and this machine has none.
        """
        return _opened(self.bundle, _stamp(self.bundle), resolve_device(self.device))


def _stamp(bundle: Path) -> tuple[int, ...]:
    """Changes when the bundle does: a worker outlives many audits."""
    return tuple(sorted(file.stat().st_mtime_ns for file in bundle.rglob("*") if file.is_file()))


@lru_cache(maxsize=16)
def _opened(bundle: Path, stamp: tuple[int, ...], device: str) -> Classifier:
    from pipeline.train import load_classifier

    model, spec = load_classifier(bundle)
    return model.to(device), spec
