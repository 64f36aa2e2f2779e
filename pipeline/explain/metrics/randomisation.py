"""Does the map change when the classifier forgets? Adebayo et al., NeurIPS 2018 (arXiv 1810.03292).

A map that stays the same while the weights are replaced by random ones shows the picture, not the classifier.
The data randomisation of the same paper trains the classifier on permuted labels and is not here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import InputError
from pipeline.explain.contract import Explainer
from pipeline.explain.frozen import frozen
from pipeline.explain.metrics import likeness
from pipeline.randomness import derive_seed


def parameter_randomisation(
    model: nn.Module,
    spec: ModelSpec,
    make: Callable[[nn.Module], Explainer],
    images: Tensor,
    target: Tensor | int,
    image_ids: Sequence[str],
    *,
    blocks: int = 4,
    seed: int = 0,
) -> pd.DataFrame:
    """Cascading randomisation: how alike the map stays as layers are re-initialised, from the logits downwards.

    Layers are taken in the opposite order of running, in `blocks` groups of about equal number (the paper goes
    layer by layer; a group is our choice, for methods that are expensive). Each is drawn anew by its own
    `reset_parameters`, which puts batch norms back to mean 0 and variance 1. The class explained stays `target`.

    Args:
        model: classifier returning logits; left exactly as it was.
        spec: its contract.
        make: the explainer bound to a given classifier, always with the same seed.
        images: network input (B, C, H, W), at least 11 x 11 pixels.
        target: class per image (B,) or one for all.
        image_ids: identity of each image, so that the method's own randomness is the same every time.
        blocks: groups of layers, the fewer the cheaper: `blocks` + 1 maps per image.
        seed: of the new weights.

    Returns:
        One row for each group and image; lower similarity to the original map = better, and it should fall with `step`:
        `image_id`, `step` from 1, `layers` re-initialised so far, `probability` of the target by the randomised
        classifier, `spearman_absolute` of absolute values, `spearman_signed`, `ssim` (Gaussian window) and `hog`
        (Spearman of histograms of oriented gradients), the last two of absolute values stretched to [0, 1].

    Raises:
        InputError: a layer has parameters and no `reset_parameters`, there is none to re-initialise, or no group.
    """
    if blocks < 1:
        raise InputError(f"Layers are randomised in at least one group, found blocks={blocks}.")
    original = make(model).attribute(images, target, image_ids=image_ids)
    changed = copy.deepcopy(model)
    layers = _layers_from_logits(changed, images[:1], spec.name)
    tables = []
    for step, group in enumerate(np.array_split(np.arange(len(layers)), min(blocks, len(layers))), start=1):
        for number in group:
            name, layer = layers[number]
            _reinitialise(layer, derive_seed(seed, "parameter-randomisation", name))
        found = make(changed).explain(images, target, image_ids=image_ids)
        alike = _similarities(original, found.saliency)
        notes = {"image_id": list(image_ids), "step": step, "layers": int(group[-1]) + 1}
        tables.append(pd.DataFrame({**notes, "probability": found.probability.double().cpu().numpy(), **alike}))
    return pd.concat(tables, ignore_index=True)


def _similarities(original: Tensor, other: Tensor) -> dict[str, likeness.Floats]:
    likeness.comparable(original, other)
    before, after = (likeness.stretched(maps.abs()) for maps in (original, other))
    histograms = (likeness.gradient_histograms(maps) for maps in (before, after))
    return {
        "spearman_absolute": likeness.spearman(likeness.rows(before), likeness.rows(after)),
        "spearman_signed": likeness.spearman(likeness.rows(original), likeness.rows(other)),
        "ssim": likeness.ssim(before, after, [1.0] * len(before), gaussian_weights=True),
        "hog": likeness.spearman(*histograms),
    }


def _layers_from_logits(model: nn.Module, image: Tensor, name: str) -> list[tuple[str, nn.Module]]:
    """The layers that own parameters, by name, the last to run for `image` (1, C, H, W) first."""
    learned = {key: layer for key, layer in model.named_modules() if any(True for _ in layer.parameters(recurse=False))}
    fixed = [key for key, layer in learned.items() if not callable(getattr(layer, "reset_parameters", None))]
    if fixed or not learned:
        reason = f"{fixed} have parameters and no reset_parameters()" if fixed else "it has no parameters"
        raise InputError(f"The model {name!r} cannot be randomised: {reason}.")
    order: dict[str, nn.Module] = {}

    def note(key: str) -> Callable[..., None]:
        def hook(layer: nn.Module, *_: object) -> None:
            order.setdefault(key, layer)

        return hook

    handles = [layer.register_forward_hook(note(key)) for key, layer in learned.items()]
    try:
        with frozen(model), torch.no_grad():
            model(image)
    finally:
        for handle in handles:
            handle.remove()
    return list(order.items())[::-1]


def _reinitialise(layer: nn.Module, seed: int) -> None:
    """Fresh parameters by the layer's own rule; drawn on the CPU, so the same on every device."""
    device = next(layer.parameters()).device
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        layer.cpu()
        layer.reset_parameters()  # type: ignore[operator]
        layer.to(device)
