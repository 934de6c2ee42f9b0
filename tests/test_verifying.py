"""`pratique verify`: what holds says why, step by step; everything else says why not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from pratique import documents, manifests, oms, signing, verifying
from pratique.artifacts import Subject, digest_of, scan
from pratique.checking import Finding, Report, Severity
from pratique.errors import (
    ArtifactError,
    ArtifactRefused,
    Error,
    EvidenceError,
    Malformed,
    Revoked,
    SignatureInvalid,
    Stale,
    StoreError,
    UsageError,
    WrongSigner,
    WrongSubject,
)
from pratique.gate import pass_gate
from pratique.policies import Policy
from pratique.promotion import Promotion, promote
from pratique.signing import INTOTO, KeySigner
from pratique.statements import Clearance, Evidence, Material, TrainingRecord
from pratique.store import Store
from pratique.testing import folder_of
from tests.conftest import Pratique

KEY, OTHER = KeySigner.generate(), KeySigner.generate("P-384")
TRUSTED = [KEY.trusted("supplier"), OTHER.trusted("auditor")]
NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
SUBJECT = Subject(digest="sha256:" + "1" * 64, name="base")
DIGEST = "sha256:" + "2" * 64
EVIDENCE = Evidence(
    check="artifact", check_version="1", subject=SUBJECT, kind="model", options_digest=DIGEST, policy_digest=DIGEST, run_id="",
    report=Report(findings=(Finding(rule="r", severity=Severity.LOW, message="m"),)), made_at=NOW,
)  # fmt: skip
RECORD = TrainingRecord(
    subject=SUBJECT, materials=(Material(role="base", subject=SUBJECT, uri="u"),), parameters={}, run_id="", started_at=NOW,
    builder="urn:pratique:trainer:" + KEY.trusted().fingerprint, finished_at=NOW,
)  # fmt: skip
CLEARANCE = Clearance(
    subject=SUBJECT, kind="model", verifier="urn:pratique:gate:" + KEY.trusted().fingerprint, resource_uri="u",
    policy_digest=DIGEST, evidence=(DIGEST,), levels=("PRATIQUE_ARTIFACT",), made_at=NOW, expires=NOW + timedelta(days=1),
)  # fmt: skip


def steps(proof: verifying.Proof) -> list[str]:
    assert [step.partition(". ")[0] for step in proof.steps] == [str(n + 1) for n in range(len(proof.steps))]
    return [step.partition(". ")[2] for step in proof.steps]


# --- signed statements --------------------------------------------------------------------------------------------------


@pytest.fixture
def signed(tmp_path: Path) -> Callable[..., Path]:
    def write(one: Any, by: KeySigner = KEY) -> Path:
        payload = one if isinstance(one, bytes) else one.statement()
        path = tmp_path / "one.sigstore.json"
        path.write_bytes(signing.sign(payload, INTOTO, by))
        return path

    return write


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (EVIDENCE, "the check artifact (version 1) saw 1 findings, the worst low"),
        (RECORD, "made it from base sha256:"),
        (CLEARANCE, "until 2026-02-01T12:00"),
    ],
    ids=["evidence", "record", "clearance"],
)
def test_a_statement_that_holds(signed: Any, one: Any, says: str) -> None:
    proof = verifying.path(signed(one), TRUSTED, now=NOW)
    form, signature, about, word, name = steps(proof)
    assert name == f"the statement is {documents.sha256(one.statement())}"
    assert "bundle" in form and "signed by supplier" in form and "fits the bytes" in signature
    assert SUBJECT.digest in about and says in word
    assert proof.data["signers"] == ("supplier",) and proof.data["subject"] == SUBJECT.digest
    json.dumps(proof.data)


USED = "sha256:" + "7" * 64


@pytest.mark.parametrize("mark", [SUBJECT.digest, USED])
@pytest.mark.parametrize(
    "one",
    [
        replace(EVIDENCE, report=Report(materials=(Subject(digest=USED),))),
        replace(RECORD, materials=(Material(role="dataset", subject=Subject(digest=USED), uri="u"),)),
        replace(CLEARANCE, evidence=(USED,)),
    ],
    ids=["evidence", "record", "clearance"],
)
def test_a_statement_that_leans_on_what_was_revoked_since(signed: Any, one: Any, mark: str) -> None:
    for gone, fails in ((mark, True), ("sha256:" + "9" * 64, False)):
        trusted = [key.renamed(key.name, frozenset({gone})) for key in TRUSTED]
        if not fails:
            assert verifying.path(signed(one), trusted, now=NOW).data["subject"] == SUBJECT.digest
            continue
        with pytest.raises(Revoked, match=mark):
            verifying.path(signed(one), trusted, now=NOW)


def value_of(one: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(one.statement())
    return value


def changed(one: Any, **more: Any) -> bytes:
    return json.dumps({**value_of(one), **more}).encode()


NOT_KEY = OTHER.trusted().fingerprint
BROKEN: dict[str, tuple[Any, datetime, type[Error]]] = {
    "a clearance that has lapsed": (CLEARANCE, NOW + timedelta(days=1), Stale),
    "a clearance from the future": (CLEARANCE, NOW - timedelta(minutes=6), Stale),
    "a clearance in another's name": (replace(CLEARANCE, verifier=f"urn:pratique:gate:{NOT_KEY}"), NOW, WrongSigner),
    "a clearance that failed": (
        changed(CLEARANCE, predicate={**value_of(CLEARANCE)["predicate"], "verificationResult": "FAILED"}), NOW, Malformed,
    ),
    "evidence from the future": (EVIDENCE, NOW - timedelta(minutes=6), Stale),
    "a training that has not finished yet": (RECORD, NOW - timedelta(minutes=6), Stale),
    "a record in another's name": (replace(RECORD, builder=f"urn:pratique:trainer:{NOT_KEY}"), NOW, WrongSigner),
    "a statement of no kind": (changed(EVIDENCE, predicateType=None), NOW, Malformed),
    "a statement of many kinds": (changed(EVIDENCE, predicateType=["a"]), NOW, Malformed),
    "a statement of an unknown kind": (changed(EVIDENCE, predicateType="https://example.com/x\x1b[2J"), NOW, Malformed),
    "a signed list": (b"[]", NOW, Malformed),
    "signed junk": (b"\xff", NOW, Malformed),
    "signed nothing": (b"", NOW, Malformed),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_signed_and_yet(signed: Any, name: str) -> None:
    one, now, error = BROKEN[name]
    with pytest.raises(error):
        verifying.path(signed(one), TRUSTED, now=now)


def test_signed_by_nobody_trusted(signed: Any) -> None:
    path = signed(EVIDENCE, KeySigner.generate())
    with pytest.raises(WrongSigner, match="auditor, supplier"):
        verifying.path(path, TRUSTED, now=NOW)
    with pytest.raises(WrongSigner, match="nobody"):
        verifying.path(path, [], now=NOW)


def test_a_junk_signature_beside_the_genuine_one(signed: Any) -> None:
    path = signed(EVIDENCE)
    bundle = json.loads(path.read_bytes())
    strangers = json.loads(signing.sign(EVIDENCE.statement(), INTOTO, KeySigner.generate()))
    auditors = json.loads(signing.sign(EVIDENCE.statement(), INTOTO, OTHER))
    for more, holds in ((auditors, True), (strangers, False), (bundle, False)):
        own = [*bundle["dsseEnvelope"]["signatures"], *more["dsseEnvelope"]["signatures"]]
        path.write_text(json.dumps({**bundle, "dsseEnvelope": {**bundle["dsseEnvelope"], "signatures": own}}))
        if holds:
            assert verifying.path(path, TRUSTED, now=NOW).data["signers"] == ("auditor", "supplier")
            continue
        with pytest.raises(Malformed) as caught:
            verifying.path(path, TRUSTED, now=NOW)
        assert caught.value.rule == "extra-signature"


@pytest.mark.parametrize("one", [EVIDENCE, RECORD, CLEARANCE], ids=["evidence", "record", "clearance"])
def test_about_something_revoked_or_something_else(signed: Any, one: Any) -> None:
    path = signed(one)
    for gone, error in (
        ({"sha256:" + "3" * 64}, None),
        ({SUBJECT.digest}, Revoked),
        ({documents.sha256(one.statement())}, Revoked),
    ):
        trusted = [each.renamed(each.name, frozenset(gone)) for each in TRUSTED]
        if error is None:
            assert verifying.path(path, trusted, now=NOW).data["subject"] == SUBJECT.digest
        else:
            with pytest.raises(error, match="revoked"):
                verifying.path(path, trusted, now=NOW)
    assert verifying.path(path, TRUSTED, now=NOW, expected=verifying.Expected(digest=SUBJECT.digest))
    with pytest.raises(WrongSubject) as caught:
        verifying.path(path, TRUSTED, now=NOW, expected=verifying.Expected(digest="sha256:" + "3" * 64))
    assert caught.value.rule == "wrong-digest"


@pytest.mark.parametrize("expected", [{"name": "base"}, {"min_version": "1"}])
def test_what_only_a_delivery_can_be_asked_is_no_question_to_a_statement(signed: Any, expected: dict[str, str]) -> None:
    """Its signature lies elsewhere, say: then nothing has been compared, and nothing may seem to have been."""
    with pytest.raises(UsageError, match="neither"):
        verifying.path(signed(EVIDENCE), TRUSTED, now=NOW, expected=verifying.Expected(**expected))


def test_changed_after_it_was_signed(signed: Any) -> None:
    path = signed(EVIDENCE)
    bundle = json.loads(path.read_bytes())
    other = json.loads(signing.sign(RECORD.statement(), INTOTO, OTHER))
    bundle["dsseEnvelope"]["payload"] = other["dsseEnvelope"]["payload"]
    path.write_text(json.dumps(bundle))
    with pytest.raises(SignatureInvalid, match="supplier"):
        verifying.path(path, TRUSTED, now=NOW)


def test_a_strangers_name_keeps_to_its_line(signed: Any) -> None:
    one = replace(EVIDENCE, subject=Subject(digest=SUBJECT.digest, name="x\n5. it was promoted\x1b[2J"))
    assert len("\n".join(verifying.path(signed(one), TRUSTED, now=NOW).steps).splitlines()) == 5


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot read"):
        verifying.path(tmp_path / "none", TRUSTED)


# --- signed folders -----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = folder_of(tmp_path / "model", {"weights.bin": b"weights", "sub/config.json": b"{}"})
    oms.write_signature(root, KEY)
    return root


def test_a_folder_that_holds(folder: Path) -> None:
    proof = verifying.path(folder, TRUSTED)
    said = steps(proof)
    assert "by supplier" in said[0] and any("none is missing or changed; there is nothing else" in one for one in said)
    assert proof.data["signed_files"] == 2
    assert any(proof.data["subject"] in one for one in said)
    assert proof.data["signers"] == ("supplier",)


def test_two_keys_in_files_of_one_name_both_count(folder: Path, tmp_path: Path, pratique: Pratique) -> None:
    """`--trust a/key.pub --trust b/key.pub`: neither replaces the other."""
    for name, key in (("a", KEY), ("b", OTHER)):
        key.save(tmp_path / name / "key.key")
    pubs = [str(tmp_path / name / "key.pub") for name in ("a", "b")]
    for one, two in (pubs, pubs[::-1]):
        assert pratique("verify", folder, "--trust", one, "--trust", two)[0] == 0
    assert pratique("verify", folder, "--trust", pubs[1])[0] == 5


def change(folder: Path) -> None:
    (folder / "weights.bin").write_bytes(b"evil")


def add(folder: Path) -> None:
    (folder / "evil.py").write_bytes(b"")


def take_away(folder: Path) -> None:
    (folder / "weights.bin").unlink()


def move(folder: Path) -> None:
    (folder / "weights.bin").rename(folder / "weights2.bin")


def empty_folder(folder: Path) -> None:
    (folder / "evil").mkdir()


def unsign(folder: Path) -> None:
    (folder / "model.sig").unlink()


def truncate(folder: Path) -> None:
    (folder / "model.sig").write_bytes((folder / "model.sig").read_bytes()[:-9])


def sign_as_somebody_else(folder: Path) -> None:
    (folder / "model.sig").unlink()
    oms.write_signature(folder, KeySigner.generate())


def link(folder: Path) -> None:
    (folder / "evil").symlink_to("/etc/passwd")


@pytest.mark.parametrize(
    ("attack", "error"),
    [
        (change, WrongSubject), (add, WrongSubject), (take_away, WrongSubject), (move, WrongSubject),
        (empty_folder, WrongSubject), (unsign, EvidenceError), (truncate, EvidenceError),
        (sign_as_somebody_else, WrongSigner), (link, ArtifactRefused),
    ],
)  # fmt: skip
def test_a_folder_that_does_not(folder: Path, attack: Callable[[Path], None], error: type[Error]) -> None:
    attack(folder)
    with pytest.raises(error):
        verifying.path(folder, TRUSTED)


EXPECTED: dict[str, tuple[dict[str, str], str]] = {
    "its name": ({"name": "model"}, ""),
    "another name": ({"name": "other"}, "wrong-name"),
    "its version": ({"min_version": "1.4.0"}, ""),
    "an older version": ({"min_version": "1.2"}, ""),
    "a newer version": ({"min_version": "1.10"}, "version-older"),
    "another digest": ({"digest": "sha256:" + "3" * 64}, "wrong-digest"),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_another_delivery_of_the_same_publisher_on_the_command_line(tmp_path: Path, pratique: Pratique, name: str) -> None:
    root = folder_of(tmp_path / "model", {"weights.bin": b"weights"})
    oms.write_signature(root, KEY, version="1.4.0")
    (tmp_path / "supplier.pub").write_bytes(KEY.trusted().pem)
    given, rule = EXPECTED[name]
    words = [word for key, value in given.items() for word in (f"--{key.replace('_', '-')}", value)]
    code, out, err = pratique("verify", root, "--trust", tmp_path / "supplier.pub", *words, "--format", "json")
    assert (code, rule in out) == (5 if rule else 0, True), out + err
    digest = verifying.path(root, TRUSTED).data["subject"]
    assert verifying.path(root, TRUSTED, expected=verifying.Expected(digest=digest))


@pytest.mark.parametrize("method", ["oms", "manifest"])
def test_a_signature_named_where_it_lies_in_the_folder(tmp_path: Path, pratique: Pratique, method: str) -> None:
    """It is the folder's own, then, and not a file in it that nobody signed."""
    root = folder_of(tmp_path / "model", {"weights.bin": b"weights"})
    (tmp_path / "supplier.pub").write_bytes(KEY.trusted().pem)
    if method == "oms":
        path = oms.write_signature(root, KEY, name="other.sig")
    else:
        path = manifests.write(root, KEY, signature="other.manifest.sigstore.json")
    words = ("verify", root, "--trust", tmp_path / "supplier.pub", "--signature", path)
    assert pratique(*words)[0] == 0
    (root / "evil.py").touch()
    assert pratique(*words)[0] == 5


