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
def test_a_schedule_fires(tmp_path: Path, free_port: int) -> None:
    api = f"http://127.0.0.1:{free_port}/api"
    environment = {
        **os.environ,
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_URL": api,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    script = tmp_path / "served.py"
    script.write_text(SERVED)
    bin_folder = Path(sys.executable).parent
    server = subprocess.Popen(
        [bin_folder / "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(free_port), "--no-ui"],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    runner = None
    try:
        wait_for_server(api)
        runner = subprocess.Popen(
            [sys.executable, script, tmp_path],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 90
        while not (tmp_path / "fired").exists() and time.monotonic() < deadline:
            time.sleep(0.5)
        assert (tmp_path / "fired").exists(), "the schedule did not fire within 90 s"
    finally:
        for process in filter(None, (runner, server)):
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def wait_for_server(api: str) -> None:
    import httpx

    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{api}/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
    pytest.fail("prefect server did not start within 90 s")
