"""Methods that ask the classifier for gradients: they attribute to every input value, with a sign."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

from torch import Tensor

from pipeline.explain.contract import Explainer, Maps, Query
from pipeline.explain.scorer import Score


class WhiteBoxExplainer(Explainer):
    """An explainer that first makes signed attributions of the input's shape, then one map of them.

    The target's logit is explained unless told otherwise: a saturated softmax has no gradient.
    """

    default_score: ClassVar[Score] = "logit"
    channels: ClassVar[Literal["sum", "largest"]]
    """How colour channels become one map: "sum" keeps the sign, right for shares of the score; "largest" is the
    largest absolute value, usual for sensitivities, whose sign says nothing about importance."""

    @abstractmethod
    def signed(self, query: Query) -> Tensor:
        """Attributions (B, C, H, W) with their sign; the model is frozen while this runs."""

    def _maps(self, query: Query) -> Maps:
        attributions = self.signed(query)
        if self.channels == "sum":
            return Maps(attributions.sum(dim=1, keepdim=True))
        return Maps(attributions.abs().amax(dim=1, keepdim=True))
