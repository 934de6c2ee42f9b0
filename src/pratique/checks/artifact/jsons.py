"""JSON and JSON Lines: parsed strictly, bounded, and searched for keys that make a library run code."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from pratique import documents
from pratique.checking import Finding
from pratique.checks.artifact import references
from pratique.checks.artifact.rules import finding
from pratique.checks.artifact.viewing import Bytes, Sight, View
from pratique.errors import Malformed

MAX_LINE = 1 << 20
"""Bytes of one line of JSON Lines."""

ENOUGH = 100
"""Findings after which a file is not read on."""


def look(view: View, *, max_bytes: int, vetted: bool = False) -> Sight:
    """One document. Chat templates in it are refused, or `vetted`."""
    try:
        if view.size > max_bytes:
            raise Malformed(f"it is {view.size:,} bytes long; {max_bytes:,} are allowed")
        document = documents.parse(view.data[:], what="the document", max_bytes=max_bytes)
    except Malformed as error:
        return Sight(findings=(_malformed(view.name, str(error)),))
    return Sight(findings=tuple(islice(references.find(document, view.name, vetted=vetted), ENOUGH)))


def look_at_lines(view: View) -> Sight:
    """One document a line. The first line that is not JSON ends the look, as do a hundred findings: it is refused anyway."""
    findings: list[Finding] = []
    for number, line in enumerate(_lines(view.data), 1):
        try:
            document = documents.parse(line, what=f"line {number:,}", max_bytes=MAX_LINE) if line.strip() else None
        except Malformed as error:
            findings.append(_malformed(view.name, str(error)))
            break
        findings += references.find(document, f"{view.name}, line {number:,}")
        if len(findings) >= ENOUGH:
            break
    return Sight(findings=tuple(findings))


def _lines(data: Bytes) -> Iterator[bytes]:
    start, size = 0, len(data)
    while start < size:
        end = data.find(b"\n", start, start + MAX_LINE + 1)
        if end < 0:
            end = min(size, start + MAX_LINE + 1)  # one byte too many, for the parser to refuse
        yield data[start:end]
        start = end + 1


def _malformed(name: str, message: str) -> Finding:
    return finding("json-malformed", name, f"JSON that cannot be read, or not in one way only: {message}")
