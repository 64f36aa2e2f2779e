"""What a manifest may say about one source of images: where it comes from and how it lies on disk."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

Role = Literal["internal", "other_source"]

LOOPBACK = ("127.0.0.1", "::1", "localhost")
PATTERN_GROUPS = ("patient", "view", "study")
PHANTOM_TABLE = "phantoms.csv"


def _relative(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or value != value.strip():
        raise ValueError(f"{value!r} must be a relative path with forward slashes and without '..'")
    return path.as_posix()


def _file_pattern(value: str) -> str:
    try:
        groups = set(re.compile(value).groupindex)
    except re.error as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from error
    if not groups or groups - set(PATTERN_GROUPS):
        found = ", ".join(sorted(groups)) or "none"
        raise ValueError(f"needs named groups, any of (?P<{'>...), (?P<'.join(PATTERN_GROUPS)}>...); found {found}")
    return value


def download_url(value: str) -> str:
    """`value`, if it is an address that may be downloaded from.

    Raises:
        ValueError: it is neither https nor on this machine, or it holds a password.
    """
    parts = urlsplit(value)
    if parts.username is not None or parts.password is not None:  # not quoted: messages and logs are kept
        raise ValueError("an address must not hold a user name or password; manifests are copied into every version")
    if not (parts.scheme == "https" and parts.hostname) and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
        raise ValueError(f"{value!r} must be https:// (or http:// on this machine)")
    return value


def _git_url(value: str) -> str:
    if value.startswith(("/", "file:///")):
        return value
    return download_url(value)


RelativePath = Annotated[str, Field(min_length=1), AfterValidator(_relative)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
DownloadUrl = Annotated[str, AfterValidator(download_url)]


class Strict(BaseModel):
    """A section of a manifest: no unknown keys, never changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


Location = tuple[str | int, ...]
KeyProblem = tuple[Location, str]


def schema_errors(model: type[BaseModel], problems: list[KeyProblem]) -> ValidationError:
    """Several problems at their own keys, as pydantic reports those it finds itself."""
    details: list[InitErrorDetails] = [
        {"type": PydanticCustomError("manifest", "{message}", {"message": message}), "loc": location, "input": None}
        for location, message in problems
    ]
    return ValidationError.from_exception_data(model.__name__, details)


class GitOrigin(Strict):
    """A public repository at one commit."""

    kind: Literal["git"]
    url: Annotated[str, AfterValidator(_git_url)]
    commit: str = Field(pattern=r"^[0-9a-f]{40}$")
    paths: tuple[RelativePath, ...] = Field((), description="folders and files to get; empty gets all")


class PinnedFile(Strict):
    """One download and the hash of its bytes."""

    url: DownloadUrl
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    path: RelativePath = Field(description="where it is put, below the source's folder")


class FilesOrigin(Strict):
    """Single files over https."""

    kind: Literal["files"]
    files: tuple[PinnedFile, ...] = Field(min_length=1)


Origin = Annotated[GitOrigin | FilesOrigin, Field(discriminator="kind")]


class _Source(Strict):
    name: Name
    role: Role = "internal"
    licence: str | None = Field(None, description="where it differs from the manifest's")
    origin: Origin | None = None
    root: RelativePath | None = None

    @property
    def folder(self) -> str:
        """Folder of this source below the data root: `root`, else where `fetch` puts it, else the data root."""
        return self.root or (self.name if self.origin else ".")

    @model_validator(mode="after")
    def _root_is_where_fetch_puts_it(self) -> Self:
        if self.origin and self.root and PurePosixPath(self.root).parts[:1] != (self.name,):
            message = f"fetch puts this source into {self.name}/, so its root lies there; found {self.root!r}"
            raise schema_errors(type(self), [(("root",), message)])
        return self


class _TableFile(Strict):
    table: RelativePath = Field(description="CSV, TSV or Parquet file below the source's folder")
    separator: str | None = Field(None, min_length=1, max_length=1)
    encoding: str | None = Field(None, description="tried when the file is not UTF-8, before cp1252")

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str | None) -> str | None:
        try:
            "".encode(value or "utf-8")
        except LookupError as error:
            raise ValueError(f"{value!r} is not an encoding Python knows; try utf-8, cp1252 or latin-1") from error
        return value


class FolderSource(_Source):
    """The class of an image is the folder it lies in."""

    layout: Literal["folders"]
    class_folders: dict[RelativePath, str] = Field({}, description="folder -> raw label; empty: every direct subfolder")
    recursive: bool = True
    file_pattern: Annotated[str, AfterValidator(_file_pattern)] | None = None
    ignore: tuple[str, ...] = (".*", "Thumbs.db", "desktop.ini")


class Columns(Strict):
    """Which column of a table holds what."""

    path: str
    label: str
    patient_id: str | None = None
    study_id: str | None = None
    view: str | None = None
    sex: str | None = None
    age: str | None = None
    split: str | None = None
    source: str | None = None
    licence: str | None = None


class TableSource(_Source, _TableFile):
    """A table with one row an image."""

    layout: Literal["table"]
    format: Literal["delimited", "covidx"] = Field("delimited", description="covidx: a label file of COVIDx")
    columns: Columns
    path_prefix: RelativePath | None = None
    extensions: tuple[str, ...] = Field((), description="tried in order when the path as written is no file")
    where: dict[str, tuple[str, ...]] = Field({}, description="column -> values; other rows are excluded")
    roles: dict[str, Role] = Field({}, description="value of the source column -> role")

    @model_validator(mode="after")
    def _roles_need_a_source_column(self) -> Self:
        if self.roles and self.columns.source is None:
            raise schema_errors(
                type(self), [(("roles",), "needs columns.source, the column whose values get these roles")]
            )
        return self


class LabelTable(_TableFile):
    """A table that gives DICOM files their label."""

    key: Literal["file_name", "SOPInstanceUID", "StudyInstanceUID", "PatientID"]
    key_column: str
    label_column: str


class DicomSource(_Source):
    """A folder of DICOM files, labelled by a table or by the folder they lie in."""

    layout: Literal["dicom"]
    label_table: LabelTable | None = Field(None, description="without it the class is the folder name")
    patient_ids: Literal["hashed", "pseudonyms"] = "hashed"
    patient_salt: str | None = Field(None, min_length=8)
    ignore: tuple[str, ...] = (".*", "DICOMDIR", "Thumbs.db", "desktop.ini")

    @model_validator(mode="after")
    def _hashing_needs_salt(self) -> Self:
        if self.patient_ids == "hashed" and self.patient_salt is None:
            message = (
                "patient ids are hashed: give a secret text of 8 characters or more, or say patient_ids: pseudonyms"
            )
            raise schema_errors(type(self), [(("patient_salt",), message)])
        return self


class GeneratedSource(_Source):
    """Images that the phantom generator writes together with its table, `phantoms.csv`."""

    layout: Literal["generated"]

    def as_table(self) -> TableSource:
        """The same source as the table that the generator writes."""
        names = ("path", "label", "source", "patient_id", "view", "sex", "age", "split")
        return TableSource(
            name=self.name,
            role=self.role,
            licence=self.licence,
            root=self.root,
            layout="table",
            table=PHANTOM_TABLE,
            columns=Columns(**{name: name for name in names}),
        )


Source = Annotated[
    FolderSource | TableSource | DicomSource | GeneratedSource,
    Field(discriminator="layout"),
]
