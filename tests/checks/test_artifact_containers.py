"""Archives of any files: what is in them is looked at like anything else, and no archive leads elsewhere or explodes."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import struct
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from pratique.checking import Finding
from pratique.checks.artifact import containers
from pratique.checks.artifact.looking import Asked
from pratique.checks.artifact.looking import look as look_at_file
from pratique.checks.artifact.viewing import opened

COMMAND = b"\x80\x02cposix\nsystem\n(Vtrue\ntR."
HONEST = [("config.json", b"{}"), ("notes/README.md", b"hello"), ("data.csv", b"a,b\n1,2\n")]
FORMATS = ("archive", "csv", "json", "safetensors", "text")


def zipped(files: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return stream.getvalue()


def tarred(files: Sequence[tuple[str, bytes]], form: int = tarfile.PAX_FORMAT, **more: object) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
        for name, data in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            for key, value in more.items():
                setattr(entry, key, value)
            archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def look(tmp_path: Path, data: bytes, name: str = "a.zip", formats: tuple[str, ...] = FORMATS) -> list[Finding]:
    (tmp_path / name).write_bytes(data)
    with opened(tmp_path / name, name) as view:
        return list(look_at_file(view, Asked(formats=formats, max_json_bytes=1 << 20, max_text_bytes=1 << 20)).findings)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_honest_zip(tmp_path: Path, method: int) -> None:
    assert look(tmp_path, zipped([("notes/", b""), *HONEST], method)) == []


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_honest_tars_plain_and_compressed(tmp_path: Path, form: int) -> None:
    data = tarred([*HONEST, ("x" * 90 + "/" + "y" * 60 + ".md", b"long")], form)
    assert look(tmp_path, data, "a.tar") == []
    for name, compress in (
        ("a.tar.gz", gzip.compress),
        ("a.tgz", gzip.compress),
        ("a.tar.bz2", bz2.compress),
        ("a.tar.xz", lzma.compress),
    ):
        assert look(tmp_path, compress(data), name) == [], name


def test_what_python_itself_packs(tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "README.md").write_text("hello")
    (folder / "config.json").write_text("{}")
    for kind in ("zip", "tar", "gztar", "xztar"):
        path = Path(shutil.make_archive(str(tmp_path / kind), kind, folder))
        assert look(tmp_path, path.read_bytes(), path.name) == [], kind


def test_one_compressed_file(tmp_path: Path) -> None:
    assert look(tmp_path, gzip.compress(b"a,b\n"), "table.csv.gz") == []
    (found,) = look(tmp_path, gzip.compress(b"import os"), "run.py.gz")
    assert found.rule == "code-file" and found.where == "run.py"
    assert look(tmp_path, gzip.compress(COMMAND), "x.txt.gz")


def test_archives_in_archives_up_to_a_depth(tmp_path: Path) -> None:
    data = zipped(HONEST)
    for _ in range(containers.MAX_DEPTH - 1):
        data = zipped([("inner.zip", data)], zipfile.ZIP_STORED)
    assert look(tmp_path, data) == []
    (found,) = look(tmp_path, zipped([("inner.zip", data)]))
    assert found.rule == "archive-malformed" and "deep" in found.message


def test_nobody_asked_for_archives(tmp_path: Path) -> None:
    for name, data in (("a.zip", zipped(HONEST)), ("a.tar", tarred(HONEST)), ("a.tar.gz", gzip.compress(tarred(HONEST)))):
        rules = [one.rule for one in look(tmp_path, data, name, ("csv", "json", "text"))]
        assert rules in (["archive-not-allowed"], ["format-not-allowed"]), name


@pytest.mark.parametrize(
    ("member", "data", "rule"),
    [
        ("m.pkl", COMMAND, "pickle-global"),
        ("m.txt", COMMAND, "pickle-global"),
        ("run.py", b"x = 1", "code-file"),
        ("lib.bin", b"\x7fELF" + bytes(60), "native-code"),
        ("libc.so", b"\x7fELF" + bytes(60), "native-code"),
        ("x/requirements.txt", b"evil", "install-file"),
        ("config.json", b'{"auto_map": {"A": "m.B"}}', "remote-code-reference"),
        ("App.class", b"\xca\xfe\xba\xbe" + bytes(60), "native-code"),
        ("weights.bin", bytes(range(256)), "unknown-format"),
        ("startup.pth", b"import os", "code-file"),
        ("a.exe", b"MZ" + bytes(60), "native-code"),
        ("x.wasm", b"\0asm\1\0\0\0", "native-code"),
        ("deep.zip", zipped([("run.sh", b"#!/bin/sh")]), "code-file"),
        ("deep.tar", tarred([("run.sh", b"#!/bin/sh")]), "code-file"),
        ("c.json", b'{"a": 1, "a": 2}', "json-malformed"),
    ],
)
def test_code_in_an_archive_is_found_under_its_own_name(tmp_path: Path, member: str, data: bytes, rule: str) -> None:
    for name, archive in (
        ("a.zip", zipped([*HONEST, (member, data)]) if member != "config.json" else zipped([(member, data)])),
        ("a.tar", tarred([(member, data)])),
        ("a.tar.gz", gzip.compress(tarred([(member, data)]))),
    ):
        found = [one for one in look(tmp_path, archive, name) if one.rule == rule]
        assert found and found[0].where.startswith(f"{name.removesuffix('.gz')}/{member}"), name


@pytest.mark.parametrize(
    "name", ["../x.txt", "/etc/x.txt", "a/../../x.txt", "a//x.txt", "./../x.txt", "C:\\x.txt", "a\\..\\x.txt", "x\n.txt"]
)
def test_a_name_that_leads_elsewhere(tmp_path: Path, name: str) -> None:
    for file, data in (("a.zip", zipped([(name, b"x")])), ("a.tar", tarred([(name, b"x")]))):
        assert "archive-malformed" in [one.rule for one in look(tmp_path, data, file)], file


@pytest.mark.parametrize(
    "names", [("a.txt", "a.txt"), ("a.txt", "A.TXT"), ("é.txt", "e\u0301.txt"), ("a", "a/b.txt"), ("a/b.txt", "A/b.txt")]
)
def test_two_names_that_are_one_somewhere(tmp_path: Path, names: tuple[str, str]) -> None:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for file, data in (
            ("a.zip", zipped([(one, b"x") for one in names])),
            ("a.tar", tarred([(one, b"x") for one in names])),
        ):
            assert "archive-malformed" in [one.rule for one in look(tmp_path, data, file)], file


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"S", b"V"]
)
def test_links_and_devices_in_a_tar(tmp_path: Path, kind: bytes) -> None:
    (found,) = look(tmp_path, tarred([("a.txt", b"")], tarfile.GNU_FORMAT, type=kind, linkname="/etc/passwd"), "a.tar")
    assert found.rule == "archive-malformed"


def test_a_link_in_a_zip(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        entry = zipfile.ZipInfo("a.txt")
        entry.create_system, entry.external_attr = 3, 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    assert "a link or a device" in look(tmp_path, stream.getvalue())[-1].message


def test_bombs(tmp_path: Path) -> None:
    """Each of these would take more than it may, by itself or all together."""
    zeros = b"\0" * (70 << 20)
    assert "bomb" in look(tmp_path, zipped([("a.txt", zeros)]))[-1].message
    part = b"x" * (6 << 20)
    many = zipped([(f"{number}.txt", part) for number in range(12)])  # each is below its limit
    assert "bomb" in look(tmp_path, many)[-1].message
    assert "bomb" in look(tmp_path, gzip.compress(zeros), "a.txt.gz")[-1].message
    inner = zipped([("a.txt", part)])
    nested = zipped([(f"{number}.zip", inner) for number in range(12)], zipfile.ZIP_STORED)
    assert "bomb" in look(tmp_path, nested)[-1].message


def test_a_bomb_within_a_bomb_is_not_inflated_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second layer may take what the first has left, not two hundred times its own size."""
    monkeypatch.setattr(containers.Budget, "of", classmethod(lambda cls, size: cls(1 << 20)))
    inner = gzip.compress(b"x" * (900 << 10))
    assert look(tmp_path, gzip.compress(inner), "a.txt.gz.gz") == []
    assert look(tmp_path, zipped([(f"{number}.txt.gz", inner) for number in range(2)]))


