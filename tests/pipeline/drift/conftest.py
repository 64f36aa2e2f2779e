"""Audits of an invented population, so that what differs between two of them is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.drift import Audit

CLASSES = ("clear", "opacity")
Population = Callable[..., Audit]


def population(
    seed: int,
    images: int = 300,
    *,
    marked: float = 0.2,
    shift: float = 0.0,
    skill: float = 1.5,
    new_source: float = 0.0,
    look: str = "side-1",
    darker: float = 0.0,
) -> Audit:
    """An audit of `images` images, two a patient: all that a patient's images share is drawn for the patient.

    Args:
        seed: of the draw; it also names the images, so another seed is another sample.
        images: how many.
        marked: share of patients of the class opacity that bear a side marker; of the others a fifth does.
        shift: added to the logit of all scores.
        skill: distance of the classes' mean logits.
        new_source: share of patients who come from source "c".
        look: look-alike cluster of the markers.
        darker: taken from the trait `exposure`.
    """
    rng = np.random.default_rng(seed)
    people = images // 2
    label = rng.integers(0, 2, people)
    person = pd.DataFrame(
        {
            "patient_id": [f"s{seed}-p{number}" for number in range(people)],
            "label": np.array(CLASSES)[label],
            "source": np.where(rng.random(people) < new_source, "c", rng.choice(["a", "b"], people)),
            "manufacturer": rng.choice(["x", "y", None], people),
            "modality": "CR",
            "file_format": "PNG",
            "view": rng.choice(["PA", "AP"], people),
            "sex": rng.choice(["F", "M"], people),
            "split": rng.choice(["train", "val", "test"], people, p=[0.4, 0.1, 0.5]),
            "marked": rng.random(people) < np.where(label == 1, marked, 0.2),
            "logit": rng.normal(0, 0.7, people) + skill * (label - 0.5) + shift,
            "exposure": rng.normal(0.5, 0.1, people) - darker,
        }
    )
    table = pd.concat([person, person]).sort_index(kind="stable").reset_index(drop=True)
    table["image_id"] = [f"s{seed}-i{number}" for number in range(len(table))]
    logit = table["logit"] + rng.normal(0, 0.5, len(table))
    positive = 1 / (1 + np.exp(-logit))
    bearing = table[table["marked"]]
    return Audit(
        run=f"run-{seed}",
        classifier="weights",
        classes=CLASSES,
        positive="opacity",
        images=table.drop(columns=["marked", "logit", "exposure"]),
        looked_at=np.arange(len(table)),
        regions=pd.DataFrame(
            {
                "region_id": [f"{look}/{name}" for name in bearing["image_id"]],
                "image_id": bearing["image_id"].to_numpy(),
                "kind": "side",
                "text": "R",
            }
        ),
        traits=pd.DataFrame(
            {"image_id": table["image_id"], "exposure": table["exposure"] + rng.normal(0, 0.02, len(table))}
        ),
        predictions=pd.DataFrame({"image_id": table["image_id"], "p_clear": 1 - positive, "p_opacity": positive}),
        findings=[{"id": "F01", "kind": "side", "class": "opacity", "status": "suspected"}],
    )


def looks(*audits: Audit) -> pd.Series[str]:
    """Look-alike cluster by region id, as `population` drew it."""
    names: list[Any] = [name for audit in audits for name in audit.regions["region_id"]]
    return pd.Series({name: name.split("/")[0] for name in names}, dtype=object)


@pytest.fixture(name="population")
def _population() -> Population:
    return population


@pytest.fixture(name="looks")
def _looks() -> Callable[..., pd.Series[str]]:
    return looks
