"""DeepLIFT, rescale rule: Shrikumar, Greenside, Kundaje, ICML 2017 (arXiv 1704.02685).

Ours and not Captum's. Captum 0.9 loses shares where one nonlinearity follows another directly, as maximum pooling
follows ReLU, and where pooling windows overlap: with random weights its shares miss the change of the score by 8 to 84
times that change on `small` and DenseNet-121. It refuses modules that run twice, as in every block of MONAI's ResNet,
and has no rule for SiLU or for the gates of an EfficientNet. Here functions are caught where torch calls them, so
reused, in-place and functional layers are all alike and nothing is hung on the model.
"""

from __future__ import annotations

from typing import Any, Unpack

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import InputError
from pipeline.explain.contract import Query, Settings
from pipeline.explain.function_rules import ACTIVATIONS, Call, FunctionRules, Rule, elementwise
from pipeline.explain.scorer import target_score
from pipeline.explain.shares import ShareExplainer, Shares

NEAR = 1e-6
"""Inputs of a nonlinearity that differ by less are too near each other to divide by; it gets its derivative."""
TOLERANCE = 1e-3
"""Most that the shares may miss the change of the score by, relative to the sum of their absolute values."""
ROUNDING = 1e-5
"""Likewise, relative to the score itself."""
ELEMENTWISE = ACTIVATIONS | {"sigmoid", "hardsigmoid", "logsigmoid", "softplus", "softsign", "hardtanh"}
"""Functions of each value alone, by torch's names; they get the rescale rule."""
MAX_POOLS = frozenset({"max_pool2d", "adaptive_max_pool2d"})
PRODUCTS = frozenset({"mul", "multiply"})


