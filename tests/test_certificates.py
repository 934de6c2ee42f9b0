"""Signatures by certificate: the honest ones, and seven that the reference implementation lets through."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pratique import signing
from pratique.errors import CertificateRefused, EvidenceError, Malformed, NotLogged, SignatureInvalid, UsageError, WrongSigner
from pratique.signing import INTOTO, CertificateSigner, KeySigner, Subject, TrustedCertificate, authorities
from pratique.testing.certificates import SERVER_AUTH, Authority, write_pem
from pratique.testing.sigstore.tsa import TimestampAuthority

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=timezone.utc)
DAY, YEAR = timedelta(days=1), timedelta(days=365)
LONG_AGO = NOW - 10 * YEAR
FAR = NOW + 10 * YEAR
PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1"}'
ROOT = Authority.root("Acme Root", before=LONG_AGO, after=FAR)
BELOW = ROOT.intermediate("Acme Signing", before=LONG_AGO, after=FAR)
WHO = Subject(subject="CN=release,O=Acme")
TRUSTED = ROOT.trusted("acme", WHO)


def honest(**changes: Any) -> CertificateSigner:
    return BELOW.signer("CN=release,O=Acme", **{"before": NOW - YEAR, "after": NOW + YEAR, **changes})


def verify(signer: CertificateSigner, trusted: TrustedCertificate = TRUSTED, now: datetime = NOW) -> signing.Verified:
    return signing.verify(signing.sign(PAYLOAD, INTOTO, signer), [trusted], now=now)


def refused(signer: CertificateSigner, trusted: TrustedCertificate = TRUSTED, now: datetime = NOW) -> str:
    with pytest.raises(CertificateRefused) as caught:
        verify(signer, trusted, now)
    return caught.value.rule


# --- what holds


def test_an_honest_signature_holds_and_says_why() -> None:
    signer = honest()
    verified = verify(signer)
    (one,) = verified.witnesses
    assert (verified.payload, verified.signers, one.signed_at) == (PAYLOAD, {TRUSTED.fingerprint}, None)
    assert one.actor == signing.fingerprint(signer.public) == signer.mark
    assert all(word in "\n".join(one.steps) for word in ("CN=release,O=Acme", "Acme Root", "3 certificates", "signing code"))
    assert signing.accepts(TRUSTED, signer) == (datetime.now(timezone.utc) < NOW + YEAR)


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
def test_every_curve_of_the_format(curve: str) -> None:
    assert verify(honest(key=KeySigner.generate(curve))).payload == PAYLOAD


def test_the_chain_may_leave_out_the_root_and_come_in_any_order() -> None:
    assert verify(honest(with_root=False))
    signer = honest()
    leaf, below, root = signer.chain
    assert verify(CertificateSigner(key=signer.key, chain=(leaf, root, below)))


def test_an_intermediate_may_be_all_that_is_trusted() -> None:
    assert verify(honest(), TrustedCertificate(name="x", roots=(BELOW.certificate,), subject=WHO))


def test_the_order_of_a_subjects_parts_does_not_matter_and_their_number_does() -> None:
    assert verify(honest(), ROOT.trusted("acme", Subject(subject="O=Acme,CN=release")))
    for other in ("CN=release", "CN=release,O=Acme,O=Acme", "CN=release,O=Acme,OU=x", "CN=Release,O=Acme", "CN=release,O=Evil"):
        assert refused(honest(), ROOT.trusted("acme", Subject(subject=other))) == "certificate-subject"


NAMES = {
    "email": (x509.RFC822Name("release@acme.example"), "release@acme.example"),
    "uri": (x509.UniformResourceIdentifier("spiffe://acme.example/release"), "spiffe://acme.example/release"),
    "dns": (x509.DNSName("release.acme.example"), "release.acme.example"),
}


@pytest.mark.parametrize("kind", NAMES)
def test_a_name_beside_the_subject(kind: str) -> None:
    name, value = NAMES[kind]
    signer = honest(names=[name])
    assert verify(signer, ROOT.trusted("acme", Subject(**{kind: value})))
    assert verify(signer, ROOT.trusted("acme", Subject(subject="CN=release,O=Acme", **{kind: value})))
    assert refused(honest(), ROOT.trusted("acme", Subject(**{kind: value}))) == "certificate-subject"
    assert refused(signer, ROOT.trusted("acme", Subject(**{kind: value + "x"}))) == "certificate-subject"
    assert refused(signer, ROOT.trusted("acme", Subject(subject="CN=other", **{kind: value}))) == "certificate-subject"


def test_a_wildcard_in_a_certificate_stands_for_itself() -> None:
    signer = honest(names=[x509.DNSName("*.acme.example")])
    assert refused(signer, ROOT.trusted("acme", Subject(dns="release.acme.example"))) == "certificate-subject"


# --- the attacks: each passes the reference implementation 1.1.1


def test_a_certificate_that_expired_five_years_ago() -> None:
    signer = honest(before=NOW - 6 * YEAR, after=NOW - 5 * YEAR)
    assert refused(signer) == "certificate-expired"
    assert verify(signer, now=NOW - 5 * YEAR - DAY)


def test_a_certificate_that_is_not_valid_yet() -> None:
    signer = honest(before=NOW + DAY, after=NOW + YEAR)
    assert refused(signer) == "certificate-not-yet-valid"
    assert verify(signer, now=NOW + 2 * DAY)


def test_the_first_and_the_last_moment_are_valid() -> None:
    signer = honest(before=NOW, after=NOW)
    assert verify(signer)
    assert refused(signer, now=NOW + timedelta(seconds=1)) == "certificate-expired"
    assert refused(signer, now=NOW - timedelta(seconds=1)) == "certificate-not-yet-valid"


def test_an_authority_that_has_expired() -> None:
    root = Authority.root("Old Root", before=LONG_AGO, after=NOW - DAY)
    assert refused(root.signer("CN=release", before=LONG_AGO, after=FAR), root.trusted("x", Subject(subject="CN=release"))) == (
        "certificate-expired"
    )
    below = ROOT.intermediate("Old Signing", before=LONG_AGO, after=NOW - DAY)
    assert refused(below.signer("CN=release,O=Acme", before=LONG_AGO, after=FAR)) == "certificate-expired"


def test_a_certificate_for_servers() -> None:
    assert refused(honest(purposes=[SERVER_AUTH])) == "certificate-purpose"
    assert refused(honest(purposes=[])) == "certificate-purpose"
    assert refused(honest(usage=[])) == "certificate-purpose"
    assert refused(honest(usage=["key_agreement"])) == "certificate-purpose"


def test_an_authoritys_certificate_as_the_signers() -> None:
    assert refused(honest(ca=True)) == "certificate-authority-signed"
    assert refused(honest(usage=["digital_signature", "key_cert_sign"])) == "certificate-authority-signed"


def test_the_intermediate_authority_itself_signs() -> None:
    signer = CertificateSigner(key=KeySigner(BELOW.key), chain=(BELOW.certificate, ROOT.certificate))
    assert refused(signer) == "certificate-authority-signed"


def test_somebody_else_whom_the_same_authority_certifies() -> None:
    signer = BELOW.signer("CN=intern,O=Acme", before=NOW - DAY, after=NOW + DAY)
    assert refused(signer) == "certificate-subject"


def test_no_root_is_no_fallback_to_the_systems_roots(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no root certificate"):
        TrustedCertificate(name="x", roots=(), subject=WHO)
    (tmp_path / "empty.pem").write_bytes(b"")
    with pytest.raises(UsageError, match="no PEM certificates"):
        TrustedCertificate.load("x", tmp_path / "empty.pem", WHO)


def test_no_subject_would_be_anybody() -> None:
    with pytest.raises(UsageError, match="names no subject"):
        ROOT.trusted("acme", Subject())


# --- and more


def test_a_strangers_authority_of_the_same_name() -> None:
    root = Authority.root("Acme Root", before=LONG_AGO, after=FAR)
    signer = root.intermediate("Acme Signing", before=LONG_AGO, after=FAR).signer("CN=release,O=Acme")
    assert refused(signer) == "certificate-untrusted"


def test_the_honest_chain_behind_a_strangers_certificate() -> None:
    stranger = Authority.root("Acme Signing", before=LONG_AGO, after=FAR).signer("CN=release,O=Acme")
    signer = CertificateSigner(key=stranger.key, chain=(stranger.chain[0], *honest().chain[1:]))
    assert refused(signer) == "certificate-untrusted"


def test_a_signer_certifies_another_signer() -> None:
    """A certificate that is no authority's stands in the middle of the path."""
    middle = honest()
    fake_authority = Authority(key=middle.key.private, certificate=middle.chain[0], above=middle.chain[1:])
    signer = fake_authority.signer("CN=release,O=Acme", before=NOW - DAY, after=NOW + DAY)
    assert refused(signer) == "certificate-untrusted"


