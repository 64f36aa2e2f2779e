"""How well the region detectors do: marks planted on real x-rays at known places, and marks boxed by a person."""

from pipeline.benchmark.detectors.eyes import half_of, read_truth
from pipeline.benchmark.detectors.run import DetectorRequest, benchmark_detectors
from pipeline.benchmark.detectors.scoring import hits, is_false

__all__ = ["DetectorRequest", "benchmark_detectors", "half_of", "hits", "is_false", "read_truth"]
