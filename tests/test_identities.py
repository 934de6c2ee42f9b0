"""Promotion does not run where training does."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from pratique import identities, promotion
from pratique.errors import UsageError
from pratique.identities import ensure_may_promote
from pratique.policies import Policy

PROMOTER = "system:serviceaccount:ml-broker:promoter"
TRAINER = "system:serviceaccount:ml-train:trainer"


def token(folder: Path, **claims: Any) -> Path:
    """As Kubernetes projects one into a pod. The signature is nobody's: it is not looked at."""
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")
    file = folder / "token"
    file.write_bytes(b"eyJhbGciOiJSUzI1NiJ9." + payload + b".c2lnbmVk")
    return file


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRATIQUE_ROLE", raising=False)
    monkeypatch.delenv("PRATIQUE_PROMOTERS", raising=False)


def test_where_nobody_said_anything_anybody_may(tmp_path: Path) -> None:
    ensure_may_promote(tmp_path / "none")
    ensure_may_promote(token(tmp_path, sub=TRAINER))


@pytest.mark.parametrize("role", ["training", "Promotion", "gate", "x"])
def test_whoever_has_another_role_may_not(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRATIQUE_ROLE", role)
    with pytest.raises(UsageError, match=role):
        ensure_may_promote()


def test_the_role_of_promotion_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRATIQUE_ROLE", " promotion ")
    ensure_may_promote()


def test_only_the_promoters_that_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRATIQUE_PROMOTERS", f"system:serviceaccount:other:x, {PROMOTER}")
    ensure_may_promote(token(tmp_path, sub=PROMOTER))
    for who in (TRAINER, PROMOTER.upper(), "promoter", PROMOTER + "2"):
        with pytest.raises(UsageError, match="may promote"):
            ensure_may_promote(token(tmp_path, sub=who))


JUNK = [b"", b"not a token", b"a.b", b"a.b.c", b"a.e30.c", b"a.W10.c", b"a.eyJzdWIiOjd9.c", b"a." + b"A" * 70_000 + b".c"]


@pytest.mark.parametrize("content", JUNK)
def test_a_token_that_says_nothing_is_nobodys(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRATIQUE_PROMOTERS", PROMOTER)
    (tmp_path / "token").write_bytes(content)
    for file in (tmp_path / "token", tmp_path / "none"):
        with pytest.raises(UsageError, match="nobody can tell"):
            ensure_may_promote(file)


def test_promotion_asks_before_anything_else(
    policy_file: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is read, copied or signed: not even the key is asked for, or whether there is such an artifact."""
    monkeypatch.setenv("PRATIQUE_ROLE", "training")
    with pytest.raises(UsageError, match="only promotion may promote"):
        promotion.promote(str(tmp_path / "nothing"), policy=Policy.load(policy_file), destination=str(tmp_path / "to"))
    monkeypatch.setenv("PRATIQUE_ROLE", "")
    monkeypatch.setenv("PRATIQUE_PROMOTERS", PROMOTER)
    monkeypatch.setattr(identities, "TOKEN", token(tmp_path, sub=TRAINER))
    with pytest.raises(UsageError, match=f"this pod is {TRAINER}"):
        promotion.promote(str(model), policy=Policy.load(policy_file), destination=str(tmp_path / "to"))
    assert not (tmp_path / "to").exists()
