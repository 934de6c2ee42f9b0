"""Programs: refused by name and by content; those that somebody has read pass while they are these to the last byte."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from pratique import checking
from pratique.artifacts import open_artifact
from pratique.checking import Finding
from pratique.checks.artifact import artifact
from pratique.checks.artifact.looking import Asked
from pratique.checks.artifact.looking import look as look_at_file
from pratique.checks.artifact.viewing import opened
from pratique.errors import UsageError
from pratique.testing import folder_of

EVERYTHING = (
    "archive",
    "csv",
    "json",
    "npy",
    "parquet",
    "pickle",
    "safetensors",
    "skops",
    "text",
    "torch",
    "torchscript",
    "xml",
    "yaml",
)
SOURCE = b"import torch\n\n\nclass Net(torch.nn.Module):\n    pass\n"
PIN = "sha256:" + hashlib.sha256(SOURCE).hexdigest()


def look(tmp_path: Path, name: str, data: bytes, **pins: str) -> list[Finding]:
    path = tmp_path / "file"
    path.write_bytes(data)
    asked = Asked(
        formats=EVERYTHING,
        max_json_bytes=1 << 20,
        max_text_bytes=1 << 20,
        code_files={key.replace("__", "."): one for key, one in pins.items()},
    )
    with opened(path, name) as view:
        return list(look_at_file(view, asked).findings)


def test_a_program_that_somebody_has_read(tmp_path: Path) -> None:
    assert look(tmp_path, "net.py", SOURCE, net__py=PIN) == []


def test_the_refusal_says_which_line_would_allow_it(tmp_path: Path) -> None:
    (found,) = look(tmp_path, "net.py", SOURCE)
    assert found.rule == "code-file" and f'`code_files: {{"net.py": "{PIN}"}}`' in found.fix


@pytest.mark.parametrize(
    "data", [SOURCE + b"\n", SOURCE[:-1], b"", SOURCE.replace(b"pass", b"exec"), SOURCE.replace(b"\n", b"\r\n")]
)
def test_a_program_that_was_changed_after_it_was_read(tmp_path: Path, data: bytes) -> None:
    (found,) = look(tmp_path, "net.py", data, net__py=PIN)
    assert found.rule == "code-file" and "not the file that was reviewed" in found.message


def test_the_same_program_under_another_name_or_in_another_folder(tmp_path: Path) -> None:
    for name in ("other.py", "sub/net.py", "Net.py", "net.pyw"):
        assert [one.rule for one in look(tmp_path, name, SOURCE, net__py=PIN)] == ["code-file"]


def test_a_program_for_a_machine_cannot_be_read_and_not_be_pinned(tmp_path: Path) -> None:
    data = b"\x7fELF\x02\x01\x01" + bytes(64)
    (found,) = look(tmp_path, "net.py", data, net__py="sha256:" + hashlib.sha256(data).hexdigest())
    assert found.rule == "code-file" and "which nobody can have read" in found.message
    assert "code_files" not in look(tmp_path, "net.so", data)[0].fix


def test_through_the_check_and_its_options(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "artifact", {"net.py": SOURCE, "config.json": b"{}"})
    opened_ = open_artifact(folder, into=tmp_path / "snapshots")
    pinned, plain = checking.options_for(artifact, {"code_files": {"net.py": PIN}}), checking.options_for(artifact, {})
    assert not checking.run(artifact, opened_, pinned).findings
    assert [one.rule for one in checking.run(artifact, opened_, plain).findings] == ["code-file"]
    assert plain.digest != pinned.digest


@pytest.mark.parametrize(
    "pin", ["", "sha256:", "sha256:" + "0" * 63, "md5:" + "0" * 64, "sha256:" + "G" * 64, PIN + "\n", PIN.upper()]
)
def test_a_pin_that_is_none(pin: str) -> None:
    with pytest.raises(UsageError):
        checking.options_for(artifact, {"code_files": {"net.py": pin}})


@pytest.mark.parametrize(
    "head",
    [
        b"\x7fELF\x02\x01\x01",
        b"MZ\x90\0",
        b"\xfe\xed\xfa\xcf",
        b"\xcf\xfa\xed\xfe",
        b"\xca\xfe\xba\xbe",
        b"\xca\xfe\xba\xbf",
        b"\0asm\1\0\0\0",
        b"BC\xc0\xde",
        b"dex\n035\0",
        b"!<arch>\n\0",
        b"\x1bLuaT",
        b"\x50\xed\x55\xba",
        b"\x03\x02\x23\x07",
        b"L\0\0\0\x01\x14\x02\0",
        b"\xa7\x0d\x0d\x0a",
        b"MZqFpD='\n\0",
    ],
)
def test_a_program_for_a_machine_under_any_name(tmp_path: Path, head: bytes) -> None:
    for name in ("weights.bin", "model.safetensors", "README.md", "a.zip", "model.pt", "config.yaml", "x"):
        found = look(tmp_path, name, head + b"\0\xff" * 64)
        assert "native-code" in [one.rule for one in found], (name, found)


def test_the_interpreter_itself_and_a_compiled_module(tmp_path: Path) -> None:
    import py_compile

    (tmp_path / "a.py").write_bytes(b"x = 1")
    compiled = Path(str(py_compile.compile(str(tmp_path / "a.py"), str(tmp_path / "a.pyc"))))
    for data in (compiled.read_bytes(), Path(sys.executable).read_bytes()[:4096]):
        assert "native-code" in [one.rule for one in look(tmp_path, "weights.bin", data)]
