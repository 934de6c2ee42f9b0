"""Pickles: plain data passes, a global does not. There is no list of bad names: any import is code of somebody's choice."""

from __future__ import annotations

from collections.abc import Iterator

from pratique.checking import Finding
from pratique.checks.artifact import machine
from pratique.checks.artifact.opcodes import HIGHEST_PROTOCOL
from pratique.checks.artifact.rules import finding
from pratique.checks.artifact.values import Reading, Use
from pratique.checks.artifact.viewing import Bytes, Sight, View, shown

MAX_STREAMS = 8
"""Legacy PyTorch files are five pickles in a row, with tensors behind them."""

_PLAINER = {"posix": "os", "nt": "os", "__builtin__": "builtins", "copy_reg": "copyreg"}
"""Names that pickles use for modules which people know by another."""

_DEEDS = {
    "REDUCE": "calls it",
    "INST": "calls it",
    "OBJ": "calls it",
    "NEWOBJ": "makes an instance of it",
    "NEWOBJ_EX": "makes an instance of it",
    "BUILD": "sets the state of what it returned",
}


def look(view: View) -> Sight:
    """Read a pickle, and whatever pickles stand behind it in the same file."""
    readings = list(streams(view.data))
    findings = [_global(view.name, use) for reading in readings for use in reading.uses]
    findings += _faults(view.name, readings[0])
    end = readings[0].end
    if end is not None and end < view.size:
        findings.append(_malformed(view.name, end, f"{view.size - end:,} bytes follow the end of the pickle"))
    return Sight(findings=tuple(findings), counts={"pickle_globals": sum(reading.used for reading in readings)})


def streams(data: Bytes) -> Iterator[Reading]:
    """Read pickles one after another for as long as each ends where the next can begin. The first is always there."""
    start = 0
    for _ in range(MAX_STREAMS):
        reading = machine.read(data, start)
        yield reading
        if reading.end is None or reading.end >= len(data):
            return
        start = reading.end


def has_header(data: Bytes) -> bool:
    """Whether the file begins like a pickle of protocol 2 or later."""
    return len(data) > 2 and data[0] == 0x80 and 2 <= data[1] <= HIGHEST_PROTOCOL


def hides_in(data: Bytes) -> bool:
    """Whether a loader of pickles would do something with these bytes, whatever else they are.

    Protocols 0 and 1 have no header, and their opcodes are letters. Ordinary bytes stop making sense as a pickle after an
    opcode or two; what calls a global on the way, makes sense for as long as we care to read, or is a whole pickle to the
    last byte, is no accident.
    """
    for count, reading in enumerate(streams(data), 1):
        calls = any(use.actions and _could_be(use) for use in reading.uses)
        if calls or reading.given_up or reading.end == len(data) or (count == MAX_STREAMS and reading.end):
            return True
    return False


def plain_name(use: Use) -> str:
    """A global as people know it: os.system, where the pickle says posix.system."""
    return shown(f"{_PLAINER.get(use.module, use.module)}.{use.name}")


def _could_be(use: Use) -> bool:
    return all(part.isidentifier() for part in f"{use.module}.{use.name}".split(".")) or use.module.startswith("(")


def _global(name: str, use: Use) -> Finding:
    what = plain_name(use)
    alias = f" (as {use.module})" if use.module in _PLAINER else ""
    if use.actions:
        first = use.actions[0]
        place = "and" if first.position == use.position else f"{first.opcode} at byte {first.position:,}"
        deed = _DEEDS.get(first.opcode, "uses it")
        message = f"loading this pickle runs {what}: {use.opcode} imports it{alias}, {place} {deed}"
    else:
        message = (
            f"loading this pickle imports {what}: {use.opcode} puts it{alias} among the values, where later code may call it"
        )
    return finding("pickle-global", f"{name}, byte {use.position:,}", message)


def _faults(name: str, reading: Reading) -> list[Finding]:
    found = [_malformed(name, fault.position, fault.message) for fault in reading.faults]
    if reading.faulty > len(found):
        found.append(_malformed(name, reading.faults[-1].position, f"and {reading.faulty - len(found):,} more such faults"))
    return found


def _malformed(name: str, position: int, message: str) -> Finding:
    return finding("pickle-malformed", f"{name}, byte {position:,}", f"not as a pickler writes it: {message}")
