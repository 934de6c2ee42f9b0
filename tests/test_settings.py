"""Where things are kept, by the environment alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pratique import settings, signing
from pratique.errors import UsageError


def test_everything_lies_below_one_folder(home: Path) -> None:
    assert settings.snapshots() == home / "snapshots"
    assert settings.store_uri() == str(home / "store")
    assert settings.gate_key() == home / "keys" / "gate.key"


def test_the_store_and_the_key_can_lie_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRATIQUE_STORE", "s3://evidence")
    monkeypatch.setenv("PRATIQUE_KEY", "/run/secrets/gate.key")
    assert (settings.store_uri(), settings.gate_key()) == ("s3://evidence", Path("/run/secrets/gate.key"))


@pytest.mark.parametrize("name", ["PRATIQUE_STORE", "PRATIQUE_KEY"])
def test_a_variable_that_is_empty_is_not_set(home: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "")
    assert settings.store_uri() == str(home / "store")
    assert settings.gate_key() == home / "keys" / "gate.key"


def test_a_users_own_folder_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PRATIQUE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert settings.home() == tmp_path / ".pratique"


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import pwd

    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.delenv("PRATIQUE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert os.path.expanduser("~") == "~"
    with pytest.raises(UsageError) as caught:
        settings.home()
    assert "PRATIQUE_HOME" in caught.value.hint


def test_two_processes_make_this_machines_key_at_once(home: Path) -> None:
    """The first two tasks of a new worker: one key comes out, and nobody reads half of it."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        marks = set(pool.map(lambda _: signing.own_signer(settings.gate_key()).trusted().fingerprint, range(8)))
    assert len(marks) == 1
    assert signing.TrustedKey.load("gate", home / "keys" / "gate.pub").fingerprint in marks
    assert sorted(path.name for path in (home / "keys").iterdir()) == ["gate.key", "gate.pub"]
