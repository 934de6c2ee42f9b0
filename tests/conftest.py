"""Shared fixtures. Every test has its own PRATIQUE_HOME; nothing of the user's is read or written."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pratique import cli
from pratique.signing import KeySigner
from pratique.store import Store
from pratique.testing import folder_of

SHAPE = '''
"""A third party's check, installed the way third parties install theirs: a module and an entry point."""
from pratique.checking import Finding, Options, Report, Severity, check


class ShapeOptions(Options):
    most: int = 100
    "How many files are fine."


@check("shape", version="1", kinds=("model", "dataset"), options=ShapeOptions,
       rules={"bad-name": "a file has a bad name", "too-many": "too many files"}, measures={"files": "number of files"})
def shape(artifact, options):
    """Counts files; dislikes some names; breaks on others."""
    names = [entry.path for entry in artifact.entries]
    if any("boom" in name for name in names):
        raise RuntimeError("this check has a bug")
    found = [Finding(rule="bad-name", severity=Severity.HIGH, message=f"{name} is bad", where=name, fix="rename it")
             for name in names if "bad" in name]
    measures = {} if any("unmeasured" in name for name in names) else {"files": float(len(names))}
    return Report(findings=tuple(found), measures=measures)
'''

POLICY = """
version: 1
subject: model
trust:
  gate: {key: gate.pub}
require:
  shape: {measures: {files: {max: 3}}}
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of one's own."""
    home = tmp_path / "home"
    monkeypatch.setenv("PRATIQUE_HOME", str(home))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # no test asks the real Hub, whatever it forgets
    for name in (
        "PRATIQUE_STORE", "PRATIQUE_KEY", "PRATIQUE_TRAINER_KEY", "PRATIQUE_CERTIFICATE", "PRATIQUE_SIGNING_CONFIG",
        "PRATIQUE_TRUSTED_ROOT", "PRATIQUE_TOKEN_FROM", "PRATIQUE_IDENTITY_TOKEN", "SIGSTORE_IDENTITY_TOKEN",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(
        os, "fsync", lambda handle: None
    )  # nobody pulls the plug; the wait for the disk is most of a test's time
    return home


def install(folder: Path, distribution: str, module: str, source: str, entry_points: dict[str, str]) -> None:
    """What `pip install` leaves behind of a package with checks."""
    folder_of(
        folder,
        {
            f"{module}.py": source.encode(),
            f"{distribution}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n".encode(),
            f"{distribution}-1.0.dist-info/entry_points.txt": (
                "[pratique.checks]\n" + "".join(f"{name} = {target}\n" for name, target in entry_points.items())
            ).encode(),
        },
    )


@pytest.fixture
def shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A third-party check called `shape`."""
    install(tmp_path / "site", "third-party", "third_party_shape", SHAPE, {"shape": "third_party_shape:shape"})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return "shape"


@pytest.fixture
def signer() -> KeySigner:
    """The gate's key."""
    return KeySigner.generate()


@pytest.fixture
def policy_file(tmp_path: Path, shape: str, signer: KeySigner) -> Path:
    """A policy that requires the third-party check and trusts `signer`."""
    folder = tmp_path / "policies"
    folder.mkdir()
    signer.save(folder / "gate.key")
    (folder / "policy.yaml").write_text(POLICY)
    return folder / "policy.yaml"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty store."""
    return Store(str(tmp_path / "store"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder with two files."""
    return folder_of(tmp_path / "model", {"weights.bin": b"\x00\x01", "sub/config.json": b"{}"})


Pratique = Callable[..., tuple[int, str, str]]


@pytest.fixture
def pratique(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Pratique:
    """Run the command line in this process; returns (exit code, stdout, stderr)."""

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


@pytest.fixture
def setup(policy_file: Path, model: Path, tmp_path: Path) -> dict[str, Any]:
    """What a user has at hand: a policy, the gate's keys, a model, a store and a place for what is promoted."""
    return {
        "policy": policy_file, "key": policy_file.parent / "gate.key", "pub": policy_file.parent / "gate.pub", "model": model,
        "store": tmp_path / "store", "to": tmp_path / "production",
    }  # fmt: skip


@pytest.fixture
def mortal() -> Iterator[None]:
    """Root may read and write anything. Give up that right (Linux capabilities 1 and 2) for as long as a test lasts."""
    if os.geteuid() != 0:
        yield
        return
    libc, words = ctypes.CDLL(None, use_errno=True), ctypes.c_uint32 * 6
    header, held = (ctypes.c_uint32 * 2)(0x20080522, 0), words()
    assert libc.capget(header, held) == 0
    less = words(held[0] & ~0b110, *held[1:])
    assert libc.capset(header, less) == 0
    yield
    assert libc.capset(header, held) == 0
