"""Several repairs beside each other: prepare each, ask its classifiers, weigh and rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from flows.console import progress
from flows.request import resolve_device
from flows.review.frozen import frozen
from flows.tasks.lung_fields import lung_fields, lungs_name
from flows.tasks.policy import stage
from flows.tasks.repair import ALL_REGIONS, left_alone
from flows.workspace import Workspace
from pipeline.artifacts import read_json, read_parquet, write_json, write_parquet
from pipeline.config import AuditConfig
from pipeline.dataset import DatasetVersion

if TYPE_CHECKING:
    from pipeline.cleanse.repairs import Bench, Repair

FOLDER = "repairs"
"""Of a run: the plan of its comparison of repairs, and the predictions of each repair's classifiers."""
PLAN = f"{FOLDER}/plan.yaml"
REGIONS = f"{FOLDER}/regions.parquet"
"""Regions of all images, with those marked that the plan holds back."""


@dataclass(frozen=True)
class Made:
    """A repair's versions on disk.

    Attributes:
        name: of the repair.
        training: version that is learned from.
        options: fields of `TrainConfig` that it sets.
        tests: version of each test condition as the deployed classifier sees it.
        facts: see `pipeline.cleanse.repairs.Prepared`.
    """

    name: str
    training: Path
    options: dict[str, Any]
    tests: dict[str, Path]
    facts: tuple[dict[str, Any], ...]

    def same_as(self, other: Made) -> bool:
        """Whether it learns and is tested exactly as `other`: then it changes nothing on these data."""
        return (self.training, self.options, self.tests) == (other.training, other.options, other.tests)


@stage("plan repairs")
def plan(run: Path, dataset: Path, config: AuditConfig, accepted: dict[str, str]) -> None:
    """Write repairs/plan.yaml, what is filled and swapped, and repairs/regions.parquet, all regions as it judges them.

    `plan_note` says where it comes from.
    """
    from pipeline.cleanse import Plan, draft_plan, hold_back, recounted

    data, review = DatasetVersion(dataset), frozen(run)
    regions = review.over(read_parquet(run / ALL_REGIONS))
    lungs = lung_fields(Workspace(run.parent.parent), data)
    if (run / "plan.yaml").exists():
        chosen = Plan.read(run / "plan.yaml")
    else:
        every = {"id": "all-printed", "kind": "mark", "text": None, "status": "suspected"}
        findings = [every, *read_json(run / "findings.json")["findings"]]
        decided = accepted if accepted or review.removes else {"all-printed": "policy: all printed marks"}
        left = left_alone(run, review)
        chosen = draft_plan(findings, regions, data, config.cleanse, decided, left=left)
    judged = hold_back(chosen, regions, data, lungs)
    write_parquet(run / REGIONS, judged)
    recounted(chosen, judged, data, lungs).write(run / PLAN)


def plan_note(run: Path, accepted: dict[str, str]) -> str:
    """Where the plan of a comparison comes from, in a sentence."""
    if (run / "plan.yaml").exists():
        return "Fills and swaps follow the plan of the run, plan.yaml."
    if accepted:
        return f"The run has no plan; fills and swaps follow its accepted findings: {', '.join(accepted)}."
    if frozen(run).removes:
        return "The run has no plan; fills and swaps follow the regions that were accepted one by one."
    return (
        "The run has no plan and no accepted finding: fills and swaps take all printed marks, whether or not the "
        "classifier reads them. Decide about the findings for a sharper test."
    )


@stage("prepare repair")
def prepare(run: Path, dataset: Path, config: AuditConfig, repair: Repair, device: str) -> tuple[Made, int]:
    """Make every version that `repair` is trained and tested on; how many had to be made."""
    from pipeline.cleanse.repairs import Fill, only, swapped
    from pipeline.cleanse.repairs import prepare as make

    there = set(dataset.parent.iterdir())
    bench = _bench(run, DatasetVersion(dataset), config, device)
    prepared = make(repair, bench)
    cleansed = Fill().learned_from(bench, bench.dataset)
    tests = {
        "raw": bench.dataset,
        "cleansed": only(cleansed, cleansed.rows("test"), bench),
        "marker_swapped": swapped(bench),
    }
    shown = {condition: prepared.shown(version).path for condition, version in tests.items()}
    made = Made(repair.name, prepared.training.path, prepared.options, shown, prepared.facts)
    return made, len({made.training, *shown.values(), *(each.path for each in tests.values())} - there)


