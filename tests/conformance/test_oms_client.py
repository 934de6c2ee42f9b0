"""The adapter, driven as the OMS conformance suite drives it, on trees of our own: only its exit code counts.

The public suite itself is run by `run_oms_suite.py`; this keeps what it asks for true between two such runs.
"""

from __future__ import annotations

import base64
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pratique.signing import KeySigner
from pratique.testing import certificates, folder_of
from pratique.testing.sigstore import FakeSigstore

from ..forging import tampered
from .run_oms_suite import ADAPTER, IDENTITY, ISSUER, environment

FILES = {
    "weights.bin": bytes(range(256)) * 4,
    "config.json": b"{}",
    "sub dir/模型 (copy).bin": b"\x00\xff",
    "empty": b"",
    ".env": b"x",
}
GIT = {".git/config": b"[core]", ".github/ci.yml": b"x", ".gitignore": b"*", ".gitattributes": b"*"}
Client = Callable[..., int]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "model", FILES)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Client:
    """The adapter in this process: starting one takes half a second."""
    main = runpy.run_path(str(ADAPTER), run_name="oms_client")["main"]

    def run(*words: object) -> int:
        monkeypatch.setattr(sys, "argv", ["oms-client", *map(str, words)])
        code: int = main()
        assert "Traceback" not in capsys.readouterr().err
        return code

    return run


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSigstore]:
    with FakeSigstore() as services:
        for name, value in environment(services, tmp_path).items():
            monkeypatch.setenv(name, value)
        yield services


class Way:
    """One method's options, for signing and for verifying."""

    def __init__(self, name: str, signing: list[object], verifying: list[object]) -> None:
        self.name, self.signing, self.verifying = name, ["--method", name, *signing], ["--method", name, *verifying]


def key_way(folder: Path, curve: str = "P-256") -> Way:
    public = KeySigner.generate(curve).save(folder / f"{curve}.pem")
    return Way("key", ["--private-key", folder / f"{curve}.pem"], ["--public-key", public])


def certificate_way(folder: Path) -> Way:
    root = certificates.Authority.root("root")
    middle = root.intermediate("middle")
    signer = middle.signer("CN=release")
    signer.key.save(folder / "leaf.key")
    paths = [
        certificates.write_pem(folder / f"{name}.pem", chain)
        for name, chain in (("leaf", signer.chain[:1]), ("middle", [middle.certificate]), ("root", [root.certificate]))
    ]
    leaf, between, anchor = paths
    signing: list[object] = ["--private-key", folder / "leaf.key", "--signing-cert", leaf, "--cert-chain", between]
    return Way("certificate", signing, ["--cert-chain", anchor])


def keyless_way() -> Way:
    token = os.environ["SIGSTORE_ID_TOKEN"]
    return Way("sigstore", ["--identity-token", token], ["--identity", IDENTITY, "--identity-provider", ISSUER])


def sign(client: Client, way: Way, model: Path, bundle: Path, *more: object) -> int:
    return client("sign-model", *way.signing, "--model-path", model, "--output-bundle", bundle, *more)


def verify(client: Client, way: Way, model: Path, bundle: Path, *more: object) -> int:
    return client("verify-model", *way.verifying, "--model-path", model, "--bundle", bundle, *more)


def signed_files(bundle: Path) -> list[str]:
    payload = json.loads(base64.b64decode(json.loads(bundle.read_text())["dsseEnvelope"]["payload"]))
    return [one["name"] for one in payload["predicate"]["resources"]]


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
def test_by_key(client: Client, model: Path, tmp_path: Path, curve: str) -> None:
    way, bundle = key_way(tmp_path, curve), tmp_path / "bundle.sig"
    assert sign(client, way, model, bundle) == 0
    assert verify(client, way, model, bundle) == 0
    assert signed_files(bundle) == sorted(FILES)
    assert verify(client, key_way(folder_of(tmp_path / "other", {})), model, bundle) == 1


def test_by_certificate(client: Client, model: Path, tmp_path: Path) -> None:
    way, bundle = certificate_way(tmp_path), tmp_path / "bundle.sig"
    assert sign(client, way, model, bundle) == 0
    assert verify(client, way, model, bundle) == 0
    assert verify(client, certificate_way(folder_of(tmp_path / "other", {})), model, bundle) == 1
    assert verify(client, key_way(tmp_path), model, bundle) == 1


def test_keyless(client: Client, model: Path, tmp_path: Path, fake: FakeSigstore) -> None:
    way, bundle = keyless_way(), tmp_path / "bundle.sig"
    assert sign(client, way, model, bundle) == 0
    assert verify(client, way, model, bundle) == 0
    for identity, issuer in (
        ("mallory@example.com", ISSUER),
        (IDENTITY, "https://wrong.example"),
        (IDENTITY, ""),
        ("", ISSUER),
    ):
        wrong = Way("sigstore", [], ["--identity", identity, "--identity-provider", issuer])
        assert verify(client, wrong, model, bundle) == 1
    assert verify(client, key_way(tmp_path), model, bundle) == 1
    (model / "config.json").write_bytes(b"changed")
    assert verify(client, way, model, bundle) == 1


