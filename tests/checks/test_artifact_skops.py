"""skops: its trees name classes and functions, which must be allowed like those in pickles."""

# ruff: noqa: TID253
from __future__ import annotations

import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pratique.checking import Finding
from pratique.checks.artifact.granting import grants
from pratique.checks.artifact.looking import Asked
from pratique.checks.artifact.looking import look as look_at_file
from pratique.checks.artifact.viewing import opened

Node = dict[str, Any]


def node(loader: str, module: str, name: str, **more: Any) -> Node:
    return {"__class__": name, "__module__": module, "__loader__": loader, **more}


def value(text: str) -> Node:
    return node("JsonNode", "builtins", "str", content=text, is_json=True)


def array(data: Any = None) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros((2, 3)) if data is None else data, allow_pickle=True)
    return stream.getvalue()


def model(**attributes: Node) -> Node:
    content = node(
        "DictNode",
        "builtins",
        "dict",
        content={"coef_": node("NdArrayNode", "numpy", "ndarray", type="numpy", file="1.npy"), **attributes},
    )
    return node(
        "ObjectNode", "sklearn.linear_model._base", "LinearRegression", content=content, protocol=2, _skops_version="0.16.0"
    )


def archive(tree: Any, **members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name, data in {"1.npy": array(), **{key.replace("_", "."): one for key, one in members.items()}}.items():
            if data:
                file.writestr(name, data)
        file.writestr("schema.json", tree if isinstance(tree, bytes) else json.dumps(tree).encode())
    return stream.getvalue()


def look(tmp_path: Path, data: bytes, *packs: str) -> list[Finding]:
    (tmp_path / "m.skops").write_bytes(data)
    allowed = grants(packs or ("sklearn",), ())
    with opened(tmp_path / "m.skops", "m.skops") as view:
        return list(look_at_file(view, Asked(formats=("skops",), max_json_bytes=1, max_text_bytes=1, grants=allowed)).findings)


def test_an_honest_model(tmp_path: Path) -> None:
    honest = model(
        positive=value("false"), tol=value("NaN"), kind=node("TypeNode", "builtins", "float"),
        more=node("ListNode", "builtins", "list", content=[node("CachedNode", "builtins", "dict")]),
        measure=node("FunctionNode", "sklearn.metrics._regression", "r2_score"),
    )  # fmt: skip
    assert look(tmp_path, archive(honest)) == []


def test_models_of_the_library_itself(tmp_path: Path) -> None:
    skops = pytest.importorskip("skops.io", reason="NOT RUN: skops is not installed")
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    for estimator in (RandomForestClassifier(2), make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=2))):
        skops.dump(estimator.fit(np.random.default_rng(0).random((20, 3)), [0, 1] * 10), tmp_path / "real.skops")
        assert look(tmp_path, (tmp_path / "real.skops").read_bytes()) == []


def test_a_class_that_no_pack_names_and_the_line_that_would_allow_it(tmp_path: Path) -> None:
    (found,) = look(tmp_path, archive(model()), "numpy")
    assert found.rule == "skops-global" and "LinearRegression (role new)" in found.message
    assert "`pickle_packs: [sklearn]` would allow it" in found.fix
    foreign = node("ObjectNode", "acme", "Net", protocol=2)
    assert '`pickle_globals: ["new acme.Net"]`' in look(tmp_path, archive(foreign, **{"1_npy": b""}))[0].fix


