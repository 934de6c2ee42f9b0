"""The gate and the only door to production, attacked."""

from __future__ import annotations

import json
import os
import shutil
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from pratique import signing
from pratique.artifacts import Subject
from pratique.checking import Report
from pratique.errors import (
    ArtifactRefused,
    Denied,
    EvidenceError,
    PolicyError,
    Revoked,
    Stale,
    StoreConflict,
    StoreError,
    UsageError,
)
from pratique.gate import Admission, pass_gate
from pratique.policies import Policy
from pratique.promotion import Promotion, promote, read_channel, verify_promoted
from pratique.signing import INTOTO, KeySigner
from pratique.statements import Clearance, Evidence
from pratique.store import Store
from pratique.testing import MemorySigner, folder_of
from pratique.vouching import collect

NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)
PROMOTER = KeySigner.generate()


@pytest.fixture
def policy(policy_file: Path) -> Policy:
    return Policy.load(policy_file)


@pytest.fixture
def admit(policy: Policy, store: Store, signer: KeySigner) -> Any:
    def run(path: Path, **more: Any) -> Admission:
        return pass_gate(str(path), **{**dict(policy=policy, store=store, signer=signer, now=NOW), **more})

    return run


@pytest.fixture
def door(policy: Policy, store: Store, tmp_path: Path) -> Any:
    def run(path: Path, **more: Any) -> Promotion:
        given = dict(policy=policy, store=store, signer=PROMOTER, destination=str(tmp_path / "production"), now=NOW)
        return promote(str(path), **{**given, **more})

    return run


# --- the gate -----------------------------------------------------------------------------------------------------------


def test_an_honest_model_is_admitted_with_a_clearance_that_lapses(
    admit: Any, model: Path, store: Store, signer: KeySigner
) -> None:
    admission = admit(model, run_id="r1").require()
    assert admission.clearance.expires == NOW + timedelta(days=1)  # the evidence's age, not the policy's seven days
    stored = collect(store, "clearances", admission.artifact.subject, [signer.trusted()], Clearance.parse)
    assert [one.statement for one in stored.vouched] == [admission.clearance]


def test_a_finding_denies_and_the_evidence_is_kept(admit: Any, model: Path, store: Store) -> None:
    folder_of(model, {"bad.bin": b""})
    admission = admit(model)
    assert [(d.rule, d.where) for d in admission.verdict.denials] == [("bad-name", "bad.bin")]
    assert len(list(store.read("evidence", admission.artifact.subject))) == 1
    assert not list(store.read("clearances", admission.artifact.subject))
    with pytest.raises(Denied):
        admission.require()


def test_a_measure_out_of_bounds_denies(admit: Any, model: Path) -> None:
    folder_of(model, {"3": b"", "4": b""})
    assert [d.reason for d in admit(model).verdict.denials] == ["files is 4; it must be at most 3"]


def test_a_measure_that_is_missing_denies(admit: Any, model: Path) -> None:
    folder_of(model, {"unmeasured": b""})
    assert [d.reason for d in admit(model).verdict.denials] == ["files was not measured; it must be at most 3"]


def test_a_check_that_breaks_denies_and_leaves_no_evidence(admit: Any, model: Path, store: Store) -> None:
    folder_of(model, {"boom": b""})
    admission = admit(model)
    assert admission.verdict.denials[0].rule == "no-evidence"
    assert "this check has a bug" in admission.verdict.denials[0].reason
    assert not list(store.read("evidence", admission.artifact.subject))


def test_yesterdays_pass_does_not_cover_todays_failure_at_the_gate(admit: Any, model: Path) -> None:
    """Nothing changed but the check can no longer finish: old evidence is in the store, and the gate does not lean on it."""
    assert admit(model).verdict.admitted
    broken = Path(os.environ["PRATIQUE_HOME"]).parent / "site" / "third_party_shape.py"
    import third_party_shape  # type: ignore[import-not-found]

    object.__setattr__(third_party_shape.shape, "function", lambda artifact, options: 1 / 0)
    try:
        assert not admit(model).verdict.admitted
    finally:
        import importlib

        assert broken.exists()
        importlib.reload(third_party_shape)


