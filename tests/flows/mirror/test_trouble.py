"""Stores that are not there, refuse, or stop answering; and what messages may hold."""

from __future__ import annotations

import pytest

from flows.mirror.mirror import Mirror
from flows.mirror.remote import Remote
from flows.request import AuditRequest
from flows.workspace import review_database
from pipeline.errors import InputError, StorageError


@pytest.fixture
def own_server(monkeypatch, s3_server):
    """A server that may be stopped."""
    server = type(s3_server)()
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem(skip_instance_cache=True).mkdir("bucket-of-ours")
    yield server
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.slow
def test_a_bucket_that_is_not_there(s3):
    with pytest.raises(StorageError, match=r"s3://no-such-bucket/x: could not open it: there is no such bucket"):
        Remote("s3://no-such-bucket/x").read("a")


@pytest.mark.slow
def test_no_credentials(s3, monkeypatch, tmp_path):
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(StorageError, match="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile"):
        Remote(s3).read("a")
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.slow
def test_a_server_that_goes_down_and_comes_back(own_server, machine, monkeypatch):
    mirror: Mirror = machine("one", "s3://bucket-of-ours/audits")
    folder = mirror.root / "models/net/0a1b"
    folder.mkdir(parents=True)
    (folder / "model.pt").write_bytes(b"weights")
    assert mirror.remote.read("nothing") is None
    own_server.stop()
    with pytest.raises(StorageError, match=r"does not answer .*AWS_ENDPOINT_URL.*the same command resumes") as caught:
        mirror.keep(folder)
    assert not any(secret in str(caught.value) for secret in ("of-the-tests", "s3cr3t"))
    again = type(own_server)(own_server.port)
    try:
        import s3fs

        s3fs.S3FileSystem(skip_instance_cache=True).mkdir("bucket-of-ours")
        mirror.keep(folder)
        assert ".index/models/net/0a1b.json" in mirror.remote.names(".index")
    finally:
        again.stop()


def test_a_store_that_ignores_conditions_is_refused(url, monkeypatch):
    remote = Remote(url)
    monkeypatch.setattr(Remote, "_create", lambda self, name, content: True)
    with pytest.raises(StorageError, match="ignores conditions on writing"):
        remote.read("a")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://key:secret@bucket/x", "may hold no user, password"),
        ("s3://bucket/x?sig=secret", "may hold no user, password"),
        ("s3://", "bucket is missing"),
        ("s33://bucket/x", "Did you mean 's3'"),
    ],
)
def test_urls_that_cannot_be(url, words):
    with pytest.raises(InputError, match=words) as caught:
        AuditRequest(manifest="phantom", workspace=url)
    assert "secret" not in str(caught.value)


def test_a_request_is_told_to_others_by_its_url(tmp_path, monkeypatch):
    monkeypatch.setenv("CXR_AUDIT_MIRROR", str(tmp_path / "one"))
    request = AuditRequest(manifest="phantom", workspace="s3://bucket/audits/")
    assert request.workspace.is_relative_to(tmp_path / "one")
    told = request.model_dump_json()
    assert '"workspace":"s3://bucket/audits"' in told
    monkeypatch.setenv("CXR_AUDIT_MIRROR", str(tmp_path / "two"))
    assert AuditRequest.model_validate_json(told).workspace.is_relative_to(tmp_path / "two")


def test_decisions_need_a_database_that_is_not_lost_with_the_mirror(tmp_path, monkeypatch):
    monkeypatch.setenv("CXR_AUDIT_MIRROR", str(tmp_path))
    workspace = AuditRequest(manifest="phantom", workspace="memory://audits").workspace
    monkeypatch.delenv("CXR_AUDIT_DATABASE", raising=False)
    with pytest.raises(InputError, match="memory://audits cannot hold the review's database"):
        review_database(workspace)
    monkeypatch.setenv("CXR_AUDIT_DATABASE", "postgresql://host/reviews")
    assert review_database(workspace) == "postgresql://host/reviews"
