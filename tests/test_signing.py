"""Bundles: what holds, and everything that must not."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pratique import signing
from pratique.errors import EvidenceError, Malformed, SignatureInvalid, UsageError, WrongSigner
from pratique.signing import INTOTO, KeySigner, TrustedKey

GATE = KeySigner.generate()
OTHER = KeySigner.generate()
PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1"}'
SIGNED = signing.sign(PAYLOAD, INTOTO, GATE)


def bundle(**changes: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(signing.sign(PAYLOAD, INTOTO, GATE))
    value["dsseEnvelope"].update(changes)
    return value


def check(value: dict[str, Any] | bytes, *keys: KeySigner) -> signing.Verified:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return signing.verify(data, [key.trusted(f"key{number}") for number, key in enumerate(keys or (GATE,))])


@settings(max_examples=25, deadline=None)
@given(payload=st.binary(max_size=200), curve=st.sampled_from(["P-256", "P-384", "P-521"]))
def test_what_is_signed_verifies_and_is_returned_to_the_byte(payload: bytes, curve: str) -> None:
    signer = KeySigner.generate(curve)
    verified = signing.verify(signing.sign(payload, INTOTO, signer), [signer.trusted()])
    assert verified.payload == payload
    assert verified.signers == {signer.trusted().fingerprint}


def test_the_encoding_that_is_signed_is_the_specifications() -> None:
    assert (
        signing.pae("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_a_changed_payload_under_a_trusted_key_hint() -> None:
    with pytest.raises(SignatureInvalid, match="was changed"):
        check(bundle(payload=base64.b64encode(PAYLOAD + b" ").decode()))


def test_a_signature_by_somebody_else() -> None:
    with pytest.raises(WrongSigner, match="nobody who is trusted"):
        check(signing.sign(PAYLOAD, INTOTO, OTHER))


def test_nobody_is_trusted() -> None:
    with pytest.raises(WrongSigner):
        signing.verify(signing.sign(PAYLOAD, INTOTO, GATE), [])


def test_one_key_under_two_names_has_one_vote() -> None:
    value = bundle()
    value["dsseEnvelope"]["signatures"] *= 2
    keys = [GATE.trusted("a"), GATE.trusted("b")]
    assert len(signing.verify(json.dumps(value).encode(), keys).signers) == 1


def test_two_keys_have_two_votes() -> None:
    value = bundle()
    value["dsseEnvelope"]["signatures"] += json.loads(signing.sign(PAYLOAD, INTOTO, OTHER))["dsseEnvelope"]["signatures"]
    assert len(check(value, GATE, OTHER).signers) == 2


def test_another_payload_type_is_another_message() -> None:
    with pytest.raises(SignatureInvalid):
        signing.verify(json.dumps(bundle(payloadType="text/plain")).encode(), [GATE.trusted()], payload_type="text/plain")
    with pytest.raises(Malformed, match="text/plain"):
        check(bundle(payloadType="text/plain"))


MALFORMED: dict[str, Any] = {
    "no signature": bundle(signatures=[]),
    "payload is not base64": bundle(payload="%%%"),
    "base64 with a line break": bundle(
        payload=base64.b64encode(PAYLOAD).decode()[:8] + "\n" + base64.b64encode(PAYLOAD).decode()[8:]
    ),
    "base64 with loose padding bits": bundle(payload="e31="),
    "an unknown key": {**bundle(), "note": 1},
    "an unknown key in the envelope": bundle(note=1),
    "another media type": {**bundle(), "mediaType": "application/vnd.dev.sigstore.bundle.v0.1+json"},
    "no envelope": {key: value for key, value in bundle().items() if key != "dsseEnvelope"},
    "a list": b"[]",
    "nothing": b"",
    "a key twice": json.dumps(bundle()).replace('"mediaType"', '"mediaType": "x", "mediaType"').encode(),
    "deep": b'{"verificationMaterial":' + b'{"a":' * 500 + b"1" + b"}" * 501,
    "truncated": signing.sign(PAYLOAD, INTOTO, GATE)[:-20],
    "too many signatures": bundle(signatures=bundle()["dsseEnvelope"]["signatures"] * 65),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_bundle(name: str) -> None:
    with pytest.raises(Malformed):
        check(MALFORMED[name])


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_mutation_of_a_bundle_says_anything_else(data: st.DataObject) -> None:
    original = SIGNED
    at = data.draw(st.integers(0, len(original) - 1))
    mutated = original[:at] + data.draw(st.binary(max_size=3)) + original[at + data.draw(st.integers(0, 3)) :]
    try:
        verified = check(mutated)
    except EvidenceError:
        return
    assert verified.payload == PAYLOAD


def test_a_private_key_is_readable_by_its_owner_alone_and_never_overwritten(tmp_path: Path) -> None:
    GATE.save(tmp_path / "gate.key")
    assert (tmp_path / "gate.key").stat().st_mode & 0o777 == 0o600
    before = (tmp_path / "gate.key").read_bytes()
    with pytest.raises(UsageError, match="never overwritten"):
        OTHER.save(tmp_path / "gate.key")
    assert (tmp_path / "gate.key").read_bytes() == before
    assert KeySigner.load(tmp_path / "gate.key").trusted().fingerprint == GATE.trusted().fingerprint


def test_a_private_key_where_a_public_one_belongs(tmp_path: Path) -> None:
    GATE.save(tmp_path / "gate.key")
    with pytest.raises(UsageError) as caught:
        TrustedKey.load("gate", tmp_path / "gate.key")
    assert ".pub" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"not a key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_file_that_is_no_key(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "k").write_bytes(content)
    with pytest.raises(UsageError):
        TrustedKey.load("k", tmp_path / "k")
    with pytest.raises(UsageError):
        KeySigner.load(tmp_path / "k")


def test_a_key_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        KeySigner.load(tmp_path / "none.key")


def test_an_rsa_key_is_refused(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    public = rsa.generate_private_key(65537, 2048).public_key()
    (tmp_path / "rsa.pub").write_bytes(
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    with pytest.raises(UsageError, match="elliptic-curve"):
        TrustedKey.load("rsa", tmp_path / "rsa.pub")


def test_this_machines_own_key_is_made_once(tmp_path: Path) -> None:
    first = signing.own_signer(tmp_path / "keys" / "gate.key")
    assert signing.own_signer(tmp_path / "keys" / "gate.key").trusted().fingerprint == first.trusted().fingerprint
