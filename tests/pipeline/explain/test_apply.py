"""Explaining a dataset version: files, resuming, bounded memory; and which rows are chosen."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
import zarr

from pipeline.artifacts import sha256_tree, write_json
from pipeline.config import ExplainConfig
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, open_version, write_version
from pipeline.errors import EmptyResultError
from pipeline.explain import choose_rows, create, explain_dataset, explain_image

COUNT = 12
CONFIG = ExplainConfig(
    methods=("igos++", "grad-cam"), mask_size=14, batch_size=2, options={"igos++": {"ig_steps": 4, "iterations": 2}}
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Twelve 28-pixel images: rows 0-9 test (two sources, two labels), rows 10-11 from elsewhere."""
    target = tmp_path_factory.mktemp("data") / "toy" / "v1"
    pixels = np.random.default_rng(0).integers(20, 80, (COUNT, 28, 28), dtype=np.uint8)
    pixels[::2, 8:14, 8:14] = 255
    table = pd.DataFrame({column: pd.Series([None] * COUNT, dtype=kind) for column, kind in IMAGE_COLUMNS.items()})
    table["image_id"] = [f"id{number:02d}" for number in range(COUNT)]
    table["label"] = ["with" if number % 2 == 0 else "without" for number in range(COUNT)]
    table["source"] = ["rare" if number in (0, 1) else "common" for number in range(COUNT)]
    table["split"] = ["test"] * 10 + ["other_source"] * 2
    with write_version(target, 28, "uint8") as writer:
        writer.write_shard(0, table, pixels)
        writer.finish(DatasetMeta("toy", "v1", "Toy", ("without", "with"), "with", 28, "uint8"), table, 1)
        write_json(writer.folder / "lineage.json", {})
    return DatasetVersion(target)


def explain(model, spec, dataset, out_dir, rows=(0, 3, 4, 7, 9), config=CONFIG, **options):
    rows = np.array(rows)
    return explain_dataset(model, spec, dataset, rows, rows % 2, config, seed=7, out_dir=out_dir, **options)


def test_table_and_maps(conv_square, toy_spec, dataset, tmp_path):
    table = explain(conv_square, toy_spec, dataset, tmp_path)
    assert table["explainer"].tolist() == ["igos++"] * 5 + ["grad-cam"] * 5
    assert table["image_id"].tolist() == ["id00", "id03", "id04", "id07", "id09"] * 2
    assert table["row"].tolist() == [0, 3, 4, 7, 9] * 2
    assert sorted(path.name for path in (tmp_path / "saliency").iterdir()) == [
        "grad-cam.parquet",
        "grad-cam.zarr",
        "igos++.parquet",
        "igos++.zarr",
    ]
    assert set(json.loads(table["info"][0])) == {"removed_share", "objective", "steps"}
    assert table["info"][5] == "{}"
    images = toy_spec.preprocess(dataset.tensor([3]))
    expected = create("grad-cam", conv_square, toy_spec).attribute(images, 1)[0, 0]
    stored = zarr.open_array(tmp_path / "saliency" / "grad-cam.zarr", mode="r")
    assert stored.shape == (5, 28, 28)
    assert stored.chunks == (1, 28, 28)
    np.testing.assert_allclose(stored[1], expected.numpy(), atol=1e-6)
    first = table.iloc[0]
    probability = torch.softmax(conv_square(toy_spec.preprocess(dataset.tensor([0]))), 1)[0, 0].item()
    assert first["probability"] == pytest.approx(probability, abs=1e-6)
    assert first["backward"] == 2 * 4 * 4
    assert table[["deletion_auc", "insertion_auc"]].to_numpy().min() > 0


@pytest.mark.parametrize(("method", "differs"), [("igos++", True), ("rise", True), ("grad-cam", False)])
def test_one_image_has_the_map_that_the_audit_gives_it(conv_square, toy_spec, dataset, tmp_path, method, differs):
    config = CONFIG.model_copy(update={"methods": (method,), "options": {**CONFIG.options, "rise": {"masks": 40}}})
    explain(conv_square, toy_spec, dataset, tmp_path, config=config)
    stored = zarr.open_array(tmp_path / "saliency" / f"{method}.zarr", mode="r")[3]
    one = explain_image(
        conv_square, toy_spec, dataset, 7, 1, method, CONFIG.model_copy(update={"options": config.options}), seed=7
    )
    assert one.dtype == np.float32
    np.testing.assert_allclose(one, stored, atol=1e-6)
    other = explain_image(conv_square, toy_spec, dataset, 7, 1, method, config, seed=8)
    assert (np.abs(other - one).max() > 1e-3 * np.abs(one).max()) == differs  # the seed decides, where there is chance


