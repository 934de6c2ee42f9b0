"""Publishers by what their certificates claim: each kind, and everything that is nearly it."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography import x509

from pratique.errors import CertificateRefused, UsageError
from pratique.signing import KeySigner, publishers
from pratique.signing.claims import Claims
from pratique.testing.certificates import Authority
from pratique.testing.sigstore import FakeSigstore, tokens

FAKE = FakeSigstore()
_ARC = "1.3.6.1.4.1.57264.1."


def claims(token: tokens.Claims) -> Claims:
    return Claims.of(FAKE.fulcio.issue(KeySigner.generate().public, token))


def holds(publisher: publishers.Publisher, token: tokens.Claims) -> bool:
    try:
        publisher.ensure(claims(token), "it")
    except CertificateRefused as error:
        assert error.rule == "wrong-identity"
        return False
    return True


def test_github_asks_for_what_is_written_and_for_nothing_else() -> None:
    token = tokens.github("acme/models", "release.yml", "refs/tags/v1")
    for asked in (
        {}, {"workflow": "release.yml"}, {"ref": "refs/tags/v1"}, {"runner": "github-hosted"}, {"owner_id": "11"},
        {"repository_id": "1001"}, {"workflow": "release.yml", "ref": "refs/tags/v1", "owner_id": "11"},
    ):  # fmt: skip
        assert holds(publishers.github("acme/models", **asked), token)
    for asked in (
        {"workflow": "release.yaml"}, {"workflow": "release"}, {"ref": "refs/tags/v"}, {"ref": "refs/tags/v1x"},
        {"runner": "self-hosted"}, {"owner_id": "1"}, {"repository_id": "100"},
    ):  # fmt: skip
        assert not holds(publishers.github("acme/models", **asked), token)
    for repository in ("acme/model", "acme/models2", "Acme/models", "evil/acme/models"):
        assert not holds(publishers.github(repository), token)


@pytest.mark.parametrize(("make", "token"), [(publishers.github, tokens.github), (publishers.gitlab, tokens.gitlab)])
def test_a_job_outside_of_the_environment_that_reviewers_guard(make: Any, token: Any) -> None:
    guarded = make("acme/models", environment="release")
    assert holds(guarded, token("acme/models", environment="release"))
    assert not holds(guarded, token("acme/models", environment="staging"))
    assert not holds(guarded, token("acme/models"))
    assert holds(make("acme/models"), token("acme/models", environment="release"))


def test_a_repository_whose_name_was_taken_over_has_another_number() -> None:
    token = tokens.github("acme/models", repository_owner_id="666")
    assert holds(publishers.github("acme/models"), token)
    assert not holds(publishers.github("acme/models", owner_id="11"), token)


def test_a_workflow_of_another_repository_that_this_one_calls() -> None:
    """The certificate's identity is then the called workflow's; the repository is still the one that ran it."""
    shared = "acme/shared/.github/workflows/build.yml@refs/heads/main"
    token = tokens.github("acme/models", job_workflow_ref=shared)
    assert holds(publishers.github("acme/models", workflow="release.yml"), token)
    assert holds(publishers.exact(f"https://github.com/{shared}", publishers.GITHUB), token)
    assert not holds(publishers.github("acme/shared"), token)


def test_gitlab() -> None:
    token = tokens.gitlab("acme/ml/models", ref="refs/heads/main")
    assert holds(publishers.gitlab("acme/ml/models"), token)
    assert holds(publishers.gitlab("acme/ml/models", config=".gitlab-ci.yml", ref="refs/heads/main"), token)
    assert not holds(publishers.gitlab("acme/models"), token)
    assert not holds(publishers.gitlab("acme/ml/models", config="other.yml"), token)
    assert not holds(publishers.gitlab("acme/ml/models", ref="refs/heads/x"), token)
    assert not holds(publishers.gitlab("acme/ml/models", host="https://gitlab.example"), token)
    assert not holds(publishers.github("acme/models"), token)


def test_google_and_mail() -> None:
    account = "trainer@acme.iam.gserviceaccount.com"
    assert holds(publishers.google(account), tokens.email(account))
    assert not holds(publishers.google(account), tokens.email(account, "https://github.com/login/oauth"))
    assert holds(
        publishers.email("dev@acme.example", "https://i.example"), tokens.email("dev@acme.example", "https://i.example")
    )
    assert not holds(publishers.email("dev@acme.example", "https://i.example"), tokens.email("dev@acme.example"))


def test_a_uri_that_looks_like_an_address_is_compared_whole() -> None:
    assert holds(publishers.exact("spiffe://acme/ci", "https://i.example"), tokens.uri("spiffe://acme/ci", "https://i.example"))
    assert not holds(
        publishers.exact("spiffe://acme", "https://i.example"), tokens.uri("spiffe://acme/ci", "https://i.example")
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: publishers.github("acme"), lambda: publishers.github(""), lambda: publishers.github("acme/*/"),
        lambda: publishers.github("acme/models", issuer=""), lambda: publishers.gitlab("models"),
        lambda: publishers.gitlab("acme/models", host=""), lambda: publishers.google("nobody"),
        lambda: publishers.email("nobody", "https://i.example"), lambda: publishers.email("a@b", ""),
        lambda: publishers.Publisher(claims={"issuer": "x"}, words="x"), lambda: publishers.Publisher(claims={}, words=""),
    ],
)  # fmt: skip
def test_what_would_be_anybody_is_refused(make: Any) -> None:
    with pytest.raises(UsageError):
        make()


# --- what a certificate claims


def extended(*extensions: tuple[str, bytes], names: list[x509.GeneralName] | None = None) -> x509.Certificate:
    values = [(x509.UnrecognizedExtension(x509.ObjectIdentifier(_ARC + oid), value), False) for oid, value in extensions]
    mail = [x509.RFC822Name("a@b.example")]
    return Authority.root("x").signer("CN=x", names=mail if names is None else names, extensions=values).chain[0]


def utf8(text: str) -> bytes:
    data = text.encode()
    size = bytes([len(data)]) if len(data) < 128 else b"\x81" + bytes([len(data)])
    return b"\x0c" + size + data


def test_the_older_form_of_an_issuer_will_do_and_both_must_agree() -> None:
    assert Claims.of(extended(("1", b"https://i.example"))).issuer == "https://i.example"
    assert Claims.of(extended(("8", utf8("https://i.example")), ("1", b"https://i.example"))).issuer == "https://i.example"
    assert Claims.of(extended(("8", utf8("https://" + "i" * 180)))).issuer == "https://" + "i" * 180
    with pytest.raises(CertificateRefused, match="two issuers"):
        Claims.of(extended(("8", utf8("https://i.example")), ("1", b"https://other.example")))


@pytest.mark.parametrize(
    "value", [b"", b"\x0c", b"\x0c\x05abc", b"\x0c\x02abc", b"\x04\x03abc", b"\x0c\x02\xff\xfe", b"\x0c\x84\x00", b"plain"]
)
def test_a_claim_that_is_not_in_order(value: bytes) -> None:
    with pytest.raises(CertificateRefused) as caught:
        Claims.of(extended(("8", value)))
    assert caught.value.rule == "certificate-claims"


def test_not_exactly_one_identity() -> None:
    for names in (
        [], [x509.RFC822Name("a@b.example"), x509.RFC822Name("c@d.example")], [x509.DNSName("b.example")],
        [x509.RFC822Name("a@b.example"), x509.DNSName("b.example")],
    ):  # fmt: skip
        with pytest.raises(CertificateRefused) as caught:
            Claims.of(extended(("8", utf8("https://i.example")), names=names))
        assert caught.value.rule == "certificate-claims"
