"""A killed process leaves no worker behind."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

POOL = """
import os, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pipeline.orphans import end_with_parent
if __name__ == "__main__":
    with ProcessPoolExecutor(2, get_context("spawn"), end_with_parent) as pool:
        print(*{pool.submit(os.getpid).result() for _ in range(2)}, flush=True)
        time.sleep(60)
"""


def test_workers_of_a_killed_process_end(tmp_path: Path) -> None:
    (tmp_path / "pool.py").write_text(POOL)
    process = subprocess.Popen([sys.executable, tmp_path / "pool.py"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    workers = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
    assert workers
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while any(worker.is_running() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(worker.is_running() for worker in workers)
