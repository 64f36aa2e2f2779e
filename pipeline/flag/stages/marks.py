"""Stages about regions: find them, tie them to classes, erase them, paste them, weigh the saliency on them."""

from __future__ import annotations

import numpy as np

from pipeline.flag.behaviour.causal import choose_rows, intervene
from pipeline.flag.behaviour.evidence import region_evidence
from pipeline.flag.behaviour.transplant import transplant
from pipeline.flag.detect_dataset import detect_dataset
from pipeline.flag.profile.association import mark_association
from pipeline.flag.stages.inspection import Inspection


def detect_regions(inspection: Inspection) -> None:
    """regions.parquet: what the detectors find on the images looked at."""
    detect_dataset(
        inspection.dataset,
        inspection.place("regions.parquet"),
        rows=inspection.left(inspection.rows),
        spread=inspection.spread,
        progress=inspection.progress,
    )


def associate(inspection: Inspection) -> None:
    """association.parquet: which marks go with which class, among the training images looked at."""
    rows = np.intersect1d(inspection.dataset.rows("train"), inspection.rows)
    inspection.write("association", mark_association(inspection.dataset, inspection.table("regions"), rows))


def erase(inspection: Inspection) -> None:
    """effects.parquet: what removing marks does, against removing matched places without a mark."""
    regions = inspection.table("regions")
    rows = choose_rows(inspection.dataset, regions, inspection.config.flag, inspection.config.seed)
    inspection.test("effects", intervene, regions, rows)


def paste(inspection: Inspection) -> None:
    """transplants.parquet: what pasting marks on images of other classes does.

    Only kinds whose erase test has not excluded an effect are worth pasting.
    """
    regions, effects = inspection.table("regions"), inspection.table("effects")
    excluded = set(effects.loc[effects["kind_stopped"] == "no effect", "kind"])
    kinds = sorted(set(regions["kind"]) - excluded)
    inspection.test("transplants", transplant, regions, looked_at=inspection.rows, kinds=kinds)


def weigh(inspection: Inspection) -> None:
    """evidence.parquet: saliency share and enrichment of every region on an explained image."""
    maps, methods = inspection.folder / "saliency", inspection.config.explain.methods
    inspection.write("evidence", region_evidence(inspection.dataset, inspection.table("regions"), maps, methods))