def test_an_authority_that_may_have_none_below_it() -> None:
    narrow = ROOT.intermediate("Narrow", before=LONG_AGO, after=FAR, path_length=0)
    assert verify(narrow.signer("CN=release,O=Acme", before=NOW - DAY, after=NOW + DAY))
    deeper = narrow.intermediate("Deeper", before=LONG_AGO, after=FAR)
    assert refused(deeper.signer("CN=release,O=Acme", before=NOW - DAY, after=NOW + DAY)) == "certificate-untrusted"


def test_an_authority_for_servers_alone() -> None:
    below = ROOT.intermediate("TLS", before=LONG_AGO, after=FAR, purposes=[SERVER_AUTH])
    assert refused(below.signer("CN=release,O=Acme", before=NOW - DAY, after=NOW + DAY)) == "certificate-untrusted"


@pytest.mark.parametrize("critical", [True, False])
def test_an_authority_whose_names_are_narrowed(critical: bool) -> None:
    """Name constraints are not weighed here; to pass over them would be to widen them."""
    narrowing = x509.NameConstraints([x509.DNSName("acme.example")], None)
    below = ROOT.intermediate("Narrowed", before=LONG_AGO, after=FAR, extensions=[(narrowing, critical)])
    assert refused(below.signer("CN=release,O=Acme", before=NOW - DAY, after=NOW + DAY)) == "certificate-untrusted"


