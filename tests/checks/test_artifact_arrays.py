"""Arrays of NumPy: in .npy and .npz, in pickles, raw between joblib's opcodes, and compressed. Both ways."""

# ruff: noqa: TID253
from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import struct
import zlib
from pathlib import Path

import joblib
import lz4.frame
import numpy as np
import pytest

from pratique.checking import Finding
from pratique.checks.artifact import inflating
from tests.checks.pickling import call, look, look_at, name, stream, text

COMMAND = stream(call(name("posix", "system"), text("true")))
DTYPE = name("numpy", "dtype")
TYPES = (
    "f8", ">f4", "i1", "u2", "?", "c16", "U5", "S3", "M8[ns]", "m8[s]", "V4", "O", [("a", "f8"), ("b", "i4", (2,))],
    [("t", "U3"), ("in", [("x", "u1")])], ("f8", (2,)),
)  # fmt: skip


def said(found: list[Finding]) -> str:
    return " | ".join(f"{one.rule}: {one.where}: {one.message}" for one in found)


def written(tmp_path: Path, file: str, data: bytes) -> list[Finding]:
    (tmp_path / file).write_bytes(data)
    return look_at(tmp_path / file)


# --- in pickles ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", TYPES)
def test_honest_arrays_and_types(kind: object, protocol: int) -> None:
    dtype = np.dtype(kind)  # type: ignore[call-overload]
    array = np.zeros((2, 3), dtype)
    values = [dtype, array, array.T, array[:0], np.asfortranarray(array), {"a": array, "b": [array]}]
    assert look(pickle.dumps(values, protocol), ["numpy"]) == []


@pytest.mark.parametrize("protocol", range(2, 6))
def test_honest_numbers_masks_and_dice(protocol: int) -> None:
    values = [np.float32(1), np.int64(2), np.str_("a"), np.bool_(True), np.ma.masked_array([1, 2], [0, 1]), np.float64]
    values += [np.random.RandomState(1), np.random.default_rng(1), np.random.MT19937(3), np.log1p]
    assert look(pickle.dumps(values, protocol), ["numpy"]) == []


def dtype(code: str, *state: bytes, copy: bytes = b"\x88") -> bytes:
    return call(DTYPE, text(code), b"\x89", copy) + (b"(" + b"".join(state) + b"tb" if state else b"")


def state(
    order: str = "<", base: bytes = b"N", names: bytes = b"N", fields: bytes = b"N", size: int = -1, flags: int = 0
) -> tuple[bytes, ...]:
    return b"K\3", text(order), base, names, fields, _int(size), _int(-1), _int(flags)


def _int(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (dtype("f8", *state(flags=63)), "flags that do not belong"),  # numbers as pointers
        (dtype("f8", *state(flags=1)), "flags that do not belong"),
        (dtype("O8", *state("|", flags=0)), "flags that do not belong"),  # pointers that nobody counts
        (dtype("f8", *state(size=80)), "another size than its code"),
        (dtype("f8", *state(), copy=b"\x89"), "without asking for a copy"),
        (dtype("f8", *state("?")), "no known byte order"),
        (dtype("f8", *state(names=b"(" + text("a") + b"t", fields=b"}")), "fields, which its code has not"),
        (
            dtype("V8", *state("|", names=b"(" + text("a") + b"t", fields=b"}" + text("a") + b"(" + dtype("f8") + b"K\4ts")),
            "outside of it",
        ),
        (
            dtype("V8", *state("|", names=b"(" + text("a") + b"t", fields=b"}" + text("a") + b"(" + dtype("O8") + b"K\0ts")),
            "references among",
        ),
        (dtype("V8", *state("|", base=b"(" + dtype("f8") + b"(K\2tt")), "does not fill it"),
        (dtype("X8"), "no known code"),
        (dtype("8f8,O"), "no known code"),
        (dtype("f8", b"K\3"), "not laid out"),
        (call(name("numpy._core.multiarray", "scalar"), dtype("O8"), b"C\x01N"), "a type of numbers and its bytes"),
        (
            call(name("numpy._core.multiarray", "_reconstruct"), name("numpy", "ndarray"), b"(K\x40K\x40t", b"C\1b"),
            "the shape (0,)",
        ),
        (call(name("numpy._core.multiarray", "_reconstruct"), name("posix", "system"), b"(K\0t", b"C\1b"), "os.system"),
        (call(name("numpy._core", "_ufunc_reconstruct"), text("os"), text("system")), "_ufunc_reconstruct"),
        (
            call(name("numpy._core.numeric", "_frombuffer"), b"C\x08aaaaaaaa", dtype("O8"), b"(K\1t", text("C")),
            "a type of numbers",
        ),
    ],
)
def test_types_and_arrays_that_would_fool_compiled_code(body: bytes, says: str) -> None:
    assert says in said(look(stream(body))), said(look(stream(body)))


