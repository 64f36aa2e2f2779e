"""The evidence stages of an audit in their order.

Cheap evidence comes first, so that dear evidence (saliency maps) is spent where it is undecided. Whoever runs them,
flow or benchmark, explains between the two groups.
"""

from __future__ import annotations

from operator import attrgetter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.dataset import DatasetVersion
from pipeline.flag.stages import marks, whole
from pipeline.flag.stages.conclusion import conclude
from pipeline.flag.stages.inspection import Stage

_REGIONS, _EFFECTS, _MAPS, _LUNGS, _TRAITS = "regions.parquet", "effects.parquet", "saliency", "lungs", "traits.parquet"
_LOOKED_AT = attrgetter("rows")

BEFORE_MAPS = (
    Stage("profile the table", "profile.json", (), whole.profile),
    Stage("detect marks", _REGIONS, (), marks.detect_regions, rows=_LOOKED_AT),
    Stage("tie marks to classes", "association.parquet", (_REGIONS,), marks.associate),
    Stage("erase marks", _EFFECTS, (_REGIONS,), marks.erase, gpu=True),
    Stage("paste marks", "transplants.parquet", (_REGIONS, _EFFECTS), marks.paste, gpu=True),
    Stage("measure traits", _TRAITS, (), whole.measure, rows=_LOOKED_AT),
    Stage("tie traits to classes", "trait_association.parquet", (_TRAITS,), whole.associate_traits),
    Stage("move traits", "trait_effects.parquet", ("trait_association.parquet",), whole.move, gpu=True),
)
"""What needs no saliency map."""

WITH_MAPS = (
    Stage("weigh saliency", "evidence.parquet", (_REGIONS, _MAPS), marks.weigh),
    Stage("find lungs", _LUNGS, (_MAPS,), whole.find_lungs, rows=whole.lung_rows),
    Stage("weigh lungs", "lung_shares.json", (_MAPS, _REGIONS, _LUNGS), whole.weigh_lungs),
    Stage("black out", "blackout.json", (_LUNGS,), whole.black_out, gpu=True),
    Stage("probe features", "features.json", (), whole.probe_features, gpu=True),
    Stage("cluster maps", "clusters.json", (_MAPS, _REGIONS, _LUNGS), whole.cluster),
    Stage("measure subgroups", "subgroups.parquet", ("predictions.parquet", _REGIONS), whole.measure_subgroups),
    Stage("search error slices", "slices.json", ("predictions.parquet", _REGIONS), whole.search_slices),
    Stage(
        "conclude",
        "findings.json",
        (
            *(_REGIONS, "association.parquet", "evidence.parquet", _EFFECTS, "transplants.parquet"),
            *("trait_association.parquet", "trait_effects.parquet", "profile.json", "blackout.json", "clusters.json"),
        ),
        conclude,
    ),
)
"""What looks at saliency maps, and the conclusion."""


def undecided_rows(dataset: DatasetVersion, regions: pd.DataFrame, effects: pd.DataFrame) -> NDArray[np.int64]:
    """Test rows that carry a kind of region whose erase test ended without a clear verdict, sorted."""
    open_kinds = set(effects.loc[effects["kind_stopped"] == "all tested", "kind"])
    marked = set(regions.loc[regions["kind"].isin(open_kinds), "image_id"])
    rows = dataset.rows("test")
    return rows[dataset.images["image_id"].iloc[rows].isin(marked).to_numpy(dtype=bool)]
