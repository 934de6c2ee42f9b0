"""Files of raw numbers that another file of the artifact describes: external data of ONNX, shards of TensorFlow's variables.

They have no format of their own. So such a file is accepted if each of its bytes belongs to a tensor that a model in the same
artifact describes, or is one of the few zeros between two of them; if it is recognised as nothing else; and if its name claims
nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable

from pratique.checks.artifact import naming
from pratique.checks.artifact.rules import finding
from pratique.checks.artifact.viewing import Sight, View

_MAX_PADDING = 64 << 10
"""Zeros between two tensors: exporters align them to pages, or to what memory is mapped by."""


def look(view: View, spans: Iterable[tuple[int, int]]) -> Sight:
    """Hold a file against the tensors (offset, bytes) that lie in it."""
    at = 0
    for offset, size in [*sorted(spans), (view.size, 0)]:
        gap = offset - at
        if gap > 0 and (gap > _MAX_PADDING or view.data[at:offset].strip(b"\0")):
            message = f"{gap:,} bytes at byte {at:,} belong to no tensor of the model that describes this file"
            return Sight(findings=(finding("raw-data-hidden", view.name, message),))
        at = max(at, offset + size)
    if naming.claims(view.name):
        message = "its content is the raw numbers of a model's tensors, its name says otherwise"
        return Sight(findings=(finding("extension-mismatch", view.name, message),))
    return Sight()
