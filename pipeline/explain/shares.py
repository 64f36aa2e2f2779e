"""Attributions of the form (image - baseline) * slope, with and without their first factor."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Unpack

from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.explain.contract import Maps, Query, Settings
from pipeline.explain.whitebox import WhiteBoxExplainer


@dataclass(frozen=True)
class Shares:
    """What a method found.

    Attributes:
        shares: of each input value in the score's change from the baseline, with sign, (B, C, H, W).
        slopes: the same without the factor (image - baseline), (B, C, H, W).
        info: notes for the map, (B, ...) each.
    """

    shares: Tensor
    slopes: Tensor
    info: Mapping[str, Tensor] = field(default_factory=dict)


class ShareExplainer(WhiteBoxExplainer):
    """An explainer that says how much of the score's change from the baseline each input value brings about.

    Shares are 0 wherever the image equals the baseline, whatever the classifier sees there. With
    `multiply_by_inputs` False the slopes are the attribution: they do not have this blind spot, and they do not add
    up to anything. Their map is the largest absolute value over the channels, as for gradients.
    """

    channels: ClassVar[Literal["sum", "largest"]] = "sum"

    def __init__(
        self, model: nn.Module, spec: ModelSpec, *, multiply_by_inputs: bool = True, **settings: Unpack[Settings]
    ) -> None:
        """`multiply_by_inputs`: attribute by shares, with their sign, or by slopes."""
        super().__init__(model, spec, **settings)
        self._multiply_by_inputs = multiply_by_inputs

    @abstractmethod
    def split(self, query: Query) -> Shares:
        """Shares and slopes; the model is frozen while this runs."""

    def signed(self, query: Query) -> Tensor:
        """Shares, or slopes, (B, C, H, W)."""
        found = self.split(query)
        return found.shares if self._multiply_by_inputs else found.slopes

    def _maps(self, query: Query) -> Maps:
        found = self.split(query)
        if self._multiply_by_inputs:
            return Maps(found.shares.sum(dim=1, keepdim=True), found.info)
        return Maps(found.slopes.abs().amax(dim=1, keepdim=True), found.info)
