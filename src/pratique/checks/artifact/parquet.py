"""Parquet: the magic at both ends, a footer that lies within the file, and no Python objects declared in it.

The footer (Thrift) and the pages are not decoded: what a column holds, and whether a reader survives it, is not seen here.

Format: https://parquet.apache.org/docs/file-format/. Python objects: Arrow's `arrow.py_extension_type` makes pyarrow before
14.0.1 unpickle what stands in the schema (CVE-2023-47248). The schema travels in base64.
"""

from __future__ import annotations

import base64
import re

from pratique.checks.artifact.rules import finding
from pratique.checks.artifact.viewing import Bytes, Sight, View
from pratique.errors import Malformed

MAGIC = b"PAR1"

MAX_FOOTER = 64 << 20
"""Bytes. A footer of a few MB describes thousands of columns."""

_SMALLEST = 12
"""Two magics and the footer's length."""

_PYTHON = b"arrow.py_extension_type"
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{40,}={0,2}")


def look(view: View) -> Sight:
    """Hold a file against the outline of the format."""
    try:
        footer = _footer(view.data)
    except Malformed as error:
        return Sight(findings=(finding("parquet-malformed", view.name, f"not a proper Parquet file: {error}"),))
    if _declares_python(footer):
        message = f"its schema declares {_PYTHON.decode()}: pyarrow before 14.0.1 unpickles what stands beside it"
        return Sight(findings=(finding("parquet-python-object", view.name, message),))
    return Sight()


def _footer(data: Bytes) -> bytes:
    if len(data) < _SMALLEST or data[:4] != MAGIC or data[-4:] != MAGIC:
        raise Malformed("it does not begin and end with PAR1")
    length = int.from_bytes(data[-8:-4], "little")
    if not 0 < length <= min(len(data) - _SMALLEST, MAX_FOOTER):
        raise Malformed(f"it claims a footer of {length:,} bytes, in a file of {len(data):,}")
    return data[-8 - length : -8]


def _declares_python(footer: bytes) -> bool:
    if _PYTHON in footer:
        return True
    blobs = (match[0].rstrip(b"=") for match in _BASE64.finditer(footer))
    # A word in front of the schema may look like base64, too: try every alignment.
    return any(_PYTHON in _decoded(blob[shift:]) for blob in blobs for shift in range(4))


def _decoded(blob: bytes) -> bytes:
    return base64.b64decode(blob[: len(blob) // 4 * 4])
