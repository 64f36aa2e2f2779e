"""YAML as a person writes it. What only a program or an attacker writes is refused: tags, anchors and aliases, which
can make objects and expand without bound, and nesting so deep that it exhausts the stack.
"""

from __future__ import annotations

from typing import Any

import yaml

DEEPEST = 50
"""Levels of lists and mappings within each other. A manifest has six."""


class PlainLoader(yaml.SafeLoader):
    """PyYAML's safe loader, without what is refused here."""

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """See PyYAML.

        Raises:
            yaml.MarkedYAMLError: an anchor, an alias, a tag, or too many levels.
        """
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None:
            raise _refused("anchors and aliases are not allowed; write the value out", event)
        if getattr(event, "tag", None) is not None:
            raise _refused(f"tags such as {event.tag[:40]!r} are not allowed; write the plain value", event)
        if self._depth == DEEPEST:
            raise _refused(f"more than {DEEPEST} levels within each other", event)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """See PyYAML.

        Raises:
            yaml.MarkedYAMLError: a number or date that there cannot be.
        """
        try:
            return super().construct_object(node, deep=deep)
        except ValueError as error:  # 2026-02-31, or a number of 5,000 digits
            raise yaml.MarkedYAMLError(problem=str(error), problem_mark=node.start_mark) from error


def load(text: str) -> Any:
    """The plain value of one document.

    Raises:
        yaml.YAMLError: not YAML, or not plain.
    """
    return yaml.load(text, Loader=PlainLoader)  # noqa: S506  # a safe loader


def _refused(problem: str, event: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
