"""Every check of `cxr-audit doctor` finds its fault, says how to fix it, and changes nothing."""

from __future__ import annotations

import importlib.metadata
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import JPEG2000Lossless, JPEGLossless, JPEGLSLossless

from flows import doctor
from flows.doctor import Check, Place, dask_cluster, database, decoders, disk, gpu, machine, settings, versions, weights
from flows.doctor import prefect_server as prefect_checks
from pipeline.review.store import open_store

BIN = Path(sys.executable).parent


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PREFECT_API_URL", "CXR_AUDIT_NOTICES", "CXR_AUDIT_DATABASE", "CXR_AUDIT_REVIEW_URL", "DO_NOT_TRACK"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def found(checks: Iterator[Check]) -> dict[str, Check]:
    """Checks by name; whatever is not ok says how to fix it."""
    named = {check.name: check for check in checks}
    assert all(bool(check.fix) == (check.status != "ok") for check in named.values())
    return named


def troubles(checks: Iterator[Check]) -> dict[str, str]:
    return {name: check.status for name, check in found(checks).items() if check.status != "ok"}


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A file system in memory, which takes root."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system takes root")


def test_here_all_formats_are_decoded(place: Place) -> None:
    checks = found(decoders.checks(place))
    assert {check.status for check in checks.values()} == {"ok"}
    assert len([check for check in checks.values() if check.found == "decoded"]) == 13


@pytest.mark.parametrize(
    ("syntax", "name", "package"),
    [
        (JPEGLossless, "DICOM JPEG Lossless, Non-Hierarchical", "python-gdcm"),
        (JPEGLSLossless, "DICOM JPEG-LS Lossless Image Compression", "pyjpegls"),
        (JPEG2000Lossless, "DICOM JPEG 2000 Image Compression", "pylibjpeg-openjpeg"),
    ],
)
def test_a_missing_decoder(place: Place, monkeypatch: pytest.MonkeyPatch, syntax, name: str, package: str) -> None:
    monkeypatch.setattr(get_decoder(syntax), "_available", {})
    checks = found(decoders.checks(place))
    assert [each for each, check in checks.items() if check.status == "problem"] == [name]
    assert package in checks[name].fix
    assert checks[name].found.startswith("no-decoder")


