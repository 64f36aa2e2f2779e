"""Regions in the formats of annotation tools. Boxes are those of the original pictures, marks still on them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

import pandas as pd

from pipeline import __version__
from pipeline.export.images import ExportImage
from pipeline.types import REGION_KINDS

BROWSER_PREFIX = "/data/local-files/?d="
"""Where Label Studio serves local files from."""
_SOFTWARE = f"cxr-audit {__version__}"

Region = Mapping[Hashable, Any]


def coco(images: Sequence[ExportImage], regions: pd.DataFrame) -> dict[str, Any]:
    """COCO object detection: categories are region kinds, ``bbox`` is [x, y, width, height] in original pixels.

    ``file_name`` is the path below the data root. ``attributes`` hold what COCO has no field for: the text, where it
    is a vocabulary word, detector, what reviewers said, and whether it is removed.
    """
    number = {image.image_id: position for position, image in enumerate(images, start=1)}
    category = {kind: position for position, kind in enumerate(REGION_KINDS, start=1)}
    return {
        "info": {"description": "regions found on chest x-rays", "version": _SOFTWARE},
        "images": [
            {"id": number[each.image_id], "file_name": each.path, "width": each.width, "height": each.height}
            for each in images
        ],
        "categories": [{"id": category[kind], "name": kind, "supercategory": "artefact"} for kind in REGION_KINDS],
        "annotations": [
            {
                "id": position,
                "image_id": number[str(region["image_id"])],
                "category_id": category[region["kind"]],
                "bbox": [region["x0"], region["y0"], region["x1"] - region["x0"], region["y1"] - region["y0"]],
                "area": (region["x1"] - region["x0"]) * (region["y1"] - region["y0"]),
                "segmentation": [_corners(region)],
                "iscrowd": 0,
                "score": region["confidence"],
                "attributes": _attributes(region),
            }
            for position, region in enumerate(regions.to_dict("records"), start=1)
        ],
    }


def label_studio(
    images: Sequence[ExportImage], regions: pd.DataFrame, prefix: str = BROWSER_PREFIX
) -> list[dict[str, Any]]:
    """Label Studio tasks with the regions as pre-annotations, x, y, width and height in percent of the picture.

    Pictures are named ``<prefix><path in a PNG tree>``: a browser shows no DICOM. Export the version that was ingested
    as png to have them with their marks.
    """
    by_image = {str(name): table.to_dict("records") for name, table in regions.groupby("image_id")}
    return [
        {
            "data": {"image": f"{prefix}{image.png}", "image_id": image.image_id, "path": image.path},
            "predictions": [
                {
                    "model_version": _SOFTWARE,
                    "result": [_pre_annotation(region, image) for region in by_image.get(image.image_id, [])],
                }
            ],
        }
        for image in images
    ]


def label_config() -> str:
    """The labelling interface (XML) that `label_studio` tasks fit."""
    labels = "\n".join(f"    <Label value={quoteattr(kind)}/>" for kind in REGION_KINDS)
    return (
        '<View>\n  <Image name="image" value="$image" zoom="true" zoomControl="true"/>\n'
        f'  <RectangleLabels name="kind" toName="image">\n{labels}\n  </RectangleLabels>\n</View>\n'
    )


def _pre_annotation(region: Region, image: ExportImage) -> dict[str, Any]:
    across, down = 100 / image.width, 100 / image.height
    return {
        "id": region["region_id"],
        "type": "rectanglelabels",
        "from_name": "kind",
        "to_name": "image",
        "original_width": image.width,
        "original_height": image.height,
        "image_rotation": 0,
        "score": region["confidence"],
        "value": {
            "x": region["x0"] * across,
            "y": region["y0"] * down,
            "width": (region["x1"] - region["x0"]) * across,
            "height": (region["y1"] - region["y0"]) * down,
            "rotation": 0,
            "rectanglelabels": [region["kind"]],
        },
        "meta": _attributes(region),
    }


def _corners(region: Region) -> list[float]:
    x0, y0, x1, y1 = (region[name] for name in ("x0", "y0", "x1", "y1"))
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def _attributes(region: Region) -> dict[str, Any]:
    optional = ("text", "detector", "finding", "held_back", "origin", "verdict", "decided_by")
    known = {name: region[name] for name in optional if not pd.isna(region.get(name))}
    return {**known, "removed": bool(region["removed"])}
