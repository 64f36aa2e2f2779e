"""Classifiers by name, their contracts, and bundles that carry their weights. Imports nothing of ours."""

from models.bundle import BundleCard, load_bundle, load_state_dict_model, save_bundle
from models.catalog import available, build
from models.checks import check_classifier
from models.errors import ModelError
from models.spec import ModelSpec

__all__ = [
    "BundleCard",
    "ModelError",
    "ModelSpec",
    "available",
    "build",
    "check_classifier",
    "load_bundle",
    "load_state_dict_model",
    "save_bundle",
]
