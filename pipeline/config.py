"""The settings of an audit, as typed values with three presets.

A manifest may override any of them under `audit:`; the command line overrides both.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.types import RegionKind

Preset = Literal["quick", "standard", "full"]
CleansePolicy = Literal["keep", "review", "normalise", "remove"]
"""What is done with regions: nothing; nothing, but a person is asked; replaced by a neutral marker; filled. The more
cautious first."""
Sampling = Literal["class-weights", "sources", "groups"]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class IngestConfig(_Settings):
    """How images are read and split."""

    store_size: int = Field(640, ge=64, le=2048, description="side of the square pixel store, pixels")
    min_side: int = Field(32, ge=2, description="smaller images are refused, pixels")
    max_pixels: int = Field(100_000_000, description="larger images are refused before decoding, pixels")
    max_file_bytes: int = Field(512_000_000, description="larger files are refused before reading, bytes")
    val_fraction: float = Field(0.15, gt=0, lt=0.5)
    test_fraction: float = Field(0.2, gt=0, lt=0.5)
    phash_distance: int = Field(
        4, ge=0, le=16, description="Hamming distance (of 64 bits) up to which images are near duplicates"
    )


class TrainConfig(_Settings):
    """Which classifier is trained and how."""

    network: str = Field("resnet18", description="a name of models.available()")
    input_size: int = Field(224, ge=32)
    epochs: int = Field(12, ge=1)
    patience: int = Field(4, ge=1, description="epochs after the best one (by validation AUROC) before stopping")
    batch_size: int = Field(32, ge=2)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    mixed_precision: bool = Field(True, description="bf16 autocast while training (never while explaining)")
    augment: bool = Field(
        True, description="shift, scale, rotate up to 7 degrees, brightness, contrast; never mirrored"
    )
    sampling: Sampling = Field(
        "class-weights",
        description="every image once, classes balanced in the loss; or images drawn such that classes, and in each "
        "class its sources, weigh alike; or groups of duplicates count once",
    )
    marks: float = Field(0.0, ge=0, le=1, description="probability of random marks on a training image of any class")


class ExplainConfig(_Settings):
    """Which images are explained, by what."""

    methods: tuple[str, ...] = ("igos++-fast", "grad-cam")
    images: int = Field(64, ge=1, description="how many test images, stratified by class and source")
    mask_size: int = Field(28, ge=7, description="side of iGOS masks, and of the grid on which every map is scored")
    options: dict[str, dict[str, Any]] = Field({}, description="options of single methods, by method")
    batch_size: int = Field(4, ge=1, description="images explained together")


class FlagConfig(_Settings):
    """How suspicious regions are found and tested."""

    looked_at: int = Field(
        2000,
        ge=50,
        description="images of each split that the detectors look at in an audit; cleansing looks at all",
    )
    controls: int = Field(8, ge=8, description="matched control regions per region")
    images: int = Field(200, ge=1, description="how many test and validation images with regions are tested causally")
    fill: str = Field("telea", description="removal operator of the causal test")
    fdr: float = Field(0.05, gt=0, lt=1)
    min_effect: float = Field(
        0.02, ge=0, description="smallest mean excess effect on the class probability worth confirming"
    )
    min_logit_effect: float = Field(
        0.5, ge=0, description="the same in log-odds, for classifiers so sure that probabilities hardly move"
    )
    first_look: int = Field(
        24, ge=8, description="images of a kind before the first look at whether its verdict is clear; then doublings"
    )
    transplants: int = Field(48, ge=1, description="images that marks are pasted on, per kind and class of the donors")
    blackout_images: int = Field(300, ge=20, description="test images, and as many for training, of the black-outs")


class CleanseConfig(_Settings):
    """How accepted findings are removed."""

    fill: str = Field("learned", description="removal operator, see pipeline.fills; `learned` is the shipped inpainter")
    inpainter_steps: int = Field(
        0, ge=0, description="batches that go on training it on the data set itself, where `fill` is `learned`"
    )
    dilation: float = Field(2.0, ge=0, description="stored pixels by which a box grows before it is filled")
    decoys: bool = Field(
        True,
        description="also fill images without marks, so that the trace of filling is equally frequent in all classes",
    )
    policies: dict[RegionKind, CleansePolicy] = Field(
        {}, description="what a plan does with accepted regions of a kind; a kind that is not named is removed"
    )
    keep_words: tuple[str, ...] = Field((), description="texts that are never touched, whatever was accepted")


class CompareConfig(_Settings):
    """How before and after are compared."""

    seeds: int = Field(3, ge=3, description="trainings per arm")
    bootstrap: int = Field(1000, ge=100)
    confidence: float = Field(0.95, gt=0.5, lt=1)


class AuditConfig(_Settings):
    """All settings of one audit."""

    seed: int = 0
    ingest: IngestConfig = IngestConfig()
    train: TrainConfig = TrainConfig()
    explain: ExplainConfig = ExplainConfig()
    flag: FlagConfig = FlagConfig()
    cleanse: CleanseConfig = CleanseConfig()
    compare: CompareConfig = CompareConfig()


PRESETS: dict[Preset, dict[str, dict[str, Any]]] = {
    "quick": {
        "train": {"network": "resnet18", "input_size": 160, "epochs": 4, "patience": 4},
        "explain": {"images": 16},
        "flag": {"images": 100, "transplants": 24, "blackout_images": 150},
    },
    "standard": {},
    "full": {
        "train": {"network": "densenet121", "input_size": 320, "epochs": 30, "patience": 6},
        "explain": {"images": 256, "methods": ["igos++", "grad-cam"]},
        "flag": {"images": 1000, "controls": 16},
        "compare": {"seeds": 5, "bootstrap": 5000},
    },
}


def merge(*layers: dict[str, Any]) -> dict[str, Any]:
    """Nested dictionaries merged key by key, later layers win."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = merge(merged[key], value) if both else value
    return merged


def audit_config(preset: Preset = "standard", *overrides: dict[str, Any]) -> AuditConfig:
    """The settings of `preset` with `overrides` (a manifest's `audit:` section, then the command line) on top.

    Raises:
        pydantic.ValidationError: an unknown key or a value out of range.
    """
    return AuditConfig.model_validate(merge(PRESETS[preset], *overrides))
