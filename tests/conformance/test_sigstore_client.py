"""The client for sigstore-conformance, on bundles of our own: what that suite asks for, kept true without a copy of it.

The suite itself: see the top of `sigstore-client`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pratique.signing import KeySigner
from pratique.testing.sigstore import FakeSigstore, tokens
from pratique.testing.sigstore.rekor import as_entry

CLIENT = Path(__file__).with_name("sigstore-client")
WHO = "dev@example.com"
ISSUER = "https://accounts.google.com"
CONTENT = b"an artifact\n"
OLD = {1: "application/vnd.dev.sigstore.bundle+json;version=0.1", 2: "application/vnd.dev.sigstore.bundle+json;version=0.2"}


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeSigstore]:
    with FakeSigstore() as running:
        yield running


@pytest.fixture(scope="module")
def made(fake: FakeSigstore, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Bundles over the artifact that sigstore's own client makes, by what they hold and the generation of the log."""
    from sigstore.dsse import Statement

    found = {}
    for version in (1, 2):
        signer = fake.signer(tokens.email(WHO, ISSUER), tmp_path_factory.mktemp("signer"), version=version)  # type: ignore[arg-type]
        theirs = signer._new_signer()
        found[f"file {version}"] = theirs.sign_artifact(CONTENT).to_json().encode()
        found[f"dsse {version}"] = theirs.sign_dsse(Statement(statement(CONTENT))).to_json().encode()
    return found


def statement(content: bytes) -> bytes:
    digest = {"sha256": hashlib.sha256(content).hexdigest()}
    return json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "a", "digest": digest}],
            "predicateType": "https://example.com/said/v1", "predicate": {},
        }
    ).encode()  # fmt: skip


@pytest.fixture
def verify(fake: FakeSigstore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., int]:
    """Asks about a bundle, by file and by digest; both must get the same answer."""
    main = runpy.run_path(str(CLIENT), run_name="sigstore_client")["main"]

    def run(
        bundle: bytes | dict[str, Any], *, content: bytes = CONTENT, who: str = WHO, issuer: str = ISSUER,
        root: dict[str, Any] | None = None, key: Path | None = None,
    ) -> int:  # fmt: skip
        (tmp_path / "bundle.json").write_bytes(bundle if isinstance(bundle, bytes) else json.dumps(bundle).encode())
        (tmp_path / "root.json").write_text(json.dumps(root or fake.trusted_root()))
        (tmp_path / "a.txt").write_bytes(content)
        by = ["--key", str(key)] if key else ["--certificate-identity", who, "--certificate-oidc-issuer", issuer]
        words = ["verify-bundle", "--bundle", str(tmp_path / "bundle.json"), *by, "--trusted-root", str(tmp_path / "root.json")]
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        codes = {main([*words, str(tmp_path / "a.txt")]), main([*words, digest])}
        said = capsys.readouterr().err
        assert "Traceback" not in said
        assert len(codes) == 1, said
        return int(codes.pop())

    return run


KINDS = ["file 1", "file 2", "dsse 1", "dsse 2"]
each = pytest.mark.parametrize("kind", KINDS)


@each
def test_what_sigstores_client_makes_holds(made: dict[str, bytes], verify: Any, kind: str) -> None:
    assert verify(made[kind]) == 0


@pytest.mark.parametrize("version", OLD)
def test_older_bundles_hold_and_may_carry_no_root(
    made: dict[str, bytes], verify: Any, fake: FakeSigstore, version: int
) -> None:
    value = json.loads(made["file 1"])
    material = value["verificationMaterial"]
    value["mediaType"] = OLD[version]
    material["x509CertificateChain"] = {"certificates": [material.pop("certificate")]}
    assert verify(value) == 0
    der = fake.fulcio.root.certificate.public_bytes(serialization.Encoding.DER)
    material["x509CertificateChain"]["certificates"].append({"rawBytes": base64.b64encode(der).decode()})
    assert verify(value) != 0
    material["x509CertificateChain"]["certificates"] = []
    assert verify(value) != 0


