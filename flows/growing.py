"""Going on from earlier audits of a data set that grows: which ones, and what they already know about single images.

A result about one image is taken over where the image (by its pixels), the settings, the weights and the code are the
same; `PER_IMAGE` is the list of such artifacts. Everything about the data set as a whole is computed anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.history import ended
from flows.keys import Keys
from flows.workspace import Workspace
from pipeline.artifacts import RunFolder, read_json, read_parquet
from pipeline.config import AuditConfig
from pipeline.dataset import DatasetVersion
from pipeline.errors import IntegrityError
from pipeline.flag import looked_at

_OF_THE_DATASET = "expected-gradients"
"""An explainer whose maps depend on other images of the data set."""


@dataclass(frozen=True)
class Known:
    """An audit, and which images its artifacts are about."""

    run: Path
    dataset: Path
    bundle: Path
    weights: str
    config: AuditConfig

    def whole(self, artifact: str) -> bool:
        """Whether the run has `artifact`, undamaged and made by the code of today."""
        folder = RunFolder(self.run, read_json(self.run / "run.json")["request"])
        try:
            return folder.has(artifact, Keys(folder, self.dataset, self.bundle, self.config)(artifact))
        except IntegrityError:
            return False

    def image_ids(self, artifact: str) -> frozenset[str]:
        """The images that `artifact` is about; for regions also those without any."""
        if artifact == "regions.parquet":
            data = DatasetVersion(self.dataset)
            rows = looked_at(data, self.config.flag.looked_at, self.config.seed)
            return frozenset(data.images["image_id"].iloc[rows].astype(str))
        tables = arrays_of(artifact, self.config)
        path = self.run / artifact / next(iter(tables)) if tables else self.run / artifact
        return frozenset(read_parquet(path)["image_id"].astype(str))

    def store(self) -> tuple[int, str]:
        """Side and data type of its stored images."""
        meta = read_json(self.dataset / "meta.json")
        return meta["size"], meta["dtype"]


def _maps(known: Known) -> Any:
    explain = known.config.explain
    if _OF_THE_DATASET in explain.methods:
        return object()  # equal to nothing
    return [known.weights, known.config.seed, explain.model_dump(exclude={"images", "batch_size"})]


PER_IMAGE: dict[str, Callable[[Known], Any]] = {
    "predictions.parquet": lambda known: known.weights,
    "regions.parquet": lambda known: None,
    "traits.parquet": lambda known: None,
    "saliency": _maps,
    "lungs": lambda known: None,
}
"""Artifacts whose results about one image depend on no other image, each with what must be equal, besides image,
stored size and code, for a result to be taken over."""


def arrays_of(artifact: str, config: AuditConfig) -> dict[str, str] | None:
    """Tables and arrays of a folder, see `pipeline.takeover`; None: `artifact` is a table."""
    folders = {
        "lungs": {"lungs.parquet": "masks.zarr"},
        "saliency": {f"{name}.parquet": f"{name}.zarr" for name in config.explain.methods},
    }
    return folders.get(artifact)


def earlier_audits(workspace: Workspace, name: str) -> list[Known]:
    """The audits of data set `name` that ended and can still be read, newest first."""
    return [known for run in ended(workspace, name) if (known := read_known(run)) is not None]


def read_known(run: Path) -> Known | None:
    """What a run is about; None where another version of cxr-audit made it, or its data set was removed."""
    workspace = Workspace(run.parent.parent)
    request = read_json(run / "run.json")["request"]
    dataset, bundle = workspace.datasets / request["dataset"], workspace.models / request["bundle"]
    try:
        config = AuditConfig.model_validate(request["config"])
    except ValueError:
        return None
    return Known(run, dataset, bundle, request["weights"], config) if (dataset / "meta.json").exists() else None


def followed(audits: list[Known], config: AuditConfig, *, retrained: bool) -> Known | None:
    """The audit that a new one with settings `config` goes on from: the newest that read and split images alike.

    Args:
        audits: newest first.
        config: of the new audit.
        retrained: whether the new one would train its classifier: then the earlier one was trained alike, and stays.
    """
    for known in audits:
        alike = (known.config.ingest, known.config.seed) == (config.ingest, config.seed)
        if alike and (not retrained or _trained_alike(known, config)):
            return known
    return None


def _trained_alike(known: Known, config: AuditConfig) -> bool:
    """Whether the classifier was trained on the data set with these settings; a user's own one was not."""
    ours = f"{known.dataset.parent.name}-{config.train.network}"
    return known.config.train == config.train and known.bundle.parent.name == ours and known.bundle.exists()


@dataclass(frozen=True)
class Growth:
    """An audit that goes on from another one.

    Attributes:
        audited: the new one.
        since: the one that it goes on from.
        audits: all earlier ones of the data set, newest first.
    """

    audited: Known
    since: Known
    audits: tuple[Known, ...]

    @classmethod
    def of(cls, run: Path, since: Known) -> Growth | None:
        """Of a run that was opened; None where it has ended before: then nothing is new."""
        audits = earlier_audits(Workspace(run.parent.parent), since.dataset.parent.name)
        audited = read_known(run)
        if audited is None or run in (known.run for known in audits):
            return None
        return cls(audited, since, tuple(audits))

    def donor(self, artifact: str) -> Known | None:
        """The newest audit that knows some of `artifact`; None: nobody does, or it is about the data set as a whole."""
        if artifact not in PER_IMAGE:
            return None
        wanted, store = PER_IMAGE[artifact](self.audited), self.audited.store()
        for known in self.audits:
            if PER_IMAGE[artifact](known) == wanted and known.store() == store and known.whole(artifact):
                return known
        return None
