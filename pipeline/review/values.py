"""What the review store, its HTTP API and its pages say to each other. Pydantic, so that the API documents itself.

A *subject* is what a decision is about: a finding (a rule for every region of its kind and text, in all images of all
classes) or one region (which wins over the rule). A *reader* is a reviewer whose decision counts; an audit has one or
two of them, see `pipeline.review.store.readers`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.types import RegionKind, Split

Verdict = Literal["accepted", "rejected", "keep", "unsure"]
"""accepted: a shortcut, remove it; rejected: a false alarm; keep: real, but clinically needed; unsure: a person must
look again. The last three are not removed."""
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

Role = Literal["viewer", "reviewer", "admin"]
"""viewer: looks; reviewer: also decides; admin: also starts repairs, changes an audit's settings, sees identifiers."""
ROLES: tuple[Role, ...] = get_args(Role)

Status = Literal["open", "second", "conflict", "decided"]
"""open: nobody decided; second: one of two readers did; conflict: two readers disagree, a third decides; decided."""

Scope = Literal["region", "image", "same-text-and-place", "same-cluster", "selected"]
"""What a decision on a region is applied to besides: nothing; all regions of its image; all regions of its kind and
text in the same ninth of the picture; all that look like it (`lookalikes`); the regions of the selected images."""

Origin = Literal["detected", "drawn", "residual"]
"""Who found a region: a detector; a reviewer; the detectors again, on the cleansed image."""

Action = Literal["decide", "draw", "change", "delete", "tag", "undo", "redo"]

Key = Annotated[str, Field(min_length=8, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
"""A client's name for one request: sent again, it is answered again and done once."""
RunId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]
RegionId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
ImageId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FindingId = Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[A-Za-z0-9_.-]+$")]
Comment = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\w .@+-]+$")]


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Actor(_Value):
    """Who acts."""

    name: Name
    role: Role


class BoxValue(_Value):
    """A box in original pixels: origin top-left, x right, y down, x1 and y1 exclusive."""

    x0: float = Field(ge=-1e6, le=1e6, allow_inf_nan=False)
    y0: float = Field(ge=-1e6, le=1e6, allow_inf_nan=False)
    x1: float = Field(ge=-1e6, le=1e6, allow_inf_nan=False)
    y1: float = Field(ge=-1e6, le=1e6, allow_inf_nan=False)

    @model_validator(mode="after")
    def _not_empty(self) -> BoxValue:
        if not (self.x1 > self.x0 and self.y1 > self.y0):
            raise ValueError("a box needs x1 > x0 and y1 > y0")
        return self


# ---------------------------------------------------------------- what a client asks for


class Filters(_Value):
    """Which images of an audit; every filter that is given must fit."""

    kind: RegionKind | None = Field(None, description="images with a region of this kind")
    finding: FindingId | None = Field(None, description="images with a region of this finding, or that it names")
    label: str | None = Field(None, max_length=200)
    source: str | None = Field(None, max_length=200)
    split: Split | None = None
    status: Status | None = Field(None, description="images with a region in this state")
    cluster: str | None = Field(None, max_length=64, description="regions that look alike")
    saliency_cluster: str | None = Field(None, max_length=250, description="what the classifier reads in the same way")
    origin: Origin | None = None
    explained: bool | None = None
    tagged: bool | None = Field(None, description="marked for a second reader")
    held_back: bool | None = Field(None, description="with a region that the plan left for a person")
    score_min: float | None = Field(None, ge=0, le=1)
    score_max: float | None = Field(None, ge=0, le=1)


Sort = Literal["score", "row"]


class Target(_Value):
    """What a decision reaches. Exactly one of `finding` and `regions`, or `images` with scope "selected"."""

    finding: FindingId | None = None
    regions: tuple[RegionId, ...] = Field((), max_length=10_000)
    images: tuple[ImageId, ...] = Field((), max_length=10_000, description="scope selected: all regions on these")
    kind: RegionKind | None = Field(None, description="scope selected: of this kind only")
    scope: Scope = "region"

    @model_validator(mode="after")
    def _one(self) -> Target:
        given = [bool(self.finding), bool(self.regions), bool(self.images)]
        if sum(given) != 1:
            raise ValueError("give exactly one of finding, regions and images")
        if bool(self.images) != (self.scope == "selected"):
            raise ValueError('images go with scope "selected", and only with it')
        return self


