"""How public chest x-ray data sets call their columns, in lower case with underscores for everything else."""

from __future__ import annotations

import re
from typing import Final, Literal

Family = Literal["source", "container", "metadata", "other"]
"""source: where an image comes from; container: file and pixel format; metadata: of patient, view and device; other:
columns that nobody knows. Those are looked at one by one, since they may restate the label."""

EXTENSION: Final = "extension"
"""Name of the column that is derived from file names."""

LABEL = ("label", "finding", "findings", "finding_labels", "labels", "class", "class_name", "target", "diagnosis")
GROUP = ("patient_id", "patientid", "pid", "subject_id", "patient", "subject", "participant_id")
SPLIT = ("split", "subset", "fold", "partition")
FILE = (
    *("original_name", "original_filename", "path", "file", "filename", "file_name", "imagename", "image_name"),
    *("image", "image_path", "image_index", "image_id", "imageid"),
)
"""Columns that may name a file, those that name it as it was downloaded first."""
HASH = ("file_sha256", "original_sha256", "sha256", "md5", "image_id")
"""Equal values are equal pictures."""
NEAR = "duplicate_group"
_SOURCE = ("source", "source_site", "dataset", "site", "hospital", "institution", "centre", "center")
_CONTAINER = (
    *("width", "height", "original_width", "original_height", "originalimage_width", "originalimage_height", "rows"),
    *("columns", "bits", "bits_stored", "mode", "channels", "photometric", "photometric_interpretation"),
    *("photometricinterpretation", "file_format", "format", "file_size", EXTENSION),
)
_METADATA = (
    *("view", "view_position", "viewposition", "view_source", "projection", "methodprojection", "modality"),
    *("frontal_lateral", "ap_pa", "sex", "gender", "sex_male", "patient_sex", "patientsex", "patient_gender"),
    *("age", "age_years", "patient_age", "patientage", "manufacturer", "manufacturer_dicom", "device", "scanner"),
    *("model_name", "burned_in_annotation", "originalimagepixelspacing_x", "originalimagepixelspacing_y"),
    "pixel_spacing",
)
FAMILIES: Final[dict[str, Family]] = {
    **dict.fromkeys(_SOURCE, "source"),
    **dict.fromkeys(_CONTAINER, "container"),
    **dict.fromkeys(_METADATA, "metadata"),
}
LEFT_OUT: Final = {
    "label_raw": "it restates the label",
    "label_source": "it is about the label",
    "notes": "free text",
    "scale": "it follows from the size",
    "pad_x": "it follows from the size",
    "pad_y": "it follows from the size",
}
IDENTIFIER: Final = re.compile(
    r"(^|_)(id|uid|uuid|sha256|md5|phash|hash|name|path|url|accession)$|(instance|study)uid$"
)
POSITIVE = ("covid-19", "covid", "positive", "pneumonia", "opacity", "abnormal", "disease", "1", "level2")
