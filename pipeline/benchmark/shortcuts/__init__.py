"""Planted shortcuts: does an audit confirm what is there, keep quiet where nothing is, and does repair win back?"""

from pipeline.benchmark.shortcuts.benchmark import ShortcutRequest, benchmark_shortcuts
from pipeline.benchmark.shortcuts.grid import SUBSETS, Mark, Subset, Trial, grid
from pipeline.benchmark.shortcuts.table import render_table

__all__ = ["SUBSETS", "Mark", "ShortcutRequest", "Subset", "Trial", "benchmark_shortcuts", "grid", "render_table"]
