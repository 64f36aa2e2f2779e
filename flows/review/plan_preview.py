"""What a repair would do with the decisions in force now; nothing is written."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from flows.cleansing import accepted_findings, own_inpainter, to_repair
from flows.request import Policy
from flows.review.frozen import Review, frozen, review_now
from flows.review.studied import Studied, studied
from flows.tasks.lung_fields import lungs_so_far
from flows.tasks.repair import ALL_REGIONS, chosen_plan
from pipeline.artifacts import content_hash, read_json, read_parquet
from pipeline.cleanse import Lungs, Plan, regions_to_clean
from pipeline.errors import EmptyResultError, InputError
from pipeline.review.backend import ClassChange, PlanPreview

SAMPLES = 12
_HELD_BACK = {
    "in-lungs": "lie in the lungs",
    "lungs-unknown": "lie on images whose lungs were not found",
    "review": "are to be looked at again",
}
_known: dict[Path, tuple[str, PlanPreview]] = {}
_turn = threading.Lock()


def plan_preview(run: Path, database: str | None = None, accept: Policy = "none") -> PlanPreview:
    """What `remediate` would do; counted anew when a decision, the plan or the regions changed.

    Args:
        run: folder of an audited run.
        database: path or URL; None: `flows.workspace.review_database`.
        accept: as for `remediate`.
    """
    review = review_now(run, database) or frozen(run)
    with _turn:  # counting a large data set twice at once helps nobody
        key = _key(run, review, accept)
        if run not in _known or _known[run][0] != key:
            _known[run] = (key, _previewed(studied(run), review, accept))
        return _known[run][1]


def _key(run: Path, review: Review, accept: Policy) -> str:
    files = [path for name in (ALL_REGIONS, "plan.yaml", "findings.json") if (path := run / name).exists()]
    states = [(path.name, path.stat().st_mtime_ns) for path in files]
    decided = [(each.finding, each.decision, each.reviewers) for each in review.findings.values()]
    return content_hash([states, decided, review.regions.to_json(orient="values"), accept])


def _previewed(study: Studied, review: Review, accept: Policy) -> PlanPreview:
    run, dataset = study.audited.run, study.dataset
    accepted, undecided = accepted_findings(run, accept, review), tuple(_undecided(run, review))
    if not to_repair(run, accepted, review):
        words = ("No finding and no region is accepted: there is nothing to repair.",)
        return PlanPreview(possible=False, words=words, warnings=undecided)
    complete = (run / ALL_REGIONS).exists()
    regions = review.over(read_parquet(run / (ALL_REGIONS if complete else "regions.parquet")))
    lungs, config = lungs_so_far(run, dataset), study.audited.config
    try:
        plan, judged = chosen_plan(run, dataset, config, accepted, review, regions, lungs)
        changing = regions_to_clean(plan, judged)
    except (EmptyResultError, InputError) as error:
        return PlanPreview(possible=False, words=(str(error),), warnings=undecided)
    exceptions = plan.exceptions.model_dump(include={"removed", "kept", "review"})
    return PlanPreview(
        possible=True,
        words=(*_changes(plan, study), *_beforehand(study, complete, lungs), *_afterwards(study)),
        warnings=(*undecided, *_held_back(judged), *plan.exceptions.warnings),
        fill=plan.fill,
        lines=tuple(line.model_dump(mode="json") for line in plan.lines),
        exceptions={name: counts for name, counts in exceptions.items() if any(counts.values())},
        impact={name: ClassChange(**count.model_dump()) for name, count in plan.impact.items()},
        samples=_samples(changing, study),
    )


def _changes(plan: Plan, study: Studied) -> Iterator[str]:
    regions = sum(count.regions for count in plan.impact.values())
    classes = "; ".join(
        f"{name}: {count.images:,} of {count.of:,} images ({count.images / max(count.of, 1):.0%})"
        for name, count in plan.impact.items()
    )
    yield f"{regions:,} regions are filled ({plan.fill}, boxes grown by {plan.dilation:g} stored pixels). {classes}."
    if study.audited.config.cleanse.decoys:
        yield (
            "Images without such a region are filled at places borrowed from others, so that the trace a fill leaves "
            "is as frequent in every class."
        )
    if plan.normalises:
        yield "One neutral marker is drawn in every image: which side is left can no longer be read off it."
    if plan.exceptions.decided_by:
        own, by = plan.exceptions, ", ".join(f"{who} ({count:,})" for who, count in plan.exceptions.decided_by.items())
        counts = [sum(of.values()) for of in (own.removed, own.kept, own.review)]
        yield (
            f"Decisions about single regions differ from those about findings: {counts[0]:,} are removed, "
            f"{counts[1]:,} kept and {counts[2]:,} left for another look by exception, decided by {by}."
        )
    if plan.edited:
        yield "A person edited the run's plan.yaml, and it is followed; delete it to have it made from the decisions."


def _beforehand(study: Studied, complete: bool, lungs: Lungs | None) -> Iterator[str]:
    if not complete:
        from pipeline.flag import looked_at

        config, count = study.audited.config, len(study.dataset)
        looked = len(looked_at(study.dataset, config.flag.looked_at, config.seed))
        if looked < count:
            yield (
                f"The audit looked for marks on {looked:,} of {count:,} images; the others are searched before the "
                "repair. All counts here are of what is known so far."
            )
    if lungs is None:
        yield "Lungs have not been looked for yet: some of these regions will be held back because they lie in them."
    own = own_inpainter(study.audited)
    steps = study.audited.config.cleanse.inpainter_steps
    if steps and study.audited.config.cleanse.fill == "learned" and not (own and own.bundle.exists()):
        yield f"First the inpainter is trained on clean places of these data, {steps:,} steps."


def _afterwards(study: Studied) -> Iterator[str]:
    seeds = study.audited.config.compare.seeds
    yield (
        f"Then 3 x {seeds} classifiers are trained and compared: on the data as they are, cleansed, and with as much "
        "filled elsewhere. The data that were audited stay as they are; the result is a new version."
    )


def _undecided(run: Path, review: Review) -> Iterator[str]:
    open_ = Counter(
        str(each["status"])
        for each in read_json(run / "findings.json")["findings"]
        if each["status"] in ("confirmed", "suspected") and each["id"] not in review.findings
    )
    if open_:
        counts = " and ".join(f"{open_[status]} {status}" for status in ("confirmed", "suspected") if open_[status])
        yield f"{counts} findings are not decided; nothing is removed for their sake."


def _held_back(judged: pd.DataFrame) -> Iterator[str]:
    for reason, count in judged["held_back"].value_counts().sort_index().items():
        yield f"{count:,} regions {_HELD_BACK[str(reason)]}: they stay. Accept them one by one to have them removed."


def _samples(changing: pd.DataFrame, study: Studied) -> tuple[str, ...]:
    """Images that change, of every class equally many, spread over the data set."""
    images, classes = study.dataset.images, study.dataset.meta.classes
    touched: Any = images[images["image_id"].isin(changing["image_id"])]
    chosen: list[str] = []
    for name in classes:
        of = touched.loc[touched["label"] == name, "image_id"].astype(str).to_numpy()
        wanted = min(len(of), SAMPLES // len(classes) or 1)
        chosen += of[np.linspace(0, len(of) - 1, wanted).round().astype(int)].tolist() if wanted else []
    return tuple(chosen)
