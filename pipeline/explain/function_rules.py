"""Gradients with some functions' derivatives replaced: what RectGrad and LRP have in common.

A torch function mode sees every call of a torch function while the model runs, whether a module makes it or the
forward code itself, in place or not, and as often as a module is reused. Nothing is patched, so nothing has to be
restored, and each call gets a rule application of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from pipeline.errors import InputError
from pipeline.explain.scorer import Score, target_score

ACTIVATIONS = frozenset(
    {"relu", "relu6", "leaky_relu", "prelu", "elu", "selu", "celu", "gelu", "silu", "mish", "hardswish", "tanh"}
)
"""Elementwise nonlinearities that map 0 to 0."""


class Call(NamedTuple):
    """One call of a torch function: what was called, on which tensor, and with what else."""

    function: Callable[..., Tensor]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @property
    def input(self) -> Tensor:
        """The first argument, which a rule passes relevance to."""
        tensor: Tensor = self.args[0] if self.args else self.kwargs["input"]
        return tensor

    def run(self) -> Tensor:
        """The ordinary answer."""
        return self.function(*self.args, **self.kwargs)


Rule = Callable[[Call], Tensor]
"""Answers a call with its ordinary value and a graph that leads backwards by the rule."""


class FunctionRules(TorchFunctionMode):
    """While active, functions with a rule are answered by it.

    Attributes:
        seen: names of the functions with a rule, and of `ACTIVATIONS`, that were called.
    """

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        """`rules` by function name, e.g. ``relu``, which stands for ``relu_`` and `torch.Tensor.relu` too."""
        super().__init__()
        self._rules = rules
        self.seen: set[str] = set()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Called by torch for each call of `func`; calls made by rules do not come back here."""
        name = func.__name__.removesuffix("_")
        if name in ACTIVATIONS or name in self._rules:
            self.seen.add(name)
        if name not in self._rules:
            return func(*args, **(kwargs or {}))
        return self._rules[name](Call(func, args, kwargs or {}))


def modified_gradient(
    model: nn.Module, leaves: Sequence[Tensor], target: Tensor, score: Score, rules: FunctionRules
) -> tuple[Tensor, ...]:
    """Gradients of the target's score (n,) under `rules` with respect to `leaves`; the first is the network input.

    Raises:
        InputError: there is no way back from the score to the input.
    """
    with torch.enable_grad(), rules:
        scores = target_score(model, leaves[0], target, score)
    if not scores.requires_grad:
        raise InputError(
            "No path leads back from the score to the image: the network detaches it, or all of it goes through "
            "sigmoids, which are treated as constant gates. Use integrated-gradients or a method that needs outputs."
        )
    return torch.autograd.grad(scores.sum(), list(leaves), allow_unused=True, materialize_grads=True)


def with_gradient_of(value: Tensor, surrogate: Tensor) -> Tensor:
    """`value` forwards, exactly; the graph of `surrogate`, of the same shape, backwards."""
    joined: Tensor = _WithGradientOf.apply(value.detach(), surrogate)  # type: ignore[no-untyped-call]
    return joined


class _WithGradientOf(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, value: Tensor, _surrogate: Tensor) -> Tensor:
        return value.clone()  # a tensor of its own: networks add to it in place

    @staticmethod
    def backward(_ctx: Any, *gradients: Tensor) -> tuple[None, Tensor]:
        return None, gradients[0]


def elementwise(call: Call, rule: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Answer an activation, which may work in place, by ``rule(its input, its output)``."""
    untouched = call.input.detach().clone()
    output = call.function(untouched, *call.args[1:], **{k: v for k, v in call.kwargs.items() if k != "input"})
    answer = rule(call.input, output)
    return call.input.copy_(answer) if output is untouched else answer


class Convolution(NamedTuple):
    """The arguments of `torch.nn.functional.conv2d`, in its order."""

    input: Tensor
    weight: Tensor
    bias: Tensor | None = None
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: int = 1

    def run(self, *, input: Tensor | None = None, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """The same convolution of another input with other weights and `bias`; without a bias by default."""
        return torch.conv2d(
            self.input if input is None else input,
            self.weight if weight is None else weight,
            bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
        )
