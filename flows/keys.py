"""What each artifact of an audit is made from, as a hash: the key that the run's ledger keeps beside it."""

from __future__ import annotations

from pathlib import Path

from flows.tasks.review import LOOKALIKES
from pipeline.artifacts import RunFolder, code_version, content_hash
from pipeline.config import AuditConfig
from pipeline.flag import BEFORE_MAPS, WITH_MAPS

_NEEDS = {stage.artifact: stage.needs for stage in (*BEFORE_MAPS, *WITH_MAPS)}


class Keys:
    """Keys of one run's artifacts: data set, classifier, settings, code, and the artifacts that they are made from."""

    def __init__(self, folder: RunFolder, dataset: Path, bundle: Path, config: AuditConfig) -> None:
        self._folder = folder
        self._dataset = dataset.name
        self._base = content_hash([dataset.name, str(bundle.name)])
        self._config = config

    def __call__(self, artifact: str) -> str:
        """The key of `artifact`.

        Raises:
            IntegrityError: an artifact that it is made from is not recorded.
        """
        config, sha256 = self._config, self._folder.sha256
        if artifact == "predictions.parquet":
            return content_hash([self._base, code_version("models")])
        if artifact == "saliency":
            settings = [config.explain.model_dump(), config.seed, code_version("pipeline.explain", "models")]
            needs = [sha256(name) for name in ("regions.parquet", "effects.parquet")]
            return content_hash([self._base, settings, needs])
        if artifact == LOOKALIKES:
            return content_hash([self._dataset, sha256("regions.parquet"), code_version("pipeline.review.lookalikes")])
        flag = content_hash([self._base, config.flag.model_dump(), config.seed, code_version("pipeline.flag")])
        return content_hash([flag, {name: sha256(name) for name in _NEEDS[artifact]}])
