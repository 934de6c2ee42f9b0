"""Who is trusted, as a policy writes it: every kind of entry, every mistake with its line, and what was revoked."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pratique import documents, signing
from pratique.errors import PolicyError, Revoked, UsageError
from pratique.policies import Policy, explain, schema
from pratique.signing import INTOTO, KeySigner, Subject, entries, fingerprint, publishers
from pratique.signing.claims import actor
from pratique.testing.certificates import Authority, write_pem
from pratique.testing.sigstore import FakeSigstore, tokens
from pratique.trust import from_text

FAKE = FakeSigstore()
ROOT = Authority.root("Acme Root")
SIGNER = ROOT.signer("CN=release,O=Acme")
GATE = KeySigner.generate()

TRUST = """\
version: 1
trust:
  gate: {key: gate.pub}
  mine: {own: true}
  acme: {certificate: roots.pem, subject: "CN=release,O=Acme"}
  dev: {identity: dev@example.com, issuer: "https://i.example", root: trusted_root.json}
  hub: {github: acme/models, workflow: release.yml, ref: refs/heads/main, root: trusted_root.json}
  lab: {gitlab: acme/models, root: trusted_root.json}
  robot: {google: robot@acme.iam.gserviceaccount.com, root: trusted_root.json}
  post: {email: a@b.example, issuer: "https://i.example", root: trusted_root.json}
require:
  shape: {}
