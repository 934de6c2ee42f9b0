"""PyTorch's checkpoints: a pickle that makes tensors of storages, and the storages, in a zip archive or in a row.

    archive/data.pkl  archive/byteorder  archive/data/0  archive/data/1 ...  archive/version        since PyTorch 1.6
    number | version | system | pickle of the state | keys of the storages | each: how many elements, raw bytes     before

Both are read whole: each byte belongs to something that PyTorch reads, each storage is asked for and is of the size that was
asked for, each tensor lies within its storage. Format: torch/serialization.py, caffe2/serialize/inline_container.cc.
"""

from __future__ import annotations

from collections.abc import Iterator

from pratique.checking import Finding
from pratique.checks.artifact import machine, pickles, zips
from pratique.checks.artifact.granting import NOTHING, Grants
from pratique.checks.artifact.opcodes import text_at
from pratique.checks.artifact.rules import finding
from pratique.checks.artifact.values import Box, Leaf, Reading, Value
from pratique.checks.artifact.viewing import Bytes, Sight, View, shown
from pratique.errors import Malformed

LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The first of the five pickles: a number of PyTorch's own."""

_VERSION = 1001
SMALL = frozenset({"byteorder", "version", ".format_version", ".storage_alignment", ".data/serialization_id"})
_LONGEST_SMALL = 128
_MOST_STORAGES = 1_000_000


def resembles(data: Bytes) -> bool:
    """Whether a file begins as PyTorch's checkpoints did before 1.6."""
    return data[: len(LEGACY)] == LEGACY


def look_at_legacy(view: View, grants: Grants = NOTHING) -> Sight:
    """Read five pickles in a row, and the storages behind them."""
    readings, findings = legacy(view.name, view.data, 0, view.size, grants)
    if is_tar(view.data):
        findings.append(_malformed(view.name, "it is a tar archive as well, and PyTorch would read that"))
    return Sight(findings=tuple(findings), counts={"pickle_globals": sum(one.used for one in readings)})


def look_at_archive(view: View, members: list[zips.Member], grants: Grants = NOTHING) -> Sight:
    """Read a checkpoint in a zip archive."""
    findings: list[Finding] = []
    member = next(one for one in members if _is_pickle(one))
    where = f"{view.name}, member {shown(member.name)}"
    reading = machine.read(view.data, member.start, persistent=True)
    findings += pickles.refusals(where, reading, grants, member.start)
    findings += pickles.faults(where, reading, member.start)
    if reading.end is not None and reading.end != member.end:
        findings.append(pickles.malformed(where, reading.end - member.start, "it does not end with its member"))
    try:
        inside = _inside(members)
        for name in ("data.pkl", *sorted(SMALL & inside.keys())):
            ensure_sound(view.data, name, inside[name])
        ensure_storages(reading, {name[5:]: one.size for name, one in inside.items() if name.startswith("data/")})
    except Malformed as error:
        findings.append(_malformed(view.name, str(error)))
    return Sight(findings=tuple(findings), counts={"pickle_globals": reading.used})


def is_checkpoint(members: list[zips.Member]) -> bool:
    """Whether an archive holds what PyTorch reads first."""
    return any(map(_is_pickle, members))


def legacy(name: str, data: Bytes, start: int, end: int, grants: Grants) -> tuple[list[Reading], list[Finding]]:
    """Read a checkpoint of before 1.6 between two offsets."""
    readings: list[Reading] = []
    findings: list[Finding] = []
    position = start
    for number in range(5):
        reading = machine.read(data, position, persistent=number == 3)
        readings.append(reading)
        findings += pickles.refusals(name, reading, grants, start)
        findings += pickles.faults(name, reading, start)
        findings += pickles.nested(name, data, reading, grants)
        if reading.end is None or reading.end > end:
            findings.append(_malformed(name, f"pickle {number + 1} of the five does not end in it"))
            return readings, findings
        position = reading.end
    try:
        _ensure_heading(data, start, readings)
        _ensure_raw(data, position, end, readings)
    except Malformed as error:
        findings.append(_malformed(name, str(error)))
    return readings, findings


def look_inside(where: str, data: Bytes, start: int, end: int, grants: Grants) -> Iterator[Finding]:
    """Read a checkpoint within the bytes of another pickle, as pickle itself writes tensors."""
    if data[start : start + len(LEGACY)] != LEGACY:
        yield _malformed(where, "it is no checkpoint that torch.storage writes into a pickle")
    else:
        yield from legacy(where, data, start, end, grants)[1]


