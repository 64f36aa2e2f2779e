"""Stages about the data set or the classifier as a whole: table, traits, lungs, features, strategies, subgroups."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray

from pipeline.artifacts import read_parquet
from pipeline.errors import EmptyResultError, InputError
from pipeline.flag.behaviour.blackout import blackout, blackout_rows
from pipeline.flag.behaviour.embeddings import embedding_leakage
from pipeline.flag.behaviour.features import penultimate
from pipeline.flag.behaviour.lung_evidence import lung_evidence, lung_summary
from pipeline.flag.behaviour.slices import error_slices
from pipeline.flag.behaviour.spray import cluster_maps
from pipeline.flag.behaviour.spray_clusters import on_maps
from pipeline.flag.behaviour.subgroups import subgroup_table
from pipeline.flag.behaviour.trait_test import move_traits
from pipeline.flag.film.trait_association import tied_traits, trait_association
from pipeline.flag.film.traits_dataset import traits_dataset
from pipeline.flag.lungs import load_segmenter
from pipeline.flag.lungs_dataset import lungs_dataset, read_lungs
from pipeline.flag.profile.profile import profile_dataset
from pipeline.flag.stages.inspection import Inspection

METADATA = ("source", "view", "sex", "manufacturer", "patient_id")
"""Columns that clusters are compared with; patients keep together."""


def profile(inspection: Inspection) -> None:
    """profile.json: what the table alone gives away."""
    inspection.write_records("profile", profile_dataset(inspection.dataset, inspection.config.seed).to_json())


def measure(inspection: Inspection) -> None:
    """traits.parquet: image-wide traits of the images looked at."""
    traits_dataset(
        inspection.dataset,
        inspection.place("traits.parquet"),
        rows=inspection.left(inspection.rows),
        spread=inspection.spread,
        progress=inspection.progress,
    )


def associate_traits(inspection: Inspection) -> None:
    """trait_association.parquet: which traits go with which class, among the training images looked at."""
    dataset, seed, traits = inspection.dataset, inspection.config.seed, inspection.table("traits")
    rows = np.intersect1d(dataset.rows("train"), inspection.rows)
    inspection.write("trait_association", trait_association(dataset, traits, rows, seed=seed))


def move(inspection: Inspection) -> None:
    """trait_effects.parquet: what moving tied traits does, against equally large changes that leave them alone."""
    fdr, positive = inspection.config.flag.fdr, inspection.dataset.meta.positive
    inspection.test("trait_effects", move_traits, tied_traits(inspection.table("trait_association"), fdr, positive))


def find_lungs(inspection: Inspection) -> None:
    """lungs/: lung fields of the images that are explained or blacked out."""
    out, rows = inspection.place("lungs"), inspection.left(lung_rows(inspection))
    lungs_dataset(inspection.dataset, out, rows, load_segmenter, spread=inspection.spread, progress=inspection.progress)


def lung_rows(inspection: Inspection) -> NDArray[np.int64]:
    """Rows of the images that are explained or blacked out, sorted."""
    dataset, config = inspection.dataset, inspection.config
    explained = read_parquet(inspection.folder / "saliency" / f"{config.explain.methods[0]}.parquet")["row"].to_numpy()
    return np.union1d(explained, blackout_rows(dataset, config.flag, config.seed))


def weigh_lungs(inspection: Inspection) -> None:
    """lung_shares.json: saliency inside and outside the lungs, and what of it no detected region explains."""
    maps, methods = inspection.folder / "saliency", inspection.config.explain.methods
    regions, fields = inspection.table("regions"), _lung_fields(inspection)
    found = lung_evidence(inspection.dataset, regions, maps, methods, fields)
    inspection.write_records("lung_shares", lung_summary(found, inspection.config.seed))


def black_out(inspection: Inspection) -> None:
    """blackout.json: whether the label can be told without the lungs."""
    model, spec = inspection.source()
    found = blackout(
        model,
        spec,
        inspection.dataset,
        inspection.config.flag,
        seed=inspection.config.seed,
        lungs=_lung_fields(inspection),
        progress=inspection.progress,
    )
    inspection.write_records("blackout", found)


def probe_features(inspection: Inspection) -> None:
    """features.json: what the classifier's last hidden layer knows besides the label."""
    dataset, seed = inspection.dataset, inspection.config.seed
    model, spec = inspection.source()
    rows = np.intersect1d(np.concatenate([dataset.rows("test"), dataset.rows("val")]), inspection.rows)
    try:
        features, _ = penultimate(model, spec, dataset, rows, progress=inspection.progress)
    except InputError as error:
        inspection.write_records("features", {"skipped": str(error), "records": []})
        return
    found = embedding_leakage(features, dataset, rows, seed)
    inspection.write_records("features", {"skipped": None, "records": found})


