"""From a repair to what it learns from, how it learns, and what it makes of test images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.artifacts import read_json
from pipeline.cleanse.repairs.action import Bench, DataAction, PixelAction, Transform
from pipeline.cleanse.repairs.recipe import Repair
from pipeline.dataset import DatasetVersion

_FACTS = ("dropped", "images", "lungs_not_found", "trimmed", "crowded_images")
"""Counts in a lineage that a reader of the comparison wants to know."""


@dataclass(frozen=True)
class Prepared:
    """A repair ready to be trained and tested.

    Attributes:
        training: what is learned from.
        options: fields of `pipeline.config.TrainConfig` to set.
        deployed: what happens to every picture in use, in order.
        facts: one entry an action that made a version: its operation, its counts.
    """

    training: DatasetVersion
    options: dict[str, Any]
    deployed: tuple[Transform, ...]
    facts: tuple[dict[str, Any], ...]

    def shown(self, version: DatasetVersion) -> DatasetVersion:
        """`version` as the deployed classifier sees it: crops, black-outs and grey levels, but no fills."""
        for transform in self.deployed:
            version = transform(version)
        return version


def prepare(repair: Repair, bench: Bench) -> Prepared:
    """Make the versions that `repair` learns from.

    Raises:
        InputError, EmptyResultError: an action cannot be applied to this data set; says why.
    """
    version, deployed, facts = bench.dataset, [], []
    for action in repair.actions:
        before = version
        if isinstance(action, DataAction):
            version = action.learned_from(bench, version)
        elif isinstance(action, PixelAction):
            transform = action.fitted(bench, version)
            version = transform(version)
            deployed.append(transform)
        if version is not before:
            lineage = read_json(version.path / "lineage.json")
            known = {name: lineage[name] for name in _FACTS if name in lineage}
            facts.append({"action": action.action, "version": version.meta.version, **known})
    return Prepared(version, repair.options(), tuple(deployed), tuple(facts))
