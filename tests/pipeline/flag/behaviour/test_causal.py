"""Removing marks under a classifier that reads one square: what it reads has an effect, a decoy has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from models.spec import ModelSpec
from pipeline.config import FlagConfig
from pipeline.dataset import IMAGE_COLUMNS, DatasetMeta, DatasetVersion, write_version
from pipeline.errors import InputError
from pipeline.flag.behaviour.causal import choose_rows, intervene
from pipeline.flag.behaviour.evidence import COLUMNS
from pipeline.flag.behaviour.summaries import erase_summary
from pipeline.flag.behaviour.transplant import transplant
from pipeline.flag.findings import RegionEvidence, build_findings
from pipeline.flag.profile.association import mark_association
from pipeline.types import StoreTransform

SIZE, COUNT = 64, 12
CLASSES = ("rest", "covid")
SPEC = ModelSpec("token", CLASSES, (SIZE, SIZE), mean=0.0, std=1.0)
TOKEN, DECOY = (8.0, 8.0, 24.0, 20.0), (60.0, 100.0, 76.0, 112.0)  # original pixels
CONFIG = FlagConfig()


class Token(nn.Module):
    """Logit of covid: 8·(mean of the token's square − 0.5)."""

    def forward(self, images: Tensor) -> Tensor:
        score = 8 * (images[:, 0, 4:10, 12:20].mean(dim=(1, 2)) - 0.5)
        return torch.stack([torch.zeros_like(score), score], dim=1)


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetVersion:
    place = StoreTransform.fit(96, 128, SIZE)
    facts = {"width": 96, "height": 128, "scale": place.scale, "pad_x": place.pad_x, "pad_y": place.pad_y}
    table = pd.DataFrame([{**dict.fromkeys(IMAGE_COLUMNS), **facts} for _ in range(COUNT)])
    table["image_id"] = [f"id{n:02d}" for n in range(COUNT)]
    table["label"] = [CLASSES[n % 2] for n in range(COUNT)]
    table["split"] = ["test", "test", "val"] * 4
    pixels = np.zeros((COUNT, SIZE, SIZE))
    for n in range(COUNT):
        pixels[n, :, 8:56] = 0.3 + 0.03 * np.random.default_rng(n).standard_normal((SIZE, 48))
        pixels[n, 4:10, 12:20] = pixels[n, 50:56, 38:46] = 0.9
    with write_version(tmp_path / "v", SIZE, "uint8") as writer:
        writer.write_shard(0, table, (pixels * 255).round().astype(np.uint8))
        writer.finish(DatasetMeta("t", "v", "T", CLASSES, "covid", SIZE, "uint8"), table, 1)
    return DatasetVersion(tmp_path / "v")


def marked() -> pd.DataFrame:
    rows = [
        (f"{kind}{n}", f"id{n:02d}", kind, None, *box)
        for n in range(COUNT)
        for kind, box in (("side", TOKEN), ("date", DECOY))
    ]
    return pd.DataFrame(rows, columns=["region_id", "image_id", "kind", "text", "x0", "y0", "x1", "y1"])


def run(dataset: DatasetVersion, regions: pd.DataFrame, rows: list[int], out: Path | None = None) -> pd.DataFrame:
    return intervene(Token().eval(), SPEC, dataset, regions, np.array(rows), CONFIG, seed=1, classes=CLASSES, out=out)


def test_what_is_read_has_an_effect_and_a_decoy_has_none(dataset: DatasetVersion) -> None:
    found = run(dataset, marked(), list(range(COUNT)))
    side, date = (found[found["kind"] == kind] for kind in ("side", "date"))
    assert len(side) == len(date) == COUNT
    before = 1 / (1 + np.exp(-8 * (round(0.9 * 255) / 255 - 0.5)))
    assert side["p_covid"].tolist() == pytest.approx([before] * COUNT, abs=1e-6)
    assert (side["effect_covid"] > 0.7).all()
    assert np.allclose(side["effect_covid"].to_numpy(float), -side["effect_rest"].to_numpy(float), atol=1e-6)
    assert (side["control_mean_covid"] == 0).all()
    assert side["flip"].all()
    assert (date["effect_covid"] == 0).all()
    assert not date["flip"].any()
    assert side["p_value_covid"].tolist() == pytest.approx([1 / (1 + 8 * COUNT)] * COUNT)
    assert (side["q_covid"] < 0.05).all()
    assert (date["q_covid"] == 1).all()


def test_results_do_not_depend_on_order_or_other_rows(dataset: DatasetVersion) -> None:
    whole = run(dataset, marked(), list(range(COUNT))).set_index(["image_id", "kind"])
    alone = run(dataset, marked().iloc[::-1], [7, 3]).set_index(["image_id", "kind"])
    same = ["region_ids", "controls", "p_covid", "effect_covid", "control_mean_covid", "control_sd_covid"]
    pd.testing.assert_frame_equal(alone[same], whole.loc[alone.index, same], check_exact=True)


def test_marks_of_one_kind_are_removed_together(dataset: DatasetVersion) -> None:
    found = run(dataset, marked().assign(kind="side"), [0])
    assert found["n_regions"].tolist() == [2]
    assert found["region_ids"].tolist() == ["date0|side0"]
    assert found["effect_covid"].iloc[0] > 0.7


def test_a_group_without_room_is_kept_untested(dataset: DatasetVersion) -> None:
    large = marked().iloc[:1].assign(x0=0.0, y0=0.0, x1=80.0, y1=100.0)
    found = run(dataset, pd.concat([large, marked().iloc[2:]]), [0, 1])
    untested = found[found["image_id"] == "id00"].iloc[0]
    assert untested["controls"] < 8
    assert pd.isna(untested[["effect_covid", "control_mean_covid", "p_value_covid", "q_covid", "flip"]]).all()
    assert untested["p_covid"] > 0.9
    assert found[found["image_id"] == "id01"]["q_covid"].notna().all()


def test_an_interrupted_run_resumes_to_the_same_table(dataset: DatasetVersion, tmp_path: Path) -> None:
    regions, rows = marked(), list(range(COUNT))
    first = run(dataset, regions, rows, tmp_path / "chunks")
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "chunks").glob("*.parquet")}
    again = run(dataset, regions, rows, tmp_path / "chunks")
    assert stamps
    assert stamps == {path: path.stat().st_mtime_ns for path in (tmp_path / "chunks").glob("*.parquet")}
    pd.testing.assert_frame_equal(first, again, check_exact=True)
    pd.testing.assert_frame_equal(first, run(dataset, regions, rows), check_exact=True)
    fewer = run(dataset, regions, rows[:2], tmp_path / "chunks")
    assert len(fewer) == 4


