"""Buckets: S3 as moto serves it (over HTTP, by s3fs, versions and all), and fsspec's memory for what no real store would do."""

from __future__ import annotations

import hashlib
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from pratique import sources
from pratique.artifacts import Limits, open_artifact
from pratique.errors import ArtifactChanged, ArtifactError, ArtifactRefused
from pratique.sources import objects
from pratique.testing import folder_of

FILES = {"config.json": b"{}", "sub/model.bin": b"weights" * 1000}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """S3 on loopback."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def client(endpoint: str) -> Any:
    """A client; making one takes a second."""
    import boto3

    return boto3.client("s3", endpoint_url=endpoint, aws_access_key_id="k", aws_secret_access_key="s", region_name="us-east-1")


@pytest.fixture
def s3(endpoint: str, client: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two empty buckets: `plain`, and `versioned`."""
    settings = {
        "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "very-secret",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST")).close()
    for bucket in ("plain", "versioned"):
        client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    return client


def put(s3: Any, bucket: str, prefix: str, files: dict[str, bytes]) -> dict[str, str]:
    """Put objects; returns their version ids."""
    return {
        path: s3.put_object(Bucket=bucket, Key=f"{prefix}/{path}", Body=data).get("VersionId", "")
        for path, data in files.items()
    }


def test_a_versioned_folder_is_its_local_twin_and_its_versions_are_recorded(s3: Any, tmp_path: Path) -> None:
    versions = put(s3, "versioned", "team/base", FILES)
    got = open_artifact("s3://versioned/team/base")
    assert got.subject == open_artifact(folder_of(tmp_path / "twin", FILES)).subject
    assert got.subject.name == "base"
    assert got.origin is not None
    assert {path: got.origin.ids[f"object {path}"] for path in FILES} == {p: f"version:{v}" for p, v in versions.items()}
    assert got.origin.mutable
    assert "no version of its own" in got.origin.notes[0]
    assert "secret" not in repr(got)


