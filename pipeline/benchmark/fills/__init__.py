"""How well the fills do on real x-rays: the error inside a hole, and whether a classifier can tell what was filled."""

from pipeline.benchmark.fills.run import FillRequest, benchmark_fills

__all__ = ["FillRequest", "benchmark_fills"]
