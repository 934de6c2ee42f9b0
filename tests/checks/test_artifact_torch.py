"""PyTorch's checkpoints: state dicts pass, and every byte of the file belongs to what PyTorch reads."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from pratique.checking import Finding
from pratique.checks.artifact import zips
from pratique.errors import Malformed
from tests.checks.pickling import call, look_at, name, stream

torch = pytest.importorskip("torch")


def saved(value: object, *, legacy: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def honest() -> OrderedDict[str, Any]:
    shared = torch.arange(12.0)
    return OrderedDict(
        weight=shared.reshape(3, 4), part=shared[4:8], turned=torch.zeros(4, 6, dtype=torch.bfloat16)[1:, ::2].t(),
        empty=torch.zeros(0, 3), one=torch.tensor(7), flag=torch.tensor([True]), byte=torch.zeros(3, dtype=torch.uint8),
        new=torch.zeros(2, dtype=torch.uint16), whole=torch.nn.Parameter(torch.ones(2)),
    )  # fmt: skip


def look(tmp_path: Path, data: bytes, *chosen: str) -> list[Finding]:
    path = tmp_path / "c.pt"
    path.write_bytes(data)
    return look_at(path, chosen or ("torch",))


def said(found: list[Finding]) -> str:
    return " | ".join(f"{one.rule}: {one.where}: {one.message}" for one in found)


@pytest.mark.parametrize("legacy", [False, True])
def test_honest_state_dicts(tmp_path: Path, legacy: bool) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.zeros(2, 3)).sum().backward()
    optimizer.step()
    for value in (honest(), model.state_dict(), {"model": model.state_dict(), "optim": optimizer.state_dict(), "epoch": 3}):
        assert look(tmp_path, saved(value, legacy=legacy)) == []


@pytest.mark.parametrize("legacy", [False, True])
def test_a_layer_as_an_object_needs_its_own_pack(tmp_path: Path, legacy: bool) -> None:
    data = saved(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU()), legacy=legacy)
    assert "torch.nn.modules.linear.Linear" in said(look(tmp_path, data))
    assert "`pickle_packs: [torch-modules]`" in look(tmp_path, data)[0].fix
    assert look(tmp_path, data, "torch-modules") == []


def test_a_tensor_that_pickle_itself_wrote(tmp_path: Path) -> None:
    path = tmp_path / "w.pkl"
    path.write_bytes(pickle.dumps({"w": torch.arange(6.0).reshape(2, 3)}))
    assert look_at(path, ("torch",)) == []
    inner = b"\x80\x02" + call(b"cposix\nsystem\n", b"X\4\0\0\0true") + b"."
    path.write_bytes(stream(call(name("torch.storage", "_load_from_bytes"), b"B" + struct.pack("<I", len(inner)) + inner)))
    assert "no checkpoint that torch.storage writes" in said(look_at(path, ("torch",)))
    legacy = saved(honest()["one"], legacy=True).replace(b"torch._utils\n_rebuild_tensor_v2", b"subprocess\ncheck_output".ljust(31))
    path.write_bytes(stream(call(name("torch.storage", "_load_from_bytes"), b"B" + struct.pack("<I", len(legacy)) + legacy)))
    assert "subprocess" in said(look_at(path, ("torch",)))


def test_not_asked_for_is_refused(tmp_path: Path) -> None:
    for legacy in (False, True):
        (tmp_path / "c.pt").write_bytes(saved(honest(), legacy=legacy))
        found = look_at(tmp_path / "c.pt", ("torch",), ("pickle", "safetensors"))
        assert {one.rule for one in found} & {"archive-not-allowed", "format-not-allowed"}


# --- tensors and storages ------------------------------------------------------------------------------------------------


def checkpoint(body: bytes, storages: dict[str, bytes], more: dict[str, bytes] | None = None) -> bytes:
    """An archive as PyTorch lays it out, by hand."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        files = {"data.pkl": b"\x80\x02" + body + b".", "byteorder": b"little", **{f"data/{k}": v for k, v in storages.items()}}
        for one, data in {**files, "version": b"3\n", **(more or {})}.items():
            archive.writestr(zipfile.ZipInfo(f"archive/{one}"), data)
    return file.getvalue()


