"""The Merkle tree of RFC 6962, section 2.1, over SHA-256, and proofs that some leaves are in it.

    levels = build([leaf(b"a"), leaf(b"b"), leaf(b"c")])
    hashes = prove(levels, [1])                     # what is missing to compute the root from leaf 1
    root(3, {1: leaf(b"b")}, hashes) == levels[-1][0]

Leaves and nodes are hashed under different prefixes (0x00, 0x01), so that no node passes for a leaf. One leaf, a window of them
or any set has one proof: in the order of a walk from the left, the hash of each subtree that holds none of them. For one leaf
these are the hashes of RFC 6962's audit path. The number of leaves is no part of the root: whoever signs a root signs it too.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pratique.errors import Malformed

Levels = Sequence[Sequence[bytes]]
"""The leaves' hashes first, the root alone last."""


def leaf(data: bytes) -> bytes:
    """The hash of one leaf."""
    return hashlib.sha256(b"\0" + data).digest()


def build(leaves: Sequence[bytes]) -> Levels:
    """Every level of the tree over at least one leaf. An odd last node is carried up as it is, which makes RFC 6962's tree."""
    levels = [leaves]
    while len(levels[-1]) > 1:
        below = levels[-1]
        above = [_node(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)]
        levels.append([*above, below[-1]] if len(below) % 2 else above)
    return levels


def prove(levels: Levels, wanted: Iterable[int]) -> list[bytes]:
    """The hashes that lead from some leaves (by their number, from 0) to the root."""
    return list(_siblings(levels, sorted(set(wanted)), 0, len(levels[0])))


def root(count: int, known: Mapping[int, bytes], hashes: Sequence[bytes]) -> bytes:
    """The root of the tree of `count` leaves that some leaves and the hashes of a proof make.

    Raises:
        Malformed: a leaf outside of the tree, or more or fewer hashes than the proof needs.
    """
    order = sorted(known)
    if not order or order[0] < 0 or order[-1] >= count:
        raise Malformed("the proof is about files outside of the tree")
    left = iter(hashes)
    found = _climb(order, known, left, 0, count)
    if next(left, None) is not None:
        raise Malformed("the proof holds more hashes than it needs")
    return found


def _siblings(levels: Levels, wanted: list[int], start: int, end: int) -> Iterator[bytes]:
    if not _any(wanted, start, end):
        height = (end - start - 1).bit_length()
        yield levels[height][start >> height]
    elif end - start > 1:
        middle = start + _half(end - start)
        yield from _siblings(levels, wanted, start, middle)
        yield from _siblings(levels, wanted, middle, end)


def _climb(order: list[int], known: Mapping[int, bytes], hashes: Iterator[bytes], start: int, end: int) -> bytes:
    if not _any(order, start, end):
        found = next(hashes, None)
        if found is None:
            raise Malformed("the proof holds fewer hashes than it needs")
        return found
    if end - start == 1:
        return known[start]
    middle = start + _half(end - start)
    left = _climb(order, known, hashes, start, middle)
    return _node(left, _climb(order, known, hashes, middle, end))


def _any(order: list[int], start: int, end: int) -> bool:
    at = bisect_left(order, start)
    return at < len(order) and order[at] < end


def _half(count: int) -> int:
    """The largest power of two that is smaller than this."""
    return 1 << ((count - 1).bit_length() - 1)


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
