"""What a notice says: names and counts, kinds and effects; never an image, a path, an error's words or a header."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from flows.results import RunResult
from flows.review.address import review_url
from pipeline.artifacts import content_hash, read_json

Kind = Literal["awaiting-review", "confirmed-finding", "failed", "drift"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SCHEMA: Literal["cxr-audit.notice/1"] = "cxr-audit.notice/1"
DRIFT = "drift.json"
GATE_FAILED = "GateFailed"
"""Name of the state that such a flow ends in; stands where others have the class of an error."""
SHIFTED = "shifted"
"""Verdict of a row of drift.json, see `pipeline.drift`."""
_NAMED = ("metric", "marks", "score", "trait")
"""Measures whose names are ours. Others are named after what was printed, or what a header said."""


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Effect(_Said):
    """What erasing the marks takes from the class probability beyond matched controls; 95 % interval."""

    mean: float
    low: float
    high: float
    n: int = Field(description="images")


class Finding(_Said):
    """A finding that the causal test proved."""

    id: str
    kind: str = Field(description="what the classifier reads, e.g. `position`, `trait/sharpness`")
    classifier_class: str = Field(alias="class", description="for which class it is evidence")
    effect: Effect | None = None


class Drift(_Said):
    """A measure that differs from the audit it was compared with."""

    measure: str
    name: str | None = Field(None, description="metric or kind of mark; null where it could be a printed word")
    classifier_class: str | None = Field(None, alias="class")


class Notice(_Said):
    """One notice; its JSON is the body that `format: json` webhooks get and the payload of the Prefect event."""

    schema_name: Literal["cxr-audit.notice/1"] = Field(SCHEMA, alias="schema")
    notice: Kind
    at: datetime = Field(description="UTC")
    flow: str
    dataset: str | None = Field(None, description="the manifest's name")
    run: str | None = Field(None, description="null where it failed before there was a run")
    state: str | None = None
    findings: dict[str, int] = Field(default_factory=dict, description="number of findings by status")
    confirmed: tuple[Finding, ...] = ()
    drift: tuple[Drift, ...] = ()
    compared_with: str | None = Field(None, description="run that drift was measured against")
    error: str | None = Field(None, description="class of the error")
    stage: str | None = Field(None, description="in which it failed")
    conditions: dict[str, int] = Field(
        default_factory=dict, description="of `--fail-on`, those that the audit does not pass -> number of checks"
    )
    link: str | None = Field(None, description="the run's review page")

    @property
    def content(self) -> str:
        """Hash of all that it says but the time."""
        return content_hash(self.model_dump(mode="json", exclude={"at"}, by_alias=True))

    @property
    def words(self) -> str:
        """In one sentence."""
        where = f"data set {self.dataset or 'unknown'}" + (f", run {self.run}" if self.run else "")
        return f"cxr-audit: {self._what()} ({where})"

    def _what(self) -> str:
        if self.conditions:
            told = ", ".join(f"{each} ({_number(count, 'check')})" for each, count in self.conditions.items())
            return f"the audit of {self.flow} is done and does not pass: {told}"
        if self.notice == "failed":
            return f"{self.flow} failed with {self.error}" + (f" in stage {self.stage}" if self.stage else "")
        if self.notice == "drift":
            return f"{_number(len(self.drift), 'measure')} drifted from run {self.compared_with}"
        if self.notice == "confirmed-finding":
            return f"{_number(len(self.confirmed), 'finding')} confirmed by the causal test"
        counts = ", ".join(f"{count} {status}" for status, count in sorted(self.findings.items()))
        return f"a review is awaited; findings: {counts or 'none'}"


def ended(flow: str, dataset: str | None, result: RunResult) -> list[Notice]:
    """What the end of a flow is worth telling."""
    found = read_json(result.run / "findings.json")["findings"]
    confirmed = tuple(_finding(each) for each in found if each["status"] == "confirmed")
    kinds: list[Kind] = ["awaiting-review"] if result.state == "awaiting review" else []
    kinds += ["confirmed-finding"] if confirmed else []
    said = {"state": result.state, "findings": result.findings, "confirmed": confirmed}
    notices = [_notice(kind, flow, dataset, result.run.name, **said) for kind in kinds]
    return notices + _drifted(flow, dataset, result.run)


def failed(flow: str, dataset: str | None, run: str | None, error: BaseException, stage: str | None) -> Notice:
    """That a flow failed, by the class of its error."""
    return _notice("failed", flow, dataset, run, error=type(error).__name__, stage=stage)


def not_passed(flow: str, dataset: str | None, run: str, conditions: dict[str, int]) -> Notice:
    """That a flow did its work and the audit does not pass the conditions it was given."""
    return _notice("failed", flow, dataset, run, error=GATE_FAILED, conditions=conditions)


def _drifted(flow: str, dataset: str | None, run: Path) -> list[Notice]:
    """That measures differ from those of an earlier run, by the run's drift.json; nothing where none does."""
    found = read_json(run / DRIFT) if (run / DRIFT).exists() else {"rows": []}
    shifted = [row for row in found["rows"] if row["verdict"] == SHIFTED]
    if not shifted:
        return []
    drift = tuple(
        Drift(measure=row["about"], name=row["name"] if row["about"] in _NAMED else None, **{"class": row["class"]})
        for row in shifted
    )
    return [_notice("drift", flow, dataset, run.name, drift=drift, compared_with=found["baseline"]["run"])]


def _notice(kind: Kind, flow: str, dataset: str | None, run: str | None, **said: Any) -> Notice:
    link = review_url(run) if run else None
    return Notice(notice=kind, at=datetime.now(UTC), flow=flow, dataset=dataset, run=run, link=link, **said)


def _finding(found: dict[str, Any]) -> Finding:
    excess = (found.get("effect") or {}).get("excess")
    kept = {name: excess[name] for name in ("mean", "low", "high", "n")} if excess else None
    effect = Effect(**kept) if kept and None not in kept.values() else None
    return Finding(id=found["id"], kind=found["kind"], effect=effect, **{"class": found["class"]})


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