def array_state(count: int, kind: bytes, last: bytes) -> bytes:
    made = call(name("numpy._core.multiarray", "_reconstruct"), name("numpy", "ndarray"), b"(K\0t", b"C\1b")
    return made + b"(K\1(" + _int(count) + b"t" + kind + b"\x89" + last + b"tb"


def test_an_array_of_another_size_than_it_says() -> None:
    assert look(stream(array_state(1, dtype("f8", *state()), b"C\x08aaaaaaaa"))) == []
    assert "8 bytes, where its shape and type take 16" in said(
        look(stream(array_state(2, dtype("f8", *state()), b"C\x08aaaaaaaa")))
    )
    assert "not what its type says" in said(look(stream(array_state(1, dtype("O8", *state("|", flags=63)), b"C\x08aaaaaaaa"))))
    assert "natural numbers" in said(look(stream(array_state(-1, dtype("f8", *state()), b"C\x08aaaaaaaa"))))


# --- joblib --------------------------------------------------------------------------------------------------------------


def dumped(value: object, compress: object = 0) -> bytes:
    file = io.BytesIO()
    joblib.dump(value, file, compress=compress)
    return file.getvalue()


HONEST = {
    "a": np.arange(600.0).reshape(20, 30),
    "b": [np.zeros(0), np.array(["x", None], object)],
    "c": np.asfortranarray(np.eye(3)),
}


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("lzma", 3), ("xz", 3), ("lz4", 3)])
def test_honest_files_of_joblib(tmp_path: Path, compress: object) -> None:
    data = dumped(HONEST, compress)
    assert written(tmp_path, "a.joblib", data) == []
    assert "joblib.numpy_pickle.NumpyArrayWrapper" in said(look_at(tmp_path / "a.joblib", ["numpy"]))


def test_a_command_behind_a_raw_array(tmp_path: Path) -> None:
    """Readers of opcodes stumble over the array and stop there."""
    data = dumped([np.arange(100.0)])
    behind = data[:-2] + COMMAND[2:-1] + data[-2:]
    assert "os.system" in said(written(tmp_path, "a.joblib", behind))


