"""What is asked of the benchmark of explainers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.explain.registry import METHODS, method


@dataclass(frozen=True)
class Request:
    """What is compared.

    Attributes:
        explainers: names; the trivial ones are added to them, see `with_trivial`.
        images: how many test images at most.
        stability_images: on how many of them the costly metrics are measured, each of which takes many maps per
            image; 0 leaves those out.
        seed: of everything random.
        options: of single methods, by name.
    """

    explainers: tuple[str, ...]
    images: int = 32
    stability_images: int = 4
    seed: int = 0
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def with_trivial(names: Sequence[str]) -> tuple[str, ...]:
    """`names` without repeats, and after them the baselines that every method must beat.

    Raises:
        InputError: a name is unknown.
    """
    asked = [name for name in dict.fromkeys(names) if not method(name).trivial]
    return (*asked, *(name for name, entry in METHODS.items() if entry.trivial))
