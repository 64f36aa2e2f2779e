"""Arrays and pictures over HTTP: true to the store, kept by browsers, and never bigger than they must be."""

from __future__ import annotations

import gzip
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice

import numpy as np
import pytest
import zarr

from tests.pipeline.review.study import RUN

IMAGES = f"/api/audits/{RUN}/images"
FOREVER = "private, max-age=31536000, immutable"


def array(answer) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/octet-stream"
    dtype = np.dtype(answer.headers["x-dtype"]).newbyteorder("<")
    return np.frombuffer(answer.content, dtype).reshape(int(answer.headers["x-height"]), int(answer.headers["x-width"]))


def test_pixels_are_the_stored_ones_in_16_bits(vera, images, review_workspace):
    answer = vera.get(f"{IMAGES}/{images[5]}/pixels")
    assert (answer.headers["x-size"], answer.headers["x-dtype"]) == ("64", "uint16")
    assert np.array_equal(array(answer), review_workspace.dataset.pixels([5])[0])


@pytest.mark.parametrize("what", ["pixels", "thumbnail?size=256"])
def test_pixels_never_change_and_browsers_know(vera, images, what):
    first = vera.get(f"{IMAGES}/{images[0]}/{what}")
    assert first.headers["cache-control"] == FOREVER
    tag = first.headers["etag"]
    assert tag.startswith('"'), "a strong tag"
    for known in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = vera.get(f"{IMAGES}/{images[0]}/{what}", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert again.headers["cache-control"] == FOREVER
    assert vera.get(f"{IMAGES}/{images[0]}/{what}", headers={"If-None-Match": '"other"'}).status_code == 200
    assert vera.get(f"{IMAGES}/{images[1]}/{what}").headers["etag"] != tag


def test_arrays_are_packed_for_clients_elsewhere_only(vera, images, signed_in):
    path = f"{IMAGES}/{images[5]}/pixels"
    near = vera.get(path, headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in near.headers
    far = signed_in("vera", "192.0.2.7")
    plain = far.get(path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    with far.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as packed:
        body = b"".join(packed.iter_raw())
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(body) == near.content == plain.content
    assert packed.headers["etag"] != near.headers["etag"], "other bytes, other strong tag"
    again = far.get(path, headers={"If-None-Match": packed.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("size", [128, 256])
def test_thumbnails_are_jpegs(vera, images, size):
    answer = vera.get(f"{IMAGES}/{images[0]}/thumbnail", params={"size": size})
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content.startswith(b"\xff\xd8")
    assert vera.get(f"{IMAGES}/{images[0]}/thumbnail", params={"size": 512}).status_code == 422


def test_saliency_is_the_audits_map(vera, images, review_workspace):
    maps = zarr.open_array(review_workspace.run / "saliency" / "igos++-fast.zarr", mode="r")
    answer = vera.get(f"{IMAGES}/{images[3]}/saliency/igos%2B%2B-fast")
    assert np.array_equal(array(answer), maps[3])
    assert answer.headers["x-dtype"] == "float32"
    again = vera.get(f"{IMAGES}/{images[3]}/saliency/igos++-fast", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    assert vera.get(f"{IMAGES}/{images[4]}/saliency/igos++-fast").status_code == 404


@pytest.mark.parametrize("method", ["..%2f..%2frun", "Grad-CAM", "a.b", "a" * 65, "%00"])
def test_a_method_is_a_name_not_a_path(vera, images, method):
    assert vera.get(f"{IMAGES}/{images[3]}/saliency/{method}").status_code in (404, 422)


def test_saliency_is_computed_when_asked_and_then_kept(rosa, vera, backend, images):
    path = f"{IMAGES}/{images[20]}/saliency/lrp"
    assert rosa.get(path).status_code == 404
    assert vera.get(f"{path}?compute=true").status_code == 403, "viewers only look"
    assert backend.asked == []
    computed = array(rosa.get(f"{path}?compute=true"))
    assert np.array_equal(computed, np.arange(64).reshape(8, 8))
    assert np.array_equal(array(rosa.get(f"{path}?compute=true")), computed)
    assert np.array_equal(array(vera.get(path)), computed)
    assert backend.asked == [("explain", images[20], "lrp")]
    answer = rosa.get(f"{IMAGES}/{images[20]}/saliency/nothing?compute=true")
    assert answer.status_code == 400
    assert "Allowed: lrp" in answer.json()["error"]["message"]


def test_one_map_is_computed_at_a_time(rosa, backend, images):
    started, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        started.set()
        assert go_on.wait(10)

    backend.explaining = wait
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(rosa.get, f"{IMAGES}/{images[20]}/saliency/lrp?compute=true")
        assert started.wait(10)
        answer = rosa.get(f"{IMAGES}/{images[21]}/saliency/lrp?compute=true")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
        assert answer.json()["error"]["message"]
        go_on.set()
        assert slow.result(10).status_code == 200


def test_lungs_are_told_where_they_were_found(vera, images, review_workspace):
    assert vera.get(f"{IMAGES}/{images[0]}/lungs").status_code == 404
    import pandas as pd

    from pipeline.artifacts import write_parquet

    folder = review_workspace.run / "lungs"
    write_parquet(folder / "lungs.parquet", pd.DataFrame({"image_id": images[:1]}))
    mask = np.zeros((1, 8, 8), bool)
    mask[0, 2:5, 3] = True
    zarr.create_array(store=folder / "masks.zarr", shape=mask.shape, dtype="bool", chunks=(1, 8, 8))[:] = mask
    answer = vera.get(f"{IMAGES}/{images[0]}/lungs")
    assert np.array_equal(array(answer), mask[0])
    assert answer.headers["x-dtype"] == "uint8"


def test_a_preview_shows_the_regions_that_are_named(vera, images, backend, review_workspace):
    regions = vera.regions(images[1])
    stored = review_workspace.dataset.pixels([1])[0]
    answer = vera.get(f"{IMAGES}/{images[1]}/cleansed", params={"regions": ",".join(regions)})
    assert answer.headers["cache-control"] == "no-store"
    filled = array(answer)
    assert backend.asked == [("cleansed", images[1], sorted(regions))]
    assert (answer.headers["x-size"], filled.dtype) == ("64", np.uint16)
    assert np.any(filled != stored)
    other = vera.regions(images[2])[0]
    assert vera.get(f"{IMAGES}/{images[1]}/cleansed", params={"regions": other}).status_code == 404


def test_a_preview_shows_what_is_in_force(rosa, images, backend, review_workspace):
    path = f"{IMAGES}/{images[1]}/cleansed?rule=in-force"
    stored = review_workspace.dataset.pixels([1])[0]
    assert np.array_equal(array(rosa.get(path)), stored)
    assert backend.asked == [], "nothing to fill"
    side, position = (rosa.regions(images[1], kind)[0] for kind in ("side", "position"))
    # The plan left the side marker of image 1 for a person: its finding's rule does not fill it, a person's word does.
    for finding in ("F01", "F02"):
        rosa.decide({"finding": finding}, verdict="accepted")
    rosa.get(path)
    rosa.decide({"regions": [side]}, verdict="accepted")
    rosa.get(path)
    rosa.decide({"regions": [position]}, verdict="keep")
    rosa.get(path)
    filled = [each[2] for each in backend.asked]
    assert filled == [[position], sorted([side, position]), [side]]


@pytest.mark.parametrize("query", ["", "?regions=0123456789abcdef&rule=in-force"])
def test_a_preview_needs_one_of_both(vera, images, query):
    answer = vera.get(f"{IMAGES}/{images[1]}/cleansed{query}")
    assert answer.status_code == 400
    assert "either" in answer.json()["error"]["message"]
    assert vera.get(f"{IMAGES}/{images[1]}/cleansed?regions=a,b").status_code == 422


def test_many_previews_at_once_leave_the_server_free_for_others(rosa, vera, images, backend):
    [region] = rosa.regions(images[0], "side")
    address, go_on = f"{IMAGES}/{images[0]}/cleansed?regions={region}", threading.Event()
    backend.filling = lambda: go_on.wait(20) and None
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(rosa.get, address) for _ in range(20)]
        refused = [each.result() for each in islice(as_completed(answers, timeout=15), 12)]
        assert {(each.status_code, each.headers["retry-after"]) for each in refused} == {(429, "1")}
        assert vera.get("/api/me").status_code == 200
        go_on.set()
        assert sorted(each.result().status_code for each in answers) == [200] * 8 + [429] * 12
    assert rosa.get(address).status_code == 200
