from __future__ import annotations

import pytest

from pipeline.benchmark.removal.request import FLOOR, PAIRS, RemovalRequest
from pipeline.errors import InputError


def test_plain_and_generative_differ_in_the_fill_alone():
    settings = RemovalRequest(fill="blur", input_size=224).settings()
    assert list(settings) == ["sp", "sp-g", "lime", "lime-g", "mp", "mp-g", *FLOOR]
    for plain, generative in PAIRS:
        assert settings[generative] == tuple({**each, "fill": "blur"} for each in settings[plain])
    assert [each["patch"] for each in settings["sp"]] == [29, 5, 53]


def test_patches_shrink_with_the_image_until_they_are_the_same():
    assert [each["patch"] for each in RemovalRequest(input_size=128).settings()["sp"]] == [17, 3, 30]
    with pytest.raises(InputError, match="larger --input-size"):
        RemovalRequest(input_size=8).settings()
