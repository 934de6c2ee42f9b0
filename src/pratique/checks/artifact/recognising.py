"""What a file is, by its content. Its name is only a claim (see `naming`)."""

from __future__ import annotations

from typing import NamedTuple

from pratique.checks.artifact import (
    archives,
    arrays,
    bundles,
    gguf,
    hdf5,
    inflating,
    onnx,
    parquet,
    pickles,
    savedmodel,
    tensors,
    texts,
    tflite,
    torches,
)
from pratique.checks.artifact.viewing import Bytes

_HEAD = 1 << 16
"""Bytes by which text is told from anything else; a text is read to its end later."""


class Format(NamedTuple):
    """What a file is."""

    name: str
    """safetensors, parquet, pickle, torch, npy, gguf, hdf5, onnx, savedmodel, bundle, tflite, text, archive, tar, compressed,
    native, other, empty or unknown."""

    noun: str
    """For people."""


SAFETENSORS = Format("safetensors", "safetensors")
PARQUET = Format("parquet", "Parquet")
PICKLE = Format("pickle", "a pickle")
TORCH = Format("torch", "a PyTorch checkpoint of before 1.6")
NPY = Format("npy", "a NumPy array")
GGUF = Format("gguf", "a GGUF model")
HDF5 = Format("hdf5", "an HDF5 file (Keras .h5)")
SAVEDMODEL = Format("savedmodel", "a SavedModel of TensorFlow")
BUNDLE = Format("bundle", "an index of TensorFlow's variables")
TFLITE = Format("tflite", "a TensorFlow Lite model")
ONNX = Format("onnx", "an ONNX model")
TEXT = Format("text", "text")
ARCHIVE = Format("archive", "a zip archive")
TAR = Format("tar", "a tar archive")
EMPTY = Format("empty", "empty")
UNKNOWN = Format("unknown", "of no known format")

_NATIVE: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x7fELF", "an ELF program or library"),
    (0, b"MZ", "a Windows program or library"),
    (0, b"\xfe\xed\xfa\xce", "a Mach-O program or library"),
    (0, b"\xfe\xed\xfa\xcf", "a Mach-O program or library"),
    (0, b"\xce\xfa\xed\xfe", "a Mach-O program or library"),
    (0, b"\xcf\xfa\xed\xfe", "a Mach-O program or library"),
    (0, b"\xca\xfe\xba\xbe", "a Mach-O program or a Java class"),
    (0, b"\xca\xfe\xba\xbf", "a Mach-O program of 64 bits"),
    (0, b"!<arch>\n", "a library of object files, or a Debian package"),
    (0, b"\x1bLua", "compiled Lua"),
    (0, b"\x50\xed\x55\xba", "a program for a GPU (CUDA)"),
    (0, b"\x03\x02\x23\x07", "a program for a GPU (SPIR-V)"),
    (0, b"L\x00\x00\x00\x01\x14\x02\x00", "a Windows shortcut"),
    (0, b"\x00asm", "a WebAssembly module"),
    (0, b"BC\xc0\xde", "LLVM bitcode"),
    (0, b"dex\n", "an Android program"),
    (1, b"\r\r\n", "compiled Python"),
)
"""Code for a machine, real or virtual: offset, magic, noun."""

_OTHER: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PARE", "encrypted Parquet"),
    (0, b"ARROW1", "an Arrow file"),
    (0, b"ORC", "an ORC table"),
    (0, b"Obj\x01", "an Avro table"),
    (0, b"SQLite format 3\x00", "a SQLite database"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"%PDF-", "a PDF document"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"GIF8", "a GIF image"),
    (0, b"RIFF", "a RIFF file (WebP, WAV)"),
    (0, b"\xff\xfe", "text in UTF-16"),
    (0, b"\xfe\xff", "text in UTF-16"),
)
"""Formats that are known by name and not vouched for: offset, magic, noun."""


def recognise(data: Bytes) -> Format:
    """Name a file's format.

    Text comes before the table of magics: a README may well begin with the letters GGUF, and no GGUF file is plain text.
    """
    head = data[:_HEAD]
    if not head:
        return EMPTY
    if texts.is_plain(head):
        return PICKLE if pickles.hides_in(data) else TEXT
    if tensors.resembles(data):
        return SAFETENSORS
    if head.startswith(parquet.MAGIC):
        return PARQUET
    if head.startswith(archives.MAGICS):
        return ARCHIVE
    if torches.resembles(head):
        return TORCH
    if head.startswith(arrays.MAGIC):
        return NPY
    if head.startswith(gguf.MAGIC):
        return GGUF
    if head.startswith(hdf5.MAGIC):
        return HDF5
    if head[4:8] == tflite.MAGIC:
        return TFLITE
    if savedmodel.resembles(head):
        return SAVEDMODEL
    if bundles.resembles(data):
        return BUNDLE
    if onnx.resembles(head):
        return ONNX
    if head[257:262] == b"ustar":
        return TAR
    if method := inflating.method(head):
        return Format("compressed", f"compressed with {method}{' (joblib)' if method == 'zlib' else ''}")
    for name, table in (("native", _NATIVE), ("other", _OTHER)):
        for at, magic, noun in table:
            if head.startswith(magic, at):
                return Format(name, noun)
    return PICKLE if pickles.has_header(head) or pickles.hides_in(data) else UNKNOWN
