"""Which regions are filled how: readable, editable, and blind to the class of an image by construction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.artifacts import content_hash, write_text
from pipeline.cleanse.masks import boxes_by_image, mark_mask
from pipeline.config import CleanseConfig
from pipeline.dataset import DatasetVersion
from pipeline.errors import EmptyResultError, InputError, did_you_mean
from pipeline.fills import fill
from pipeline.types import PRINTED_KINDS, RegionKind

HEADER = """\
# What is removed. Every region whose kind (and text, where one is given) matches a line is filled, in all
# images of all classes and splits. Lines may be deleted, `fill` and `dilation` changed; counts are then
# those of the last computation and are not read back.
"""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlanLine(_Part):
    """One accepted finding and what it selects."""

    finding: str
    kind: RegionKind
    text: str | None = Field(None, description="null: any text")
    decided_by: str = Field(description="'policy: confirmed' or the reviewer")
    regions: dict[str, int] = Field(default_factory=dict, description="selected regions by class")

    def selects(self, regions: pd.DataFrame) -> pd.Series[bool]:
        """Which rows of a regions table this line removes; kind `mark` means every printed kind."""
        chosen = regions["kind"].isin(PRINTED_KINDS if self.kind == "mark" else {self.kind})
        return chosen if self.text is None else chosen & (regions["text"] == self.text).fillna(False).astype(bool)


class ClassCount(_Part):
    """How much of one class a plan changes."""

    images: int = Field(description="images with at least one selected region")
    of: int = Field(description="images of the class")
    regions: int
    pixels: int = Field(description="stored pixels filled")


class Plan(_Part):
    """What is removed and how; `plan.yaml`."""

    dataset: str = Field(description="version of the data set it was made for")
    fill: str
    dilation: float = Field(ge=0, description="stored pixels by which a box grows before it is filled")
    lines: tuple[PlanLine, ...] = Field(min_length=1)
    classes: dict[str, ClassCount] = Field(default_factory=dict)

    def identity(self) -> str:
        """Hash of what the plan does: not of its counts, nor of who decided."""
        selectors = sorted({(line.kind, line.text or "") for line in self.lines})
        return content_hash([self.dataset, self.fill, self.dilation, selectors])

    def write(self, path: Path) -> None:
        """Store as YAML with a header for the person who edits it."""
        text = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
        write_text(path, HEADER + text)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Load a plan that `write` stored and a person may have edited.

        Raises:
            InputError: not YAML, an unknown key or a value out of range.
        """
        try:
            return cls.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (OSError, yaml.YAMLError, ValidationError) as error:
            raise InputError(f"{path} is not a plan: {error}") from error


def make_plan(
    findings: Sequence[Mapping[str, Any]],
    regions: pd.DataFrame,
    dataset: DatasetVersion,
    config: CleanseConfig,
    accept: Literal["confirmed"] | Mapping[str, str] = "confirmed",
) -> Plan:
    """The plan that removes the accepted findings from all classes alike.

    Args:
        findings: items of findings.json: `id`, `kind`, `status` and, optionally, `text`.
        regions: regions of all images: `image_id`, `kind`, `text`, `x0`, `y0`, `x1`, `y1` in original pixels.
        dataset: what they were found on.
        config: fill and dilation.
        accept: ``"confirmed"`` takes findings that are confirmed or accepted; a mapping takes the finding ids
            that are its keys, with who decided as values.

    Raises:
        EmptyResultError: no finding is accepted, or the accepted ones select no region.
        InputError: an unknown finding id or fill, or regions of images that are not in `dataset`.
    """
    fill(config.fill)
    label_of = _labels(regions, dataset)
    bare = [_line(finding, decided_by) for finding, decided_by in _accepted(findings, accept)]
    counted = tuple(
        line.model_copy(update={"regions": _by_class(label_of[line.selects(regions)], dataset)}) for line in bare
    )
    plan = Plan(dataset=dataset.meta.version, fill=config.fill, dilation=config.dilation, lines=counted)
    return plan.model_copy(update={"classes": _count(plan, regions, dataset)})


def regions_to_clean(plan: Plan, regions: pd.DataFrame) -> pd.DataFrame:
    """Rows of `regions` that `plan` removes. Sees kind and text, never an image's label, source or split.

    Raises:
        EmptyResultError: nothing matches.
    """
    chosen = pd.Series(False, index=regions.index)
    for line in plan.lines:
        chosen |= line.selects(regions)
    if not chosen.any():
        raise EmptyResultError(
            f"The plan selects none of the {len(regions)} regions. Check kind and text of its lines, or detect again."
        )
    return regions[chosen]


def _accepted(
    findings: Sequence[Mapping[str, Any]], accept: Literal["confirmed"] | Mapping[str, str]
) -> list[tuple[Mapping[str, Any], str]]:
    if accept == "confirmed":
        who = {"confirmed": "policy: confirmed", "accepted": "reviewer"}
        chosen = [(finding, who[finding["status"]]) for finding in findings if finding["status"] in who]
    else:
        by_id = {str(finding["id"]): finding for finding in findings}
        for wanted in accept:
            if wanted not in by_id:
                raise InputError(f"There is no finding {wanted!r}. {did_you_mean(wanted, by_id)}")
        chosen = [(by_id[wanted], who_decided) for wanted, who_decided in accept.items()]
    if not chosen:
        raise EmptyResultError(
            f"None of the {len(findings)} findings is confirmed or accepted: there is nothing to cleanse. "
            "Review them, or read the report of the audit as it is."
        )
    return chosen


def _line(finding: Mapping[str, Any], decided_by: str) -> PlanLine:
    return PlanLine(finding=finding["id"], kind=finding["kind"], text=finding.get("text"), decided_by=decided_by)


def _labels(regions: pd.DataFrame, dataset: DatasetVersion) -> pd.Series[str]:
    """Label of the image of each region, for counting only."""
    label_of = regions["image_id"].map(dataset.images.set_index("image_id")["label"])
    if label_of.isna().any():
        missing = regions.loc[label_of.isna(), "image_id"]
        raise InputError(
            f"{missing.nunique()} images with regions are not in data set {dataset.meta.version} "
            f"(first: {missing.iloc[0]}). The regions belong to another version: detect them on this one."
        )
    return label_of.astype(str)


def _by_class(labels: pd.Series[str], dataset: DatasetVersion) -> dict[str, int]:
    return {name: int((labels == name).sum()) for name in dataset.meta.classes}


def _count(plan: Plan, regions: pd.DataFrame, dataset: DatasetVersion) -> dict[str, ClassCount]:
    boxes = boxes_by_image(regions_to_clean(plan, regions))
    changed = {name: [0, 0, 0] for name in dataset.meta.classes}
    for record in dataset.images.to_dict("records"):
        if record["image_id"] in boxes:
            found = boxes[record["image_id"]]
            pixels = int(mark_mask(found, record, plan.dilation).sum())
            changed[record["label"]] = [
                sum(pair) for pair in zip(changed[record["label"]], (1, len(found), pixels), strict=True)
            ]
    total = dataset.images["label"].value_counts()
    return {
        name: ClassCount(images=images, of=int(total.get(name, 0)), regions=count, pixels=pixels)
        for name, (images, count, pixels) in changed.items()
    }
