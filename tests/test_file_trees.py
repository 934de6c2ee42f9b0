"""The tree of an artifact's files: what is found stands under its file, bounded, and nobody's name draws in it."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pratique import file_trees
from pratique.checking import Finding, Severity
from pratique.testing import folder_of

TROJAN = b"cos\nsystem\n(S'echo gotcha'\ntR."
NET = b"\x80\x04cacme.nets\nNet\n)\x81."


def found(where: str, message: str = "bad", severity: Severity = Severity.HIGH) -> Finding:
    return Finding(rule="pickle-global", severity=severity, message=message, where=where, fix="mend it")


def lines(files: list[str], *findings: Finding) -> list[str]:
    return file_trees.text("base", files, findings, Severity.HIGH).splitlines()


def test_a_refusal_names_member_offset_opcode_global_role_and_the_line_that_would_allow_it(
    pratique: Any, tmp_path: Path
) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as writer:
        writer.writestr("m/data.pkl", NET)
        writer.writestr("m/version", b"3\n")
    folder_of(tmp_path / "base", {"sub/net.pkl": NET, "config.json": b"{}", "m.pt": archive.getvalue()})
    code, out, _ = pratique("check", "artifact", tmp_path / "base", "-o", 'formats=["json", "pickle", "torch"]')
    assert code == 1
    for part in (
        "config.json: nothing found", "net.pkl: refused, 1 finding", "at byte 2: loading this pickle runs acme.nets.Net",
        "member m/data.pkl, byte 2", "GLOBAL imports it", "NEWOBJ", "(role new)", '`pickle_globals: ["new acme.nets.Net"]`',
        "risk: ",
    ):  # fmt: skip
        assert part in out, out
    assert "Remedy:" not in out, "it stands in the tree, under its finding"
    assert not {"\x1b"} & set(out)


def test_what_is_found_within_an_archive_stands_under_the_archive(pratique: Any, tmp_path: Path) -> None:
    """Else the archive itself would seem to be in order."""
    import tarfile

    folder_of(tmp_path, {"base/config.json": b"{}", "optimizer.pkl": TROJAN})
    with tarfile.open(tmp_path / "base" / "b.tar", "w") as archive:
        archive.add(tmp_path / "optimizer.pkl", "sub/optimizer.pkl")
    _, out, _ = pratique("check", "artifact", tmp_path / "base", "-o", 'formats=["archive", "json", "pickle"]')
    drawn = out[out.index("base\n├") :].splitlines()
    assert drawn[1].startswith("├── b.tar: refused, 1 finding, worst critical")
    assert "at member sub/optimizer.pkl, byte 0: loading this pickle runs os.system" in drawn[2]


def test_an_admitted_model_is_drawn_without_calling_it_clean(pratique: Any, tmp_path: Path) -> None:
    folder_of(tmp_path / "base", {"config.json": b"{}"})
    code, out, _ = pratique("check", "artifact", tmp_path / "base")
    assert code == 0 and "config.json: nothing found" in out and "clean" not in out


def test_other_checks_and_gates_print_what_they_printed(pratique: Any, shape: str, tmp_path: Path) -> None:
    folder_of(tmp_path / "base", {"bad": b""})
    _, out, _ = pratique("check", "shape", tmp_path / "base")
    assert "Remedy: rename it" in out and "└" not in out


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\0/"), min_size=1, max_size=50))
def test_a_name_is_one_line_and_nothing_that_a_terminal_acts_on(name: str) -> None:
    drawn = lines([name], found(name, message=f"{name}\n└── fake: nothing found\x1b[2J"))
    assert len(drawn) == 4
    assert all(one.isprintable() or " " in one for one in drawn) and "\x1b" not in "".join(drawn)


def test_markup_in_names_is_text() -> None:
    name = "[bold red]x :smile: [link=evil]y"
    assert lines([name])[1] == f"└── {name}: nothing found"


def test_ten_thousand_files_and_findings_are_some_hundred_lines_and_a_count() -> None:
    names = [f"d/{number:05}" for number in range(10_000)]
    drawn = lines(names, *(found(name, severity=Severity.CRITICAL) for name in names[-5_000:]))
    assert len(drawn) < 320
    assert drawn[-2:] == ["├── and 4,940 findings more: --format json lists them", "└── and 9,940 files more"]
    assert "05000: refused" in "".join(drawn), "files in which something was found come first"


def test_a_finding_about_no_file_is_drawn_at_the_root() -> None:
    assert lines(["a"], found("elsewhere"))[2].startswith("└── high pickle-global at elsewhere: bad")


def test_on_a_terminal_it_is_in_colour_and_no_name_adds_to_it(tmp_path: Path) -> None:
    folder_of(tmp_path / "base", {"[blink]a.pkl": TROJAN})
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "pratique.cli", "check", "artifact", str(tmp_path / "base")]
    child = subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environment)
    os.close(theirs)
    said = io.BytesIO()
    with pytest.raises(OSError, match="Input/output error"):
        while block := os.read(ours, 4096):
            said.write(block)
    os.close(ours)
    assert child.wait() == 1
    assert b"[blink]a.pkl: \x1b[1;31mrefused" in said.getvalue() and b"\x1b[5m" not in said.getvalue()
