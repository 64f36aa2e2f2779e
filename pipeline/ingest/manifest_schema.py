"""What a manifest may say, as types. `data_manifests/README.md` is the same schema in prose.

Manifest
├── labels: LabelRules ── contains: ContainsRules ── rules: ContainsRule, ...
├── sources: FolderSource | TableSource | DicomSource | GeneratedSource, ...   (source_schema.py)
│   └── origin: GitOrigin | FilesOrigin ── files: PinnedFile, ...
├── generate: GenerateSpec
└── audit: overrides of `pipeline.config.AuditConfig`
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import Any, Literal, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator

from pipeline.config import audit_config
from pipeline.errors import did_you_mean
from pipeline.ingest.source_schema import KeyProblem, Location, Name, Source, Strict, schema_errors
from pipeline.ingest.vocabulary import View


class ContainsRule(Strict):
    """Label strings with any of these parts belong to `label`."""

    any_of: tuple[str, ...] = Field(min_length=1)
    label: str


class ContainsRules(Strict):
    """How label strings such as ``Infiltration|Pneumonia`` are read: the first rule that fits wins."""

    separator: str = Field(min_length=1)
    rules: tuple[ContainsRule, ...] = Field(min_length=1)


class LabelRules(Strict):
    """From the label a source writes to a class."""

    map: dict[str, str] = Field({}, description="raw label, exactly as written -> class")
    contains: ContainsRules | None = None
    exclude: tuple[str, ...] = ()


class GenerateSpec(Strict):
    """What the phantom generator makes; the fields of `pipeline.ingest.synthetic.PhantomSpec`."""

    images: int = Field(ge=2, description="of the internal source")
    size: int = Field(512, ge=64, le=4096, description="side, pixels")
    strength: float = Field(ge=0, le=1, description="how strongly the mark is tied to the positive class")
    mark: str = Field("PORTABLE", min_length=1)
    other_source_images: int = Field(ge=0)
    format: Literal["dicom", "png"] = "dicom"
    honest_signal: float = Field(ge=0, le=1, description="visibility of the opacities")
    seed: int = 0


class Manifest(Strict):
    """Where a data set comes from and how its labels, patients and views are read."""

    name: Name
    title: str = Field(min_length=1)
    description: str = ""
    licence: str = Field(min_length=1)
    citation: str = ""
    homepage: str = ""
    classes: tuple[str, ...] = Field(min_length=2)
    positive: str
    labels: LabelRules = LabelRules()
    exclude_views: tuple[View, ...] = ()
    patient_namespaces: dict[str, str] = Field({}, description="source -> namespace of its patient ids")
    sources: tuple[Source, ...] = Field(min_length=1)
    generate: GenerateSpec | None = None
    audit: dict[str, Any] = Field(default_factory=dict)

    _raw: bytes = PrivateAttr(b"")

    @property
    def raw_text(self) -> str:
        """The file as it was written."""
        return self._raw.decode("utf-8-sig")

    @property
    def sha256(self) -> str:
        """Hex sha256 of the file's bytes."""
        return hashlib.sha256(self._raw).hexdigest()

    @classmethod
    def from_bytes(cls, raw: bytes, values: dict[str, Any]) -> Self:
        """The manifest with these `values`, read from the file `raw`.

        Raises:
            pydantic.ValidationError: every field that is wrong.
        """
        manifest = cls.model_validate(values)
        manifest._raw = raw
        return manifest

    @field_validator("audit")
    @classmethod
    def _audit_is_a_config(cls, value: dict[str, Any]) -> dict[str, Any]:
        audit_config("standard", value)
        return value

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        problems = [*self._unknown_classes(), *self._repeated_names()]
        generated = any(source.layout == "generated" for source in self.sources)
        if generated != (self.generate is not None):
            problems.append((("generate",), "belongs to a source with layout: generated; give both or neither"))
        if problems:
            raise schema_errors(type(self), problems)
        return self

    def _unknown_classes(self) -> list[KeyProblem]:
        named: list[tuple[Location, str]] = [(("positive",), self.positive)]
        named += [(("labels", "map", raw), label) for raw, label in self.labels.map.items()]
        rules = self.labels.contains.rules if self.labels.contains else ()
        named += [(("labels", "contains", "rules", index, "label"), rule.label) for index, rule in enumerate(rules)]
        return [
            (location, f"{label!r} is not one of classes. {did_you_mean(label, self.classes)}")
            for location, label in named
            if label not in self.classes
        ]

    def _repeated_names(self) -> list[KeyProblem]:
        sources = Counter(source.name for source in self.sources)
        lists = {"classes": Counter(self.classes), "sources": sources}
        return [
            ((key,), f"{name!r} stands {count} times; names must differ")
            for key, counter in lists.items()
            for name, count in counter.items()
            if count > 1
        ]