def test_a_command_in_the_raw_array(tmp_path: Path) -> None:
    """joblib reads numbers there, `pickle.load` reads opcodes: the file is two programs."""
    body = COMMAND[2:]
    padded = np.frombuffer(body + b"\0" * (64 - len(body)), np.uint8)
    fields = [text(one) for one in ("subclass", "shape", "order", "dtype", "allow_mmap", "numpy_array_alignment_bytes")]
    values = [name("numpy", "ndarray"), b"K\x40\x85", text("C"), dtype("u1", *state("|")), b"\x88", b"N"]
    wrapper = name("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81}("
    wrapper += b"".join(key + value for key, value in zip(fields, values, strict=True)) + b"ub"
    trick = stream(wrapper + padded.tobytes())
    assert joblib.load(io.BytesIO(trick)).tobytes() == padded.tobytes()
    assert "os.system" in said(written(tmp_path, "a.joblib", trick))
    honest = stream(wrapper + b"\0" * 64)
    assert written(tmp_path, "a.joblib", honest) == []
    for broken in (honest[:-30], stream(wrapper.replace(b"K\x40\x85", _int(-1) + b"\x85") + b"\0" * 64)):
        assert written(tmp_path, "a.joblib", broken) != []


def test_a_command_in_an_array_of_objects(tmp_path: Path) -> None:
    data = dumped(np.array([1, "marker"], object))
    assert written(tmp_path, "a.joblib", data) == []
    inner = pickle.dumps(np.array([1, "marker"], object), 5)
    assert inner in data
    assert "os.system" in said(written(tmp_path, "a.joblib", data.replace(inner, COMMAND)))


@pytest.mark.parametrize(
    "squeeze",
    [
        zlib.compress,
        gzip.compress,
        bz2.compress,
        lzma.compress,
        lz4.frame.compress,
        lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    ],
)
def test_a_command_in_a_compressed_file(tmp_path: Path, squeeze: object) -> None:
    assert callable(squeeze)
    assert "os.system" in said(written(tmp_path, "a.joblib", squeeze(COMMAND)))
    assert written(tmp_path, "a.joblib", squeeze(pickle.dumps([1, 2]))) == []
    for trick in (
        squeeze(pickle.dumps([1])) + b"x",
        squeeze(pickle.dumps([1])) + squeeze(COMMAND),
        squeeze(pickle.dumps([1]))[:-3],
    ):
        assert written(tmp_path, "a.joblib", trick), "something behind its end, or none"
    assert "inside it is" in said(written(tmp_path, "a.gz", squeeze(squeeze(pickle.dumps([1])))))


@pytest.mark.parametrize("squeeze", [zlib.compress, bz2.compress, lzma.compress, lz4.frame.compress])
def test_a_decompression_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, squeeze: object) -> None:
    assert callable(squeeze)
    monkeypatch.setattr(inflating, "FREE", 1 << 20)
    assert "decompression bomb" in said(written(tmp_path, "a.joblib", squeeze(b"\x80\x04B\0\0\0\1" + b"\0" * (1 << 24) + b".")))


# --- files of arrays -----------------------------------------------------------------------------------------------------


def npy(array: object) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.parametrize("kind", TYPES)
def test_honest_files_of_arrays(tmp_path: Path, kind: object) -> None:
    array = np.zeros((2, 3), np.dtype(kind))  # type: ignore[call-overload]
    assert written(tmp_path, "a.npy", npy(array)) == []
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, a=array, b=array[:0])
        assert written(tmp_path, "a.npz", file.getvalue()) == []


def header(word: bytes, data: bytes, version: bytes = b"\1\0") -> bytes:
    word += b" " * (-len(word) % 64) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H" if version == b"\1\0" else "<I", len(word)) + word + data


PLAIN = b"{'descr': '%s', 'fortran_order': False, 'shape': (1,), }"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (header(PLAIN % b"|O", COMMAND), "os.system"),
        (header(PLAIN % b"|O", COMMAND, b"\3\0"), "os.system"),
        (header(b"{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,)}", COMMAND), "os.system"),
        (header(PLAIN % b"|O", pickle.dumps([1]) + COMMAND), "bytes behind the pickle"),
        (header(PLAIN % b"<f8", b"\0" * 8 + COMMAND), "bytes behind its header"),
        (header(PLAIN % b"<f8", b"\0" * 7), "bytes behind its header"),
        (header(PLAIN % b"<q9", b"\0" * 8), "not known here"),
        (header(b"__import__('os').system('true')", b""), "no literal"),
        (header(b"[" * 500, b""), "no literal"),
        (header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}", b""), "is none"),
        (header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'x': 1}", b"\0" * 8), "just descr"),
        (header(b" " * 20_000, b"", b"\2\0"), "a header of"),
        (header(PLAIN % b"<f8", b"\0" * 8, b"\7\0"), "version"),
        (b"\x93NUMPY\1\0", "version"),
    ],
)
def test_files_of_arrays_that_are_none(tmp_path: Path, data: bytes, says: str) -> None:
    assert says in said(written(tmp_path, "a.npy", data)), said(look_at(tmp_path / "a.npy"))
