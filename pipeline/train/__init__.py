"""Training a classifier on a dataset version, and loading one made elsewhere."""

from pipeline.train.load import load_classifier, model_errors
from pipeline.train.training import fit

__all__ = ["fit", "load_classifier", "model_errors"]
