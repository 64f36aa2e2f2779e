"""Bootstrap and permutation count patients."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.flag.profile import resampling
from pipeline.flag.profile.contingency import cramers_v
from pipeline.flag.profile.resampling import Counted, bootstrap, p_value, permuted


def share(tables: np.ndarray) -> np.ndarray:
    return tables[..., 0, 1] / tables.sum(axis=(-2, -1))


def counted(columns: np.ndarray, statistic=share, rows: np.ndarray | None = None) -> Counted:
    rows = np.zeros(len(columns), np.int64) if rows is None else rows
    return Counted(rows, columns.astype(np.int64), (int(rows.max()) + 1, 2), statistic)


def test_the_interval_is_as_wide_as_that_of_patients():
    # 50 patients with 8 equal images each: the share of one class has the spread of 50 draws, not of 400.
    ill = np.repeat(np.arange(50) % 2, 8)
    drawn = bootstrap([counted(ill)], np.repeat(np.arange(50), 8), 0)[0]
    assert drawn.std() == pytest.approx(np.sqrt(0.25 / 50), rel=0.1)
    alone = bootstrap([counted(ill)], np.arange(400), 0)[0]
    assert alone.std() == pytest.approx(np.sqrt(0.25 / 400), rel=0.1)


def test_blocks_do_not_change_the_draws(monkeypatch):
    jobs, cluster = [counted(np.arange(30) % 2)], np.arange(30) // 2
    whole = bootstrap(jobs, cluster, 1)
    monkeypatch.setattr(resampling, "_BLOCK_CELLS", 100)
    assert (bootstrap(jobs, cluster, 1) == whole).all()


def test_rows_that_count_nowhere():
    job = Counted(np.array([0, -1, 0]), np.array([1, 1, 0]), (1, 2), share)
    assert job.value() == 0.5


def test_a_patient_keeps_what_its_images_share(monkeypatch):
    """Images exchanged singly would call this significant: 20 patients of 10 images, device and class by patient."""
    generator = np.random.default_rng(0)
    cluster = np.repeat(np.arange(20), 10)
    monkeypatch.setattr(resampling, "PERMUTATIONS", 199)
    small = {"patients": 0, "images": 0}
    for seed in range(40):
        device, ill = generator.integers(0, 2, (2, 20))[:, cluster]
        job = counted(ill, cramers_v, device)
        for name, units in (("patients", cluster), ("images", np.arange(200))):
            small[name] += p_value(job.value(), permuted([job], units, seed)[0]) <= 0.05
    assert small["patients"] <= 6  # 2 expected
    assert small["images"] >= 20


def test_patients_of_different_sizes_take_whole_labels():
    cluster = np.array([0, 0, 0, 1, 2, 2])
    ill = np.array([1, 1, 1, 0, 1, 1])
    seen = set()

    def remember(table: np.ndarray) -> float:
        seen.add(tuple(table[:, 1]))
        return 0.0

    permuted([Counted(cluster, ill.astype(np.int64), (3, 2), remember)], cluster, 0)
    assert seen == {(3, 0, 2), (0, 1, 2), (3, 1, 0)}  # one patient is healthy, whichever, and all its images are


def test_p_counts_itself_and_ties():
    assert p_value(1.0, np.array([0.0, 1.0, 2.0])) == pytest.approx(3 / 4)
    assert p_value(3.0, np.zeros(99)) == pytest.approx(1 / 100)
