"""Every test that docs/security.md names is there, and what other pages say of tests as well."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def guarantees() -> dict[str, list[str]]:
    """What is guaranteed -> what stands in backticks in the column of tests."""
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    section = text.split("## What is guaranteed")[1].split("\n## ")[0]
    rows = [line.strip().strip("|").rsplit("|", 1) for line in section.splitlines() if line.startswith("|")]
    return {said.strip(): re.findall(r"`([^`]+)`", tests) for said, tests in rows[2:]}


GUARANTEES = guarantees()


def functions(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


def located(name: str) -> Path:
    """A file or folder by its path, or a file of tests by its name alone."""
    if "/" in name:
        return ROOT / name
    found = [*(ROOT / "tests").rglob(name)]
    assert len(found) == 1, f"{name} names {len(found)} files"
    return found[0]


def missing(named: list[str]) -> list[str]:
    """What is not there. A function alone is one of the file before it; `...` stands for the rest of its name."""
    file, absent = None, []
    for each in named:
        place, _, function = each.partition("::") if not each.startswith("test_") or ".py" in each else ("", "", each)
        if each.startswith("make "):
            continue
        file = located(place) if place else file
        if file is None or not file.exists():
            absent.append(each)
        elif function:
            start = function.removesuffix("...")
            known = functions(file)
            if function not in known and not (start != function and any(name.startswith(start) for name in known)):
                absent.append(each)
    return absent


def test_the_table_is_read() -> None:
    assert len(GUARANTEES) > 10
    assert missing(["tests/security/test_the_document.py::test_nowhere", "test_the_table_..."]) == [
        "tests/security/test_the_document.py::test_nowhere"
    ]
    assert missing(["tests/nowhere.py"]) == ["tests/nowhere.py"]
    assert missing(["test_the_document.py", "test_the_tab", "`make fuzz`".strip("`")]) == ["test_the_tab"]


@pytest.mark.parametrize("guarantee", GUARANTEES)
def test_a_guarantee_has_tests_that_are_there(guarantee: str) -> None:
    assert GUARANTEES[guarantee], "no test is named"
    assert missing(GUARANTEES[guarantee]) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tests_that_a_page_names_are_there(page: Path) -> None:
    named = re.findall(r"`(tests/[^`\s]*)`", page.read_text(encoding="utf-8"))
    assert missing([each for each in named if "*" not in each]) == []
