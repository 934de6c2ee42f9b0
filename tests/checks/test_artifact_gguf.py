"""GGUF: each byte belongs to a key or a tensor, and no length or count leads out of the file."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from pratique.checks.artifact import gguf
from pratique.checks.artifact.viewing import Sight, View

from .test_artifact import rules

ARCHITECTURE = ("general.architecture", 8, "llama")
EVIL = "{{ ().__class__ }}"


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def key(name: str, kind: int, value: str | bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + (text(value) if kind == 8 else bytes(value))  # type: ignore[arg-type]


def tensor(name: str, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    return text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}QIQ", *shape, kind, offset)


def file(
    keys: list[tuple[str, int, str | bytes]], tensors: list[bytes] | None = None, data: bytes = b"", *, version: int = 3,
    counts: tuple[int, int] | None = None, pad: bool = True,
) -> bytes:  # fmt: skip
    tensors = tensors or []
    head = b"GGUF" + struct.pack("<IQQ", version, *(counts or (len(tensors), len(keys))))
    head += b"".join(key(*one) for one in keys) + b"".join(tensors)
    return head + (b"\0" * (-len(head) % 32) if pad and tensors else b"") + data


VALUES: list[tuple[str, int, str | bytes]] = [
    ARCHITECTURE,
    ("llama.context_length", 4, struct.pack("<I", 4096)),
    ("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 2) + text("a") + text("<s>")),
    ("tokenizer.ggml.scores", 9, struct.pack("<IQ2f", 6, 2, 0.0, 1.0)),
    ("tokenizer.chat_template", 8, "{% for m in messages %}{{ m.content }}{% endfor %}"),
    ("tokenizer.ggml.add_bos_token", 7, b"\1"),
]
TENSORS = [tensor("a", (4, 2), 0, 0), tensor("b", (32,), 2, 32)]
HONEST = file(VALUES, TENSORS, b"\1" * 32 + b"\2" * 18 + b"\0" * 14)


def look(data: bytes) -> Sight:
    return gguf.look(View(name="m.gguf", path=Path("m.gguf"), data=data))


def test_an_honest_model(tmp_path: Path) -> None:
    sight = look(HONEST)
    assert not sight.findings and sight.counts == {"tensors": 2, "parameters": 40}
    assert rules(tmp_path / "a", "m.gguf", HONEST, formats=["gguf"]) == []
    assert rules(tmp_path / "b", "m.gguf", HONEST) == ["format-not-allowed"]
    assert rules(tmp_path / "c", "m.safetensors", HONEST, formats=["gguf", "safetensors"]) == ["extension-mismatch"]
    assert not look(HONEST[:-14]).findings, "the last tensor need not be padded"


@pytest.mark.parametrize("name", ["tokenizer.chat_template", "tokenizer.chat_template.tool_use", "tokenizer.chat_template_x"])
def test_a_template_that_leads_into_python(name: str) -> None:
    (found,) = look(file([ARCHITECTURE, (name, 8, EVIL)])).findings
    assert found.rule == "template-unsafe" and name in found.where


def shaped(**parts: object) -> bytes:
    facts = {"name": "a", "shape": (8,), "kind": 0, "offset": 0, "data": b"\0" * 32, **parts}
    return file([ARCHITECTURE], [tensor(*(facts[one] for one in ("name", "shape", "kind", "offset")))], facts["data"])  # type: ignore[arg-type]


ATTACKS = {
    "a count of keys that overflows": file([ARCHITECTURE], counts=(0, 1 << 60)),
    "a count of tensors that overflows": file([ARCHITECTURE], counts=(1 << 60, 1)),
    "a key that overflows": b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1 << 63) + b"x",
    "a text that overflows": file([("a", 9, struct.pack("<IQQ", 8, 1, 1 << 63) + b"xx")]),
    "texts that go on behind the end": file([("a", 9, struct.pack("<IQQ", 8, 1, 1 << 20) + b"xx")]),
    "an array that overflows": file([("a", 9, struct.pack("<IQ", 10, 1 << 61))]),
    "arrays in arrays": file([("a", 9, struct.pack("<IQ", 9, 1) + struct.pack("<IQ", 4, 0))]),
    "a type that nobody knows": file([("a", 13, b"\0" * 8)]),
    "a key twice": file([ARCHITECTURE, ARCHITECTURE]),
    "a key of no letters": file([("a\x1b[2J", 4, b"\0" * 4)]),
    "a key that is not UTF-8": b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + text(b"\xff") + struct.pack("<II", 4, 0),
    "a truth that is none": file([("a", 7, b"\2")]),
    "an array of truths that are none": file([("a", 9, struct.pack("<IQ", 7, 2) + b"\1\2")]),
    "a template that is no text": file([("tokenizer.chat_template", 9, struct.pack("<IQ", 8, 1) + text(EVIL))]),
    "an alignment of zero": file([("general.alignment", 4, struct.pack("<I", 0))]),
    "an alignment of three": file([("general.alignment", 4, struct.pack("<I", 24))]),
    "an alignment of another type": file([("general.alignment", 5, struct.pack("<I", 32))]),
    "another version": file([ARCHITECTURE], version=4),
    "big-endian": file([ARCHITECTURE], version=3 << 24),
    "a shape that overflows": shaped(shape=(1 << 40, 1 << 40)),
    "a shape of nothing": shaped(shape=(0,)),
    "five dimensions": shaped(shape=(1, 1, 1, 1, 8)),
    "no dimensions": shaped(shape=()),
    "half a block": shaped(shape=(8,), kind=2),
    "a tensor of no known type": shaped(kind=4),
    "an offset that is not aligned": shaped(offset=8, data=b"\0" * 40),
    "an offset that overflows": shaped(offset=(1 << 64) - 32),
    "a tensor that is cut off": shaped(data=b"\0" * 31),
    "bytes behind the last tensor": shaped(data=b"\0" * 32 + b"\x80\x04N."),
    "zeros behind the last tensor": shaped(data=b"\0" * 64),
    "a hole before the first tensor": shaped(offset=32, data=b"\0" * 64),
    "tensors that overlap": file([ARCHITECTURE], [tensor("a", (16,), 0, 0), tensor("b", (8,), 0, 32)], b"\0" * 64),
    "a tensor twice": file([ARCHITECTURE], [tensor("a", (8,), 0, 0), tensor("a", (8,), 0, 32)], b"\0" * 64),
    "a long name": shaped(name="a" * 65),
    "bytes behind keys without tensors": file([ARCHITECTURE], data=b"PK\3\4"),
    "padding that is something": file([ARCHITECTURE], TENSORS, b"\1" * 32 + b"\2" * 18 + b"\3" * 14),
    "nothing": b"GGUF",
}


@pytest.mark.parametrize("data", ATTACKS.values(), ids=ATTACKS.keys())
def test_a_file_that_is_not_what_it_says(tmp_path: Path, data: bytes) -> None:
    assert "gguf-malformed" in rules(tmp_path, "m.gguf", data, formats=["gguf"])


def test_mutants_are_refused_or_read_but_never_stumbled_over() -> None:
    """Flipped bytes and files cut off anywhere: a finding or none, and no other end."""
    dice = random.Random(7)
    for size in range(0, len(HONEST) - 14, 3):
        assert look(HONEST[:size]).findings, size
    for _ in range(2_000):
        data = bytearray(HONEST)
        for _ in range(dice.choice((1, 1, 2, 4))):
            data[dice.randrange(len(data))] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
        look(bytes(data))


def test_what_the_reference_writer_writes(tmp_path: Path) -> None:
    """llama.cpp's own package, where it is installed."""
    reference = pytest.importorskip("gguf")
    import numpy as np

    writer = reference.GGUFWriter(tmp_path / "real.gguf", "llama")
    writer.add_context_length(4096)
    writer.add_token_list(["a", "b"])
    writer.add_chat_template("{{ messages[0].content }}")
    writer.add_tensor("x", np.ones((4, 8), np.float32))
    writer.add_tensor("y", np.ones(3, np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert not look((tmp_path / "real.gguf").read_bytes()).findings


def test_a_model_that_is_a_pickle_as_well(tmp_path: Path) -> None:
    """GGUF begins with an opcode. With 22,016 tensors the next is a line of text, and what is behind its end counts."""
    tensors = [tensor(str(number), (8,), 0, 32 * number) for number in range(ord("V") << 8)]
    command: list[tuple[str, int, str | bytes]] = [ARCHITECTURE, ("general.description", 8, "\ncos\nsystem\n(S'true'\ntR.")]
    data = file(command, tensors, b"\0" * 32 * len(tensors))
    assert not look(data).findings, "nothing is wrong with it as GGUF"
    assert rules(tmp_path, "m.gguf", data, formats=["gguf"]) == ["polyglot"]