def test_a_critical_extension_that_nobody_understands() -> None:
    strange = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    assert refused(honest(extensions=[(strange, True)])) == "certificate-not-understood"
    assert verify(honest(extensions=[(strange, False)]))


def test_a_loop_of_authorities_ends() -> None:
    first, second = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    from pratique.testing.certificates import certify

    names = [x509.Name.from_rfc4514_string(f"CN={one}") for one in ("a", "b")]
    span = (LONG_AGO, FAR)
    a = certify(first.public_key(), names[0], names[1], second, span, usage=("key_cert_sign",), ca=(None,))
    b = certify(second.public_key(), names[1], names[0], first, span, usage=("key_cert_sign",), ca=(None,))
    leaf = Authority(key=first, certificate=a, above=(b,)).signer("CN=release,O=Acme", before=NOW - DAY, after=NOW + DAY)
    assert refused(leaf) == "certificate-untrusted"


def test_a_heap_of_certificates_costs_little() -> None:
    """Authorities that all have one name and one key: every one could stand above every other."""
    same = [ROOT.intermediate("Acme Signing", before=LONG_AGO, after=FAR).certificate for _ in range(9)]
    signer = honest()
    with pytest.raises(EvidenceError):
        verify(CertificateSigner(key=signer.key, chain=(signer.chain[0], *same, *same)))
    assert verify(CertificateSigner(key=signer.key, chain=(signer.chain[0], *same[:7], BELOW.certificate)))


