"""A small writer of HDF5, as h5py writes it by default, and as it does not."""

from __future__ import annotations

import struct

UNDEFINED = (1 << 64) - 1
FLOATS = b"\x11\x20\x1f\x00" + struct.pack("<IHHBBBBI", 4, 0, 32, 23, 8, 0, 23, 127)
"""The type of float32."""


def scalar() -> bytes:
    return b"\1\0\0\0" + b"\0" * 4


def space(*shape: int) -> bytes:
    return bytes([1, len(shape), 0, 0]) + b"\0" * 4 + struct.pack(f"<{len(shape)}Q", *shape)


def text_type(size: int) -> bytes:
    return b"\x13\0\0\0" + struct.pack("<I", size)


def varying_type() -> bytes:
    return b"\x19\x01\0\0" + struct.pack("<I", 16) + text_type(1)


def padded(raw: bytes) -> bytes:
    return raw + b"\0" * (-len(raw) % 8)


def message(kind: int, body: bytes, flags: int = 0) -> bytes:
    return struct.pack("<HHB3x", kind, len(padded(body)), flags) + padded(body)


def attribute(name: str, kind: bytes, shape: bytes, value: bytes) -> bytes:
    raw = name.encode() + b"\0"
    head = struct.pack("<BBHHH", 1, 0, len(raw), len(kind), len(shape))
    return message(12, head + padded(raw) + padded(kind) + padded(shape) + value)


def text(name: str, value: bytes) -> bytes:
    """An attribute that is a text of fixed length."""
    return attribute(name, text_type(len(value)), scalar(), value)


def contiguous(address: int, size: int) -> bytes:
    return message(8, struct.pack("<BBQQ", 3, 1, address, size))


class Writer:
    """A file that grows: each part is put at its end, and its address is where it begins."""

    def __init__(self) -> None:
        self.data = bytearray(96)

    def put(self, raw: bytes) -> int:
        self.data += b"\0" * (-len(self.data) % 8)
        at = len(self.data)
        self.data += raw
        return at

    def object(self, *messages: bytes, version: int = 1) -> int:
        body = b"".join(messages)
        return self.put(struct.pack("<BBHII4x", version, 0, len(messages), 1, len(body)) + body)

    def dataset(self, *more: bytes, shape: tuple[int, ...] = (2,), kind: bytes = FLOATS, layout: bytes = b"") -> int:
        where = layout or contiguous(self.put(struct.pack("<2f", 1, 2)), 8)
        return self.object(message(1, space(*shape)), message(3, kind), where, *more)

    def chunks(self, *sizes: int, shape: int = 2, filters: bytes = b"") -> int:
        """A dataset in chunks of the given sizes in the file."""
        entries = b"".join(struct.pack("<IIQQQ", size, 0, 0, 0, self.put(b"\1" * size)) for size in sizes)
        tree = self.put(b"TREE\1\0" + struct.pack("<HQQ", len(sizes), UNDEFINED, UNDEFINED) + entries)
        layout = message(8, struct.pack("<BBBQII", 3, 2, 2, tree, shape, 4))
        return self.dataset(*([filters] if filters else []), shape=(shape,), layout=layout)

    def heap(self, value: bytes) -> bytes:
        """A text in the global heap, as an attribute holds it."""
        raw = struct.pack("<HHIQ", 1, 1, 0, len(value)) + padded(value)
        at = self.put(b"GCOL\1\0\0\0" + struct.pack("<Q", 16 + len(raw)) + raw)
        return struct.pack("<IQI", len(value), at, 1)

    def group(self, children: dict[str, int], *messages: bytes, kind: int = 0, siblings: int = UNDEFINED) -> int:
        names, offsets = bytearray(8), {}
        for name in children:
            offsets[name] = len(names)
            names += padded(name.encode() + b"\0")
        heap = self.put(b"HEAP\0\0\0\0" + struct.pack("<QQQ", len(names), UNDEFINED, self.put(bytes(names))))
        entries = b"".join(struct.pack("<QQII16x", offsets[name], at, kind, 0) for name, at in children.items())
        leaf = self.put(b"SNOD\1\0" + struct.pack("<H", len(children)) + entries)
        tree = self.put(b"TREE\0\0" + struct.pack("<HQQQQQ", 1, siblings, siblings, 0, leaf, 8))
        return self.object(message(17, struct.pack("<QQ", tree, heap)), *messages)

    def file(self, root: int, *, base: int = 0, driver: int = UNDEFINED, version: int = 0, behind: bytes = b"") -> bytes:
        head = b"\x89HDF\r\n\x1a\n" + bytes([version, 0, 0, 0, 0, 8, 8, 0]) + struct.pack("<HHI", 4, 16, 0)
        head += struct.pack("<QQQQ", base, UNDEFINED, len(self.data), driver)
        self.data[:96] = head + struct.pack("<QQII16x", 0, root, 0, 0)
        return bytes(self.data) + behind