def test_the_store_cannot_be_reached(admit: Any, model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError):
        admit(model, store=Store(str(tmp_path / "file" / "store")))


def test_a_gate_whose_key_the_policy_does_not_trust(admit: Any, model: Path, store: Store) -> None:
    with pytest.raises(PolicyError, match="does not trust"):
        admit(model, signer=KeySigner.generate())
    assert not Path(store.uri).exists()


def test_a_file_behind_the_options_changes_while_the_policy_is_in_use(policy: Policy) -> None:
    object.__setattr__(policy.require["shape"], "options_digest", "sha256:" + "0" * 64)
    with pytest.raises(PolicyError, match="changed while"):
        policy.question("shape")


# --- promotion: the evidence --------------------------------------------------------------------------------------------


def evidence_files(store: Store) -> list[Path]:
    return sorted(Path(store.uri).rglob("evidence/**/*.sigstore.json"))


def put(store: Store, subject: Subject, bundle: bytes, check: str = "shape") -> None:
    store.add("evidence", subject, bundle, check=check)


def parsed(bundle: bytes, signer: KeySigner) -> Evidence:
    return Evidence.parse(signing.verify(bundle, [signer.trusted()]).payload)


def refusals(door: Any, path: Path, **more: Any) -> list[str]:
    with pytest.raises(Denied) as caught:
        door(path, **more)
    return [denial.rule for denial in caught.value.verdict.denials]


def test_what_the_gate_admitted_is_promoted(admit: Any, door: Any, model: Path, tmp_path: Path) -> None:
    admission = admit(model)
    done = door(model)
    assert Path(done.uri) == tmp_path / "production" / "sha256" / admission.artifact.subject.hex
    assert (Path(done.uri) / "weights.bin").read_bytes() == b"\x00\x01"
    pointer = read_channel(str(tmp_path / "production"), "production", [PROMOTER.trusted()], now=NOW)
    assert pointer.statement == done.clearance
    assert verify_promoted(pointer.statement, str(tmp_path / "production")).subject == admission.artifact.subject


def test_promotion_without_a_gate(door: Any, model: Path, tmp_path: Path) -> None:
    assert refusals(door, model) == ["no-evidence"]
    assert not (tmp_path / "production").exists()


def test_the_artifact_swapped_between_gate_and_promotion(admit: Any, door: Any, model: Path, tmp_path: Path) -> None:
    admit(model)
    (model / "weights.bin").write_bytes(b"evil")
    assert refusals(door, model) == ["no-evidence"]
    assert not (tmp_path / "production").exists()


def test_evidence_of_a_failure_flipped_to_a_pass(admit: Any, door: Any, model: Path, store: Store) -> None:
    folder_of(model, {"bad.bin": b""})
    admit(model)
    (path,) = evidence_files(store)
    value = json.loads(path.read_bytes())
    payload = signing.parse_bundle(path.read_bytes())[0].payload.replace(b'"HIGH"', b'"NOTE"')
    value["dsseEnvelope"]["payload"] = __import__("base64").b64encode(payload).decode()
    forged = json.dumps(value).encode()
    put(store, Subject(digest="sha256:" + path.parts[-3]), forged)
    assert refusals(door, model) == ["bad-name"]
    path.unlink()
    assert refusals(door, model) == ["no-evidence"]


def test_evidence_forged_with_a_key_that_nobody_trusts(
    admit: Any, door: Any, model: Path, store: Store, policy: Policy
) -> None:
    folder_of(model, {"bad.bin": b""})
    admission = admit(model)
    true = admission.evidence[0].statement
    lie = Evidence(**{**{k: getattr(true, k) for k in true.__slots__}, "report": Report(measures={"files": 1.0})})
    put(store, true.subject, signing.sign(lie.statement(), INTOTO, MemorySigner()))
    assert refusals(door, model) == ["bad-name"]


