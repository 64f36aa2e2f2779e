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
from pipeline.report.page import MAX_EXAMPLES, pick_examples, show, summary
from pipeline.report.tables import characteristics, composition
from pipeline.types import Box, StoreTransform

ADDRESS = re.compile(r"""(?:\b(?:src|srcset|href)=|url\()["']?([^"'>\s)]+)""")


def test_full_report_has_every_section_and_the_numbers(page: str) -> None:
    for section in (
        "summary",
        "question",
        "data",
        "method",
        "findings",
        "cleansing",
        "comparison",
        "calibration",
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


def test_decisions_about_single_regions_are_shown_with_who_and_with_a_warning(full: ReportInput) -> None:
    names = full.dataset.classes
    own = {
        **{"removed": {names[0]: 4, names[1]: 31}, "kept": {names[0]: 2, names[1]: 0}, "review": {}},
        **{"decided_by": {"ann <b>": 37}, "warnings": ("They remove side in 4 of 60 patients.",)},
    }
    content = replace(full, plan={**(full.plan or {}), "exceptions": own})
    page = render_report(content)
    assert "Regions decided one by one" in page
    assert "ann &lt;b&gt; (37)" in page
    assert '<td class="number">31</td><td class="number">0</td><td class="number">0</td>' in page
    assert "<strong>Warning.</strong> They remove side in 4 of 60 patients." in page
    assert "They remove side in 4 of 60 patients." in summary(content)
    assert "Regions decided one by one" not in render_report(full)


def test_audit_awaiting_review_has_no_comparison(audit: ReportInput) -> None:
    page = render_report(audit)
    assert "await review: cxr-audit review run-1" in page
    assert '<section id="comparison">' not in page
    assert 'href="#comparison"' not in page


def test_no_finding_is_not_called_clean(audit: ReportInput) -> None:
    page = render_report(replace(audit, findings=[], review_hint=None))
    assert "no proof that there is none" in page
    assert "No finding in 20 images" in page


def test_same_content_same_bytes(full: ReportInput, page: str) -> None:
    assert render_report(full) == page


def test_page_refers_to_nothing_outside_itself(page: str) -> None:
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
        comparison=None,
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


CHECKED = {
    "trace": {"auroc": {"mean": 0.6, "low": 0.4, "high": 0.8}, "cleansed": 9, "untouched": 9, "patients": 12},
    "classes": {
        "before": {"mean": 0.6, "low": 0.55, "high": 0.65},
        "after": {"mean": 0.75, "low": 0.7, "high": 0.8},
        "difference": {"mean": 0.15, "low": 0.1, "high": 0.2},
        "images": 400,
        "patients": 300,
    },
    "words": ["Told from filled places."],
}


@pytest.mark.parametrize(
    ("verdict", "said"),
    [("failed", "The cleanse FAILED its fingerprint check"), ("undecided", "is undecided"), ("passed", None)],
)
def test_fingerprint_check_is_said_before_any_gain(full: ReportInput, verdict: str, said: str | None) -> None:
    content = replace(full, fingerprint={**CHECKED, "verdict": verdict})
    sentences = summary(content)
    if said is None:
        assert "fingerprint" not in " ".join(sentences)
    else:
        assert said in sentences[1]
        assert "0.60 (0.55–0.65) before, 0.75 (0.70–0.80) after, difference +0.15 (+0.10 to +0.20)" in sentences[1]
        assert "N = 400" in sentences[1]
    page = render_report(replace(content, comparison=None))
    assert f'class="status status-{verdict}">{verdict}<' in page
    assert "Told from filled places." in page


def test_what_is_left_is_counted(full: ReportInput) -> None:
    held_back = pd.DataFrame({"image_id": ["a", "a", "b"], "kind": ["word", "word", "side"], "reason": "in the lungs"})
    residual = {"still_found": 3, "words": ["3 regions are still found.", "More."]}
    content = replace(full, held_back=held_back, residual=residual)
    assert "3 regions are still found." in summary(content)
    page = render_report(replace(content, comparison=None))
    assert '<td>word</td><td>in the lungs</td><td class="number">2</td><td class="number">1</td>' in page
    assert "More." in page
    assert "Regions held back" in page


def test_method_says_splits_seeds_thresholds_and_tests(full: ReportInput, page: str) -> None:
    assert "training 8, test 4, another source 8" in page
    assert "Each arm was trained 3 times (seeds 0, 1, 2)" in page
    assert "no validation predictions to choose a threshold on" in page
    assert "95 % intervals are percentiles over 300 bootstrap samples of patients" in page
    assert "McNemar" in page
    assert "no DeLong test: 200 images of 100 patients are not independent" in page
    assert "McNemar" not in render_report(replace(full, comparison=None))


def test_repairs_are_ranked(full: ReportInput) -> None:
    gain = {"mean": 0.2, "low": 0.1, "high": 0.3}
    line = {"rank": 1, "repair": "crop <x>", "is_control": False, "gain": gain, "helps": "yes"}
    line |= {"by_condition": {"other_source": gain}, "tied_with_best": False}
    ranking = {"baseline": "nothing", "conditions": ["other_source"], "seeds": 3, "ranking": [line]}
    page = render_report(replace(full, comparison=None, repairs={"ranking": ranking, "words": ["Cropping wins."]}))
    assert "crop &lt;x&gt;" in page
    assert "+0.20 (+0.10 to +0.30)" in page
    assert "Cropping wins." in page


def test_patients_and_views_by_split() -> None:
    images = pd.DataFrame({"split": ["train", "train", "test"], "sex": ["F", None, "M"], "age": [30.0, 81.0, None]})
    found = characteristics(images)
    assert found == {
        "splits": ["train", "test"],
        "lines": [
            ("sex", "F", [1, 0]),
            ("sex", "M", [0, 1]),
            ("sex", "unknown", [1, 0]),
            ("age", "20 to 39", [1, 0]),
            ("age", "80 or more", [1, 0]),
            ("age", "unknown", [0, 1]),
        ],
    }
    assert characteristics(images[["split"]]) is None


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
    page = render_report(replace(full, examples=many, comparison=None))
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