@pytest.mark.parametrize("uri", ["hf://acme/models@main", "s3://bucket/key", "models:/name/1", "oci://localhost/x:1"])
def test_what_lies_elsewhere_is_fetched_by_other_commands(pratique: Pratique, tmp_path: Path, uri: str) -> None:
    (tmp_path / "supplier.pub").write_bytes(KEY.trusted().pem)
    code, _, err = pratique("verify", uri, "--trust", tmp_path / "supplier.pub")
    assert (code, "pratique check provenance" in err) == (2, True)


def test_no_version_where_one_is_asked_for_and_questions_that_make_no_sense(folder: Path) -> None:
    with pytest.raises(WrongSubject) as caught:
        verifying.path(folder, TRUSTED, expected=verifying.Expected(min_version="1"))
    assert caught.value.rule == "version-missing"
    for expected in ({"min_version": "newest"}, {"digest": "sha256:*"}, {"digest": "x"}):
        with pytest.raises(UsageError):
            verifying.path(folder, TRUSTED, expected=verifying.Expected(**expected))


def test_a_folder_and_nobody_to_trust(folder: Path) -> None:
    with pytest.raises(UsageError, match="at least one signer"):
        verifying.path(folder, [])


# --- what was promoted --------------------------------------------------------------------------------------------------


