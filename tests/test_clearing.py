"""Whether a clearance clears this artifact, now, in the name of who signed it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from pratique.artifacts import Subject
from pratique.clearing import SKEW, ensure_clearance
from pratique.errors import EvidenceError, Revoked, Stale, WrongSigner, WrongSubject
from pratique.statements import Clearance, Vouched
from pratique.testing import vouched

GATE, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
SUBJECT, POLICY = Subject(digest="sha256:" + "1" * 64), "sha256:" + "2" * 64
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
BUNDLE, EVIDENCE, NOTHING = "sha256:" + "3" * 64, "sha256:" + "4" * 64, frozenset[str]()
END = NOW + timedelta(days=1)


def cleared(signers: frozenset[str] = frozenset({GATE}), **more: Any) -> Vouched[Clearance]:
    fields = dict(
        subject=SUBJECT, kind="model", verifier=f"urn:pratique:gate:{GATE}", resource_uri="u", policy_digest=POLICY,
        evidence=(EVIDENCE,), levels=("L",), made_at=NOW, expires=END,
    )  # fmt: skip
    return vouched(Clearance(**{**fields, **more}), *signers, digest=BUNDLE)


@pytest.mark.parametrize("moment", [NOW, NOW - SKEW, END - timedelta(microseconds=1)])
def test_it_holds_from_when_it_was_made_until_it_lapses(moment: datetime) -> None:
    ensure_clearance(cleared(), SUBJECT, now=moment, revoked=NOTHING, policy_digest=POLICY, signers=frozenset({GATE}))


@pytest.mark.parametrize("moment", [END, END + timedelta(days=1), NOW - SKEW - timedelta(microseconds=1)])
def test_it_does_not_hold_before_or_after(moment: datetime) -> None:
    with pytest.raises(Stale):
        ensure_clearance(cleared(), SUBJECT, now=moment, revoked=NOTHING)


def test_it_is_about_another_artifact() -> None:
    with pytest.raises(WrongSubject):
        ensure_clearance(cleared(), Subject(digest="sha256:" + "9" * 64), now=NOW, revoked=NOTHING)


def test_it_was_given_under_another_policy() -> None:
    with pytest.raises(EvidenceError, match="another policy"):
        ensure_clearance(cleared(), SUBJECT, now=NOW, revoked=NOTHING, policy_digest="sha256:" + "9" * 64)


@pytest.mark.parametrize(
    "verifier", [f"urn:pratique:gate:{OTHER}", "urn:pratique:gate", "", GATE, ":sha256:", "sha256:" + "a" * 63]
)
def test_it_names_somebody_who_did_not_sign_it(verifier: str) -> None:
    with pytest.raises(WrongSigner):
        ensure_clearance(cleared(verifier=verifier), SUBJECT, now=NOW, revoked=NOTHING)


def test_it_is_signed_by_somebody_whose_clearances_do_not_count() -> None:
    with pytest.raises(WrongSigner):
        ensure_clearance(cleared(), SUBJECT, now=NOW, revoked=NOTHING, signers=frozenset({OTHER}))
    both = cleared(signers=frozenset({GATE, OTHER}), verifier=f"urn:pratique:gate:{GATE}")
    with pytest.raises(WrongSigner):
        ensure_clearance(
            both, SUBJECT, now=NOW, revoked=NOTHING, signers=frozenset({OTHER})
        )  # named is one, trusted is the other


@pytest.mark.parametrize("mark", [SUBJECT.digest, POLICY, BUNDLE, EVIDENCE, GATE])
def test_it_leans_on_what_was_revoked_since(mark: str) -> None:
    with pytest.raises(Revoked, match=mark):
        ensure_clearance(cleared(), SUBJECT, now=NOW, revoked=frozenset({mark}))


def test_what_it_does_not_lean_on_may_be_revoked() -> None:
    ensure_clearance(cleared(), SUBJECT, now=NOW, revoked=frozenset({OTHER}))