def test_more_files_than_anybody_packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers.Budget, "of", classmethod(lambda cls, size: cls(1 << 30, 5)))
    assert "bomb" in look(tmp_path, zipped([(f"{number}.txt", b"x") for number in range(6)]))[-1].message
    assert look(tmp_path, zipped([(f"{number}.txt", b"x") for number in range(5)])) == []


def test_an_archive_of_two_kinds(tmp_path: Path) -> None:
    tar, archive = tarred([("a.txt", b"x")]), zipped([("b.txt", b"y")])
    assert {"archive-malformed", "polyglot"} & {one.rule for one in look(tmp_path, tar + archive, "a.tar")}
    assert look(tmp_path, archive + tar)
    hidden = tarred([("a.zip", zipped([("run.py", b"x")], zipfile.ZIP_STORED))])
    assert look(tmp_path, hidden.rstrip(b"\0"), "a.tar")


@pytest.mark.parametrize(
    "files",
    [
        [("config.json", b'{"module": "builtins", "class_name": "eval"}'), ("metadata.json", b"{}")],  # Keras
        [("schema.json", b'{"__loader__": "FunctionNode", "__module__": "os", "__class__": "system", "protocol": 2}')],  # skops
    ],
)
def test_a_model_is_more_than_its_files(tmp_path: Path, files: list[tuple[str, bytes]]) -> None:
    """To who looks at members one by one it is JSON; its loader makes what the JSON names."""
    for name in ("m.zip", "m.keras", "m.skops", "x"):
        assert "archive-not-allowed" in [one.rule for one in look(tmp_path, zipped(files), name)]
    assert look(tmp_path, zipped([("m.keras", zipped(files))]), "a.zip")
    for name in ("m.keras", "m.skops", "m.pt", "m.npz"):
        assert look(tmp_path, zipped([("config.json", b"{}")]), name)


