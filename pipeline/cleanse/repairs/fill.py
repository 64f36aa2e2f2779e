"""`fill`: the marks that the plan selects are filled. `control`: equally much is filled at random places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from pipeline.cleanse.apply import apply_plan
from pipeline.cleanse.control import random_control
from pipeline.cleanse.plan import Plan
from pipeline.cleanse.repairs.action import Bench, DataAction
from pipeline.cleanse.swap import marker_swapped
from pipeline.dataset import DatasetVersion


class _PlanAction(DataAction):
    """Needs the plan, and so the version that the plan was made for: it must come first in a repair."""

    fill: str | None = Field(None, description="removal operator, see pipeline.fills; null: the plan's")
    decoys: bool | None = Field(None, description="also fill images without marks; null: as the run's settings say")

    def _with(self, filler: Callable[..., DatasetVersion], bench: Bench, version: DatasetVersion) -> DatasetVersion:
        plan: Plan = bench.plan if self.fill is None else bench.plan.model_copy(update={"fill": self.fill})
        return filler(
            version,
            plan,
            bench.regions,
            bench.root,
            decoys=bench.decoys if self.decoys is None else self.decoys,
            lungs=bench.find_lungs(version),
            seed=bench.seed,
            bundles=bench.bundles,
            device=bench.device,
            progress=bench.progress,
        )


class Fill(_PlanAction):
    """Data cleansing as in the iGOS++ paper's COVID-19 experiment: the printed marks are removed before training."""

    action: Literal["fill"] = "fill"

    def learned_from(self, bench: Bench, version: DatasetVersion) -> DatasetVersion:
        """See `pipeline.cleanse.apply_plan`."""
        return self._with(apply_plan, bench, version)


class Control(_PlanAction):
    """Not a repair: what filling as much elsewhere does. A repair that is no better did not work by what it removed."""

    action: Literal["control"] = "control"

    def learned_from(self, bench: Bench, version: DatasetVersion) -> DatasetVersion:
        """See `pipeline.cleanse.random_control`."""
        return self._with(random_control, bench, version)


def swapped(bench: Bench) -> DatasetVersion:
    """The test images with the plan's marks exchanged between classes, see `pipeline.cleanse.marker_swapped`."""
    return marker_swapped(
        bench.dataset,
        bench.plan,
        bench.regions,
        bench.root,
        seed=bench.seed,
        bundles=bench.bundles,
        device=bench.device,
        progress=bench.progress,
    )
