"""What all images of one benchmark share: marked pictures, a classifier that reads the mark, a judge that never saw it.

<out>/base/         real x-rays of two classes
      marked/       version/: the same, every image of the positive class with an arrow over the lung;
                    truth.parquet: where the arrows are
      classifier/   trained on marked/
      judge/        another network with another seed, trained on base/
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.artifacts import atomic_folder, read_parquet, write_parquet
from pipeline.benchmark.planting import planter
from pipeline.benchmark.removal.request import RemovalRequest
from pipeline.benchmark.shortcuts.base import phantom_base, take_base
from pipeline.benchmark.truth import truth_masks
from pipeline.config import TrainConfig
from pipeline.dataset import DatasetVersion, derive_version
from pipeline.errors import EmptyResultError
from pipeline.inference import predict
from pipeline.progress import Progress
from pipeline.randomness import derive_seed, numpy_generator
from pipeline.train import fit, load_classifier
from pipeline.types import Box

MARK, MARK_SIZE = "arrow", 0.12
"""A bright arrow, this share of the image's side long, always at about the same place over the lung: compact, so that a
box can meet it; on anatomy, where it matters what is painted in its place; learnt from few images."""
BATCH = 16
"""Images a step of training."""
SURE = 0.5
"""Probability that an explained image's class has at least."""
DECISIVE = 0.25
"""Probability that the mark must bring to the class for its place to count as the truth."""
JUDGE = TrainConfig(network="small", epochs=12, patience=12, learning_rate=0.003, batch_size=BATCH)
"""But for its input size, which is the classifier's."""
PHANTOMS = 240
PHANTOM_SIZE = 192

Classifier = tuple[nn.Module, ModelSpec]


@dataclass(frozen=True)
class Sample:
    """N test images whose class the mark decides.

    Attributes:
        rows: of the marked version (N,), ascending.
        target: the class that the mark goes with.
        truth: bool (N, 1, H, W) at input resolution, where the mark is.
        gained: probability that the mark brings to the class (N,).
    """

    rows: NDArray[np.int64]
    target: int
    truth: Tensor
    gained: NDArray[np.float32]


@dataclass(frozen=True)
class Study:
    """One benchmark: a folder and a request. Small and plain, so that worker processes can be handed it."""

    out: Path
    request: RemovalRequest
    device: str = "cpu"

    @property
    def base(self) -> DatasetVersion:
        """The images without the planted mark."""
        return DatasetVersion(self.out / "base")

    @property
    def marked(self) -> DatasetVersion:
        """The images with the mark on one class; rows as in `base`."""
        return DatasetVersion(self.out / "marked" / "version")

    def classifier(self) -> Classifier:
        """The classifier that is explained, on the study's device."""
        return self._loaded("classifier")

    def judge(self) -> Classifier:
        """The network whose features say how near to real x-rays an image is."""
        return self._loaded("judge")

    def make(self, progress: Progress) -> None:
        """Plant and train; what is there already is kept."""
        request = self.request
        if request.dataset:
            given = DatasetVersion(request.dataset)
            take_base(given, request.classes, request.sources, request.images, request.seed, self.out / "base")
        else:
            phantom_base(PHANTOMS, PHANTOM_SIZE, request.seed, self.out / "base")
        plant(self.base, request.seed, self.out / "marked")
        size = {"input_size": request.input_size}
        own = TrainConfig(
            network=request.network, epochs=request.epochs, patience=request.epochs, batch_size=BATCH, **size
        )
        for name, data, config in (
            ("classifier", self.marked, own),
            ("judge", self.base, JUDGE.model_copy(update=size)),
        ):
            seed = derive_seed(request.seed, "removal", name)
            fit(data, config, seed, self.out / name, device=self.device, progress=progress)

    def sample(self) -> Sample:
        """The images to explain; drawn by image alone.

        An image can be explained when the mark was put on it, the classifier now gives the mark's class at least
        `SURE`, and without the mark it gave at least `DECISIVE` less.

        Raises:
            EmptyResultError: there is no such test image.
        """
        base, marked = self.base, self.marked
        model, spec = self.classifier()
        boxes = {
            str(row["image_id"]): _box(row)
            for row in read_parquet(self.out / "marked" / "truth.parquet").to_dict("records")
        }
        ids = marked.images["image_id"].astype(str)
        rows = np.array([row for row in marked.rows("test").tolist() if ids[row] in boxes], dtype=np.int64)
        target = spec.classes.index(marked.meta.positive)
        now, before = (predict(model, spec, version, rows)[:, target] for version in (marked, base))
        decided = (now >= SURE) & (now - before >= DECISIVE)
        lots = np.array([derive_seed(self.request.seed, "removal sample", ids[row]) for row in rows.tolist()])
        chosen = np.sort(np.flatnonzero(decided)[np.argsort(lots[decided])][: self.request.explained])
        if not len(chosen):
            raise EmptyResultError(
                f"The planted arrow decides none of {len(rows)} test images: the classifier did not learn it. "
                "Train longer with --epochs, or plant on more images with --images."
            )
        placed = [marked.transform(row).to_store(boxes[ids[row]]) for row in rows[chosen].tolist()]
        truth = truth_masks(placed, marked.meta.size, spec)
        return Sample(rows[chosen], target, truth, (now - before)[chosen])

    def _loaded(self, name: str) -> Classifier:
        model, spec = load_classifier(self.out / name)
        return model.to(self.device), spec


def plant(base: DatasetVersion, seed: int, target: Path) -> None:
    """`base` with an arrow on every image of its positive class, and where they are, into `target`.

    Boxes are pixels of the original file. Arrows never stand on letterbox padding.
    """
    press = planter(MARK, place="fixed", size=MARK_SIZE)
    boxes: list[dict[str, object]] = []

    def edit(table: pd.DataFrame, images: Tensor) -> Tensor:
        edited = images.clone()
        for image, record in zip(edited, table.to_dict("records"), strict=True):
            if record["label"] != base.meta.positive:
                continue
            left, top, scale = int(record["pad_x"]), int(record["pad_y"]), float(record["scale"])
            height, width = round(int(record["height"]) * scale), round(int(record["width"]) * scale)
            content = image[0, top : top + height, left : left + width]
            picture, planted = press(content.numpy(), numpy_generator(seed, "removal plant", str(record["image_id"])))
            content.copy_(torch.from_numpy(picture))
            if planted.box is not None:
                corners = zip(("x0", "y0", "x1", "y1"), planted.box.as_tuple(), strict=True)
                boxes.append({"image_id": record["image_id"], **{name: value / scale for name, value in corners}})
        return edited

    if target.exists():
        return
    with atomic_folder(target) as working:
        lineage = {"operation": "plant", "mark": MARK, "seed": seed}
        derive_version(base, working / "version", np.arange(len(base)), edit, "marked", lineage)
        write_parquet(working / "truth.parquet", pd.DataFrame(boxes))


def _box(record: dict[object, object]) -> Box:
    return Box(*(float(str(record[name])) for name in ("x0", "y0", "x1", "y1")))
