"""The rows of an audit: what its artifacts say about findings, regions and images, in the review's words."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.artifacts import read_json, read_parquet
from pipeline.dataset import DatasetVersion
from pipeline.review.store.places import first_finding, places

ARTIFACTS = (
    "findings.json",
    "clusters.json",
    "predictions.parquet",
    "evidence.parquet",
    "effects.parquet",
    "held_back.parquet",
    "residual.parquet",
    "lookalikes.parquet",
    "lungs/lungs.parquet",
)
"""Files of a run, besides its regions and saliency tables, that rows are made of; all but the first may be missing."""

_REGION = ["region_id", "image_id", "kind", "text", "x0", "y0", "x1", "y1", "detector", "confidence"]


def sources(run: Path) -> list[Path]:
    """All files that rows are made of, those that exist, in a fixed order."""
    paths = [*(run / name for name in ARTIFACTS), *sorted((run / "saliency").glob("*.parquet")), _regions_path(run)]
    return [path for path in paths if path.exists()]


def finding_rows(run: Path) -> pd.DataFrame:
    """Rows of `findings`, without run and number of regions, ranked as findings.json lists them."""
    entries = read_json(run / "findings.json")["findings"]
    return pd.DataFrame(
        {
            "finding": [str(entry["id"]) for entry in entries],
            "rank": range(1, len(entries) + 1),
            "kind": [str(entry["kind"]) for entry in entries],
            "text": [entry.get("text") for entry in entries],
            "title": [str(entry["title"]) for entry in entries],
            "audit_status": [str(entry["status"]) for entry in entries],
            "payload": entries,
        }
    )


def region_rows(run: Path, dataset: DatasetVersion) -> pd.DataFrame:
    """Rows of `regions`, without run and finding, detected ones first, then residual ones.

    `effect` of a region is the test of all marks of its kind on its image, for the class predicted there: keys `class`,
    `effect`, `control_mean`, `control_sd`, `controls`, `p_value`, `q`, `regions` (removed together), `predicted`,
    `predicted_removed`, `flip`; unknown numbers are null. `share` and `enrichment` are those of the explainer that puts
    the largest share on it.
    """
    regions = pd.concat([_detected(run), _residual(run)], ignore_index=True)
    size = dataset.images.set_index("image_id")[["width", "height"]].astype("float64").reindex(regions["image"])
    x0, y0, x1, y1 = (regions[name] for name in ("x0", "y0", "x1", "y1"))
    regions["place"] = places(x0, y0, x1, y1, size["width"], size["height"])
    regions["share"], regions["enrichment"] = _saliency(run, regions["region"])
    regions["effect"] = regions["region"].map(_effects(run)).astype(object).where(lambda value: value.notna(), None)
    regions["cluster"] = regions["region"].map(_column(run / "lookalikes.parquet", "region_id", "cluster"))
    regions["held_back"] = regions["region"].map(_column(run / "held_back.parquet", "region_id", "reason"))
    return regions


def item_rows(run: Path, dataset: DatasetVersion) -> pd.DataFrame:
    """Rows of `items`, without run, score and counts, in the order of the images table."""
    images = dataset.images
    predicted, probability, probabilities = _predictions(run, images["image_id"])
    methods, explained = _explained(run, dataset.meta.classes)
    ids = images["image_id"].astype(str)
    return pd.DataFrame(
        {
            "image": ids,
            "row": range(len(images)),
            **{name: images[name] for name in ("width", "height", "label", "source", "split")},
            "predicted": predicted,
            "probability": probability,
            "probabilities": probabilities,
            "explained": ids.isin(methods),
            "methods": [methods.get(image, []) for image in ids],
            "explained_class": ids.map(explained),
            "lungs": ids.isin(_with_lungs(run)),
            "saliency_cluster": ids.map(_saliency_clusters(run)),
        }
    )


def naming(findings: pd.DataFrame, regions: pd.DataFrame) -> pd.Series[str]:
    """For each region the first finding, by rank, that names its kind and text; null where none does.

    Args:
        findings: `finding`, `rank`, `kind`, `text`.
        regions: `kind`, `text`.
    """
    ranked = findings.sort_values("rank")
    named = [*zip(ranked["finding"], ranked["kind"], _words(ranked["text"]), strict=True)]
    pairs = pd.Series([*zip(regions["kind"], _words(regions["text"]), strict=True)], index=regions.index, dtype=object)
    return pairs.map({pair: first_finding(named, *pair) for pair in pairs.unique()}).astype(object)


def _words(values: pd.Series[str]) -> list[str | None]:
    return [value if isinstance(value, str) else None for value in values]


def _regions_path(run: Path) -> Path:
    return run / "regions_all.parquet" if (run / "regions_all.parquet").exists() else run / "regions.parquet"


def _detected(run: Path) -> pd.DataFrame:
    found = read_parquet(_regions_path(run))[_REGION]
    return found.rename(columns={"region_id": "region", "image_id": "image"}).assign(origin="detected")


def _residual(run: Path) -> pd.DataFrame | None:
    if not (run / "residual.parquet").exists():
        return None
    found = read_parquet(run / "residual.parquet").rename(columns={"image_id": "image"})
    names = [_residual_id(each) for each in found.to_dict("records")]
    kept = found[["image", "kind", "text", "x0", "y0", "x1", "y1", "confidence"]]
    return kept.assign(region=names, detector="residual", origin="residual").drop_duplicates("region")


def _residual_id(region: Mapping[Any, Any]) -> str:
    # Not the id of a detected region: the same box may have been found before.
    box = ",".join(f"{region[name]:.2f}" for name in ("x0", "y0", "x1", "y1"))
    return hashlib.sha256(f"residual|{region['image']}|{region['kind']}|{box}".encode()).hexdigest()[:16]


def _column(path: Path, key: str, value: str) -> dict[str, Any]:
    if not path.exists():
        return {}
    table = read_parquet(path)
    return dict(zip(table[key], table[value], strict=True))


def _saliency(run: Path, regions: pd.Series[str]) -> tuple[pd.Series[float], pd.Series[float]]:
    if not (run / "evidence.parquet").exists():
        nothing = pd.Series(np.nan, index=regions.index)
        return nothing, nothing.copy()
    evidence = read_parquet(run / "evidence.parquet").dropna(subset=["share"])
    ordered = evidence.sort_values(["share", "method"], ascending=[False, True], kind="stable")
    best = ordered.drop_duplicates("region_id").set_index("region_id")
    return regions.map(best["share"].astype("float64")), regions.map(best["enrichment"].astype("float64"))


def _effects(run: Path) -> dict[str, dict[str, Any]]:
    if not (run / "effects.parquet").exists():
        return {}
    tests = read_parquet(run / "effects.parquet").to_dict("records")
    return {region: _effect(test) for test in tests for region in str(test["region_ids"]).split("|")}


def _effect(test: Mapping[Any, Any]) -> dict[str, Any]:
    name = str(test["predicted"])
    numbers = {key: test.get(f"{key}_{name}") for key in ("effect", "control_mean", "control_sd", "p_value", "q")}
    return {
        "class": name,
        **{key: None if pd.isna(value) else round(float(value), 6) for key, value in numbers.items()},
        "controls": int(test["controls"]),
        "regions": int(test["n_regions"]),
        "predicted": name,
        "predicted_removed": str(test["predicted_removed"]),
        "flip": bool(test["flip"]),
    }


def _predictions(
    run: Path, ids: pd.Series[str]
) -> tuple[Sequence[str | None], Sequence[float | None], Sequence[dict[str, float] | None]]:
    if not (run / "predictions.parquet").exists():
        nothing = [None] * len(ids)
        return nothing, nothing, nothing
    table = read_parquet(run / "predictions.parquet").set_index("image_id").filter(regex=r"^p_").reindex(ids)
    classes = [name.removeprefix("p_") for name in table.columns]
    every = table.to_numpy(dtype=np.float64, na_value=np.nan)
    known = ~np.isnan(every).any(axis=1)
    best = np.where(known, np.nan_to_num(every).argmax(axis=1), -1)
    return (
        [classes[index] if index >= 0 else None for index in best],
        [float(row[index]) if index >= 0 else None for row, index in zip(every, best, strict=True)],
        [
            dict(zip(classes, (round(float(value), 6) for value in row), strict=True)) if index >= 0 else None
            for row, index in zip(every, best, strict=True)
        ],
    )


def _explained(run: Path, classes: Sequence[str]) -> tuple[dict[str, list[str]], dict[str, str]]:
    methods: dict[str, list[str]] = {}
    explained: dict[str, str] = {}
    for path in sorted((run / "saliency").glob("*.parquet")):
        table = read_parquet(path)
        for image, target in zip(table["image_id"], table["target"], strict=True):
            methods.setdefault(str(image), []).append(path.stem)
            explained.setdefault(str(image), classes[int(target)])
    return methods, explained


def _with_lungs(run: Path) -> set[str]:
    path = run / "lungs" / "lungs.parquet"
    if not path.exists():
        return set()
    table = read_parquet(path)
    return set(table.loc[table["found"].astype(bool), "image_id"])


def _saliency_clusters(run: Path) -> dict[str, str]:
    if not (run / "clusters.json").exists():
        return {}
    classes = read_json(run / "clusters.json")["classes"]
    return {
        str(image): f"{name}/{cluster['number']}"
        for name, entry in classes.items()
        for cluster in entry["clusters"]
        for image in cluster["image_ids"]
    }