class DeepLift(ShareExplainer):
    """Shares of the logit's change from the baseline to the image, which add up to it.

    ``share = (image - baseline) * multiplier``, where the multiplier is a gradient in which every nonlinearity has
    ``change of its output / change of its input`` in place of its derivative.

    Where the paper is silent we chose: the change of a pooled maximum belongs to the place of the larger of the two
    maxima; a product of two activations (the gates of an EfficientNet) passes each factor the mean of the other;
    inputs nearer than `NEAR` take the derivative midway (RectGrad's authors do so below 1e-5). All keep the sum.

    Info: ``delta`` (B,), the sum of the shares minus the change of the logit: 0 but for rounding.
    """

    def __init__(
        self, model: nn.Module, spec: ModelSpec, *, multiply_by_inputs: bool = True, **settings: Unpack[Settings]
    ) -> None:
        """`multiply_by_inputs` False gives the multipliers alone.

        Raises:
            InputError: a score other than the logit: the rescale rule has no form for the softmax.
        """
        super().__init__(model, spec, multiply_by_inputs=multiply_by_inputs, **settings)
        if self.score != "logit":
            raise InputError(f"deeplift explains the logit, found score={self.score!r}. Leave the score out.")

    def split(self, query: Query) -> Shares:
        """Shares and multipliers.

        Raises:
            InputError: the classifier has a nonlinear layer for which there is no rule.
        """
        pairs = torch.stack([query.images, self.baseline(query.images)], dim=1)
        multipliers, scores = query.scorer.apply(self._multipliers, pairs, forward=2)
        shares = (pairs[:, 0] - pairs[:, 1]) * multipliers
        return Shares(shares, multipliers, {"delta": _checked_delta(shares, scores)})

    def _multipliers(self, pairs: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """For images and their baselines (n, 2, C, H, W): multipliers (n, C, H, W) and logits (n, 2)."""
        inputs = pairs.transpose(0, 1).flatten(0, 1).requires_grad_()
        with torch.enable_grad(), FunctionRules(_rules(len(inputs))):
            scores = _halves(target_score(self.model, inputs, target.repeat(2), self.score))
        (gradient,) = torch.autograd.grad(scores[0].sum(), inputs)
        return gradient[: len(pairs)], scores.detach().T


def _checked_delta(shares: Tensor, scores: Tensor) -> Tensor:
    """By how much shares (B, C, H, W) miss the change between scores (B, 2) of image and baseline; (B,)."""
    change = scores[:, 0] - scores[:, 1]
    delta = shares.sum(dim=(1, 2, 3)) - change
    allowed = TOLERANCE * torch.maximum(shares.abs().sum(dim=(1, 2, 3)), change.abs())
    wrong = delta.abs() > allowed + ROUNDING * scores.abs().amax(dim=1)  # never for NaN, which has its own error
    if bool(wrong.any()):
        raise InputError(
            f"deeplift has no rule for a nonlinear layer of this classifier: the score changes by "
            f"{float(change[wrong][0]):.4g}, the shares add up to {float((change + delta)[wrong][0]):.4g}. "
            f"It knows {', '.join(sorted(ELEMENTWISE | MAX_POOLS))} and products. Use integrated-gradients."
        )
    return delta


def _rules(batch: int) -> dict[str, Rule]:
    """Slopes from baseline to image for all nonlinearities, for batches of images followed by their baselines."""

    def for_pairs(rule: Rule) -> Rule:
        def guarded(call: Call) -> Tensor:
            depends = call.input.requires_grad and call.input.dim() > 0 and len(call.input) == batch
            return rule(call) if depends else call.run()

        return guarded

    rules = {**dict.fromkeys(ELEMENTWISE, _rescale), **dict.fromkeys(MAX_POOLS, _max_pool)}
    return {name: for_pairs(rule) for name, rule in {**rules, **dict.fromkeys(PRODUCTS, _product)}.items()}


def _rescale(call: Call) -> Tensor:
    def rule(inputs: Tensor, outputs: Tensor) -> Tensor:
        image, baseline = _halves(inputs.detach())
        slope = _slope(image - baseline, _change(outputs), _derivative(call, (image + baseline) / 2))
        return _linear(outputs, slope, inputs)

    return elementwise(call, rule)


def _derivative(call: Call, inputs: Tensor) -> Tensor:
    with torch.enable_grad():
        leaf = inputs.requires_grad_()
        outputs = call.function(leaf.clone(), *call.args[1:], **_options(call))
    return torch.autograd.grad(outputs.sum(), leaf)[0]


def _max_pool(call: Call) -> Tensor:
    """The change of a maximum is passed to the place of the larger of the two maxima."""
    pool = getattr(functional, call.function.__name__)
    outputs, places = pool(call.input.detach(), *call.args[1:], **{**_options(call), "return_indices": True})
    of_image, of_baseline = _halves(places)
    place = torch.where(_change(outputs) >= 0, of_image, of_baseline).repeat(2, 1, 1, 1)
    there = call.input.flatten(2).gather(2, place.flatten(2)).view(place.shape)
    change_in, change_out = _change(there.detach()), _change(outputs)
    return _linear(outputs, _slope(change_in, change_out, torch.ones_like(change_in)), there)


def _product(call: Call) -> Tensor:
    """Each factor's slope is the mean of the other one, which is exact."""
    first, second = call.input, call.args[-1]
    if not _same_batch(first, second):
        return call.run()
    outputs = _linear(first.detach() * second.detach(), _mean(second), first)
    outputs = _linear(outputs, _mean(first), second)
    in_place = call.function.__name__.endswith("_")
    return first.copy_(outputs) if in_place else outputs


def _same_batch(first: Tensor, second: object) -> bool:
    if not isinstance(second, Tensor) or not second.requires_grad:
        return False
    return first.dim() == second.dim() and len(first) == len(second)


def _options(call: Call) -> dict[str, Any]:
    return {key: value for key, value in call.kwargs.items() if key != "input"}


def _linear(values: Tensor, slope: Tensor, inputs: Tensor) -> Tensor:
    """`values` as they are; their derivative with respect to `inputs` is `slope`, of one half, in both halves."""
    nothing = _halves(inputs - inputs.detach())
    return values + (slope * nothing).flatten(0, 1)


def _halves(pairs: Tensor) -> Tensor:
    """Images and baselines (2n, ...) -> (2, n, ...)."""
    return pairs.reshape(2, -1, *pairs.shape[1:])


def _change(pairs: Tensor) -> Tensor:
    halves = _halves(pairs)
    return halves[0] - halves[1]


def _mean(pairs: Tensor) -> Tensor:
    return _halves(pairs.detach()).mean(dim=0)


def _slope(change_in: Tensor, change_out: Tensor, derivative: Tensor) -> Tensor:
    return torch.where(change_in.abs() <= NEAR, derivative, change_out / change_in)