@pytest.fixture
def promoted(policy_file: Path, store: Store, signer: KeySigner, model: Path, tmp_path: Path) -> Promotion:
    policy = Policy.load(policy_file)
    pass_gate(str(model), policy=policy, store=store, signer=signer, now=NOW).require()
    return promote(str(model), policy=policy, destination=str(tmp_path / "to"), store=store, signer=KEY, now=NOW)


def test_a_channel_that_holds(promoted: Promotion, tmp_path: Path) -> None:
    proof = verifying.channel(str(tmp_path / "to"), "production", TRUSTED, now=NOW)
    pointer, *_, until, bytes_ = steps(proof)
    assert "promotion number 1, signed by supplier" in pointer and "PRATIQUE_SHAPE" in until and "2 files" in bytes_
    assert proof.data["subject"] == promoted.clearance.subject.digest
    json.dumps(proof.data)


def test_a_channel_that_does_not(promoted: Promotion, tmp_path: Path) -> None:
    to = str(tmp_path / "to")
    with pytest.raises(Stale):
        verifying.channel(to, "production", TRUSTED, now=NOW + timedelta(days=2))
    with pytest.raises(WrongSigner):
        verifying.channel(to, "production", [OTHER.trusted()], now=NOW)
    with pytest.raises(StoreError, match="nothing was ever promoted"):
        verifying.channel(to, "staging", TRUSTED, now=NOW)
    (Path(promoted.uri) / "weights.bin").write_bytes(b"evil")
    with pytest.raises(EvidenceError, match="changed after"):
        verifying.channel(to, "production", TRUSTED, now=NOW)