def test_interrupted_run_ends_with_the_same_bytes_and_repeats_nothing(conv_square, toy_spec, dataset, tmp_path):
    explain(conv_square, toy_spec, dataset, tmp_path / "whole")

    def stop_after_four(stage, done, total):
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explain(conv_square, toy_spec, dataset, tmp_path / "cut", progress=stop_after_four)
    assert not (tmp_path / "cut" / "saliency").exists()
    batches = tmp_path / "cut" / "saliency.partial" / "batches"
    assert len(list(batches.rglob("*.parquet"))) == 4
    seen = []
    handle = conv_square.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    explain(conv_square, toy_spec, dataset, tmp_path / "cut")
    handle.remove()
    resumed = sum(seen)
    assert sha256_tree(tmp_path / "cut") == sha256_tree(tmp_path / "whole")
    handle = conv_square.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    explain(conv_square, toy_spec, dataset, tmp_path / "again")
    handle.remove()
    assert resumed < (sum(seen) - resumed) / 2


def test_leftovers_of_another_request_are_not_used(conv_square, toy_spec, dataset, tmp_path):
    def stop(stage, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explain(conv_square, toy_spec, dataset, tmp_path, rows=(1, 2, 3), progress=stop)
    table = explain(conv_square, toy_spec, dataset, tmp_path, rows=(4, 5))
    assert table["row"].tolist() == [4, 5, 4, 5]


def test_result_does_not_depend_on_batches(conv_square, toy_spec, dataset, tmp_path):
    small = explain(conv_square, toy_spec, dataset, tmp_path / "small")
    large = explain(
        conv_square, toy_spec, dataset, tmp_path / "large", config=CONFIG.model_copy(update={"batch_size": 5})
    )
    pd.testing.assert_frame_equal(small, large, rtol=1e-5, atol=1e-5)


def test_no_more_than_a_batch_is_read_at_a_time(conv_square, toy_spec, dataset, tmp_path, monkeypatch):
    asked, opened = [], open_version(dataset.path)
    read = opened.tensor
    monkeypatch.setattr(opened, "tensor", lambda rows: asked.append(len(rows)) or read(rows))
    explain(conv_square, toy_spec, dataset, tmp_path)
    assert max(asked) == CONFIG.batch_size


def test_nothing_to_explain_is_an_error(conv_square, toy_spec, dataset, tmp_path):
    with pytest.raises(EmptyResultError, match="0 images"):
        explain(conv_square, toy_spec, dataset, tmp_path, rows=np.array([], dtype=np.int64))


def sure(n=10):
    return np.tile(np.array([[0.1, 0.9]], dtype=np.float32), (n, 1))


def test_rows_come_from_every_stratum_of_the_test_split(dataset):
    rows = choose_rows(dataset, sure(), images=4, seed=0)
    strata = {tuple(record) for record in dataset.images.iloc[rows][["label", "source"]].to_numpy()}
    assert len(strata) == 4
    assert choose_rows(dataset, sure(), images=100, seed=0).tolist() == list(range(10))


def test_unsure_images_come_last(dataset):
    probabilities = sure()
    probabilities[2:8] = 0.5
    rows = choose_rows(dataset, probabilities, images=4, seed=0).tolist()
    assert rows == [0, 1, 8, 9]


def test_choice_is_repeatable_and_seeded(dataset):
    draws = [choose_rows(dataset, sure(), images=4, seed=seed).tolist() for seed in (0, 0, 1, 2, 3)]
    assert draws[0] == draws[1]
    assert len({tuple(draw) for draw in draws}) > 1


def test_no_test_image_is_an_error(dataset, monkeypatch):
    monkeypatch.setattr(dataset, "rows", lambda *splits: np.array([], dtype=np.int64))
    with pytest.raises(EmptyResultError, match="no test image"):
        choose_rows(dataset, sure(0), images=4, seed=0)
