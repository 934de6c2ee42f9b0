"""Tars of strangers: the witnesses are Python's tarfile and GNU tar; the attacks are made by hand."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pratique.artifacts import Limits
from pratique.errors import ArtifactRefused
from pratique.sources.naming import Names
from pratique.sources.tars import unpack
from pratique.testing import folder_of, tar_of

PARTS = st.text(st.characters(codec="utf-8", exclude_characters="/\\\x7f", exclude_categories=("C",)), min_size=1, max_size=60)
PATHS = st.lists(PARTS.filter(lambda part: part not in (".", "..")), min_size=1, max_size=5).map("/".join)
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def take(data: bytes, target: Path, limits: Limits | None = None) -> dict[str, bytes]:
    target.mkdir()
    unpack(io.BytesIO(data), target, Names(limits or Limits(), "the tar"), lambda name: name)
    return {str(one.relative_to(target)): one.read_bytes() for one in target.rglob("*") if one.is_file()}


def packed(files: dict[str, bytes], form: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.dictionaries(PATHS, st.binary(max_size=1500), min_size=1, max_size=4), form=st.sampled_from(FORMATS))
def test_what_python_packs_is_what_comes_out(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], form: int
) -> None:
    try:
        data = packed(files, form)
    except ValueError:
        return  # a name too long for ustar
    folder, names = tmp_path_factory.mktemp("t") / "t", Names(Limits(), "the files")
    try:
        for name, content in files.items():
            names.file(name, len(content))
    except ArtifactRefused:
        with pytest.raises(ArtifactRefused):
            take(data, folder)
    else:
        assert take(data, folder) == files


@pytest.mark.parametrize("form", ["gnu", "pax", "ustar", "oldgnu"])
def test_what_gnu_tar_packs_is_what_comes_out(tmp_path: Path, form: str) -> None:
    files = {"a.txt": b"a", "sub/" + "long" * 20 + "/b.bin": os.urandom(2000), "sub/ü.txt": b"u", "zero": b""}
    folder_of(tmp_path / "in", files)
    (tmp_path / "in" / "empty").mkdir()
    run = ["tar", "-C", str(tmp_path / "in"), f"--format={form}", "-cf", "-", "."]
    data = subprocess.run(run, capture_output=True, check=True).stdout
    assert take(data, tmp_path / "out") == files
    assert (tmp_path / "out" / "empty").is_dir()


def entry(kind: bytes, name: str = "x", link: str = "", data: bytes = b"") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(data)
    padding = b"\0" * (-len(data) % 512)
    return info.tobuf(tarfile.USTAR_FORMAT) + data + padding


def pax(*records: tuple[str, str], kind: bytes = b"x") -> bytes:
    data = b""
    for key, value in records:
        body = f" {key}={value}\n".encode()
        length = len(body) + len(str(len(body) + 2))
        data += str(length).encode() + body
    return entry(kind, "pax", data=data)


END = b"\0" * 1024
REGULAR = entry(b"0", "x", data=b"data")
SPARSE = pax(("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "1099511627776"))


def checksummed(header: bytes) -> bytes:
    blank = header[:148] + b" " * 8 + header[156:]
    return header[:148] + b"%06o\0 " % sum(blank) + header[156:]


def sized(header: bytes, field: bytes) -> bytes:
    return checksummed(header[:124] + field + header[136:])


ATTACKS: dict[str, tuple[bytes, str]] = {
    "symbolic link": (entry(b"2", "x", "/etc/passwd") + END, "a symbolic link"),
    "symbolic link that the next entry writes through": (
        entry(b"2", "d", "/tmp") + entry(b"0", "d/evil", data=b"x") + END, "a symbolic link",
    ),
    "hard link": (entry(b"1", "x", "/etc/shadow") + END, "a hard link"),
    "device": (entry(b"3") + END, "a device"),
    "block device": (entry(b"4") + END, "a device"),
    "pipe": (entry(b"6") + END, "a pipe"),
    "unknown kind": (entry(b"Z") + END, "unknown kind"),
    "contiguous file": (entry(b"7", data=b"x") + END, "unknown kind"),
    "gnu sparse file": (entry(b"S") + END, "unknown kind"),
    "pax sparse file": (SPARSE + REGULAR + END, "GNU.sparse"),
    "parent folder": (entry(b"0", "../evil", data=b"x") + END, "not a path inside"),
    "parent folder in the middle": (entry(b"0", "a/../../evil", data=b"x") + END, "not a path inside"),
    "absolute name": (entry(b"0", "/etc/cron.d/evil", data=b"x") + END, "not a path inside"),
    "parent folder in an extended header": (pax(("path", "../evil")) + REGULAR + END, "not a path inside"),
    "folder outside": (entry(b"5", "../evil") + END, "not a path inside"),
    "backslash": (entry(b"0", "a\\b", data=b"x") + END, "backslash"),
    "terminal escape": (entry(b"0", "a\x1b[2J", data=b"x") + END, "control character"),
    "the same name twice": (REGULAR + REGULAR + END, "twice"),
    "name twins": (entry(b"0", "A", data=b"x") + entry(b"0", "a", data=b"y") + END, "one name on some"),
    "file and folder of one name": (entry(b"0", "x/y", data=b"x") + REGULAR + END, "twice"),
    "folder where a file is": (REGULAR + entry(b"5", "x") + END, "as a file and as a folder"),
    "file below a file": (REGULAR + entry(b"0", "x/y", data=b"x") + END, "as a file and as a folder"),
    "folder with content": (entry(b"5", "d", data=b"hidden") + END, "a folder 'd/' with content"),
    "two sizes": (pax(("size", "0")) + REGULAR + END, "two sizes"),
    "two values for one attribute": (pax(("path", "a"), ("path", "b")) + REGULAR + END, "'path' twice"),
    "two long names": (entry(b"L", data=b"a\0") + entry(b"L", data=b"b\0") + REGULAR + END, "twice"),
    "a long name and a path": (entry(b"L", data=b"a\0") + pax(("path", "b")) + REGULAR + END, "twice"),
    "a path for all entries at once": (pax(("path", "evil.py"), kind=b"g") + REGULAR + END, "for all of its entries"),
    "negative size": (pax(("size", "-1")) + REGULAR + END, "as a size"),
    "size with an underscore": (pax(("size", "1_0")) + REGULAR + END, "as a size"),
    "record length that lies": (entry(b"x", data=b"99 path=a\n") + REGULAR + END, "makes no sense"),
    "record without a length": (entry(b"x", data=b"path=a\n") + REGULAR + END, "makes no sense"),
    "record of length zero": (entry(b"x", data=b"0 path=a\n") + REGULAR + END, "makes no sense"),
    "header without an entry": (pax(("path", "a")) + END, "not there"),
    "enormous extended header": (
        sized(entry(b"x"), b"77777777777\0") + END, "at most 65,536",
    ),
    "enormous size": (sized(entry(b"0"), b"\x80" + b"\xff" * 11) + END, "bytes"),
    "negative base 256 size": (sized(entry(b"0"), b"\xff" * 12) + END, "not a number"),
    "size in no octal": (sized(entry(b"0"), b"0000000089\0\0") + END, "not a number"),
    "wrong checksum": (b"y" + REGULAR[1:] + END, "checksum"),
    "no magic": (checksummed(REGULAR[:257] + b"\0" * 8 + REGULAR[265:512]) + REGULAR[512:] + END, "of a kind"),
    "not a tar at all": (b"PK\x03\x04" + b"\0" * 1020, "not a tar"),
    "cut in a header": (REGULAR[:300], "cut short"),
    "cut in the data": (REGULAR[:514], "cut short"),
    "something after the end": (REGULAR + END + REGULAR + END, "after its end"),
    "something in the padding": (REGULAR[:600] + b"evil" + REGULAR[604:] + END, "between its entries"),
    "a name that is not UTF-8": (checksummed(b"\xff" + REGULAR[1:512]) + REGULAR[512:] + END, "not UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_no_archive_may_hold(tmp_path: Path, attack: str) -> None:
    data, says = ATTACKS[attack]
    with pytest.raises(ArtifactRefused, match=says):
        take(data, tmp_path / "out", Limits(bytes=1 << 30))
    assert {one.name for one in tmp_path.iterdir()} == {"out"}
    assert not any(one.is_symlink() for one in tmp_path.rglob("*"))


def test_the_honest_twins(tmp_path: Path) -> None:
    honest = pax(("path", "näme"), ("mtime", "1.5")) + REGULAR + pax(("comment", "0123"), kind=b"g") + entry(b"5", "d/")
    assert take(honest + END, tmp_path / "1") == {"näme": b"data"}
    assert take(REGULAR, tmp_path / "2") == {"x": b"data"}  # no end: Go and busybox read on quietly, and so do we
    assert take(sized(REGULAR[:512], b"\x80" + b"\0" * 10 + b"\x04") + REGULAR[512:] + END, tmp_path / "3") == {"x": b"data"}
    assert take(b"", tmp_path / "4") == {}


@pytest.mark.parametrize("limits", [Limits(files=2), Limits(bytes=10), Limits(depth=1), Limits(path_length=8)])
def test_limits_hold_for_what_is_unpacked(tmp_path: Path, limits: Limits) -> None:
    data = tar_of({"a": b"12345", "b": b"12345", "c/d/e": b"12345", "name-of-nine": b""})
    assert len(take(data, tmp_path / "all")) == 4
    with pytest.raises(ArtifactRefused):
        take(data, tmp_path / "out", limits)


def test_a_million_folders(tmp_path: Path) -> None:
    data = b"".join(entry(b"5", f"d{n}") for n in range(50)) + END
    with pytest.raises(ArtifactRefused, match="more than 20 folders"):
        take(data, tmp_path / "out", Limits(files=20))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_archive_is_refused_or_harmless(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever becomes of it, nothing lands outside, and no error but ours comes out."""
    whole = bytearray(pax(("path", "sub/name")) + REGULAR + entry(b"5", "d") + entry(b"0", "y", data=b"1" * 600) + END)
    for _ in range(data.draw(st.integers(1, 4))):
        where = data.draw(st.integers(0, len(whole) - 1))
        whole[where] = data.draw(st.integers(0, 255))
    fixed = bytearray()
    for start in range(0, len(whole), 512):
        block = bytes(whole[start : start + 512])
        fixed += checksummed(block) if block[257:262] == b"ustar" else block
    folder = tmp_path_factory.mktemp("fuzz")
    with suppress(ArtifactRefused):
        take(bytes(fixed), folder / "out", Limits(bytes=1 << 20))
    assert [one.name for one in folder.iterdir()] == ["out"]


def _memory(function: Callable[[], object]) -> int:
    import tracemalloc

    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_depend_on_what_a_header_claims(tmp_path: Path) -> None:
    """tarfile reads an extended header whole, however long it says it is."""

    class Zeros(io.RawIOBase):
        def __init__(self) -> None:
            self.head = sized(entry(b"x"), b"%011o\0" % (200 << 20))

        def read(self, size: int = -1) -> bytes:
            block, self.head = self.head[:size], self.head[size:]
            return block or b"\0" * min(size, 1 << 20)

    def attempt() -> None:
        with pytest.raises(ArtifactRefused, match="at most"):
            unpack(Zeros(), tmp_path, Names(Limits(), "the tar"), lambda name: name)

    assert _memory(attempt) < 1 << 20
