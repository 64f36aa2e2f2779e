"""Grad-CAM: Selvaraju et al., ICCV 2017 (arXiv 1610.02391), equations 1 and 2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar, Unpack

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import InputError, did_you_mean
from pipeline.explain.contract import Explainer, Maps, Query, Settings
from pipeline.explain.scorer import Score, target_score


class GradCam(Explainer):
    """ReLU of the feature maps of one layer, weighted by the mean gradient of the target's logit; values >= 0.

    ``map = ReLU(sum_k w_k A_k)``, ``w_k = mean over places of d logit / d A_k``, then upsampled bilinearly.
    """

    default_score: ClassVar[Score] = "logit"

    def __init__(
        self, model: nn.Module, spec: ModelSpec, *, layer: str | None = None, **settings: Unpack[Settings]
    ) -> None:
        """`layer` names a module whose output is a feature map; by default `last_feature_layer`.

        Raises:
            InputError: the model has no such layer, or none whose output is a feature map.
        """
        super().__init__(model, spec, **settings)
        modules = {name: module for name, module in model.named_modules() if name}
        if layer is not None and layer not in modules:
            raise InputError(f"The model has no layer {layer!r}. {did_you_mean(layer, modules)}")
        self._layer = modules[layer] if layer is not None else None

    def _maps(self, query: Query) -> Maps:
        layer = self._layer or last_feature_layer(self.model, query.images[:1])

        def cam(images: Tensor, target: Tensor) -> tuple[Tensor]:
            with _outputs_of([layer]) as outputs:
                score = target_score(self.model, images.detach().requires_grad_(), target, self.score)
            activations = outputs[-1][1]
            (slopes,) = torch.autograd.grad(score.sum(), activations)
            weights = slopes.mean(dim=(2, 3), keepdim=True)
            return (functional.relu((weights * activations).sum(dim=1, keepdim=True)),)

        (maps,) = query.scorer.apply(cam, query.images)
        return Maps(functional.interpolate(maps, query.images.shape[-2:], mode="bilinear", align_corners=False))


def last_feature_layer(model: nn.Module, image: Tensor) -> nn.Module:
    """The last module without children, in order of running, that puts out a feature map larger than 1 x 1.

    In a ResNet this is the ReLU after the last addition, in a DenseNet the ReLU after the last norm, in an
    EfficientNet the activation of the head convolution.

    Args:
        model: classifier.
        image: network input (1, C, H, W) to run it on.

    Raises:
        InputError: there is none.
    """
    leaves = [module for module in model.modules() if not any(module.children())]
    with _outputs_of(leaves) as outputs, torch.no_grad():
        model(image)
    layers = [layer for layer, output in outputs if output.dim() == 4 and output.shape[2] * output.shape[3] > 1]
    if not layers:
        raise InputError(
            "Grad-CAM needs a layer that puts out a feature map larger than 1 x 1; "
            "this model has none at this input size."
        )
    return layers[-1]


@contextmanager
def _outputs_of(layers: Sequence[nn.Module]) -> Iterator[list[tuple[nn.Module, Tensor]]]:
    """Collects (layer, output) while the model runs inside; the hooks are gone afterwards."""
    outputs: list[tuple[nn.Module, Tensor]] = []

    def keep(layer: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor):
            outputs.append((layer, output))

    handles = [layer.register_forward_hook(keep) for layer in layers]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()
