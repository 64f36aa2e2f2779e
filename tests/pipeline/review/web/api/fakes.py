"""A backend that does nothing slow and remembers what it was asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError
from pipeline.review.backend import Job, PlanPreview
from tests.pipeline.review.study import SIZE


class FakeBackend:
    """`pipeline.review.backend.Backend` without any of the stages behind it."""

    def __init__(self, dataset: DatasetVersion) -> None:
        self.dataset = dataset
        self.current = Job(state="none")
        self.asked: list[tuple[Any, ...]] = []
        self.explaining: Callable[[], None] = lambda: None
        self.lock = threading.Lock()
        self.told: list[tuple[str, str]] = []
        self.filling: Callable[[], None] = lambda: None
        self.telling: Callable[[], None] = lambda: None

    def plan(self, run: Path) -> PlanPreview:
        return PlanPreview(possible=True, words=(f"Nothing of {run.name} changes.",))

    def start(self, run: Path, by: str, device: str = "auto") -> Job:
        with self.lock:
            if self.current.state == "running":
                raise InputError("A repair is at work already.")
            self.asked.append(("start", run.name, by, device))
            self.current = Job(state="running", by=by)
            return self.current

    def job(self, run: Path) -> Job:
        return self.current

    def cancel(self, run: Path, by: str) -> Job:
        with self.lock:
            if self.current.state != "running":
                raise InputError("No repair is at work.")
            self.current = Job(state="cancelled", by=by)
            return self.current

    def reviewed(self, run: Path, by: str) -> None:
        self.telling()
        self.told.append((run.name, by))

    def cleansed(self, run: Path, image_id: str, regions: pd.DataFrame) -> np.ndarray:
        """Regions become black."""
        self.filling()
        self.asked.append(("cleansed", image_id, sorted(regions["region_id"])))
        row = self.dataset.images["image_id"].tolist().index(image_id)
        pixels = self.dataset.pixels([row])[0].copy()
        for box in regions[["x0", "y0", "x1", "y1"]].to_numpy():
            x0, y0, x1, y1 = (int(value / 2) for value in box)
            pixels[y0 + 8 : y1 + 8, x0:x1] = 0
        return pixels

    def explain(self, run: Path, image_id: str, method: str) -> np.ndarray:
        self.asked.append(("explain", image_id, method))
        self.explaining()
        if method not in ("lrp", "dance:lrp"):
            raise InputError(f"There is no explainer {method!r}. Allowed: lrp, dance:lrp.")
        return np.arange(SIZE, dtype=np.float32).reshape(8, 8)

    def coco(self, run: Path, regions: pd.DataFrame) -> dict[str, Any]:
        paths = self.dataset.images["path"].astype(str)
        images = [{"id": number, "file_name": path} for number, path in enumerate(paths, start=1)]
        verdicts = regions["verdict"].astype("string").fillna("").tolist()
        return {
            "images": images,
            "annotations": [{"id": number, "verdict": each} for number, each in enumerate(verdicts)],
        }