def test_objects_that_are_overwritten_between_listing_and_fetching(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a versioned bucket, what was listed is what is fetched."""
    put(s3, "versioned", "base", FILES)
    honest = open_artifact("s3://versioned/base")
    plan = sources.make_plan("s3://versioned/base")
    put(s3, "versioned", "base", {"config.json": b"[]", "sub/model.bin": b"poison!" * 1000, "evil.py": b"x"})
    monkeypatch.setattr(sources, "make_plan", lambda uri: plan)
    again = open_artifact("s3://versioned/base")
    assert (again.subject, again.origin) == (honest.subject, honest.origin)


def test_objects_that_are_overwritten_in_a_bucket_without_versions(s3: Any, tmp_path: Path) -> None:
    put(s3, "plain", "base", FILES)
    got = open_artifact("s3://plain/base")
    assert got.origin is not None
    assert got.origin.ids["object config.json"] == f"etag:{hashlib.md5(b'{}', usedforsecurity=False).hexdigest()}"
    assert "keeps no versions" in got.origin.notes[1]
    plan = sources.make_plan("s3://plain/base")
    put(s3, "plain", "base", {"config.json": b"[]"})
    with pytest.raises(ArtifactChanged, match="changed while it was fetched"):
        plan.fetch(tmp_path / "x", Limits(), lambda count: None)


def test_one_object_at_one_version(s3: Any) -> None:
    old = put(s3, "versioned", "m", {"model.bin": b"old"})["model.bin"]
    new = put(s3, "versioned", "m", {"model.bin": b"new"})["model.bin"]
    newest = open_artifact("s3://versioned/m/model.bin")
    assert newest.subject.hex == hashlib.sha256(b"new").hexdigest()
    assert newest.origin is not None
    assert (newest.pinned, newest.origin.mutable) == (f"s3://versioned/m/model.bin?versionId={new}", True)
    pinned = open_artifact(newest.pinned)
    assert (pinned.subject, pinned.subject.name) == (newest.subject, "model.bin")
    first = open_artifact(f"s3://versioned/m/model.bin?versionId={old}")
    assert first.subject.hex == hashlib.sha256(b"old").hexdigest()
    assert first.origin is not None
    assert (first.pinned, first.origin.mutable) == (first.uri, False)
    s3.delete_object(Bucket="versioned", Key="m/model.bin")
    assert open_artifact(newest.pinned).subject == newest.subject
    with pytest.raises(ArtifactError, match="nothing at"):
        open_artifact("s3://versioned/m/model.bin")
    with pytest.raises(ArtifactError):
        open_artifact("s3://versioned/m/model.bin?versionId=nosuch")


def test_the_version_null_is_no_version(s3: Any) -> None:
    """It means whatever was written last while the bucket kept no versions."""
    put(s3, "plain", "m", {"model.bin": b"x"})
    origin = open_artifact("s3://plain/m/model.bin?versionId=null").origin
    assert origin is not None
    assert origin.mutable
    assert origin.ids["object"].startswith("etag:")


def test_a_deleted_object_is_no_part_of_the_folder(s3: Any) -> None:
    put(s3, "versioned", "m", {**FILES, "gone.bin": b"x"})
    s3.delete_object(Bucket="versioned", Key="m/gone.bin")
    assert [entry.path for entry in open_artifact("s3://versioned/m").entries] == ["config.json", "sub/model.bin"]


def test_the_object_that_stands_for_a_folder_in_consoles(s3: Any, tmp_path: Path) -> None:
    put(s3, "plain", "m", {**FILES, "": b"", "sub/": b""})
    assert open_artifact("s3://plain/m").subject == open_artifact(folder_of(tmp_path / "twin", FILES)).subject


def test_a_folder_whose_name_begins_another(s3: Any) -> None:
    put(s3, "plain", "m", FILES)
    put(s3, "plain", "m-evil", {"evil.py": b"x"})
    assert [entry.path for entry in open_artifact("s3://plain/m").entries] == ["config.json", "sub/model.bin"]


def test_keys_that_no_artifact_may_have(s3: Any, home: Path) -> None:
    for key in ("../evil", "a/../../evil", "a//b", "Config.JSON", "a\\b", "x" * 900 + "/" + "y" * 100, "sub/model.bin/x"):
        put(s3, "plain", "m", FILES)
        s3.put_object(Bucket="plain", Key=f"m/{key}", Body=b"x")
        with pytest.raises(ArtifactRefused):
            open_artifact("s3://plain/m", limits=Limits(path_length=900))
        s3.delete_object(Bucket="plain", Key=f"m/{key}")
        assert not list((home / "snapshots").glob(".incoming*"))
    assert open_artifact("s3://plain/m")


@pytest.mark.parametrize("limits", [Limits(files=1), Limits(bytes=100), Limits(depth=0), Limits(path_length=5)])
def test_every_limit_holds_before_anything_is_downloaded(s3: Any, monkeypatch: pytest.MonkeyPatch, limits: Limits) -> None:
    put(s3, "plain", "m", FILES)
    monkeypatch.setattr(objects._Store, "get", lambda *args: pytest.fail("downloaded"))
    with pytest.raises(ArtifactRefused):
        open_artifact("s3://plain/m", limits=limits)


def test_many_objects_are_recorded_by_one_digest(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "MOST_LISTED", 4)
    put(s3, "plain", "m", {f"{n:03}": b"x" for n in range(objects.MOST_LISTED + 1)})
    origin = open_artifact("s3://plain/m").origin
    assert origin is not None
    assert set(origin.ids) == {"objects", "listing"}
    assert origin.ids["objects"] == str(objects.MOST_LISTED + 1)


def test_who_may_not_list_versions_still_reads(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """s3:ListBucketVersions is a right of its own. What is missing then is the pin, and that is said."""
    put(s3, "versioned", "m", FILES)
    import s3fs

    real: Callable[..., Any] = s3fs.S3FileSystem.find

    def find(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.version_aware:
            raise PermissionError("Access Denied")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(s3fs.S3FileSystem, "find", find)
    origin = open_artifact("s3://versioned/m").origin
    assert origin is not None
    assert origin.ids["object config.json"].startswith("etag:")


def test_wrong_credentials_and_no_such_bucket(s3: Any) -> None:
    with pytest.raises(ArtifactError) as failed:
        open_artifact("s3://nosuchbucket/m")
    assert "very-secret" not in str(failed.value)


# What no store would do, but a driver or an attacker between might


@pytest.fixture
def memory() -> Iterator[Any]:
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    for path, data in FILES.items():
        filesystem.pipe(f"/bucket/m/{path}", data)
    yield filesystem
    filesystem.store.clear()


def test_a_store_without_versions(memory: Any, tmp_path: Path) -> None:
    got = open_artifact("memory://bucket/m")
    assert got.subject == open_artifact(folder_of(tmp_path / "twin", FILES)).subject
    assert got.origin is not None
    assert (got.origin.scheme, got.origin.mutable) == ("memory", True)


def test_a_driver_that_finds_nothing_below_a_single_object(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As adlfs does for Azure."""
    from fsspec.implementations.memory import MemoryFileSystem

    monkeypatch.setattr(MemoryFileSystem, "find", lambda *args, **kwargs: [])
    got = open_artifact("memory://bucket/m/config.json")
    assert (got.is_file, got.subject.hex) == (True, hashlib.sha256(b"{}").hexdigest())
    for nothing in ("memory://bucket/m/nosuch", "memory://bucket/m/sub"):
        with pytest.raises(ArtifactError, match="nothing at"):
            open_artifact(nothing)


def lying(monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], None]) -> None:
    """A driver whose listing was changed."""
    from fsspec.implementations.memory import MemoryFileSystem

    real = MemoryFileSystem.find

    def find(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = dict(real(self, *args, **kwargs))
        change(found)
        return found

    monkeypatch.setattr(MemoryFileSystem, "find", find)


def test_a_listing_that_leaves_the_folder(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe("/bucket/other/secret", b"x")
    lying(monkeypatch, lambda found: found.update({"/bucket/other/secret": {"size": 1}}))
    with pytest.raises(ArtifactRefused, match="not below it"):
        open_artifact("memory://bucket/m")


@pytest.mark.parametrize(("size", "says"), [(3, "goes on after|arrived"), (9000, "listed with 9,000 bytes, and 7,000 arrived")])
def test_a_listing_that_lies_about_sizes(memory: Any, monkeypatch: pytest.MonkeyPatch, size: int, says: str) -> None:
    lying(monkeypatch, lambda found: found["/bucket/m/sub/model.bin"].update(size=size))
    with pytest.raises(ArtifactError, match=says):
        open_artifact("memory://bucket/m")


def test_a_listing_without_sizes(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lying(monkeypatch, lambda found: found["/bucket/m/sub/model.bin"].update(size=None))
    assert open_artifact("memory://bucket/m")
    with pytest.raises(ArtifactRefused, match=r"goes on after the 5,000|the limit is 5,000"):
        open_artifact("memory://bucket/m", limits=Limits(bytes=5000))


def test_credentials_in_a_uri_are_used_and_never_recorded(memory: Any) -> None:
    """For drivers that take them there; nothing of them stays."""
    with pytest.raises(ArtifactError) as failed:
        open_artifact("ftp://user:secret@127.0.0.1:1/m")
    assert "secret" not in failed.value.diagnostics()
    assert "user" not in failed.value.diagnostics()


def test_a_file_uri_is_a_local_path(tmp_path: Path) -> None:
    """With its rules: fsspec would follow symbolic links."""
    folder = folder_of(tmp_path / "m", FILES)
    for uri in (f"file://{folder}", f"file:{folder}", f"local://{folder}"):
        got = open_artifact(uri)
        assert got.subject == open_artifact(folder).subject
        assert got.origin is None
    with pytest.raises(ArtifactRefused, match="own disk"):
        open_artifact(f"simplecache::file://{folder}")
    with pytest.raises(ArtifactRefused, match="is empty"):
        open_artifact("")
    (folder / "link").symlink_to("/etc/passwd")
    for uri in (f"file://{folder}", f"local://{folder}", f"file://{folder}/link"):
        with pytest.raises(ArtifactRefused, match="symbolic link"):
            open_artifact(uri)
