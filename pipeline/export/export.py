"""One export: every format that was asked for, in one folder, resumable, with counts that add up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
import pandas as pd

from pipeline.artifacts import code_version, content_hash, write_json, write_text
from pipeline.cleanse.masks import boxes_by_image, mark_mask
from pipeline.errors import InputError, IntegrityError
from pipeline.export.annotations import BROWSER_PREFIX, coco, label_config, label_studio
from pipeline.export.dicom import SOFTWARE, write_dicom
from pipeline.export.dicom_pixels import transfer_syntax
from pipeline.export.folder import ExportFolder
from pipeline.export.images import ExportImage, PackedHoles, Written, tally
from pipeline.export.metadata import metadata, write_metadata
from pipeline.export.png import write_mask, write_png
from pipeline.export.source import Source
from pipeline.progress import Progress, silent
from pipeline.spread import Mapper, mapper

Format = Literal["png", "dicom", "coco", "label-studio", "masks", "metadata"]
FORMATS: tuple[Format, ...] = get_args(Format)
BATCH: Final = 256
"""Images handed to the workers at a time."""
_LISTED: Final = 10
"""Files that an error names."""


@dataclass(frozen=True)
class ExportOptions:
    """How an export is written.

    Attributes:
        syntax: name of the transfer syntax of changed DICOM images, see `TRANSFER_SYNTAXES`.
        prefix: put before the picture's path in Label Studio tasks.
        workers: processes that decode, fill and encode.
    """

    syntax: str = "explicit"
    prefix: str = BROWSER_PREFIX
    workers: int = 1


def export(
    source: Source,
    data_root: Path,
    out: Path,
    formats: Sequence[str] | None = None,
    options: ExportOptions | None = None,
    *,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Write `source` to `out`; what an interrupted or earlier call has written there is kept.

    Formats: ``png`` -> images/, ``dicom`` -> dicom/, ``masks`` -> masks/, ``coco`` -> coco.json, ``label-studio`` ->
    label_studio.json and .xml, ``metadata`` -> metadata.csv; and always export.json. The same request gives the same
    bytes. Nothing below `data_root` is changed.

    Args:
        source: what is exported.
        data_root: folder that the paths of the images table are relative to.
        out: new folder, or that of the same export.
        formats: which of `FORMATS`; `available_formats` when None.
        options: see there.
        progress: told how far each format is.

    Returns:
        What export.json says.

    Raises:
        InputError: DICOM is asked of other files, regions of a version without, or `out` holds something else.
        IntegrityError: originals are gone or changed since they were ingested; the others are written.
    """
    options, formats = options or ExportOptions(), available_formats(source) if formats is None else formats
    syntax = transfer_syntax(options.syntax)
    _check(source, formats)
    origin = {
        **source.origin(),
        "run": source.run,
        "seed": source.how.seed,
        "transfer_syntax": options.syntax,
        "software": SOFTWARE,
        "code": code_version("pipeline.export", "pipeline.cleanse"),
    }
    images = source.images()
    origin["regions"] = content_hash([[each.image_id, each.removed, each.cleared] for each in images])
    folder = ExportFolder(out, origin)
    dicom = {str(record["path"]) for record in source.dataset.images.to_dict("records") if _is_dicom(record)}
    at: dict[str, Any] = {"data_root": data_root, "how": source.how}
    writers: dict[str, tuple[str, list[ExportImage], Callable[[ExportImage], Written]]] = {
        "png": ("images", images, partial(write_png, folder=out / "images", **at)),
        "dicom": (
            "dicom",
            [image for image in images if image.path in dicom],
            partial(write_dicom, folder=out / "dicom", syntax=syntax, origin=content_hash(origin), **at),
        ),
        "masks": ("masks", _masked(source, images), partial(write_mask, folder=out / "masks")),
    }
    with mapper(options.workers) as spread:
        for name in (name for name in FORMATS if name in formats):
            if name in writers:
                place, chosen, write = writers[name]
                results = _each(write, chosen, spread, partial(progress, name))
                others = {"not_dicom": len(images) - len(chosen)} if name == "dicom" else {}
                folder.add(name, place=place, images=len(chosen), **others, **_accounted(results))
            else:
                folder.add(name, **_table(name, source, images, out, options))
                progress(name, 1, 1)
    return folder.finish(_counts(source, images))


def available_formats(source: Source) -> tuple[Format, ...]:
    """What `source` can be written as: DICOM where a file is DICOM, regions where they are known."""
    without: set[Format] = set()
    if not any(map(_is_dicom, source.dataset.images.to_dict("records"))):
        without.add("dicom")
    if source.regions is None:
        without |= {"coco", "label-studio", "masks"}
    return tuple(name for name in FORMATS if name not in without)


