from __future__ import annotations

import pytest
import torch

from pipeline.benchmark.removal.trial import LEVELS, map_numbers


def test_a_map_of_the_evidence_is_right_and_faithful_and_one_of_the_decoy_is_neither(conv_square, toy, inside):
    image, truth = toy.image[:1], inside["evidence"][None, None]
    right, wrong = (
        map_numbers(conv_square, image, inside[name][None, None].float(), truth, 1, thorough=True)
        for name in ("evidence", "decoy")
    )
    assert [right[level] for level in LEVELS] == [0.0] * 9
    assert (right["iou"], wrong["iou"]) == (1.0, 0.0)
    assert (right["pointing"], wrong["pointing"]) == (1.0, 0.0)
    assert right["enrichment"] == pytest.approx(28 * 28 / 36)
    for key in ("rise_deletion", "igos_deletion"):
        assert right[key] < wrong[key]
    quick = map_numbers(conv_square, image, torch.rand(1, 1, 28, 28), truth, 1, thorough=False)
    assert quick["igos_deletion"] is None
