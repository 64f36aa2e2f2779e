"""Fabricated predictions and a full report of a study that never was."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.config import CompareConfig
from pipeline.dataset import DatasetMeta
from pipeline.report import Example, ReportInput, compare, render_report
from pipeline.types import Box

# How far the mean score of positive images lies above that of the others, by condition and arm.
HONEST = {
    "raw": {"before": 2.5, "after": 2.0, "control": 2.5},
    "cleansed": {"before": 1.5, "after": 2.0, "control": 1.5},
    "marker_swapped": {"before": -2.0, "after": 2.0, "control": -2.0},
    "other_source": {"before": -1.5, "after": -1.0, "control": -1.5},
}
Predictions = Callable[..., pd.DataFrame]


def simulate(
    n: int = 200, shifts: dict[str, dict[str, float]] = HONEST, seed: int = 0, other: int = 40
) -> pd.DataFrame:
    """Scores of two images a patient, half of the patients positive, three seeds that differ a little."""
    rng = np.random.default_rng(seed)
    tables = []
    for condition, arms in shifts.items():
        count = other if condition == "other_source" else n
        positive = np.arange(count) // 2 % 2 == 1
        patient = np.repeat(rng.normal(size=count // 2), 2)
        noise = patient + rng.normal(size=count)
        for arm, shift in arms.items():
            for number in range(3):
                logit = noise + shift * (positive - 0.5) + 0.2 * rng.normal(size=count)
                p = 1 / (1 + np.exp(-logit))
                tables.append(
                    pd.DataFrame(
                        {
                            "arm": arm,
                            "seed": number,
                            "condition": condition,
                            "image_id": [f"{condition}-{i:04d}" for i in range(count)],
                            "patient_id": [f"p{i // 2}" for i in range(count)],
                            "label": np.where(positive, "covid", "rest"),
                            "p_rest": 1 - p,
                            "p_covid": p,
                        }
                    )
                )
    return pd.concat(tables, ignore_index=True)


@pytest.fixture
def simulated() -> Predictions:
    return simulate


@pytest.fixture(scope="session")
def comparison() -> dict[str, Any]:
    return compare(simulate(), "covid", ["rest", "covid"], CompareConfig(bootstrap=300))


@pytest.fixture(scope="session")
def audit() -> ReportInput:
    """The least a report needs: an audit that awaits review."""
    images = pd.DataFrame(
        {
            "label": ["covid", "rest"] * 10,
            "source": ["a"] * 12 + ["b"] * 8,
            "split": ["train"] * 8 + ["test"] * 4 + ["other_source"] * 8,
            "patient_id": [f"p{i // 2}" for i in range(19)] + [None],
        }
    )
    meta = DatasetMeta("study", "v0", "A study", ("rest", "covid"), "covid", 64, "uint8")
    findings = [
        {"id": "F2", "kind": "word", "text": "PORTABLE", "status": "suspected", "images": 4},
        {
            "id": "F1",
            "kind": "side",
            "text": "L",
            "status": "confirmed",
            "effect": {"mean": 0.21, "low": 0.17, "high": 0.26, "n": 212},
            "q_value": 0.0004,
        },
    ]
    return ReportInput("run-1", meta, images, findings, review_hint="cxr-audit review run-1")


@pytest.fixture(scope="session")
def make_example() -> Callable[..., Example]:
    def make(finding: str = "F1", number: int = 0, size: tuple[int, int] = (96, 120)) -> Example:
        rows, columns = np.mgrid[: size[0], : size[1]]
        image = (0.3 + 0.3 * rows / size[0] + 0.2 * columns / size[1]).astype(np.float32)
        marked = image.copy()
        marked[8:16, 10:24] = 1.0
        saliency = np.exp(-(((rows - 12) / 12) ** 2) - ((columns - 17) / 12) ** 2).astype(np.float32)
        return Example(
            finding,
            f"{number:064x}",
            "covid",
            marked,
            (Box(10, 8, 24, 16),),
            saliency,
            image,
            "igos++",
            "a",
            "test",
            0.9,
            0.4,
        )

    return make


@pytest.fixture(scope="session")
def full(audit: ReportInput, make_example: Callable[..., Example], comparison: dict[str, Any]) -> ReportInput:
    """A finished run with every section."""
    return ReportInput(
        run_id=audit.run_id,
        dataset=audit.dataset,
        images=audit.images,
        findings=audit.findings,
        problems=pd.DataFrame({"reason": ["truncated", "duplicate", "duplicate"]}),
        checks=[
            {"check": "Near duplicates across sources", "value": 35, "meaning": "kept in one split"},
            {
                "check": "Container leakage",
                "value": {"mean": 0.98, "low": 0.97, "high": 0.99, "n": 20},
                "meaning": "AUROC",
            },
        ],
        model={
            "name": "resnet18",
            "metrics": {"validation AUROC": {"mean": 0.94, "low": 0.92, "high": 0.96, "n": 210}},
        },
        explanations=[
            {"method": "igos++", "deletion": {"mean": 0.1, "low": 0.1, "high": 0.2}, "insertion": 0.8, "n": 64}
        ],
        examples=[make_example("F1", 0), make_example("F1", 1, (120, 80)), make_example("F2", 2)],
        plan={
            "fill": "telea",
            "dilation": 2.0,
            "lines": [
                {
                    "finding": "F1",
                    "kind": "side",
                    "text": "L",
                    "decided_by": "policy: confirmed",
                    "regions": {"covid": 9},
                }
            ],
            "impact": {
                "covid": {
                    "images": 9,
                    "of": 10,
                    "regions": 9,
                    "pixels": 720,
                    "share": 0.0125,
                    "in_lungs": 0,
                    "held_back": 2,
                }
            },
        },
        comparison=comparison,
        provenance={"command": "cxr-audit run study.yaml", "versions": {"torch": "2.13.0"}},
    )


@pytest.fixture(scope="session")
def page(full: ReportInput) -> str:
    """The finished run's report."""
    return render_report(full)
