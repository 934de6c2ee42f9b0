"""Models within archives: each is looked at by its own reader, with every format asked for, and none hides behind another."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from pratique.checks.artifact import FormatName

from .hdf5_writing import Writer
from .test_artifact import COMMAND, check, safetensors
from .test_artifact_containers import HONEST, tarred, zipped
from .test_artifact_gguf import ARCHITECTURE
from .test_artifact_gguf import HONEST as GGUF
from .test_artifact_gguf import TENSORS as GGUF_TENSORS
from .test_artifact_gguf import file as gguf
from .test_artifact_keras import CODE, sequential
from .test_artifact_keras import HONEST as KERAS
from .test_artifact_keras import archive as keras
from .test_artifact_keras import weights as hdf5
from .test_artifact_onnx import HONEST as ONNX
from .test_artifact_onnx import graph, node, outside
from .test_artifact_onnx import model as onnx
from .test_artifact_savedmodel import SAVER
from .test_artifact_savedmodel import model as savedmodel
from .test_artifact_savedmodel import node as operator
from .test_artifact_skops import archive as skops
from .test_artifact_skops import model as estimator
from .test_artifact_skops import node as node_of_skops
from .test_artifact_torch import RAW, checkpoint, saved, storage, tensor, torch

FORMATS = get_args(FormatName)
EVERYTHING = {"formats": FORMATS, "pickle_packs": ("torch", "sklearn"), "templates": "vetted"}

SYSTEM = b"cposix\nsystem\n(X\x04\0\0\0truetR"
STEALING = node_of_skops("OperatorFuncNode", "operator", "methodcaller", attrs=node_of_skops("TupleNode", "builtins", "tuple"))
TEMPLATE = "{{ ''.__class__.__mro__ }}"

PAIRS: dict[str, tuple[str, bytes, bytes, set[str]]] = {
    "Keras": ("m.keras", keras(KERAS), keras(sequential(CODE["a function of the system, as a layer"])), {"keras-object"}),
    "Keras under a plain name": ("m.zip", keras(KERAS), keras(sequential(CODE["Lambda"])), {"keras-object"}),
    "HDF5": ("w.h5", hdf5(), hdf5()[:-8], {"hdf5-malformed"}),
    "PyTorch": ("w.pt", checkpoint(tensor(storage()), RAW), checkpoint(SYSTEM, {}), {"pickle-global"}),
    "skops": ("m.skops", skops(estimator()), skops(estimator(x=STEALING)), {"skops-unsafe"}),
    "GGUF": ("m.gguf", GGUF, gguf([ARCHITECTURE, ("tokenizer.chat_template", 8, TEMPLATE)], GGUF_TENSORS, b"\1" * 64),
             {"template-unsafe", "gguf-malformed"}),
    "ONNX": ("m.onnx", ONNX, onnx(graph(node("EPContext", "com.microsoft"))), {"onnx-operator"}),
    "SavedModel": ("saved_model.pb", savedmodel(operator("x", "AddV2")), savedmodel(operator("x", "ReadFile")),
                   {"savedmodel-operator"}),
    "pickle": ("w.pkl", b"\x80\x04K\x01.", COMMAND, {"pickle-global"}),
    "YAML": ("c.yaml", b"a: 1\n", b"a: !!python/object/apply:os.system [true]\n", {"yaml-malformed"}),
}  # fmt: skip

WRAPPERS: dict[str, tuple[str, Callable[[str, bytes], bytes]]] = {
    "zip": ("a.zip", lambda name, data: zipped([(f"m/{name}", data), ("README.md", b"hello")])),
    "tar": ("a.tar", lambda name, data: tarred([("README.md", b"hello"), (f"m/{name}", data)])),
    "tar in zip": ("a.zip", lambda name, data: zipped([("b.tar", tarred([(name, data)]))])),
    "zip in tar, compressed": ("a.tgz", lambda name, data: gzip.compress(tarred([("b.zip", zipped([(name, data)]))]))),
}


def rules(tmp_path: Path, files: dict[str, bytes]) -> set[str]:
    return {one.rule for one in check(tmp_path, files, **EVERYTHING).findings}


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("kind", PAIRS)
def test_a_model_in_an_archive_meets_its_own_reader(tmp_path: Path, kind: str, wrapper: str) -> None:
    """The attack is refused for what it is; the honest twin passes."""
    name, honest, evil, expected = PAIRS[kind]
    outer, wrap = WRAPPERS[wrapper]
    assert rules(tmp_path / "honest", {outer: wrap(name, honest)}) == set()
    found = rules(tmp_path / "evil", {outer: wrap(name, evil)})
    assert found and found <= expected


@pytest.mark.parametrize("left_out", ["keras", "torch", "skops", "npy", "torchscript"])
def test_a_model_that_nobody_asked_for_is_no_mere_archive_of_files(tmp_path: Path, left_out: str) -> None:
    """Its members alone may look like JSON and numbers; a loader makes more of them."""
    array = b"\x93NUMPY\x01\x00F\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}".ljust(69) + b"\n" + b"\0" * 8
    script = zipped([("n/data.pkl", b"\x80\x02N."), ("n/constants.pkl", b"\x80\x02).")], 0)
    models = {
        "keras": keras(KERAS), "torch": checkpoint(tensor(storage()), RAW), "skops": skops(estimator()),
        "npy": zipped([("a.npy", array)]), "torchscript": script,
    }  # fmt: skip
    asked = {**EVERYTHING, "formats": tuple(one for one in FORMATS if one != left_out)}
    for number, outer in enumerate((models[left_out], zipped([("inner.zip", models[left_out])]))):
        found = {one.rule for one in check(tmp_path / str(number), {"a.zip": outer}, **asked).findings}
        assert found and found <= {"archive-not-allowed", "pickle-in-archive", "program-archive"}


@pytest.mark.parametrize("wrap", [zipped, tarred], ids=["zip", "tar"])
def test_a_model_in_an_archive_has_no_files_beside_it(tmp_path: Path, wrap: Callable[..., bytes]) -> None:
    """ONNX's external data and TensorFlow's variables: nobody could say which file the path will mean once it is unpacked."""
    numbers = b"\x01\x02\x03\x04\x05\x06\xf7\xff"
    model = onnx(graph(node(), tensors=(outside("w.bin"),)))
    assert rules(tmp_path / "beside", {"m.onnx": model, "w.bin": numbers}) == set(), "else the rest proves nothing"
    name = "a.zip" if wrap is zipped else "a.tar"
    both = wrap([("m.onnx", model), ("w.bin", numbers)])
    assert rules(tmp_path / "inside", {name: both}) == {"onnx-malformed", "unknown-format"}
    assert "onnx-malformed" in rules(tmp_path / "split", {name: wrap([("m.onnx", model)]), "w.bin": numbers})
    variables = savedmodel(operator("v", "VarHandleOp"), *SAVER[:1])
    assert "savedmodel-malformed" in rules(tmp_path / "tf", {name: wrap([("saved_model.pb", variables)])})


def test_what_is_compressed_beside_a_model_is_not_what_the_model_describes(tmp_path: Path) -> None:
    """`w.bin.gz` unpacks to a name that the model speaks of, and is another file."""
    numbers = b"\x01\x02\x03\x04\x05\x06\xf7\xff"
    model = onnx(graph(node(), tensors=(outside("w.bin"),)))
    files = {"m.onnx": model, "w.bin": numbers}
    assert rules(tmp_path / "a", {**files, "w.bin.gz": gzip.compress(numbers)}) == {"unknown-format"}


@pytest.mark.parametrize("compressed", [False, True])
def test_a_nemo_file_with_a_hostile_checkpoint(tmp_path: Path, compressed: bool) -> None:
    """A tar archive of a configuration and a checkpoint, compressed or not."""

    def nemo(weights: bytes, config: bytes = b"target: nemo.collections.asr.models.EncDecCTCModel\n") -> bytes:
        data = tarred([("./model_config.yaml", config), ("./model_weights.ckpt", weights)])
        return gzip.compress(data) if compressed else data

    honest = saved({"w": torch.ones(2)})
    evil = checkpoint(SYSTEM, {})
    assert rules(tmp_path / "a", {"m.nemo": nemo(evil)}) >= {"pickle-global"}
    assert rules(tmp_path / "b", {"m.nemo": nemo(COMMAND)}) >= {"pickle-global"}
    assert rules(tmp_path / "c", {"m.nemo": nemo(honest, b"sample_rate: 16000\n")}) == set()
    assert rules(tmp_path / "d", {"m.nemo": nemo(honest, b"_target_: os.system\n")}) == {"remote-code-reference"}


# --- files of two formats ------------------------------------------------------------------------------------------------


def as_tar(data: bytes) -> bytes:
    """The same with the checksum of an old tar header, which has no magic."""
    patched = bytearray(data)
    patched[148:156] = b"%06o\0 " % (sum(data[:148]) + 256 + sum(data[156:512]))
    return bytes(patched)


def test_safetensors_that_are_a_tar_archive_as_well(tmp_path: Path) -> None:
    """`torch.load` tries tar first, whatever the name says, and unpickles what is in it."""
    numbers = b"\0" * 1024
    head = b'{"w":{"dtype":"U8","shape":[1024],"data_offsets":[0,1024]}}'.ljust(120)
    data = safetensors(head, numbers)
    assert len(head) + 8 < 148
    assert rules(tmp_path / "a", {"model.bin": data}) == set()
    assert rules(tmp_path / "b", {"model.bin": as_tar(data)}) == {"polyglot"}
    (tmp_path / "model.bin").write_bytes(as_tar(data))
    with pytest.raises(KeyError, match="storages"):  # the first thing that PyTorch asks a tar archive for
        torch.load(tmp_path / "model.bin", weights_only=False)


def test_safetensors_that_end_like_a_checkpoint_of_pytorch(tmp_path: Path) -> None:
    """PyTorch writes the figures of the archive's end in 64 bits, elsewhere than other archives have them."""
    data = saved({"w": torch.zeros(2)})
    assert b"PK\x06\x07" in data[-60:]
    whole = b'{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (len(data), len(data))
    assert rules(tmp_path / "a", {"model.bin": safetensors(whole, data)}) == {"polyglot"}
    assert rules(tmp_path / "b", {"model.bin": safetensors(whole, data[:-60] + b"\0" * 60)}) == set()


