"""Train the generative model of `models.generative` on a dataset version."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

from models.generative import GenerativeSpec, PictureModel, save_generative
from models.spec import ModelSpec
from models.weights import saved_bytes
from pipeline.artifacts import atomic_file, atomic_folder, code_version, content_hash, write_json
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError, ModelError
from pipeline.integrity import present, seal
from pipeline.progress import Progress, silent
from pipeline.randomness import derive_seed, torch_generator
from pipeline.train.checkpoint import read_checkpoint
from pipeline.train.examples import TrainBatches, load_examples

EPOCHS = 100
BATCH = 64
LEARNING_RATE = 2e-4
BETAS = (0.5, 0.999)
REAL = 0.9
"""What the discriminator is to say of real pictures: one-sided label smoothing."""


def fit_generative(
    dataset: DatasetVersion,
    spec: GenerativeSpec,
    epochs: int,
    seed: int,
    out: Path,
    *,
    device: str | torch.device = "cpu",
    progress: Progress = silent,
    cache: Path | None = None,
) -> Path:
    """Train on split `train`, all classes, without augmentation; the last epoch is kept.

    Adam (2e-4, beta1 0.5), real label 0.9, batches of 64 and latents from U(-1, 1) are Thakur and Fischmeister's, who
    do not say how long they train. On 852 radiographs one idle CPU core does 14 epochs a minute, and 75 show lungs,
    heart and collimation, but neither ribs nor print.

    Same arguments, machine and number of threads: same bytes, interrupted or not. An interrupted training continues
    after its last whole epoch, from ``<out>.partial/``.

    Args:
        dataset: what is learned from.
        spec: size of the networks.
        epochs: passes over the images.
        seed: of initial weights, order and latents.
        out: folder to write; returned as it is when it exists.
        device: cpu or cuda.
        progress: told about stages "resize" and "generative model".
        cache: folder for resized images that several trainings share; None keeps them to this one.

    Returns:
        `out`: what `models.generative.save_generative` writes, and metrics.json with the losses of each epoch.

    Raises:
        InputError: fewer than two training images.
        ModelError: training diverged.
        StorageError: the disk is full or not ours to write.
    """
    if present(out):
        return out
    count = len(dataset.rows("train"))
    if count < 2:
        raise InputError(
            f"{dataset.path} has {count} images in split train; a generative model needs many, at least 2."
        )
    with atomic_folder(out, resume=True) as folder:
        scratch = folder / "training"
        model = PictureModel(spec, seed=derive_seed(seed, "weights"))
        # Normalised with mean and deviation 0.5, intensities in [0, 1] become those in [-1, 1] of the generator.
        pictures = ModelSpec("pictures", dataset.meta.classes, (model.size, model.size), mean=0.5, std=0.5)
        examples = load_examples(dataset, "train", pictures, cache or scratch, progress)
        batches = TrainBatches(
            examples, pictures, batch_size=BATCH, seed=seed, augmented=False, device=torch.device(device)
        )
        request = content_hash(
            [dataset.meta.name, dataset.meta.version, spec, seed, code_version("pipeline.train", "models")]
        )
        training = _Training(model.to(device), seed, scratch / f"checkpoint-{request}.pt")
        training.restore()
        for epoch in range(len(training.history) + 1, epochs + 1):
            training.epoch(epoch, batches)
            progress("generative model", epoch, epochs)
        save_generative(folder, model.cpu().eval())
        write_json(folder / "metrics.json", {"history": training.history, "images": count, "seed": seed})
        shutil.rmtree(scratch, ignore_errors=True)
        seal(folder)
    return out


class _Training:
    """The two networks, their optimisers and the losses so far."""

    def __init__(self, model: PictureModel, seed: int, checkpoint: Path) -> None:
        self.model = model
        self.history: list[dict[str, float]] = []
        self._seed = seed
        self._checkpoint = checkpoint
        self._generator = _adam(model.generator)
        self._discriminator = _adam(model.discriminator)

    def epoch(self, number: int, batches: TrainBatches) -> None:
        """One pass over `batches`, and a checkpoint."""
        self.model.train()
        batches.set_epoch(number)
        noise = torch_generator(self._seed, "latents", number)
        losses = [self._step(batch["image"], noise) for batch in batches]
        means = [math.fsum(column) / len(losses) for column in zip(*losses, strict=True)]
        if not all(map(math.isfinite, means)):
            raise ModelError(f"The generative model diverged in epoch {number}. Try another seed.")
        self.history.append({"epoch": number, "discriminator_loss": means[0], "generator_loss": means[1]})
        state = {name: part.state_dict() for name, part in self._parts()}
        with atomic_file(self._checkpoint) as temporary:
            temporary.write_bytes(saved_bytes({**state, "history": self.history}))

    def restore(self) -> None:
        """Continue where an interrupted attempt at the same request stopped."""
        state = read_checkpoint(self._checkpoint)
        if state is None:
            return
        for name, part in self._parts():
            part.load_state_dict(state[name])
        self.history = state["history"]

    def _parts(self) -> list[tuple[str, Any]]:
        return [("model", self.model), ("generator", self._generator), ("discriminator", self._discriminator)]

    def _step(self, real: Tensor, noise: torch.Generator) -> tuple[float, float]:
        """Update discriminator, then generator, on one batch (n, 1, S, S); returns their losses."""
        latents = 2 * torch.rand(len(real), self.model.latent, generator=noise).to(real.device) - 1
        made = self.model(latents)
        judge = self.model.discriminator
        discriminator_loss = _loss(judge(real), REAL) + _loss(judge(made.detach()), 0.0)
        _update(self._discriminator, discriminator_loss)
        generator_loss = _loss(judge(made), 1.0)
        _update(self._generator, generator_loss)
        return discriminator_loss.item(), generator_loss.item()


def _adam(network: torch.nn.Module) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, betas=BETAS)


def _loss(logits: Tensor, wanted: float) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, wanted))


def _update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