@pytest.mark.parametrize("where", ["beside", "inside"])
def test_what_is_left_out(client: Client, model: Path, tmp_path: Path, where: str) -> None:
    """git's own files by default, what is named, and the signature itself."""
    way, bundle = key_way(tmp_path), (model if where == "inside" else tmp_path) / "bundle.sig"
    folder_of(model, {**GIT, "sub dir/.git/kept": b"1", "cache/x": b"2"})
    assert sign(client, way, model, bundle, "--ignore-paths", model / "cache", "--ignore-paths", tmp_path / "elsewhere") == 0
    assert signed_files(bundle) == sorted([*FILES, "sub dir/.git/kept"])
    assert verify(client, way, model, bundle, "--ignore-paths", model / "cache") == 0
    folder_of(model, {".git/more": b"1", "cache/y": b"2"})
    assert verify(client, way, model, bundle) == 0
    folder_of(model, {"extra.bin": b"1"})
    assert verify(client, way, model, bundle) == 1
    assert verify(client, way, model, bundle, "--ignore-paths", model / "extra.bin") == 0
    assert verify(client, way, model, bundle, "--ignore-unsigned-files") == 0
    (model / "weights.bin").unlink()
    assert verify(client, way, model, bundle, "--ignore-unsigned-files") == 1


def test_twice_signed_is_the_same_manifest(client: Client, model: Path, tmp_path: Path) -> None:
    way = key_way(tmp_path)
    for name in ("one.sig", "two.sig"):
        assert sign(client, way, model, tmp_path / name) == 0
    payloads = [json.loads((tmp_path / name).read_text())["dsseEnvelope"]["payload"] for name in ("one.sig", "two.sig")]
    assert payloads[0] == payloads[1]


def test_a_single_file(client: Client, model: Path, tmp_path: Path) -> None:
    way, bundle = key_way(tmp_path), tmp_path / "bundle.sig"
    assert sign(client, way, model / "weights.bin", bundle) == 0
    assert signed_files(bundle) == ["weights.bin"]
    assert verify(client, way, model / "weights.bin", bundle) == 0
    (model / "weights.bin").write_bytes(b"changed")
    assert verify(client, way, model / "weights.bin", bundle) == 1


@pytest.mark.parametrize("target", ["config.json", ".", "/tmp/nonexistent-target", "/etc"])
def test_links_are_not_signed(client: Client, model: Path, tmp_path: Path, target: str) -> None:
    (model / "link").symlink_to(target)
    assert sign(client, key_way(tmp_path), model, tmp_path / "bundle.sig") == 1
    assert not (tmp_path / "bundle.sig").exists()


def test_nothing_is_not_signed(client: Client, tmp_path: Path) -> None:
    way = key_way(tmp_path)
    assert sign(client, way, folder_of(tmp_path / "empty", GIT), tmp_path / "bundle.sig") == 1
    assert sign(client, way, tmp_path / "missing", tmp_path / "bundle.sig") == 1


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda bundle: b"",
    "garbage": lambda bundle: b"not json",
    "cut off": lambda bundle: bundle[: len(bundle) // 2],
    "no envelope": lambda bundle: json.dumps({**json.loads(bundle), "dsseEnvelope": None}).encode(),
    "no signature": lambda bundle: tampered(bundle, signatures=[]),
    "another payload type": lambda bundle: tampered(bundle, payloadType="text/plain"),
    "another media type": lambda bundle: json.dumps({**json.loads(bundle), "mediaType": "application/json"}).encode(),
    "another payload": lambda bundle: tampered(bundle, payload=base64.b64encode(b"{}").decode()),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_bundle_that_is_none(client: Client, model: Path, tmp_path: Path, name: str) -> None:
    way, bundle = key_way(tmp_path), tmp_path / "bundle.sig"
    assert sign(client, way, model, bundle) == 0
    assert verify(client, way, model, bundle) == 0
    bundle.write_bytes(BROKEN[name](bundle.read_bytes()))
    assert verify(client, way, model, bundle) == 1


def test_it_is_a_program_of_its_own(model: Path, tmp_path: Path) -> None:
    """As the suite starts it: by its path, with this interpreter first on the PATH."""
    way, bundle = key_way(tmp_path), tmp_path / "bundle.sig"
    env = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}

    def run(*words: Any) -> int:
        command = [str(ADAPTER), *map(str, words)]
        return subprocess.run(command, env=env, capture_output=True, check=False).returncode

    assert run("sign-model", *way.signing, "--model-path", model, "--output-bundle", bundle) == 0
    assert run("verify-model", *way.verifying, "--model-path", model, "--bundle", bundle) == 0
    (model / "config.json").write_bytes(b"changed")
    assert run("verify-model", *way.verifying, "--model-path", model, "--bundle", bundle) == 1
    assert run("verify-model", "--method", "nonsense") != 0
