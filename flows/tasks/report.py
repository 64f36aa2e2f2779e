"""The report of a run, and what Prefect shows of it."""

from __future__ import annotations

import importlib.metadata
import platform
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pandas as pd
from prefect.states import Completed

from flows.observed import announce_end
from flows.results import RunResult, RunState
from flows.tasks.artifacts import leave_artifacts
from flows.tasks.drift import DRIFT
from flows.tasks.grown import GROWN
from flows.tasks.pictures import examples
from flows.tasks.policy import stage
from pipeline.artifacts import read_json, read_parquet, write_text
from pipeline.config import AuditConfig
from pipeline.dataset import DatasetVersion

if TYPE_CHECKING:
    from pipeline.report import EvidenceTable

STATE_NAMES: dict[RunState, str] = {"awaiting review": "AwaitingReview", "nothing to repair": "NothingToRepair"}
"""Names of Prefect's Completed state for the ways in which a run ends; `complete` keeps Prefect's own."""

_PACKAGES = ("torch", "monai", "pydicom", "scikit-learn", "prefect", "pandas", "numpy", "zarr")


@stage("report")
def write_report(run: Path, dataset: Path, bundle: Path, config: AuditConfig, state: RunState) -> list[str]:
    """Write report.html from the artifacts of a run; returns its summary, a sentence each."""
    from pipeline.report import ReportInput, render_report, summary

    data = DatasetVersion(dataset)
    findings = read_json(run / "findings.json")["findings"]
    content = ReportInput(
        run_id=run.name,
        dataset=data.meta,
        images=data.images,
        findings=findings,
        problems=read_parquet(dataset / "problems.parquet"),
        checks=_checks(dataset, run),
        model=_model(bundle),
        explanations=_explanations(run, config),
        evidence=_evidence(run, data, config),
        examples=examples(run, data, _cleansed(run, data), findings, config),
        plan=_plan(run, config),
        repairs=_json_if_there(run / "repairs.json"),
        **(_repaired(run) if state == "complete" else {}),
        grown=_json_if_there(run / GROWN),
        drift=_json_if_there(run / DRIFT),
        review_hint=_hint(run, state),
        provenance=_provenance(run, dataset, bundle),
    )
    write_text(run / "report.html", render_report(content))
    return summary(content)


def publish(run: Path, state: RunState, words: list[str], worked: int) -> RunResult:
    """Leave links and a summary in Prefect, and hand back the flow's result with a state that is named after its end.

    To be returned by a flow as it is: the flow's caller gets the `RunResult`, Prefect its state.
    """
    leave_artifacts(run, state, words)
    result = result_of(run, state, words, worked)
    announce_end(result)
    # What a flow returns as a state, Prefect takes for its end and unwraps for the caller; its types say otherwise.
    return cast(RunResult, Completed(name=STATE_NAMES.get(state), message=f"Run {run.name}: {state}", data=result))


def result_of(run: Path, state: RunState, words: list[str], worked: int) -> RunResult:
    """The record of how a run ended."""
    findings = read_json(run / "findings.json")["findings"]
    counts = dict(Counter(str(finding["status"]) for finding in findings))
    return RunResult(run=run, report=run / "report.html", state=state, findings=counts, words=words, worked=worked)


def _repaired(run: Path) -> dict[str, Any]:
    """What was held back, how the cleanse was checked and what it changed, as far as it is there."""
    held_back = run / "held_back.parquet"
    names = ("fingerprint", "residual", "comparison")
    return {name: _json_if_there(run / f"{name}.json") for name in names} | {
        "held_back": read_parquet(held_back) if held_back.exists() else None
    }


def _json_if_there(path: Path) -> Any:
    return read_json(path) if path.exists() else None


def _hint(run: Path, state: RunState) -> str | None:
    if state != "awaiting review":
        return None
    return f"cxr-audit review, then cxr-audit remediate {run.name}"


def _plan(run: Path, config: AuditConfig) -> dict[str, Any] | None:
    from pipeline.cleanse import Plan

    path = run / "plan.yaml"
    return {**Plan.read(path).model_dump(), "decoys": config.cleanse.decoys} if path.exists() else None


def _provenance(run: Path, dataset: Path, bundle: Path) -> dict[str, Any]:
    ledger = read_json(run / "run.json")
    return {
        "run": run.name,
        "dataset": f"{dataset.parent.name}/{dataset.name}",
        "model": bundle.name,
        "settings": ledger["request"]["config"],
        "artifacts (sha256)": {name: entry["sha256"] for name, entry in ledger["artifacts"].items()},
        "packages": {name: importlib.metadata.version(name) for name in ("cxr-audit", *_PACKAGES)},
        "python": platform.python_version(),
    }