def test_no_regions_give_an_empty_table(dataset: DatasetVersion) -> None:
    found = run(dataset, marked().iloc[:0], [0, 1])
    assert len(found) == 0
    assert {"effect_covid", "q_rest", "flip"} <= set(found)


def test_an_unknown_class_is_refused(dataset: DatasetVersion) -> None:
    with pytest.raises(InputError, match="covid"):
        intervene(Token(), SPEC, dataset, marked(), np.array([0]), CONFIG, seed=1, classes=("covidd",))


def test_rows_are_stratified_bounded_and_repeatable(dataset: DatasetVersion) -> None:
    regions = marked()
    rare = regions[(regions["kind"] == "side") | (regions["image_id"] == "id05")]
    chosen = choose_rows(dataset, rare, FlagConfig(images=4), 0)
    assert len(chosen) == 4
    assert 5 in chosen  # the only date
    assert set(dataset.images["label"].iloc[chosen]) == set(CLASSES)
    assert chosen.tolist() == choose_rows(dataset, rare.iloc[::-1], FlagConfig(images=4), 0).tolist()
    assert len(choose_rows(dataset, regions, FlagConfig(), 0)) == COUNT
    assert len(choose_rows(dataset, regions.iloc[:0], FlagConfig(), 0)) == 0


def test_findings_confirm_the_token_and_not_the_decoy(dataset: DatasetVersion) -> None:
    regions, rows = marked(), np.arange(COUNT)
    effects = run(dataset, regions, rows.tolist())
    no_evidence = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
    pasted = transplant(Token().eval(), SPEC, dataset, regions, CONFIG, seed=1, classes=CLASSES)
    gathered = RegionEvidence(regions, mark_association(dataset, regions, rows), no_evidence, effects, pasted)
    found = build_findings(dataset, gathered, CONFIG, 1)
    assert [(finding["kind"], finding["status"]) for finding in found] == [
        ("side", "confirmed"),
        ("date", "not-confirmed"),
    ]
    assert found[0]["class"] == "covid"