def test_a_tar_archive_that_is_a_zip_archive_as_well(tmp_path: Path) -> None:
    """Members that are zip archives are looked at, so a reader that begins at the end finds nothing new; else it may."""
    inner = zipped(HONEST)
    cut = inner.index(b"PK\x01\x02")
    honest = tarred([("w.ckpt", saved({"w": torch.zeros(2)})), ("a.zip", inner)])
    assert rules(tmp_path / "a", {"m.nemo": honest}) == set()
    whole = b'{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}'
    raw = [safetensors(whole % (len(one), len(one)), one) for one in (inner[:cut], inner[cut:], inner)]
    assert "polyglot" in rules(tmp_path / "b", {"m.nemo": tarred([("w.safetensors", raw[2])])})
    directory = bytearray(tarred([("a.safetensors", raw[0]), ("b.safetensors", raw[1])]))
    at = directory.index(b"PK\x05\x06")
    assert rules(tmp_path / "c", {"b.safetensors": raw[1]}) == {"polyglot"}
    directory[at + 16 : at + 20] = (directory.index(b"PK\x01\x02")).to_bytes(4, "little")
    assert "polyglot" in rules(tmp_path / "d", {"m.nemo": bytes(directory)}), "for readers that count from the beginning"


def test_gguf_that_is_a_tar_archive_as_well(tmp_path: Path) -> None:
    text = b"x" * 600
    data = gguf([ARCHITECTURE, ("general.description", 8, text)], GGUF_TENSORS, b"\1" * 32 + b"\2" * 18 + b"\0" * 14)
    assert rules(tmp_path / "a", {"model": data}) == set()
    assert "polyglot" in rules(tmp_path / "b", {"model": as_tar(data)})


@pytest.mark.parametrize("at", [512, 1024, 4096])
def test_safetensors_that_are_hdf5_behind_a_block_of_the_users(tmp_path: Path, at: int) -> None:
    """HDF5's readers look at 0, 512, 1,024 and so on for the beginning of a file."""
    writer = Writer()
    inner = writer.file(writer.group({"w": writer.dataset()}))
    for number, place in enumerate((at, at + 8)):
        size = place + len(inner)
        head = b'{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}'.ljust(136) % (size, size)
        data = safetensors(head, b"")
        body = bytearray(size)
        body[place - len(data) : place - len(data) + len(inner)] = inner
        assert rules(tmp_path / str(number), {"model.bin": data + bytes(body)}) == ({"polyglot"} if place == at else set())


def test_an_archive_whose_members_are_hdf5_is_no_file_of_two_formats(tmp_path: Path) -> None:
    """The first member of a tar archive begins at byte 512, where a reader of HDF5 looks; it is looked at as what it is."""
    data = tarred([("w.h5", hdf5())], form=0)
    assert data[512:516] == b"\x89HDF" and struct.calcsize("8s") == 8
    assert rules(tmp_path, {"a.tar": data}) == set()
