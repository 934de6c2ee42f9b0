"""Plain text: UTF-8, no control characters, a bounded size; and tables as text with bounded lines.

Files are read in blocks, so their size costs time and no memory. What a text says is not looked at.
"""

from __future__ import annotations

import codecs

from pratique.checks.artifact.rules import finding
from pratique.checks.artifact.viewing import Bytes, Sight, View
from pratique.errors import Malformed

MAX_LINE = 1 << 20
"""Bytes of one line of a table."""

_BLOCK = MAX_LINE
_CONTROLS = frozenset(range(0x20)) - {ord(c) for c in "\t\n\f\r"} | {0x7F}
_PLAIN = bytes(code for code in range(256) if code not in _CONTROLS)


def is_plain(head: bytes) -> bool:
    """Whether the beginning of a file could be text; a character may be cut off at its end."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not head.translate(None, _PLAIN)


def look(view: View, *, max_bytes: int) -> Sight:
    """Hold a file against what a text may be."""
    if view.size > max_bytes:
        return _malformed(view.name, f"it is {view.size:,} bytes long; {max_bytes:,} are allowed")
    if view.data[:2] == b"#!":
        message = "this is a script: its first line names the program that runs it"
        return Sight(findings=(finding("code-file", view.name, message),))
    return _checked(view, None)


def look_at_table(view: View) -> Sight:
    """Hold a CSV file against what text may be, and its lines against a limit. Rows and columns are not looked at."""
    return _checked(view, MAX_LINE)


def _checked(view: View, max_line: int | None) -> Sight:
    try:
        _ensure_text(view.data, max_line)
    except Malformed as error:
        return _malformed(view.name, str(error))
    return Sight()


def _ensure_text(data: Bytes, max_line: int | None) -> None:
    """Raises:
    Malformed: at the first byte that is not text, or in the first block with a line that is too long.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    line = 0
    for start in range(0, len(data), _BLOCK):
        block = data[start : start + _BLOCK]
        if controls := block.translate(None, _PLAIN):
            raise Malformed(f"byte {start + block.index(controls[:1]):,} is the control character 0x{controls[0]:02x}")
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(block, start + _BLOCK >= len(data))
        except UnicodeDecodeError as error:
            raise Malformed(f"it is not UTF-8 at byte {start - pending + error.start:,}") from error
        if max_line is not None:
            line = _line_behind(block, line, max_line)


def _line_behind(block: bytes, before: int, most: int) -> int:
    """How long the block's last line is so far, if its first one had `before` bytes in earlier blocks.

    A line within one block is short enough, because a block is no longer than the limit.
    """
    first = block.find(b"\n")
    if before + (first if first >= 0 else len(block)) > most:
        raise Malformed(f"it has a line of more than {most:,} bytes")
    return before + len(block) if first < 0 else len(block) - 1 - block.rfind(b"\n")


def _malformed(name: str, message: str) -> Sight:
    return Sight(findings=(finding("text-malformed", name, f"not plain text that is read here: {message}"),))