def test_what_was_verified_is_put_where_it_is_loaded(promoted: Promotion, tmp_path: Path) -> None:
    """The server gets the bytes that were hashed, not those that lie at the destination a moment later."""
    goal = tmp_path / "loaded" / "verified"
    for _ in range(2):  # a pod that starts again finds them there
        proof = verifying.channel(str(tmp_path / "to"), "production", TRUSTED, now=NOW, copy=goal)
    assert steps(proof)[-1].endswith(f"load {goal}") and proof.data["path"] == str(goal)
    assert digest_of(scan(goal), is_file=False) == promoted.clearance.subject.digest
    assert os.listdir(goal.parent) == ["verified"]
    (goal / "weights.bin").write_bytes(b"mine")  # nothing there is read-only: whoever owns it can clean up
    with pytest.raises(UsageError, match="something else stands"):
        verifying.channel(str(tmp_path / "to"), "production", TRUSTED, now=NOW, copy=goal)
    assert (goal / "weights.bin").read_bytes() == b"mine"


def test_what_does_not_hold_is_put_nowhere(promoted: Promotion, tmp_path: Path) -> None:
    goal = tmp_path / "loaded" / "verified"
    with pytest.raises(Stale):
        verifying.channel(str(tmp_path / "to"), "production", TRUSTED, now=NOW + timedelta(days=2), copy=goal)
    (Path(promoted.uri) / "weights.bin").write_bytes(b"evil")
    with pytest.raises(EvidenceError, match="changed after"):
        verifying.channel(str(tmp_path / "to"), "production", TRUSTED, now=NOW, copy=goal)
    assert not goal.exists()


