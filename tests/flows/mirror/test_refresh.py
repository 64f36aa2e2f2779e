"""An audit on a machine with an empty mirror finds the audits that it goes on from and is compared with."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.acceptance import accepted
from flows.audit import _followed
from flows.gate import need_accepted
from flows.history import remember
from flows.mirror import refresh
from flows.request import AuditRequest
from flows.tasks.data import config_of
from flows.workspace import Workspace
from pipeline.artifacts import RunFolder, write_json, write_text
from pipeline.errors import InputError

MANIFEST = """
name: demo
title: Demo
licence: Apache-2.0
classes: [clear, opacity]
positive: opacity
sources:
  - {name: phantom, layout: generated}
generate: {images: 8, other_source_images: 0, size: 64, strength: 1.0, honest_signal: 0.2}
"""


def audited(root: Path, request: AuditRequest, run: str, dataset: str) -> Path:
    """What an audit that ended leaves of itself, as far as the next one asks."""
    write_text(root / f"datasets/{dataset}/meta.json", "{}")
    config = config_of(request)
    bundle = f"{dataset.partition('/')[0]}-{config.train.network}/0a1b"
    write_text(root / f"models/{bundle}/model.json", "{}")
    asked = {"dataset": dataset, "bundle": bundle, "weights": "0a1b", "config": config.model_dump(mode="json")}
    folder = RunFolder(root / "runs" / run, asked)
    (folder.path / "findings.json").write_text("[]")
    folder.record("findings.json", "key")
    remember(folder.path, dataset.partition("/")[0])
    return folder.path


@pytest.fixture
def request_of(tmp_path):
    manifest = tmp_path / "demo.yaml"
    manifest.write_text(MANIFEST)
    return lambda url: AuditRequest(manifest=str(manifest), workspace=url, grow=True, preset="quick")


def test_the_audit_to_go_on_from_is_found_on_an_empty_mirror(url, machine, request_of):
    one = machine("one", url)
    for name, dataset in (("4e5f", "demo/2c3d"), ("5f60", "other/2c3d")):
        run = audited(one.root, request_of(url), name, dataset)
        for path in (run, one.root / "datasets" / dataset, *one.root.glob("models/*/0a1b")):
            one.keep(path)
    two = machine("two", url)
    request = request_of(url)
    assert request.workspace == two.root
    since = _followed(request, Workspace(two.root), config_of(request))
    assert since is not None
    assert since.run == two.root / "runs/4e5f"
    assert (since.dataset / "meta.json").exists()
    assert since.bundle.exists()
    assert not (two.root / "runs/5f60").exists(), "of other data sets nothing is brought"


def test_what_another_machine_accepted_is_known_before_hours_of_work(url, machine):
    one = machine("one", url)
    record = one.root / "accepted/demo.json"
    write_json(record, {"run": "4e5f", "by": "Ada", "at": "2026-01-02T03:04:05Z", "note": ""})
    two = machine("two", url)
    with pytest.raises(InputError, match="none is accepted"):
        need_accepted(Workspace(two.root), "demo", ["drift"])
    one.keep(record)
    need_accepted(Workspace(two.root), "demo", ["drift"])
    refresh(two.root, dataset="demo")
    assert accepted(Workspace(two.root), "demo").run == "4e5f"
