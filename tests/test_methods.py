"""Everything that is signed here, by each of the three methods: evidence, clearances, promotions, records, deliveries."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from pratique import checking, documents, oms, signing, training, verifying
from pratique.artifacts import open_artifact
from pratique.checking import Setting
from pratique.checks.provenance import provenance
from pratique.errors import Denied, PolicyError, StoreConflict, UsageError, WrongSigner
from pratique.gate import pass_gate
from pratique.judging import decide
from pratique.policies import Policy
from pratique.promotion import promote, read_channel, verify_promoted
from pratique.signing import INTOTO, KeySigner, Signer, Subject, publishers
from pratique.statements import Clearance, Evidence, TrainingRecord
from pratique.store import Store
from pratique.testing import folder_of
from pratique.testing.certificates import Authority, write_pem
from pratique.testing.sigstore import FakeSigstore, Fault, tokens
from pratique.vouching import collect

METHODS = ("key", "certificate", "keyless")
ROOT = Authority.root("Acme Root")


@dataclass
class Party:
    """Somebody who signs by one of the methods, and how a policy knows them."""

    name: str
    method: str
    signer: Signer
    entry: str

    @property
    def written(self) -> str:
        return f"  {self.name}: {self.entry}\n"


@pytest.fixture(scope="module")
def fake() -> Iterator[FakeSigstore]:
    with FakeSigstore() as running:
        yield running


@pytest.fixture
def parties(fake: FakeSigstore, tmp_path: Path) -> Any:
    """Makes parties, their files beside the policy."""
    folder = tmp_path / "policies"
    folder.mkdir()
    write_pem(folder / "roots.pem", [ROOT.certificate])
    (folder / "trusted_root.json").write_text(json.dumps(fake.trusted_root()))

    def make(name: str, method: str) -> Party:
        if method == "key":
            key = KeySigner.generate()
            key.save(folder / f"{name}.key")
            return Party(name, method, key, f"{{key: {name}.pub}}")
        if method == "certificate":
            signer = ROOT.signer(f"CN={name},O=Acme")
            return Party(name, method, signer, f'{{certificate: roots.pem, subject: "CN={name},O=Acme"}}')
        claims = tokens.github(f"acme/{name}")
        return Party(name, method, fake.signer(claims, tmp_path / name), f"{{github: acme/{name}, root: trusted_root.json}}")

    return make


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def make(*parties: Party, rest: str) -> Policy:
        text = "version: 1\ntrust:\n" + "".join(one.written for one in parties) + rest
        (tmp_path / "policies" / "policy.yaml").write_text(text)
        return Policy.load(tmp_path / "policies" / "policy.yaml")

    return make


each = pytest.mark.parametrize("method", METHODS)
SHAPE = "require:\n  shape: {measures: {files: {max: 9}}}\n"


@each
def test_a_gate_and_a_promoter(
    method: str, parties: Any, write: Any, model: Path, store: Store, shape: str, tmp_path: Path
) -> None:
    gate, promoter, stranger = (parties(name, method) for name in ("gate", "promoter", "stranger"))
    policy = write(gate, promoter, rest=SHAPE)
    admission = pass_gate(str(model), policy=policy, store=store, signer=gate.signer).require()
    assert admission.clearance is not None
    assert admission.clearance.verifier == f"urn:pratique:gate:{signing.mark(gate.signer)}"

    production = str(tmp_path / "production")
    done = promote(str(model), policy=policy, destination=production, store=store, signer=promoter.signer)
    vouched = read_channel(production, "production", [policy.trust["promoter"]])
    assert vouched.statement == done.clearance
    assert verify_promoted(vouched.statement, production).subject == admission.artifact.subject
    again = promote(str(model), policy=policy, destination=production, store=store, signer=promoter.signer)
    assert again.clearance.sequence == done.clearance.sequence + 1

    with pytest.raises(WrongSigner):
        read_channel(production, "production", [policy.trust["gate"]])
    with pytest.raises(StoreConflict):
        promote(str(model), policy=policy, destination=production, store=store, signer=stranger.signer)
    with pytest.raises(PolicyError, match="does not trust"):
        pass_gate(str(model), policy=policy, store=store, signer=stranger.signer)


@each
def test_a_clearance_that_names_another_gate_than_signed_it(
    method: str, parties: Any, write: Any, model: Path, store: Store, shape: str
) -> None:
    from pratique.clearing import ensure_clearance

    gate, other = parties("gate", method), parties("other", method)
    policy = write(gate, other, rest=SHAPE)
    admission = pass_gate(str(model), policy=policy, store=store, signer=gate.signer).require()
    assert admission.clearance is not None
    forged = replace(admission.clearance, verifier=f"urn:pratique:gate:{signing.mark(other.signer)}")
    subject = admission.artifact.subject
    store.add("clearances", subject, signing.sign(forged.statement(), INTOTO, gate.signer))
    seen = collect(store, "clearances", subject, policy.evidence_keys, Clearance.parse)
    results = []
    for one in seen.vouched:
        try:
            ensure_clearance(one, subject, now=datetime.now(timezone.utc), revoked=frozenset())
            results.append("holds")
        except WrongSigner:
            results.append("names another")
    assert sorted(results) == ["holds", "names another"]


@each
def test_a_trainer_and_the_lineage_of_what_it_made(
    method: str, parties: Any, write: Any, model: Path, store: Store, shape: str, tmp_path: Path
) -> None:
    gate, trainer = parties("gate", method), parties("trainer", method)
    write_data = folder_of(tmp_path / "data", {"train.csv": b"a,b\n1,2\n"})
    for kind, path in (("model", model), ("dataset", write_data)):
        policy = write(gate, rest=f"subject: {kind}\n{SHAPE}")
        pass_gate(str(path), policy=policy, store=store, signer=gate.signer).require()
    with training.record(
        base=model, datasets=[write_data], output=tmp_path / "tuned", signer=trainer.signer, store=store
    ) as run:
        (run.output / "weights").write_bytes(b"tuned")
    assert run.subject is not None
    lineage = "require:\n  lineage: {options: {trainers: [trainer], gates: [gate]}}\n"
    policy = write(gate, trainer, rest=lineage)
    assert pass_gate(str(tmp_path / "tuned"), policy=policy, store=store, signer=gate.signer).verdict.admitted
    (seen,) = collect(store, "records", run.subject, [policy.trust["trainer"]], TrainingRecord.parse).vouched
    assert seen.statement.builder == f"urn:pratique:trainer:{signing.mark(trainer.signer)}"
    turned = write(
        gate, trainer, rest=lineage.replace("[trainer]", "[x]").replace("[gate]", "[trainer]").replace("[x]", "[gate]")
    )
    assert not pass_gate(str(tmp_path / "tuned"), policy=turned, store=store, signer=gate.signer).verdict.admitted
    with pytest.raises(PolicyError, match="a key of its own"):
        write(gate, trainer, rest=lineage.replace("trainers: [trainer]", "trainers: [gate]"))


@each
def test_a_delivery_and_its_proof_step_by_step(method: str, parties: Any, write: Any, model: Path) -> None:
    supplier, other = parties("supplier", method), parties("other", method)
    policy = write(
        supplier, other, rest="require:\n  provenance: {options: {signers: [supplier]}}\nevidence: {signers: [other]}\n"
    )
    oms.write_signature(model, supplier.signer)
    proof = verifying.path(model, [policy.trust["supplier"]])
    said = "\n".join(proof.steps)
    assert all(f"{number}. " in said for number in range(1, len(proof.steps) + 1))
    assert {"key": "public key of supplier", "certificate": "Acme Root", "keyless": "second opinion"}[method] in said
    with pytest.raises(WrongSigner):
        verifying.path(model, [policy.trust["other"]])


# --- k of n, whatever the methods


def test_two_of_three_by_three_methods(parties: Any, write: Any, model: Path, store: Store, shape: str) -> None:
    gates = [parties(name, method) for name, method in zip(("one", "two", "three"), METHODS, strict=True)]
    rest = "evidence: {signers: [one, two, three]}\nrequire:\n  shape: {threshold: 2}\n"
    policy = write(*gates, rest=rest)
    assert not pass_gate(str(model), policy=policy, store=store, signer=gates[0].signer).verdict.admitted
    for gate in gates[1:]:
        pass_gate(str(model), policy=policy, store=store, signer=gate.signer)
    subject = open_artifact(model).subject
    seen = collect(store, "evidence", subject, policy.evidence_keys, Evidence.parse).vouched
    now = datetime.now(timezone.utc)
    assert decide(policy, subject, seen, now=now).admitted
    for one in seen:
        assert not decide(policy, subject, [one], now=now).admitted


def test_one_key_that_is_trusted_in_two_ways_is_not_two_of_two(
    parties: Any, write: Any, model: Path, store: Store, shape: str, tmp_path: Path
) -> None:
    """Listed as a key and as a certificate: both pieces of evidence hold, and are still one vote."""
    certified = parties("certified", "certificate")
    plain = Party("plain", "key", certified.signer.key, "{key: plain.pub}")
    (tmp_path / "policies" / "plain.pub").write_bytes(plain.signer.trusted().pem)  # type: ignore[union-attr]
    second = parties("second", "key")
    policy = write(
        certified, plain, second, rest="evidence: {signers: [certified, plain, second]}\nrequire:\n  shape: {threshold: 2}\n"
    )
    for party in (certified, plain):
        assert not pass_gate(str(model), policy=policy, store=store, signer=party.signer).verdict.admitted
    subject, now = open_artifact(model).subject, datetime.now(timezone.utc)

    def admitted() -> bool:
        seen = collect(store, "evidence", subject, policy.evidence_keys, Evidence.parse).vouched
        return decide(policy, subject, seen, now=now).admitted

    assert not admitted()
    pass_gate(str(model), policy=policy, store=store, signer=second.signer)
    assert admitted()


def test_a_service_that_fails_admits_nothing(
    fake: FakeSigstore, parties: Any, write: Any, model: Path, store: Store, shape: str
) -> None:
    from pratique.errors import ServiceError

    gate = parties("gate", "keyless")
    policy = write(gate, rest=SHAPE)
    signing.mark(gate.signer)
    fake.faults.add(Fault.REKOR_DOWN)
    try:
        with pytest.raises(ServiceError):
            pass_gate(str(model), policy=policy, store=store, signer=gate.signer)
    finally:
        fake.faults.clear()
    assert collect(store, "clearances", open_artifact(model).subject, policy.evidence_keys, Clearance.parse).vouched == ()


# --- revocations, at the delivery and at the evidence


def revoked(write: Any, parties: tuple[Party, ...], rest: str, mark: str) -> Policy:
    policy: Policy = write(*parties, rest=rest + f'revoked: [{{digest: "{mark}", reason: it was stolen}}]\n')
    return policy


@each
def test_evidence_by_a_gate_that_was_revoked_since(
    method: str, parties: Any, write: Any, model: Path, store: Store, shape: str, tmp_path: Path
) -> None:
    gate, promoter = parties("gate", method), parties("promoter", method)
    policy = write(gate, promoter, rest=SHAPE)
    pass_gate(str(model), policy=policy, store=store, signer=gate.signer).require()
    after = revoked(write, (gate, promoter), SHAPE, signing.mark(gate.signer))
    production = str(tmp_path / "production")
    with pytest.raises(Denied, match="revoked"):
        promote(str(model), policy=after, destination=production, store=store, signer=promoter.signer)
    assert promote(str(model), policy=policy, destination=production, store=store, signer=promoter.signer)


@each
def test_a_delivery_by_a_supplier_who_was_revoked_since(
    method: str, parties: Any, write: Any, model: Path, store: Store, tmp_path: Path
) -> None:
    gate, supplier = parties("gate", "key"), parties("supplier", method)
    rest = "require:\n  provenance: {options: {signers: [supplier]}}\n"
    oms.write_signature(model, supplier.signer)
    before = write(gate, supplier, rest=rest)
    admission = pass_gate(str(model), policy=before, store=store, signer=gate.signer).require()
    after = revoked(write, (gate, supplier), rest, signing.mark(supplier.signer))
    denied = pass_gate(str(model), policy=after, store=store, signer=gate.signer).verdict
    assert {one.rule for one in denied.denials} == {"revoked"}
    # The evidence from before the revocation does not help: it answers another question, and leans on what was revoked.
    late = decide(after, admission.artifact.subject, admission.evidence, now=datetime.now(timezone.utc))
    assert {"revoked", "other-question"} <= {one.rule for one in late.denials}


def test_an_artifact_a_file_in_it_and_a_statement_are_revoked(
    parties: Any, write: Any, model: Path, store: Store, shape: str
) -> None:
    gate, supplier = parties("gate", "key"), parties("supplier", "key")
    oms.write_signature(model, supplier.signer)
    rest = "require:\n  provenance: {options: {signers: [supplier]}}\n  shape: {}\n"
    policy = write(gate, supplier, rest=rest)
    admission = pass_gate(str(model), policy=policy, store=store, signer=gate.signer).require()
    subject = admission.artifact.subject
    weights = next(one for one in admission.artifact.entries if one.path == "weights.bin")

    whole = revoked(write, (gate, supplier), rest, subject.digest)
    verdict = pass_gate(str(model), policy=whole, store=store, signer=gate.signer).verdict
    assert {(one.check, one.rule) for one in verdict.denials} >= {("policy", "revoked"), ("provenance", "revoked")}

    file = revoked(write, (gate, supplier), rest, f"sha256:{weights.sha256}")
    verdict = pass_gate(str(model), policy=file, store=store, signer=gate.signer).verdict
    assert [(one.check, one.rule, one.where) for one in verdict.denials] == [("provenance", "revoked", "weights.bin")]

    for piece in admission.evidence:
        for digest in (piece.digest, documents.sha256(piece.statement.statement())):
            one = revoked(write, (gate, supplier), rest, digest)
            late = decide(one, subject, admission.evidence, now=datetime.now(timezone.utc))
            assert (piece.statement.check, "revoked") in {(each.check, each.rule) for each in late.denials}


def test_revoked_evidence_is_put_back_in_another_spelling(
    parties: Any, write: Any, model: Path, store: Store, tmp_path: Path, shape: str
) -> None:
    """Whoever can write to the store spells the bundle otherwise, and stores it under the digest that it has then."""
    gate = parties("gate", "key")
    policy = write(gate, rest=SHAPE)
    admission = pass_gate(str(model), policy=policy, store=store, signer=gate.signer).require()
    (piece,) = admission.evidence
    statement = documents.sha256(piece.statement.statement())
    after = revoked(write, (gate,), SHAPE, statement)
    subject = admission.artifact.subject
    ((path, bundle),) = store.read("evidence", subject)
    again = json.dumps(json.loads(bundle), indent=1).encode()
    stored = tmp_path / "store" / path
    stored.with_name(documents.sha256(again).removeprefix("sha256:") + ".sigstore.json").write_bytes(again)
    stored.unlink()

    def found(chosen: Policy) -> Any:
        return collect(store, "evidence", subject, chosen.evidence_keys, Evidence.parse)

    (put_back,) = found(policy).vouched
    assert put_back.digest != piece.digest
    assert decide(policy, subject, [put_back], now=datetime.now(timezone.utc)).admitted
    assert found(after).vouched == () and "revoked" in found(after).refused[0]
    assert "revoked" in {one.rule for one in decide(after, subject, [put_back], now=datetime.now(timezone.utc)).denials}


def test_two_publishers_of_two_where_a_policy_asks_for_two(
    parties: Any, write: Any, model: Path, store: Store, shape: str
) -> None:
    gate, one, other = parties("gate", "key"), parties("supplier", "key"), parties("auditor", "key")
    rest = "require:\n  provenance: {options: {signers: [supplier, auditor]}, measures: {signers: {min: 2}}}\n"
    policy = write(gate, one, other, rest=rest)
    path = oms.write_signature(model, one.signer)
    bundle = json.loads(path.read_bytes())
    again, second = (json.loads(oms.sign(model, each.signer, signature="model.sig")) for each in (one, other))
    assert second["dsseEnvelope"]["payload"] == bundle["dsseEnvelope"]["payload"]

    def admitted(*signed: Any) -> bool:
        own = [each["dsseEnvelope"]["signatures"][0] for each in signed]
        path.write_text(json.dumps({**bundle, "dsseEnvelope": {**bundle["dsseEnvelope"], "signatures": own}}))
        return pass_gate(str(model), policy=policy, store=store, signer=gate.signer).verdict.admitted

    assert admitted(bundle, second) and admitted(second, bundle)
    for signed in ([bundle], [second], [bundle, bundle], [bundle, again]):
        assert not admitted(*signed)


def test_a_revoked_mark_that_nothing_leans_on_changes_no_answer(
    parties: Any, write: Any, model: Path, store: Store, shape: str
) -> None:
    gate = parties("gate", "key")
    policy = revoked(write, (gate,), SHAPE, "sha256:" + "9" * 64)
    assert pass_gate(str(model), policy=policy, store=store, signer=gate.signer).verdict.admitted


# --- how old a signature may be


def look(folder: Path, trusted: Any, **options: Any) -> list[str]:
    asked = checking.options_for(provenance, {"signers": ["it"], **options}, Setting(trust={"it": trusted}))
    return [one.rule for one in checking.run(provenance, open_artifact(folder), asked).findings]


def test_a_signature_that_is_too_old_and_one_whose_age_nobody_knows(tmp_path: Path, model: Path) -> None:
    fake = FakeSigstore()
    supplier = fake.trusted("it", publishers.github("acme/models"))
    draft = tmp_path / "draft"
    shutil.copytree(model, draft)
    fake.clock.advance(timedelta(days=-10))
    payload = signing.read(oms.sign(draft, KeySigner.generate())).envelope.payload
    (model / "model.sig").write_bytes(fake.seal(payload, tokens.github("acme/models")))
    assert look(model, supplier) == []
    assert look(model, supplier, max_signature_age="P11D") == []
    assert look(model, supplier, max_signature_age="P9D") == ["signature-too-old"]
    key = KeySigner.generate()
    (model / "model.sig").unlink()
    oms.write_signature(model, key)
    assert look(model, key.trusted("it")) == []
    assert look(model, key.trusted("it"), max_signature_age="P9D") == ["signature-too-old"]


def test_an_age_that_is_none(model: Path) -> None:
    for age in ("PT0S", "-P1D", "soon"):
        with pytest.raises(UsageError):
            look(model, KeySigner.generate().trusted(), max_signature_age=age)


# --- findings by their names


def test_each_refusal_of_a_certificate_or_an_identity_is_a_finding_of_its_own_name(tmp_path: Path, model: Path) -> None:
    now = datetime.now(timezone.utc).replace(microsecond=0)
    stale = ROOT.signer("CN=release", before=now - timedelta(days=9), after=now - timedelta(days=8))
    oms.write_signature(model, stale)
    assert look(model, ROOT.trusted("it", Subject(subject="CN=release"))) == ["certificate-expired"]
    (model / "model.sig").unlink()
    oms.write_signature(model, ROOT.signer("CN=intern"))
    assert look(model, ROOT.trusted("it", Subject(subject="CN=release"))) == ["certificate-subject"]
    fake = FakeSigstore()
    payload = signing.read((model / "model.sig").read_bytes()).envelope.payload
    (model / "model.sig").write_bytes(fake.seal(payload, tokens.github("evil/models")))
    assert look(model, fake.trusted("it", publishers.github("acme/models"))) == ["wrong-identity"]
    fake.faults.add(Fault.PROOF_WRONG)
    (model / "model.sig").write_bytes(fake.seal(payload, tokens.github("acme/models")))
    assert look(model, fake.trusted("it", publishers.github("acme/models"))) == ["inclusion-proof-invalid"]


# --- the gate's own signer, as the environment says


@pytest.fixture
def environment(fake: FakeSigstore, tmp_path: Path) -> dict[str, dict[str, str]]:
    written = fake.write(tmp_path / "env", tokens.github("acme/gate"))
    signer = ROOT.signer("CN=gate,O=Acme")
    signer.key.save(tmp_path / "env" / "gate.key")
    certificate = write_pem(tmp_path / "env" / "gate.pem", signer.chain)
    return {
        "key": {"PRATIQUE_KEY": str(tmp_path / "env" / "gate.key")},
        "certificate": {"PRATIQUE_KEY": str(tmp_path / "env" / "gate.key"), "PRATIQUE_CERTIFICATE": str(certificate)},
        "keyless": {
            "PRATIQUE_SIGNING_CONFIG": str(written.signing_config), "PRATIQUE_TRUSTED_ROOT": str(written.trusted_root),
            "PRATIQUE_TOKEN_FROM": str(written.token),
        },
    }  # fmt: skip


ENTRIES = {
    "key": "{own: true}",
    "certificate": '{certificate: roots.pem, subject: "CN=gate,O=Acme"}',
    "keyless": "{github: acme/gate, root: trusted_root.json}",
}


@each
def test_a_gate_signs_as_the_environment_says(
    method: str, environment: Any, parties: Any, write: Any, model: Path, store: Store, shape: str,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    for name, value in environment[method].items():
        monkeypatch.setenv(name, value)
    policy = write(Party("gate", method, KeySigner.generate(), ENTRIES[method]), rest=SHAPE)
    assert pass_gate(str(model), policy=policy, store=store).verdict.admitted
    done = promote(str(model), policy=policy, destination=str(tmp_path / "production"), store=store)
    assert read_channel(str(tmp_path / "production"), "production", [policy.trust["gate"]]).statement == done.clearance


def test_own_is_the_certificate_too_and_never_a_guess_about_an_identity(
    environment: Any, parties: Any, write: Any, model: Path, store: Store, shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Party("gate", "key", KeySigner.generate(), "{own: true}")
    with monkeypatch.context() as patched:
        for name, value in environment["certificate"].items():
            patched.setenv(name, value)
        policy = write(own, rest=SHAPE)
        assert policy.trust["gate"].method == "certificate"
        assert pass_gate(str(model), policy=policy, store=store).verdict.admitted
    for name, value in environment["keyless"].items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PolicyError, match="signs keyless"):
        write(own, rest=SHAPE)


def test_an_environment_that_says_two_things_at_once(environment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from pratique.signing.choosing import gate_signer

    for name, value in {**environment["keyless"], **environment["key"]}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="with a key and keyless"):
        gate_signer()
    monkeypatch.delenv("PRATIQUE_KEY")
    monkeypatch.delenv("PRATIQUE_SIGNING_CONFIG")
    with pytest.raises(UsageError, match="--signing-config"):
        gate_signer()


def test_a_key_that_is_not_there_is_not_made_where_none_is_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pratique.signing.choosing import gate_signer

    monkeypatch.setenv("PRATIQUE_KEY", str(tmp_path / "mistyped.key"))
    with pytest.raises(UsageError, match="cannot read the key"):
        gate_signer(make=False)
    assert not (tmp_path / "mistyped.key").exists()
