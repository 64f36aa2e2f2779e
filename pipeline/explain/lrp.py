"""Layer-wise relevance propagation: Bach et al., PLoS ONE 10(7):e0130140, 2015. Its rules are in `lrp_rules`."""

from __future__ import annotations

from typing import ClassVar, Literal, Unpack

import torch
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.errors import InputError, did_you_mean
from pipeline.explain.contract import Query, Settings
from pipeline.explain.function_rules import modified_gradient
from pipeline.explain.lrp_rules import COMPOSITES, Composite, LrpRules
from pipeline.explain.whitebox import WhiteBoxExplainer


class Lrp(WhiteBoxExplainer):
    """Relevance of each pixel: shares of the target's logit, which they add up to but for what biases take.

    With the composites "epsilon" (default) and "epsilon-plus" relevance is a multiplier times the input, so evidence
    where the network input is 0 gets none. "epsilon-gamma-box" measures the input from its bounds instead, and dark
    evidence counts; it is not the default because LRP without further qualification means epsilon.
    """

    channels: ClassVar[Literal["sum", "largest"]] = "sum"

    def __init__(
        self,
        model: nn.Module,
        spec: ModelSpec,
        *,
        composite: Composite = "epsilon",
        epsilon: float = 1e-4,
        **settings: Unpack[Settings],
    ) -> None:
        """Bind to `model`.

        Args:
            model: classifier; convolutions, dense layers, batch norms, poolings, sums, activations, sigmoid gates.
            spec: its contract; z^B takes the bounds of the network input from it.
            composite: one of `lrp_rules.COMPOSITES`.
            epsilon: takes relevance from units whose value before the activation is small; DeepExplain's 1e-4.
            settings: see `Settings`. With the score "probability", multipliers start from its gradient.

        Raises:
            InputError: unknown composite, or an epsilon that is not positive.
        """
        super().__init__(model, spec, **settings)
        if composite not in COMPOSITES:
            raise InputError(f"Unknown composite {composite!r}. {did_you_mean(composite, COMPOSITES)}")
        if epsilon <= 0:
            raise InputError(f"LRP's epsilon must be positive, found {epsilon}.")
        self._composite = composite
        self._epsilon = epsilon

    def signed(self, query: Query) -> Tensor:
        """Relevance (B, C, H, W).

        Raises:
            InputError: the network does what no rule covers.
        """

        def relevance(images: Tensor, target: Tensor) -> tuple[Tensor]:
            leaves = self._leaves(images)
            gradients = self._multipliers(leaves, target)
            return (torch.stack([leaf.detach() * each for leaf, each in zip(leaves, gradients, strict=True)]).sum(0),)

        return query.scorer.apply(relevance, query.images)[0]

    def _leaves(self, images: Tensor) -> list[Tensor]:
        """What relevance is proportional to: the input and, for z^B, its bounds."""
        leaves = [images.detach()]
        if self._composite == "epsilon-gamma-box":
            leaves += [torch.full_like(images, float(self.spec.normalise(torch.tensor(value)))) for value in (0.0, 1.0)]
        return [leaf.requires_grad_() for leaf in leaves]

    def _multipliers(self, leaves: list[Tensor], target: Tensor) -> tuple[Tensor, ...]:
        rules = LrpRules(leaves, composite=self._composite, epsilon=self._epsilon)
        multipliers = modified_gradient(self.model, leaves, target, self.score, rules)
        if self._composite == "epsilon-gamma-box" and not rules.boxed:
            raise InputError(
                "epsilon-gamma-box needs a network whose first layer is a convolution that reads the network input as "
                "it is; this one changes it before (e.g. pads it), or has none. Use epsilon-plus."
            )
        return multipliers


class LrpNoInput(Lrp):
    """The multiplier at the input layer instead of relevance: |c|, the largest over channels.

    Not blind where the input is 0, but no longer shares of the logit: they add up to nothing in particular. The sign
    says whether more light speaks for or against the class, not importance, so the map drops it.
    """

    channels: ClassVar[Literal["sum", "largest"]] = "largest"

    def __init__(
        self,
        model: nn.Module,
        spec: ModelSpec,
        *,
        composite: Composite = "epsilon",
        epsilon: float = 1e-4,
        **settings: Unpack[Settings],
    ) -> None:
        """As for `Lrp`.

        Raises:
            InputError: "epsilon-gamma-box", whose relevance is no product with the input.
        """
        if composite == "epsilon-gamma-box":
            raise InputError(
                "lrp-no-input cannot leave the input out of epsilon-gamma-box, which is not proportional to it. "
                "Use lrp with composite='epsilon-gamma-box'."
            )
        super().__init__(model, spec, composite=composite, epsilon=epsilon, **settings)

    def signed(self, query: Query) -> Tensor:
        """Multipliers (B, C, H, W); raises as `Lrp.signed`."""

        def multiplier(images: Tensor, target: Tensor) -> tuple[Tensor]:
            (found,) = self._multipliers(self._leaves(images), target)
            return (found,)

        return query.scorer.apply(multiplier, query.images)[0]