def _is_pickle(member: zips.Member) -> bool:
    return member.name.count("/") == 1 and member.name.endswith("/data.pkl") and member.method == zips.STORED


def _inside(members: list[zips.Member]) -> dict[str, zips.Member]:
    """The members by their names below the one folder."""
    prefix = members[0].name.split("/")[0] if members else ""
    inside: dict[str, zips.Member] = {}
    for member in members:
        top, _, name = member.name.partition("/")
        key = name.removeprefix("data/")
        if top != prefix or not (name in SMALL or name == "data.pkl" or (key != name and key.isdecimal() and key.isascii())):
            raise Malformed(f"a member that is no part of a checkpoint of tensors: {shown(member.name)}")
        if member.method != zips.STORED:
            raise Malformed(f"a compressed member, {shown(member.name)}: PyTorch writes none")
        inside[name] = member
    return inside


def ensure_sound(data: Bytes, name: str, member: zips.Member) -> None:
    """Hold all but the storages against their checksums, and what is not a pickle against a limit."""
    head = b""
    for block in zips.blocks(data, member):
        head = head or block
    if name != "data.pkl" and (member.size > _LONGEST_SMALL or not head.isascii()):
        raise Malformed(f"{shown(member.name)} is not the few letters that PyTorch writes")
    if name == "byteorder" and head not in (b"little", b"big"):
        raise Malformed(f"{shown(member.name)} says {shown(head.decode('latin-1'))!r}")


def ensure_storages(reading: Reading, have: dict[str, int]) -> None:
    """Each storage is asked for, is there, and has the size that was asked for."""
    for key, (elements, size) in reading.storages.items():
        if key not in have:
            raise Malformed(f"its pickle asks for the storage {shown(key)!r}, which is not there")
        if have[key] != elements * size:
            raise Malformed(f"storage {shown(key)} has {have[key]:,} bytes, and its pickle asks for {elements * size:,}")
    if spare := sorted(have.keys() - reading.storages.keys()):
        raise Malformed(f"nothing asks for the storage {shown(spare[0])}: what is in it?")


def _ensure_heading(data: Bytes, start: int, readings: list[Reading]) -> None:
    if data[start : start + len(LEGACY)] != LEGACY or _number(readings[1].result) != _VERSION:
        raise Malformed("it does not begin with PyTorch's number and version")
    for place in (0, 1, 2, 4):
        if not readings[place].data_only:
            raise Malformed(f"pickle {place + 1} of the five is not plain data")


def _ensure_raw(data: Bytes, position: int, end: int, readings: list[Reading]) -> None:
    """The storages, in the order of the fifth pickle, each behind the number of its elements, up to the last byte."""
    keys, storages = readings[4].result, dict(readings[3].storages)
    if not (isinstance(keys, Box) and keys.kind == "list" and len(keys.items) <= _MOST_STORAGES):
        raise Malformed("its fifth pickle is no list of storages")
    for key in keys.items:
        text = _text(data, key)
        elements, size = storages.pop(text, (None, 0))
        if elements is None or int.from_bytes(data[position : position + 8], "little", signed=True) != elements:
            raise Malformed(f"storage {shown(text)!r} is not asked for, or of another size than is asked for")
        position += 8 + elements * size
        if position > end:
            raise Malformed(f"storage {shown(text)!r} is cut off")
    if storages or position != end:
        raise Malformed(f"{end - position:,} bytes behind its storages, or {len(storages):,} storages that are not there")


def is_tar(data: Bytes) -> bool:
    """Whether a reader of tar archives would take the first 512 bytes for a header: its checksum is right."""
    head = data[:512]
    digits = head[148:156].strip(b" \0")
    if len(head) < 512 or not digits or digits.strip(b"01234567"):
        return False
    return int(digits, 8) == sum(head) - sum(head[148:156]) + 8 * 32


def _text(data: Bytes, value: Value) -> str:
    return text_at(data, value.at) if isinstance(value, Leaf) and value.kind == "text" else ""


def _number(value: Value | None) -> int | None:
    return value.value if isinstance(value, Leaf) else None


def _malformed(name: str, message: str) -> Finding:
    return finding("checkpoint-malformed", name, f"not as PyTorch writes checkpoints: {message}")
