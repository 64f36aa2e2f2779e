"""Leases: one holder at a time, those of the dead are taken over, and who was given up keeps nothing more."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from flows.mirror import lease as leases
from flows.mirror.lease import Lease
from flows.mirror.remote import Remote
from pipeline.artifacts import write_json
from pipeline.errors import StorageError
from pipeline.locks import locked

HOLDER = """
import sys, time
from flows.mirror.lease import Lease
from flows.mirror.remote import Remote
Lease(Remote(sys.argv[1]), "runs/4e5f", "works on run 4e5f").take()
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name, seconds in {"BEAT": 0.1, "PATIENCE": 1.5, "_POLL": 0.02}.items():
        monkeypatch.setattr(leases, name, seconds)


def elsewhere(monkeypatch, lease: Lease) -> Lease:
    """As if a process of another host held it."""
    lease._holder = {**lease._holder, "host": "gpu-7", "pid": 4242}
    return lease


def test_one_holder_at_a_time_and_numbers_grow(url):
    remote, inside, numbers = Remote(url), [], []

    def work():
        lease = Lease(Remote(url), "runs/4e5f", "works")
        lease.take()
        inside.append(1)
        assert len(inside) == 1
        time.sleep(0.05)
        numbers.append(lease.number)
        inside.pop()
        lease.release()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers == [1, 2, 3, 4, 5]
    assert remote.names(".leases") == [".leases/runs/4e5f/00000005.json"]


def test_a_number_that_came_and_went_since_one_looked_is_not_the_lease(tmp_path, monkeypatch):
    remote = Remote(f"file://{tmp_path}/store")
    slow, numbers = Lease(remote, "runs/4e5f", "works"), []
    create = remote.create

    def late(name, content):
        """Others had the lease twice between our look at it and our attempt to create the first number."""
        monkeypatch.setattr(remote, "create", create)
        for _ in range(2):
            other = Lease(remote, "runs/4e5f", "works")
            other.take()
            numbers.append(other.number)
            other.release()
        return create(name, content)

    monkeypatch.setattr(remote, "create", late)
    slow.take()
    slow.require()
    slow.release()
    assert (numbers, slow.number) == ([1, 2], 3)


def test_a_disk_that_is_full_for_a_moment_does_not_end_the_heartbeat(tmp_path, monkeypatch):
    remote = Remote(f"file://{tmp_path}/store")
    lease, write, refused = Lease(remote, "runs/4e5f", "works"), remote.write, threading.Event()

    def full(name, content):
        monkeypatch.setattr(remote, "write", write)
        refused.set()
        raise OSError(errno.ENOSPC, "No space left on device")

    lease.take()
    monkeypatch.setattr(remote, "write", full)
    assert refused.wait(10)
    beats, deadline = lease._beats, time.monotonic() + 10
    while json.loads(remote.read(".leases/runs/4e5f/00000001.json"))["beats"] <= beats:
        assert time.monotonic() < deadline, "no heartbeat followed"
        time.sleep(0.02)
    lease.release()


@pytest.mark.slow
def test_a_living_holder_is_waited_for_and_named(tmp_path, monkeypatch, caplog):
    url = f"file://{tmp_path}/store"
    holder = elsewhere(monkeypatch, Lease(Remote(url), "runs/4e5f", "works on run 4e5f"))
    holder.take()
    threading.Timer(2.5, holder.release).start()  # longer than PATIENCE: its heart beats
    waiting, began = Lease(Remote(url), "runs/4e5f", "waits"), time.monotonic()
    with caplog.at_level(logging.WARNING):
        waiting.take()
    assert time.monotonic() - began > 2
    assert "Waiting for process 4242 on gpu-7, which works on run 4e5f." in caplog.text
    waiting.release()


def test_a_silent_holder_is_given_up_and_keeps_nothing_more(tmp_path, machine, monkeypatch):
    url = f"file://{tmp_path}/store"
    one, two = machine("one", url), machine("two", url)
    run = one.root / "runs/4e5f"
    with pytest.raises(StorageError, match="has taken over"), one.reserved(run, "works on run 4e5f"):
        first = elsewhere(monkeypatch, one._leases["runs/4e5f"])
        first._over.set()  # as if the machine slept
        first._thread.join()
        one.remote.write(first._name(first.number), first._state())
        with two.reserved(two.root / "runs/4e5f", "works on run 4e5f"):
            write_json(two.root / "runs/4e5f/run.json", {"request": {}, "artifacts": {"b": {}}})
        write_json(run / "run.json", {"request": {}, "artifacts": {"a": {}}})
        one.keep(run)
    assert one.index("runs/4e5f", anew=True).ledger["artifacts"] == {"b": {}}


def test_the_lease_of_a_killed_process_of_this_machine_is_taken_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "PATIENCE", 600)
    url = f"file://{tmp_path}/store"
    process = subprocess.Popen([sys.executable, "-c", HOLDER, url], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    lease = Lease(Remote(url), "runs/4e5f", "goes on")
    lease.take()
    assert lease.number == 2
    lease.release()


def test_locks_in_a_mirror_reach_other_machines(url, machine):
    """`pipeline.locks.locked` is all that stages know."""
    one, two = machine("one", url), machine("two", url)
    order = []

    def on(mirror, name):
        with locked(mirror.root / "models/net/0a1b", "trains"):
            order.append(name)
            time.sleep(0.1)
            order.append(name)

    threads = [threading.Thread(target=on, args=pair) for pair in ((one, "one"), (two, "two"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert order in (["one", "one", "two", "two"], ["two", "two", "one", "one"])


def test_small_shared_files_are_read_anew_under_their_lock_and_kept(url, machine):
    one, two = machine("one", url), machine("two", url)
    for mirror, name in ((one, "a"), (two, "b"), (one, "c")):
        path = mirror.root / "history" / "demo.json"
        with locked(path, "notes"):
            runs = json.loads(path.read_text())["runs"] if path.exists() else []
            write_json(path, {"runs": [*runs, name]})
    assert json.loads(one.remote.read("history/demo.json"))["runs"] == ["a", "b", "c"]
