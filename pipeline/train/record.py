"""What a training has found so far: its history and the weights of its best epoch."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn


@dataclass
class Record:
    """What a training has found so far."""

    history: list[dict[str, float]] = field(default_factory=list)
    """One entry an epoch: epoch, learning_rate, train_loss, val_loss, val_auroc."""
    best: dict[str, float] = field(default_factory=dict)
    """The entry of the epoch whose weights are kept: highest val_auroc, among equals the lowest val_loss."""
    weights: dict[str, Tensor] = field(default_factory=dict)
    """State dict of the network after that epoch."""
    finished: bool = False

    def add(self, entry: dict[str, float], network: nn.Module) -> None:
        """Append an epoch, and keep the network's weights if it is the best one."""
        self.history.append(entry)
        if not self.best or _rank(entry) > _rank(self.best):
            self.best = entry
            self.weights = {key: value.detach().cpu().clone() for key, value in network.state_dict().items()}


def _rank(entry: dict[str, float]) -> tuple[float, float]:
    return (entry["val_auroc"], -entry["val_loss"])
