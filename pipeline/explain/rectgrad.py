"""RectGrad: Kim et al., ICCV workshops 2019 (arXiv 1902.04893), and without its input factor: Brocki and Chung 2020
(arXiv 2011.05002).

The numbers are those of the authors' TensorFlow code; where it is silent, we say what we chose.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Unpack

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import InputError
from pipeline.explain.contract import Maps, Query, Settings
from pipeline.explain.function_rules import (
    ACTIVATIONS,
    Call,
    Convolution,
    FunctionRules,
    Rule,
    elementwise,
    modified_gradient,
    with_gradient_of,
)
from pipeline.explain.whitebox import WhiteBoxExplainer


class RectGradNoInput(WhiteBoxExplainer):
    """A backward pass in which only the strongest contributions pass a ReLU.

    At each ReLU with output a and incoming signal R, per image: ``R' = R where a R > tau``, else 0; tau is the
    percentile of a R over the layer's whole tensor. Everything else is differentiated as usual, from the target's
    logit down.

    The map is |R|, the largest over channels. The source keeps the positive part of x R; of R alone that would hide
    evidence that consists in darkness, where more light speaks against the class and R is negative. Our choice.
    """

    channels: ClassVar[Literal["sum", "largest"]] = "largest"

    def __init__(
        self,
        model: nn.Module,
        spec: ModelSpec,
        *,
        percentile: float | None = 98.0,
        padding_trick: bool = True,
        redistribute: bool = False,
        **settings: Unpack[Settings],
    ) -> None:
        """Bind to `model`.

        Args:
            model: classifier with ReLUs, as modules or as function calls, in place or not.
            spec: its contract.
            percentile: in [0, 100]; None makes tau the constant 0, which is guided backpropagation.
            padding_trick: zero the signal on the outermost pixels of the output of each padded convolution, as the
                authors' code does to hide traces of padding. It also hides evidence at the edge, most in deep layers,
                whose pixels are large.
            redistribute: share the signal of a maximum pooling out among its inputs in proportion to them (the
                authors' proportional redistribution rule) instead of handing it to the largest.
            settings: see `Settings`.

        Raises:
            InputError: percentile out of range.
        """
        super().__init__(model, spec, **settings)
        if percentile is not None and not 0 <= percentile <= 100:
            raise InputError(f"RectGrad's percentile lies in 0..100, found {percentile}.")
        self._percentile = percentile
        self._rules: dict[str, Rule] = {"relu": self._rectify}
        if padding_trick:
            self._rules["conv2d"] = _without_border
        if redistribute:
            self._rules["max_pool2d"] = _redistribute

    def signed(self, query: Query) -> Tensor:
        """R at the input.

        Raises:
            InputError: the network calls no ReLU.
        """

        def signal(images: Tensor, target: Tensor) -> tuple[Tensor]:
            rules = FunctionRules(self._rules)
            (found,) = modified_gradient(self.model, [images.detach().requires_grad_()], target, self.score, rules)
            self._check_relu(rules)
            return (found,)

        (signals,) = query.scorer.apply(signal, query.images)
        return signals

    def _rectify(self, call: Call) -> Tensor:
        return elementwise(call, lambda inputs, output: _Rectify.apply(inputs, output, self._percentile))  # type: ignore[no-untyped-call]

    def _check_relu(self, rules: FunctionRules) -> None:
        if "relu" not in rules.seen:
            found = ", ".join(sorted(rules.seen & ACTIVATIONS)) or "no activation at all"
            raise InputError(
                f"{self.name} is defined for ReLU networks; this one calls none (found: {found}). "
                "Use integrated-gradients or lrp-no-input."
            )


class RectGrad(RectGradNoInput):
    """The original: x R, of which the map keeps the positive part, summed over channels.

    Blind to evidence where the network input is 0, whatever the network makes of it.
    """

    channels: ClassVar[Literal["sum", "largest"]] = "sum"

    def signed(self, query: Query) -> Tensor:
        """x R."""
        return query.images * super().signed(query)

    def _maps(self, query: Query) -> Maps:
        return Maps(self.signed(query).clamp(min=0).sum(dim=1, keepdim=True))


class _Rectify(torch.autograd.Function):
    """Value: `output`, the ReLU of `inputs`. Backwards: RectGrad's gate."""

    @staticmethod
    def forward(ctx: Any, _inputs: Tensor, output: Tensor, percentile: float | None) -> Tensor:
        ctx.save_for_backward(output)
        ctx.percentile = percentile
        return output.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (signal,) = gradients
        (output,) = ctx.saved_tensors
        strength = output * signal
        # "Not <=" instead of ">" lets NaN through, to be reported. Below the median tau may be negative: a silent
        # unit passes nothing even then.
        passes = ~(strength <= _threshold(strength, ctx.percentile)) & (output > 0)
        return torch.where(passes, signal, 0), None, None


def _threshold(strength: Tensor, percentile: float | None) -> Tensor:
    """Per sample (B, ...) the value whose rank is nearest to the percentile, as in TensorFlow; shape (B, 1, ...)."""
    flat = strength.flatten(1)
    if percentile is None:
        tau = torch.zeros_like(flat[:, 0])
    else:
        tau = flat.kthvalue(1 + round((flat.shape[1] - 1) * percentile / 100), dim=1).values
    return tau.view(-1, *[1] * (strength.dim() - 1))


def _without_border(call: Call) -> Tensor:
    """A convolution to whose outermost output pixels no signal comes.

    The source zeroes one pixel at "SAME" convolutions, which we take to be the padded ones; maps of two pixels or
    fewer, of which nothing would be left, are spared.
    """
    convolution = Convolution(*call.args, **call.kwargs)
    output = call.run()
    if not _pads(convolution) or min(output.shape[-2:]) <= 2:
        return output
    inner = torch.zeros_like(output[:1, :1])
    inner[..., 1:-1, 1:-1] = 1
    return with_gradient_of(output, output * inner)


def _pads(convolution: Convolution) -> bool:
    padding = convolution.padding
    if isinstance(padding, str):
        return padding == "same" and max(convolution.weight.shape[2:]) > 1
    return padding > 0 if isinstance(padding, int) else any(pixels > 0 for pixels in padding)


def _redistribute(call: Call) -> Tensor:
    """Maximum pooling with backward pass ``x avgpool^T(R / (avgpool(x) + 1e-10))``."""
    options = dict(zip(("kernel_size", "stride", "padding", "dilation"), call.args[1:], strict=False)) | dict(
        call.kwargs
    )
    if options.pop("dilation", 1) not in (1, (1, 1)) or options.pop("return_indices", False):
        raise InputError("RectGrad can redistribute over plain maximum pooling only: use redistribute=False.")
    options.pop("input", None)
    with torch.no_grad():
        mean = functional.avg_pool2d(call.input, **options) + 1e-10
    shares = functional.avg_pool2d(call.input * call.input.detach(), **options)
    return with_gradient_of(call.run(), shares / mean)
