"""Keyless signatures: what holds, and every way in which it must not. The fake makes the bundles, at whatever time it shows."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pratique import signing
from pratique.errors import CertificateRefused, EvidenceError, Malformed, NotLogged, SignatureInvalid, Unsupported, UsageError
from pratique.errors import WrongSigner as Stranger
from pratique.signing import INTOTO, KeySigner, TrustedIdentity, publishers
from pratique.signing.claims import actor
from pratique.signing.roots import Root
from pratique.testing.certificates import Authority
from pratique.testing.sigstore import FakeSigstore, Fault, tokens

ACME = tokens.github("acme/models")
WHO = publishers.github("acme/models", workflow="release.yml", ref="refs/heads/main")
PAYLOAD = json.dumps(
    {
        "_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "m", "digest": {"sha256": "ab" * 32}}],
        "predicateType": "https://example.com/said/v1", "predicate": {"says": "hello"},
    }
).encode()  # fmt: skip
BOTH = pytest.mark.parametrize("version", [1, 2])


@pytest.fixture
def fake() -> FakeSigstore:
    return FakeSigstore()


@pytest.fixture(autouse=True)
def no_network_and_no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Verification asks nobody and keeps nothing: a socket or a file in the home directory fails the test."""
    home = tmp_path / "nobody"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("somebody opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    yield
    assert list(home.iterdir()) == []


def verify(fake: FakeSigstore, bundle: bytes, who: publishers.Publisher = WHO, now: datetime | None = None) -> signing.Verified:
    return signing.verify(bundle, [fake.trusted("supplier", who)], now=now)


def changed(bundle: bytes, change: Callable[[dict[str, Any]], Any]) -> bytes:
    value: dict[str, Any] = json.loads(bundle)
    change(value)
    return json.dumps(value).encode()


def entry(bundle: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = bundle["verificationMaterial"]["tlogEntries"][0]
    return found


# --- what holds


@BOTH
def test_an_honest_bundle_holds_and_says_who_when_and_why(fake: FakeSigstore, version: Any) -> None:
    fake.clock.set(datetime(2026, 3, 4, 5, 6, 7, tzinfo=timezone.utc))
    verified = verify(fake, fake.seal(PAYLOAD, ACME, version=version))
    (one,) = verified.witnesses
    assert verified.payload == PAYLOAD
    assert one.signed_at == fake.clock()
    assert one.actor == actor(
        "https://github.com/acme/models/.github/workflows/release.yml@refs/heads/main",
        "https://token.actions.githubusercontent.com",
    )
    said = "\n".join(one.steps)
    assert all(word in said for word in ("2026-03-04 05:06:07", "fake-root", "entry 5", "refs/heads/main", "second opinion"))


@BOTH
def test_it_holds_for_years_though_the_certificate_held_for_minutes(fake: FakeSigstore, version: Any) -> None:
    bundle = fake.seal(PAYLOAD, ACME, version=version)
    assert verify(fake, bundle, now=fake.clock() + timedelta(days=3000)).payload == PAYLOAD


def test_rekor_v1_with_a_timestamp_besides_has_two_times_and_both_count(fake: FakeSigstore) -> None:
    assert verify(fake, fake.seal(PAYLOAD, ACME, version=1, timestamps=True)).witnesses[0].signed_at is not None


def test_the_trusted_root_may_be_indented_otherwise_and_is_the_same(fake: FakeSigstore, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(fake.trusted_root(), indent=4))
    (tmp_path / "b.json").write_text(json.dumps(fake.trusted_root(), sort_keys=True))
    first, second = (TrustedIdentity.load("x", WHO, tmp_path / name) for name in ("a.json", "b.json"))
    assert first.fingerprint == second.fingerprint


def test_another_root_or_another_publisher_is_somebody_else(fake: FakeSigstore) -> None:
    marks = {
        fake.trusted("a", WHO).fingerprint,
        FakeSigstore().trusted("a", WHO).fingerprint,
        fake.trusted("a", publishers.github("acme/models")).fingerprint,
    }
    assert len(marks) == 3
    assert fake.trusted("a", WHO).fingerprint == fake.trusted("b", WHO).fingerprint


# --- the services do something wrong

FAULTS: dict[Fault, tuple[str, tuple[int, ...]]] = {
    Fault.SCT_MISSING: ("sct-invalid", (1, 2)),
    Fault.SCT_WRONG: ("sct-invalid", (1, 2)),
    Fault.PROOF_WRONG: ("inclusion-proof-invalid", (1, 2)),
    Fault.CHECKPOINT_WRONG: ("checkpoint-invalid", (1, 2)),
    Fault.CHECKPOINT_OTHER_SIZE: ("checkpoint-invalid", (1, 2)),
    Fault.PROMISE_WRONG: ("log-time-invalid", (1,)),
    Fault.ENTRY_OTHER: ("log-entry-mismatch", (1, 2)),
    Fault.TIMESTAMP_WRONG: ("timestamp-invalid", (2,)),
    Fault.TIMESTAMP_STRANGER: ("timestamp-invalid", (2,)),
    Fault.CERTIFICATE_WRONG_PURPOSE: ("certificate-purpose", (1, 2)),
    Fault.CERTIFICATE_AUTHORITY: ("certificate-authority-signed", (1, 2)),
    Fault.TWO_IDENTITIES: ("certificate-claims", (1, 2)),
    Fault.NO_ISSUER: ("certificate-claims", (1, 2)),
}


@pytest.mark.parametrize(("fault", "version"), [(fault, one) for fault, (_, versions) in FAULTS.items() for one in versions])
def test_a_fault_of_the_services_is_noticed_and_named(fake: FakeSigstore, fault: Fault, version: Any) -> None:
    fake.faults.add(fault)
    with pytest.raises(Stranger) as caught:
        verify(fake, fake.seal(PAYLOAD, ACME, version=version))
    assert caught.value.rule == FAULTS[fault][0]


def test_every_fault_of_an_answer_is_in_the_table_above() -> None:
    down = {Fault.FULCIO_DOWN, Fault.REKOR_DOWN, Fault.TSA_DOWN}
    assert set(Fault) - down == set(FAULTS)


def test_a_stranger_signs_with_a_sigstore_of_their_own(fake: FakeSigstore) -> None:
    with pytest.raises(NotLogged) as caught:
        verify(fake, FakeSigstore().seal(PAYLOAD, ACME, version=1))
    assert caught.value.rule == "log-unknown"


def test_a_timestamp_that_does_not_hold_beside_a_log_that_does(fake: FakeSigstore) -> None:
    fake.faults.add(Fault.TIMESTAMP_WRONG)
    with pytest.raises(NotLogged, match="timestamp"):
        verify(fake, fake.seal(PAYLOAD, ACME, version=1, timestamps=True))


# --- keys and authorities after their end: sigstore-python 4.5.1 accepts the first three


LATE: dict[str, tuple[Any, int, str]] = {
    "a transparency log's key (v1)": ("log", 1, "log-key-expired"),
    "a transparency log's key (v2)": ("log", 2, "log-key-expired"),
    "a certificate log's key": ("certificate_log", 2, "ct-key-expired"),
    "a certificate authority": ("authority", 2, "authority-expired"),
    "a timestamp authority": ("timestamps", 2, "timestamp-authority-expired"),
}


@pytest.mark.parametrize("name", LATE)
def test_something_that_the_trusted_root_had_let_go_before_the_signature(fake: FakeSigstore, name: str) -> None:
    part, version, rule = LATE[name]
    fake.clock.set(datetime(2026, 6, 1, 12, 0, 0, tzinfo=timezone.utc))
    bundle = fake.seal(PAYLOAD, ACME, version=version)  # type: ignore[arg-type]
    fake.end(part, fake.clock() - timedelta(seconds=1))
    with pytest.raises(Stranger) as caught:
        verify(fake, bundle)
    assert caught.value.rule == rule


@pytest.mark.parametrize("name", LATE)
def test_the_last_moment_counts(fake: FakeSigstore, name: str) -> None:
    part, version, _ = LATE[name]
    fake.clock.set(datetime(2026, 6, 1, 12, 0, 0, tzinfo=timezone.utc))
    bundle = fake.seal(PAYLOAD, ACME, version=version)  # type: ignore[arg-type]
    fake.end(part, fake.clock())
    assert verify(fake, bundle).payload == PAYLOAD


@BOTH
def test_what_was_signed_before_a_log_changed_its_key_still_holds_and_the_new_key_does_not_speak_for_it(
    fake: FakeSigstore, version: Any
) -> None:
    before = fake.seal(PAYLOAD, ACME, version=version)
    fake.renew("log")
    fake.renew("certificate_log")
    fake.clock.advance(timedelta(days=1))
    after = fake.seal(PAYLOAD, ACME, version=version)
    assert verify(fake, before).payload == verify(fake, after, now=fake.clock()).payload == PAYLOAD


def test_a_key_that_was_retired_signs_again(fake: FakeSigstore) -> None:
    """Whoever stole the log's old key cannot make new entries with it."""
    old = fake.rekor_v2.key
    fake.renew("log")
    trusted = fake.trusted("supplier", WHO)
    fake.clock.advance(timedelta(days=1))
    fake.rekor_v2.key = old
    with pytest.raises(NotLogged) as caught:
        signing.verify(fake.seal(PAYLOAD, ACME), [trusted], now=fake.clock())
    assert caught.value.rule == "log-key-expired"


# --- time


def test_signed_in_the_future(fake: FakeSigstore) -> None:
    fake.clock.set(datetime.now(timezone.utc) + timedelta(hours=1))
    with pytest.raises(NotLogged, match="in the future"):
        verify(fake, fake.seal(PAYLOAD, ACME))


def test_the_log_says_another_time_than_the_certificate_allows(fake: FakeSigstore) -> None:
    """The certificate was stolen with its key, and used after it had expired."""
    key = KeySigner.generate()
    certificate = fake.fulcio.issue(key.public, ACME)
    fake.clock.advance(timedelta(minutes=11))
    from pratique.testing.sigstore.sealing import Draft

    draft = Draft(
        payload=PAYLOAD, payload_type=INTOTO, certificate=certificate, signature=key.sign(signing.pae(INTOTO, PAYLOAD))
    )
    for bundle in (
        draft.bundle(draft.log_v1(fake.rekor_v1), []),
        draft.bundle(draft.log_v2(fake.rekor_v2), [fake.tsa.stamp(draft.signature)]),
    ):
        with pytest.raises(CertificateRefused) as caught:
            verify(fake, bundle, now=fake.clock())
        assert caught.value.rule == "certificate-expired"


def test_the_time_in_the_log_entry_is_shifted(fake: FakeSigstore) -> None:
    def shift(bundle: dict[str, Any]) -> None:
        entry(bundle)["integratedTime"] = str(int(entry(bundle)["integratedTime"]) - 60)

    with pytest.raises(NotLogged) as caught:
        verify(fake, changed(fake.seal(PAYLOAD, ACME, version=1), shift))
    assert caught.value.rule in ("log-time-invalid", "certificate-not-yet-valid")


def test_nobody_says_when(fake: FakeSigstore) -> None:
    with pytest.raises(NotLogged) as caught:
        verify(fake, fake.seal(PAYLOAD, ACME, version=2, timestamps=False))
    assert caught.value.rule == "no-timestamp"


def test_a_time_without_the_logs_promise_is_no_time(fake: FakeSigstore) -> None:
    bundle = changed(fake.seal(PAYLOAD, ACME, version=1), lambda value: entry(value).pop("inclusionPromise"))
    with pytest.raises(NotLogged) as caught:
        verify(fake, bundle)
    assert caught.value.rule == "no-timestamp"


def test_a_v2_entry_is_given_a_time_of_its_own(fake: FakeSigstore) -> None:
    def add(bundle: dict[str, Any]) -> None:
        entry(bundle)["integratedTime"] = "1700000000"
        entry(bundle)["inclusionPromise"] = {"signedEntryTimestamp": "AAAA"}

    with pytest.raises(NotLogged):
        verify(fake, changed(fake.seal(PAYLOAD, ACME, version=2, timestamps=False), add))


# --- who


def test_another_workflow_ref_repository_or_issuer(fake: FakeSigstore) -> None:
    for claims in (
        tokens.github("acme/models", workflow="pull-request.yml"),
        tokens.github("acme/models", ref="refs/heads/feature"),
        tokens.github("acme/models-fork"),
        tokens.github("evil/models"),
        tokens.github("acme/models", iss="https://token.actions.example.com"),
        tokens.gitlab("acme/models"),
        tokens.email("dev@example.com"),
    ):
        with pytest.raises(CertificateRefused) as caught:
            verify(fake, fake.seal(PAYLOAD, claims))
        assert caught.value.rule == "wrong-identity"


def test_exact_identities(fake: FakeSigstore) -> None:
    bundle = fake.seal(PAYLOAD, tokens.email("dev@example.com", "https://accounts.google.com"))
    verify(fake, bundle, publishers.exact("dev@example.com", "https://accounts.google.com"))
    for identity, issuer in (
        ("dev@example.com", "https://accounts.google.com/"), ("dev@example.com", "https://github.com/login/oauth"),
        ("Dev@example.com", "https://accounts.google.com"), (".*", "https://accounts.google.com"),
        ("dev@example", "https://accounts.google.com"),
    ):  # fmt: skip
        with pytest.raises(CertificateRefused, match="not "):
            verify(fake, bundle, publishers.exact(identity, issuer))


@pytest.mark.parametrize(("identity", "issuer"), [("", "https://i.example"), ("x@example.com", ""), ("", "")])
def test_an_empty_identity_or_issuer_is_an_error_and_never_whatever(identity: str, issuer: str) -> None:
    with pytest.raises(UsageError, match="anybody could be meant"):
        publishers.exact(identity, issuer)


def test_two_parties_that_one_signature_fits_are_one_vote(fake: FakeSigstore) -> None:
    bundle = fake.seal(PAYLOAD, ACME)
    verified = signing.verify(bundle, [fake.trusted("a", WHO), fake.trusted("b", publishers.github("acme/models"))])
    assert (len(verified.signers), len(verified.actors)) == (2, 1)
    assert signing.votes((one.fingerprint, one.actor) for one in verified.witnesses) == 1


# --- the bundle was changed


def drop(name: str) -> Callable[[dict[str, Any]], Any]:
    return lambda bundle: bundle["verificationMaterial"].pop(name)


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no log entry": drop("tlogEntries"),
    "an empty list of log entries": lambda bundle: bundle["verificationMaterial"].update(tlogEntries=[]),
    "the same log entry twice": lambda bundle: bundle["verificationMaterial"].update(tlogEntries=[entry(bundle)] * 2),
    "no inclusion proof": lambda bundle: entry(bundle).pop("inclusionProof"),
    "no checkpoint": lambda bundle: entry(bundle)["inclusionProof"].pop("checkpoint"),
    "a negative index": lambda bundle: entry(bundle).update(logIndex="-1"),
    "an index beyond the log": lambda bundle: entry(bundle)["inclusionProof"].update(logIndex="99"),
    "a proof that is too short": lambda bundle: entry(bundle)["inclusionProof"]["hashes"].pop(),
    "a proof that is too long": lambda bundle: entry(bundle)["inclusionProof"]["hashes"].append("AAAA"),
    "another root hash": lambda bundle: entry(bundle)["inclusionProof"].update(rootHash="AAAA"),
    "no certificate": drop("certificate"),
    "a certificate that is none": lambda bundle: bundle["verificationMaterial"].update(certificate={"rawBytes": "AAAA"}),
    "another payload": lambda bundle: bundle["dsseEnvelope"].update(payload=base64.b64encode(b"{}").decode()),
    "another payload type": lambda bundle: bundle["dsseEnvelope"].update(payloadType="text/plain"),
    "two signatures": lambda bundle: bundle["dsseEnvelope"].update(signatures=bundle["dsseEnvelope"]["signatures"] * 2),
    "an unknown key in the entry": lambda bundle: entry(bundle).update(note="x"),
    "the kind of entry that came before": lambda bundle: entry(bundle)["kindVersion"].update(kind="intoto", version="0.0.2"),
    "a kind of entry of tomorrow": lambda bundle: entry(bundle)["kindVersion"].update(version="9.9.9"),
    "a body that is not JSON": lambda bundle: entry(bundle).update(canonicalizedBody="AAAA"),
    "a checkpoint without a signature": lambda bundle: entry(bundle)["inclusionProof"]["checkpoint"].update(
        envelope="\n".join(entry(bundle)["inclusionProof"]["checkpoint"]["envelope"].split("\n")[:4])
    ),
    "a checkpoint of another origin": lambda bundle: entry(bundle)["inclusionProof"]["checkpoint"].update(
        envelope="x" + entry(bundle)["inclusionProof"]["checkpoint"]["envelope"]
    ),
    "a timestamp that is none": lambda bundle: bundle["verificationMaterial"].update(
        timestampVerificationData={"rfc3161Timestamps": [{"signedTimestamp": "AAAA"}]}
    ),
    "thirty-three timestamps": lambda bundle: bundle["verificationMaterial"].update(
        timestampVerificationData={"rfc3161Timestamps": [{"signedTimestamp": "AAAA"}] * 33}
    ),
}


@BOTH
@pytest.mark.parametrize("name", CHANGES)
def test_a_bundle_that_was_changed(fake: FakeSigstore, name: str, version: Any) -> None:
    with pytest.raises(EvidenceError):
        verify(fake, changed(fake.seal(PAYLOAD, ACME, version=version), CHANGES[name]))


def test_the_entry_of_another_bundle_by_the_same_signer(fake: FakeSigstore) -> None:
    key = KeySigner.generate()
    mine, other = (json.loads(fake.seal(payload, ACME, key=key)) for payload in (PAYLOAD, PAYLOAD + b" "))
    mine["verificationMaterial"]["tlogEntries"] = other["verificationMaterial"]["tlogEntries"]
    with pytest.raises(NotLogged) as caught:
        verify(fake, json.dumps(mine).encode())
    assert caught.value.rule == "log-entry-mismatch"


def test_the_certificate_of_somebody_trusted_on_a_strangers_signature(fake: FakeSigstore) -> None:
    theirs, mine = (json.loads(fake.seal(PAYLOAD, claims)) for claims in (tokens.email("evil@example.com"), ACME))
    theirs["verificationMaterial"]["certificate"] = mine["verificationMaterial"]["certificate"]
    with pytest.raises(NotLogged, match="something else"):
        verify(fake, json.dumps(theirs).encode())


def test_a_signature_that_does_not_fit_though_it_was_logged(fake: FakeSigstore) -> None:
    """The log does not look; whoever verifies must."""
    from pratique.testing.sigstore.sealing import Draft

    key = KeySigner.generate()
    draft = Draft(
        payload=PAYLOAD, payload_type=INTOTO, certificate=fake.fulcio.issue(key.public, ACME),
        signature=KeySigner.generate().sign(signing.pae(INTOTO, PAYLOAD)),
    )  # fmt: skip
    with pytest.raises(SignatureInvalid, match="was changed"):
        verify(fake, draft.bundle(draft.log_v1(fake.rekor_v1), []))


def test_a_deprecated_kind_of_entry_is_named(fake: FakeSigstore) -> None:
    bundle = json.loads(fake.seal(PAYLOAD, ACME, version=1))
    body = json.loads(base64.b64decode(entry(bundle)["canonicalizedBody"])) | {"kind": "intoto", "apiVersion": "0.0.2"}
    data, index, proof = fake.rekor_v1._log(body)
    entry(bundle).update(
        kindVersion={"kind": "intoto", "version": "0.0.2"},
        canonicalizedBody=base64.b64encode(data).decode(),
        logIndex=str(index),
    )
    entry(bundle).pop("integratedTime"), entry(bundle).pop("inclusionPromise")
    entry(bundle)["inclusionProof"] = {
        "logIndex": str(index), "rootHash": base64.b64encode(proof["root"]).decode(), "treeSize": str(proof["size"]),
        "hashes": [base64.b64encode(one).decode() for one in proof["hashes"]], "checkpoint": {"envelope": proof["checkpoint"]},
    }  # fmt: skip
    signature = base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"])
    bundle["verificationMaterial"]["timestampVerificationData"] = {
        "rfc3161Timestamps": [{"signedTimestamp": base64.b64encode(fake.tsa.stamp(signature)).decode()}]
    }
    with pytest.raises(Unsupported, match="intoto"):
        verify(fake, json.dumps(bundle).encode())


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_mutation_of_a_bundle_says_anything_else(data: st.DataObject) -> None:
    original, trusted = MUTATED
    at = data.draw(st.integers(0, len(original) - 1))
    mutated = original[:at] + data.draw(st.binary(max_size=3)) + original[at + data.draw(st.integers(0, 3)) :]
    try:
        verified = signing.verify(mutated, [trusted])
    except EvidenceError:
        return
    assert verified.payload == PAYLOAD


def _mutated() -> tuple[bytes, TrustedIdentity]:
    fake = FakeSigstore()
    return fake.seal(PAYLOAD, ACME, version=1, timestamps=True), fake.trusted("supplier", WHO)


MUTATED = _mutated()


# --- one method never stands in for another


def test_a_bundle_by_key_is_none_by_identity_and_the_reverse(fake: FakeSigstore) -> None:
    key = KeySigner.generate()
    with pytest.raises(Stranger, match="signed by a key"):
        verify(fake, signing.sign(PAYLOAD, INTOTO, key))
    with pytest.raises(Stranger, match="keyless"):
        signing.verify(fake.seal(PAYLOAD, ACME, key=key), [key.trusted("the very key")])


def test_a_long_lived_certificate_is_none_by_identity_and_the_reverse(fake: FakeSigstore) -> None:
    acme = Authority.root("Acme")
    bundle = signing.sign(PAYLOAD, INTOTO, acme.signer("CN=release"))
    with pytest.raises(Stranger, match="signed by a certificate"):
        verify(fake, bundle)
    trusted = signing.TrustedCertificate(
        name="fulcio", roots=(fake.fulcio.root.certificate,), subject=signing.Subject(uri="https://example.com")
    )
    with pytest.raises(Stranger, match="keyless"):
        signing.verify(fake.seal(PAYLOAD, ACME), [trusted])


# --- the trusted root


BAD_ROOTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no transparency log": lambda root: root.update(tlogs=[]),
    "no certificate log": lambda root: root.update(ctlogs=[]),
    "no authority": lambda root: root.pop("certificateAuthorities"),
    "another format": lambda root: root.update(mediaType="application/vnd.dev.sigstore.trustedroot+json;version=9"),
    "a log that starts at no time": lambda root: root["tlogs"][0]["publicKey"]["validFor"].pop("start"),
    "a log that ends before it starts": lambda root: root["tlogs"][0]["publicKey"]["validFor"].update(
        end="2000-01-01T00:00:00Z"
    ),
    "a time without a zone": lambda root: root["tlogs"][0]["publicKey"]["validFor"].update(start="2020-01-01T00:00:00"),
    "a key that is none": lambda root: root["tlogs"][0]["publicKey"].update(rawBytes="AAAA"),
    "an authority without a certificate": lambda root: root["certificateAuthorities"][0]["certChain"].update(certificates=[]),
    "a certificate that is none": lambda root: root["certificateAuthorities"][0]["certChain"]["certificates"][0].update(
        rawBytes="AAAA"
    ),
}


