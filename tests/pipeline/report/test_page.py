"""The page holds what it was given, escaped, self-contained and the same every time."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.report import Example, ReportInput, make_example, render_report
from pipeline.report.page import MAX_EXAMPLES, composition, pick_examples, show
from pipeline.types import Box, StoreTransform

ADDRESS = re.compile(r"""(?:\b(?:src|srcset|href)=|url\()["']?([^"'>\s)]+)""")


def test_full_report_has_every_section_and_the_numbers(full: ReportInput) -> None:
    page = render_report(full)
    for section in (
        "summary",
        "data",
        "model",
        "findings",
        "cleansing",
        "comparison",
        "explanations",
        "limits",
        "provenance",
    ):
        assert f'<section id="{section}">' in page
        assert f'href="#{section}"' in page
    for text in (
        "0.21 (0.17–0.26)",
        "Not a medical device",
        "does not remove the hospital",
        "cxr-audit run study.yaml",
        "policy: confirmed",
    ):
        assert text in page
    assert page.index("side “L”") < page.index("word “PORTABLE”"), "confirmed findings come first"


def test_audit_awaiting_review_has_no_comparison(audit: ReportInput) -> None:
    page = render_report(audit)
    assert "await review: cxr-audit review run-1" in page
    assert '<section id="comparison">' not in page
    assert 'href="#comparison"' not in page


def test_no_finding_is_not_called_clean(audit: ReportInput) -> None:
    page = render_report(replace(audit, findings=[], review_hint=None))
    assert "no proof that there is none" in page
    assert "No finding in 20 images" in page


def test_same_content_same_bytes(full: ReportInput) -> None:
    assert render_report(full) == render_report(full)


def test_page_refers_to_nothing_outside_itself(full: ReportInput) -> None:
    page = render_report(full)
    addresses = ADDRESS.findall(page)
    assert len(addresses) > 20
    assert [each for each in addresses if not each.startswith(("data:image/", "#"))] == []
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert "default-src 'none'" in page


def test_strings_from_outside_are_escaped(full: ReportInput, make_example: Callable[..., Example]) -> None:
    evil = "<img src=x onerror=alert(1)>\"'"
    content = replace(
        full,
        run_id=evil,
        dataset=replace(full.dataset, title=evil, name=evil),
        images=full.images.assign(source=evil),
        findings=[{"id": evil, "kind": "word", "text": evil, "status": "confirmed", "summary": evil, "note": evil}],
        checks=[{"check": evil, "value": evil, "meaning": evil}],
        problems=pd.DataFrame({"reason": [evil]}),
        examples=[replace(make_example(evil), label=evil, source=evil, explainer=evil, image_id=evil)],
        provenance={evil: {evil: evil}},
    )
    page = render_report(content)
    assert "<img src=x" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") > 10


def test_composition_by_hand(audit: ReportInput) -> None:
    lines = composition(audit.images, ("rest", "covid"))
    assert [(line["source"], line["split"], line["classes"], line["total"]) for line in lines] == [
        ("a", "test", [2, 2], 4),
        ("a", "train", [4, 4], 8),
        ("b", "other_source", [4, 4], 8),
        ("all", "", [10, 10], 20),
    ]
    assert (lines[-1]["patients"], lines[-1]["unknown_patients"]) == (10, 1)


def test_unknown_source_is_counted(audit: ReportInput) -> None:
    images = audit.images.assign(source=[None] * 20)
    assert sum(line["total"] for line in composition(images, ("rest", "covid"))[:-1]) == 20


def test_examples_are_spread_over_findings_and_capped(full: ReportInput, make_example: Callable[..., Example]) -> None:
    many = [make_example("F1", n, (24, 24)) for n in range(40)] + [make_example("F2", 99, (24, 24))]
    chosen = pick_examples(many, MAX_EXAMPLES)
    assert len(chosen) == MAX_EXAMPLES
    assert [example.finding for example in chosen[:2]] == ["F1", "F2"]
    page = render_report(replace(full, examples=many))
    assert page.count('class="example"') == MAX_EXAMPLES
    assert "17 more examples" in page
    assert len(page) < 3_000_000


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (True, "yes"),
        (1234567, "1,234,567"),
        (0.03125, "0.0312"),
        (-0.5, "−0.5"),
        ((160, 160), "160, 160"),
        ({"covid": {"mean": 0.8, "low": 0.7, "high": 0.9}, "rest": 3}, "covid 0.80 (0.70–0.90), rest 3"),
        ({"value": 0.5, "low": 0.4, "high": 0.6, "n": 1000}, "0.50 (0.40–0.60), N\u00a0=\u00a01,000"),
    ],
)
def test_show(value: object, text: str) -> None:
    assert show(value) == text


def test_example_from_a_store_drops_padding_and_moves_boxes(tmp_path: pytest.TempPathFactory) -> None:
    place = StoreTransform.fit(96, 128, 64)
    row = {"image_id": "a", "label": "covid", "source": "s", "width": 96, "height": 128}
    table = pd.DataFrame([{**row, "scale": place.scale, "pad_x": place.pad_x, "pad_y": place.pad_y}])
    table = table.reindex(columns=list(IMAGE_COLUMNS))
    pixels = np.zeros((1, 64, 64), dtype=np.uint8)
    pixels[0, :, 8:56] = 51
    pixels[0, 4:10, 12:20] = 255
    with write_version(tmp_path / "d", 64, "uint8") as writer:  # type: ignore[operator]
        writer.write_shard(0, table, pixels)
        writer.finish(DatasetMeta("d", "v", "D", ("rest", "covid"), "covid", 64, "uint8"), table, 1)
    version = DatasetVersion(tmp_path / "d")  # type: ignore[operator]
    example = make_example(
        version, 0, "F1", [Box(8, 8, 24, 20)], cleansed=version, saliency=np.eye(64, dtype=np.float32)
    )
    assert example.image.shape == (64, 48)
    assert example.boxes == (Box(4, 4, 12, 10),)
    assert example.image[4:10, 4:12].min() == 1
    assert example.image.min() == pytest.approx(0.2)
    assert example.saliency is not None
    assert example.saliency.shape == (64, 48)
    assert (example.source, example.split) == ("s", None)


def test_what_gives_the_label_away_outside_the_pixels_is_said() -> None:
    from pipeline.report.page import leaks

    telling = {"check": "label from source", "value": {"mean": 0.99, "low": 0.98, "high": 1.0, "n": 40}, "meaning": ""}
    weak = {"check": "label from container", "value": {"mean": 0.6, "low": 0.5, "high": 0.7, "n": 40}, "meaning": ""}
    skipped = {"check": "label from view", "value": None, "meaning": "constant"}
    (sentence,) = leaks([telling, weak, skipped])
    assert "from source (AUROC 0.99" in sentence
    assert "container" not in sentence
    assert leaks([weak, skipped]) == []
