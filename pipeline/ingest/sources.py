"""From a manifest and a data root to one row an image, with everything that was left out and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.errors import EmptyResultError, InputError, ProblemReason, did_you_mean
from pipeline.ingest import vocabulary
from pipeline.ingest.candidates import Candidate, Problem
from pipeline.ingest.layout_dicom import read_dicom_folder
from pipeline.ingest.layouts import read_folders, read_rows_of_table
from pipeline.ingest.manifest_schema import LabelRules, Manifest
from pipeline.ingest.source_schema import DicomSource, FolderSource, Source, TableSource
from pipeline.ingest.tables import what_is_in

ROW_COLUMNS: dict[str, str] = {
    "path": "string",
    "label": "string",
    "label_raw": "string",
    "source": "string",
    "dataset": "string",
    "patient_id": "string",
    "study_id": "string",
    "view": "string",
    "view_source": "string",
    "sex": "string",
    "age": "Float64",
    "split": "string",
    "licence": "string",
}
PROBLEM_COLUMNS: dict[str, str] = {"path": "string", "reason": "string", "detail": "string"}


@dataclass(frozen=True)
class SourceRows:
    """What a manifest finds below a data root. Every image or table row met is in exactly one of the two tables.

    Attributes:
        rows: columns and types of `ROW_COLUMNS`, one row an image, sorted by `path`; unknown is null.
            `path` is relative to the data root, `patient_id` reads ``namespace:id``, `split` is
            ``other_source``, a split that the source pins, or null: still to be drawn.
        problems: columns of `PROBLEM_COLUMNS`, sorted by path; `reason` is a `ProblemReason` value.
    """

    rows: pd.DataFrame
    problems: pd.DataFrame


def read_rows(manifest: Manifest, data_root: Path) -> SourceRows:
    """List the images of `manifest` that lie below `data_root`, without opening their pixels.

    Raises:
        InputError: something is not where the manifest says, or a label is neither mapped nor excluded.
        EmptyResultError: no image is left, or none of some class that could be trained on.
    """
    if not data_root.is_dir():
        raise InputError(f"The data root {data_root} is no folder; {what_is_in(data_root.parent)}. Give --data-root.")
    met = [item for source in manifest.sources for item in _read(source, data_root)]
    candidates = [item for item in met if isinstance(item, Candidate)]
    problems = [item for item in met if isinstance(item, Problem)]
    _check_namespaces(manifest, candidates)
    labelled, unlabelled = _label(manifest, candidates)
    kept, repeated = _one_row_a_file(labelled)
    problems += unlabelled + repeated
    _check_classes(manifest, kept, problems)
    return SourceRows(_table(kept, ROW_COLUMNS), _table([asdict(problem) for problem in problems], PROBLEM_COLUMNS))


def _read(source: Source, data_root: Path) -> Iterator[Candidate | Problem]:
    if isinstance(source, FolderSource):
        return read_folders(source, data_root)
    if isinstance(source, TableSource):
        return read_rows_of_table(source, data_root)
    if isinstance(source, DicomSource):
        return read_dicom_folder(source, data_root)
    return read_rows_of_table(source.as_table(), data_root)


def _check_namespaces(manifest: Manifest, candidates: list[Candidate]) -> None:
    found = {candidate.source for candidate in candidates}
    for name in manifest.patient_namespaces:
        if name not in found:
            raise InputError(f"patient_namespaces names the source {name!r}. {did_you_mean(name, found)}")


Row = dict[str, Any]


def _label(manifest: Manifest, candidates: list[Candidate]) -> tuple[list[Row], list[Problem]]:
    rows: list[Row] = []
    problems: list[Problem] = []
    unknown: Counter[str] = Counter()
    for candidate in candidates:
        raw = candidate.label_raw
        label = label_of(raw, manifest.labels, manifest.classes) if raw is not None else None
        problem = _left_out(manifest, candidate)
        if problem is not None:
            problems.append(problem)
        elif label is None:
            unknown[str(raw)] += 1
        else:
            rows.append(_row(manifest, candidate, label))
    if unknown:
        raise _unknown_labels(manifest, unknown)
    return rows, problems


def label_of(raw: str, rules: LabelRules, classes: tuple[str, ...]) -> str | None:
    """The class of a raw label: by `rules.map`, by its own name, or by the first `contains` rule that fits."""
    if raw in rules.map:
        return rules.map[raw]
    if raw in classes:
        return raw
    if rules.contains is None:
        return None
    parts = {part.strip() for part in raw.split(rules.contains.separator)}
    return next((rule.label for rule in rules.contains.rules if parts & set(rule.any_of)), None)


def _left_out(manifest: Manifest, candidate: Candidate) -> Problem | None:
    if candidate.label_raw is None:
        return Problem(candidate.path, ProblemReason.MISSING_LABEL, f"source {candidate.source} gives no label")
    if candidate.label_raw in manifest.labels.exclude:
        return Problem(candidate.path, ProblemReason.EXCLUDED_BY_MANIFEST, f"label {candidate.label_raw!r}")
    if vocabulary.view(candidate.view) in manifest.exclude_views:
        return Problem(candidate.path, ProblemReason.EXCLUDED_BY_MANIFEST, f"view {candidate.view!r}")
    return None


def _unknown_labels(manifest: Manifest, unknown: Counter[str]) -> InputError:
    counts = ", ".join(f"{label!r} ({count} images)" for label, count in unknown.most_common())
    known = sorted({*manifest.classes, *manifest.labels.map, *manifest.labels.exclude})
    return InputError(
        f"Manifest {manifest.name}: unknown labels {counts}. Known: {', '.join(known)}. "
        "Map each to a class under labels.map (or labels.contains), or list it under labels.exclude."
    )


def _row(manifest: Manifest, candidate: Candidate, label: str) -> Row:
    view = vocabulary.view(candidate.view)
    namespace = manifest.patient_namespaces.get(candidate.source, candidate.source)
    return {
        "path": candidate.path,
        "label": label,
        "label_raw": candidate.label_raw,
        "source": candidate.source,
        "dataset": manifest.name,
        "patient_id": f"{namespace}:{candidate.patient}" if candidate.patient else None,
        "study_id": candidate.study,
        "view": view,
        "view_source": candidate.view_source if view else None,
        "sex": candidate.sex,
        "age": candidate.age,
        "split": "other_source" if candidate.role == "other_source" else candidate.pinned,
        "licence": candidate.licence or manifest.licence,
    }


def _one_row_a_file(rows: list[Row]) -> tuple[list[Row], list[Problem]]:
    """Keep the first of identical mentions of a file; a file with two labels, patients or splits is not usable."""
    mentions: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        mentions[row["path"]].append(row)
    kept: list[Row] = []
    problems: list[Problem] = []
    for path, same in mentions.items():
        differ = [key for key in ("label", "patient_id", "split") if len({row[key] for row in same}) > 1]
        if differ:
            detail = f"named {len(same)} times with different {', '.join(differ)}"
            problems += [Problem(path, ProblemReason.CONFLICTING_LABEL, detail)] * len(same)
        else:
            kept.append(same[0])
            problems += [Problem(path, ProblemReason.DUPLICATE, "named again; the first is used")] * (len(same) - 1)
    return kept, problems


def _check_classes(manifest: Manifest, kept: list[Row], problems: list[Problem]) -> None:
    reasons = Counter(str(problem.reason) for problem in problems)
    left_out = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common()) or "none"
    if not kept:
        raise EmptyResultError(f"Manifest {manifest.name}: no usable image. Left out: {left_out}. Check --data-root.")
    trainable = Counter(row["label"] for row in kept if row["split"] != "other_source")
    empty = [name for name in manifest.classes if not trainable[name]]
    if empty:
        raise EmptyResultError(
            f"Manifest {manifest.name}: no image of class {', '.join(map(repr, empty))} to train on. "
            f"Found {dict(trainable)}; left out: {left_out}. Check labels.map and the data root."
        )


def _table(records: list[Row], columns: dict[str, str]) -> pd.DataFrame:
    table = pd.DataFrame(records, columns=list(columns)).astype(columns)
    return table.sort_values(list(columns)[:3], kind="stable", ignore_index=True)