def test_a_link_where_the_model_belongs(promoted: Promotion, tmp_path: Path) -> None:
    verifying.channel(str(tmp_path / "to"), "production", TRUSTED, now=NOW, copy=tmp_path / "first")
    (tmp_path / "link").symlink_to(tmp_path / "first")
    with pytest.raises(UsageError, match="something else stands"):
        verifying.channel(str(tmp_path / "to"), "production", TRUSTED, now=NOW, copy=tmp_path / "link")


def test_a_copy_of_something_that_is_no_promotion(pratique: Pratique, tmp_path: Path) -> None:
    KEY.save(tmp_path / "gate.key")
    code, _, said = pratique("verify", tmp_path, "--trust", tmp_path / "gate.pub", "--copy", tmp_path / "y")
    assert code == 2 and "--copy goes with --clearance" in said and not (tmp_path / "y").exists()


# --- the command line ---------------------------------------------------------------------------------------------------


def test_a_script_that_relies_on_a_lapsed_clearance_is_stopped(pratique: Pratique, signed: Any, tmp_path: Path) -> None:
    """The signature of an old clearance fits for ever. Its exit code must not be 0 for ever."""
    KEY.save(tmp_path / "gate.key")
    fresh = replace(CLEARANCE, made_at=datetime.now(timezone.utc), expires=datetime.now(timezone.utc) + timedelta(hours=1))
    assert pratique("verify", signed(fresh), "--trust", tmp_path / "gate.pub")[0] == 0
    old = replace(fresh, made_at=fresh.made_at - timedelta(days=2), expires=fresh.made_at - timedelta(days=1))
    code, out, err = pratique("verify", signed(old), "--trust", tmp_path / "gate.pub", "--format", "json")
    assert (code, json.loads(out)["error"]) == (5, "Stale") and "run the gate again" in err
