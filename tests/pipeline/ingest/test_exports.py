"""The stage's public names, and that asking for a manifest does not wait for decoders and torch."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import pipeline.ingest
from pipeline.errors import CxrAuditError
from pipeline.spread import mapper


def test_every_public_name_is_there():
    assert sorted(pipeline.ingest.__all__) == list(pipeline.ingest.__all__)
    for name in pipeline.ingest.__all__:
        assert getattr(pipeline.ingest, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'digest'"):
        pipeline.ingest.digest  # noqa: B018


@pytest.mark.slow
def test_manifests_and_decoding_workers_do_without_torch():
    script = (
        "import sys, pipeline.ingest.shards; from pipeline.ingest import find_manifest; print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


@pytest.mark.slow
def test_a_worker_that_dies_is_reported():
    with pytest.raises(CxrAuditError, match="A worker process died"), mapper(2) as spread:
        list(spread(os._exit, [1, 1]))
