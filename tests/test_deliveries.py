"""`pratique sign` and `pratique verify`: what they print of a delivery, and how they refuse one."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from pratique import cli, deliveries, oms
from pratique.errors import ArtifactRefused, EvidenceError, SignatureInvalid, WrongSigner, WrongSubject
from pratique.testing import folder_of

from .forging import KEY, OTHER, SUPPLIER, signed, statement_of

FILES = {"weights.bin": bytes(range(250)) * 10, "config.json": b"{}"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "base-model", FILES)


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "supplier.key", KEY.save(tmp_path / "supplier.key")


@pytest.fixture
def pratique(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pratique", *map(str, words)])
        code: Any = 0
        try:
            cli.main()
        except SystemExit as done:
            code = done.code or 0
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return code, out, err

    return run


@pytest.mark.parametrize("hash_type", ["sha256", "blake2b", "blake3"])
@pytest.mark.parametrize("shards", [[], ["--shards"], ["--shards", "--shard-size", "1000"]])
def test_a_folder_is_signed_and_verified_step_by_step(
    pratique: Any, model: Path, keys: tuple[Path, Path], hash_type: str, shards: list[str]
) -> None:
    private, public = keys
    code, out, _ = pratique("sign", model, "--key", private, "--hash", hash_type, "--version", "1.4.0", *shards)
    assert (code, out.strip()) == (0, f"signed: {model / 'model.sig'}")
    code, out, _ = pratique("verify", model, "--trust", public)
    *_, covers, unchanged, digest = steps = out.splitlines()
    size = "1,000 bytes" if "1000" in shards else "1,000,000,000 bytes"
    of = f"shards of {size}" if shards else "whole files"
    assert code == 0
    assert [step.split(". ")[0] for step in steps] == [str(number) for number in range(1, len(steps) + 1)]
    assert steps[0] == "1. the signature is by supplier"
    assert covers.endswith(f"is called base-model, version 1.4.0: 2 files, by {hash_type} of {of}")
    assert unchanged.endswith("of these 2, none is missing or changed; there is nothing else")
    assert "sha256:" in digest
    code, out, _ = pratique("verify", model, "--trust", public, "--format", "json")
    told = json.loads(out)
    assert (told["holds"], told["hash"], told["version"], told["signers"]) == (True, hash_type, "1.4.0", ["supplier"])


def test_a_file_is_signed_beside_itself(pratique: Any, model: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    private, public = keys
    one = model / "weights.bin"
    assert pratique("sign", one, "--key", private)[0] == 0
    assert (model / "weights.bin.sig").exists()
    code, out, _ = pratique("verify", one, "--trust", public)
    assert (code, "is called weights.bin: 1 file, by sha256 of whole files" in out) == (0, True)
    (model / "weights.bin.sig").rename(tmp_path / "elsewhere.sig")
    assert pratique("verify", one, "--trust", public, "--signature", tmp_path / "elsewhere.sig")[0] == 0
    one.write_bytes(b"evil")
    code, _, err = pratique("verify", one, "--trust", public, "--signature", tmp_path / "elsewhere.sig")
    assert (code, "weights.bin was changed after supplier signed it" in err) == (5, True)


def test_what_is_left_out_is_refused_until_it_is_allowed(pratique: Any, model: Path, keys: tuple[Path, Path]) -> None:
    private, public = keys
    folder_of(model, {"cache/x": b"1"})
    assert pratique("sign", model, "--key", private, "--ignore", "cache/")[0] == 0
    code, _, err = pratique("verify", model, "--trust", public)
    assert (code, "cache/x was left out of the signature" in err) == (5, True)
    code, out, _ = pratique("verify", model, "--trust", public, "--allow", "ignored-paths")
    assert (code, "1 file beside them that nobody signed, as was allowed" in out) == (0, True)


WRONG = {
    "a size without shards": (["sign", "{model}", "--key", "{key}", "--shard-size", "10"], 2, "--shards"),
    "a chain without a certificate": (["sign", "{model}", "--key", "{key}", "--chain", "x.pem"], 2, "--certificate"),
    "a version that is none": (["sign", "{model}", "--key", "{key}", "--version", "latest"], 2, "not a version"),
    "a pattern": (["sign", "{model}", "--key", "{key}", "--ignore", "*.bin"], 2, "is a pattern"),
    "an unknown hash": (["sign", "{model}", "--key", "{key}", "--hash", "md5"], 2, "md5"),
    "a lenience that nobody knows": (["verify", "{model}", "--trust", "{pub}", "--allow", "all"], 2, "is no lenience"),
    "a lenience that no artifact can use": (["verify", "{model}", "--trust", "{pub}", "--allow", "symlinks"], 2, "cannot be"),
    "no signature": (["verify", "{model}", "--trust", "{pub}"], 5, "there is no signature"),
    "a signature that is not there": (["verify", "{model}", "--trust", "{pub}", "--signature", "none.sig"], 2, "no file"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_makes_no_sense_is_said_with_its_exit_code(pratique: Any, model: Path, keys: tuple[Path, Path], name: str) -> None:
    words, wanted, says = WRONG[name]
    private, public = keys
    code, out, err = pratique(*[word.format(model=model, key=private, pub=public) for word in words])
    assert (code, out, says in err) == (wanted, "", True), err


def test_a_refusal_is_of_its_kind(model: Path) -> None:
    def refusal(change: Any) -> EvidenceError:
        (model / "model.sig").write_bytes(oms.sign(model, KEY))
        change()
        with pytest.raises(EvidenceError) as caught:
            deliveries.delivery(model, [SUPPLIER])
        return caught.value

    stranger = refusal(lambda: (model / "model.sig").write_bytes(oms.sign(model, OTHER)))
    assert (type(stranger), stranger.rule) == (WrongSigner, "wrong-signer")
    value = statement_of(oms.sign(model, KEY))
    value["predicate"]["resources"] *= 2
    twice = refusal(lambda: (model / "model.sig").write_bytes(signed(value)))
    assert (type(twice), twice.rule) == (SignatureInvalid, "name-twice")
    extra = refusal(lambda: folder_of(model, {"evil.py": b"import os"}))
    assert (type(extra), extra.rule) == (WrongSubject, "file-unsigned")


def test_a_giant_that_nobody_signed_is_not_read(model: Path) -> None:
    (model / "model.sig").write_bytes(oms.sign(model, KEY))
    (model / "giant").touch()
    os.truncate(model / "giant", 6 << 30)
    with pytest.raises(ArtifactRefused, match="nothing was read") as caught:
        deliveries.delivery(model, [SUPPLIER])
    assert caught.value.rule == "file-unsigned"
