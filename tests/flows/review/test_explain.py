"""Maps on demand: with the run's settings, for the predicted class, kept."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from flows.review import explain
from flows.review.backend import make_backend
from flows.review.explain import explain_one
from models import BundleCard, build, load_bundle, save_bundle
from pipeline.artifacts import write_json
from pipeline.config import AuditConfig
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError
from pipeline.explain import create
from tests.pipeline.review.study import CLASSES, IMAGES, RUN, image_id, phantom_workspace

CONFIG = AuditConfig.model_validate(
    {"seed": 5, "explain": {"images": 4, "mask_size": 7, "options": {"rise": {"masks": 20}}}}
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose classifier has random weights."""
    study = phantom_workspace(tmp_path_factory.mktemp("explain") / "ws")
    network, spec = build("small", classes=CLASSES, input_size=(32, 32), seed=3, width=4)
    save_bundle(study.workspace / "models" / "m" / "1", network, spec, BundleCard("1", "", "", "", "", "# Random\n"))
    ledger = json.loads((study.run / "run.json").read_text())
    ledger["request"] = {"dataset": "tiny/v1", "bundle": "m/1", "config": CONFIG.model_dump(mode="json")}
    write_json(study.run / "run.json", ledger)
    return study.run


@pytest.mark.parametrize("method", ["grad-cam", "rise"])
def test_the_map_is_that_of_the_run(run: Path, method: str) -> None:
    model, spec = load_bundle(run.parent.parent / "models" / "m" / "1")
    dataset = DatasetVersion(run.parent.parent / "datasets" / "tiny" / "v1")
    options = {"masks": 20} if method == "rise" else {}
    for row, predicted in ((1, 1), (2, 0), (6, 1)):  # image 6 is clear, and taken for opacity
        found = explain_one(run, image_id(RUN, row), method)
        explainer = create(method, model, spec, seed=5, **options)
        images = spec.preprocess(dataset.tensor([row]))
        expected = explainer.attribute(images, predicted, image_ids=[image_id(RUN, row)])[0, 0]
        assert (found.shape, found.dtype) == ((32, 32), np.float32)
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


def test_asked_for_by_many_it_is_computed_once(run: Path) -> None:
    explain._map.cache_clear()
    backend = make_backend(run.parent.parent, None)
    with ThreadPoolExecutor(8) as pool:
        maps = list(pool.map(lambda _: backend.explain(run, image_id(RUN, 3), "rise"), range(8)))
    assert all(each is maps[0] for each in maps)
    assert explain._map.cache_info().misses == 1
    with pytest.raises(ValueError, match="read-only"):
        maps[0][0, 0] = 1


def test_unknown_methods_and_images(run: Path) -> None:
    with pytest.raises(InputError, match="Unknown explainer 'grad-cem'"):
        explain_one(run, image_id(RUN, 0), "grad-cem")
    with pytest.raises(InputError, match="is not in data set"):
        explain_one(run, image_id(RUN, IMAGES), "grad-cam")
