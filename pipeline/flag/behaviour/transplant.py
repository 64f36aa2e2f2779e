"""The transplant test: does a mark that stands on images of one class pull images of other classes towards it?

The counterpart of the erase test, after DeGrave, Janizek and Lee (Nature Machine Intelligence 3, 2021), who moved
laterality tokens between images and compared with random patches. The ink is cut out, not its rectangle: the matte is
what a fill changes where the mark is removed, image − filled image, and it is added to the recipient and clipped. It
lands at the same place relative to the picture, scaled with it. Of borders and corners, which are places rather than
ink, the pixels themselves are copied.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from torch import nn

from models.spec import ModelSpec
from pipeline.config import FlagConfig
from pipeline.dataset import DatasetVersion
from pipeline.flag.behaviour.chunks import Chunks
from pipeline.flag.behaviour.controls import pooled_p_values
from pipeline.flag.behaviour.graft import Graft
from pipeline.flag.behaviour.pairs import Pair, choose_pairs
from pipeline.flag.behaviour.sequential import SequentialTest, StoppingRule
from pipeline.inference import weights_sha256
from pipeline.progress import Progress, silent

CHUNK = 12
"""Pairs whose results are kept together for resuming; looks are taken between chunks."""


def transplant(
    model: nn.Module,
    spec: ModelSpec,
    dataset: DatasetVersion,
    regions: pd.DataFrame,
    config: FlagConfig,
    *,
    seed: int,
    classes: Sequence[str],
    looked_at: NDArray[np.int64] | None = None,
    kinds: Collection[str] | None = None,
    out: Path | None = None,
    progress: Progress = silent,
) -> pd.DataFrame:
    """The effect of pasting marks on images of other classes, one row per pair of donor and recipient.

    Pairs come from `choose_pairs`, at most `config.transplants` for each kind and class c of the donors, and are tested
    until the verdict on that kind and class is clear (`sequential`). Controls are patches of the same sizes from the
    same donor at matched places without a mark, cut, scaled and pasted in the same way at the same place.

    Columns: `kind`, `class` (c), `donor_id`, `image_id`, `row`, `label`, `patient_id` (all of the recipient),
    `region_ids` ('|'-joined), `n_regions`, `controls`, `passes` (pictures classified), `reason` (null where tested;
    ``place taken``: no donor's marks fall on a free place; ``no room for controls``; ``nothing to cut``: the fill
    changes nothing there), `predicted`, `predicted_pasted`, `flip` (c is predicted only after pasting; null where c was
    predicted before), and

    * `p`: probability of c before; `effect` = p(pasted) − p; `logit_effect`: the same in log-odds, log p − log(1 − p);
    * `control_mean`, `control_sd`, `logit_control_mean`, `logit_control_sd`: the same effects of the controls;
      `control_flip_rate`: share of controls after which c is predicted, null where `flip` is;
    * `p_value`: one-sided, of effect − control mean, against the pooled null of the kind and class, as `intervene`;
      `q`: Benjamini-Hochberg over all tested pairs;
    * of the kind and class: `kind_available` pairs, `kind_tested`, `kind_looks`, `kind_stopped`, as `intervene`.

    A pair's numbers do not depend on other pairs.

    Args:
        model: classifier returning logits, in evaluation mode.
        spec: its contract.
        dataset: where the pixels are.
        regions: the regions table, of all kinds: no pasted mark and no control may touch any of them.
        config: number of pairs and of controls, fill, stopping.
        seed: of the run.
        classes: classes of the donors, names of `spec.classes`.
        looked_at: rows whose regions are known, all where None; an image not looked at is not one without marks.
        kinds: which are pasted; all where None.
        out: folder for finished chunks; an interrupted call with the same request resumes there.
        progress: told after every chunk.
    """
    pairs = choose_pairs(dataset, regions, classes, config.transplants, seed, looked_at=looked_at, kinds=kinds)
    request = {
        "dataset": dataset.meta.version,
        "pairs": [[pair.kind, pair.target, pair.donor, pair.recipient] for pair in pairs],
        "regions": sorted(regions["region_id"]),
        "config": config.model_dump(mode="json"),
        "spec": spec.as_dict(),
        "weights": weights_sha256(model),
        "seed": seed,
    }
    chunks, test = Chunks(out, request), _sequential_test(pairs, config, seed)
    by_image = {str(image_id): part for image_id, part in regions.groupby("image_id", sort=True)}
    graft = Graft(model, spec, dataset, by_image, config, seed)
    records: list[dict[str, Any]] = []
    for number, (done, part) in enumerate(_parts(pairs, test)):
        found = chunks.once(number, partial(graft.records, part))
        for record in found:
            if isinstance(record["predicted_pasted"], str):
                excess = [record[f"{s}effect"] - np.mean(record[f"{s}effects"]) for s in _SCALES]
                test.add(_key(record), record["image_id"], record["patient_id"], np.array(excess))
        test.look()
        records += found
        progress("transplant", done, len(pairs))
    progress("transplant", len(pairs), len(pairs))
    return _with_statistics([{**record, **test.summary(_key(record))} for record in records])


def _sequential_test(pairs: Sequence[Pair], config: FlagConfig, seed: int) -> SequentialTest:
    keys = sorted({pair.key for pair in pairs})
    available = {key: sum(pair.key == key and pair.donor is not None for pair in pairs) for key in keys}
    smallest = np.array([config.min_effect, config.min_logit_effect])
    return SequentialTest(available, config.first_look, StoppingRule(smallest, config.fdr, max(len(keys), 1)), seed)


def _parts(pairs: Sequence[Pair], test: SequentialTest) -> Iterator[tuple[int, list[Pair]]]:
    """Chunks of pairs of one kind and class while it is open, each with how many pairs are then done with."""
    done = 0
    for key, same in groupby(pairs, key=lambda pair: pair.key):
        queue = list(same)
        for start in range(0, len(queue), CHUNK):
            if test.open(key):
                yield done + min(start + CHUNK, len(queue)), queue[start : start + CHUNK]
        done += len(queue)


def _key(record: Mapping[str, Any]) -> str:
    return f"{record['kind']}|{record['class']}"


def _with_statistics(records: list[dict[str, Any]]) -> pd.DataFrame:
    """The records as a table, control effects summarised, with p and q values."""
    table = pd.DataFrame(records, columns=[*_TYPES, "effects", "logit_effects"])
    for scale in _SCALES:
        effects = [np.asarray(values, dtype=np.float64) for values in table[f"{scale}effects"]]
        table[f"{scale}control_mean"] = [each.mean() if len(each) else None for each in effects]
        table[f"{scale}control_sd"] = [each.std(ddof=1) if len(each) else None for each in effects]
    effects = [np.asarray(values, dtype=np.float64) for values in table["effects"]]
    keys = (table["kind"] + "|" + table["class"]).to_numpy(dtype=object)
    p = pooled_p_values(keys, table["effect"].to_numpy(dtype=float), effects)
    tested, q = ~np.isnan(p), np.full(len(table), np.nan)
    if tested.any():
        q[tested] = stats.false_discovery_control(p[tested])
    return table.assign(p_value=p, q=q).drop(columns=["effects", "logit_effects"]).astype(_TYPES)


_SCALES = ("", "logit_")
_TYPES = {
    **dict.fromkeys(("kind", "class", "donor_id", "image_id"), "string"),
    "row": "int64",
    **dict.fromkeys(("label", "patient_id", "region_ids"), "string"),
    **dict.fromkeys(("n_regions", "controls", "passes"), "int64"),
    **dict.fromkeys(("reason", "predicted", "predicted_pasted"), "string"),
    "flip": "boolean",
    **dict.fromkeys(("control_flip_rate", "p", "effect", "control_mean", "control_sd", "logit_effect"), "Float64"),
    **dict.fromkeys(("logit_control_mean", "logit_control_sd", "p_value", "q"), "Float64"),
    **dict.fromkeys(("kind_available", "kind_tested", "kind_looks"), "int64"),
    "kind_stopped": "string",
}
