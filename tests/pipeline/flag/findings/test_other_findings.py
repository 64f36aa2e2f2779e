"""Findings that are not about regions: traits, groups of maps, pictures without lungs, and their place in the list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.config import FlagConfig
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.flag.behaviour.evidence import COLUMNS
from pipeline.flag.findings import RegionEvidence, build_findings, cluster_findings, lung_findings, trait_findings
from pipeline.flag.findings.traits import judged_trait
from pipeline.flag.profile.association import mark_association

CLASSES = ("rest", "covid")


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetVersion:
    table = pd.DataFrame([dict.fromkeys(IMAGE_COLUMNS)] * 40)
    table["image_id"] = [f"id{n:02d}" for n in range(40)]
    table["label"] = [CLASSES[n % 2] for n in range(40)]
    table["split"], table["width"], table["height"] = "train", 4, 4
    with write_version(tmp_path / "v", 4, "uint8") as writer:
        writer.write_shard(0, table, np.zeros((40, 4, 4), np.uint8))
        writer.finish(DatasetMeta("t", "v", "T", CLASSES, "covid", 4, "uint8"), table, 1)
    return DatasetVersion(tmp_path / "v")


def nothing(dataset: DatasetVersion) -> RegionEvidence:
    regions = pd.DataFrame(columns=["image_id", "kind", "text", "x0", "y0", "x1", "y1"])
    saliency = pd.DataFrame(columns=list(COLUMNS)).astype(COLUMNS)
    none = pd.DataFrame(columns=["kind", "class"])
    return RegionEvidence(regions, mark_association(dataset, regions), saliency, none, none)


def moved(effect: float, count: int = 30) -> pd.DataFrame:
    """What moving exposure did: `effect` ± noise on covid, against placebos of 0.01."""
    noise = 0.02 * np.random.default_rng(1).standard_normal(count)
    table = pd.DataFrame({"image_id": [f"id{n:02d}" for n in range(count)], "kind": "trait/exposure"})
    table = table.assign(trait="exposure", patient_id=None, predicted_removed="rest", flip=False, passes=10)
    table["class"] = "covid"
    table = table.assign(kind_available=count, kind_looks=1, kind_stopped="all tested")
    for scale in ("", "logit_"):
        table = table.assign(**{f"{scale}effect_covid": effect + noise, f"{scale}effect_rest": -effect - noise})
        table = table.assign(**{f"{scale}control_mean_{name}": 0.01 for name in CLASSES})
    return table


TIED = pd.DataFrame(
    [
        {"trait": "exposure", "class": "covid", "auroc": 0.9, "auroc_low": 0.85, "auroc_high": 0.95, "n": 40}
        | {"median_class": 0.7, "median_other": 0.4, "q_value": 0.001}
    ]
)


@pytest.mark.parametrize(("effect", "status"), [(0.2, "confirmed"), (0.0, "suspected")])
def test_only_moving_a_trait_confirms_it(dataset: DatasetVersion, effect: float, status: str) -> None:
    traits = trait_findings(dataset, TIED, moved(effect), 0)
    (finding,) = build_findings(dataset, nothing(dataset), FlagConfig(), 0, traits=traits)
    assert (finding["kind"], finding["class"], finding["status"]) == ("trait/exposure", "covid", status)
    assert "exposure" in finding["title"]
    assert len(finding["for"]) + len(finding["against"]) == 2


@pytest.mark.parametrize(("kind", "marked", "status"), [
    ("trait/sharpness", {"covid"}, "suspected"),  # blurring the image blurs its marks
    ("trait/sharpness", {"rest"}, "confirmed"),
    ("trait/exposure", {"covid"}, "confirmed"),
])  # fmt: skip
def test_fine_detail_is_not_confirmed_beside_marks(kind: str, marked: set[str], status: str) -> None:
    size = {"mean": 0.2, "low": 0.1, "high": 0.3, "n": 30}
    effect = {"excess": size, "logit_excess": size, "q": 0.001, "flip_rate": size}
    tie = {"auroc": size, "median": {"covid": 1.0, "others": 0.0}, "q": 0.001}
    finding = {"kind": kind, "class": "covid", "effect": effect, "association": tie}
    assert judged_trait(finding, FlagConfig(), frozenset(marked))["status"] == status


def group(**changes: Any) -> dict[str, Any]:
    pure = {"column": "source", "value": "b", "share": 0.9, "known": 20, "expected": 0.4, "p_value": 0.01}
    mass = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 20}
    composed = {"kind": "side", "mass": mass, "area": 0.01, "enrichment": 50.0}
    return {
        **{"number": 1, "size": 20, "flags": ["pure", "focused"], "purity": [pure], "composition": [composed]},
        **{"nearest": ["id01"], **changes},
    }


def clustered(*groups: dict[str, Any]) -> dict[str, Any]:
    facts = {"images": 60, "without_saliency": 2, "gap_p_value": 0.01, "note": "Two strategies."}
    return {"method": "grad-cam", "classes": {"covid": {**facts, "clusters": list(groups)}}}


def test_flagged_groups_of_maps_are_suspected_and_say_what_they_share() -> None:
    (finding,) = cluster_findings(clustered(group(), group(number=0, flags=[])))
    assert (finding["kind"], finding["status"], finding["images"]) == ("cluster/covid/1", "suspected", 20)
    assert finding["share"]["n"] == 58
    assert "source is b on 90%" in finding["summary"]
    assert any("side markers hold 50%" in reason for reason in finding["for"])


def test_groups_without_a_flag_are_no_finding() -> None:
    assert cluster_findings(clustered(group(flags=[]), group(number=0, flags=[]))) == []


def blacked(seen: str, low: float, r: float | None = None) -> dict[str, Any]:
    auroc = {"mean": low + 0.05, "low": low, "high": low + 0.1, "n": 80}
    return {"seen": seen, "r": r, "form": "retrained", "auroc": auroc, "null95": 0.6, "p": 0.001, "train": 80}


@pytest.mark.parametrize(
    ("records", "found"),
    [
        ([blacked("centre black", 0.8, 0.9)], 1),
        ([blacked("outside the lungs", 0.7)], 1),
        ([blacked("centre black", 0.8, 0.5)], 0),  # half of each side leaves most of the lungs
        ([blacked("outside the lungs", 0.62)], 0),  # above chance, but not much
        ([blacked("lungs only", 0.9)], 0),
        ([], 0),
    ],
)
def test_pictures_without_lungs(records: list[dict[str, Any]], found: int) -> None:
    assert len(lung_findings({"records": records, "verdict": "The label can be told."}, "covid")) == found


def test_one_list_ranked_by_status(dataset: DatasetVersion) -> None:
    others = cluster_findings(clustered(group())) + lung_findings(
        {"records": [blacked("outside the lungs", 0.7)], "verdict": "It can."}, "covid"
    )
    traits = trait_findings(dataset, TIED, moved(0.2), 0)
    findings = build_findings(dataset, nothing(dataset), FlagConfig(), 0, traits=traits, others=others)
    assert [finding["id"] for finding in findings] == ["F01", "F02", "F03"]
    assert [finding["status"] for finding in findings] == ["confirmed", "suspected", "suspected"]
