"""Safetensors: real files pass, and every byte of a file is accounted for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pratique.checks.artifact import tensors
from pratique.checks.artifact.viewing import Sight, View, opened

TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def written(header: Any, data: bytes = b"\0" * 8, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def look(data: bytes) -> Sight:
    return tensors.look(View(name="m.safetensors", path=Path("m.safetensors"), data=data))


def tensor(**changes: Any) -> dict[str, Any]:
    return {"a": {**TENSOR, **changes}}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\0\0\0", "3 bytes long"),
        (b"\x09\0\0\0\0\0\0\0{}", "it was cut off"),
        (written(tensor(), length=2**62), "100,000,000 are allowed"),
        (written({"a": TENSOR})[:-1], "the last tensors are cut off"),
        (written({"a": TENSOR}, b"\0" * 9), "1 bytes follow the last tensor"),
        (written({}, b"\0"), "1 bytes follow the last tensor"),
        (written(b"[]", b""), "does not begin with {"),
        (written(b" {}", b""), "does not begin with {"),
        (written(b"\xef\xbb\xbf{}", b""), "does not begin with {"),
        (written(b"{" + b'"a":{' * 60_000 + b"}" * 60_001, b""), "levels deep"),
        (written(b'{"a":[[[[[]]]]]}', b""), "levels deep"),
        (written(b'{"\xff":1}', b""), "not valid JSON"),
        (written(b'{"a":NaN}', b""), "NaN"),
        (written(b'{"a":1} {}', b""), "not valid JSON"),
        (written(b"{" + b'"a":%b,"a":%b' % ((json.dumps(TENSOR).encode(),) * 2) + b"}"), "appears twice"),
        (written(b"{" + b'"a":%b,"\\u0061":%b' % ((json.dumps(TENSOR).encode(),) * 2) + b"}"), "appears twice"),
        (written(tensor(dtype="F33")), "which the format does not know"),
        (written(tensor(dtype=["F32"])), "which the format does not know"),
        (written(tensor(dtype="\u001b[2J")), "which the format does not know"),
        (written(tensor(shape=[3])), "takes 12 bytes"),
        (written(tensor(shape=[-2])), "not lists of natural numbers"),
        (written(tensor(shape=[2.0])), "not lists of natural numbers"),
        (written(tensor(shape=[True, 2])), "not lists of natural numbers"),
        (written(tensor(shape="2")), "not lists of natural numbers"),
        (written(tensor(data_offsets=[0])), "not lists of natural numbers"),
        (written(tensor(data_offsets=[8, 0])), "takes 8 bytes"),
        (written(tensor(data_offsets=[-8, 0])), "not lists of natural numbers"),
        (written(tensor(shape=[2**40, 2**40])), "overflows"),
        (written(tensor(shape=[2**40, 2**40, 0], data_offsets=[0, 0]), b""), "overflows"),
        (written(tensor(shape=[10**4000] * 50)), "overflows"),
        (written(tensor(dtype="F4", shape=[1], data_offsets=[0, 0]), b""), "takes 0.5 bytes"),
        (written({"a": {"dtype": "F32", "shape": [2]}}), "just dtype, shape and data_offsets"),
        (written({"a": {**TENSOR, "more": 1}}), "just dtype, shape and data_offsets"),
        (written({"a": 1}), "just dtype, shape and data_offsets"),
        (written({"a": TENSOR, "b": {**TENSOR, "data_offsets": [4, 12]}}, b"\0" * 12), "overlap at byte 4"),
        (written({"a": TENSOR, "b": TENSOR}), "overlap at byte 0"),
        (written(tensor(data_offsets=[8, 16]), b"\0" * 16), "leave a hole at byte 0"),
        (written({"a": TENSOR, "b": {**TENSOR, "data_offsets": [9, 17]}}, b"\0" * 17), "leave a hole at byte 8"),
        (written({"__metadata__": {"a": 1}}, b""), "not a map from text to text"),
        (written({"__metadata__": None}, b""), "not a map from text to text"),
        (written({"__metadata__": [], "a": TENSOR}), "not a map from text to text"),
    ],
)  # fmt: skip
def test_a_file_that_can_be_read_in_two_ways(data: bytes, says: str) -> None:
    sight = look(data)
    assert [finding.rule for finding in sight.findings] == ["safetensors-malformed"]
    assert says in sight.findings[0].message
    assert sight.findings[0].message.isprintable()


def test_every_truncation_is_seen() -> None:
    whole = written({"a": TENSOR, "b": {**TENSOR, "data_offsets": [8, 16]}}, b"\0" * 16)
    assert look(whole).findings == ()
    assert all(look(whole[:size]).findings for size in range(len(whole)))


def test_names_that_act_on_a_terminal() -> None:
    sight = look(written({"\x1b[31mred": TENSOR}))
    assert [finding.rule for finding in sight.findings] == ["unprintable-name"]
    assert look(written({"größe.0.weight": TENSOR})).findings == ()


@pytest.mark.parametrize("metadata", [None, {"format": "pt", "größe": "größer"}])
def test_real_files_of_every_type(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    """Written by the reference implementation; with empty tensors and scalars among them."""
    import torch
    from safetensors.torch import save_file

    types = [
        "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64",
        "bool", "complex64", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "float8_e4m3fnuz", "float8_e5m2fnuz",
    ]  # fmt: skip
    kept = {name: torch.zeros((3, 5)).to(getattr(torch, name)) for name in types}
    kept |= {"empty": torch.zeros((0, 7)), "scalar": torch.tensor(1.0), "four": torch.zeros(4, dtype=torch.uint8)}
    if hasattr(torch, "float4_e2m1fn_x2"):
        kept["four"] = kept["four"].view(torch.float4_e2m1fn_x2)
    save_file(kept, tmp_path / "m.safetensors", metadata)
    with opened(tmp_path / "m.safetensors", "m.safetensors") as view:
        sight = tensors.look(view)
    assert sight.findings == ()
    assert sight.counts["tensors"] == len(kept)
    assert sight.counts["parameters"] == 15 * len(types) + 1 + (8 if hasattr(torch, "float4_e2m1fn_x2") else 4)


def test_real_files_of_numpy(tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save

    assert look(save({})).counts == {"tensors": 0, "parameters": 0}
    kept = {"w": np.ones((4, 3), "f4"), "b": np.ones(3, "f8"), "n": np.array(3), "z": np.empty((2, 0), "i1")}
    assert look(save(kept)).counts == {"tensors": 4, "parameters": 16}


def test_tensors_are_never_read(tmp_path: Path) -> None:
    """A sparse file of 1 TiB is looked at in no time."""
    size = 1 << 40
    header = written({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}, b"")
    path = tmp_path / "m.safetensors"
    with path.open("wb") as stream:
        stream.write(header)
        stream.truncate(len(header) + size)
    with opened(path, path.name) as view:
        assert tensors.look(view).counts == {"tensors": 1, "parameters": size}
