"""The pins of constraints.txt keep Prefect working: a flow runs, and a schedule fires.

Newer FastAPI breaks every flow start; SQLAlchemy 2.1 makes the scheduler crash in a loop so that schedules silently
never fire. Both happened with unpinned installs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SERVED = """
import sys
from pathlib import Path
from prefect import flow

@flow
def tick(folder: str) -> None:
    Path(folder, "fired").touch()

if __name__ == "__main__":
    tick.serve(name="pins", interval=5, parameters={"folder": sys.argv[1]}, print_starting_message=False)
"""


@pytest.mark.slow
def test_a_schedule_fires(tmp_path: Path, prefect_environment: dict[str, str]) -> None:
    script = tmp_path / "served.py"
    script.write_text(SERVED)
    runner = subprocess.Popen(
        [sys.executable, script, tmp_path],
        env=prefect_environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 90
        while not (tmp_path / "fired").exists() and time.monotonic() < deadline:
            time.sleep(0.5)
        assert (tmp_path / "fired").exists(), "the schedule did not fire within 90 s"
    finally:
        os.killpg(runner.pid, signal.SIGTERM)
        runner.wait(30)