@pytest.mark.parametrize(
    "evil",
    [
        node("FunctionNode", "os", "system"),
        node("FunctionNode", "posix", "system", content={"module_path": "os", "function": "system"}),
        node("ObjectNode", "subprocess", "Popen"),
        node("ObjectNode", "sklearn.linear_model._base", "LinearRegression.fit"),
        node("TypeNode", "builtins", "eval"),
        node("FunctionNode", "builtins", "getattr"),
        node("FunctionNode", "sklearn.linear_model._base", "LinearRegression.mro"),
        node("ConstructorFromReduceNode", "sklearn.linear_model._base", "LinearRegression"),  # made is not called
        node("TreeNode", "os", "system", content={}, __reduce__={"args": []}),
        node("LossNode", "sklearn.svm._classes", "SVC"),
        node("MethodNode", "sklearn.linear_model._base", "LinearRegression", content={"func": "fit", "obj": value("1")}),
        node("PartialNode", "functools", "partial", content={"func": value("1")}),
        node("OperatorFuncNode", "operator", "methodcaller", attrs=value("1")),
        node("OperatorFuncNode", "operator", "attrgetter"),
        node("NoSuchNode", "builtins", "dict"),
        node("DictNode", "os", "environ", content={}),
        node("ListNode", "subprocess", "Popen", content=[]),
        node("SetNode", "builtins", "exec", content=[]),
        node("JsonNode", "builtins", "eval", content="1"),
        node("NdArrayNode", "numpy", "load", type="json", content=[]),
        node("NdArrayNode", "os", "system", type="json", content=[]),
        node("DTypeNode", "numpy", "fromfile"),
        node("SparseMatrixNode", "os", "system", type="scipy"),
        node("DefaultDictNode", "collections", "defaultdict", content={"factory": node("TypeNode", "os", "_exit")}),
        {"__loader__": "ObjectNode"},
        {"__loader__": 3, "__module__": "os", "__class__": "system"},
        {"__module__": "os", "__class__": "system"},
    ],
)  # fmt: skip
def test_a_node_that_names_or_calls_what_it_must_not(tmp_path: Path, evil: Node) -> None:
    for tree in (
        model(x=evil),
        model(x=node("ListNode", "builtins", "list", content=[value("1"), evil])),
        model(x={"deep": [evil]}),
    ):
        found = look(tmp_path, archive(tree))
        assert found and found[0].rule.startswith("skops-"), found
    assert look(tmp_path, archive({**evil, "protocol": 2}, **{"1_npy": b""}))


@pytest.mark.parametrize(
    ("tree", "members"),
    [
        (b"", {}), (b"[]", {}), (b"{}", {}), (b'{"__loader__": 1, "__loader__": 2}', {}), (b"[" * 5_000, {}),
        ({**model(), "protocol": 9}, {}),
        (model(), {"1_npy": b""}),  # what it asks for is not there
        (model(), {"2_npy": array()}),  # nothing asks for it
        (model(), {"evil_py": b"import os"}),
        (model(), {"1_npy": array(np.array([{}], dtype=object))}),  # objects are a pickle
        (model(), {"1_npy": b"\x80\x04."}),
        (model(), {"1_npy": array() + b"more"}),
        (model(x=node("SparseMatrixNode", "scipy.sparse", "csr_matrix", type="scipy", file="2.npz")), {"2_npz": b"PK\x03\x04"}),
        (model(x=node("BytesNode", "builtins", "bytes", file="../../x.bin")), {}),
    ],
)  # fmt: skip
def test_a_tree_and_members_that_do_not_fit(tmp_path: Path, tree: Any, members: dict[str, bytes]) -> None:
    assert look(tmp_path, archive(tree, **members))


def test_one_that_nobody_asked_for(tmp_path: Path) -> None:
    (tmp_path / "m.skops").write_bytes(archive(model()))
    with opened(tmp_path / "m.skops", "m.skops") as view:
        found = look_at_file(view, Asked(formats=("pickle", "npy", "torch"), max_json_bytes=1, max_text_bytes=1)).findings
    assert [one.rule for one in found] == ["archive-not-allowed"]


def test_mutants_of_a_tree_never_crash_the_reader_and_name_no_other_class(tmp_path: Path) -> None:
    dice = random.Random(5)
    source = json.dumps(model(a=value("1"), b=node("TypeNode", "builtins", "float"))).encode()
    for _ in range(400):
        at = dice.randrange(len(source))
        piece = dice.choice([b"os", b'"', b"{", b"}", b"system", b",", b"\\", b"\xff", b"Node", b""])
        look(tmp_path, archive(source[:at] + piece + source[at + dice.randrange(6) :]))