@stage("evaluate repair", tags=("gpu",))
def evaluate(made: Made, bundles: list[Path], seeds: list[int], device: str, out: Path) -> None:
    """Write the predictions of a repair's classifiers on every test condition, and on its own validation images."""
    from pipeline.report import VALIDATION
    from pipeline.report import evaluate as ask
    from pipeline.train import load_classifier

    loaded = {(made.name, seed): load_classifier(bundle) for seed, bundle in zip(seeds, bundles, strict=True)}
    where = resolve_device(device)
    classifiers = {key: (model.to(where), spec) for key, (model, spec) in loaded.items()}
    raw, training = DatasetVersion(made.tests["raw"]), DatasetVersion(made.training)
    others = {name: DatasetVersion(made.tests[name]) for name in ("cleansed", "marker_swapped")}
    asked = {
        "raw": (raw, raw.rows("test")),
        **{name: (data, np.arange(len(data))) for name, data in others.items()},
        "other_source": (raw, raw.rows("other_source")),
        VALIDATION: (training, training.rows("val")),
    }
    tables = []
    for number, (condition, (data, rows)) in enumerate(asked.items(), start=1):
        if len(rows):
            tables.append(ask(classifiers, data, rows).assign(condition=condition))
        progress()(f"evaluate {made.name}", number, len(asked))
    write_parquet(out, pd.concat(tables, ignore_index=True))


@stage("rank repairs")
def rank(run: Path, dataset: Path, config: AuditConfig, tables: list[Path], record: dict[str, Any]) -> None:
    """Write repairs.json and repairs.parquet: `record`, and with it comparison, ranking and words."""
    from pipeline.report import compare
    from pipeline.report.ranking import rank as order
    from pipeline.report.ranking import ranking_words

    meta, names = DatasetVersion(dataset).meta, [each["name"] for each in record["repairs"]]
    predictions = pd.concat([read_parquet(path) for path in tables], ignore_index=True)
    controls = [each["name"] for each in record["repairs"] if each["is_control"]]
    about = (meta.positive, meta.classes, config.compare, config.seed)
    comparison = compare(predictions, *about, arms=names, baseline=names[0])
    ranking = order(predictions, *about, arms=names, baseline=names[0], controls=controls)
    words = [*ranking_words(ranking), *record["notes"]]
    write_parquet(run / "repairs.parquet", _flat(comparison, ranking))
    write_json(run / "repairs.json", {**record, "comparison": comparison, "ranking": ranking, "words": words})


def _flat(comparison: Mapping[str, Any], ranking: Mapping[str, Any]) -> pd.DataFrame:
    """One row a repair, condition and metric: value and difference to the baseline, each with its interval."""
    places = {line["repair"]: line["rank"] for line in ranking["ranking"]}
    baseline = comparison["baseline"]
    rows = []
    for condition, found in comparison["conditions"].items():
        for arm in comparison["arms"]:
            for metric, value in found[arm].items():
                change = found["differences"].get(f"{arm}-{baseline}", {}).get(metric, {})
                rows.append(
                    {"repair": arm, "rank": places.get(arm), "condition": condition, "metric": metric, "n": found["n"]}
                    | {name: value[name] for name in ("mean", "low", "high")}
                    | {f"difference_{name}": change.get(name) for name in ("mean", "low", "high")}
                )
    types = {"rank": "Int64"} | {f"{p}{n}": "Float64" for p in ("", "difference_") for n in ("mean", "low", "high")}
    return pd.DataFrame(rows).astype(types)


def _bench(run: Path, data: DatasetVersion, config: AuditConfig, device: str) -> Bench:
    from pipeline.cleanse import Plan
    from pipeline.cleanse.repairs import Bench

    workspace = Workspace(run.parent.parent)
    return Bench(
        dataset=data,
        plan=Plan.read(run / PLAN),
        regions=read_parquet(run / REGIONS),
        find_lungs=lambda version: lung_fields(workspace, version),
        lungs_name=lungs_name(),
        root=data.path.parent.parent,
        decoys=config.cleanse.decoys,
        seed=config.seed,
        bundles=workspace.models,
        device=resolve_device(device),
        progress=progress(),
    )


def plain(made: Made) -> dict[str, Any]:
    """`made` for repairs.json: names of versions, no paths."""
    return {
        **asdict(made),
        "training": made.training.name,
        "tests": {condition: path.name for condition, path in made.tests.items()},
        "facts": list(made.facts),
    }