def test_evidence_replayed_from_another_model(admit: Any, door: Any, model: Path, store: Store, tmp_path: Path) -> None:
    good = admit(model)
    evil = folder_of(tmp_path / "evil", {"bad.bin": b"", "weights.bin": b"evil"})
    subject = admit(evil).artifact.subject
    for path in evidence_files(store):
        if good.artifact.subject.hex in str(path):
            put(store, subject, path.read_bytes())
    assert refusals(door, evil) == ["bad-name"]


def test_the_gates_own_key_signs_evidence_for_an_easier_question(
    admit: Any, door: Any, model: Path, store: Store, signer: KeySigner
) -> None:
    true = admit(model).evidence[0].statement
    shutil.rmtree(store.uri)
    easier = Evidence(**{**{k: getattr(true, k) for k in true.__slots__}, "options_digest": "sha256:" + "9" * 64})
    put(store, true.subject, signing.sign(easier.statement(), INTOTO, signer))
    assert refusals(door, model) == ["other-question"]


def test_evidence_of_an_earlier_run_when_this_run_is_asked_for(admit: Any, door: Any, model: Path) -> None:
    admit(model, run_id="monday")
    assert refusals(door, model, run_id="tuesday") == ["other-run"]
    assert door(model, run_id="monday").verdict.admitted


def test_evidence_goes_stale(admit: Any, door: Any, model: Path) -> None:
    admit(model)
    assert refusals(door, model, now=NOW + timedelta(days=1, minutes=1)) == ["stale"]


def test_evidence_under_a_name_that_is_not_its_digest(admit: Any, door: Any, model: Path, store: Store) -> None:
    admit(model)
    (path,) = evidence_files(store)
    path.rename(path.with_name("0" * 64 + ".sigstore.json"))
    assert refusals(door, model) == ["no-evidence"]


@pytest.mark.parametrize("junk", [b"", b"{}", b"\xff" * 100, b"[" * 10_000])
def test_junk_in_the_store_harms_nobody(admit: Any, door: Any, model: Path, store: Store, junk: bytes) -> None:
    put(store, admit(model).artifact.subject, junk)
    assert door(model).refused


def test_promotion_reads_its_own_policy(admit: Any, door: Any, model: Path, policy_file: Path) -> None:
    admit(model)
    stricter = policy_file.with_name("stricter.yaml")
    stricter.write_text(policy_file.read_text().replace("max: 3", "max: 1"))
    assert refusals(door, model, policy=Policy.load(stricter)) == ["files"]


# --- promotion: the copy ------------------------------------------------------------------------------------------------


def test_other_bytes_stand_at_the_destination(admit: Any, door: Any, model: Path, tmp_path: Path) -> None:
    subject = admit(model).artifact.subject
    folder_of(tmp_path / "production" / "sha256" / subject.hex, {"weights.bin": b"evil"})
    with pytest.raises(StoreConflict, match="other bytes"):
        door(model)
    assert not (tmp_path / "production" / "channels").exists()


def test_promoting_twice_copies_once_and_counts_on(admit: Any, door: Any, model: Path) -> None:
    admit(model)
    assert [door(model).clearance.sequence, door(model).clearance.sequence] == [1, 2]


def test_each_channel_has_its_own_pointer(admit: Any, door: Any, model: Path, tmp_path: Path) -> None:
    admit(model)
    door(model, channel="staging")
    with pytest.raises(StoreError, match="nothing was ever promoted"):
        read_channel(str(tmp_path / "production"), "production", [PROMOTER.trusted()], now=NOW)


def test_the_pointer_of_one_channel_put_in_place_of_another(admit: Any, door: Any, model: Path, tmp_path: Path) -> None:
    admit(model)
    door(model, channel="staging")
    channels = tmp_path / "production" / "channels"
    shutil.copy(channels / "staging.sigstore.json", channels / "production.sigstore.json")
    with pytest.raises(EvidenceError, match="made for channel staging"):
        read_channel(str(tmp_path / "production"), "production", [PROMOTER.trusted()], now=NOW)