class DecisionRequest(_Value):
    """One decision, for all that `target` reaches."""

    key: Key
    target: Target
    verdict: Verdict | None = Field(description="null takes a reader's decision back")
    comment: Comment = ""
    expected: dict[ImageId, int] = Field(
        default_factory=dict, max_length=10_000, description="versions of images as the client saw them"
    )
    revision: int | None = Field(None, ge=0, description="of the audit when the client asked how many it reaches")


class DrawRequest(_Value):
    """A new region, drawn by a person."""

    key: Key
    image_id: ImageId
    kind: RegionKind
    box: BoxValue
    expected: int = Field(ge=0, description="version of the image as the client saw it")


class ChangeRequest(_Value):
    """Another box or kind for a region; what it was is kept."""

    key: Key
    box: BoxValue | None = None
    kind: RegionKind | None = None
    expected: int = Field(ge=0)


class DeleteRequest(_Value):
    """A region that is none; it is marked as deleted and can be restored by undo."""

    key: Key
    expected: int = Field(ge=0)


class TagRequest(_Value):
    """Mark an image for a second reader, or take the mark off."""

    key: Key
    tagged: bool
    expected: int = Field(ge=0)


class StepRequest(_Value):
    """Undo or redo the reviewer's own last action in an audit."""

    key: Key


class SettingsRequest(_Value):
    """How an audit is reviewed."""

    readers: Literal[1, 2] | None = None
    blind: bool | None = Field(None, description="hide label and prediction until the image is decided")


# ---------------------------------------------------------------- what a client is told


class Reach(_Value):
    """What a decision would reach."""

    regions: int
    images: int
    by_kind: dict[str, int]
    decided: int = Field(description="of these regions, already decided by this reader, differently or not")
    by_others: int = Field(description="of these, decided by somebody else")
    revision: int


class Outcome(_Value):
    """What was done."""

    batch: int
    action: Action
    regions: int
    images: int
    versions: dict[str, int] = Field(description="new versions of the images, at most 1,000 of them")
    focus: str | None = Field(None, description="an image of the action: where undo leads the viewer")
    revision: int
    repeated: bool = Field(False, description="the request had been done before; nothing was done again")


class Change(_Value):
    """One thing that somebody else did."""

    image_id: str | None
    subject: Literal["finding", "region", "image"]
    subject_id: str
    action: Action
    words: str = Field(description="a sentence: who did what, when")
    reviewer: str
    at: datetime


class DecisionRecord(_Value):
    """One line of the append-only log of decisions."""

    id: int
    run: str
    subject: Literal["finding", "region"]
    subject_id: str
    image_id: str | None
    verdict: Verdict | None
    comment: str
    reviewer: str
    adjudicates: bool
    at: datetime
    software: str
    batch: int
    action: Action
    supersedes: int | None


class RegionView(_Value):
    """One region of an image, as a reviewer may see it."""

    region_id: str
    kind: RegionKind
    text: str | None
    box: BoxValue
    detector: str
    confidence: float
    origin: Origin
    finding: str | None
    cluster: str | None
    look_alikes: int = Field(description="regions in the same cluster, this one included")
    place: str = Field(description="one of the nine fields of the picture, e.g. top-left")
    status: Status
    verdict: Verdict | None = Field(description="in force for this region: its own, else its finding's")
    by_rule: bool = Field(description="the verdict is the finding's")
    own: Verdict | None = Field(description="what the asking reader decided")
    others: int = Field(description="other readers who decided; who and what only where they may be seen")
    share: float | None = Field(None, description="of the saliency that lies on it, [0, 1]")
    enrichment: float | None = None
    effect: dict[str, Any] | None = Field(None, description="removal against controls, see `register`")
    held_back: str | None = None