def test_a_decoder_that_makes_other_pixels(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    read = decoders.read_bytes

    def upside_down(*arguments: object) -> object:
        from dataclasses import replace

        image = read(*arguments)
        return replace(image, pixels=image.pixels[::-1])

    monkeypatch.setattr(decoders, "read_bytes", upside_down)
    assert set(troubles(decoders.checks(place)).values()) == {"problem"}


def test_versions(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert troubles(versions.checks(place)) == {}
    real = importlib.metadata.version
    wrong = {"fastapi": "0.165.0", "sqlalchemy": "2.1.9"}
    monkeypatch.setattr(importlib.metadata, "version", lambda name: wrong.get(name.lower()) or real(name))
    checks = found(versions.checks(place))
    assert "no flow starts" in checks["fastapi"].found
    assert "schedules never fire" in checks["sqlalchemy"].found
    assert "constraints.txt" in checks["sqlalchemy"].fix


def test_opencv_without_libgl(tmp_path: Path) -> None:
    """As on a bare server with the wrong build: importing cv2 fails."""
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    code = "from flows.doctor import versions; print(versions._opencv())"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert "status='problem'" in said.stdout
    assert "opencv-python-headless" in said.stdout


def test_weights(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert troubles(weights.checks(place)) == {}
    monkeypatch.setitem(weights.SHIPPED, "models/lungs/weights.pt", "0" * 16)
    monkeypatch.setattr(weights, "sha256_file", lambda path: "00" * 32)
    assert troubles(weights.checks(place)) == {"models/lungs/weights.pt": "problem", "OCR": "problem"}
    monkeypatch.setattr(weights, "_OCR", "no-such-distribution")
    assert "not installed" in found(weights.checks(place))["OCR"].found


def test_machine(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4096")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    monkeypatch.setattr(machine, "_CGROUP", tmp_path / "memory.max")
    (tmp_path / "memory.max").write_text("1000000000\n")
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    monkeypatch.setattr(machine, "_SHARED", 1e18)
    assert troubles(machine.checks(place)) == {
        "processor": "warning",
        "memory": "warning",
        "open files": "warning",
        "shared memory": "warning",
        "UTF-8": "problem",
    }
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert troubles(machine.checks(place))["processor"] == "problem"


def test_gpu(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu, "_DRIVER", tmp_path / "version")
    assert troubles(gpu.checks(place)) == {}
    (tmp_path / "version").touch()
    assert troubles(gpu.checks(place)) == {"device": "warning"}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "H100")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (int((1 + 40 * index) * 1e9), int(80e9)))
    assert troubles(gpu.checks(place)) == {"GPU 0": "warning"}


def test_disk_leaves_nothing(place: Place, tmp_path: Path) -> None:
    assert troubles(disk.checks(place)) in ({}, {"space": "warning"})
    assert list(tmp_path.iterdir()) == []
    assert "would be made here" in found(disk.checks(Place(tmp_path / "a" / "b")))["space"].found
    assert troubles(disk.checks(Place(tmp_path, tmp_path / "none")))["data root"] == "problem"


@needs_root
def test_full_and_read_only_disks(tmp_path: Path) -> None:
    with mounted(tmp_path / "full", "size=1m") as full:
        checks = found(disk.checks(Place(full)))
        assert (checks["space"].status, checks["write"].status) == ("problem", "problem")
        assert "No space left" in checks["write"].found
        assert list(full.iterdir()) == []
    with mounted(tmp_path / "fixed", "size=1g,ro") as fixed:
        assert "Read-only" in found(disk.checks(Place(fixed)))["write"].found


def test_file_systems_that_do_not_lock_or_know_the_time(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_TAKE", "")  # the other process gets the lock
    now = time.time
    monkeypatch.setattr(disk.time, "time", lambda: now() + 90)
    trouble = troubles(disk.checks(place))
    assert (trouble["lock"], trouble["clock"]) == ("problem", "warning")


def test_database(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(database.checks(place))["review"].found.startswith("none yet")
    store = open_store(tmp_path / "review.sqlite")
    assert troubles(database.checks(place)) == {}
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'of a later version'")
    store.dispose()
    assert "does not know" in found(database.checks(place))["review"].found
    (tmp_path / "review.sqlite").write_bytes(b"no database")
    assert troubles(database.checks(place)) == {"review": "problem"}
    monkeypatch.setenv("CXR_AUDIT_DATABASE", "postgresql://ann:pass-word@127.0.0.1:9/review")
    down = found(database.checks(place))["review"]
    assert down.status == "problem"
    assert "pass-word" not in down.found


def test_a_database_that_another_process_holds(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.review.store.engine.BUSY_SECONDS", 0.1)
    store = open_store(tmp_path / "review.sqlite")
    with store.writing() as session:
        session.connection()
        assert troubles(database.checks(place)) == {"write": "problem"}
    store.dispose()


def test_settings(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert troubles(settings.checks(place)) == {}
    (tmp_path / "notices.yaml").write_text("webhooks: [{name: chat, url_from: NO_SUCH_URL}]")
    monkeypatch.setenv("CXR_AUDIT_REVIEW_URL", "review.lan")
    monkeypatch.setenv("CXR_AUDIT_LOG_LEVEL", "loud")
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "true")
    checks = found(settings.checks(place))
    assert {name: check.status for name, check in checks.items()} == {
        "notices": "problem",
        "review address": "problem",
        "log level": "problem",
        "telemetry": "warning",
    }
    assert "NO_SUCH_URL is not set" in checks["notices"].found


def test_no_server_and_a_dead_one(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert troubles(prefect_checks.checks(place)) == {}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/api"
        monkeypatch.setenv("PREFECT_API_URL", url)
        began = time.monotonic()
        # Asked while the port is ours and nobody listens. Settings may have been read before.
        with temporary_settings({PREFECT_API_URL: url}):
            assert troubles(prefect_checks.checks(place)) == {"server": "problem"}
    assert time.monotonic() - began < 10
    assert troubles(dask_cluster.checks(place)) == {}


class Server:
    """What a Prefect server answers."""

    def __init__(self, version: str, due: list[datetime], heard: list[datetime], tags: list[str]) -> None:
        self.version, self.due, self.heard, self.tags = version, due, heard, tags

    def api_version(self) -> str:
        return self.version

    def read_deployments(self, limit: int) -> list[SimpleNamespace]:
        schedule = SimpleNamespace(active=True)
        paused = SimpleNamespace(id=uuid4(), name="paused", paused=True, schedules=[schedule])
        return [SimpleNamespace(id=uuid4(), name="nightly", paused=False, schedules=[schedule]), paused]

    def read_flow_runs(self, **_: object) -> list[SimpleNamespace]:
        return [SimpleNamespace(expected_start_time=each) for each in self.due]

    def read_work_pools(self, limit: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="here")]

    def read_workers_for_work_pool(self, name: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(last_heartbeat_time=each) for each in self.heard]

    def read_concurrency_limits(self, limit: int, offset: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(tag=each, concurrency_limit=1) for each in self.tags]


def test_would_schedules_fire() -> None:
    import prefect

    now, hour = datetime.now(UTC), timedelta(hours=1)
    good = Server(prefect.__version__, [now + hour], [now], ["gpu"])
    assert troubles(prefect_checks._asked(good)) == {}
    dead = Server("3.9.1", [], [now - hour], [])
    checks = found(prefect_checks._asked(dead))
    wanted = {"version": "warning", "schedules": "problem", "work pool here": "warning", "gpu limit": "warning"}
    assert {name: check.status for name, check in checks.items()} == wanted
    assert checks["schedules"].found == "no run is planned of nightly"
    late = found(prefect_checks._asked(Server(prefect.__version__, [now - hour], [now], ["gpu"])))["schedules"]
    assert (late.status, late.found) == ("problem", "runs of nightly are late")


def test_a_check_that_fails_or_hangs_is_a_problem(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(_: Place) -> Iterator[Check]:
        raise OSError("broken")

    def hang(_: Place) -> Iterator[Check]:
        time.sleep(1)
        yield from ()

    monkeypatch.setattr(doctor, "PATIENCE", 0.3)
    monkeypatch.setattr(doctor, "GROUPS", ("machine", "disk", "gpu"))
    monkeypatch.setattr(machine, "checks", break_down)
    monkeypatch.setattr(disk, "checks", hang)
    monkeypatch.setattr(gpu, "checks", lambda _: iter([]))
    said = [(check.group, check.found) for check in doctor.examine(place)]
    assert said == [("machine", "the check itself failed: OSError: broken"), ("disk", "no answer in 0 s")]


@pytest.mark.slow
def test_the_command_asks_a_real_server(tmp_path: Path, prefect_environment: dict[str, str]) -> None:
    command = [BIN / "cxr-audit", "doctor", "--workspace", tmp_path / "new", "--json"]
    said = subprocess.run(command, env=prefect_environment, capture_output=True, text=True, check=False)
    answer = json.loads(said.stdout)
    checks = {(check["group"], check["name"]): check["status"] for check in answer["checks"]}
    assert (checks["prefect", "server"], checks["prefect", "version"]) == ("ok", "ok")
    assert said.returncode == (1 if answer["counts"].get("problem") else 0)
    assert not (tmp_path / "new").exists()