class Sure(Token):
    """The token model, so sure of itself that probabilities hardly move."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + torch.tensor([0.0, 8.0])


def test_log_odds_show_what_saturated_probabilities_hide(dataset: DatasetVersion) -> None:
    found = intervene(Sure().eval(), SPEC, dataset, marked(), np.arange(4), CONFIG, seed=1, classes=CLASSES)
    side, date = (found[found["kind"] == kind] for kind in ("side", "date"))
    assert (side["effect_covid"] < 0.01).all()
    assert side["logit_effect_covid"].to_numpy(float) == pytest.approx(8 * 0.6, abs=0.4)
    assert np.allclose(side["logit_effect_covid"].to_numpy(float), -side["logit_effect_rest"].to_numpy(float))
    assert (date["logit_effect_covid"] == 0).all()
    assert (side["logit_control_sd_covid"] == 0).all()


def test_clear_kinds_take_no_further_images(
    dataset: DatasetVersion, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    regions, rows = marked(), list(range(COUNT))
    early = FlagConfig(first_look=8)
    kwargs = {"seed": 1, "classes": CLASSES}
    whole = run(dataset, regions, rows)
    assert set(whole["kind_stopped"]) == {"all tested"}
    assert set(whole["kind_looks"]) == {1}
    assert whole["passes"].sum() == COUNT * (1 + 2 * 9)
    monkeypatch.setattr("pipeline.flag.behaviour.causal.CHUNK", 4)
    short, again = (
        intervene(Token().eval(), SPEC, dataset, regions, np.array(rows), early, out=tmp_path / "c", **kwargs)
        for _ in range(2)
    )
    facts = short.groupby("kind")[["kind_available", "kind_tested", "kind_looks", "kind_stopped"]].first()
    assert facts.loc["side"].tolist() == [12, 8, 2, "effect"]
    assert facts.loc["date"].tolist() == [12, 8, 2, "no effect"]
    assert short["passes"].sum() == 8 * (1 + 2 * 9)
    pd.testing.assert_frame_equal(short, again, check_exact=True)
    same = ["image_id", "kind", "effect_covid", "logit_effect_covid", "control_sd_covid"]
    pd.testing.assert_frame_equal(short[same], whole.iloc[: len(short)][same], check_exact=True)


def test_the_summary_names_the_class_and_pays_for_the_choice(dataset: DatasetVersion) -> None:
    effects = run(dataset, marked(), list(range(COUNT)))
    date, side = erase_summary(effects.iloc[::-1], CLASSES, 0)
    assert (side["kind"], side["tested"], side["available"], side["looks"]) == ("side", COUNT, COUNT, 1)
    assert side["classes"]["covid"]["excess"]["low"] > 0.7
    assert side["classes"]["rest"]["excess"]["high"] < -0.7
    assert side["p"] == side["classes"]["covid"]["p"] < 0.002  # two opposite classes: 2 / 2**12, and chance of 10,000
    assert side["classes"]["rest"]["p"] == 1
    assert side["q"] <= 0.05
    assert date["p"] == date["q"] == 1
    assert erase_summary(effects, CLASSES, 0) == [date, side]
    assert erase_summary(effects.iloc[:0], CLASSES, 0) == []
