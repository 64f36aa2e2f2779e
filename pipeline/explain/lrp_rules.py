"""Layer-wise relevance propagation as a modified gradient.

Relevance R of a unit with value z is carried backwards as its multiplier c = R / z. In that form

* a linear layer (dense, convolution, batch norm in evaluation mode, mean pooling, concatenation, addition) that
  shares R out among its inputs in proportion to their contributions is differentiated as usual: from
  ``R_i = sum_j x_i w_ij R_j / z_j`` follows ``c_i = sum_j w_ij c_j``. Batch norms need no merging for this rule,
  wherever they stand, and biases keep the relevance they contribute;
* a nonlinearity passes ``R_in = R_out`` on: ``c_in = c_out out / in``. The stabiliser epsilon stands here, as in
  DeepExplain: ``out / (in + epsilon sign(in))``;
* maximum pooling hands everything to the largest input: differentiated as usual;
* other rules share R by modified contributions with sum z': the multiplier z / z' times the gradient of z'.

Rules: Bach et al., PLoS ONE 10(7), 2015 (epsilon); Montavon et al., Pattern Recognition 65, 2017 (z+ and z^B);
Montavon et al., "Layer-wise relevance propagation: an overview", 2019 (gamma).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from pipeline.errors import InputError
from pipeline.explain.function_rules import (
    ACTIVATIONS,
    Call,
    Convolution,
    FunctionRules,
    Rule,
    elementwise,
    with_gradient_of,
)

Composite = Literal["epsilon", "epsilon-plus", "epsilon-gamma-box"]
COMPOSITES: dict[str, str] = {
    "epsilon": "in proportion to the contributions, in every layer",
    "epsilon-plus": "convolutions: in proportion to the positive contributions",
    "epsilon-gamma-box": "convolutions: contributions that agree with the sum count more; "
    "the first one: in proportion to the distance from the intensities that speak most against",
}
"""How convolutions share relevance out. Dense layers always use epsilon."""
GAMMA = 0.25
"""How much more."""
STABILISER = 1e-6
"""Keeps denominators of the convolution rules from 0."""

GATES = frozenset({"sigmoid", "hardsigmoid"})
"""Functions whose output is taken for a constant factor, as in squeeze-and-excitation or ``x sigmoid(x)``."""
PRODUCTS = frozenset({"mul", "multiply", "div", "divide", "true_divide", "matmul", "bmm", "einsum"})
"""Functions that are linear only while a single argument depends on the image."""
UNKNOWN = frozenset(
    {"layer_norm", "group_norm", "instance_norm", "scaled_dot_product_attention", "multi_head_attention_forward"}
)
"""Functions for which we have no rule."""


class LrpRules(FunctionRules):
    """The rules of one forward pass; use a new one for every pass.

    Attributes:
        boxed: whether the z^B rule found the convolution that reads the network input.
    """

    def __init__(self, leaves: Sequence[Tensor], *, composite: Composite, epsilon: float) -> None:
        """`leaves`: the network input and, for z^B, tensors of its shape that hold its lower and upper bound."""
        rules: dict[str, Rule] = {
            **dict.fromkeys(ACTIVATIONS, self._activation),
            **dict.fromkeys(GATES, _gate),
            **dict.fromkeys(PRODUCTS, _product),
            **dict.fromkeys(UNKNOWN, _unknown),
            "batch_norm": self._normalise,
        }
        if composite != "epsilon":
            rules["conv2d"] = self._convolve
        super().__init__(rules)
        self._leaves = leaves
        self._composite = composite
        self._epsilon = epsilon
        self._convolutions: dict[int, tuple[Tensor, Convolution]] = {}
        self.boxed = False

    def _activation(self, call: Call) -> Tensor:
        def rule(inputs: Tensor, output: Tensor) -> Tensor:
            multiplier = output / _away_from_zero(inputs.detach(), self._epsilon)
            return with_gradient_of(output, inputs * multiplier)

        return elementwise(call, rule)

    def _convolve(self, call: Call) -> Tensor:
        convolution = Convolution(*call.args, **call.kwargs)
        output = self._share(convolution)
        self._convolutions[id(output)] = (output, convolution)  # keeps the output alive, so its id stays its own
        return output

    def _normalise(self, call: Call) -> Tensor:
        """A batch norm right after a convolution is merged into it; elsewhere it is a linear layer like any other."""
        norm = _BatchNorm(*call.args, **call.kwargs)
        if norm.training or norm.running_mean is None or norm.running_var is None:
            raise InputError("LRP needs batch norms with running statistics: those of a batch tie its images together.")
        output, convolution = self._convolutions.get(id(norm.input), (None, None))
        if convolution is None or output is None or output._version != 0:
            return call.run()
        return self._share(_merged(convolution, norm))

    def _share(self, convolution: Convolution) -> Tensor:
        value = convolution.run(bias=convolution.bias)
        if self._composite == "epsilon-plus":
            shares = _positive(convolution)
        elif convolution.input is self._leaves[0]:
            shares = _above_bounds(convolution, *self._leaves[1:])
            self.boxed = True
        else:
            shares = _agreeing(convolution, value)
        multiplier = value.detach() / _away_from_zero(shares.detach(), STABILISER)
        return with_gradient_of(value, shares * multiplier)


class _BatchNorm(NamedTuple):
    """The arguments of `torch.nn.functional.batch_norm`, in its order."""

    input: Tensor
    running_mean: Tensor | None
    running_var: Tensor | None
    weight: Tensor | None = None
    bias: Tensor | None = None
    training: bool = False
    momentum: float = 0.1
    eps: float = 1e-5


def _merged(convolution: Convolution, norm: _BatchNorm) -> Convolution:
    """One convolution that does what `convolution` and then `norm` do."""
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        return convolution
    scale = (variance + norm.eps).rsqrt() * (1.0 if norm.weight is None else norm.weight)
    shift = -mean * scale + (0.0 if norm.bias is None else norm.bias)
    if convolution.bias is not None:
        shift = shift + convolution.bias * scale
    return convolution._replace(weight=convolution.weight * scale.view(-1, 1, 1, 1), bias=shift)


def _positive(convolution: Convolution) -> Tensor:
    """z+: the sum of the positive contributions, of the bias too. An input of 0 counts as a positive one."""
    inputs, weight, bias = convolution.input, convolution.weight, convolution.bias
    raised = inputs.clamp(min=0)
    total = convolution.run(input=raised, weight=weight.clamp(min=0), bias=None if bias is None else bias.clamp(min=0))
    if bool((inputs.detach() >= 0).all()):
        return total
    return total + convolution.run(input=inputs - raised, weight=weight.clamp(max=0))


def _agreeing(convolution: Convolution, value: Tensor) -> Tensor:
    """Gamma: the contributions to the output `value`, where those of its sign count (1 + GAMMA) times."""
    positive = _positive(convolution)
    return value + GAMMA * torch.where(value >= 0, positive, value - positive)


def _above_bounds(convolution: Convolution, low: Tensor, high: Tensor) -> Tensor:
    """z^B: ``x w - low w+ - high w-`` summed: how far the input is from the one that speaks most against the output.

    Every addend is >= 0, also where the input is 0 or at a bound; biases get nothing.
    """
    weight = convolution.weight
    least = convolution.run(input=low, weight=weight.clamp(min=0)) + convolution.run(
        input=high, weight=weight.clamp(max=0)
    )
    return convolution.run() - least


def _away_from_zero(values: Tensor, distance: float) -> Tensor:
    return values + torch.where(values >= 0, distance, -distance)


def _gate(call: Call) -> Tensor:
    return call.run().detach()


def _product(call: Call) -> Tensor:
    operands = [*call.args, *call.kwargs.values()]
    if sum(isinstance(operand, Tensor) and operand.requires_grad for operand in operands) > 1:
        raise InputError(
            f"LRP has no rule for a product ({call.function.__name__}) of two tensors that both depend on the image, "
            "unless one is a sigmoid gate. Use integrated-gradients or a method that needs outputs."
        )
    return call.run()


def _unknown(call: Call) -> Tensor:
    raise InputError(
        f"LRP has no rule for {call.function.__name__}. Use integrated-gradients or a method that needs outputs."
    )
