"""Marks and traits planted into x-rays, their place and kind known: truth for detectors, audits and repair."""

from pipeline.benchmark.planting.planted import Place, Planted, Planter, Polarity
from pipeline.benchmark.planting.registry import PLANTERS, planter

__all__ = ["PLANTERS", "Place", "Planted", "Planter", "Polarity", "planter"]
