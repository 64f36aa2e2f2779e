"""What speaks for and against a shortcut: the stages of `pipeline.flag.audit` and the saliency maps between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flows.classifier import Bundled
from flows.cluster import spread
from flows.console import progress
from flows.growing import Known
from flows.tasks.grown import complete
from flows.tasks.policy import stage
from pipeline.artifacts import read_parquet
from pipeline.config import AuditConfig
from pipeline.dataset import DatasetVersion

if TYPE_CHECKING:
    from pipeline.flag import Stage


@stage("explain", tags=("gpu",))
def explain(
    dataset: Path, bundle: Path, config: AuditConfig, device: str, run: Path, donor: Known | None = None
) -> None:
    """Write saliency/: maps of a sample of test images, for the class predicted on each.

    Undecided are images with marks whose erase test ended without a clear verdict; see `explained_rows`. Maps that
    `donor` has are taken over.
    """
    from pipeline.explain import explain_dataset, explained_rows
    from pipeline.flag import undecided_rows

    data = DatasetVersion(dataset)
    model, spec = Bundled(bundle, "cpu")()  # what runs it is who does the batches
    predictions = read_parquet(run / "predictions.parquet")
    table = predictions.set_index("image_id")[[f"p_{name}" for name in spec.classes]]
    probabilities = table.loc[data.images["image_id"].to_list()].to_numpy(dtype=np.float32)
    undecided = undecided_rows(data, read_parquet(run / "regions.parquet"), read_parquet(run / "effects.parquet"))
    test = probabilities[data.rows("test")]
    rows = explained_rows(data, test, undecided, images=config.explain.images, seed=config.seed)

    def work(folder: Path, left: NDArray[np.int64]) -> None:
        explain_dataset(
            model,
            spec,
            data,
            left,
            probabilities[left].argmax(axis=1),
            config.explain,
            seed=config.seed,
            out_dir=folder,
            source=Bundled(bundle, device),
            spread=spread(),
            progress=progress(),
        )

    complete("saliency", data, rows, config, run, donor, work)


@stage("gather evidence")
def gather(
    artifact: str,
    dataset: Path,
    bundle: Path,
    config: AuditConfig,
    device: str,
    run: Path,
    donor: Known | None = None,
) -> None:
    """Make one artifact of the audit: the stage of that name; what `donor` knows of single images is taken over."""
    whole = _Stage(artifact, dataset, bundle, config, device, run, donor)
    if whole.network:
        whole.target.unlink(missing_ok=True)  # one that is there was made from something else
        for _ in spread()([whole]):
            pass
    else:
        whole.do()


@dataclass(frozen=True)
class _Stage:
    """A stage as one part of the work: where it asks the classifier, it is done by one worker."""

    artifact: str
    dataset: Path
    bundle: Path
    config: AuditConfig
    device: str
    run: Path
    donor: Known | None

    @property
    def needs(self) -> tuple[Path, ...]:
        return (self.dataset, self.bundle, *(self.run / name for name in self._stage.needs))

    @property
    def target(self) -> Path:
        return self.run / self.artifact

    @property
    def network(self) -> bool:
        return self._stage.gpu

    def do(self) -> None:
        from pipeline.flag import Inspection

        data, source, chosen = DatasetVersion(self.dataset), Bundled(self.bundle, self.device), self._stage
        inspection = Inspection(data, self.run, self.config, source, spread(), progress())
        if chosen.rows is None:
            chosen.work(inspection)
            return

        def work(folder: Path, left: NDArray[np.int64]) -> None:
            chosen.work(replace(inspection, out=folder, only=left))

        complete(self.artifact, data, chosen.rows(inspection), self.config, self.run, self.donor, work)

    @property
    def _stage(self) -> Stage:
        from pipeline.flag import BEFORE_MAPS, WITH_MAPS

        (chosen,) = (each for each in (*BEFORE_MAPS, *WITH_MAPS) if each.artifact == self.artifact)
        return chosen
