"""A second opinion makes a verdict worse or leaves it as it is: also when the scanner lies, breaks, hangs or babbles."""

from __future__ import annotations

import os
import pickle
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from pratique import checking, opinions
from pratique.artifacts import open_artifact
from pratique.checking import Report, Severity
from pratique.sandbox import Limits
from pratique.testing import folder_of

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the sandbox is Linux's")

TROJAN = b"cos\nsystem\n(S'echo gotcha'\ntR."
HONEST = pickle.dumps({"weights": [1.0, 2.0]})
LOADER = "pratique.opinions.picklescan"

FAKE = """
from types import SimpleNamespace

def scan_bytes(data, name, suffix=None, strict=False):
    if name == "warm-up":
        return None
    {deed}
"""
DEEDS = {
    "clean": "return SimpleNamespace(globals=[], issues_count=0, suspicious_count=0, scan_err=False)",
    "crash": "raise RuntimeError('a bug, or the file')",
    "leave": "raise SystemExit(0)",
    "hang": "\n    while True: pass",
    "babble": "return SimpleNamespace(globals=[SimpleNamespace(module=b'x')], issues_count='many')",
    "swell": "return SimpleNamespace(globals=[], issues_count=0, suspicious_count=-1, scan_err=False)",
    "unread": "return SimpleNamespace(globals=[], issues_count=0, suspicious_count=0, scan_err=True)",
}


class Evil:
    """Loading it runs a command."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


def look(folder: Path, files: dict[str, bytes], *, ask: tuple[str, ...] = ("picklescan",), **options: Any) -> Report:
    artifact = open_artifact(str(folder_of(folder / "model", files)))
    chosen = checking.load("artifact")
    asked = checking.options_for(chosen, {"formats": ["json", "npy", "pickle", "torch"], "second_opinions": ask, **options})
    return checking.run(chosen, artifact, asked)


def said(report: Report, rule: str) -> list[str]:
    return [one.message for one in report.findings if one.rule == rule]


@pytest.fixture
def replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A scanner of the name picklescan, installed before the real one, that does something else."""

    def replace(deed: str, *, seconds: int = 10) -> None:
        folder = tmp_path / "site"
        folder_of(folder, {"picklescan/__init__.py": b"", "picklescan/scanner.py": FAKE.format(deed=deed).encode()})
        tool = opinions.Tool(package="picklescan", loader=LOADER, search=(folder,), limits=Limits(seconds=seconds))
        monkeypatch.setitem(opinions.TOOLS, "picklescan", tool)

    return replace


# --- the real one -------------------------------------------------------------------------------------------------------


def test_the_real_picklescan_says_the_same_of_a_trojan(tmp_path: Path) -> None:
    pytest.importorskip("picklescan")
    report = look(tmp_path, {"optimizer.pkl": TROJAN})
    assert "os system" in said(report, "second-opinion")[0] and "picklescan 1." in said(report, "second-opinion")[0]
    assert said(report, "pickle-global"), "our own finding stays"
    assert report.measures["second_opinions"] == 1


def test_the_real_picklescan_has_nothing_against_honest_files(tmp_path: Path) -> None:
    """Of every kind that it is asked about: pickles, checkpoints of both forms, arrays, archives of arrays."""
    pytest.importorskip("picklescan")
    import io

    import numpy
    import torch

    state, streams = OrderedDict(w=torch.zeros(3)), [io.BytesIO() for _ in range(4)]
    torch.save(state, streams[0])
    torch.save(state, streams[1], _use_new_zipfile_serialization=False)
    numpy.save(streams[2], numpy.arange(3.0))
    numpy.savez(streams[3], a=numpy.arange(3.0))
    names = ("new.pt", "old.bin", "a.npy", "a.npz")
    files = {name: stream.getvalue() for name, stream in zip(names, streams, strict=True)}
    report = look(tmp_path, {"plain.pkl": HONEST, "config.json": b"{}", **files}, pickle_packs=["torch"])
    assert [one for one in report.findings if one.severity > Severity.NOTE] == []
    assert report.measures["second_opinions"] == 5, "JSON is nothing for picklescan"


def test_what_the_real_picklescan_cannot_read_is_denied_where_it_is_asked(tmp_path: Path) -> None:
    """Arrays in the midst of joblib's pickles are beyond it; we step over them, and pass the file where nobody asks it."""
    pytest.importorskip("picklescan")
    joblib, numpy = pytest.importorskip("joblib"), pytest.importorskip("numpy")
    joblib.dump({"a": numpy.arange(3.0)}, tmp_path / "a.joblib")
    files = {"a.joblib": (tmp_path / "a.joblib").read_bytes()}
    assert look(tmp_path, files, ask=(), pickle_packs=["joblib", "numpy"]).findings == ()
    report = look(tmp_path, files, pickle_packs=["joblib", "numpy"])
    assert "could not read the file" in said(report, "second-opinion-missing")[0]


