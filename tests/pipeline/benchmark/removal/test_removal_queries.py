from __future__ import annotations

import numpy as np
import torch
from torch import nn

from pipeline.benchmark.removal.queries import Queries, listening


def numbered(*numbers):
    return torch.tensor(numbers, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)


def test_every_query_has_the_same_chance_and_the_image_itself_none():
    kept = []
    for seed in range(400):
        queries = Queries(3, numbered(0, 7), np.random.default_rng(seed))
        for batch in (numbered(0, 1, 2), numbered(3, 4, 7), numbered(5), numbered(6, 0)):
            queries.see(batch)
        assert queries.seen == 6
        kept += [int(each[0, 0, 0]) for each in queries.kept]
    shares = np.bincount(kept, minlength=8) / 400
    assert shares[[0, 7]].max() == 0
    assert np.abs(shares[1:7] - 0.5).max() < 0.08  # three standard deviations of 400 draws


def test_listening_ends():
    model, queries = nn.Identity(), Queries(5, numbered(9), np.random.default_rng(0))
    with listening(model, queries):
        model(numbered(1, 2))
    model(numbered(3))
    assert [int(each[0, 0, 0]) for each in queries.kept] == [1, 2]
    assert not model._forward_pre_hooks