def test_bytes_that_belong_to_no_member(tmp_path: Path) -> None:
    assert look(tmp_path, b"#!/bin/sh\n" + zipped(HONEST))
    assert look(tmp_path, zipped(HONEST) + b"x")
    assert look(tmp_path, tarred(HONEST) + b"x", "a.tar")
    assert look(tmp_path, gzip.compress(tarred(HONEST)) + b"x", "a.tar.gz")
    assert look(tmp_path, tarred(HONEST)[:700], "a.tar")


def test_a_model_archive_of_torchserve_is_refused_for_its_handler(tmp_path: Path) -> None:
    manifest = json.dumps({"model": {"handler": "handler.py"}}).encode()
    found = look(tmp_path, zipped([("MAR-INF/MANIFEST.json", manifest), ("handler.py", b"import os")]), "m.mar")
    assert [(one.rule, one.where) for one in found] == [("code-file", "m.mar/handler.py")]


@pytest.mark.parametrize("kind", ["a.zip", "a.tar", "a.tar.gz"])
def test_mutants_of_archives_never_crash_the_reader_and_never_smuggle(tmp_path: Path, kind: str) -> None:
    """A mutant that passes holds nothing that Python's own readers would see as code."""
    dice = random.Random(6)
    files = [*HONEST, ("evil.py", b"import os")]
    data = zipped(HONEST) if kind == "a.zip" else tarred(HONEST)
    for _ in range(150):
        mutant = bytearray(data)
        for _ in range(dice.randrange(1, 5)):
            at = dice.randrange(len(mutant))
            mutant[at : at + dice.randrange(3)] = dice.choice(
                [b"", b"\0", b"..", b"\xff", b"/", struct.pack("<I", dice.getrandbits(32))]
            )
        raw = gzip.compress(bytes(mutant)) if kind == "a.tar.gz" else bytes(mutant)
        if look(tmp_path, raw, kind) == [] and kind == "a.zip":
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                assert all(".." not in name.split("/") and not name.endswith(".py") for name in archive.namelist())
    assert look(tmp_path, zipped(files) if kind == "a.zip" else tarred(files), kind.removesuffix(".gz"))
