"""Comparisons that need truth: which explainer shows what a classifier reads. Above the stages; may import them."""

from pipeline.benchmark.explainers import benchmark_explainers
from pipeline.benchmark.request import Request, with_trivial
from pipeline.benchmark.truth import planted_marks, read_marks

__all__ = ["Request", "benchmark_explainers", "planted_marks", "read_marks", "with_trivial"]
