"""Functions that run code, found again in whatever is installed: each in a pickle of its own, and refused with all allow-lists.

A deny-list has to know every such function in every library, in each version. This test finds them by reading the sources: any
function at the top of a module, or method of a class, that hands one of its parameters to exec, to a process, to an importer
or to an unpickler. Nothing is imported.
"""

from __future__ import annotations

import ast
import importlib.util
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checks.pickling import call, look, name, stream, text

LIBRARIES = ("torch", "numpy", "scipy", "sklearn", "pandas", "joblib")
"""Beside Python's own."""

PERHAPS = ("accelerate", "lightgbm", "transformers", "ultralytics", "xgboost", "yaml", "great_expectations", "fsspec")
"""Searched as well, where they are installed."""

NAMES = {"exec", "eval", "compile", "__import__", "open"}
ATTRIBUTES = {
    "os": {"system", "popen", "execv", "execve", "execvp", "spawnv", "remove", "unlink", "rename", "rmdir", "replace"},
    "subprocess": {"run", "call", "check_call", "check_output", "Popen", "getoutput", "getstatusoutput"},
    "importlib": {"import_module"}, "pickle": {"load", "loads", "Unpickler"}, "marshal": {"load", "loads"},
    "ctypes": {"CDLL", "PyDLL"}, "runpy": {"run_path", "run_module"}, "torch": {"load"}, "joblib": {"load"},
    "shutil": {"rmtree", "move", "copy"},
}  # fmt: skip

SOURCES = {
    "stdlib": Path(sysconfig.get_paths()["stdlib"]),
    **{one: Path(sysconfig.get_paths()["purelib"]) for one in LIBRARIES},
    **{one: Path(str(importlib.util.find_spec(one).origin)).parents[1] for one in PERHAPS if importlib.util.find_spec(one)},
}


def files(library: str) -> Iterator[tuple[str, Path]]:
    """Modules of a library by their dotted names."""
    root = SOURCES[library]
    for path in sorted((root if library == "stdlib" else root / library).rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if any(part in ("site-packages", "test", "tests", "testing", "idlelib") or part.startswith("test_") for part in parts):
            continue
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def runs_a_parameter(function: ast.FunctionDef) -> bool:
    """Whether a function hands a parameter of its own to something that runs, imports, loads or writes."""
    arguments = function.args
    known = {
        one.arg for one in (*arguments.args, *arguments.kwonlyargs, *arguments.posonlyargs) if one.arg not in ("self", "cls")
    }
    known |= {one.arg for one in (arguments.vararg, arguments.kwarg) if one}
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and _runs(node.func):
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            if any(isinstance(part, ast.Name) and part.id in known for one in given for part in ast.walk(one)):
                return True
    return False


def _runs(target: ast.expr) -> bool:
    if isinstance(target, ast.Name):
        return target.id in NAMES
    return (
        isinstance(target, ast.Attribute)
        and isinstance(target.value, ast.Name)
        and target.attr in ATTRIBUTES.get(target.value.id, ())
    )


def found_in(library: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Functions that run a parameter, and classes with a method that does."""
    functions, classes = [], []
    for module, path in files(library):
        source = path.read_text("utf-8", "replace")
        if not any(word in source for word in (*NAMES, *ATTRIBUTES)):
            continue
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            continue
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and runs_a_parameter(node):
                functions.append((module, node.name))
            elif isinstance(node, ast.ClassDef) and _dangerous(node):
                classes.append((module, node.name))
    return functions, classes


def _dangerous(node: ast.ClassDef) -> bool:
    """Whether making an instance, or giving it a state, runs what it is given."""
    hooks = {"__init__", "__new__", "__setstate__", "__call__", "__setitem__", "append", "extend", "__del__"}
    return any(isinstance(one, ast.FunctionDef) and one.name in hooks and runs_a_parameter(one) for one in node.body)


LAYER = name("torch.nn.modules.linear", "Linear") + b")\x81}"
"""A layer, and the beginning of its state."""


def refused(body: bytes) -> bool:
    """Most for the import; `_load_from_bytes` is allowed for one kind of bytes, and refused for what it is given."""
    return bool(look(stream(body)))


@pytest.mark.slow
@pytest.mark.parametrize("library", SOURCES)
def test_every_function_that_runs_code_is_refused_with_all_packs_together(library: str) -> None:
    functions, classes = found_in(library)
    least = {"stdlib": 60, "torch": 50}.get(library, 3 if library in LIBRARIES else 0)
    assert len(functions) + len(classes) >= least, "the search finds less than is there"
    for module, one in functions:
        assert refused(call(name(module, one), text("true"))), (module, one)
        assert refused(b"]" + name(module, one) + b"a"), (module, one)  # as a value, for somebody to call
        assert refused(LAYER + text("_forward_hooks") + b"}K\0" + name(module, one) + b"ssb"), (module, one)
        assert refused(call(name("collections", "defaultdict"), name(module, one))), (module, one)
    for module, one in classes:
        assert refused(call(name(module, one), text("true"))), (module, one)
        assert refused(name(module, one) + b")\x81}" + text("a") + text("true") + b"sb"), (module, one)


def test_the_same_in_the_two_smallest() -> None:
    for library in ("joblib", "numpy"):
        functions, classes = found_in(library)
        assert len(functions) >= 3
        assert all(refused(call(name(module, one), text("true"))) for module, one in (*functions, *classes))


@pytest.mark.parametrize(
    ("module", "one"),
    [
        ("pkgutil", "resolve_name"), ("torch.hub", "load"), ("joblib", "load"), ("numpy", "load"), ("pandas", "read_pickle"),
        ("torch.jit", "load"), ("numpy.f2py.crackfortran", "myeval"), ("numpy.testing._private.utils", "runstring"),
        ("torch.utils.cpp_extension", "load_inline"), ("pandas.core.computation.eval", "eval"), ("builtins", "getattr"),
        ("operator", "attrgetter"), ("operator", "methodcaller"), ("functools", "partial"), ("functools", "reduce"),
        ("builtins", "map"), ("itertools", "starmap"), ("torch._dynamo.utils", "import_submodule"),
        ("copyreg", "add_extension"), ("numpy._core", "_ufunc_reconstruct"), ("sklearn.utils._testing", "TempMemmap"),
        ("torch.package", "PackageImporter"),
        ("torch.serialization", "load"), ("torch.ops", "load_library"), ("types", "FunctionType"), ("types", "CodeType"),
        ("multiprocessing.util", "spawnv_passfds"), ("logging.config", "fileConfig"), ("ctypes", "CDLL"), ("pip", "main"),
        ("joblib.numpy_pickle", "NDArrayWrapper"), ("numpy", "memmap"), ("torch", "from_file"), ("numpy", "fromfile"),
        ("sklearn.datasets", "load_files"), ("scipy.io", "loadmat"), ("torch", "load"), ("torch.storage", "_load_from_bytes"),
    ],
)  # fmt: skip
def test_functions_that_attacks_have_used(module: str, one: str) -> None:
    assert look(stream(call(name(module, one), text("true"))))
