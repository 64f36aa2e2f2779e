"""A cluster of this machine: one worker a GPU, each seeing its own; names that are no cluster are refused."""

from __future__ import annotations

import os

import pytest
from dask.system import CPU_COUNT

from flows.cluster.local import local_cluster, visible_gpus, worker_specs
from pipeline.errors import InputError


def pinned(wanted: int | None, gpus: list[str]) -> list[tuple[str | None, float]]:
    options = [spec["options"] for spec in worker_specs(wanted, gpus).values()]
    assert {each["host"] for each in options} == {"127.0.0.1"}, "nobody else may reach them"
    return [(each["env"].get("CUDA_VISIBLE_DEVICES"), each.get("resources", {}).get("GPU", 0)) for each in options]


def test_one_worker_for_every_gpu() -> None:
    assert pinned(None, ["0", "3", "GPU-8a"]) == [("0", 1), ("3", 1), ("GPU-8a", 1)]


def test_more_workers_than_gpus_take_turns() -> None:
    assert pinned(3, ["0", "1"]) == [("0", 1), ("1", 1), ("0", 1)]


def test_without_gpus_one_worker_for_every_core() -> None:
    assert pinned(None, []) == [(None, 0)] * CPU_COUNT
    assert len(pinned(5, [])) == 5


def test_workers_share_the_memory_of_the_machine() -> None:
    limits = [spec["options"]["memory_limit"] for spec in worker_specs(4, []).values()]
    assert sum(limits) <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("visible", "found"), [(None, ["0", "1", "2"]), ("2,5", ["2", "5"]), ("", []), ("GPU-1,GPU-2", ["GPU-1", "GPU-2"])]
)
def test_only_the_gpus_that_this_process_may_use(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, found: list[str]
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3 if visible is None else len(found))
    assert visible_gpus() == found


@pytest.mark.parametrize("name", ["lokal", "local:0", "local:", "local:two", "10.0.0.5:8786", ""])
def test_what_is_no_cluster_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"no such cluster.*tcp://"):
        local_cluster(name)