def test_a_pointer_of_a_test_area_put_into_production(admit: Any, door: Any, model: Path, tmp_path: Path) -> None:
    admit(model)
    door(model)
    door(model, destination=str(tmp_path / "tests"))
    keys = [PROMOTER.trusted()]
    shutil.rmtree(tmp_path / "production")
    shutil.copytree(tmp_path / "tests", tmp_path / "production")
    with pytest.raises(EvidenceError, match=r"made for file://.*/tests/sha256/"):
        read_channel(str(tmp_path / "production"), "production", keys, now=NOW)
    assert read_channel(str(tmp_path / "tests"), "production", keys, now=NOW).statement.sequence == 1


def test_a_destination_by_another_spelling_is_the_same(admit: Any, door: Any, model: Path, tmp_path: Path) -> None:
    admit(model)
    door(model)
    (tmp_path / "link").symlink_to(tmp_path / "production")
    for spelling in (f"{tmp_path}/production/", f"file://{tmp_path}/./production", f"{tmp_path}/link"):
        assert read_channel(spelling, "production", [PROMOTER.trusted()], now=NOW).statement.sequence == 1


def test_a_destination_that_is_mounted_elsewhere_is_named(admit: Any, door: Any, model: Path, tmp_path: Path) -> None:
    admit(model)
    door(model)
    elsewhere = str((tmp_path / "production").rename(tmp_path / "mounted"))
    keys, name = [PROMOTER.trusted()], (tmp_path / "production").as_uri()
    with pytest.raises(EvidenceError, match="made for"):
        read_channel(elsewhere, "production", keys, now=NOW)
    one = read_channel(elsewhere, "production", keys, now=NOW, known_as=name).statement
    assert verify_promoted(one, elsewhere).subject == one.subject
    with pytest.raises(StoreConflict, match="not one of ours"):
        door(model, destination=elsewhere)
    assert door(model, destination=elsewhere, known_as=name).clearance.sequence == 2


def test_a_promotion_of_something_that_was_revoked_since(admit: Any, door: Any, model: Path, tmp_path: Path) -> None:
    admitted = admit(model)
    door(model)
    for mark in (admitted.artifact.subject.digest, admitted.evidence[0].digest):
        gone = PROMOTER.trusted().renamed("promoter", frozenset({mark}))
        with pytest.raises(Revoked, match=mark):
            read_channel(str(tmp_path / "production"), "production", [gone], now=NOW)
    other = PROMOTER.trusted().renamed("promoter", frozenset({"sha256:" + "9" * 64}))
    assert read_channel(str(tmp_path / "production"), "production", [other], now=NOW).statement.sequence == 1


def test_nobody_promotes_with_a_key_that_was_made_for_it(admit: Any, door: Any, model: Path, home: Path) -> None:
    admit(model)
    with pytest.raises(UsageError, match="key"):
        door(model, signer=None)
    assert not list(home.rglob("*.key"))


def test_a_password_in_the_destination_is_neither_signed_nor_told(admit: Any, door: Any, model: Path) -> None:
    admit(model)
    done = door(model, destination="memory://user:hunter2@production")
    assert "hunter2" not in f"{done.uri} {done.clearance.statement().decode()}"
    with pytest.raises(StoreError) as caught:
        read_channel("memory://user:hunter2@production", "absent", [PROMOTER.trusted()])
    assert "hunter2" not in str(caught.value)


def test_an_old_pointer_put_back(admit: Any, door: Any, model: Path, tmp_path: Path) -> None:
    admit(model)
    pointer = tmp_path / "production" / "channels" / "production.sigstore.json"
    door(model)
    old = pointer.read_bytes()
    door(model)
    pointer.write_bytes(old)
    keys = [PROMOTER.trusted()]
    assert read_channel(str(tmp_path / "production"), "production", keys, now=NOW).statement.sequence == 1
    with pytest.raises(EvidenceError, match="put back"):
        read_channel(str(tmp_path / "production"), "production", keys, now=NOW, least=2)


def test_a_pointer_that_somebody_else_signed_is_not_moved(admit: Any, door: Any, model: Path) -> None:
    admit(model)
    door(model)
    with pytest.raises(StoreConflict, match="not one of ours"):
        door(model, signer=KeySigner.generate())


