"""Generators depend on what they are for and on nothing else."""

from __future__ import annotations

import numpy as np
import torch

from pipeline.randomness import derive_seed, numpy_generator, torch_generator


def test_seed_separates_parts() -> None:
    assert derive_seed(1, "a") != derive_seed("1", "a")
    assert derive_seed("ab", "c") != derive_seed("a", "bc")
    assert 0 <= derive_seed("x") < 2**63


def test_known_seed_never_drifts() -> None:
    assert derive_seed(0, "igos", "image") == 128575418707389120


def test_global_state_is_untouched() -> None:
    before = torch.get_rng_state()
    first = torch.randn(3, generator=torch_generator(1, "x"))
    assert torch.equal(first, torch.randn(3, generator=torch_generator(1, "x")))
    assert np.array_equal(numpy_generator(1).random(3), numpy_generator(1).random(3))
    assert torch.equal(before, torch.get_rng_state())
