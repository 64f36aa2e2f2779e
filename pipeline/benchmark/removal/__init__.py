"""Does generative removal make better explanations? The claims of Agarwal and Nguyen (ACCV 2020) on x-rays."""

from pipeline.benchmark.removal.benchmark import benchmark_removal
from pipeline.benchmark.removal.request import RemovalRequest

__all__ = ["RemovalRequest", "benchmark_removal"]
