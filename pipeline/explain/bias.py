"""Is a map shaped by the image's grey values instead of by what the classifier makes of them?

A map that is multiplied by the input is 0 where the input is 0 and large where it is far from 0, whatever the network
has learned: on a chest radiograph it overlooks the lungs, which are dark (Brocki and Chung 2020, arXiv 2011.05002).
Four tests measure that for any method; the definitions are ours:

* `bias_index`: does the map find evidence of every grey value, also of the one that becomes network input 0?
* `shift_error`: does it stay the same if image and network are moved in grey value together?
* `random_weight_correlation`: does it follow the input's magnitude where there is nothing learned to follow?
* `dark_bright_ratio`: does it credit dark regions as much as bright ones that matter as much?

`input_bias` runs them for several methods and trains what they need only once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as functional
from scipy.stats import spearmanr
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import InputError
from pipeline.explain.bias_glyphs import SPEC, GlyphWorld, glyph_worlds, random_network
from pipeline.explain.bias_patches import MakeExplainer, PatchEffects, dark_bright_ratio, image_names
from pipeline.explain.registry import create
from pipeline.progress import Progress, silent
from pipeline.randomness import torch_generator

SHIFT = 1.0
"""How far `shift_error` moves the network input."""


@dataclass(frozen=True)
class InputBias:
    """How much a method follows grey values.

    Attributes:
        bias_index: see `bias_index`; about 0 to 0.3 without bias, 1 if evidence at one grey value is invisible.
        shift_error: see `shift_error`; below 1e-4 without bias.
        random_weight_correlation: see `random_weight_correlation`; about 0 without bias, 1 for the input itself.
        dark_bright_ratio: see `dark_bright_ratio`; about 1 without bias; NaN if it was not measured.
    """

    bias_index: float
    shift_error: float
    random_weight_correlation: float
    dark_bright_ratio: float = float("nan")


def input_bias(
    methods: Sequence[str] | Mapping[str, MakeExplainer],
    *,
    seed: int,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    worlds: Sequence[GlyphWorld] | None = None,
    random_networks: int = 20,
    effects: PatchEffects | None = None,
    progress: Progress = silent,
) -> pd.DataFrame:
    """The tests for several methods.

    Args:
        methods: registered names, or a way to make each explainer by name.
        seed: of the networks, the images and the methods.
        options: of registered methods, by name.
        worlds: from `glyph_worlds`; made from `seed` if not given.
        random_networks: how many `random_weight_correlation` averages over, at least 20 for a result to report.
        effects: from `patch_effects`, for `dark_bright_ratio`, which is left out otherwise.
        progress: told after each method.

    Returns:
        One row a method: ``method`` and the fields of `InputBias`.
    """
    makers = methods if isinstance(methods, Mapping) else _registered(methods, seed, options or {})
    trained = glyph_worlds(seed=seed, progress=progress) if worlds is None else worlds
    rows = []
    for done, (name, make) in enumerate(makers.items()):
        progress("input bias", done, len(makers))
        found = InputBias(
            bias_index(make, trained),
            shift_error(make, trained[0].model, trained[0].spec, trained[0].images, target=1),
            random_weight_correlation(make, seed=seed, networks=random_networks),
            *([] if effects is None else [dark_bright_ratio(make, effects)]),
        )
        rows.append({"method": name, **asdict(found)})
    progress("input bias", len(makers), len(makers))
    return pd.DataFrame(rows)


def _registered(names: Sequence[str], seed: int, options: Mapping[str, Mapping[str, Any]]) -> dict[str, MakeExplainer]:
    def maker(name: str) -> MakeExplainer:
        return lambda model, spec: create(name, model, spec, **{"seed": seed, **options.get(name, {})})

    return {name: maker(name) for name in names}


def bias_index(make: MakeExplainer, worlds: Sequence[GlyphWorld]) -> float:
    """Planted evidence against grey value: ``1 - min over values of lift / median over values``, at most 1.

    The lift is the share of |A| that lies on the evidence over the evidence's share of the area, mean over images.
    Up to about 0.3 is what chance and training leave; 1 means blind to evidence of one grey value. Each value has a
    network of its own, and methods that depend on details of the network vary with it: judge by several seeds.

    Raises:
        InputError: fewer than three grey values.
    """
    if len(worlds) < 3:
        raise InputError(f"The bias index compares at least 3 grey values, found {len(worlds)}.")
    lifts = [glyph_lift(make, world) for world in worlds]
    middle = float(np.median(lifts))
    return 1 - min(lifts) / middle if middle > 0 else 1.0


def glyph_lift(make: MakeExplainer, world: GlyphWorld) -> float:
    """How many times more |A| lies on the evidence than if it were spread evenly; 0 if the maps are empty."""
    explainer = make(world.model, world.spec)
    strength = explainer.attribute(world.images, 1, image_ids=image_names(world.images)).abs().flatten(1).double()
    evidence = world.evidence.flatten(1)
    share = (strength * evidence).sum(dim=1) / strength.sum(dim=1).clamp(min=torch.finfo(torch.float64).tiny)
    return float((share / evidence.double().mean(dim=1)).mean())


class Shifted(nn.Module):
    """``f(x - shift)``: the same classifier for images moved in grey value.

    The same function as absorbing the shift into the first convolution, ``b' = b - shift sum(w)`` with padding by
    ``shift``, without touching its padding, which some methods look at.
    """

    def __init__(self, model: nn.Module, shift: float) -> None:
        super().__init__()
        self.model = model
        self.shift = shift

    def forward(self, images: Tensor) -> Tensor:
        """Network input -> logits."""
        return self.model(images - self.shift)  # type: ignore[no-any-return]


def shift_error(
    make: MakeExplainer, model: nn.Module, spec: ModelSpec, images: Tensor, *, target: int, shift: float = SHIFT
) -> float:
    """Shift reparametrisation: ``||A' - A|| / ||A||``, mean over images, where A' explains f(x - shift) at x + shift.

    Baselines given by intensity or made from the image move with it. Network input 0 stays 0: methods that start there
    fail, as they should. Infinite if a map of zeros turns into something else.
    """
    ids = image_names(images)
    moved_spec = replace(spec, mean=spec.mean - shift * spec.std)
    before = make(model, spec).attribute(images, target, image_ids=ids).double()
    after = make(Shifted(model, shift), moved_spec).attribute(images + shift, target, image_ids=ids).double()
    change, size = (each.flatten(1).norm(dim=1) for each in (after - before, before))
    return float(torch.where(change == 0, 0.0, change / size).mean())


def random_weight_correlation(make: MakeExplainer, *, seed: int, networks: int = 20) -> float:
    """Spearman correlation of |A| with the magnitude of the network input, mean over untrained networks.

    Each network explains one image of smooth random shades that cover all intensities. A constant map counts as 0.
    """
    correlations = []
    for number in range(networks):
        image = _clouds(torch_generator(seed, "input bias", "clouds", number))
        maps = make(random_network(seed + number), SPEC).attribute(image, 1, image_ids=[f"clouds-{number}"])
        magnitude, strength = image.abs().flatten().numpy(), maps.abs().flatten().numpy()
        constant = np.ptp(strength) == 0
        correlations.append(0.0 if constant else float(spearmanr(magnitude, strength).statistic))
    return float(np.mean(correlations))


def _clouds(generator: torch.Generator) -> Tensor:
    """One image (1, 1, H, W) as network input: smooth noise, stretched to [0, 1]."""
    coarse = torch.rand(1, 1, 6, 6, generator=generator)
    smooth = functional.interpolate(coarse, SPEC.input_size, mode="bicubic", align_corners=True)
    return SPEC.normalise((smooth - smooth.amin()) / (smooth.amax() - smooth.amin()))
