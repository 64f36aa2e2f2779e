"""`make bench`: timings and memory, as ratios within one run. Never part of a test."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Run every bench_*.py of this folder, or those named on the command line (`python -m tests.bench memory`)."""
    wanted = sys.argv[1:]
    sys.argv = sys.argv[:1]
    for script in sorted(HERE.glob("bench_*.py")):
        if not wanted or script.stem.removeprefix("bench_") in wanted:
            sys.stdout.write(f"== {script.stem}\n")
            runpy.run_path(str(script), run_name="__main__")


if __name__ == "__main__":
    main()