def _check(source: Source, formats: Sequence[str]) -> None:
    unknown = sorted(set(formats) - set(FORMATS))
    if unknown or not formats:
        raise InputError(f"There is no format {unknown[0] if unknown else ''!r}. Allowed: {', '.join(FORMATS)}.")
    table = source.dataset.images
    others = table[~table["file_format"].eq("DICOM").fillna(False)]
    if "dicom" in formats and len(others) == len(table):
        raise InputError(
            f"None of the {len(table)} images is a DICOM file (first: {others['path'].iloc[0]}, "
            f"{others['file_format'].iloc[0]}). DICOM is written only from DICOM: there is no patient, study or "
            "acquisition to describe otherwise. Use --format png."
        )
    needing = sorted({"coco", "label-studio", "masks"} & set(formats))
    if source.regions is None and needing:
        raise InputError(
            f"{', '.join(needing)}: no regions are known of data set version {source.version}. "
            "Export the run that detected them: cxr-audit export RUN."
        )


def _is_dicom(record: Any) -> bool:
    return bool(record["file_format"] == "DICOM")


def _masked(source: Source, images: list[ExportImage]) -> list[ExportImage]:
    """Images with what their mask shows: the holes of the plan or, without a plan, all detected regions."""
    if source.plan is not None or source.regions is None:
        return images
    boxes, records = boxes_by_image(source.regions), source.dataset.images.to_dict("records")
    return [
        replace(image, holes=PackedHoles.of(mark_mask(boxes[image.image_id], record, 0.0).astype(np.uint8)))
        if image.image_id in boxes
        else image
        for image, record in zip(images, records, strict=True)
    ]


def _each(
    write: Callable[[ExportImage], Written],
    images: Sequence[ExportImage],
    spread: Mapper,
    progress: Callable[[int, int], None],
) -> list[Written]:
    results: list[Written] = []
    for start in range(0, len(images), BATCH):
        for result in spread(write, images[start : start + BATCH]):
            results.append(result)
            progress(len(results), len(images))
    return results


def _accounted(results: Sequence[Written]) -> dict[str, Any]:
    """Counts of what became of the images, and the refused ones by name.

    Raises:
        IntegrityError: an original is lost.
    """
    lost = [result.detail for result in results if result.outcome == "lost"]
    if lost:
        more = f" and {len(lost) - _LISTED} more" if len(lost) > _LISTED else ""
        raise IntegrityError(
            f"{len(lost)} of {len(results)} originals are not the files that were ingested: "
            f"{'; '.join(lost[:_LISTED])}{more}. Restore them, or ingest the data again. The others are written."
        )
    refused = [{"path": each.path, "reason": each.detail} for each in results if each.outcome == "refused"]
    return {**{name: 0 for name in ("changed", "unchanged", "refused")}, **tally(results), "reasons": refused}


def _table(name: str, source: Source, images: list[ExportImage], out: Path, options: ExportOptions) -> dict[str, Any]:
    if name == "metadata":
        table = metadata(source, images)
        write_metadata(table, out / "metadata.csv")
        return {"place": "metadata.csv", "images": len(table)}
    regions = source.regions if source.regions is not None else pd.DataFrame()
    if name == "coco":
        write_json(out / "coco.json", coco(images, regions))
        return {"place": "coco.json", "images": len(images), "regions": len(regions)}
    write_json(out / "label_studio.json", label_studio(images, regions, options.prefix))
    write_text(out / "label_studio.xml", label_config())
    return {"place": "label_studio.json", "images": len(images), "regions": len(regions)}


def _counts(source: Source, images: Sequence[ExportImage]) -> dict[str, Any]:
    """Images = changed + unchanged, some of the changed are decoys; regions = removed + held back + left."""
    changed = sum(image.outcome == "changed" for image in images)
    counts: dict[str, Any] = {
        "images": {
            "all": len(images),
            "changed": changed,
            "unchanged": len(images) - changed,
            "decoys": sum(image.filled and not image.removed for image in images),
        },
    }
    if source.regions is not None:
        removed = source.regions["removed"].astype(bool)
        held = source.regions["held_back"].notna() & ~removed
        counts["regions"] = {
            "all": len(removed),
            "removed": int(removed.sum()),
            "held_back": int(held.sum()),
            "left": int((~removed & ~held).sum()),
        }
    return counts