def storage(key: str = "0", elements: int = 4, kind: str = "FloatStorage") -> bytes:
    word = [b"X" + struct.pack("<I", len(one)) + one.encode() for one in ("storage", key, "cpu")]
    return b"(" + word[0] + b"ctorch\n" + kind.encode() + b"\n" + word[1] + word[2] + number(elements) + b"tQ"


def number(value: int) -> bytes:
    raw = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def tensor(held: bytes, offset: int = 0, size: tuple[int, ...] = (2, 2), stride: tuple[int, ...] = (2, 1)) -> bytes:
    sizes, strides = (b"(" + b"".join(map(number, one)) + b"t" for one in (size, stride))
    hooks = b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + held + number(offset) + sizes + strides + b"\x89" + hooks + b"tR"


RAW = {"0": b"\0" * 16}


def test_the_archive_by_hand_is_honest(tmp_path: Path) -> None:
    """Else the refusals below would prove nothing. PyTorch reads it too."""
    data = checkpoint(tensor(storage()), RAW)
    assert look(tmp_path, data) == []
    assert torch.load(io.BytesIO(data), weights_only=True).shape == (2, 2)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (tensor(storage(), offset=1), "reaches beyond its storage"),
        (tensor(storage(), size=(3, 2)), "reaches beyond its storage"),
        (tensor(storage(), stride=(2, 2)), "reaches beyond its storage"),
        (tensor(storage(), size=(1 << 40, 1 << 40), stride=(0, 0), offset=9), "reaches beyond its storage"),
        (tensor(storage(), offset=-1), "not natural numbers"),
        (tensor(storage(), stride=(-2, 1)), "not natural numbers"),
        (tensor(storage(), size=(4,)), "not natural numbers"),
        (tensor(b"N"), "something else than a storage"),
        (tensor(storage(elements=5)), "has 16 bytes, and its pickle asks for 20"),
        (tensor(storage(kind="DoubleStorage")), "has 16 bytes, and its pickle asks for 32"),
        (tensor(storage(key="1")), "which is not there"),
        (b"(" + tensor(storage()) + tensor(storage(elements=3), size=(1, 1)) + b"t", "in two sizes"),
        (tensor(storage(kind="Tensor")), "an object that is not in the file"),
        (tensor(storage(elements=-4)), "an object that is not in the file"),
        (storage() + b"}b", "acts upon an object"),
        (b"N", "nothing asks for the storage 0"),
    ],
)
def test_tensors_that_do_not_fit_their_storages(tmp_path: Path, body: bytes, says: str) -> None:
    assert says in said(look(tmp_path, checkpoint(body, RAW)))