def test_an_opinion_raises_what_a_policy_of_ours_would_let_pass(tmp_path: Path, replaced: Any) -> None:
    """Somebody allowed a global by hand that the scanner knows for bad: what it says counts."""
    replaced(
        "g = SimpleNamespace(module='acme', name='net\\x1b[2J', safety=SimpleNamespace(value='dangerous'));"
        "return SimpleNamespace(globals=[g], issues_count=1, suspicious_count=0, scan_err=False)"
    )
    report = look(tmp_path, {"plain.pkl": HONEST})
    assert report.worst is Severity.CRITICAL and "acme net" in said(report, "second-opinion")[0]
    assert "\x1b" not in said(report, "second-opinion")[0]


def test_who_asks_for_no_opinion_gets_none(tmp_path: Path, replaced: Any) -> None:
    replaced(DEEDS["crash"])
    report = look(tmp_path, {"plain.pkl": HONEST}, ask=())
    assert report.findings == () and report.measures["second_opinions"] == 0


# --- scanners that cannot be relied on ----------------------------------------------------------------------------------


def test_a_scanner_that_lies_takes_no_finding_away(tmp_path: Path, replaced: Any) -> None:
    files = {"optimizer.pkl": TROJAN, "evil.bin": pickle.dumps(Evil())}
    alone = look(tmp_path, files, ask=())
    replaced(DEEDS["clean"])
    together = look(tmp_path, files)
    assert together.findings == alone.findings and together.worst is Severity.CRITICAL
    assert together.measures["second_opinions"] == 2


@pytest.mark.parametrize("deed", [name for name in DEEDS if name != "clean"])
def test_no_answer_denies_an_honest_file(tmp_path: Path, replaced: Any, deed: str) -> None:
    replaced(DEEDS[deed], seconds=1)
    report = look(tmp_path, {"plain.pkl": HONEST})
    assert [one.rule for one in report.findings] == ["second-opinion-missing"]
    assert report.worst is Severity.CRITICAL, "whatever a policy denies at"
    assert report.measures["second_opinions"] == 0 and report.measures["refused_files"] == 1


def test_the_honest_twin_of_all_these_passes(tmp_path: Path, replaced: Any) -> None:
    replaced(DEEDS["clean"])
    assert look(tmp_path, {"plain.pkl": HONEST}).findings == ()


def test_a_scanner_that_is_not_there_denies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = opinions.Tool(package="nobodys-scanner", loader="pratique.opinions.nobodys_scanner")
    monkeypatch.setitem(opinions.TOOLS, "picklescan", absent)
    report = look(tmp_path, {"plain.pkl": HONEST})
    assert "nobodys_scanner" in said(report, "second-opinion-missing")[0]
    assert "pratique[second-opinions]" in report.findings[0].fix


@pytest.mark.parametrize(
    "words",
    [
        b"", b"\xff{", b"[]", b"{}", b'{"dangers": []}', b'{"dangers": [], "doubts": 0, "complete": "yes"}',
        b'{"dangers": [], "dangers": [], "doubts": 0, "complete": true}', b'{"dangers": [1], "doubts": 0, "complete": true}',
        b'{"dangers": [], "doubts": 0, "complete": true, "verdict": "clean"}', b"[" * 5000,
        b"{" + b" " * (opinions.MAX_ANSWER + 1),
    ],
    ids=range(11),
)  # fmt: skip
def test_an_answer_that_is_none_is_no_opinion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: bytes) -> None:
    """The file may have taken the scanner over: whatever comes is read as the file's own words."""
    monkeypatch.setattr(opinions.sandbox, "run", lambda *_, **__: opinions.sandbox.Answer(data=words, namespaces=False))
    (tmp_path / "a.pkl").write_bytes(HONEST)
    with pytest.raises(opinions.NoOpinion):
        opinions.ask("picklescan", tmp_path / "a.pkl", called="a.pkl")


def test_a_scanner_cannot_reach_out_of_the_sandbox(tmp_path: Path, replaced: Any) -> None:
    target = tmp_path / "written"
    replaced(f"open({str(target)!r}, 'w').write('gotcha')")
    assert said(look(tmp_path, {"plain.pkl": HONEST}), "second-opinion-missing") and not target.exists()
