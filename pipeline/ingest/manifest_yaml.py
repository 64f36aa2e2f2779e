"""YAML that remembers where everything stood, so that an error can name line and column.

Stricter than YAML 1.1: keys are text, ``yes``/``no``/``on``/``off`` and dates are text (a label may be called
``No``), ``001`` keeps its zeros, a key may stand once, and anchors and tags are refused (`pipeline.plain_yaml`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

from pipeline.plain_yaml import PlainLoader


class _Loader(PlainLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012  # ours alone, filled below


for _tag, _pattern, _first in (
    ("null", r"|~|null|Null|NULL", ["", "~", "n", "N"]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


@dataclass(frozen=True)
class Place:
    """A position in the file, both counted from 1."""

    line: int
    column: int

    @classmethod
    def of(cls, mark: Any) -> Place:
        """From one of PyYAML's marks, which count from 0."""
        return cls(mark.line + 1, mark.column + 1)


class YamlDocument:
    """One parsed document: its plain `value`, its repeated keys, and where each key stands."""

    def __init__(self, text: str) -> None:
        """Parse `text`.

        Raises:
            yaml.YAMLError: not YAML, or YAML that only a program would write.
        """
        loader = _Loader(text)
        try:
            self._root = loader.get_single_node()
            self.repeated: list[tuple[tuple[str | int, ...], Place, Place]] = []
            self.value: Any = self._build(loader, self._root, ()) if self._root is not None else None
        finally:
            loader.dispose()

    def place(self, path: tuple[str | int, ...]) -> Place:
        """Where the key at `path` stands, or the innermost part of it that exists."""
        node, place = self._root, Place(1, 1)
        for part in path:
            found = _step(node, part)
            if found is None:
                break
            place, node = found
        return place

    def _build(self, loader: _Loader, node: yaml.Node, path: tuple[str | int, ...]) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._build_mapping(loader, node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._build(loader, item, (*path, index)) for index, item in enumerate(node.value)]
        return loader.construct_object(node)

    def _build_mapping(self, loader: _Loader, node: yaml.MappingNode, path: tuple[str | int, ...]) -> dict[str, Any]:
        built: dict[str, Any] = {}
        first: dict[str, Place] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be plain text", problem_mark=key.start_mark)
            name, place = str(key.value), Place.of(key.start_mark)
            if name in first:
                self.repeated.append(((*path, name), place, first[name]))
            first.setdefault(name, place)
            built[name] = self._build(loader, value, (*path, name))
        return built


def _step(node: Any, part: str | int) -> tuple[Place, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return Place.of(key.start_mark), value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return Place.of(node.value[part].start_mark), node.value[part]
    return None
