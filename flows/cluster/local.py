"""A Dask cluster on this machine, reachable from this machine alone: a worker for every GPU, or for every core."""

from __future__ import annotations

import os
from typing import Any

from dask.system import CPU_COUNT
from distributed import Nanny, Scheduler, SpecCluster
from distributed.system import MEMORY_LIMIT

from pipeline.errors import InputError

_HOST = "127.0.0.1"


def local_cluster(name: str) -> SpecCluster:
    """Start the cluster that `local` or `local:<workers>` asks for; a context manager.

    Raises:
        InputError: `name` is neither.
    """
    return SpecCluster(  # type: ignore[no-untyped-call]
        workers=worker_specs(_wanted(name), visible_gpus()),
        scheduler={"cls": Scheduler, "options": {"host": _HOST, "port": 0, "dashboard": False}},
        silence_logs=40,
    )


def worker_specs(wanted: int | None, gpus: list[str]) -> dict[int, dict[str, Any]]:
    """What each worker of a local cluster is started with.

    Args:
        wanted: how many; None: one for every GPU, without GPUs one for every core.
        gpus: as `CUDA_VISIBLE_DEVICES` names them. They are dealt out in turn, so each worker sees one of its own as
            long as there are enough; workers that have to share one take turns on nothing but its memory.
    """
    count = wanted or len(gpus) or CPU_COUNT
    specs: dict[int, dict[str, Any]] = {}
    for number in range(count):
        options: dict[str, Any] = {
            "host": _HOST,
            "nthreads": 1,
            "dashboard": False,
            "memory_limit": MEMORY_LIMIT // count,
            "env": {},
        }
        if gpus:
            options["env"] = {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]}
            options["resources"] = {"GPU": 1}
        specs[number] = {"cls": Nanny, "options": options}
    return specs


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as `CUDA_VISIBLE_DEVICES` names them."""
    import torch

    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [name for name in allowed.split(",") if name][: torch.cuda.device_count()]
    return [str(number) for number in range(torch.cuda.device_count())]


def _wanted(name: str) -> int | None:
    kind, _, count = name.partition(":")
    if kind != "local" or (":" in name and not (count.isdigit() and int(count) >= 1)):
        raise InputError(
            f"--cluster {name}: no such cluster. Give `local`, `local:4` (so many workers), or a scheduler's address, "
            "such as tcp://10.0.0.5:8786."
        )
    return int(count) if count else None
