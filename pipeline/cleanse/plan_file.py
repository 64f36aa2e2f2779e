"""Reading a YAML file that a person may have edited: every mistake at once, each with its line and key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from pipeline import plain_yaml
from pipeline.errors import InputError
from pipeline.plain_yaml import PlainLoader

Model = TypeVar("Model", bound=BaseModel)


def load(path: Path, model: type[Model]) -> Model:
    """The `model` that the YAML file at `path` holds.

    Raises:
        InputError: it cannot be read, is not YAML, or says something that `model` does not allow.
    """
    try:
        text = path.read_text(encoding="utf-8")
        root, value = yaml.compose(text, Loader=PlainLoader), plain_yaml.load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}. Give the path of a plan.yaml.") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {error}") from error
    try:
        return model.model_validate(value)
    except ValidationError as error:
        mistakes = [_mistake(path, root, details) for details in error.errors(include_url=False)]
        advice = "Correct it, or delete the file: a plan is then made anew from the decisions."
        raise InputError("\n".join([*mistakes, advice])) from error


def _mistake(path: Path, root: yaml.Node | None, details: Any) -> str:
    location: tuple[str | int, ...] = details["loc"]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    message = {"extra_forbidden": "there is no such key", "missing": "this key is missing"}.get(
        details["type"], str(details["msg"]).removeprefix("Value error, ")
    )
    found = f" (found {details['input']!r})" if isinstance(details["input"], str | int | float) else ""
    return f"{path}:{_line(root, location)}: {key or 'the file'}: {message}{found}"


def _line(node: yaml.Node | None, location: Sequence[str | int]) -> int:
    """Line, counted from 1, of the key at `location`, or of the innermost part of it that exists."""
    line = node.start_mark.line if node else 0
    for part in location:
        found = _step(node, part)
        if found is None:
            break
        line, node = found
    return line + 1


def _step(node: yaml.Node | None, part: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key.start_mark.line, value) for key, value in node.value if key.value == part), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line, node.value[part]
    return None
