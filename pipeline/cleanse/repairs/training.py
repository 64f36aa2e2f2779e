"""`merge-duplicates`, `balance-sources` and `randomise-marks`: the data stay, the training changes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from pipeline.cleanse.repairs.action import TrainingAction


class MergeDuplicates(TrainingAction):
    """An image of a group of n near duplicates weighs 1/n; classes weigh alike."""

    action: Literal["merge-duplicates"] = "merge-duplicates"

    def options(self) -> dict[str, Any]:
        """See `pipeline.train.sampling`."""
        return {"sampling": "groups"}


class BalanceSources(TrainingAction):
    """Within each class every source weighs alike, and classes weigh alike.

    Group resampling of Idrissi et al., Simple data balancing achieves competitive worst-group-accuracy, CLeaR 2022. A
    source that holds one class only cannot be balanced; the training's metrics.json names such sources.
    """

    action: Literal["balance-sources"] = "balance-sources"

    def options(self) -> dict[str, Any]:
        """See `pipeline.train.sampling`."""
        return {"sampling": "sources"}


class RandomiseMarks(TrainingAction):
    """Random letters, words, plates and arrows on training images of all classes alike (domain randomisation: Tobin
    et al., IROS 2017): a mark then says nothing about the class."""

    action: Literal["randomise-marks"] = "randomise-marks"
    chance: float = Field(0.8, gt=0, le=1, description="probability that an image carries some, at each epoch")

    def options(self) -> dict[str, Any]:
        """See `pipeline.train.marks`."""
        return {"marks": self.chance}