@pytest.mark.parametrize("name", BAD_ROOTS)
def test_a_trusted_root_that_is_not_in_order(fake: FakeSigstore, name: str, tmp_path: Path) -> None:
    root = fake.trusted_root()
    BAD_ROOTS[name](root)
    (tmp_path / "root.json").write_text(json.dumps(root))
    with pytest.raises(UsageError, match="is not a trusted root"):
        Root.load(tmp_path / "root.json")


def test_a_trusted_root_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the trusted root"):
        Root.load(tmp_path / "none.json")


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"[" * 100])
def test_a_file_that_is_no_trusted_root(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "root.json").write_bytes(content)
    with pytest.raises(UsageError, match="is not a trusted root"):
        Root.load(tmp_path / "root.json")


def test_whom_a_bundle_claims_to_be_from_in_words(fake: FakeSigstore) -> None:
    said = signing.claimed(signing.read(fake.seal(PAYLOAD, ACME)))
    assert "release.yml@refs/heads/main by https://token.actions.githubusercontent.com" in said
    fake.faults.add(Fault.NO_ISSUER)
    assert "without an identity" in signing.claimed(signing.read(fake.seal(PAYLOAD, ACME)))


@BOTH
def test_a_bundle_that_writes_to_our_terminal(fake: FakeSigstore, version: Any) -> None:
    changes: list[Callable[[dict[str, Any]], Any]] = [
        lambda bundle: entry(bundle).update({"\x1b[2K": "x"}),
        lambda bundle: bundle.update({"\x1b[2K": "x"}),
        lambda bundle: entry(bundle)["kindVersion"].update(kind="\x1b[2K", version="\x1b[2K"),
        lambda bundle: entry(bundle)["inclusionProof"]["checkpoint"].update(envelope="\x1b[2K\n1\n\x1b\n\n\x1b x y\n"),
    ]
    for change in changes:
        with pytest.raises(EvidenceError) as caught:
            verify(fake, changed(fake.seal(PAYLOAD, ACME, version=version), change))
        assert "\x1b" not in str(caught.value)


def test_what_is_malformed_is_never_taken_for_a_stranger(fake: FakeSigstore) -> None:
    with pytest.raises(Malformed):
        verify(fake, changed(fake.seal(PAYLOAD, ACME), CHANGES["no certificate"]))
