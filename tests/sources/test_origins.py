"""What becomes of an origin: it is signed with the evidence, shown to people, and reported if it can move."""

from __future__ import annotations

import base64
import dataclasses
import json
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pratique import checking, cli, oms, reports, training
from pratique.artifacts import Subject, open_artifact
from pratique.checking import Report
from pratique.checks.provenance import provenance
from pratique.errors import Malformed
from pratique.gate import observe, pass_gate
from pratique.judging import decide
from pratique.policies import Policy
from pratique.signing import KeySigner
from pratique.sources import Resolution
from pratique.statements import Evidence, TrainingRecord
from pratique.store import Store
from pratique.testing import FakeHub, folder_of, vouched

FILES = {"config.json": b"{}", "model.safetensors": b"weights"}
POLICY = """
version: 1
subject: model
trust:
  gate: {key: gate.pub}
  supplier: {key: gate.pub}
require:
  provenance: {deny_at: DENY_AT, options: {signers: [supplier]}}
"""


@pytest.fixture
def commit(hub: FakeHub, signer: KeySigner, tmp_path: Path) -> str:
    """A signed model called acme/base."""
    folder = folder_of(tmp_path / "base", FILES)
    oms.write_signature(folder, signer)
    return hub.commit("acme/base", {one.name: one.read_bytes() for one in folder.iterdir()})


def policy(tmp_path: Path, signer: KeySigner, deny_at: str) -> Policy:
    folder = folder_of(tmp_path / deny_at, {"policy.yaml": POLICY.replace("DENY_AT", deny_at).encode()})
    signer.save(folder / "gate.key")
    return Policy.load(folder / "policy.yaml")


def test_a_mutable_reference_is_reported_and_a_policy_can_deny_it(
    hub: FakeHub, commit: str, signer: KeySigner, store: Store, tmp_path: Path
) -> None:
    for deny_at, revision, admitted in (("high", "", True), ("low", "", False), ("low", f"@{commit}", True)):
        chosen = policy(tmp_path / revision.strip("@"), signer, deny_at)
        passed = pass_gate(f"hf://acme/base{revision}", policy=chosen, store=store, signer=signer)
        assert passed.verdict.admitted == admitted, passed.verdict.summary()
        rules = [finding.rule for finding in passed.evidence[0].statement.report.findings]
        assert rules == ([] if revision else ["mutable-reference"])
        if not admitted:
            assert f"name the pinned URI: hf://acme/base@{commit}" in reports.as_text(passed)


def test_unsigned_and_mutable_says_both(hub: FakeHub, tmp_path: Path, signer: KeySigner) -> None:
    hub.commit("acme/unsigned", FILES)
    options = checking.options_for(provenance, {"signers": ["k"]}, checking.Setting(trust={"k": signer.trusted()}))
    seen = checking.run(provenance, open_artifact("hf://acme/unsigned"), options)
    assert [finding.rule for finding in seen.findings] == ["unsigned", "mutable-reference"]


def test_a_local_copy_has_no_origin(tmp_path: Path, signer: KeySigner) -> None:
    folder = folder_of(tmp_path / "base", FILES)
    oms.write_signature(folder, signer)
    options = checking.options_for(provenance, {"signers": ["k"]}, checking.Setting(trust={"k": signer.trusted()}))
    assert checking.run(provenance, open_artifact(folder), options).findings == ()


def test_the_origin_is_signed_with_the_evidence_and_shown(
    hub: FakeHub, commit: str, signer: KeySigner, store: Store, tmp_path: Path
) -> None:
    chosen = policy(tmp_path, signer, "high")
    passed = pass_gate("hf://acme/base", policy=chosen, store=store, signer=signer)
    origin = passed.evidence[0].statement.origin
    assert origin == passed.artifact.origin
    assert origin is not None
    pinned = f"hf://acme/base@{commit}"
    assert reports.as_json(passed)["origin"] == origin.as_json()
    assert f"taken from {pinned}, which hf://acme/base was" in reports.as_text(passed)
    for page in (reports.of_admission(passed, chosen), reports.of_evidence(passed.evidence[0].statement, "sha256:0")):
        assert "Where it came from" in page
        assert pinned in page
    assert f"pratique digest {pinned}" in reports.of_admission(passed, chosen)


