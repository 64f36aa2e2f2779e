"""Mutations of text files, line by line and word by word."""

from __future__ import annotations

import random
import re
from typing import Final

HOSTILE: Final = (
    *("", "null", "true", "-1", "0", "1e999", ".inf", ".nan", "9" * 5000, "0x10", "2026-01-01", "\u202etxt", "é"),
    *("!!python/object/apply:os.system ['true']", "!!int x", "!!float y", "!!bool z", "!!timestamp t", "!!binary @"),
    *("!!set {a, b}", "!!omap [a]", "!<tag:x> y", "&a [*a]", "*a", "<<: {a: b}", "? [a]: b", "%YAML 9.9", "---", "..."),
    *("../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "http://169.254.169.254/", "a/" * 3000, "x" * 300),
    *('"\\0"', '"\\ud800"', "=cmd|'/c'!A1", "<script>alert(1)</script>", "\x1b[2J", "\0", "\x85", "\u2028", "'", '"'),
    *("[" * 3000, "{a: " * 2000, "- " * 3000, "(a+)+$", "(?P<patient>", "(?P<patient>.)", "table", "covidx", "dicom"),
    *("folders", "generated", "internal", "train", "test", "LATERAL", "ill", "normal", "idna", "undefined", "utf-16"),
)
KEYS: Final = (
    *("name", "table", "root", "layout", "format", "separator", "encoding", "columns", "where", "roles", "origin"),
    *("extensions", "path_prefix", "class_folders", "generate", "audit", "label_table", "patient_salt", "url"),
    *("file_pattern", "ignore", "labels", "contains", "recursive"),
)
_WORD: Final = re.compile(r"[^\s,:{}\[\]]+")


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One mutation of text; other encodings included."""
    text = data.decode("utf-8", "surrogateescape")
    lines = text.splitlines(keepends=True) or [""]
    rng.choice((_word, _word, _word, _drop, _again, _swap, _indent, _key, _insert, _cut))(lines, rng)
    changed = "".join(lines)
    encoding = rng.choices(("utf-8", "utf-16", "latin-1", "utf-8-sig"), (90, 4, 4, 2))[0]
    return changed.encode(encoding, "surrogateescape" if encoding.startswith("utf-8") else "replace")


def _word(lines: list[str], rng: random.Random) -> None:
    at = rng.randrange(len(lines))
    words = list(_WORD.finditer(lines[at]))
    if words:
        word = rng.choice(words)
        lines[at] = lines[at][: word.start()] + rng.choice(HOSTILE) + lines[at][word.end() :]


def _drop(lines: list[str], rng: random.Random) -> None:
    del lines[rng.randrange(len(lines))]


def _again(lines: list[str], rng: random.Random) -> None:
    at = rng.randrange(len(lines))
    lines[at:at] = [lines[at]] * rng.choice((1, 1, 2000))


def _swap(lines: list[str], rng: random.Random) -> None:
    one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]


def _indent(lines: list[str], rng: random.Random) -> None:
    at = rng.randrange(len(lines))
    lines[at] = rng.choice(("  ", "\t", "- ", "  - ", " " * 2000)) + lines[at]


def _key(lines: list[str], rng: random.Random) -> None:
    at = rng.randrange(len(lines))
    indent = len(lines[at]) - len(lines[at].lstrip(" -"))
    lines.insert(at, " " * indent + f"{rng.choice(KEYS)}: {rng.choice(HOSTILE)}\n")


def _insert(lines: list[str], rng: random.Random) -> None:
    lines.insert(rng.randrange(len(lines) + 1), rng.choice(HOSTILE) + rng.choice(("", "\n", "\r")))


def _cut(lines: list[str], rng: random.Random) -> None:
    at = rng.randrange(len(lines))
    lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]
