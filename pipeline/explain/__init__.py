"""Which pixels made the classifier say so: saliency methods behind one contract, and how faithful they are."""

from __future__ import annotations

from pipeline.explain.apply import explain_dataset, explain_image
from pipeline.explain.baseline import blurred_baseline, make_baseline
from pipeline.explain.callable_model import CallableClassifier
from pipeline.explain.contract import Attribution, Evaluations, Explainer
from pipeline.explain.faithfulness import Curves, deletion_insertion
from pipeline.explain.igos import optimize_mask
from pipeline.explain.registry import available, create
from pipeline.explain.sampling import choose_rows, explained_rows

__all__ = [
    "Attribution",
    "CallableClassifier",
    "Curves",
    "Evaluations",
    "Explainer",
    "available",
    "blurred_baseline",
    "choose_rows",
    "create",
    "deletion_insertion",
    "explain_dataset",
    "explain_image",
    "explained_rows",
    "make_baseline",
    "optimize_mask",
]
