"""Pickles: plain data passes, and beside it what the policy's allow-lists name, in the roles that they name.

There is no list of bad names: any import that nobody allowed is code of somebody's choice.
"""

from __future__ import annotations

from collections.abc import Iterator

from pratique.checking import Finding
from pratique.checks.artifact import granting, machine, spelling
from pratique.checks.artifact.granting import NOTHING, Grants
from pratique.checks.artifact.opcodes import HIGHEST_PROTOCOL
from pratique.checks.artifact.rules import finding
from pratique.checks.artifact.stack import Joblib
from pratique.checks.artifact.values import Reading, Use
from pratique.checks.artifact.viewing import Bytes, Sight, View

MAX_STREAMS = 8
"""Legacy PyTorch files are five pickles in a row, with tensors behind them."""


def look(view: View, grants: Grants = NOTHING) -> Sight:
    """Read a pickle, and whatever pickles stand behind it in the same file."""
    readings = list(streams(view.data, "yes" if ".joblib" in view.name.casefold() else "perhaps"))
    findings = [one for reading in readings for one in refusals(view.name, reading, grants)]
    findings += faults(view.name, readings[0])
    findings += nested(view.name, view.data, readings[0], grants)
    end = readings[0].end
    if end is not None and end < view.size:
        findings.append(malformed(view.name, end, f"{view.size - end:,} bytes follow the end of the pickle"))
    return Sight(findings=tuple(findings), counts={"pickle_globals": sum(reading.used for reading in readings)})


def streams(data: Bytes, joblib: Joblib = "perhaps") -> Iterator[Reading]:
    """Read pickles one after another for as long as each ends where the next can begin. The first is always there."""
    start = 0
    for _ in range(MAX_STREAMS):
        reading = machine.read(data, start, joblib=joblib)
        yield reading
        if reading.end is None or reading.end >= len(data):
            return
        start = reading.end


def refusals(name: str, reading: Reading, grants: Grants, base: int = 0) -> Iterator[Finding]:
    """Every global of a stream that is not allowed, or not in the roles that it has. `base` is where offsets begin."""
    for use in reading.uses:
        missing = grants.missing(use)
        if missing:
            yield granting.refusal(f"{name}, byte {use.position - base:,}", use, missing)


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
        calls = any(use.acted and spelling.could_be(use.module, use.name) for use in reading.uses)
        if calls or reading.given_up or reading.end == len(data) or (count == MAX_STREAMS and reading.end):
            return True
    return False


def plain_name(use: Use) -> str:
    """A global as people know it: os.system, where the pickle says posix.system."""
    return spelling.plain(use.module, use.name)


def nested(name: str, data: Bytes, reading: Reading, grants: Grants) -> Iterator[Finding]:
    """What is wrong with bytes that a stream hands to a loader in turn."""
    from pratique.checks.artifact import torches

    for one in reading.nested:
        where = f"{name}, byte {one.position:,}, inside"
        yield from torches.look_inside(where, data, one.start, one.end, grants)


def faults(name: str, reading: Reading, base: int = 0) -> list[Finding]:
    """Whatever no pickler writes."""
    found = [malformed(name, fault.position - base, fault.message) for fault in reading.faults]
    if reading.faulty > len(found):
        last = reading.faults[-1].position - base
        found.append(malformed(name, last, f"and {reading.faulty - len(found):,} more such faults"))
    return found


def malformed(name: str, position: int, message: str) -> Finding:
    """A fault of form at a place."""
    return finding("pickle-malformed", f"{name}, byte {position:,}", f"not as a pickler writes it: {message}")
