"""JSON from strangers, and JSON that we sign.

`parse` refuses what lets two parsers read two different documents from the same bytes (duplicate keys, NaN, invalid UTF-8)
and what lets a small file cost a lot (size, nesting). `canonical` writes the one form whose digest we quote: sorted keys,
no spaces, UTF-8 (RFC 8785 for the strings, integers and shortest floats that we use).
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from pratique.errors import Malformed

MAX_BYTES = 32 << 20
"""An OMS signature over 100,000 files is 24 MB; nothing that we read needs more."""
MAX_DEPTH = 64
"""in-toto statements nest about ten levels; CPython's C scanner overflows its stack near a few thousand."""

_BRACKETS = re.compile(rb"[\[\]{}]")


def parse(data: bytes, *, what: str, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """Read one JSON document strictly.

    Raises:
        Malformed: too large, too deep, not UTF-8, not JSON, a key twice in one object, or NaN/Infinity.
    """
    if len(data) > max_bytes:
        raise Malformed(f"{what} is {len(data):,} bytes; at most {max_bytes:,} are read", rule="too-large")
    _refuse_depth(data, what, max_depth)
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_no_twins, parse_constant=_no_constant)
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


def plain(text: str, most: int = 300) -> str:
    """What a stranger wrote, safe to print: terminals act on control characters."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text[:most])


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
        raise _Twice(f"key {twin!r} appears twice in one object")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _refuse_depth(data: bytes, what: str, max_depth: int) -> None:
    # Without escapes, every quote opens or closes a string: the even parts are what stands outside of strings.
    outside = b"".join(data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    depth = 0
    for bracket in _BRACKETS.findall(outside):
        depth += 1 if bracket in b"[{" else -1
        if depth > max_depth:
            raise Malformed(f"{what} is nested more than {max_depth} levels deep", rule="too-deep")
