"""The model card of a trained classifier: what it is for, what it saw, how good it looked, what it is not for.

Structure after Mitchell et al., Model Cards for Model Reporting, FAT* 2019.
"""

from __future__ import annotations

import pandas as pd

import pipeline
from models import BundleCard
from pipeline.config import TrainConfig
from pipeline.dataset import DatasetVersion
from pipeline.train.record import Record

INTENDED_USE = (
    "Research: to find out what a classifier trained on these data reads. Not a medical device; "
    "not for diagnosis, triage or any decision about a patient."
)

_CARD = """\
# {network} for {title}

{description}

## Intended use

{intended_use}

## Data

Data set `{dataset}`, version `{version}`. Images by split and class; only `train` and `val` were used here.

{counts}

Sources of the training images: {sources}.
{note}
## Training

{network}, {size} x {size} pixels, at most {config.epochs} epochs ({epochs} done, epoch {best} kept), batches of \
{config.batch_size}, AdamW (learning rate {config.learning_rate:g}, weight decay {config.weight_decay:g}, linear \
warm-up, cosine decay), cross-entropy, {balance}, {augmentation}, seed {seed}.

## Metrics

| split | AUROC (one-vs-rest, mean over classes) | loss |
| --- | --- | --- |
| val ({val} images) | {auroc:.3f} | {loss:.3f} |

The epoch was chosen by this AUROC, so it is optimistic. Test results are in the audit report, not here.

## Limits

* A high AUROC does not say that the classifier reads disease: printed marks, tubes, exposure and the source of an \
image can be enough. The audit report of this data set says what was found.
* Results hold for images like the training images: same kinds of device, view, age and country.
* Probabilities are not calibrated.
"""


def bundle_card(dataset: DatasetVersion, config: TrainConfig, seed: int, record: Record, note: str) -> BundleCard:
    """What the bundle of a finished training says.

    Args:
        dataset: what was learned from.
        config: settings.
        seed: of the training.
        record: its history.
        note: one more paragraph about the data; may be empty.
    """
    meta = dataset.meta
    description = (
        f"Tells {' from '.join(meta.classes)} on chest x-rays; trained by cxr-audit on {meta.name} {meta.version}."
    )
    readme = _CARD.format(
        network=config.network,
        title=meta.title,
        description=description,
        intended_use=INTENDED_USE,
        dataset=meta.name,
        version=meta.version,
        counts=_counts(dataset),
        sources=_sources(dataset),
        note=f"\n{note}\n" if note else "",
        size=config.input_size,
        config=config,
        epochs=len(record.history),
        best=record.best["epoch"],
        balance=_BALANCE[config.sampling],
        augmentation=_augmentation(config),
        seed=seed,
        val=len(dataset.rows("val")),
        auroc=record.best["val_auroc"],
        loss=record.best["val_loss"],
    )
    return BundleCard(
        version=pipeline.__version__,
        task=f"Chest x-ray classification: {', '.join(meta.classes)}",
        description=description,
        intended_use=INTENDED_USE,
        data_source=f"{meta.title} ({meta.name} {meta.version})",
        readme=readme,
        metrics={key: record.best[key] for key in ("val_auroc", "val_loss")},
        packages={"cxr-audit": pipeline.__version__},
    )


_BALANCE = {
    "class-weights": "classes weighted by inverse frequency",
    "sources": "images drawn such that classes, and in each class its sources, weigh alike",
    "groups": "images drawn such that classes weigh alike and a group of duplicates counts once",
}


def _augmentation(config: TrainConfig) -> str:
    changes = ["augmented by small shifts, scales, rotations, brightness and contrast"] if config.augment else []
    if config.marks:
        changes.append(f"random marks planted on {config.marks:.0%} of the images of every class")
    return ", ".join(changes) or "not augmented"


def _counts(dataset: DatasetVersion) -> str:
    table = pd.crosstab(dataset.images["split"], dataset.images["label"])
    lines = [["split", *dataset.meta.classes], ["---"] * (1 + len(dataset.meta.classes))]
    for split, row in table.iterrows():
        lines.append([str(split), *(str(int(row.get(name, 0))) for name in dataset.meta.classes)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _sources(dataset: DatasetVersion) -> str:
    sources = dataset.images["source"].iloc[dataset.rows("train")].fillna("unknown").value_counts()
    return ", ".join(f"{name} ({count})" for name, count in sorted(sources.items()))