def test_a_pointer_lapses(admit: Any, door: Any, model: Path, tmp_path: Path) -> None:
    admit(model)
    door(model)
    with pytest.raises(Stale):
        read_channel(str(tmp_path / "production"), "production", [PROMOTER.trusted()], now=NOW + timedelta(days=2))


def test_a_gates_clearance_is_not_a_promotion(admit: Any, model: Path, tmp_path: Path, signer: KeySigner, store: Store) -> None:
    admit(model)
    (bundle,) = Path(store.uri).rglob("clearances/**/*.sigstore.json")
    folder_of(tmp_path / "production" / "channels", {"production.sigstore.json": bundle.read_bytes()})
    with pytest.raises(EvidenceError, match="made for channel"):
        read_channel(str(tmp_path / "production"), "production", [signer.trusted()], now=NOW)


def test_promoted_bytes_changed_afterwards(admit: Any, door: Any, model: Path, tmp_path: Path) -> None:
    admit(model)
    done = door(model)
    (Path(done.uri) / "weights.bin").write_bytes(b"evil")
    with pytest.raises(EvidenceError, match="changed after"):
        verify_promoted(done.clearance, str(tmp_path / "production"))


def test_a_single_file_is_promoted_as_a_file(admit: Any, door: Any, model: Path, tmp_path: Path) -> None:
    path = model / "weights.bin"
    admit(path)
    done = door(path)
    assert verify_promoted(done.clearance, str(tmp_path / "production")).subject.digest == done.clearance.subject.digest


@pytest.mark.parametrize("step", ["copytree", "rename", "link", "replace"])
def test_a_crash_at_any_point_leaves_the_old_state_or_the_new_one(
    admit: Any, door: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    admit(model)
    door(model)
    before = read_channel(str(tmp_path / "production"), "production", [PROMOTER.trusted()], now=NOW).statement
    second = folder_of(tmp_path / "second", {"weights.bin": b"second"})
    admit(second)
    owner = {"copytree": shutil, "rename": Path, "link": os, "replace": os}[step]
    real = getattr(owner, step)

    def crash(*args: Any, **kwargs: Any) -> Any:
        if "production" in str(args):
            raise OSError(28, "No space left on device")
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, step, crash)
    with pytest.raises(StoreError):
        door(second)
    monkeypatch.undo()
    monkeypatch.setenv("PRATIQUE_HOME", str(tmp_path / "home"))
    after = read_channel(str(tmp_path / "production"), "production", [PROMOTER.trusted()], now=NOW).statement
    assert after == before
    verify_promoted(after, str(tmp_path / "production"))
    taken = step == "replace"  # the number was in the history by then, and no number is given twice
    assert door(second).clearance.sequence == (3 if taken else 2)


def test_promotion_to_an_object_store(admit: Any, door: Any, model: Path) -> None:
    admit(model)
    done = door(model, destination="memory://bucket/production")
    pointer = read_channel("memory://bucket/production", "production", [PROMOTER.trusted()], now=NOW)
    assert pointer.statement == done.clearance
    verify_promoted(pointer.statement, "memory://bucket/production")
    import fsspec

    fsspec.filesystem("memory").pipe_file(f"/bucket/production/sha256/{done.clearance.subject.hex}/weights.bin", b"evil")
    with pytest.raises(EvidenceError):
        verify_promoted(pointer.statement, "memory://bucket/production")


@pytest.mark.parametrize("channel", ["", "../x", "a/b", "Production", "x" * 80, "a b"])
def test_a_channel_name_that_leaves_the_folder(door: Any, model: Path, channel: str) -> None:
    with pytest.raises(UsageError):
        door(model, channel=channel)


def test_the_model_holds_a_symlink_at_promotion(admit: Any, door: Any, model: Path) -> None:
    admit(model)
    (model / "weights.bin").unlink()
    (model / "weights.bin").symlink_to("/etc/passwd")
    with pytest.raises(ArtifactRefused):
        door(model)
