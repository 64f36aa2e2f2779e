"""What is done with which regions: readable, editable, and blind to the class of an image by construction."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import pandas as pd
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from pipeline.artifacts import content_hash, write_text
from pipeline.cleanse.lungs import LUNG_SHARE
from pipeline.cleanse.plan_file import load
from pipeline.config import CleansePolicy
from pipeline.errors import EmptyResultError, InputError, did_you_mean
from pipeline.fills import available_fills
from pipeline.types import PRINTED_KINDS, RegionKind

HEADER = f"""\
# What is done with every region whose kind, and text where one is given, a line names: in all images of all
# classes, sources and splits alike. Edit it, then: cxr-audit cleanse RUN. Delete it to have it made anew.
#
# dataset     version the plan is for; do not change
# fill        what is painted over a region: {", ".join(available_fills())},
#             learned, learned:<bundle folder>, torchscript:<file>
# dilation    stored pixels by which a box grows before it is filled
# keep_words  texts that are never touched, whatever the lines say, for example [R, L]
# lines       policy      remove: filled; keep: not touched; review: not touched, listed in held_back.parquet;
#                         normalise (kind side only): filled, and one neutral marker drawn in every image
#             decided_by  where the decision comes from; a person's line decides before one of a policy
#             in_lungs    refuse: a region of which more than {LUNG_SHARE:.0%} lies in the lungs is not touched but
#                         listed in held_back.parquet, and so is one whose image shows no plausible lungs; allow
#             fill, dilation  for this line alone
#             Where several lines name a region, the more specific decides (a text before any text, a kind before
#             mark, which is every printed kind), then the more cautious (keep, review, normalise, remove).
# exceptions  regions that a person decided about one by one, other than the lines: such a decision wins over every
#             line, keep_words and lungs included; it is changed in the review, not here
# regions, exceptions, impact, made_as  counts and the plan's own fingerprint; computed, never read back
"""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def check_fill_name(name: str) -> None:
    """Check that `name` is a fill, as far as the name alone can say.

    Raises:
        InputError: it is none.
    """
    known = (*available_fills(), "learned", "torchscript")
    if name.partition(":")[0] not in known:
        raise InputError(f"There is no fill {name!r}. {did_you_mean(name, known)}")


def _fill_name(name: str) -> str:
    try:
        check_fill_name(name)
    except InputError as error:
        raise ValueError(str(error)) from error
    return name


FillName = Annotated[str, AfterValidator(_fill_name)]


class PlanLine(_Part):
    """One finding and what is done with the regions it is about."""

    finding: str
    kind: RegionKind
    text: str | None = Field(None, description="null: any text")
    policy: CleansePolicy = "remove"
    decided_by: str = Field(description="'policy: confirmed' or the reviewer")
    fill: FillName | None = Field(None, description="null: that of the plan")
    dilation: float | None = Field(None, ge=0, description="null: that of the plan")
    in_lungs: Literal["refuse", "allow"] = "refuse"
    regions: dict[str, int] = Field(default_factory=dict, description="regions that this line decides, by class")

    @model_validator(mode="after")
    def _markers_only(self) -> Self:
        if self.policy == "normalise" and self.kind != "side":
            raise ValueError(f"policy normalise is for kind side only, not {self.kind}; remove, keep or review it")
        return self

    @property
    def precedence(self) -> tuple[bool, bool, bool, int]:
        """Of several lines that name a region, the one for which this is smallest decides."""
        caution = get_args(CleansePolicy).index(self.policy)
        return (self.decided_by.startswith("policy"), self.text is None, self.kind == "mark", caution)

    def selects(self, regions: pd.DataFrame) -> pd.Series[bool]:
        """Which rows of a regions table this line names; kind `mark` means every printed kind."""
        chosen = regions["kind"].isin(PRINTED_KINDS if self.kind == "mark" else {self.kind})
        return chosen if self.text is None else chosen & (regions["text"] == self.text).fillna(False).astype(bool)


class Exceptions(_Part):
    """Regions that a person decided about one by one, where that differs from what the lines alone would do."""

    removed: dict[str, int] = Field(default_factory=dict, description="by class; the lines leave them")
    kept: dict[str, int] = Field(default_factory=dict, description="by class; the lines fill them")
    review: dict[str, int] = Field(default_factory=dict, description="by class; held back for another look")
    decided_by: dict[str, int] = Field(default_factory=dict, description="regions by who decided")
    warnings: tuple[str, ...] = Field((), description="see `pipeline.cleanse.balance`")
    made_of: str | None = Field(None, description="hash of the regions and what is done with each; null: none")


class ClassImpact(_Part):
    """How much of one class a plan changes, decoys aside."""

    images: int = Field(description="images of which something changes")
    of: int = Field(description="images of the class")
    regions: int = Field(description="regions filled")
    pixels: int = Field(description="stored pixels filled or drawn over")
    share: float = Field(description="the same as a share of all pixels of the class, padding not counted")
    in_lungs: int | None = Field(description="of these, pixels inside lung fields; null: nobody looked for lungs")
    held_back: int = Field(description="regions left for a person")


class Plan(_Part):
    """What is done and how; `plan.yaml`."""

    dataset: str = Field(description="version of the data set it was made for")
    fill: FillName
    dilation: float = Field(ge=0, description="stored pixels by which a box grows before it is filled")
    keep_words: tuple[str, ...] = Field((), description="texts that are never touched")
    lines: tuple[PlanLine, ...] = Field(description="may be empty where single regions were decided")
    exceptions: Exceptions = Exceptions()
    impact: dict[str, ClassImpact] = Field(default_factory=dict)
    made_as: str | None = Field(None, description="`identity` of the plan when it was made")

    def identity(self) -> str:
        """Hash of what the plan does: not of its counts, nor of who decided."""
        lines = [
            [line.kind, line.text, line.policy, line.fill, line.dilation, line.in_lungs, line.precedence]
            for line in self.lines
        ]
        ordered = sorted(lines, key=content_hash)
        by_region = [self.exceptions.made_of] if self.exceptions.made_of else []
        return content_hash([self.dataset, self.fill, self.dilation, sorted(self.keep_words), ordered, *by_region])

    @property
    def edited(self) -> bool:
        """Whether a person changed what it does since it was made."""
        return self.made_as != self.identity()

    @property
    def fills(self) -> tuple[str, ...]:
        """Every fill that it names."""
        return tuple(sorted({self.fill, *(line.fill for line in self.lines if line.fill)}))

    def fill_of(self, line: Any) -> str:
        """The fill of regions that line number `line` names; null: that no line names."""
        own = None if pd.isna(line) else self.lines[int(line)].fill
        return self.fill if own is None else own

    def dilation_of(self, line: Any) -> float:
        """The same for the stored pixels by which a box grows."""
        own = None if pd.isna(line) else self.lines[int(line)].dilation
        return self.dilation if own is None else own

    @property
    def normalises(self) -> bool:
        """Whether one neutral marker is drawn in every image."""
        return any(line.policy == "normalise" for line in self.lines)

    def write(self, path: Path) -> None:
        """Store as YAML with a header for the person who edits it."""
        content = self.model_dump(mode="json")
        optional = ("fill", "dilation")
        content["lines"] = [
            {key: value for key, value in line.items() if value is not None or key not in optional}
            for line in content["lines"]
        ]
        if self.exceptions == Exceptions():
            del content["exceptions"]
        write_text(path, HEADER + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Load a plan that `write` stored and a person may have edited.

        Raises:
            InputError: every mistake in it, with its line and key.
        """
        return load(path, cls)