"""


@pytest.fixture
def folder(tmp_path: Path, shape: str) -> Path:
    (tmp_path / "gate.pub").write_bytes(GATE.trusted().pem)
    (tmp_path / "trusted_root.json").write_text(json.dumps(FAKE.trusted_root()))
    write_pem(tmp_path / "roots.pem", [ROOT.certificate])
    return tmp_path


def load(folder: Path, text: str) -> Policy:
    (folder / "policy.yaml").write_text(text)
    return Policy.load(folder / "policy.yaml")


def test_every_kind_of_entry_is_what_its_class_would_be(folder: Path) -> None:
    trust = load(folder, TRUST).trust
    expected = {
        "gate": GATE.trusted("gate"),
        "acme": ROOT.trusted("acme", Subject(subject="CN=release,O=Acme")),
        "dev": FAKE.trusted("dev", publishers.exact("dev@example.com", "https://i.example")),
        "hub": FAKE.trusted("hub", publishers.github("acme/models", workflow="release.yml", ref="refs/heads/main")),
        "lab": FAKE.trusted("lab", publishers.gitlab("acme/models")),
        "robot": FAKE.trusted("robot", publishers.google("robot@acme.iam.gserviceaccount.com")),
        "post": FAKE.trusted("post", publishers.email("a@b.example", "https://i.example")),
    }
    assert {name: trust[name].fingerprint for name in expected} == {name: one.fingerprint for name, one in expected.items()}
    assert {one.name for one in trust.values()} == set(trust)
    assert len({one.fingerprint for one in trust.values()}) == len(trust)


def test_the_digest_binds_what_is_behind_an_entry_and_not_what_it_is_called(folder: Path) -> None:
    text = TRUST + "evidence: {signers: [hub]}\n"
    before = load(folder, text).digest
    assert load(folder, text.replace("  hub:", "  center:").replace("[hub]", "[center]")).digest == before
    (folder / "trusted_root.json").rename(folder / "elsewhere.json")
    assert load(folder, text.replace("trusted_root", "elsewhere")).digest == before
    (folder / "trusted_root.json").write_text(json.dumps(FakeSigstore().trusted_root()))
    assert load(folder, text).digest != before
    assert load(folder, text.replace("ref: refs/heads/main, ", "").replace("trusted_root", "elsewhere")).digest != before


MISTAKES: dict[str, tuple[str, str, int, str]] = {
    "no kind at all": ("{key: gate.pub}", "{}", 3, "give one of `key`"),
    "an unknown kind": ("{key: gate.pub}", "{kee: gate.pub}", 3, "give one of `key`"),
    "two kinds": ("{key: gate.pub}", "{key: gate.pub, own: true}", 3, "unknown key 'own'"),
    "own, but not": ("{own: true}", "{own: false}", 4, "True"),
    "a certificate for anybody": (', subject: "CN=release,O=Acme"', "", 5, "names no subject"),
    "a subject that is none": ("CN=release,O=Acme", "release", 5, "not the subject of a certificate"),
    "roots that are not there": ("roots.pem", "none.pem", 5, "cannot read the certificates"),
    "roots that are a key": ("roots.pem", "gate.pub", 5, "no PEM certificates"),
    "an identity without an issuer": ('issuer: "https://i.example", root', "root", 6, "'issuer' is missing"),
    "an identity with an empty issuer": ('issuer: "https://i.example", root', 'issuer: "", root', 6, "at least 1 character"),
    "an empty identity": ("identity: dev@example.com", "identity: ''", 6, "at least 1 character"),
    "no root": ("ref: refs/heads/main, root: trusted_root.json", "ref: refs/heads/main", 7, "'root' is missing"),
    "a root that is not there": (
        "ref: refs/heads/main, root: trusted",
        "ref: refs/heads/main, root: none",
        7,
        "cannot read the",
    ),
    "a root that is none": ("main, root: trusted_root.json", "main, root: roots.pem", 7, "is not a trusted root"),
    "a typo in an option of a publisher": ("workflow:", "workflwo:", 7, "did you mean 'workflow'"),
    "a repository that is none": ("github: acme/models", "github: acme", 7, "does not name a repository"),
    "a pattern instead of a repository": ("gitlab: acme/models", "gitlab: acme/*", 8, "does not name a repository"),
    "an account that is none": ("robot@acme.iam.gserviceaccount.com", "robot", 9, "not a service account"),
    "an address that is none": ("email: a@b.example", "email: a", 10, "not an e-mail address"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_refused_with_its_line(folder: Path, name: str) -> None:
    right, wrong, line, says = MISTAKES[name]
    assert TRUST.count(right) >= 1
    with pytest.raises(PolicyError) as caught:
        load(folder, TRUST.replace(right, wrong, 1))
    assert (caught.value.line, says in caught.value.diagnostics()) == (line, True), caught.value.diagnostics()


def test_the_policy_in_sentences_says_who_is_trusted_and_what_is_revoked(folder: Path) -> None:
    said = "\n".join(explain(load(folder, TRUST + 'revoked: [{digest: "sha256:%s", reason: stolen}]\n' % ("a" * 64))))
    for words in (
        "certified by CN=Acme Root with subject CN=release,O=Acme", "dev@example.com by https://i.example",
        "GitHub Actions of acme/models, workflow release.yml, refs/heads/main", "GitLab CI of acme/models", "because stolen",
    ):  # fmt: skip
        assert words in said


def test_the_schema_knows_every_entry_and_no_other(folder: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    document = schema()
    jsonschema.Draft202012Validator.check_schema(document)
    good = yaml.safe_load(TRUST)
    jsonschema.validate(good, document)
    for bad in ({}, {"kee": "x"}, {"identity": "a", "root": "b"}, {"github": "a/b"}, {"own": False}, {"key": "a", "own": True}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**good, "trust": {"x": bad}}, document)


# --- one entry on its own, on a command line


def test_an_entry_on_a_command_line(folder: Path) -> None:
    assert from_text("gate.pub", folder).fingerprint == GATE.trusted().fingerprint
    hub = from_text("{github: acme/models, root: trusted_root.json}", folder)
    assert (hub.name, hub.fingerprint) == ("acme/models", FAKE.trusted("x", publishers.github("acme/models")).fingerprint)
    assert from_text('{"certificate": "roots.pem", "subject": "CN=release,O=Acme"}', folder).name == "roots"


@pytest.mark.parametrize(
    "text", ["none.pub", "{", "{}", "{a: b}", "{key: none}", "{key: [1]}", "{github: acme/models}", "{? [1] : 2}"]
)
def test_an_entry_that_is_none(folder: Path, text: str) -> None:
    with pytest.raises(UsageError):
        from_text(text, folder)


# --- revocations


def revoking(folder: Path, what: str, trust: str = TRUST) -> Policy:
    return load(folder, trust + f"revoked:\n  - {{{what}, reason: stolen}}\n")


def sign(name: str, payload: bytes = b"{}") -> bytes:
    if name == "gate":
        return signing.sign(payload, INTOTO, GATE)
    if name == "acme":
        return signing.sign(payload, INTOTO, SIGNER)
    return FAKE.seal(payload, tokens.github("acme/models"))


HUB = "https://github.com/acme/models/.github/workflows/release.yml@refs/heads/main"
REVOKED: dict[str, tuple[str, str]] = {
    "a key by its file": ("gate", "key: gate.pub"),
    "a key by its fingerprint": ("gate", f'digest: "{GATE.trusted().fingerprint}"'),
    "a signer's certificate by its file": ("acme", "certificate: leaf.pem"),
    "a certificate by its fingerprint": ("acme", f'digest: "{signing.authorities.fingerprint(SIGNER.chain[0])}"'),
    "an authority's certificate": ("acme", "certificate: roots.pem"),
    "the key of its authority": ("acme", f'digest: "{fingerprint(ROOT.certificate.public_key())}"'),
    "the key of its authority by its file": ("acme", "key: root.pub"),
    "the key of the authority behind an identity": ("hub", f'digest: "{fingerprint(FAKE.fulcio.chain[-1].public_key())}"'),
    "the statement": ("hub", f'digest: "{documents.sha256(b"{}")}"'),
    "a key behind a certificate": ("acme", f'digest: "{SIGNER.mark}"'),
    "an identity": ("hub", f'identity: "{HUB}", issuer: "{publishers.GITHUB}"'),
}


@pytest.mark.parametrize("name", REVOKED)
def test_a_signature_by_something_revoked(folder: Path, name: str) -> None:
    who, what = REVOKED[name]
    write_pem(folder / "leaf.pem", SIGNER.chain[:1])
    (folder / "root.pub").write_bytes(ROOT.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    bundle = sign(who)
    assert signing.verify(bundle, [load(folder, TRUST).trust[who]]).payload == b"{}"
    with pytest.raises(Revoked) as caught:
        signing.verify(bundle, [revoking(folder, what).trust[who]])
    assert caught.value.rule == "revoked"


def test_one_signature_is_revoked_and_the_others_by_the_same_key_are_not(folder: Path) -> None:
    bundle = sign("gate", b'{"a":1}')
    policy = revoking(folder, f'digest: "{signing.read(bundle).digest}"')
    with pytest.raises(Revoked):
        signing.verify(bundle, [policy.trust["gate"]])
    assert signing.verify(sign("gate", b'{"a":2}'), [policy.trust["gate"]])


def respelled(bundle: bytes) -> Iterator[bytes]:
    """The same statement and signature in a bundle of other bytes: what anybody can do who can write where it lies."""
    value = json.loads(bundle)
    yield json.dumps(value, indent=1).encode()
    yield json.dumps(dict(reversed(value.items()))).encode()
    value["verificationMaterial"]["publicKey"]["hint"] = "another"
    yield json.dumps(value).encode()
    value["dsseEnvelope"]["signatures"] *= 2
    yield json.dumps(value).encode()
    yield sign("gate", b'{"a":1}')  # signed once more


def test_a_revoked_statement_in_another_spelling(folder: Path) -> None:
    """The digest of a bundle names its bytes, which are no part of what was signed; the digest of the statement is."""
    bundle, other = sign("gate", b'{"a":1}'), sign("gate", b'{"a":2}')
    statement = documents.sha256(b'{"a":1}')
    policy = revoking(folder, f'digest: "{statement}"')
    for one in (bundle, *respelled(bundle)):
        assert signing.verify(one, [GATE.trusted("gate")]).payload == b'{"a":1}'
        with pytest.raises(Revoked):
            signing.verify(one, [policy.trust["gate"]])
    assert signing.verify(other, [policy.trust["gate"]]).payload == b'{"a":2}'


def test_an_authority_that_has_another_certificate_for_a_revoked_key(folder: Path) -> None:
    """Cross-signed, or renewed: whoever holds the key can still issue, whichever certificate of it is on the way up."""
    middle = ROOT.intermediate("Acme Signing")
    signer = middle.signer("CN=release,O=Acme")
    bundle = signing.sign(b"{}", INTOTO, signer)
    gone = fingerprint(middle.certificate.public_key())
    assert signing.verify(bundle, [load(folder, TRUST).trust["acme"]])
    with pytest.raises(Revoked):
        signing.verify(bundle, [revoking(folder, f'digest: "{gone}"').trust["acme"]])
    trusted = revoking(folder, f'digest: "{gone}"').trust["acme"]
    assert not signing.accepts(trusted, signer) and signing.accepts(load(folder, TRUST).trust["acme"], signer)


def test_a_revocation_counts_however_often_and_by_whomever_else_the_signer_is_listed(folder: Path) -> None:
    policy = revoking(folder, "key: gate.pub")
    plain = GATE.trusted("plain")
    for listed in ([policy.trust["gate"], plain], [plain, policy.trust["gate"]], [plain, policy.trust["acme"]]):
        with pytest.raises(Revoked):
            signing.verify(sign("gate"), listed)


def test_another_identity_or_issuer_is_not_revoked(folder: Path) -> None:
    for identity, issuer in ((HUB + "x", publishers.GITHUB), (HUB, "https://other.example")):
        policy = revoking(folder, f'identity: "{identity}", issuer: "{issuer}"')
        assert signing.verify(sign("hub"), [policy.trust["hub"]])


def test_a_revocation_makes_another_policy_and_its_reason_does_not(folder: Path) -> None:
    plain, revoked = load(folder, TRUST).digest, revoking(folder, "key: gate.pub").digest
    assert plain != revoked
    assert load(folder, TRUST + "revoked: [{key: gate.pub, reason: 'lost'}]\n").digest == revoked


@pytest.mark.parametrize(
    "what",
    [
        "reason: x", "key: gate.pub, digest: 'sha256:00'", "identity: x", "issuer: x", "digest: 'sha256:*'", "digest: x",
        "key: none.pub", "certificate: gate.pub", "key: gate.pub, certificate: roots.pem", "pattern: '*'",
        "key: gate.pub, reason: ''",
    ],
)  # fmt: skip
def test_a_revocation_that_is_not_in_order(folder: Path, what: str) -> None:
    text = TRUST + f"revoked:\n  - {{{what}{'' if 'reason' in what else ', reason: x'}}}\n"
    with pytest.raises(PolicyError) as caught:
        load(folder, text)
    assert caught.value.line >= 13


def test_a_gate_whose_key_is_revoked_is_told_at_once(folder: Path) -> None:
    policy = revoking(folder, "key: gate.pub")
    assert not signing.accepts(policy.trust["gate"], GATE)
    assert not signing.accepts(revoking(folder, "certificate: roots.pem").trust["acme"], SIGNER)


def test_a_renamed_entry_keeps_what_it_is(folder: Path) -> None:
    for one in load(folder, TRUST).trust.values():
        other = one.renamed("other", frozenset({"sha256:x"}))
        assert (other.name, other.fingerprint, other.revoked) == ("other", one.fingerprint, frozenset({"sha256:x"}))
        assert dataclasses.is_dataclass(other)


def test_every_rule_of_an_error_is_documented() -> None:
    """The table is what people read; the code must not know more than it."""
    import re

    found = set()
    for source in Path(signing.__file__).parent.glob("*.py"):
        found |= set(re.findall(r'rule="([a-z-]+)"', source.read_text()))
    assert found and found <= set(signing.RULES)


def test_the_mark_of_an_identity_is_the_actor_that_signs_as_it() -> None:
    (one,) = signing.verify(sign("hub"), [FAKE.trusted("hub", publishers.github("acme/models"))]).witnesses
    assert one.actor == actor(HUB, publishers.GITHUB)
    assert one.signed_at is not None and one.signed_at <= datetime.now(timezone.utc)


def test_the_kinds_are_told_apart_by_one_key_each() -> None:
    for kind in entries.KINDS:
        assert entries.kind_of({kind: "x"}) == kind
    assert entries.kind_of({"certificate": "x", "email": "y"}) == "certificate"
    assert entries.kind_of({"subject": "x"}) is None