class ImageView(_Value):
    """One image, with all that the viewer needs besides pixels."""

    run: str
    image_id: str
    row: int
    name: str = Field(description="'image 12': says nothing about the patient")
    version: int
    size: int
    dtype: Literal["uint8", "uint16"]
    transform: dict[str, float] = Field(
        description="scale, pad_x, pad_y, width, height: stored = original * scale + pad"
    )
    bits: int | None
    hidden: bool = Field(description="label, prediction and source are hidden until decided (blind mode)")
    label: str | None
    predicted: str | None
    probabilities: dict[str, float] | None
    source: str | None
    view: str | None
    split: str | None
    path: str | None = Field(description="null unless the role may see identifiers")
    patient_id: str | None = Field(description="null unless the role may see identifiers")
    score: float
    status: Status
    tagged: bool
    regions: tuple[RegionView, ...]
    methods: tuple[str, ...] = Field(description="explainers with a saliency map of this image")
    explained_class: str | None
    saliency_cluster: str | None
    similar: tuple[str, ...] = Field(description="ids of images with regions that look alike")
    lungs: bool


class GalleryItem(_Value):
    """One cell of the gallery."""

    image_id: str
    row: int
    label: str | None
    predicted: str | None
    source: str | None
    score: float
    status: Status
    regions: int
    open: int
    tagged: bool


class GalleryPage(_Value):
    """A window on the images that fit some filters."""

    total: int
    offset: int
    revision: int
    items: tuple[GalleryItem, ...]


class Neighbour(_Value):
    """The next or previous image, and how far the review is."""

    image_id: str | None
    position: int = Field(description="of the image asked from, 1-based, 0 where it does not fit the filters")
    total: int
    left: int = Field(description="images with something undecided among those that fit")


class Facet(_Value):
    """One value of a filter and how many images have it."""

    value: str
    images: int


class FindingView(_Value):
    """One finding; `payload` is its entry of findings.json."""

    id: str
    rank: int
    kind: str
    text: str | None
    title: str
    status: str = Field(description="the audit's: confirmed, suspected, not-confirmed")
    review: Status
    verdict: Verdict | None
    own: Verdict | None
    decidable: tuple[Verdict, ...]
    regions: int
    open: int
    images: int
    payload: dict[str, Any]


class AuditFacts(_Value):
    """One audit in the review, as the database knows it."""

    run: str
    dataset: str
    title: str
    classes: tuple[str, ...]
    positive: str
    images: int
    regions: int
    open: int = Field(description="images with something left to decide, conflicts included")
    decided: int = Field(description="images with nothing left to decide")
    conflicts: int = Field(description="regions that two readers disagree on")
    findings: dict[str, int] = Field(description="number by the audit's status")
    findings_open: int
    readers: Literal[1, 2]
    blind: bool
    revision: int
    registered: datetime


class AuditView(AuditFacts):
    """One audit, with what only its run folder knows."""

    state: Literal["awaiting review", "reviewed", "repairing", "complete", "failed"]
    report: bool


class Kappa(_Value):
    """Agreement of two readers (Cohen, Educ Psychol Meas 20(1):37-46, 1960), with a bootstrap interval over images."""

    readers: tuple[str, str]
    both: int = Field(description="subjects that both decided")
    agree: int
    kappa: float | None = Field(
        description="null where both always gave one and the same verdict, or nothing is shared"
    )
    low: float | None
    high: float | None
    table: dict[str, dict[str, int]] = Field(description="first reader's verdict -> second reader's -> number")


class Vote(_Value):
    """What one reader decided about a subject."""

    reviewer: str
    verdict: Verdict
    comment: str
    at: datetime


class Disagreement(_Value):
    """A subject on which two readers disagree; whoever is neither of them, or an admin, settles it by deciding."""

    subject: Literal["finding", "region"]
    subject_id: str
    image_id: str | None
    row: int | None
    kind: str
    text: str | None
    title: str = Field(description="of the finding, or 'word on image 12'")
    votes: tuple[Vote, ...]


class DisagreementPage(_Value):
    """A window on the disagreements of an audit: findings first, then regions in the order of images."""

    total: int
    offset: int
    items: tuple[Disagreement, ...]