@pytest.mark.parametrize(
    "more",
    [
        {"code/__torch__.py": b"x"}, {"constants.pkl": b"\x80\x02)."}, {"data/../x": b""}, {"data/a": b""}, {"hidden": b"x"},
        {"version": b"3" * 200}, {"data.pkl.bak": b""}, {"sub/data.pkl": b"\x80\x02N."},
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_that_are_no_part_of_a_checkpoint_of_tensors(tmp_path: Path, more: dict[str, bytes]) -> None:
    assert look(tmp_path, checkpoint(tensor(storage()), RAW, more))


def test_a_pickle_that_does_not_end_with_its_member(tmp_path: Path) -> None:
    assert "does not end with its member" in said(look(tmp_path, checkpoint(tensor(storage()) + b".N", RAW)))


# --- before 1.6 ----------------------------------------------------------------------------------------------------------


def test_the_old_form_to_the_last_byte(tmp_path: Path) -> None:
    data = saved(honest(), legacy=True)
    for broken in (data + b"x", data + b"\x80\x02N.", data[:-1], data[:-4] + b"", data.replace(b"M\xe9\x03", b"M\xea\x03", 1)):
        assert look(tmp_path, broken), len(broken)
    command = b"\x80\x02cbuiltins\neval\n(X\1\0\0\0" + b"1tR."
    first = data.index(b".") + 1
    assert "builtins.eval" in said(look(tmp_path, command + data[first:]))
    assert "builtins.eval" in said(look(tmp_path, data[:first] + command + data[first:]))


def test_the_old_form_with_a_tar_archive_in_its_head(tmp_path: Path) -> None:
    """PyTorch tries tar first. Old headers have no magic, only a checksum."""
    data = bytearray(saved(OrderedDict(w=torch.zeros(400)), legacy=True))
    data[148:156] = b"%06o\0 " % (sum(data[:148]) + 256 + sum(data[156:512]))
    assert "a tar archive as well" in said(look(tmp_path, bytes(data)))


# --- the archive ---------------------------------------------------------------------------------------------------------


def patched(sign: bytes, at: int, value: bytes, data: bytes | None = None) -> bytes:
    raw = bytearray(data or checkpoint(tensor(storage()), RAW))
    start = raw.find(sign) + at
    raw[start : start + len(value)] = value
    return bytes(raw)


GOOD = checkpoint(tensor(storage()), RAW)


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 64 + GOOD,  # something before it
        GOOD + b"x",
        GOOD + b"\x80\x02N.",
        GOOD[:-2] + b"\x01\0x",  # a comment
        patched(b"PK\x03\x04", 6, b"\x01\0"),
        patched(b"PK\x01\x02", 8, b"\x01\0"),
        patched(b"PK\x03\x04", 8, b"\x08\0"),
        patched(b"PK\x01\x02", 10, b"\x63\0"),
        patched(b"PK\x03\x04", 14, b"\xde\xad\xbe\xef"),
        patched(b"PK\x01\x02", 16, b"\xde\xad\xbe\xef"),
        patched(b"PK\x03\x04", 18, b"\x01\0\0\0"),
        patched(b"PK\x03\x04", 30, b"A"),
        patched(b"PK\x01\x02", 46, b"A"),
        patched(b"PK\x01\x02", 42, b"\x01\0\0\0"),
        patched(b"PK\x05\x06", 10, b"\x02\0"),
        patched(b"PK\x05\x06", 12, b"\x02\0"),
        patched(b"PK\x05\x06", 4, b"\x01\0"),
        patched(b"PK\x01\x02", 34, b"\x01\0"),
    ],
)
def test_an_archive_that_two_readers_see_in_two_ways(tmp_path: Path, data: bytes) -> None:
    assert look(tmp_path, data)
    with pytest.raises(Malformed):
        zips.members(data)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("one", ["archive/data.pkl", "archive/DATA.PKL"])
def test_a_member_twice(tmp_path: Path, one: str) -> None:
    file = io.BytesIO(GOOD)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(one, b"\x80\x02N.")
    assert "two members of one name" in said(look(tmp_path, file.getvalue()))


def test_a_wrong_checksum_on_both_sides(tmp_path: Path) -> None:
    """A scanner that stops at the checksum sees nothing; PyTorch does not look at it. Here the pickle is read in any case."""
    data = checkpoint(call(b"cposix\nsystem\n", b"X\4\0\0\0true"), {})
    data = patched(b"PK\x03\x04", 14, b"\xde\xad\xbe\xef", patched(b"PK\x01\x02", 16, b"\xde\xad\xbe\xef", data))
    assert "os.system" in said(look(tmp_path, data)) and "checksum" in said(look(tmp_path, data))


def test_what_the_reader_of_archives_takes_is_what_the_standard_library_sees(tmp_path: Path) -> None:
    for data in (GOOD, saved(honest()), saved(torch.nn.Linear(2, 2))):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            theirs = [(one.filename, one.file_size, one.CRC, archive.read(one)) for one in archive.infolist()]
        ours = [(one.name, one.size, one.crc, b"".join(zips.blocks(data, one))) for one in zips.members(data)]
        assert sorted(ours) == sorted(theirs)


def test_a_bomb_in_an_archive(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", b"\0" * (80 << 20))
    assert "decompression bomb" in said(look(tmp_path, file.getvalue()))


