"""Which x-rays of a version take part."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pipeline.benchmark.fills.subjects import of_dataset
from pipeline.flag import REGION_COLUMNS

NOTHING = pd.DataFrame(columns=list(REGION_COLUMNS))


def test_a_split_is_kept_to(study: Any) -> None:
    def drawn(split: Any, count: int = 99) -> list[str]:
        return [each.image_id for each in of_dataset(study.dataset, NOTHING, count, 0, split)]

    assert sorted(drawn("train")) == ["id10", "id11"]
    assert len(drawn("test")) == 10
    assert len(drawn(None)) == 12
    assert drawn("test", 4) == drawn("test")[:4]
