"""Who is trusted, in a check's options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pratique.checking import Options, Setting
from pratique.errors import UsageError
from pratique.signing import KeySigner, entries
from pratique.trust import Signers, find

SUPPLIER, AUDITOR = KeySigner.generate(), KeySigner.generate("P-384")
TRUST = {"supplier": SUPPLIER.trusted("supplier"), "auditor": AUDITOR.trusted("auditor")}


class Question(Options):
    signers: Signers


def ask(signers: Any, base: Path = Path(), trust: dict[str, Any] | None = None) -> Question:
    return Question.model_validate({"signers": signers}, context=Setting(base=base, trust=TRUST if trust is None else trust))


def test_a_name_in_the_policy() -> None:
    assert ask(["supplier"]).signers == (TRUST["supplier"],)


def test_a_file_relative_to_the_policy(tmp_path: Path) -> None:
    SUPPLIER.save(tmp_path / "keys" / "them.key")
    (key,) = ask(["keys/them.pub"], tmp_path, trust={}).signers
    assert (key.name, key.fingerprint) == ("them", SUPPLIER.trusted().fingerprint)


def test_a_name_wins_over_a_file_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "supplier").write_bytes(AUDITOR.trusted().pem)
    assert find("supplier", Setting(base=tmp_path, trust=TRUST)).fingerprint == SUPPLIER.trusted().fingerprint


def test_the_question_is_bound_to_the_keys_and_not_to_what_they_are_called(tmp_path: Path) -> None:
    SUPPLIER.save(tmp_path / "them.key")
    asked = ask(["supplier", "auditor"])
    assert asked.digest == ask(["auditor", "them.pub"], tmp_path).digest
    assert asked.digest == ask(["x", "auditor", "x"], trust={**TRUST, "x": TRUST["supplier"]}).digest
    assert asked.model_dump(mode="json") == {"signers": sorted(key.fingerprint for key in TRUST.values())}
    assert asked.digest != ask(["supplier"]).digest
    assert asked.digest != ask(["supplier", "auditor"], trust={**TRUST, "supplier": KeySigner.generate().trusted()}).digest


def test_one_key_under_two_names_is_one_key() -> None:
    assert len(ask(["a", "b"], trust={"a": TRUST["supplier"], "b": TRUST["supplier"]}).signers) == 1


def test_a_key_listed_once_more_without_the_policy_that_revoked_it_is_none_the_better_for_it() -> None:
    listed = [SUPPLIER.trusted("a"), SUPPLIER.trusted("b").renamed("b", frozenset({"sha256:1"}))]
    for several in (listed, listed[::-1]):
        (one,) = ask(several).signers
        assert one.revoked == {"sha256:1"}
    (one,) = ask([SUPPLIER.trusted("a"), SUPPLIER.trusted("b")]).signers
    assert not one.revoked


def test_a_single_name_needs_no_brackets() -> None:
    assert ask("supplier").signers == ask(["supplier"]).signers


def test_keys_themselves_in_a_notebook() -> None:
    assert Question(signers=(TRUST["supplier"],)).signers == (TRUST["supplier"],)


def test_a_misspelt_name_is_told_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 'supplier'"):
        ask(["suplier"])


@pytest.mark.parametrize(
    "signers", [[], (), "", [""], None, 3, {"supplier": 1}, [3], [None], [["supplier"]], ["nobody"], ["."]]
)
def test_nobody_or_nothing_is_refused(signers: Any) -> None:
    with pytest.raises(ValueError, match="signers"):
        ask(signers)


def test_a_file_with_two_keys_in_it(tmp_path: Path) -> None:
    """Only the first would be trusted; or, where the file is listed under `revoked`, only the first would be worth nothing."""
    (tmp_path / "two.pub").write_bytes(SUPPLIER.trusted().pem + AUDITOR.trusted().pem)
    (tmp_path / "one.pub").write_bytes(b"# the supplier's\n" + SUPPLIER.trusted().pem)
    with pytest.raises(ValueError, match="more than one key"):
        ask(["two.pub"], tmp_path)
    with pytest.raises(UsageError, match="more than one key"):
        entries.RevokedFile(key="two.pub", reason="lost").marks(tmp_path)
    assert ask(["one.pub"], tmp_path).signers[0].fingerprint == SUPPLIER.trusted().fingerprint
    assert entries.RevokedFile(key="one.pub", reason="lost").marks(tmp_path) == {SUPPLIER.trusted().fingerprint}


def test_a_file_that_is_no_public_key(tmp_path: Path) -> None:
    SUPPLIER.save(tmp_path / "them.key")
    with pytest.raises(ValueError, match=r"pass its \.pub"):
        ask(["them.key"], tmp_path)


def test_the_schema_says_what_may_be_written() -> None:
    assert Question.model_json_schema()["properties"]["signers"] | {"title": ""} == {
        "type": "array", "minItems": 1, "title": "",
        "items": {
            "anyOf": [{"type": "string", "minLength": 1}, {"type": "object", "description": "An entry as under `trust`."}]
        },
    }  # fmt: skip
