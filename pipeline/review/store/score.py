"""How much a region, and with it an image, is worth a reviewer's look.

    score of a region = (band + evidence) / 3                                   in [0, 1]
    band              = 2 where its finding is confirmed, 1 where it is suspected, 0 otherwise
    evidence          = 1 - (1 - effect) * (1 - saliency)                       in [0, 1]
    effect            = |effect of removing it - mean effect of removing controls| on the probability of the predicted
                        class, where the region was tested on its image; 0 where it was not
    saliency          = the share of the saliency that lies on it, where that is more than its share of the area
                        (enrichment > 1) and the image was explained; 0 otherwise
    score of an image = the largest score of its regions; 0 without any

So images with a mark that the causal test proved for the data set come before those with a suspected one, those before
the rest; and within each band, what moved the prediction on this very image, or drew the classifier's gaze, is first.
The score orders a queue. It is no probability, and it decides nothing.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

BANDS = {"confirmed": 2, "accepted": 2, "suspected": 1}
"""Status of a finding in findings.json -> band; any other is 0."""


def region_scores(
    status: pd.Series[str], effect: pd.Series[float], share: pd.Series[float], enrichment: pd.Series[float]
) -> NDArray[np.float64]:
    """Scores (n,) in [0, 1] of regions.

    Args:
        status: of the finding that names the region; null: none does.
        effect: of its removal beyond its controls', on the probability of the predicted class, [-1, 1]; null: not
            tested.
        share: of the saliency that lies on it, [0, 1]; null: not explained.
        enrichment: share over its share of the area; null: not explained.
    """
    band = status.map(BANDS).fillna(0).to_numpy(dtype=np.float64)
    moved = effect.abs().clip(0, 1).fillna(0).to_numpy(dtype=np.float64)
    seen = share.where(enrichment > 1, 0).clip(0, 1).fillna(0).to_numpy(dtype=np.float64)
    return (band + 1 - (1 - moved) * (1 - seen)) / 3