def _model(bundle: Path) -> dict[str, Any]:
    """Facts about the audited classifier, with its validation metrics when it was trained here."""
    from models import load_bundle

    model, spec = load_bundle(bundle)
    facts: dict[str, Any] = {
        "name": spec.name,
        "classes": ", ".join(spec.classes),
        "input size": f"{spec.input_size[0]} x {spec.input_size[1]}",
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
    training = _json_if_there(bundle / "metrics.json")
    if training:
        counts = {split: sum(training["images"][split].values()) for split in ("train", "val")}
        facts |= {"epochs": len(training["history"]), "training images": counts["train"]}
        value = {"mean": training["best"]["val_auroc"], "low": None, "high": None, "n": counts["val"]}
        facts["metrics"] = {"validation AUROC": value}
    return facts


def _explanations(run: Path, config: AuditConfig) -> list[dict[str, Any]]:
    """One line an explainer: faithfulness over the explained images, with its spread, and its cost."""
    lines = []
    for method in config.explain.methods:
        table = read_parquet(run / "saliency" / f"{method}.parquet")
        lines.append(
            {
                "method": method,
                "deletion": _mean(table["deletion_auc"], config.seed),
                "insertion": _mean(table["insertion_auc"], config.seed),
                "n": len(table),
                "evaluations": float((table["forward"] + table["backward"]).mean()),
                "low confidence": int(table["low_confidence"].sum()),
            }
        )
    return lines


def _mean(values: pd.Series[float], seed: int) -> dict[str, Any]:
    from pipeline.randomness import numpy_generator
    from pipeline.statistics import percentile_interval

    sample = numpy_generator(seed, "report", str(values.name)).choice(values.to_numpy(), (1000, len(values)))
    low, high = percentile_interval(sample.mean(axis=1), 0.95)
    return {"mean": float(values.mean()), "low": low, "high": high, "n": len(values)}


def _cleansed(run: Path, data: DatasetVersion) -> DatasetVersion | None:
    """The cleansed version of this run, when there is one."""
    made = _json_if_there(run / "versions.json")
    return DatasetVersion(data.path.parent / made["cleansed"]) if made else None


def _evidence(run: Path, data: DatasetVersion, config: AuditConfig) -> list[EvidenceTable]:
    from pipeline.flag import looked_at
    from pipeline.report import WholeEvidence, evidence_tables

    splits = data.images["split"].iloc[looked_at(data, config.flag.looked_at, config.seed)].value_counts()
    explained = read_parquet(run / "saliency" / f"{config.explain.methods[0]}.parquet")
    found = WholeEvidence(
        dataset=data.images,
        looked_at={str(name): int(count) for name, count in splits.sort_index().items()},
        explained=len(explained),
        effects=read_parquet(run / "effects.parquet"),
        profile=read_json(run / "profile.json"),
        trait_association=read_parquet(run / "trait_association.parquet"),
        lung_shares=read_json(run / "lung_shares.json"),
        blackout=read_json(run / "blackout.json"),
        features=read_json(run / "features.json"),
        clusters=read_json(run / "clusters.json"),
        subgroups=read_parquet(run / "subgroups.parquet"),
        slices=read_json(run / "slices.json"),
    )
    return evidence_tables(found)


def _checks(dataset: Path, run: Path) -> list[dict[str, Any]]:
    """Data quality and leakage, one line each."""
    quality = read_json(dataset / "quality.json")
    copies, patients = quality["near_duplicates"], quality["patients"]
    lines = [
        {
            "check": "Rows used",
            "value": f"{quality['rows']['kept']:,} of {quality['rows']['in']:,}",
            "meaning": "every other row is counted below with its reason",
        },
        {
            "check": "Patients known",
            "value": f"{patients['known']:,} patients, {patients['images_without']:,} images of unknown patients",
            "meaning": "splits keep patients together; an image of an unknown patient counts as a patient of its own",
        },
        {
            "check": "Near duplicates",
            "value": f"{copies['groups']:,} groups, {copies['groups_across_sources']:,} across sources",
            "meaning": "kept in the same split",
        },
    ]
    lines += [{"check": "Warning", "value": "", "meaning": sentence} for sentence in quality["warnings"]]
    return lines + list(read_json(run / "profile.json")["checks"])
