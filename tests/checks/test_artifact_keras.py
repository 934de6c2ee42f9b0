"""Keras models and HDF5: nothing in a configuration but Keras' own layers, and nothing in HDF5 that leads out of the file."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pratique.checks.artifact import keras, keras_names
from pratique.checks.artifact.viewing import Sight, View

from .hdf5_writing import FLOATS, UNDEFINED, Writer, attribute, contiguous, message, scalar, text, text_type, varying_type
from .test_artifact import COMMAND, rules
from .writing import ensure_nothing_stumbles


def layer(name: str = "Dense", module: str | None = "keras.layers", **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": {"units": 1, **config}, "registered_name": None}


def sequential(*layers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"module": "keras", "class_name": "Sequential", "config": {"layers": list(layers)}, "registered_name": None, **more}


def archive(config: Any, *more: tuple[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, data in (
            ("metadata.json", b'{"keras_version": "3.15.1"}'),
            ("config.json", json.dumps(config).encode()),
            *more,
        ):
            file.writestr(name, data)
    return stream.getvalue()


def weights(*messages: bytes) -> bytes:
    writer = Writer()
    inner = writer.group({"0": writer.dataset(), "1": writer.chunks(8)}, text("name", b"dense"))
    return writer.file(writer.group({"layers": inner, "empty": writer.group({})}, *messages))


HONEST = sequential(
    layer("InputLayer", batch_shape=[None, 8]),
    layer(kernel_initializer={"module": "keras.initializers", "class_name": "GlorotUniform", "config": {}},
          activation="relu", dtype={"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}}),
    layer("TextVectorization", vocabulary=["a", "b"]),
    {"module": "keras.src.ops.numpy", "class_name": "Multiply", "config": {}, "registered_name": "Multiply"},
    compile_config={"optimizer": layer("Adam", "keras.optimizers"), "loss": {
        "module": "builtins", "class_name": "function", "config": "cosine_similarity", "registered_name": "cosine_similarity"}},
)  # fmt: skip


def look(data: bytes) -> Sight:
    return keras.look_at_hdf5(View(name="m.h5", path=Path("m.h5"), data=data))


def test_an_honest_archive(tmp_path: Path) -> None:
    data = archive(HONEST, ("model.weights.h5", weights()), ("assets/layers/text/vocabulary.txt", b"a\nb\n"))
    assert rules(tmp_path / "a", "m.keras", data, formats=["keras"]) == []
    assert rules(tmp_path / "b", "m.keras", data) == ["archive-not-allowed"]
    assert rules(tmp_path / "c", "m.pt", data + b"", formats=["keras", "torch"]) == []


@pytest.mark.parametrize(
    "config", [b'{"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense", "config": {}}]}}']
)
def test_an_honest_file(tmp_path: Path, config: bytes) -> None:
    writer = Writer()
    varying = attribute("model_config", varying_type(), scalar(), writer.heap(config))
    data = writer.file(writer.group({"w": writer.dataset()}, varying, text("backend", b"tensorflow")))
    assert rules(tmp_path / "a", "m.h5", data, formats=["hdf5"]) == []
    assert rules(tmp_path / "b", "m.h5", data) == ["format-not-allowed"]
    assert rules(tmp_path / "c", "m.json", data, formats=["hdf5", "json"]) == ["extension-mismatch"]
    assert rules(tmp_path / "d", "w.hdf5", weights(text("model_config", config)), formats=["hdf5"]) == []
    assert look(data).counts == {"tensors": 1, "parameters": 2}


CODE = {
    "Lambda": layer("Lambda", function={"class_name": "__lambda__", "config": {"code": "4wAA"}}),
    "Lambda in a wrapper": layer("TimeDistributed", layer=layer("Lambda")),
    "Lambda by another module": layer("Lambda", "keras.src.layers.core.lambda_layer"),
    "code without Lambda": layer("Activation", activation={"class_name": "__lambda__", "config": {"code": "4wAA"}}),
    "a function of Python": layer("eval", "builtins"),
    "a function of the system, as a layer": layer("system", "os"),
    "a function of the system, as a function": layer("Activation", activation={
        "module": "os", "class_name": "function", "config": "system", "registered_name": "system"}),
    "a function of Python, as a function": layer("Activation", activation={
        "module": "builtins", "class_name": "function", "config": "eval", "registered_name": "eval"}),
    "a process as an initializer": layer(kernel_initializer={"module": "subprocess", "class_name": "Popen", "config": {}}),
    "a download": layer("get_file", "keras.utils", origin="http://example.com/x"),
    "a function of Keras that loads": layer("load_model", "keras.models"),
    "a type that is imported": {"class_name": "__typespec__", "spec_name": "x", "module": "os"},
    "a custom class": {"module": "acme", "class_name": "Net", "config": {}, "registered_name": "acme>Net"},
    "a custom class named as a layer": {"module": "keras.layers", "class_name": "Dense", "registered_name": "acme>Dense"},
    "a model of TensorFlow": layer("TFSMLayer", filepath="elsewhere"),
    "a model of PyTorch": layer("TorchModuleWrapper"),
    "a model of JAX": layer("JaxLayer"),
    "an operator that is given a function": layer("Map", "keras.src.ops.core"),
    "something small in a module of operators": layer("shutil", "keras.src.ops.numpy"),
    "a vocabulary elsewhere": layer("StringLookup", vocabulary="/etc/passwd"),
    "a vocabulary elsewhere, in a wrapper": layer("TimeDistributed", layer=layer("TextVectorization", vocabulary="x.txt")),
    "a class without a name": {"class_name": ["Dense"], "config": {}},
    "a module without a name": {"class_name": "Dense", "module": ["os"], "config": {}},
    "in what compiles it": {"class_name": "Dense", "compile_config": {"loss": layer("eval", "builtins")}},
}  # fmt: skip


@pytest.mark.parametrize("config", CODE.values(), ids=CODE.keys())
def test_a_configuration_that_names_code(tmp_path: Path, config: dict[str, Any]) -> None:
    """In the archive; and in a file, where it is the model's or only the training's."""
    assert set(rules(tmp_path / "a", "m.keras", archive(sequential(config)), formats=["keras"])) == {"keras-object"}
    for name in ("model_config", "training_config"):
        data = weights(text(name, json.dumps(sequential(config)).encode()))
        assert set(rules(tmp_path / name, "m.h5", data, formats=["hdf5"])) == {"keras-object"}


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("config.pkl", COMMAND), ("data.pkl", COMMAND), ("model.py", b"x"), ("assets/x.bin", b"x"),
        ("model.weights.h5", COMMAND),
        ("assets/vocabulary.txt", COMMAND), ("../config.json", b"{}"), ("CONFIG.JSON", b"{}"),
    ],
)  # fmt: skip
def test_a_member_that_is_no_part_of_a_model(tmp_path: Path, name: str, data: bytes) -> None:
    assert rules(tmp_path, "m.keras", archive(HONEST, (name, data)), formats=["keras"])


def test_a_configuration_that_is_none(tmp_path: Path) -> None:
    twice = archive(HONEST).replace(b'"class_name": "Dense"', b'"class_name":"Dense" ')
    assert rules(tmp_path / "a", "m.keras", twice, formats=["keras"]), "the checksum says no"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("metadata.json", "{}")
        file.writestr("config.json", '{"class_name": "Dense", "class_name": "Lambda"}')
    assert rules(tmp_path / "b", "m.keras", stream.getvalue(), formats=["keras"]) == ["keras-malformed"]


def test_the_names_are_those_of_layers_and_not_of_code() -> None:
    for name in ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "get_file", "function", "__lambda__"):
        assert not keras_names.is_class("", name) and not keras_names.is_class("keras.layers", name)
    assert keras_names.is_class("keras.layers", "Conv2D") and keras_names.is_class("", "LSTM")
    assert keras_names.is_function("builtins", "relu") and not keras_names.is_function("builtins", "exec")
    assert not keras_names.is_function("keras.utils", "relu")


def dataset(*more: bytes, **facts: Any) -> bytes:
    writer = Writer()
    return writer.file(writer.group({"w": writer.dataset(*more, **facts)}))


def grouped(**facts: Any) -> bytes:
    writer = Writer()
    return writer.file(writer.group({"w": writer.dataset()}, **facts))


def loop() -> bytes:
    writer = Writer()
    inner = writer.dataset()
    return writer.file(writer.group({"a": inner, "b": inner}))


def chunked(*sizes: int, **facts: Any) -> bytes:
    writer = Writer()
    return writer.file(writer.group({"w": writer.chunks(*sizes, **facts)}))


def headed(**facts: Any) -> bytes:
    writer = Writer()
    return writer.file(writer.group({"w": writer.dataset()}), **facts)


def filters(number: int) -> bytes:
    return message(11, struct.pack("<BB6xHHHH", 1, 1, number, 0, 0, 0))


def configured(kind: bytes, shape: bytes, value: bytes) -> bytes:
    return weights(attribute("model_config", kind, shape, value))


LEAVING = {
    "external links": dataset(message(6, b"\1\x08\x40\1a\7\0\0/etc/x\0")),
    "a group of new style": dataset(message(2, b"\0\0" + struct.pack("<QQ", UNDEFINED, UNDEFINED))),
    "external storage": dataset(message(7, b"\1\0\0\0" + struct.pack("<HHQ", 1, 1, 96))),
    "a virtual dataset": dataset(layout=message(8, struct.pack("<BBQI", 4, 3, 96, 0))),
    "a layout of old": dataset(layout=message(8, struct.pack("<BB", 1, 1) + b"\0" * 22)),
    "a filter that is a plug-in": dataset(filters(32001)),
    "a filter of the library that is not in every build": dataset(filters(4)),
    "soft links": grouped(kind=2),
    "another driver": headed(driver=96),
    "another beginning": headed(base=8),
    "another superblock": headed(version=2),
    "bytes behind its end": headed(behind=b"PK\3\4"),
    "an end that is not there": headed()[:-1],
    "siblings in a tree": grouped(siblings=96),
    "an object that is linked twice": loop(),
    "a group in itself": Writer().file(96),
    "a shared type": dataset(message(3, b"", 2)),
    "attributes elsewhere": dataset(message(21, b"\0\0" + struct.pack("<QQ", 96, 96))),
    "two layouts": dataset(contiguous(96, 8)),
    "references": dataset(kind=b"\x17\0\0\0" + struct.pack("<I", 8)),
    "compounds": dataset(kind=b"\x16\1\0\0" + struct.pack("<I", 8)),
    "texts of varying length": dataset(kind=varying_type()),
    "an address outside": dataset(layout=contiguous(1 << 40, 8)),
    "another size than its shape": dataset(layout=contiguous(96, 16)),
    "a shape that overflows": dataset(shape=(1 << 40, 1 << 40)),
    "a dataset that is all filling": dataset(shape=(1 << 30,), layout=contiguous(UNDEFINED, 1 << 32)),
    "a bomb": chunked(8, shape=1 << 28, filters=filters(1)),
    "a chunk outside": chunked(8).replace(struct.pack("<IIQQ", 8, 0, 0, 0), struct.pack("<IIQQ", 1 << 20, 0, 0, 0)),
    "a configuration that is a list": configured(text_type(2), b"\1\1\0\0" + b"\0" * 4 + struct.pack("<Q", 2), b"{}{}"),
    "a configuration that is a number": configured(FLOATS, scalar(), b"\0" * 4),
    "a configuration that is nowhere": configured(varying_type(), scalar(), struct.pack("<IQI", 2, 96, 1)),
    "two configurations": weights(text("model_config", b"{}"), text("model_config", b'{"class_name": "Lambda"}')),
    "a configuration that is no JSON": weights(text("model_config", b'{"a": 1, "a": 2}')),
}


@pytest.mark.parametrize("data", LEAVING.values(), ids=LEAVING.keys())
def test_a_file_that_leads_out_of_itself_or_is_of_another_structure(data: bytes) -> None:
    assert [one.rule for one in look(data).findings] == ["hdf5-malformed"]


def test_what_those_files_differ_from() -> None:
    """Their honest twins, so that each is refused for what it is named after."""
    for data in (dataset(), grouped(), chunked(8), headed(), dataset(filters(1)), dataset(filters(2)), weights()):
        assert not look(data).findings


def test_a_pickle_in_an_attribute() -> None:
    """PyTables unpickles texts that end as pickles do, on whatever object they are."""
    (found,) = look(dataset(text("CLASS", b"cos\nsystem\n(S'true'\ntR."))).findings
    assert found.rule == "hdf5-pickle"
    assert not look(dataset(text("CLASS", b"A sentence."))).findings


def test_mutants_are_refused_or_read_but_never_stumbled_over() -> None:
    ensure_nothing_stumbles(look, weights(text("model_config", json.dumps(HONEST).encode())), seed=5, count=2_000)


def test_what_the_reference_library_writes(tmp_path: Path) -> None:
    """The h5py package, where it is installed: the default, and what leads out of the file."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_dataset("a/b", data=[[1.0, 2.0]] * 100, chunks=True, compression="gzip", shuffle=True)
        file.attrs["model_config"] = json.dumps(HONEST)
    assert not look((tmp_path / "m.h5").read_bytes()).findings
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"] = h5py.ExternalLink("/etc/x.h5", "/")
    assert [one.rule for one in look((tmp_path / "x.h5").read_bytes()).findings] == ["hdf5-malformed"]
