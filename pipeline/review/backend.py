"""What the review page needs of the stages above and beside it; `flows` provides it.

Stages meet in artifacts, not in imports: filling, explaining and repairing are other stages' work, so the page asks for
them through this interface.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassChange(_Value):
    """How much of one class a plan changes; see `pipeline.cleanse.ClassImpact`."""

    images: int
    of: int
    regions: int
    pixels: int
    share: float
    in_lungs: int | None
    held_back: int


class PlanPreview(_Value):
    """What a repair would do, before it does it."""

    possible: bool
    words: tuple[str, ...] = Field(description="sentences: what will change, what stays, what to beware of")
    warnings: tuple[str, ...] = ()
    fill: str | None = None
    lines: tuple[dict[str, Any], ...] = Field((), description="lines of plan.yaml, with counts by class")
    exceptions: dict[str, dict[str, int]] = Field(
        default_factory=dict, description="removed or kept against the rule of their finding -> class -> regions"
    )
    impact: dict[str, ClassChange] = Field(default_factory=dict)
    samples: tuple[str, ...] = Field((), description="ids of images that would change, of every class")


class StageProgress(_Value):
    """How far one stage of a repair is."""

    stage: str
    done: int
    total: int


class Job(_Value):
    """A repair, started here or elsewhere."""

    state: Literal["none", "waiting", "running", "complete", "failed", "cancelled"]
    started: datetime | None = None
    ended: datetime | None = None
    by: str | None = None
    how: str | None = Field(None, description="a process of this machine, or the name of a Prefect deployment")
    stages: tuple[StageProgress, ...] = ()
    words: tuple[str, ...] = Field((), description="the result in sentences, or what went wrong")
    report: bool = False


class Backend(Protocol):
    """Work that the page hands out. Methods may take seconds and are called in worker threads; `run` is its folder."""

    def plan(self, run: Path) -> PlanPreview:
        """What a repair would do with the decisions that are in force now. Writes nothing into the run."""

    def start(self, run: Path, by: str, device: str = "auto") -> Job:
        """Start `remediate`; one at a time for a run.

        Raises:
            InputError: one is at work already, or there is nothing to repair.
        """

    def job(self, run: Path) -> Job:
        """The last repair of a run; it lives on when the page's server dies."""

    def cancel(self, run: Path, by: str) -> Job:
        """Stop it. What was finished is kept, and `start` goes on from there."""

    def reviewed(self, run: Path, by: str) -> None:
        """Tell others that the last open thing of an audit was decided; may fail, and nobody waits for it."""

    def cleansed(self, run: Path, image_id: str, regions: pd.DataFrame) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """The stored pixels (S, S) of an image with `regions` filled as a plan of this run would.

        Args:
            run: its folder.
            image_id: the image.
            regions: rows with `region_id`, `image_id`, `kind`, `text`, `x0`, `y0`, `x1`, `y1`, original pixels.
        """

    def explain(self, run: Path, image_id: str, method: str) -> NDArray[np.float32]:
        """A saliency map (h, w) in [0, inf) of an image that the audit did not explain, for its predicted class.

        Raises:
            InputError: an unknown method.
        """

    def coco(self, run: Path, regions: pd.DataFrame) -> dict[str, Any]:
        """Regions with their verdicts in COCO's form."""
