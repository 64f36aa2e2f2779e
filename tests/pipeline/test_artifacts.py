"""Atomic writes, hashes and the run ledger."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from pipeline import artifacts
from pipeline.artifacts import (
    RunFolder,
    atomic_file,
    atomic_folder,
    code_version,
    content_hash,
    read_json,
    read_parquet,
    sha256_tree,
    write_json,
    write_parquet,
    write_text,
)
from pipeline.errors import IntegrityError, StorageError


def test_content_hash_ignores_key_order_only() -> None:
    assert content_hash({"a": 1, "b": [2, 3]}) == content_hash({"b": [2, 3], "a": 1})
    assert content_hash({"a": [2, 3]}) != content_hash({"a": [3, 2]})


def test_atomic_file_leaves_nothing_after_an_error(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="boom"), atomic_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("boom")
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_atomic_folder_resumes_when_asked(tmp_path: Path) -> None:
    target = tmp_path / "version"
    with pytest.raises(RuntimeError), atomic_folder(target, resume=True) as folder:
        (folder / "shard").write_text("done")
        raise RuntimeError
    with atomic_folder(target, resume=True) as folder:
        assert (folder / "shard").read_text() == "done"
    assert (target / "shard").exists()


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.ENOSPC, "disk is full"), (errno.EROFS, "cannot be written"), (errno.EACCES, "--workspace")],
)
def test_storage_errors_say_what_to_do(tmp_path: Path, number: int, message: str) -> None:
    with pytest.raises(StorageError, match=message), atomic_file(tmp_path / "x"):
        raise OSError(number, "injected")


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not (tmp_path / "a.json").exists()


def test_parquet_same_table_same_bytes(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": ["x", None], "b": [1.5, 2.5]})
    write_parquet(tmp_path / "1.parquet", table)
    write_parquet(tmp_path / "2.parquet", table)
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()


def test_truncated_artifacts_are_refused_by_name(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", pd.DataFrame({"a": range(100)}))
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(IntegrityError, match=r"a\.parquet"):
        read_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.json").write_text('{"a": ')
    with pytest.raises(IntegrityError, match=r"b\.json"):
        read_json(tmp_path / "b.json")


def test_ledger_knows_stale_and_damaged_artifacts(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", {"seed": 1})
    write_json(run.path / "findings.json", [1])
    run.record("findings.json", key="k1")
    again = RunFolder(tmp_path / "run", {"seed": 1})
    assert again.has("findings.json", key="k1")
    assert not again.has("findings.json", key="k2")
    (run.path / "findings.json").write_text("[2]")
    assert not again.has("findings.json", key="k1")


def test_ledger_refuses_another_request(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run", {"seed": 1})
    with pytest.raises(IntegrityError, match="another request"):
        RunFolder(tmp_path / "run", {"seed": 2})


def test_ledger_bytes_hold_no_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        run = RunFolder(tmp_path / name / "r", {"seed": 1})
        write_json(run.path / "a.json", {})
        run.record("a.json")
    assert sha256_tree(tmp_path / "one") == sha256_tree(tmp_path / "two")
    assert set(json.loads((tmp_path / "one/r/run.json").read_text())) == {"request", "artifacts"}


def test_code_version_sees_its_parts() -> None:
    assert code_version("pipeline.ingest") != code_version("pipeline.flag")
    assert code_version("pipeline.ingest") == code_version("pipeline.ingest")


def test_code_version_sees_every_file_of_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in artifacts._KERNEL:
        (tmp_path / f"pipeline/{name}.py").parent.mkdir(exist_ok=True)
        (tmp_path / f"pipeline/{name}.py").write_text("1")
    (tmp_path / "pipeline/fills.py").unlink()
    (tmp_path / "pipeline/fills").mkdir()
    (tmp_path / "pipeline/fills/one.py").write_text("1")
    monkeypatch.setattr(artifacts, "_SOURCE_ROOT", tmp_path)
    before = code_version.__wrapped__()
    (tmp_path / "pipeline/fills/two.py").write_text("2")
    assert code_version.__wrapped__() != before


def test_opening_a_run_sweeps_up_after_writers_that_were_killed_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "repairs").mkdir()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    here = artifacts._host()
    dead = [
        tmp_path / f".run.json.{here}-{ended.pid}-1.partial",
        tmp_path / "repairs" / f".fill.parquet.{here}-{ended.pid}-1.partial",
        tmp_path / f".old.json.elsewhere-{os.getpid()}-1.partial",
    ]
    alive = [
        tmp_path / f".plan.yaml.{here}-{os.getpid()}-1.partial",
        tmp_path / f".new.json.elsewhere-{ended.pid}-1.partial",
    ]
    folder = tmp_path / "saliency.partial"
    folder.mkdir()
    for path in (*dead, *alive):
        path.write_text("half")
    os.utime(dead[-1], (0, 0))
    RunFolder(tmp_path, {"seed": 1})
    assert [path.exists() for path in (*dead, *alive, folder)] == [False, False, False, True, True, True]


def test_parts_that_come_after_their_artifact_go_and_those_of_others_stay(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", {})
    write_text(run.path / "a.parquet", "whole")
    run.record("a.parquet")
    for name in ("a.parquet.partial/k/1.parquet", "b.parquet.partial/k/1.parquet"):
        write_text(run.path / name, "part")
    run.close()
    assert sorted(p.name for p in run.path.iterdir()) == ["a.parquet", "b.parquet.partial", "run.json"]
