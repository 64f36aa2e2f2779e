"""What every `Spread` has to stand, on a local cluster of two workers with two pretended GPUs; prints what came of it.

Run as a script: Prefect reads its settings when it is imported, and Dask's workers import what started them.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import flow

import flows.cluster.local
from flows.cluster import spread, spreading
from pipeline.artifacts import write_text
from pipeline.errors import CxrAuditError
from tests.chores import Chore, Deadly, DeadlyOnce, Failing, diary


@dataclass(frozen=True)
class Where(Chore):
    """Leaves which GPU it was given, and how many threads torch has."""

    def do(self) -> None:
        import os

        import torch

        write_text(self.target, f"{os.environ.get('CUDA_VISIBLE_DEVICES')} {torch.get_num_threads()}")


def error_of(parts: list[Any]) -> list[str]:
    """Class, words and path of the error that the parts end in."""
    try:
        list(spread()(parts))
    except CxrAuditError as error:
        return [type(error).__name__, str(error), str(getattr(error, "path", ""))]
    return []


@flow
def battery(workspace: Path) -> dict[str, Any]:
    """Everything, by name."""
    folders = {name: workspace / name for name in ("plain", "where", "failing", "once", "deadly")}
    for folder in folders.values():
        folder.mkdir()
    with spreading("local:2", 1, workspace):
        chores = [Chore(folders["plain"], number) for number in range(10)]
        chores[4].do()
        steps = len(list(spread()(chores[::-1])))
        again = len(list(spread()(chores)))
        list(spread()([Where(folders["where"], number, True) for number in range(6)]))
        failed = error_of([Failing(folders["failing"], 0), Chore(folders["failing"], 1)])
        list(spread()([DeadlyOnce(folders["once"], 0), Chore(folders["once"], 1)]))
        killed = error_of([Deadly(folders["deadly"], 0)])
    return {
        "steps": [steps, again],
        "done": sorted(number for number, _ in diary(folders["plain"])),
        "processes": len({process for number, process in diary(folders["plain"]) if number != 4}),
        "where": sorted({path.read_text() for path in folders["where"].glob("*.txt")}),
        "failed": failed,
        "once": sorted(path.read_text() for path in folders["once"].glob("*.txt")),
        "killed": killed,
    }


if __name__ == "__main__":
    flows.cluster.local.visible_gpus = lambda: ["7", "8"]
    sys.stdout.write(json.dumps(battery(Path(sys.argv[1]))) + "\n")
