"""The whole comparison on a toy whose truth is known, with an explainer that knows it and one that breaks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipeline.artifacts import read_parquet, sha256_file
from pipeline.benchmark import Request, benchmark_explainers, with_trivial
from pipeline.benchmark.explainers import time_per_image
from pipeline.benchmark.trial import BATCH, SCHEMA
from pipeline.errors import InputError, IntegrityError
from tests.toys import SIZE

pytestmark = pytest.mark.slow

TRIVIAL = ["random", "centre", "edges"]
ALIKE = ("explainers.parquet", "summary.parquet", "maps.png")
"""Files that hold no timing."""
SMALL = Request(("oracle",), images=4, stability_images=0)
QUICK = Request(("oracle", "gradient"), images=10, stability_images=0)


@pytest.fixture
def run(study, conv_square, toy_spec, oracle):
    def start(out, request=QUICK, marks=study.marks, **options):
        return benchmark_explainers(
            conv_square, toy_spec, study.dataset, request, out, weights="w", marks=marks, **options
        ).set_index("explainer")

    return start


def test_trivial_maps_are_always_there_and_once():
    assert with_trivial(["gradient", "gradient", "edges"]) == ("gradient", *TRIVIAL)
    with pytest.raises(InputError, match="gradient"):
        with_trivial(["gradien"])


def test_the_known_map_is_scored_as_it_must_be(run, out):
    summary = run(out)
    assert summary.index.tolist() == ["oracle", "gradient", *TRIVIAL]
    assert summary["images"].tolist() == [10] * 5
    oracle = summary.loc["oracle"]
    assert oracle["pointing_game"] == 1
    assert oracle["pointing_game_n"] == 5  # the images with the square; where it is absent nobody knows
    assert oracle["localisation_error"] == 0
    mass = 36 * 1.0 / (36 + 0.0005 * SIZE**2)
    assert oracle["mass_inside"] == pytest.approx(mass, abs=0.005)
    assert oracle["enrichment"] == pytest.approx(oracle["mass_inside"] * SIZE**2 / 36)
    assert summary.loc["random", "enrichment"] == pytest.approx(1, abs=0.2)
    assert oracle["rise_deletion"] < summary.loc["random", "rise_deletion"]
    assert oracle["igos_deletion"] < summary.loc["edges", "igos_deletion"]
    assert summary["max_sensitivity"].isna().all()


def test_rows_add_up_and_files_are_there(run, out):
    run(out)
    table = read_parquet(out / "explainers.parquet")
    assert list(table) == list(SCHEMA)
    assert len(table) == 5 * 10
    assert table["error"].isna().all()
    assert table.loc[table["explainer"] == "gradient", ["forward", "backward"]].to_numpy().tolist() == [[1, 1]] * 10
    timings = read_parquet(out / "timings.parquet")
    assert timings["batches"].tolist() == [-(-10 // BATCH)] * 5
    assert (timings["ms_per_image"] > 0).all()
    assert not (out / "units").exists()
    page = (out / "index.html").read_text()
    assert "Toy &lt;squares&gt;" in page
    assert "decided by a mark of known place" in page


def test_without_truth_localisation_is_null_not_zero(run, out):
    summary = run(out, SMALL, marks=None)
    for metric in ("pointing_game", "mass_inside", "enrichment", "localisation_error"):
        assert summary[metric].isna().all()
        assert (summary[f"{metric}_n"] == 0).all()
    assert summary["igos_deletion"].notna().all()


def test_a_failing_explainer_is_recorded_and_the_others_go_on(run, out):
    summary = run(out, Request(("broken", "gradient"), images=10, stability_images=0))
    assert summary["failed"].tolist() == [10 - BATCH, 0, 0, 0, 0]
    assert summary["images"].tolist() == [10] * 5
    table = read_parquet(out / "explainers.parquet")
    failed = table[table["error"].notna()]
    assert failed["error"].unique().tolist() == ["ValueError: no idea of these images"]
    assert failed["igos_deletion"].isna().all()
    assert summary.loc["broken", "igos_deletion_n"] == BATCH
    assert "no idea of these images" in (out / "index.html").read_text()


def test_a_failing_metric_costs_its_own_numbers_only(run, out, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("nothing left")

    monkeypatch.setattr("pipeline.benchmark.measures.saliency_metric", fail)
    summary = run(out, SMALL)
    assert summary["saliency_metric"].isna().all()
    assert summary["igos_deletion"].notna().all()
    assert summary["failed"].sum() == 0
    errors = read_parquet(out / "explainers.parquet")["metric_errors"]
    assert errors.str.contains("saliency metric: ZeroDivisionError: nothing left").all()


@pytest.mark.slow
def test_after_a_kill_nothing_is_done_twice_and_the_bytes_are_the_same(run, out, oracle, tmp_path):
    run(tmp_path / "whole")
    whole = oracle.calls
    oracle.calls = 0

    def stop(stage, done, total):
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(out, progress=stop)
    assert not (out / "index.html").exists()
    run(out)
    assert (whole, oracle.calls) == (2, 2)
    for name in ALIKE:
        assert sha256_file(out / name) == sha256_file(tmp_path / "whole" / name), name
    run(out)
    assert oracle.calls == 2


def test_a_folder_of_another_request_is_refused(run, out):
    run(out, SMALL)
    with pytest.raises(IntegrityError, match="another request"):
        run(out, QUICK)
    with pytest.raises(IntegrityError, match="another request"):
        run(out, SMALL, marks=None)


@pytest.mark.slow
def test_costly_metrics_are_measured_on_a_few_images(run, out, monkeypatch):
    small = {"bias_index": 0.5, "shift_error": 0.0, "random_weight_correlation": 0.25, "dark_bright_ratio": 1.0}
    monkeypatch.setattr("pipeline.benchmark.trial.glyph_worlds", lambda **_: ())
    monkeypatch.setattr("pipeline.benchmark.trial.patch_effects", lambda *_: None)
    monkeypatch.setattr(
        "pipeline.benchmark.trial.input_bias", lambda names, **_: pd.DataFrame([{"method": names[0], **small}])
    )
    summary = run(out, Request(("oracle", "gradient", "sp"), images=10, stability_images=3))
    assert summary[["randomised_all_n", "max_sensitivity_n", "noise_floor_n"]].eq(3).all(axis=None)
    assert summary.loc["centre", "attack_stability"] == 0  # a map that never changes, whatever the attack
    oracle = summary.loc["oracle"]
    assert (oracle["max_sensitivity"], oracle["noise_floor"], oracle["randomised_all"]) == (0, 0, 1)
    assert summary.loc["gradient", "randomised_all"] < 0.9
    assert summary.loc["random", "noise_floor"] > 0.1
    assert summary.loc["gradient", "noise_floor"] == 0
    assert summary["robustness_n"].tolist() == [0, 0, 3, 0, 0, 0]
    assert summary["bias_index"].tolist() == [0.5] * 6


def test_bias_that_cannot_be_measured_is_said(run, out, monkeypatch):
    def fail(**_):
        raise InputError("no worlds")

    monkeypatch.setattr("pipeline.benchmark.trial.glyph_worlds", fail)
    summary = run(out, Request(("oracle",), images=4, stability_images=1))
    assert summary["bias_index"].isna().all()
    assert summary["bias_error"].tolist() == ["input bias: InputError: no worlds"] * 4


def test_time_is_the_median_over_batches():
    table = pd.DataFrame(
        {
            "explainer": ["a"] * 5 + ["b"],
            "error": [None] * 5 + ["ValueError: no"],
            "seconds": [2.0, 2.0, 9.0, 4.0, 4.0, np.nan],
            "peak_bytes": pd.array([10, 10, 30, 20, 20, None], dtype="Int64"),
        }
    )
    timings = time_per_image(table)
    assert timings["batches"].tolist() == [3, 0]
    assert timings["ms_per_image"].tolist() == [2000.0, pd.NA]
    assert timings["peak_bytes"].tolist() == [30, pd.NA]
