"""One training: MONAI's trainer and evaluator on ignite, with validation, early stopping and a checkpoint an epoch.

The loop, its events and the metrics are MONAI's and ignite's. Ours is what they lack: a checkpoint that is written
whole or not at all and after which the training continues with the same bytes, and randomness by epoch.
Importing this takes seconds (MONAI): import it where a training starts.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Events
from ignite.handlers import EarlyStopping
from ignite.metrics import Average, Loss
from monai.engines.evaluator import SupervisedEvaluator
from monai.engines.trainer import SupervisedTrainer
from monai.handlers.lr_schedule_handler import LrScheduleHandler
from monai.handlers.roc_auc import ROCAUC
from monai.handlers.validation_handler import ValidationHandler
from monai.inferers.inferer import SimpleInferer
from torch import Tensor, nn

from models import ModelSpec
from models.weights import saved_bytes
from pipeline.artifacts import atomic_file
from pipeline.config import TrainConfig
from pipeline.errors import ModelError
from pipeline.progress import Progress
from pipeline.randomness import derive_seed
from pipeline.train.checkpoint import read_checkpoint
from pipeline.train.examples import Examples, PlainBatches, TrainBatches
from pipeline.train.record import Record
from pipeline.train.sampling import Weights

_LOGGER = logging.getLogger("ignite")  # their words, not ours: logs leave them out
_LOGGER.addHandler(logging.NullHandler())

WARM_UP = 0.1
"""Share of all steps over which the learning rate rises."""

BATCH_NORM_MOMENTUM = 0.1
"""Weight of one batch in the running statistics, once there were enough batches."""


def rate(step: int, steps: int) -> float:
    """Learning rate at `step` of `steps` as a share of the highest: linear warm-up, then half a cosine."""
    warm_up = max(1, round(WARM_UP * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


class _Autocast(SimpleInferer):
    """Logits in float32, computed in bfloat16 inside; that needs no loss scaling, on the CPU and on the GPU alike."""

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        with torch.autocast(inputs.device.type, torch.bfloat16):
            return network(inputs, *args, **kwargs).float()


class Session:
    """Trainer, evaluator and their state for one network; `run` starts or continues it."""

    def __init__(
        self,
        network: nn.Module,
        spec: ModelSpec,
        config: TrainConfig,
        seed: int,
        *,
        train: Examples,
        val: Examples,
        class_weights: Tensor,
        sampling: Weights | None = None,
        checkpoint: Path,
        device: torch.device,
        progress: Progress,
    ) -> None:
        """Prepare a training.

        Args:
            network: freshly initialised; moved to `device` and trained in place.
            spec: its contract.
            config: settings.
            seed: of the run; decides order, augmentation, dropout.
            train: what is learned from.
            val: what chooses the epoch.
            class_weights: weight of each class in the loss, float32 (classes,).
            sampling: how often each training image is expected in an epoch; None: exactly once.
            checkpoint: file written after every epoch and continued from when it exists.
            device: where the network is trained.
            progress: told after every step.
        """
        self.network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.spec = spec
        self.config = config
        self.record = Record()
        self._train = TrainBatches(
            train,
            spec,
            batch_size=config.batch_size,
            seed=seed,
            augmented=config.augment,
            device=device,
            weights=sampling,
            marks=config.marks,
        )
        self._val = PlainBatches(val, spec, config.batch_size)
        self._seed = seed
        self._checkpoint = checkpoint
        self._device = device
        self._progress = progress
        self._steps = config.epochs * len(self._train)
        self._loss = nn.CrossEntropyLoss(weight=class_weights.to(device))
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimizer, lambda step: rate(step, self._steps))
        self._evaluator = self._make_evaluator()
        self._trainer = self._make_trainer()
        # The best epoch's number grows with every better epoch and stands still otherwise: patience counts the latter.
        self._stopper = EarlyStopping(config.patience, lambda _: self.record.best["epoch"], self._trainer)
        self._stopper.logger = _LOGGER
        for handler in (self._record_epoch, self._stopper, self._save):  # after validation: handlers keep their order
            self._trainer.add_event_handler(Events.EPOCH_COMPLETED, handler)

    def run(self) -> Record:
        """Train to the end, continuing after the last whole epoch of an interrupted attempt.

        The global random state is left as it was.

        Raises:
            ModelError: the loss became NaN or infinite.
        """
        self._restore()
        if not self.record.finished:
            with self._determinism():
                self._trainer.run()
        self._progress("train", self._steps, self._steps)
        return self.record

    @contextmanager
    def _determinism(self) -> Iterator[None]:
        """Fork the random state that dropout draws from (`_start_epoch` seeds it); fix cuDNN's choices."""
        with ExitStack() as stack:
            gpu = self._device.type == "cuda"
            stack.enter_context(torch.random.fork_rng(devices=[self._device] if gpu else []))
            if gpu:
                stack.enter_context(torch.backends.cudnn.flags(enabled=True, deterministic=True, benchmark=False))
            yield

    def _make_trainer(self) -> SupervisedTrainer:
        trainer = SupervisedTrainer(
            device=self._device,
            max_epochs=self.config.epochs,
            train_data_loader=self._train,
            network=self.network,
            optimizer=self._optimizer,
            loss_function=self._loss,
            inferer=_Autocast() if self.config.mixed_precision else None,
            decollate=False,
            optim_set_to_none=True,
        )
        trainer.logger = _LOGGER
        Average(output_transform=lambda output: output["loss"].item()).attach(trainer, "loss")
        trainer.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        trainer.add_event_handler(Events.ITERATION_STARTED, self._start_step)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, self._finish_step)
        LrScheduleHandler(self._schedule, print_lr=False, epoch_level=False).attach(trainer)  # type: ignore[arg-type]
        ValidationHandler(interval=1, validator=self._evaluator).attach(trainer)
        return trainer

    def _make_evaluator(self) -> SupervisedEvaluator:
        evaluator = SupervisedEvaluator(
            device=self._device,
            val_data_loader=self._val,
            network=self.network,
            key_val_metric={"auroc": ROCAUC(average="macro", output_transform=self._scores)},
            additional_metrics={"loss": Loss(self._loss, output_transform=lambda out: (out["pred"], out["label"]))},
            decollate=False,
        )
        evaluator.logger = _LOGGER
        return evaluator

    def _scores(self, output: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Probabilities and one-hot labels, (B, classes) each: one-vs-rest AUROC, averaged over the classes."""
        one_hot = nn.functional.one_hot(output["label"], len(self.spec.classes))
        return torch.softmax(output["pred"].float(), dim=1), one_hot

    def _start_epoch(self) -> None:
        epoch = self._trainer.state.epoch
        self._train.set_epoch(epoch)
        torch.manual_seed(derive_seed(self._seed, "network", epoch))

    def _start_step(self) -> None:
        """Let batch norm's running statistics begin as the mean over the batches so far.

        As built they begin at mean 0 and variance 1 and forget that over hundreds of steps (EfficientNet: thousands).
        A short training would end before, and in evaluation mode the network would answer every image alike.
        """
        momentum = max(BATCH_NORM_MOMENTUM, 1 / self._trainer.state.iteration)
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = momentum

    def _finish_step(self) -> None:
        state = self._trainer.state
        if not torch.isfinite(state.output["loss"]):
            raise ModelError(
                f"Training diverged: the loss is {state.output['loss'].item()} in epoch {state.epoch}. "
                f"Lower train.learning_rate, now {self.config.learning_rate:g}."
            )
        self._progress("train", state.iteration, self._steps)

    def _record_epoch(self) -> None:
        metrics = self._evaluator.state.metrics
        entry = {
            "epoch": self._trainer.state.epoch,
            "learning_rate": self._schedule.get_last_lr()[0],
            "train_loss": self._trainer.state.metrics["loss"],
            "val_loss": metrics["loss"],
            "val_auroc": float(metrics["auroc"]),
        }
        self.record.add(entry, self.network)

    def _parts(self) -> dict[str, Any]:
        """Everything with a state of its own."""
        return {
            "network": self.network,
            "optimizer": self._optimizer,
            "schedule": self._schedule,
            "stopper": self._stopper,
        }

    def _save(self) -> None:
        self.record.finished = bool(self._trainer.should_terminate) or len(self.record.history) == self.config.epochs
        state = {name: part.state_dict() for name, part in self._parts().items()}
        with atomic_file(self._checkpoint) as temporary:
            temporary.write_bytes(saved_bytes({**state, "record": vars(self.record)}))

    def _restore(self) -> None:
        state = read_checkpoint(self._checkpoint)
        if state is None:
            return
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.record = Record(**state["record"])
        done = len(self.record.history)
        self._trainer.state.epoch = done
        self._trainer.state.iteration = done * len(self._train)
