"""Whether the workers of a cluster would compute what this process would: the same versions, the same workspace."""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from pipeline import __version__
from pipeline.artifacts import code_version
from pipeline.errors import InputError

Versions = Mapping[str, str]


@cache
def versions() -> Versions:
    """What decides the bytes that this process makes: cxr-audit, a hash of its code, Python and what computes."""
    import numpy as np
    import torch

    return {
        "cxr-audit": __version__,
        "code": code_version("pipeline", "models", "flows"),
        "python": platform.python_version(),
        "torch": torch.__version__.partition("+")[0],  # the same release for CPUs and for GPUs
        "numpy": np.__version__,
    }


def require_same(asked: Versions, found: Mapping[str, Versions | BaseException]) -> None:
    """Refuse workers that are not like the process that gives them work.

    Args:
        asked: `versions` of that process.
        found: address of a worker, or the scheduler -> its `versions`, or why it could not say.

    Raises:
        InputError: says who differs in what.
    """
    different: dict[str, list[str]] = defaultdict(list)
    for worker, versions_there in sorted(found.items()):
        if isinstance(versions_there, BaseException):
            different[f"cannot run cxr-audit ({type(versions_there).__name__}: {versions_there})"].append(worker)
            continue
        names = sorted({*asked, *versions_there})
        for name in (name for name in names if versions_there.get(name) != asked.get(name)):
            different[f"{name} {versions_there.get(name)} instead of {asked.get(name)}"].append(worker)
    if different:
        listed = "; ".join(f"{what}: {', '.join(who)}" for what, who in different.items())
        raise InputError(
            f"Parts of the cluster differ from this process and would give other results. {listed}. "
            "Install the same wheel and constraints.txt everywhere and start scheduler and workers again."
        )


def require_same_workspace(workspace: Path, sees: Mapping[str, bool | BaseException]) -> None:
    """Refuse workers that do not see the workspace.

    Raises:
        InputError: says which.
    """
    blind = sorted(worker for worker, answer in sees.items() if answer is not True)
    if blind:
        raise InputError(
            f"Workers of the cluster do not see the workspace {workspace}: {', '.join(blind)}. "
            "Give a --workspace on a file system that all machines mount at the same path, or an object store's URL."
        )
