"""Which images are compared, and how that is accounted for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pipeline.benchmark.sample import choose_sample
from pipeline.errors import EmptyResultError


class Unsure(nn.Module):
    """Three classes; below one half for images without the bright square."""

    def __init__(self, certain: nn.Module) -> None:
        super().__init__()
        self.certain = certain

    def forward(self, images):
        logits = self.certain(images)
        return torch.cat([logits, logits[:, :1]], dim=1)


def test_counts_add_up_and_targets_are_the_predicted_classes(study, square_mean, toy_spec):
    sample = choose_sample(square_mean, toy_spec, study.dataset, None, images=20, seed=0)
    assert sample.rows.tolist() == list(range(10))
    assert sample.targets.tolist() == [1, 0] * 5
    assert not sample.truth.any()
    assert sample.counts == {
        "test images": 10,
        "chosen": 10,
        "skipped, predicted class below 0.5": 0,
        "explained": 10,
        "decided by a mark of known place": 0,
    }


def test_unsure_images_are_skipped_and_counted(study, square_mean, toy_spec):
    sample = choose_sample(Unsure(square_mean).eval(), toy_spec, study.dataset, None, images=20, seed=0)
    assert sample.rows.tolist() == [0, 2, 4, 6, 8]
    assert sample.counts["skipped, predicted class below 0.5"] == 5
    assert sample.counts["chosen"] == sample.counts["explained"] + 5


def test_images_with_known_evidence_come_first(study, square_mean, toy_spec):
    only = {"4.png": study.marks["4.png"]}
    for seed in range(4):
        sample = choose_sample(square_mean, toy_spec, study.dataset, only, images=2, seed=seed)
        assert 4 in sample.rows
        assert sample.truth.flatten(1).any(dim=1).tolist() == (sample.rows == 4).tolist()
        assert sample.counts["decided by a mark of known place"] == 1


def test_nothing_to_explain_is_an_error(study, toy_spec):
    with pytest.raises(EmptyResultError, match=r"0\.5"):
        choose_sample(Flat().eval(), toy_spec, study.dataset, None, images=4, seed=0)


class Flat(nn.Module):
    """Three classes, none likelier than the others."""

    def forward(self, images):
        return images.mean(dim=(1, 2, 3))[:, None].expand(-1, 3) * 0
