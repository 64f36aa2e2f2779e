"""Can the label be told without the lungs? Black out the centre, or all but the lungs, or the lungs, and ask again.

Maguolo and Nanni (Information Fusion 76, 2021): with the centre of the picture black, so that most of the lungs are
hidden, classifiers trained on what is left were nearly as good. Two forms of the question:

* ``classifier``: the audited classifier as it is. A fall may also mean that black squares are new to it;
* ``retrained``: a logistic regression on the features that the audited classifier computes of blacked-out images,
  fitted on the training split and scored on the test split: a cheap stand-in for training a network on the outer part,
  and a lower bound of what such a network would reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.config import FlagConfig
from pipeline.dataset import DatasetVersion
from pipeline.errors import InputError
from pipeline.flag.behaviour.controls import content_box
from pipeline.flag.behaviour.cross_source import Features, fairness_gaps
from pipeline.flag.behaviour.embeddings import embedding_leakage, fit_logistic
from pipeline.flag.behaviour.estimates import auroc_estimate, auroc_null, permutation_p
from pipeline.flag.behaviour.features import Edit, penultimate
from pipeline.flag.behaviour.lung_evidence import Lungs
from pipeline.flag.behaviour.outputs import classify
from pipeline.flag.behaviour.strata import in_turn
from pipeline.progress import Progress, silent
from pipeline.randomness import numpy_generator
from pipeline.statistics import Floats, clusters

FRACTIONS = (0.0, 0.5, 0.6, 0.75, 0.9)
"""Sides of the black rectangle as shares of the picture's; 0.75 is the paper's."""
SOURCE_FRACTIONS = (0.0, 0.9)
"""Black centres around which the source is asked for."""
CENTRE, LUNGS_ONLY, OUTSIDE = "centre black", "lungs only", "outside the lungs"


def blackout(
    model: nn.Module,
    spec: ModelSpec,
    dataset: DatasetVersion,
    config: FlagConfig,
    *,
    seed: int,
    lungs: Lungs | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """AUROC of telling `meta.positive` from the rest on blacked-out images, JSON-ready.

    At most `config.blackout_images` test images, and as many training images, classes in turn. Intervals: bootstrap
    over patients. null95 and p: labels permuted over patients; null95 is the 95th percentile of the AUROC by chance.

    Args:
        model: classifier returning logits, in evaluation mode.
        spec: its contract, with the classes of `dataset`.
        dataset: images, labels, sources.
        config: how many images.
        seed: of the run.
        lungs: lung fields, asked several times for a row; without them only the centre is blacked out.
        progress: told after every setting.

    Returns:
        {records, source, cross_source, verdict}. `records`: {seen, r, form, auroc, null95, p, train}, where seen is
        ``centre black`` (with r), ``lungs only`` or ``outside the lungs``, form is ``classifier`` or ``retrained``, and
        train is the number of training images (null for the classifier); numbers are null where only one class is left.
        The retrained form is missing where the network's features cannot be read.
        `source`: how well the source can be told on images of one class, by r (see `embedding_leakage`), test and
        training images together. `cross_source`: see `fairness_gaps`. `verdict`: one sentence.
    """
    rows = {split: _sample(dataset, split, config.blackout_images, seed) for split in ("train", "test")}
    records: list[dict[str, Any]] = []
    gaps: list[dict[str, Any]] = []
    sources: list[dict[str, Any]] = []
    settings = list(_settings(dataset, lungs))
    for number, (seen, r, known, edit) in enumerate(settings):
        parts = {split: rows[split][[known(int(row)) for row in rows[split]]] for split in rows}
        views = {split: _view(model, spec, dataset, parts[split], edit) for split in parts}
        score = partial(_record, dataset, parts["test"], seed, seen, r)
        index = spec.classes.index(dataset.meta.positive)
        records.append(score("classifier", views["test"][1][:, index].astype(np.float64), None))
        train = Features(parts["train"], views["train"][0])
        test = Features(parts["test"], views["test"][0])
        positive = _positive(dataset, train.rows)
        if train.values.shape[1] and 0 < positive.sum() < len(positive) and len(test.rows):
            scores = fit_logistic(train.values, positive).predict_proba(test.values.astype(np.float64))[:, 1]
            records.append(score("retrained", scores, len(positive)))
        if r == 0 and train.values.shape[1]:
            gaps = fairness_gaps(dataset, train, test, seed)
        if r in SOURCE_FRACTIONS and train.values.shape[1]:
            both = np.concatenate([train.values, test.values]), dataset, np.concatenate([train.rows, test.rows])
            sources += [{"r": r, **each} for each in embedding_leakage(*both, seed, attributes=("source",))]
        progress("black out", number + 1, len(settings))
    return {
        "records": records,
        "source": sources,
        "cross_source": gaps,
        "verdict": verdict(records, dataset.meta.positive),
    }


def blackout_rows(dataset: DatasetVersion, config: FlagConfig, seed: int) -> NDArray[np.int64]:
    """Rows that `blackout` looks at, sorted: whose lungs are worth finding."""
    return np.sort(
        np.concatenate([_sample(dataset, split, config.blackout_images, seed) for split in ("train", "test")])
    )


def verdict(records: list[dict[str, Any]], positive: str) -> str:
    """One sentence on whether the label can be told without the lungs.

    Judged by what is seen outside the lung fields, else around the largest black centre; of the two forms by the
    retrained one, if there is one.
    """
    rank = {OUTSIDE: 1.0, LUNGS_ONLY: -1.0}
    known = [each for each in records if each["auroc"]["mean"] is not None and each["r"] != 0]
    outer = [each for each in known if each["seen"] != LUNGS_ONLY]
    if not outer:
        return "Not computed: too few images of two classes."
    judged = max(outer, key=lambda each: (rank.get(each["seen"], each["r"]), each["form"] == "retrained"))
    where = OUTSIDE if judged["seen"] == OUTSIDE else f"around a black centre of {judged['r']:.0%} of each side"
    whole = [each for each in records if each["r"] == 0 and each["form"] == judged["form"]]
    against = f", against {whole[0]['auroc']['mean']:.2f} on whole images" if whole else ""
    told = judged["auroc"]["low"] > judged["null95"]
    who = "a logistic regression on the classifier's features" if judged["form"] == "retrained" else "the classifier"
    claim = "The label can" if told else "There is no sign that the label can"
    numbers = "AUROC {mean:.2f} ({low:.2f} to {high:.2f}, N = {n:,})".format(**judged["auroc"])
    return (
        f"{claim} be told without the lungs: {where}, {who} tells {positive} from the rest with {numbers}{against}; "
        f"chance stays below {judged['null95']:.2f} in 95 % of permutations."
    )


def centre_black(dataset: DatasetVersion, fraction: float, row: int, image: Tensor) -> Tensor:
    """The image (1, 1, S, S) with the middle of its content black, a rectangle of `fraction` of each side."""
    content = content_box(dataset.transform(row))
    x0, y0 = content.x0 + content.width * (1 - fraction) / 2, content.y0 + content.height * (1 - fraction) / 2
    x1, y1 = x0 + content.width * fraction, y0 + content.height * fraction
    black = image.clone()
    black[..., round(y0) : round(y1), round(x0) : round(x1)] = 0
    return black


def _settings(
    dataset: DatasetVersion, lungs: Lungs | None
) -> Iterator[tuple[str, float | None, Callable[[int], bool], Edit]]:
    """(seen, r, whether an image can be shown so, edit) of everything that is asked."""
    for fraction in FRACTIONS:
        yield CENTRE, fraction, lambda row: True, partial(centre_black, dataset, fraction)
    if lungs is not None:
        for seen in (LUNGS_ONLY, OUTSIDE):
            yield seen, None, lambda row: lungs(row) is not None, partial(_masked, lungs, seen == LUNGS_ONLY)


def _masked(lungs: Lungs, inside: bool, row: int, image: Tensor) -> Tensor:
    mask = lungs(row)
    return image if mask is None else image * torch.from_numpy(mask == inside)


def _sample(dataset: DatasetVersion, split: str, count: int, seed: int) -> NDArray[np.int64]:
    rows = dataset.rows(split)
    table = dataset.images.iloc[rows][["image_id", "label"]].assign(row=rows)
    return np.array(sorted(in_turn(table, ["label"], seed, f"black-out {split}")[:count]), dtype=np.int64)


def _view(
    model: nn.Module, spec: ModelSpec, dataset: DatasetVersion, rows: NDArray[np.int64], edit: Edit
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Features (n, D), with D = 0 where the network's cannot be read, and probabilities (n, classes)."""
    try:
        return penultimate(model, spec, dataset, rows, edit=edit)
    except InputError:
        answers = [classify(model, spec, edit(int(row), dataset.tensor([row]))).probabilities for row in rows]
        empty = np.empty((0, len(spec.classes)))
        return np.empty((len(rows), 0), np.float32), np.concatenate([empty, *answers]).astype(np.float32)


def _positive(dataset: DatasetVersion, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.asarray((dataset.images["label"].iloc[rows] == dataset.meta.positive).to_numpy(dtype=bool))


def _record(
    dataset: DatasetVersion,
    rows: NDArray[np.int64],
    seed: int,
    seen: str,
    r: float | None,
    form: str,
    scores: Floats,
    train: int | None,
) -> dict[str, Any]:
    positive, table = _positive(dataset, rows), dataset.images.iloc[rows]
    cluster = clusters(table["patient_id"], table["image_id"])
    purpose = f"{seen} {r} {form}"
    auroc = auroc_estimate(scores, positive, cluster, numpy_generator(seed, "black-out", purpose))
    null95 = p = None
    if auroc["mean"] is not None:
        null = auroc_null(scores, positive, cluster, numpy_generator(seed, "black-out-null", purpose))
        null95, p = float(np.quantile(null, 0.95)), permutation_p(auroc["mean"], null)
    return {"seen": seen, "r": r, "form": form, "auroc": auroc, "null95": null95, "p": p, "train": train}