def cluster(inspection: Inspection) -> None:
    """clusters.json: the strategies behind each class's saliency maps, by class."""
    dataset, method = inspection.dataset, inspection.config.explain.methods[0]
    table = read_parquet(inspection.folder / "saliency" / f"{method}.parquet")
    maps = np.asarray(zarr.open_array(inspection.folder / "saliency" / f"{method}.zarr", mode="r")[:])
    regions = on_maps(inspection.table("regions"), dataset, (maps.shape[1], maps.shape[2]))
    metadata = dataset.images[["image_id", *METADATA]].assign(**_presence(dataset.images["image_id"], regions))
    fields = _lung_masks(inspection, table["row"].to_numpy(dtype=np.int64))
    found: dict[str, Any] = {}
    for number, name in enumerate(dataset.meta.classes):
        ours = np.flatnonzero(table["target"] == number)
        ids = table["image_id"].iloc[ours].astype(str).tolist()
        try:
            clustering = cluster_maps(
                maps[ours], ids, metadata, seed=inspection.config.seed, lungs=fields[ours], regions=regions
            )
        except EmptyResultError as error:
            found[name] = {"images": len(ours), "note": str(error), "clusters": []}
        else:
            found[name] = clustering.records()
    inspection.write_records("clusters", {"method": method, "classes": found})


def measure_subgroups(inspection: Inspection) -> None:
    """subgroups.parquet: precision, recall and AUROC by every attribute."""
    dataset, seed = inspection.dataset, inspection.config.seed
    found = subgroup_table(dataset, inspection.table("predictions"), _known_regions(inspection), seed)
    inspection.write("subgroups", found)


def search_slices(inspection: Inspection) -> None:
    """slices.json: groups of test images on which the classifier errs clearly more often."""
    dataset, config = inspection.dataset, inspection.config
    regions = _known_regions(inspection)
    found = error_slices(dataset, inspection.table("predictions"), regions, config.seed, config.flag.fdr)
    inspection.write_records("slices", found)


def _known_regions(inspection: Inspection) -> pd.DataFrame:
    """The regions, none where test images were left out: an image not looked at is not one without marks."""
    regions = inspection.table("regions")
    everywhere = np.isin(inspection.dataset.rows("test"), inspection.rows).all()
    return regions if everywhere else regions.iloc[:0]


def _presence(image_ids: pd.Series[Any], regions: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """Whether an image has a region of each kind: yes or no."""
    return {
        f"{kind} on image": np.where(image_ids.isin(part["image_id"]), "yes", "no")
        for kind, part in regions.groupby("kind", sort=True)
    }


def _lung_masks(inspection: Inspection, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Lung fields (n, s, s) of `rows`, which were all looked at; all false where none were found."""
    table, masks = read_lungs(inspection.folder / "lungs")
    place = {int(row): number for number, row in enumerate(table["row"])}
    return np.stack([np.asarray(masks[place[int(row)]], dtype=np.bool_) for row in rows])


def _lung_fields(inspection: Inspection) -> Callable[[int], NDArray[np.bool_] | None]:
    """Row -> lung fields at the size of the store, None where they were not found or not looked for."""
    table, masks = read_lungs(inspection.folder / "lungs")
    rows = zip(table["row"], table["found"], strict=True)
    place = {int(row): number for number, (row, found) in enumerate(rows) if found}
    size = inspection.dataset.meta.size

    @lru_cache(maxsize=64)
    def fields(row: int) -> NDArray[np.bool_] | None:
        if row not in place:
            return None
        small = np.asarray(masks[place[row]], dtype=np.uint8)
        return np.asarray(cv2.resize(small, (size, size), interpolation=cv2.INTER_NEAREST) > 0)

    return fields
