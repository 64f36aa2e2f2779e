"""Manifests of small phantom studies, which tests audit by the command as a user would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

_PHANTOMS = {"strength": 1.0, "mark": "PORTABLE", "format": "png", "honest_signal": 0.2}
_TRAIN = {"network": "small", "input_size": 64, "epochs": 1, "patience": 8, "batch_size": 8, "learning_rate": 0.006}
_FAST = {"ig_steps": 2, "iterations": 1}
_AUDIT = {
    "train": {**_TRAIN, "augment": False},
    "explain": {"images": 2, "mask_size": 7, "batch_size": 2, "options": {"igos++-fast": _FAST}},
    "flag": {"images": 8, "min_effect": 0.0, "fdr": 0.5, "transplants": 2, "blackout_images": 20},
    "compare": {"seeds": 3, "bootstrap": 100},
}


def phantom_study(name: str, audit: Mapping[str, object] | None = None, **generate: object) -> str:
    """YAML of a study of generated phantoms, with defaults for what `generate` does not say."""
    said: dict[str, Any] = {
        "name": name,
        "title": f"{name.capitalize()} phantoms",
        "licence": "Apache-2.0",
        "classes": ["clear", "opacity"],
        "positive": "opacity",
        "sources": [{"name": "phantom", "layout": "generated"}],
        "generate": {**_PHANTOMS, **generate},
    }
    if audit is not None:
        said["audit"] = audit
    return yaml.safe_dump(said, sort_keys=False)


def audited_study(name: str, images: int, other: int, size: int = 96, **stages: Mapping[str, object]) -> str:
    """YAML of a study whose audit and repair take a minute: barely trained, barely explained, lenient.

    Args:
        name: of the data set.
        images: of its own source.
        other: of the other source.
        size: of an image and of the store, pixels.
        stages: fields of the stages' settings that are to differ.
    """
    settings = {"ingest": {"store_size": size}, **_AUDIT}
    audit = {stage: {**fields, **stages.get(stage, {})} for stage, fields in settings.items()}
    return phantom_study(name, audit, images=images, other_source_images=other, size=size)
