"""A whole audit in an S3 store: another machine goes on from it, and a plain copy of the store has all of it done."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.studies import audited_study

BIN = Path(sys.executable).parent

pytestmark = pytest.mark.slow

STUDY = audited_study("stored", images=44, other=4, flag={"images": 6})


def audited(manifest: Path, workspace: str, environment: dict[str, str], *options: str) -> tuple[dict, str]:
    command = [str(BIN / "cxr-audit"), "audit", str(manifest), "--workspace", workspace, "--preset", "quick", "--json"]
    command += options
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 4, ended.stderr[-3000:]
    return json.loads(ended.stdout), ended.stderr


def artifacts(result: dict) -> dict[str, str]:
    return json.loads((Path(result["run"]) / "run.json").read_text())["artifacts"]


@pytest.mark.timeout(600)
def test_an_audit_in_a_store_is_there_for_every_machine(tmp_path, prefect_environment, s3_server):
    import boto3

    settings = s3_server.environment()
    keys = {
        "aws_access_key_id": settings["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": settings["AWS_SECRET_ACCESS_KEY"],
    }
    client = boto3.client("s3", endpoint_url=s3_server.url, region_name="us-east-1", **keys)
    bucket = f"bucket-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=bucket)
    environment = {**prefect_environment, **settings}
    first, other = tmp_path / "first.yaml", tmp_path / "other.yaml"
    first.write_text(STUDY)
    other.write_text(STUDY.replace("transplants: 2", "transplants: 3"))
    results = {}
    for machine, manifest, options in (("one", first, []), ("two", other, ["--grow"])):
        environment["CXR_AUDIT_MIRROR"] = str(tmp_path / machine)
        results[machine], said = audited(manifest, f"s3://{bucket}/audits", environment, *options)
        assert settings["AWS_SECRET_ACCESS_KEY"] not in said
    one, two = (Path(results[machine]["run"]) for machine in ("one", "two"))
    assert 0 < results["two"]["worked"] < results["one"]["worked"]
    assert two.name != one.name
    assert json.loads((two / "grown.json").read_text())["since"]["run"] == one.name, "found on an empty mirror"
    assert json.loads((two / "drift.json").read_text())["baseline"]["run"] == one.name

    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="audits/"):
        for entry in page["Contents"]:
            target = tmp_path / "copy" / entry["Key"].removeprefix("audits/")
            target.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(bucket, entry["Key"], str(target))
    copied, _ = audited(first, str(tmp_path / "copy"), environment)
    assert copied["worked"] == 0
    assert artifacts(copied) == artifacts(results["one"])
    text = b"".join(path.read_bytes() for path in (tmp_path / "one").rglob("*") if path.suffix in (".json", ".jsonl"))
    assert settings["AWS_SECRET_ACCESS_KEY"].encode() not in text