def test_weak_keys_and_weak_digests_of_authorities() -> None:
    weak = rsa.generate_private_key(65537, 1024)
    name = x509.Name.from_rfc4514_string("CN=Weak")
    builder = x509.CertificateBuilder(name, name, weak.public_key(), 1, LONG_AGO, FAR)
    root = builder.add_extension(x509.BasicConstraints(True, None), True).sign(weak, hashes.SHA256())
    key = KeySigner.generate()
    leaf = _leaf(key.public, name).sign(weak, hashes.SHA256())
    signer = CertificateSigner(key=key, chain=(leaf, root))
    assert refused(signer, TrustedCertificate(name="x", roots=(root,), subject=WHO)) == "certificate-untrusted"
    strong = rsa.generate_private_key(65537, 2048)
    builder = x509.CertificateBuilder(name, name, strong.public_key(), 1, LONG_AGO, FAR)
    root = builder.add_extension(x509.BasicConstraints(True, None), True).sign(strong, hashes.SHA256())
    trusted = TrustedCertificate(name="x", roots=(root,), subject=WHO)
    assert verify(CertificateSigner(key=key, chain=(_leaf(key.public, name).sign(strong, hashes.SHA256()), root)), trusted)
    old = CertificateSigner(key=key, chain=(_leaf(key.public, name).sign(strong, hashes.SHA224()), root))
    assert refused(old, trusted) == "certificate-untrusted"


def _leaf(key: Any, issuer: x509.Name) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    return (
        x509.CertificateBuilder(issuer, x509.Name.from_rfc4514_string("CN=release,O=Acme"), key, 2, NOW - DAY, NOW + DAY)
        .add_extension(x509.BasicConstraints(False, None), True)
        .add_extension(usage, True)
        .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CODE_SIGNING]), False)
    )


def test_an_rsa_key_in_the_signers_certificate() -> None:
    key = rsa.generate_private_key(65537, 2048)
    leaf = _leaf(key.public_key(), BELOW.certificate.subject)
    bundle = _with_chain([leaf.sign(BELOW.key, hashes.SHA256()), BELOW.certificate])
    with pytest.raises(CertificateRefused, match="P-256, P-384 or P-521"):
        signing.verify(bundle, [TRUSTED], now=NOW)


def _with_chain(chain: list[x509.Certificate]) -> bytes:
    value = json.loads(signing.sign(PAYLOAD, INTOTO, honest()))
    raw = [{"rawBytes": base64.b64encode(one.public_bytes(serialization.Encoding.DER)).decode()} for one in chain]
    value["verificationMaterial"]["x509CertificateChain"]["certificates"] = raw
    return json.dumps(value).encode()


# --- the bundle was changed


def test_a_changed_payload() -> None:
    value = json.loads(signing.sign(PAYLOAD, INTOTO, honest()))
    value["dsseEnvelope"]["payload"] = base64.b64encode(PAYLOAD + b" ").decode()
    with pytest.raises(SignatureInvalid, match="was changed"):
        signing.verify(json.dumps(value).encode(), [TRUSTED], now=NOW)


MANGLED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no certificate": lambda material: material["x509CertificateChain"].update(certificates=[]),
    "eleven certificates": lambda material: material["x509CertificateChain"].update(
        certificates=material["x509CertificateChain"]["certificates"][:1] * 11
    ),
    "something that is no certificate": lambda material: material["x509CertificateChain"]["certificates"][0].update(
        rawBytes="AAAA"
    ),
    "a certificate cut short": lambda material: material["x509CertificateChain"]["certificates"][0].update(
        rawBytes=material["x509CertificateChain"]["certificates"][0]["rawBytes"][:400]
    ),
    "a public key beside it": lambda material: material.update(publicKey={"hint": "x"}),
    "a keyless certificate beside it": lambda material: material.update(
        certificate=material["x509CertificateChain"]["certificates"][0]
    ),
    "no method at all": lambda material: material.pop("x509CertificateChain"),
}


@pytest.mark.parametrize("name", MANGLED)
def test_a_malformed_bundle(name: str) -> None:
    value = json.loads(signing.sign(PAYLOAD, INTOTO, honest()))
    MANGLED[name](value["verificationMaterial"])
    with pytest.raises(Malformed):
        signing.verify(json.dumps(value).encode(), [TRUSTED], now=NOW)


def test_a_second_signature_by_a_stranger() -> None:
    value = json.loads(signing.sign(PAYLOAD, INTOTO, honest()))
    other = json.loads(signing.sign(PAYLOAD, INTOTO, KeySigner.generate()))
    value["dsseEnvelope"]["signatures"] += other["dsseEnvelope"]["signatures"]
    with pytest.raises(SignatureInvalid):
        signing.verify(json.dumps(value).encode(), [TRUSTED], now=NOW)


