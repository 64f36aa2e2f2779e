"""Reading a manifest: every mistake in it at once, each with its line, column, key and what is allowed."""

from __future__ import annotations

import re
import typing
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from pipeline.config import AuditConfig
from pipeline.errors import ManifestError, did_you_mean
from pipeline.ingest.manifest_schema import Manifest
from pipeline.ingest.manifest_yaml import Place, YamlDocument
from pipeline.ingest.source_schema import Location

__all__ = ["Manifest", "builtin_manifests", "find_manifest", "load_manifest"]

_SUFFIXES = (".yaml", ".yml")


def load_manifest(path: Path) -> Manifest:
    """Read the manifest at `path`.

    Raises:
        ManifestError: it is missing, is not YAML, or says something the schema does not allow; all mistakes are listed.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ManifestError(
            f"{path}: cannot be read ({error.strerror}). Give the path of a YAML file, "
            f"or one of the built-in manifests: {', '.join(builtin_manifests())}."
        ) from error
    return _parse(raw, str(path))


def builtin_manifests() -> dict[str, Traversable]:
    """Manifests that come with cxr-audit, by name, in name order."""
    found = {
        Path(entry.name).stem: entry for entry in files("data_manifests").iterdir() if entry.name.endswith(_SUFFIXES)
    }
    return dict(sorted(found.items()))


def find_manifest(name_or_path: str) -> Manifest:
    """The manifest at a path, or the built-in one of that name.

    Raises:
        ManifestError: there is none, or it is wrong.
    """
    if name_or_path.endswith(_SUFFIXES) or Path(name_or_path).name != name_or_path:
        return load_manifest(Path(name_or_path))
    builtin = builtin_manifests()
    if name_or_path not in builtin:
        raise ManifestError(
            f"No built-in manifest is called {name_or_path!r}. {did_you_mean(name_or_path, builtin)} "
            "A file of your own is given by its path, ending in .yaml."
        )
    return _parse(builtin[name_or_path].read_bytes(), str(builtin[name_or_path]))


@dataclass(frozen=True)
class _Mistake:
    place: Place
    path: Location
    message: str

    def __str__(self) -> str:
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path).lstrip(".")
        return f"{self.place.line}:{self.place.column}: {f'{key}: ' if key else ''}{self.message}"


def _parse(raw: bytes, where: str) -> Manifest:
    document = _read_yaml(raw, where)
    mistakes = [
        _Mistake(place, path, f"this key already stands in line {first.line}; keep one")
        for path, place, first in document.repeated
    ]
    try:
        manifest = Manifest.from_bytes(raw, document.value)
    except ValidationError as error:
        mistakes += [
            _mistake(document, details) for details in error.errors(include_url=False) if not _is_echo(details)
        ]
    if mistakes:
        raise _manifest_error(where, mistakes)
    return manifest


def _read_yaml(raw: bytes, where: str) -> YamlDocument:
    try:
        document = YamlDocument(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        message = f"byte 0x{raw[error.start]:02x} is not UTF-8; save the manifest as UTF-8"
        raise _manifest_error(where, [_Mistake(Place(line, 1), (), message)]) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place.of(mark) if mark else Place(1, 1)
        raise _manifest_error(where, [_Mistake(place, (), f"not valid YAML: {error.problem}")]) from error
    except yaml.YAMLError as error:  # a control character: the reader names no line
        raise _manifest_error(where, [_Mistake(Place(1, 1), (), f"not valid YAML: {error}")]) from error
    if not isinstance(document.value, dict):
        message = "a manifest is a mapping that starts with 'name: ...'; see data_manifests/README.md"
        raise _manifest_error(where, [_Mistake(Place(1, 1), (), message)])
    return document


def _manifest_error(where: str, mistakes: list[_Mistake]) -> ManifestError:
    ordered = sorted(mistakes, key=lambda mistake: (mistake.place.line, mistake.place.column))
    lines = [f"{where}:{mistake}" for mistake in ordered]
    return ManifestError("\n".join([*lines, "Every field is described in data_manifests/README.md."]))


def _is_echo(details: Any) -> bool:
    """Pydantic calls a list too short when its items are wrong, besides reporting the items."""
    return bool(details["type"] == "too_short" and len(details["input"]) > details["ctx"]["actual_length"])


def _mistake(document: YamlDocument, details: Any) -> _Mistake:
    path, owner = _resolve(details["loc"])
    if details["type"] == "union_tag_invalid":
        path = (*path, details["ctx"]["discriminator"].strip("'"))
    return _Mistake(document.place(path), path, _message(details, path, owner))


def _message(details: Any, path: Location, owner: type[BaseModel] | None) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden" and owner is not None:
        return f"unknown key. {did_you_mean(str(path[-1]), owner.model_fields)}"
    if kind in ("literal_error", "union_tag_invalid"):
        allowed = re.findall(r"'([^']*)'", context.get("expected") or context["expected_tags"])
        found = str(context.get("tag", details["input"]))
        return f"{found!r} is not allowed here. {did_you_mean(found, allowed)}"
    if kind == "union_tag_not_found":
        return f"needs the key {context['discriminator']}"
    if kind == "missing":
        return "this key is required"
    if kind in ("manifest", "value_error"):
        return str(details["msg"]).removeprefix("Value error, ")
    return f"{details['msg'][0].lower()}{details['msg'][1:]}; found {details['input']!r}"


def _resolve(location: Location) -> tuple[Location, type[BaseModel] | None]:
    """Split pydantic's location into the path in the file and the model that owns its last key.

    Pydantic puts the chosen member of a union (``folders``) between the keys; the file has no such key.
    """
    models: list[type[BaseModel]] = [Manifest]
    owner: type[BaseModel] | None = None
    path: list[str | int] = []
    for part in location:
        if isinstance(part, int):
            path.append(part)
        elif len(models) > 1:
            models = [model for model in models if part in _tags(model)]
        elif part != "[key]":
            path.append(part)
            owner = models[0] if models else None
            models = _models_of(owner, part)
    return tuple(path), owner


def _models_of(owner: type[BaseModel] | None, field: str) -> list[type[BaseModel]]:
    if owner is Manifest and field == "audit":
        return [AuditConfig]
    if owner is None or field not in owner.model_fields:
        return []
    return list(_models_in(owner.model_fields[field].annotation))


def _models_in(annotation: Any) -> typing.Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)


def _tags(model: type[BaseModel]) -> tuple[str, ...]:
    """Values of the key that picks `model` out of a union."""
    for name in ("layout", "kind"):
        if name in model.model_fields:
            return typing.get_args(model.model_fields[name].annotation)
    return ()