@each
def test_another_identity_issuer_artifact_or_root(made: dict[str, bytes], verify: Any, kind: str) -> None:
    for changes in (
        {"who": "eve@example.com"}, {"issuer": "https://example.com"}, {"content": b"another\n"},
        {"root": FakeSigstore().trusted_root()},
    ):  # fmt: skip
        assert verify(made[kind], **changes) != 0


def entry(value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = value["verificationMaterial"]["tlogEntries"][0]
    return found


def flip(text: str) -> str:
    """Base64 of as many bytes, one of which is another."""
    data = bytearray(base64.b64decode(text))
    data[len(data) // 2] ^= 1
    return base64.b64encode(bytes(data)).decode()


def flip_signature(value: dict[str, Any]) -> None:
    where = value["messageSignature"] if "messageSignature" in value else value["dsseEnvelope"]["signatures"][0]
    name = "signature" if "messageSignature" in value else "sig"
    where[name] = flip(where[name])


def flip_checkpoint(value: dict[str, str]) -> None:
    note, _, blob = value["envelope"].rstrip("\n").rpartition(" ")
    value["envelope"] = f"{note} {flip(blob)}\n"


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "an unknown version": lambda value: value.update(mediaType="application/vnd.dev.sigstore.bundle+json;version=99"),
    "another signature": flip_signature,
    "a signature that is not base64": lambda value: value.get("messageSignature", value).update(signature="%%"),
    "another root hash": lambda value: entry(value)["inclusionProof"].update(
        rootHash=flip(entry(value)["inclusionProof"]["rootHash"])
    ),
    "another hash in the proof": lambda value: entry(value)["inclusionProof"]["hashes"].__setitem__(
        0, flip(entry(value)["inclusionProof"]["hashes"][0])
    ),
    "no inclusion proof": lambda value: entry(value).pop("inclusionProof"),
    "a negative index": lambda value: entry(value).update(logIndex="-1"),
    "a checkpoint with another signature": lambda value: flip_checkpoint(entry(value)["inclusionProof"]["checkpoint"]),
    "a checkpoint without an origin": lambda value: entry(value)["inclusionProof"]["checkpoint"].update(
        envelope=entry(value)["inclusionProof"]["checkpoint"]["envelope"].partition("\n")[2]
    ),
    "another certificate": lambda value: value["verificationMaterial"]["certificate"].update(
        rawBytes=flip(value["verificationMaterial"]["certificate"]["rawBytes"])
    ),
    "neither a timestamp nor a time": lambda value: (
        value["verificationMaterial"].update(timestampVerificationData=None),
        entry(value).update(integratedTime=None, inclusionPromise=None),
    ),
    "two entries": lambda value: value["verificationMaterial"].update(tlogEntries=[entry(value)] * 2),
    "a signature over a file and a statement at once, neither of which is there": lambda value: (
        value.pop("messageSignature", None), value.pop("dsseEnvelope", None)
    ),
}  # fmt: skip


@each
@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_bundle(made: dict[str, bytes], verify: Any, kind: str, name: str) -> None:
    value = json.loads(made[kind])
    if name == "a signature that is not base64" and kind.startswith("dsse"):
        value["dsseEnvelope"]["signatures"][0]["sig"] = "%%"
    CHANGES[name](value)
    assert verify(value) != 0


@each
def test_parts_of_two_bundles(made: dict[str, bytes], verify: Any, fake: FakeSigstore, tmp_path: Path, kind: str) -> None:
    """An entry about another artifact by the same signer, in the place of this one's."""
    from sigstore.dsse import Statement

    value = json.loads(made[kind])
    theirs = fake.signer(tokens.email(WHO, ISSUER), tmp_path / "other", version=int(kind[-1]))._new_signer()  # type: ignore[arg-type]
    other = b"another\n"
    bundle = theirs.sign_artifact(other) if kind.startswith("file") else theirs.sign_dsse(Statement(statement(other)))
    swapped = json.loads(bundle.to_json())
    for part in ("tlogEntries", "certificate", "timestampVerificationData"):
        mixed = json.loads(made[kind])
        mixed["verificationMaterial"][part] = swapped["verificationMaterial"][part]
        if part != "timestampVerificationData" or kind.endswith("2"):
            assert verify(mixed) != 0
    assert verify(value) == 0


@each
def test_ends_in_the_trusted_root_bind_and_the_last_moment_counts(
    made: dict[str, bytes], verify: Any, fake: FakeSigstore, kind: str
) -> None:
    at = _signed_at(json.loads(made[kind]))
    for moment, holds in ((at + timedelta(seconds=1), True), (at - timedelta(seconds=1), False)):
        root = fake.trusted_root()
        for log in root["tlogs"]:
            log["publicKey"]["validFor"]["end"] = moment.isoformat()
        assert (verify(made[kind], root=root) == 0) == holds
    root = fake.trusted_root()
    for log in root["tlogs"]:
        del log["publicKey"]["validFor"]["start"]
    assert verify(made[kind], root=root) != 0


def _signed_at(value: dict[str, Any]) -> datetime:
    from rfc3161_client import decode_timestamp_response

    stamps = (value["verificationMaterial"].get("timestampVerificationData") or {}).get("rfc3161Timestamps")
    if stamps:
        when: datetime = decode_timestamp_response(base64.b64decode(stamps[0]["signedTimestamp"])).tst_info.gen_time
        return when
    from datetime import timezone

    return datetime.fromtimestamp(int(entry(value)["integratedTime"]), timezone.utc)


# --- managed keys with a log entry


def by_key(fake: FakeSigstore, key: KeySigner) -> dict[str, Any]:
    """What `cosign sign-blob --key` makes."""
    signature = key.private.sign(CONTENT, ec.ECDSA(hashes.SHA256()))
    digest = hashlib.sha256(CONTENT)
    text = base64.b64encode(signature).decode()
    spec = {
        "data": {"hash": {"algorithm": "sha256", "value": digest.hexdigest()}},
        "signature": {"content": text, "publicKey": {"content": base64.b64encode(key.trusted().pem).decode()}},
    }
    answer = fake.rekor_v1.add({"kind": "hashedrekord", "apiVersion": "0.0.1", "spec": spec})
    return {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": "x"}, "tlogEntries": [as_entry(answer, "hashedrekord")]},
        "messageSignature": {
            "messageDigest": {"algorithm": "SHA2_256", "digest": base64.b64encode(digest.digest()).decode()},
            "signature": text,
        },
    }


def test_a_managed_key_holds_with_its_entry_and_not_by_another_key_or_none(
    verify: Any, fake: FakeSigstore, tmp_path: Path
) -> None:
    key, other = KeySigner.generate(), KeySigner.generate()
    public, wrong = key.save(tmp_path / "a.key"), other.save(tmp_path / "b.key")
    value = by_key(fake, key)
    assert verify(value, key=public) == 0
    assert verify(value, key=wrong) != 0
    assert verify(value) != 0
    assert verify(value, key=public, content=b"another\n") != 0
    assert verify(value, key=public, root=FakeSigstore().trusted_root()) != 0
    value["verificationMaterial"]["tlogEntries"] = by_key(fake, other)["verificationMaterial"]["tlogEntries"]
    assert verify(value, key=public) != 0


# --- the process


def test_it_is_a_command(made: dict[str, bytes], fake: FakeSigstore, tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_bytes(made["file 2"])
    (tmp_path / "root.json").write_text(json.dumps(fake.trusted_root()))
    (tmp_path / "a.txt").write_bytes(CONTENT)
    assert os.access(CLIENT, os.X_OK)
    words = ["verify-bundle", "--bundle", "bundle.json", "--certificate-identity", WHO, "--certificate-oidc-issuer", ISSUER]
    done = subprocess.run(
        [sys.executable, CLIENT, *words, "--trusted-root", "root.json", "a.txt"], cwd=tmp_path, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"\xff", b'{"mediaType": 3}', b"[" * 5000])
def test_what_is_no_bundle(verify: Any, data: bytes) -> None:
    assert verify(data) != 0
