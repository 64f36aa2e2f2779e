"""Training a classifier on a dataset version, and loading one made elsewhere."""

from pipeline.train.load import load_classifier
from pipeline.train.training import fit

__all__ = ["fit", "load_classifier"]
