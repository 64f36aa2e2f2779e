"""What pages refer to exists, and obeys the content security policy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pipeline.review.web

WEB = Path(pipeline.review.web.__file__).parent
TEMPLATES = sorted((WEB / "templates").glob("*.j2"))
SCRIPTS = sorted((WEB / "static").rglob("*.js"))


def _named(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("template", TEMPLATES, ids=_named)
def test_every_asset_that_a_template_names_exists(template: Path):
    for name in re.findall(r'"/static/([^"{}]+)"', template.read_text(encoding="utf-8")):
        assert (WEB / "static" / name).is_file(), name


@pytest.mark.parametrize("template", TEMPLATES, ids=_named)
def test_no_template_has_inline_script_or_style(template: Path):
    text = template.read_text(encoding="utf-8")
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=|javascript:|https?://", text) == []
    for attributes in re.findall(r"<script\b([^>]*)>", text):
        assert "src=" in attributes or 'type="application/json"' in attributes


@pytest.mark.parametrize("script", SCRIPTS, ids=_named)
def test_every_module_that_a_script_imports_exists(script: Path):
    text = script.read_text(encoding="utf-8")
    for name in re.findall(r'(?:from|import)\s+"(\.[^"]+)"', text):
        assert (script.parent / name).resolve().is_file(), name


@pytest.mark.parametrize("script", SCRIPTS, ids=_named)
def test_no_script_makes_markup_of_text_or_reaches_elsewhere(script: Path):
    text = script.read_text(encoding="utf-8")
    assert (
        re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://(?!www\.w3\.org)",
            text,
        )
        == []
    )


def test_modules_loaded_ahead_are_those_that_the_gallery_needs():
    template = (WEB / "templates" / "gallery.html.j2").read_text(encoding="utf-8")
    [ahead] = re.findall(r"for module in \[([^\]]+)\]", template)
    seen: set[str] = set()
    todo = ["gallery.js"]
    while todo:
        text = (WEB / "static" / todo.pop()).read_text(encoding="utf-8")
        new = set(re.findall(r'from "\./([^"]+)"', text)) - seen
        seen |= new
        todo += new
    assert {f"{name}.js" for name in re.findall(r'"([^"]+)"', ahead)} == seen - {"gallery.js"}