FILLING = ("remove", "normalise")
"""Policies that fill a region."""


def by_lines(plan: Plan, regions: pd.DataFrame) -> pd.DataFrame:
    """What the lines and `keep_words` of `plan` do with each row of `regions`; see `policies`."""
    line = pd.Series(pd.NA, index=regions.index, dtype="Int64")
    order = sorted(range(len(plan.lines)), key=lambda number: plan.lines[number].precedence)
    for number in reversed(order):
        line[plan.lines[number].selects(regions)] = number
    policy = line.map({number: entry.policy for number, entry in enumerate(plan.lines)}).astype("string")
    words = {word.casefold() for word in plan.keep_words}
    kept = regions["text"].map(lambda text: isinstance(text, str) and text.casefold() in words).astype(bool)
    return pd.DataFrame({"line": line.mask(kept), "policy": policy.mask(kept, "keep")})


def policies(plan: Plan, regions: pd.DataFrame) -> pd.DataFrame:
    """What `plan` does with each row of `regions`. Sees kind and text, never an image's label, source or split.

    What a person decided about the very region (`decided` in `regions`: remove, keep, review) wins over lines and
    `keep_words`; how it is filled is still what the line says that names it.

    Returns:
        Same index; `line` (Int64): number of the line that names the region; `policy` (string): see `CleansePolicy`.
        Null where no line names the region; for `keep_words` the line is null and the policy keep.
    """
    judged = by_lines(plan, regions)
    if "decided" not in regions:
        return judged
    return judged.assign(policy=regions["decided"].astype("string").fillna(judged["policy"]))


def regions_to_clean(plan: Plan, regions: pd.DataFrame) -> pd.DataFrame:
    """Rows of `regions` that `plan` fills: policies remove and normalise, without what `hold_back` holds back.

    Raises:
        EmptyResultError: none.
    """
    wanted = policies(plan, regions)["policy"].isin(FILLING)
    if not wanted.any():
        raise EmptyResultError(
            f"The plan selects none of the {len(regions)} regions. Check kind, text and policy of its lines, or detect "
            "again."
        )
    free = wanted & regions["held_back"].isna() if "held_back" in regions else wanted
    if not free.any():
        raise EmptyResultError(
            f"All {wanted.sum()} regions that the plan removes are held back, see held_back.parquet. Look at them, "
            "then set `in_lungs: allow` in the lines that may be filled."
        )
    return regions[free]
