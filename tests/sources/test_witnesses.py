"""That our fakes speak the real protocols: other people's clients and servers are the witnesses."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pratique.artifacts import open_artifact
from pratique.errors import ArtifactError, ArtifactRefused
from pratique.testing import FakeHub, FakeRegistry, folder_of

FILES = {"config.json": b"{}", "model.safetensors": b"weights" * 1000, "sub/tokenizer.json": b"[]"}
SNAPSHOT = (
    "import sys, huggingface_hub as h; print(h.snapshot_download(sys.argv[1], revision=sys.argv[2], local_dir=sys.argv[3]))"
)


def snapshot(hub: FakeHub, revision: str, into: Path) -> Path:
    """What `huggingface_hub` downloads; in a process of its own, for it reads its settings when imported."""
    env = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(into / "home"), "HF_HUB_DISABLE_XET": "1"}
    run = [sys.executable, "-c", SNAPSHOT, "acme/base", revision, str(into / "got")]
    subprocess.run(run, env=env, check=True, capture_output=True, timeout=60)
    shutil.rmtree(into / "got" / ".cache")
    return into / "got"


@pytest.mark.slow
def test_huggingface_hub_reads_from_the_fake_hub_what_we_read(hub: FakeHub, tmp_path: Path) -> None:
    commit = hub.commit("acme/base", FILES)
    for revision in (commit, "main"):
        theirs = snapshot(hub, revision, tmp_path / revision)
        assert open_artifact(theirs).subject == open_artifact(f"hf://acme/base@{revision}").subject


@pytest.mark.slow
def test_huggingface_hub_keeps_what_the_hubs_own_sha256_contradicts(hub: FakeHub, tmp_path: Path) -> None:
    """Why `hf://` has a client of its own: a changed large file of the same length passes there (measured with 2.4.0)."""
    commit = hub.commit("acme/base", FILES)
    name = hashlib.sha256(FILES["model.safetensors"]).hexdigest()
    hub.cdn.blobs[name] = b"poison!" * 1000
    assert (snapshot(hub, commit, tmp_path) / "model.safetensors").read_bytes() == b"poison!" * 1000
    with pytest.raises(ArtifactRefused, match="other bytes"):
        open_artifact(f"hf://acme/base@{commit}")


FLAT = {"config.json": b"{}", "tokenizer.json": b"[]"}


def push_with_oras(host: str) -> str:
    """Push two files of the working folder as `oras` does; returns the digest of the manifest."""
    import oras.provider

    client = oras.provider.Registry(hostname=host, insecure=True, auth_backend="basic")
    response = client.push(
        target=f"{host}/team/model:v1", files=["config.json:application/json", "tokenizer.json"], disable_path_validation=True
    )
    return str(response.headers["Docker-Content-Digest"])


def test_what_oras_pushes_to_the_fake_registry(registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path / "m", FLAT)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    digest = push_with_oras(registry.host)
    monkeypatch.chdir(tmp_path)
    got = open_artifact(f"oci://{registry.host}/team/model@{digest}")
    assert got.subject == open_artifact(folder).subject


def test_oras_pulls_from_the_fake_registry(registry: FakeRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import oras.provider

    monkeypatch.setenv("HOME", str(tmp_path))
    registry.push("team/model", FILES, tag="v1")
    client = oras.provider.Registry(hostname=registry.host, insecure=True, auth_backend="basic")
    client.pull(target=f"{registry.host}/team/model:v1", outdir=str(tmp_path / "pulled"))
    assert open_artifact(tmp_path / "pulled").subject == open_artifact(f"oci://{registry.host}/team/model:v1").subject


@contextmanager
def docker_registry(folder: Path) -> Iterator[str]:
    """The registry that everybody else's descend from, if this machine has it."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("LOUD: there is no docker-registry here, so nothing was tried against it (apt-get install docker-registry)")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder / 'kept'}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n"
    )
    with (
        open(folder / "log", "wb") as log,
        subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log) as process,
    ):
        try:
            for _ in range(100):
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.mark.slow
def test_a_real_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path / "m", FLAT)
    monkeypatch.setenv("HOME", str(tmp_path))
    with docker_registry(tmp_path) as host:
        monkeypatch.chdir(folder)
        digest = push_with_oras(host)
        monkeypatch.chdir(tmp_path)
        for uri in (f"oci://{host}/team/model@{digest}", f"oci://{host}/team/model:v1"):
            got = open_artifact(uri)
            assert got.subject == open_artifact(folder).subject
            assert got.pinned == f"oci://{host}/team/model@{digest}"
        with pytest.raises(ArtifactError, match="nothing at"):
            open_artifact(f"oci://{host}/team/model@sha256:{'0' * 64}")
