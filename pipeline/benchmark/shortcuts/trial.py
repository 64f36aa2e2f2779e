"""One trial from planting to repair, and its record."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from torch import nn

from models.spec import ModelSpec
from pipeline.artifacts import write_json
from pipeline.benchmark.shortcuts.audit import Audited, audited
from pipeline.benchmark.shortcuts.grid import Trial
from pipeline.benchmark.shortcuts.plant import Sheet, composed, marked_rows
from pipeline.benchmark.shortcuts.reasons import LEARNT, why_confirmed, why_missed
from pipeline.benchmark.shortcuts.repair import METRICS, Numbers, Test, cleansed, measured, won_back
from pipeline.benchmark.shortcuts.score import data_set_score, image_score, pointing_score, region_score
from pipeline.benchmark.shortcuts.study import Study
from pipeline.dataset import DatasetVersion
from pipeline.flag import mark_association
from pipeline.train import fit, load_classifier

Record = dict[str, Any]
T = TypeVar("T")


def train_reference(study: Study, replicate: int) -> None:
    """Train the classifier that never saw a mark."""
    _trained(study, study.base(), replicate, study.reference(replicate))


def run_trial(study: Study, trial: Trial) -> None:
    """Run `trial` and write its record; nothing is done where that exists."""
    if study.record(trial).exists():
        return
    place = study.workplace(trial)
    shutil.rmtree(place, ignore_errors=True)  # a trial takes a minute or two: an interrupted one starts again
    place.mkdir(parents=True)
    write_json(study.record(trial), _Run(study, trial, place).record())
    shutil.rmtree(place)


def _trained(study: Study, dataset: DatasetVersion, replicate: int, target: Path) -> Path:
    return fit(dataset, study.config.train, study.training_seed(replicate), target)


class _Run:
    """A trial in its folder; `seconds` says what its stages took."""

    def __init__(self, study: Study, trial: Trial, place: Path) -> None:
        self.study = study
        self.trial = trial
        self.place = place
        self.seconds: dict[str, float] = {}
        self.plain = Sheet.read(study, None)
        printed = Sheet.read(study, trial.mark) if trial.mark else self.plain
        base = self.plain.version
        marked, exchanged = (marked_rows(base, trial, study.seed, swapped=swapped) for swapped in (False, True))
        self.sheet = composed((self.plain, printed), marked, np.arange(len(base)), place / "raw")
        swapped = composed((self.plain, printed), exchanged, base.rows("test"), place / "swapped").version
        self.tests: dict[str, Test] = {
            "raw": (self.sheet.version, self.sheet.version.rows("test")),
            "swapped": (swapped, np.arange(len(swapped))),
            "clean": (base, base.rows("test")),
        }

    def record(self) -> Record:
        """Everything the trial is scored by, one value a key."""
        model, spec = self._classifier()
        audit = self._timed("audit", lambda: self._audit(model, spec))
        numbers = self._performance(model, spec, audit)
        record = {**self._facts(), **self._scores(audit), **self._learning(numbers), **_flat(numbers)}
        record |= self._repair(numbers)
        record["reason"] = self._reason(record, audit)
        return record | {f"seconds_{name}": round(value, 2) for name, value in self.seconds.items()}

    def _classifier(self) -> tuple[nn.Module, ModelSpec]:
        trial = self.trial
        if trial.arm == "none":
            return load_classifier(self.study.reference(trial.replicate))
        train = lambda: _trained(self.study, self.sheet.version, trial.replicate, self.place / "before")  # noqa: E731
        return load_classifier(self._timed("train", train))

    def _audit(self, model: nn.Module, spec: ModelSpec) -> Audited:
        return audited(self.sheet.version, model, spec, self.sheet.regions, self.study.config, self.place)

    def _performance(self, model: nn.Module, spec: ModelSpec, audit: Audited) -> dict[str, dict[str, Numbers]]:
        """By arm (reference, before, after) and test."""
        base = self.plain.version
        reference = load_classifier(self.study.reference(self.trial.replicate))
        numbers = {"reference": measured(*reference, base, self.tests)}
        if self.trial.arm == "none":
            return numbers
        before = measured(model, spec, self.sheet.version, self.tests)
        numbers["before"] = before
        if self.trial.arm == "planted":
            numbers["after"] = self._timed("repair", lambda: self._after(audit, before))
        return numbers

    def _after(self, audit: Audited, before: dict[str, Numbers]) -> dict[str, Numbers]:
        """What repair makes of `before`: nothing, where there is nothing to take out."""
        config, sheet = self.study.config, self.sheet
        root = self.place / "datasets"
        clean = cleansed(sheet.version, audit.confirmed(), sheet.regions, config.cleanse, root, config.seed)
        if clean is None:
            return before
        bundle = _trained(self.study, clean, self.trial.replicate, self.place / "after")
        return measured(*load_classifier(bundle), clean, self.tests)

    def _facts(self) -> Record:
        trial, mark, classes = self.trial, self.trial.mark, self.plain.version.meta.classes
        return {
            "id": trial.id,
            "arm": trial.arm,
            "mark": mark.name if mark else None,
            "polarity": mark.polarity if mark and not mark.is_trait else None,
            "place": mark.place if mark and not mark.is_trait else None,
            "strength": trial.strength,
            "target": None if trial.target is None else classes[trial.target],
            "replicate": trial.replicate,
        }

    def _scores(self, audit: Audited) -> Record:
        trial = self.trial
        kind = trial.mark.planter.kind if trial.mark and trial.arm == "planted" else None
        confirmed = [str(finding["kind"]) for finding in audit.confirmed()]
        record: Record = {"kind": trial.mark.planter.kind if trial.mark else None}
        record |= data_set_score(kind, audit.findings)
        record |= image_score(self.sheet, self.plain.regions, confirmed)
        record |= region_score(self.sheet, confirmed)
        if trial.target is None:
            return {**record, "pointing": None, "pointing_n": 0}
        target = self.plain.version.meta.classes[trial.target]
        return record | pointing_score(self.sheet, audit, self.study.config.explain.methods[0], target)

    def _learning(self, numbers: dict[str, dict[str, Numbers]]) -> Record:
        """`drop`: AUROC lost on the swapped test against the reference; `learnt`: whether that is `LEARNT`."""
        if "before" not in numbers:
            return {"drop": None, "learnt": None}
        reference, before = (numbers[arm]["swapped"]["auroc"] for arm in ("reference", "before"))
        drop = None if reference is None or before is None else reference - before
        return {"drop": drop, "learnt": None if drop is None else drop >= LEARNT}

    def _repair(self, numbers: dict[str, dict[str, Numbers]]) -> Record:
        """Share of each metric's loss on the swapped test that was won back; no repair wins back nothing."""
        if "after" not in numbers:
            return {f"won_{metric}": None for metric in METRICS}
        arms = [numbers[arm]["swapped"] for arm in ("reference", "before", "after")]
        return {f"won_{metric}": won_back(*(arm[metric] for arm in arms)) for metric in METRICS}

    def _reason(self, record: Record, audit: Audited) -> str | None:
        """Why the verdict is wrong; None where it is right."""
        config = self.study.config.flag
        if self.trial.arm == "planted":
            return None if record["confirmed"] else why_missed(record, config)
        if not record["confirmed"]:
            return None
        native = mark_association(self.plain.version, self.plain.regions)
        return why_confirmed(audit.confirmed(), native, config)

    def _timed(self, stage: str, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        result = work()
        self.seconds[stage] = time.perf_counter() - began
        return result


def _flat(numbers: dict[str, dict[str, Numbers]]) -> Record:
    """``<test>_<metric>_<arm>``."""
    return {
        f"{test}_{metric}_{arm}": values[metric]
        for arm, tests in numbers.items()
        for test, values in tests.items()
        for metric in METRICS
    }
