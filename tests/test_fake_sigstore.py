"""The fake Sigstore, asked by sigstore's own client over HTTP; and what our signer says when a service fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pratique import signing
from pratique.errors import ServiceError, UsageError
from pratique.signing import INTOTO, SigstoreSigner, publishers, token_from
from pratique.testing.sigstore import FakeSigstore, Fault, tokens
from pratique.testing.sigstore.merkle import Tree

ACME = tokens.github("acme/models")
WHO = publishers.github("acme/models")
PAYLOAD = json.dumps(
    {
        "_type": "https://in-toto.io/Statement/v1", "subject": [{"name": "m", "digest": {"sha256": "ab" * 32}}],
        "predicateType": "https://example.com/said/v1", "predicate": {},
    }
).encode()  # fmt: skip


@pytest.fixture
def fake() -> Iterator[FakeSigstore]:
    with FakeSigstore() as running:
        yield running


@pytest.mark.parametrize("version", [1, 2])
def test_the_real_client_signs_and_both_verifiers_accept(fake: FakeSigstore, tmp_path: Path, version: Any) -> None:
    signer = fake.signer(ACME, tmp_path, version=version)
    supplier = fake.trusted("supplier", WHO)
    bundle = signing.sign(PAYLOAD, INTOTO, signer)
    verified = signing.verify(bundle, [supplier])
    assert (verified.payload, verified.actors) == (PAYLOAD, {signer.mark})
    assert signing.accepts(supplier, signer)
    assert not signing.accepts(fake.trusted("other", publishers.github("acme/other")), signer)
    assert signing.verify(bundle, [signer.trusted()]).signers == {signing.trust_in(signer, "me").fingerprint}


def test_one_certificate_serves_several_statements(fake: FakeSigstore, tmp_path: Path) -> None:
    signer = fake.signer(ACME, tmp_path)
    first, second = (signing.read(signing.sign(PAYLOAD, INTOTO, signer)) for _ in range(2))
    assert first.chain == second.chain
    assert first.raw != second.raw


@pytest.mark.parametrize(
    ("claims", "publisher"),
    [
        (tokens.email("dev@example.com"), publishers.email("dev@example.com", "https://accounts.google.com")),
        (tokens.gitlab("acme/models"), publishers.gitlab("acme/models")),
        (tokens.uri("spiffe://acme/ci", "https://i.example"), publishers.exact("spiffe://acme/ci", "https://i.example")),
    ],
)
def test_every_kind_of_publisher_signs(fake: FakeSigstore, tmp_path: Path, claims: Any, publisher: Any) -> None:
    bundle = signing.sign(PAYLOAD, INTOTO, fake.signer(claims, tmp_path))
    assert signing.verify(bundle, [fake.trusted("x", publisher)]).payload == PAYLOAD


@pytest.mark.parametrize("fault", [one for one in Fault if one is not Fault.PROMISE_WRONG])
def test_nothing_that_would_not_hold_leaves_the_signer(fake: FakeSigstore, tmp_path: Path, fault: Fault) -> None:
    fake.faults.add(fault)
    with pytest.raises((ServiceError, UsageError)):
        signing.sign(PAYLOAD, INTOTO, fake.signer(ACME, tmp_path))


def test_a_wrong_promise_of_the_first_generation_does_not_leave_either(fake: FakeSigstore, tmp_path: Path) -> None:
    fake.faults.add(Fault.PROMISE_WRONG)
    with pytest.raises(ServiceError, match="does not hold"):
        signing.sign(PAYLOAD, INTOTO, fake.signer(ACME, tmp_path, version=1))


def test_a_service_that_is_down_may_be_tried_again(fake: FakeSigstore, tmp_path: Path) -> None:
    signer = fake.signer(ACME, tmp_path)
    for fault in (Fault.FULCIO_DOWN, Fault.REKOR_DOWN, Fault.TSA_DOWN):
        fake.faults.add(fault)
        with pytest.raises(ServiceError) as caught:
            signing.sign(PAYLOAD, INTOTO, signer)
        assert caught.value.retryable
        fake.faults.clear()
    assert signing.sign(PAYLOAD, INTOTO, signer)


def test_a_trusted_root_that_is_not_that_of_the_services(fake: FakeSigstore, tmp_path: Path) -> None:
    written, other = fake.write(tmp_path / "a", ACME), FakeSigstore().write(tmp_path / "b")
    signer = SigstoreSigner.load(written.signing_config, other.trusted_root, token_from(written.token))
    with pytest.raises(ServiceError):
        signing.sign(PAYLOAD, INTOTO, signer)


def test_only_statements_are_signed(fake: FakeSigstore, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="only in-toto statements"):
        signing.sign(b"hello", "text/plain", fake.signer(ACME, tmp_path))


# --- tokens


def test_a_token_from_a_file_and_from_the_environment(
    fake: FakeSigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = fake.write(tmp_path, ACME)
    assert token_from(written.token)() == written.token.read_text()
    with pytest.raises(UsageError, match="no identity token in PRATIQUE_IDENTITY_TOKEN"):
        token_from("env")()
    monkeypatch.setenv("PRATIQUE_IDENTITY_TOKEN", "abc")
    assert token_from("env")() == "abc"
    with pytest.raises(UsageError, match="cannot read the identity token"):
        token_from(tmp_path / "none")()


def test_a_platform_that_gives_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", "BUILDKITE", "CIRCLECI", "SIGSTORE_ID_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="gives no identity token"):
        token_from("ambient")()


def test_a_token_that_is_none_or_is_forged_or_expired(fake: FakeSigstore, tmp_path: Path) -> None:
    written = fake.write(tmp_path, ACME)
    good = fake.token(ACME)
    forged = FakeSigstore().token(ACME)
    for token in ("", "x", "a.b.c", good[:-8] + "AAAAAAAA", forged, fake.token(ACME, minutes=-1)):
        signer = SigstoreSigner.load(written.signing_config, written.trusted_root, token=lambda token=token: token)  # type: ignore[misc]
        with pytest.raises((ServiceError, UsageError)) as caught:
            signing.sign(PAYLOAD, INTOTO, signer)
        assert not token or token not in str(caught.value)


def test_files_that_are_not_in_order(fake: FakeSigstore, tmp_path: Path) -> None:
    written = fake.write(tmp_path, ACME)
    with pytest.raises(UsageError, match="cannot read the signing configuration"):
        SigstoreSigner.load(tmp_path / "none", written.trusted_root, token_from(written.token))
    written.signing_config.write_text("{}")
    with pytest.raises(ServiceError):
        signing.sign(
            PAYLOAD, INTOTO, SigstoreSigner.load(written.signing_config, written.trusted_root, token_from(written.token))
        )


# --- the fake itself


def test_a_path_that_nobody_serves(fake: FakeSigstore) -> None:
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    for request in (Request(f"{fake.url}/nothing"), Request(f"{fake.url}/api/v1/log/entries", data=b"{}", method="POST")):
        with pytest.raises(HTTPError) as caught:
            urlopen(request, timeout=5)
        assert caught.value.code in (400, 404)


def test_nothing_listens_once_the_context_is_closed() -> None:
    import socket

    with FakeSigstore() as fake:
        port = int(fake.url.rpartition(":")[2])
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


@given(size=st.integers(1, 70), data=st.data())
def test_proofs_of_trees_of_every_size_hold_and_no_other_index_does(size: int, data: st.DataObject) -> None:
    """The tree is the fake's; the reading of its proofs is the product's."""
    from pratique.signing import logs

    tree = Tree()
    for number in range(size):
        tree.add(b"%d" % number)
    index = data.draw(st.integers(0, size - 1))
    other = data.draw(st.integers(0, size - 1))

    def root(position: int, body: bytes) -> bytes:
        entry = logs.Entry(
            index=0, log_id=b"", kind="", version="", at=None, promise=b"", body=body, position=position, size=size,
            root=b"", hashes=tuple(tree.proof(index)), checkpoint="", what="it",
        )  # fmt: skip
        return logs._root_of(entry)

    assert root(index, b"%d" % index) == tree.root()
    assert (root(other, b"%d" % index) == tree.root()) == (other == index)
    assert root(index, b"x") != tree.root()
