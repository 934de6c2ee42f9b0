"""JSON from strangers, JSON that we sign, and strangers' words on a terminal.

`parse` refuses what lets two parsers read two different documents from the same bytes (duplicate keys, NaN, invalid UTF-8,
half a surrogate pair) and what lets a small file cost a lot (size, nesting). `canonical` writes the one form whose digest we
quote: sorted keys, no spaces, UTF-8 (RFC 8785 for the strings, integers and shortest floats that we use). `plain` is what a
terminal only prints.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from datetime import timedelta
from typing import Any

from pratique.errors import Malformed

MAX_BYTES = 32 << 20
"""An OMS signature over 100,000 files is 24 MB; nothing that we read needs more."""
MAX_DEPTH = 64
"""in-toto statements nest about ten levels; CPython's C scanner overflows its stack near a few thousand."""

_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ACTIVE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""What a terminal acts on, or what turns the order of letters around (https://trojansource.codes)."""


def parse(data: bytes, *, what: str, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """Read one JSON document strictly.

    Raises:
        Malformed: too large, too deep, not UTF-8, not JSON, a key twice in one object, NaN/Infinity, or half a character.
    """
    if len(data) > max_bytes:
        raise Malformed(f"{what} is {len(data):,} bytes; at most {max_bytes:,} are read", rule="too-large")
    _refuse_depth(data, what, max_depth)
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_no_twins, parse_constant=_no_constant, parse_float=_finite)
        if b"\\u" in data and _SURROGATE.search(json.dumps(value, ensure_ascii=False)):
            raise ValueError("it holds half of a surrogate pair, which no UTF-8 text can")
        return value
    except RecursionError as error:
        raise Malformed(f"{what} is nested too deeply", rule="too-deep") from error
    except _Twice as error:
        raise Malformed(f"{what} is not valid JSON: {error}", rule="key-twice") from error
    except ValueError as error:
        raise Malformed(f"{what} is not valid JSON: {error}") from error


def canonical(value: Any) -> bytes:
    """The one serialisation whose digest we quote."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def plain(text: str) -> str:
    """The text with whatever a terminal acts on as an escape; it keeps its lines."""
    return _ACTIVE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def line(text: str) -> str:
    """Like `plain`, and in one line: a message that quotes a stranger cannot pass for two of ours."""
    return plain(text).replace("\n", "\\n")


def short(text: str, width: int = 500) -> str:
    """One line of at most `width` characters, without control characters: for logs, and for what is read at a glance."""
    one = " ".join(_ACTIVE.sub(" ", text).split())
    return one if len(one) <= width else one[: width - 1] + "…"


def many(count: int, noun: str) -> str:
    """`1 file`, `1,234 files`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def lasting(span: timedelta) -> str:
    """A time in words: `7 days`, `1 day 12 hours`, `90 seconds` as `1 minute 30 seconds`."""
    minutes, seconds = divmod(span.seconds, 60)
    parts = ((span.days, "day"), (minutes // 60, "hour"), (minutes % 60, "minute"), (seconds, "second"))
    return " ".join(many(count, noun) for count, noun in parts if count) or "no time"


def sha256(data: bytes) -> str:
    """`sha256:<hex>` of some bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


class _Twice(ValueError):
    """Two parsers may take two different values for one key."""


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twin = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Twice(f"key {twin[:80]!r} appears twice in one object")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits[:20]} is more than a number can hold")
    return value


def _refuse_depth(data: bytes, what: str, max_depth: int) -> None:
    if data.count(b"[") + data.count(b"{") <= max_depth:
        return
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(data):
        first = data[found.start()]
        if first != 0x22:
            depth += 1 if first in b"[{" else -1
            if depth > max_depth:
                raise Malformed(f"{what} is nested more than {max_depth} levels deep", rule="too-deep")
