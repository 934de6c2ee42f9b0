"""Compressed pickles, as joblib and people with gzip write them: inflated into a file of no name, within bounds.

A file is one stream of one method, from its first byte to its last. What is inflated may take 64 MiB, or two hundred times what
it takes compressed, and 16 GiB in all: what is more is a bomb.
"""

from __future__ import annotations

import bz2
import lzma
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from pratique.checks.artifact.viewing import Bytes, View, mapped
from pratique.errors import Malformed

FREE = 64 << 20
MAX_RATIO = 200
MAX_INFLATED = 16 << 30

_BLOCK = 1 << 20
_MAX_LZMA = 128 << 20
"""Memory that a decompressor of LZMA may take: its strongest preset asks for 65 MiB."""


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class _Zlib:
    """zlib's decompressor with the face of the other two."""

    def __init__(self, bits: int) -> None:
        self._inner = zlib.decompressobj(bits)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


class _Lz4:
    """The decompressor of the library that joblib uses, with the same face. Python has none of its own."""

    def __init__(self) -> None:
        try:
            from lz4.frame import LZ4FrameDecompressor
        except ImportError as error:
            hint = "pip install 'pratique[lz4]'"
            raise Malformed(f"it is compressed with LZ4, and the package lz4 is not installed: {hint}") from error
        self._inner = LZ4FrameDecompressor()

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data or b""

    @property
    def needs_input(self) -> bool:
        return bool(self._inner.needs_input)

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        return bytes(self._inner.decompress(data, max_length))


def method(head: bytes) -> str:
    """How a file that begins like this is compressed; '' if it is not, or not in a way that is read here."""
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head.startswith(b"BZh"):
        return "bzip2"
    if head.startswith(b"\xfd7zXZ\x00"):
        return "xz"
    if head.startswith(b"\x5d\x00\x00"):
        return "LZMA"
    if head.startswith(b"\x04\x22\x4d\x18"):
        return "LZ4"
    return "zlib" if head[:2] in (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda") else ""


@contextmanager
def inflated(view: View, most: int = MAX_INFLATED) -> Iterator[View]:
    """The file inside, of at most so many bytes.

    Raises:
        Malformed: it cannot be inflated, grows beyond its bounds, or goes on behind its end.
    """
    with tempfile.TemporaryFile(prefix="pratique-") as file:
        for block in _blocks(view.data, _inflater(method(view.data[:8])), most):
            file.write(block)
        file.flush()
        with mapped(file) as data:
            yield View(name=view.name, path=view.path, data=data)


def _inflater(name: str) -> _Inflater:
    if name == "gzip":
        return _Zlib(31)
    if name == "zlib":
        return _Zlib(15)
    if name == "bzip2":
        return bz2.BZ2Decompressor()
    if name == "LZ4":
        return _Lz4()
    form = lzma.FORMAT_XZ if name == "xz" else lzma.FORMAT_ALONE
    return lzma.LZMADecompressor(form, memlimit=_MAX_LZMA)


def _blocks(data: Bytes, inflater: _Inflater, most: int) -> Iterator[bytes]:
    most = min(most, MAX_INFLATED, max(FREE, MAX_RATIO * len(data)))
    at = size = 0
    try:
        while not inflater.eof:
            given = data[at : at + _BLOCK] if inflater.needs_input else b""
            at += len(given)
            block = inflater.decompress(given, _BLOCK)
            if not block and not given and at >= len(data) and not inflater.eof:
                raise Malformed("its end is missing")
            size += len(block)
            if size > most:
                raise Malformed(f"it takes more than {most:,} bytes inflated: a decompression bomb")
            yield block
    except (OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError) as error:
        raise Malformed("it cannot be inflated") from error
    behind = len(inflater.unused_data) + len(data) - at
    if behind:
        raise Malformed(f"{behind:,} bytes follow its end")
