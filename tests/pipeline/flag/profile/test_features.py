"""Numbers in bins, words by frequency, empty cells as a value."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pipeline.flag.profile.features import MAX_LEVELS, feature


def test_a_value_that_fills_a_bin_stands_alone():
    widths = np.r_[np.full(400, 1024), np.arange(700, 1300)]
    levels = feature(pd.Series(widths, name="width"), "container").levels(10)
    alone = levels.names.index("1024")
    assert (levels.codes == alone).sum() == 401
    assert levels.codes[400 + 323] != alone  # 1023
    assert 8 <= len(levels.names) <= 12
    assert (np.diff([widths[levels.codes == code].min() for code in range(len(levels.names))]) > 0).all()


def test_few_numbers_are_each_a_level_and_empty_is_one():
    levels = feature(pd.Series(["8", "16", None, "8"], name="bits", dtype="string"), "container").levels(10)
    assert levels.names == ("8", "16", "missing")
    assert levels.codes.tolist() == [0, 1, 2, 0]


def test_what_is_no_number_is_missing_and_counted():
    found = feature(pd.Series(["1", "2", "3", "4", "50+", None], name="age", dtype="string"), "metadata")
    assert (found.numeric, found.unread, found.missing.tolist()) == (True, 1, [False] * 4 + [True] * 2)


def test_words_are_numbered_by_frequency():
    found = feature(pd.Series(["PA", "AP", None, "AP"], name="view", dtype="string"), "metadata")
    assert found.names == ("AP", "PA", "missing")
    assert found.values.tolist() == [1, 0, 2, 0]


def test_rare_words_are_pooled():
    words = pd.Series([f"w{n:03d}" for n in range(300)] + ["common"], name="site", dtype="string")
    found = feature(words, "source")
    assert len(found.names) == MAX_LEVELS
    assert found.names[-1] == "102 rarer values"
    assert found.values.max() == MAX_LEVELS - 1