def test_a_bundle_by_key_is_none_by_certificate_and_the_reverse() -> None:
    signer = honest()
    with pytest.raises(WrongSigner, match="signed by a key"):
        signing.verify(signing.sign(PAYLOAD, INTOTO, signer.key), [TRUSTED], now=NOW)
    with pytest.raises(WrongSigner, match="signed by a certificate"):
        signing.verify(signing.sign(PAYLOAD, INTOTO, signer), [signer.key.trusted()], now=NOW)


def test_a_certificate_that_writes_to_our_terminal() -> None:
    signer = BELOW.signer("CN=\x1b[2K trusted by acme", before=NOW - DAY, after=NOW + DAY)
    with pytest.raises(CertificateRefused) as caught:
        verify(signer)
    assert "\x1b" not in str(caught.value)
    assert "\x1b" not in signing.claimed(signing.read(signing.sign(PAYLOAD, INTOTO, signer)))


def test_the_most_telling_reason_is_told_whatever_the_order() -> None:
    stale = honest(before=NOW - 6 * YEAR, after=NOW - 5 * YEAR)
    stranger = Authority.root("Other").trusted("other", WHO)
    for trusted in ([TRUSTED, stranger], [stranger, TRUSTED]):
        with pytest.raises(CertificateRefused) as caught:
            signing.verify(signing.sign(PAYLOAD, INTOTO, stale), trusted, now=NOW)
        assert caught.value.rule == "certificate-expired"


# --- a key that is trusted in two ways has one vote


def test_one_key_listed_as_a_key_and_as_a_certificate_has_one_vote() -> None:
    signer = honest()
    trusted = [TRUSTED, signer.key.trusted("the same key")]
    one = signing.verify(signing.sign(PAYLOAD, INTOTO, signer), trusted, now=NOW)
    two = signing.verify(signing.sign(PAYLOAD, INTOTO, signer.key), trusted, now=NOW)
    assert one.signers.isdisjoint(two.signers)
    assert signing.votes((each.fingerprint, each.actor) for each in (*one.witnesses, *two.witnesses)) == 1


def test_two_keys_certified_under_one_name_have_one_vote() -> None:
    both = [witness for signer in (honest(), honest()) for witness in verify(signer).witnesses]
    assert len({one.actor for one in both}) == 2
    assert signing.votes((one.fingerprint, one.actor) for one in both) == 1


# --- timestamps


@pytest.fixture
def stamped() -> Callable[..., bytes]:
    def make(signer: CertificateSigner, tsa: TimestampAuthority, *, over: bytes | None = None) -> bytes:
        value = json.loads(signing.sign(PAYLOAD, INTOTO, signer))
        signature = base64.b64decode(value["dsseEnvelope"]["signatures"][0]["sig"])
        response = base64.b64encode(tsa.stamp(signature if over is None else over)).decode()
        value["verificationMaterial"]["timestampVerificationData"] = {"rfc3161Timestamps": [{"signedTimestamp": response}]}
        return json.dumps(value).encode()

    return make


def with_timestamps(tsa: TimestampAuthority) -> TrustedCertificate:
    return TrustedCertificate(name="acme", roots=(ROOT.certificate,), subject=WHO, timestamps=tsa.chain)


def authority(at: datetime) -> TimestampAuthority:
    return TimestampAuthority(clock=lambda: at, faults=(), start=LONG_AGO + YEAR)


def test_a_timestamp_lets_a_signature_outlive_its_certificate(stamped: Any) -> None:
    then = NOW - 5 * YEAR
    signer, tsa = honest(before=then - DAY, after=then + DAY), authority(then)
    (one,) = signing.verify(stamped(signer, tsa), [with_timestamps(tsa)], now=NOW).witnesses
    assert (one.signed_at, "by a timestamp" in "\n".join(one.steps)) == (then, True)
    assert refused(signer) == "certificate-expired"


def test_a_timestamp_from_after_the_certificate_had_expired(stamped: Any) -> None:
    then = NOW - 5 * YEAR
    tsa = authority(then + 2 * DAY)
    with pytest.raises(CertificateRefused) as caught:
        signing.verify(stamped(honest(before=then - DAY, after=then + DAY), tsa), [with_timestamps(tsa)], now=NOW)
    assert caught.value.rule == "certificate-expired"