def test_an_origin_cannot_write_into_the_page(hub: FakeHub, signer: KeySigner, tmp_path: Path) -> None:
    hub.commit("acme/base", FILES)
    artifact = open_artifact("hf://acme/base")
    assert artifact.origin is not None
    evil = dataclasses.replace(artifact.origin, ids={"<x1>": "<x2>"}, notes=("<x3>",), uri="<x4>", pinned="<x5>")
    chosen = policy(tmp_path, signer, "high")
    page = reports.of_evidence(observe("provenance", dataclasses.replace(artifact, origin=evil), chosen), "sha256:0")
    assert not any(f"<x{number}>" in page for number in range(1, 6))
    assert "&lt;x5&gt;" in page


def test_evidence_from_before_origins_were_recorded(hub: FakeHub, commit: str, signer: KeySigner, tmp_path: Path) -> None:
    chosen = policy(tmp_path, signer, "high")
    one = observe("provenance", open_artifact(f"hf://acme/base@{commit}"), chosen)
    value = json.loads(one.statement())
    del value["predicate"]["pratique"]["origin"]
    assert Evidence.parse(json.dumps(value).encode()) == dataclasses.replace(one, origin=None)
    for broken in ({}, [], "x", {"uri": 1}, {**one.origin.as_json(), "mutable": "no idea"}):  # type: ignore[union-attr]
        value["predicate"]["pratique"]["origin"] = broken
        with pytest.raises(Malformed):
            Evidence.parse(json.dumps(value).encode())


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Policy]:
    """Loading one imports every check that it requires."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRATIQUE_HOME", str(tmp_path_factory.mktemp("home")))
        yield Policy.baseline()


@given(mutable=st.booleans(), pinned=st.text(max_size=5))
def test_an_origin_never_changes_a_verdict(baseline: Policy, mutable: bool, pinned: str) -> None:
    """Judging knows the digest alone: what upstream called the bytes admits nothing and denies nothing."""
    now, subject = datetime(2026, 1, 1, tzinfo=timezone.utc), Subject(digest="sha256:" + "0" * 64)
    signers = frozenset({baseline.evidence_keys[0].fingerprint})
    verdicts = []
    for one in (None, Resolution(uri="u", pinned=pinned, scheme="s", mutable=mutable)):
        evidence = [
            Evidence(
                check=name, check_version="1", subject=subject, kind="model", report=Report(),
                options_digest=asked.options_digest, policy_digest=baseline.digest, run_id="", made_at=now, origin=one,
            )
            for name, asked in baseline.require.items()
        ]  # fmt: skip
        seen = [vouched(one, *signers, digest=one.check) for one in evidence]
        verdicts.append(decide(baseline, subject, seen, now=now))
    assert verdicts[0].admitted
    assert verdicts[0] == verdicts[1]


def test_a_training_record_names_what_was_pinned(hub: FakeHub, commit: str, store: Store, tmp_path: Path) -> None:
    with training.record(base="hf://acme/base", output=tmp_path / "tuned", store=store) as run:
        folder_of(run.output, {"weights": b"w"})
    assert run.subject is not None
    ((_, bundle),) = store.read("records", run.subject)
    payload = base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"])
    assert TrainingRecord.parse(payload).materials[0].uri == f"hf://acme/base@{commit}"


@pytest.fixture
def pratique(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command line; returns (exit code, stdout, stderr)."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pratique", *map(str, words)])
        code: Any = 0
        try:
            cli.main()
        except SystemExit as done:
            code = done.code or 0
        return (code, *capsys.readouterr())

    return run


def test_the_command_line_prints_what_pins_it(hub: FakeHub, commit: str, pratique: Any, model: Path) -> None:
    digest = open_artifact(f"hf://acme/base@{commit}").subject.digest
    code, out, err = pratique("digest", "hf://acme/base")
    assert (code, out) == (0, f"{digest}\nhf://acme/base@{commit}\n")
    assert "note: the default branch can move" in err
    code, out, _ = pratique("digest", "hf://acme/base", "--format", "json")
    told = json.loads(out)
    assert (told["pinned"], told["mutable"], told["ids"]["commit"]) == (f"hf://acme/base@{commit}", True, commit)
    code, out, err = pratique("digest", model)
    assert (code, out, err) == (0, open_artifact(model).subject.digest + "\n", "")


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("hf://acme/nosuch", 3),
        ("hf://nonsense", 3),
        ("models:/m/1", 2),
        ("oci://u:secret@127.0.0.1:1/x:v1", 3),
        ("nosuch://x", 3),
    ],
)
def test_bad_references_are_one_clear_sentence(hub: FakeHub, pratique: Any, uri: str, code: int) -> None:
    ended, out, err = pratique("digest", uri)
    assert (ended, out) == (code, "")
    assert "Hint: " in err
    assert "Traceback" not in err
    assert "secret" not in err
