"""A Merkle tree that grows, and its inclusion proofs (RFC 9162, 2.1)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tree:
    """The leaves of a log, in order."""

    leaves: list[bytes] = field(default_factory=list)

    def add(self, body: bytes) -> int:
        """Append an entry; returns its index."""
        self.leaves.append(hashlib.sha256(b"\x00" + body).digest())
        return len(self.leaves) - 1

    def root(self) -> bytes:
        """The hash of everything."""
        return _root(self.leaves)

    def proof(self, index: int) -> list[bytes]:
        """What leads from an entry to the root."""
        return _proof(index, self.leaves)


def _root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    at = _split(len(leaves))
    return hashlib.sha256(b"\x01" + _root(leaves[:at]) + _root(leaves[at:])).digest()


def _proof(index: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    at = _split(len(leaves))
    if index < at:
        return [*_proof(index, leaves[:at]), _root(leaves[at:])]
    return [*_proof(index - at, leaves[at:]), _root(leaves[:at])]


def _split(size: int) -> int:
    """The largest power of two below a size."""
    return 1 << ((size - 1).bit_length() - 1)
