"""Explicit random generators, derived from what they are for.

No code of this project touches global random state. A generator is made from the run's seed and the
identity of what it serves (an image id, an epoch), so results do not depend on batch, order or worker.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def derive_seed(*parts: str | int) -> int:
    """A 63-bit seed that depends on every part and on nothing else.

    Args:
        parts: what the randomness is for, e.g. ``(run_seed, "igos-noise", image_id)``.
    """
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def torch_generator(*parts: str | int, device: str | torch.device = "cpu") -> torch.Generator:
    """A seeded `torch.Generator` for `parts`; see `derive_seed`."""
    generator = torch.Generator(device=device)
    generator.manual_seed(derive_seed(*parts))
    return generator


def numpy_generator(*parts: str | int) -> np.random.Generator:
    """A seeded `numpy.random.Generator` for `parts`; see `derive_seed`."""
    return np.random.default_rng(derive_seed(*parts))