def test_no_timestamp_where_one_is_asked_for() -> None:
    with pytest.raises(NotLogged) as caught:
        verify(honest(), with_timestamps(authority(NOW)))  # type: ignore[arg-type]
    assert caught.value.rule == "no-timestamp"


def test_a_timestamp_that_does_not_hold(stamped: Any) -> None:
    tsa, stranger = authority(NOW), authority(NOW)
    future = authority(NOW + DAY)
    for bundle, trusted in (
        (stamped(honest(), stranger), with_timestamps(tsa)),
        (stamped(honest(), tsa, over=b"another signature"), with_timestamps(tsa)),
        (stamped(honest(), future), with_timestamps(future)),
    ):
        with pytest.raises(NotLogged) as caught:
            signing.verify(bundle, [trusted], now=NOW)
        assert caught.value.rule == "timestamp-invalid"


# --- whom to trust, and files


def test_what_is_trusted_has_one_name_whatever_it_is_called() -> None:
    assert ROOT.trusted("a", WHO).fingerprint == ROOT.trusted("b", WHO).fingerprint
    others = {
        ROOT.trusted("a", WHO).fingerprint,
        ROOT.trusted("a", Subject(subject="CN=other")).fingerprint,
        Authority.root("Acme Root").trusted("a", WHO).fingerprint,
        TrustedCertificate(name="a", roots=(ROOT.certificate,), subject=WHO, timestamps=(ROOT.certificate,)).fingerprint,
        TrustedCertificate.unsafe_anybody("a", [ROOT.certificate]).fingerprint,
    }
    assert len(others) == 5


def test_a_signers_certificate_listed_as_an_authority() -> None:
    with pytest.raises(UsageError, match="not an authority's certificate"):
        TrustedCertificate(name="x", roots=(honest().chain[0],), subject=WHO)


@pytest.mark.parametrize("subject", ["release", "CN", "CN=a,,", "=x"])
def test_a_subject_that_is_none(subject: str) -> None:
    with pytest.raises(UsageError, match="not the subject of a certificate"):
        Subject(subject=subject)


def test_a_signer_from_files(tmp_path: Path) -> None:
    signer = honest()
    signer.key.save(tmp_path / "release.key")
    leaf = write_pem(tmp_path / "release.pem", signer.chain[:1])
    above = write_pem(tmp_path / "above.pem", signer.chain[1:])
    loaded = CertificateSigner.load(tmp_path / "release.key", leaf, [above])
    assert verify(loaded).payload == PAYLOAD
    write_pem(tmp_path / "root.pem", [ROOT.certificate])
    assert TrustedCertificate.load("acme", tmp_path / "root.pem", WHO).fingerprint == TRUSTED.fingerprint
    KeySigner.generate().save(tmp_path / "other.key")
    with pytest.raises(UsageError, match="belongs to another key"):
        CertificateSigner.load(tmp_path / "other.key", leaf)


def test_a_signer_trusts_itself_by_its_own_chain() -> None:
    signer = honest()
    assert verify(signer, signer.trusted("own")).signers == {signer.trusted("again").fingerprint}
    assert not signing.accepts(KeySigner.generate().trusted(), signer)


# --- the profile of the format, for conformance tests


def test_as_the_format_has_it_an_authoritys_certificate_will_do_and_a_self_signed_one() -> None:
    anybody = TrustedCertificate.unsafe_anybody("oms", [ROOT.certificate])
    assert verify(honest(ca=True), anybody)
    assert verify(honest(purposes=[]), anybody)
    assert refused(honest(after=NOW - DAY), anybody) == "certificate-expired"
    assert refused(honest(usage=["key_agreement"], purposes=[SERVER_AUTH]), anybody) == "certificate-purpose"
    stranger = Authority.root("Other").signer("CN=release,O=Acme")
    assert refused(stranger, anybody) == "certificate-untrusted"


def test_certificates_in_words_have_no_end_of_their_own() -> None:
    signer = BELOW.signer("CN=" + "x" * 64, before=NOW - DAY, after=NOW + DAY)
    assert len(authorities.words(signer.chain[0])) < 400
