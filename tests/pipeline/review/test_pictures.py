"""Pixels, maps, lungs and thumbnails of a finished audit, as its files have them."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import zarr

from pipeline.artifacts import write_parquet
from pipeline.errors import InputError
from pipeline.review.pictures import Busy, Pictures
from pipeline.review.store.conflict import Missing
from tests.pipeline.review.study import RUN, Study, image_id

NOBODY = "f" * 64


def write_lungs(folder, images: list[str], masks: np.ndarray) -> None:
    write_parquet(folder / "lungs.parquet", pd.DataFrame({"image_id": images}))
    zarr.create_array(store=folder / "masks.zarr", shape=masks.shape, dtype="bool", chunks=(1, 8, 8))[:] = masks


def test_pixels_are_those_of_the_store_in_its_own_type(review_workspace: Study):
    pictures = Pictures(review_workspace.workspace)
    for row in (0, 17):
        found = pictures.pixels(RUN, image_id(RUN, row))
        assert found.dtype == np.uint16
        assert np.array_equal(found, review_workspace.dataset.pixels([row])[0])
    assert pictures.version(RUN) == "v1"


def test_an_unknown_image_is_missing(review_workspace: Study):
    pictures = Pictures(review_workspace.workspace)
    with pytest.raises(Missing, match=NOBODY):
        pictures.pixels(RUN, NOBODY)
    with pytest.raises(Missing, match=NOBODY):
        pictures.thumbnail(RUN, NOBODY, 128)


def test_saliency_is_that_of_the_image_not_of_its_row(review_workspace: Study):
    # The tables of the fixture list images in order; here the third comes first.
    table = review_workspace.run / "saliency" / "grad-cam.parquet"
    order = [2, 0, 1, *range(3, 8)]
    write_parquet(table, pd.read_parquet(table).iloc[order].reset_index(drop=True))
    maps = zarr.open_array(review_workspace.run / "saliency" / "grad-cam.zarr", mode="r")
    pictures = Pictures(review_workspace.workspace)
    found = pictures.saliency(RUN, image_id(RUN, 2), "grad-cam")
    assert found is not None
    assert found.dtype == np.float32
    assert np.array_equal(found, maps[0])
    assert pictures.saliency(RUN, image_id(RUN, 8), "grad-cam") is None
    assert pictures.saliency(RUN, image_id(RUN, 0), "lrp") is None


def test_an_audit_that_is_explained_again_is_read_again(review_workspace: Study):
    pictures = Pictures(review_workspace.workspace)
    assert pictures.saliency(RUN, image_id(RUN, 9), "grad-cam") is None
    table = review_workspace.run / "saliency" / "grad-cam.parquet"
    frame = pd.read_parquet(table)
    frame.loc[0, "image_id"] = image_id(RUN, 9)
    write_parquet(table, frame)
    assert pictures.saliency(RUN, image_id(RUN, 9), "grad-cam") is not None
    assert pictures.saliency(RUN, image_id(RUN, 0), "grad-cam") is None


def test_methods_are_those_of_the_audit_and_those_computed_later(review_workspace: Study):
    pictures = Pictures(review_workspace.workspace)
    few, none = image_id(RUN, 4), image_id(RUN, 20)
    assert pictures.methods(RUN, image_id(RUN, 0)) == ("grad-cam", "igos++-fast")
    assert pictures.methods(RUN, few) == ("grad-cam",)
    assert pictures.methods(RUN, none) == ()
    pictures.computed_saliency(RUN, none, "dance:lrp", lambda: np.ones((4, 4), np.float32))
    assert pictures.methods(RUN, none) == ("dance:lrp",)
    assert pictures.methods(RUN, few) == ("grad-cam",)


def test_a_computed_map_is_computed_once_and_outlives_the_server(review_workspace: Study):
    image, calls = image_id(RUN, 20), []

    def compute() -> np.ndarray:
        calls.append(1)
        return np.arange(12, dtype=np.float32).reshape(3, 4)

    first = Pictures(review_workspace.workspace).computed_saliency(RUN, image, "dance:lrp", compute)
    again = Pictures(review_workspace.workspace)
    assert np.array_equal(again.computed_saliency(RUN, image, "dance:lrp", compute), first)
    assert np.array_equal(again.saliency(RUN, image, "dance:lrp"), first)
    assert calls == [1]
    assert not list(review_workspace.workspace.rglob("*.partial"))


def test_one_map_is_computed_at_a_time_and_one_that_failed_can_be_asked_for_again(review_workspace: Study):
    pictures = Pictures(review_workspace.workspace)
    started, go_on = threading.Event(), threading.Event()

    def slow() -> np.ndarray:
        started.set()
        assert go_on.wait(10)
        raise InputError("unknown method")

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(pictures.computed_saliency, RUN, image_id(RUN, 20), "lrp", slow)
        assert started.wait(10)
        with pytest.raises(Busy, match="Try again"):
            pictures.computed_saliency(RUN, image_id(RUN, 21), "lrp", lambda: np.ones((2, 2), np.float32))
        go_on.set()
        with pytest.raises(InputError, match="unknown method"):
            future.result(10)
    assert pictures.computed_saliency(RUN, image_id(RUN, 20), "lrp", lambda: np.ones((2, 2), np.float32)).sum() == 4


def test_lungs_are_the_runs_own_or_the_data_sets(review_workspace: Study):
    pictures = Pictures(review_workspace.workspace)
    assert pictures.lungs(RUN, image_id(RUN, 0)) is None
    own = np.zeros((2, 8, 8), bool)
    own[0, 2:4] = True
    write_lungs(review_workspace.run / "lungs", [image_id(RUN, 0), image_id(RUN, 1)], own)
    whole = np.zeros((2, 8, 8), bool)
    whole[0, 6] = True
    write_lungs(review_workspace.workspace / "cache" / "lungs" / "abc-v1", [image_id(RUN, 1), image_id(RUN, 2)], whole)
    found = pictures.lungs(RUN, image_id(RUN, 0))
    assert found is not None
    assert found.dtype == np.uint8
    assert np.array_equal(found, own[0])
    # All false means that no lungs were found: the data set's masks may know better.
    assert np.array_equal(pictures.lungs(RUN, image_id(RUN, 1)), whole[0])
    assert pictures.lungs(RUN, image_id(RUN, 2)) is None


def test_thumbnails_are_kept_on_disk_and_made_again_from_nothing_else(review_workspace: Study):
    image = image_id(RUN, 3)
    made = Pictures(review_workspace.workspace).thumbnail(RUN, image, 128)
    kept = review_workspace.workspace / "cache" / "thumbnails" / "v1" / "128" / image[:2] / f"{image}.jpg"
    assert kept.read_bytes() == made
    shutil.rmtree(review_workspace.dataset.path)
    assert Pictures(review_workspace.workspace).thumbnail(RUN, image, 128) == made


def test_many_threads_see_whole_thumbnails_of_their_own_images(review_workspace: Study):
    images = [image_id(RUN, row) for row in range(24)]
    alone = Pictures(review_workspace.workspace)
    expected = {image: alone.thumbnail(RUN, image, 128) for image in images}
    assert len(set(expected.values())) == 24
    shutil.rmtree(review_workspace.workspace / "cache")
    shared = Pictures(review_workspace.workspace)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda image: shared.thumbnail(RUN, image, 128), images * 8))
    assert found == [expected[image] for image in images] * 8
