"""The code in a TorchScript archive: a language that looks like Python, read with Python's parser and never run.

    class Net(Module):
      weight : Tensor
      def forward(self: __torch__.Net, x: Tensor) -> Tensor:
        return torch.linear(x, self.weight)

A program in it can do what its operators do, and some read and write files (`torch.from_file`, `torch.save`). So each name that
it calls must be known: an operator of the list in torchscript.yaml, or a function, class or method of the archive itself.
Nothing may be reached through an attribute of a value whose class is not known, because `x.save` is an operator, too.

PyTorch reads the same text with a parser of its own. What the two could read differently is refused: comments, prefixes of
strings, line continuations, anything that is not printable ASCII, and every statement that PyTorch's printer does not write.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import NoReturn

import yaml

from pratique.checks.artifact.viewing import shown
from pratique.errors import Malformed

MAX_CODE = 16 << 20
"""Bytes of code in one archive."""

_TEXT = re.compile(rb"[\n\x20-\x7e]*\Z")
_ROOTS = frozenset({"torch", "ops", "__torch__", "CONSTANTS"})
_CALLS = frozenset({"bool", "int", "float", "complex", "str", "len", "range", "abs", "min", "max", "round", "isinstance"})
_CASTS = frozenset({"annotate", "unchecked_cast", "uninitialized"})
_TYPES = frozenset({
    "Tensor", "int", "float", "bool", "str", "complex", "number", "NoneType", "None", "Optional", "List", "Tuple", "Dict",
    "Final", "Any", "Union", "Device", "Layout", "MemoryFormat", "ScalarType", "t", "Module",
})  # fmt: skip
_BASES = frozenset({"Module", "NamedTuple", "Enum", "Interface", "ModuleInterface", "object"})
_NUMBERS = frozenset({"inf", "nan", "infj", "nanj"})
_LISTS = frozenset({"__parameters__", "__buffers__", "__forward_hooks__", "__forward_pre_hooks__"})


@dataclass(frozen=True, slots=True)
class Kind:
    """What is known of a value: nothing, that it is an object of a class of the archive, or that it may be called."""

    of: str = ""
    """Its class; '' for data."""

    returns: Kind | None = None
    """What a call of it returns; None if it may not be called."""


DATA = Kind()
FUNCTION = Kind(returns=DATA)


@dataclass(slots=True)
class _Class:
    attributes: dict[str, ast.expr] = field(default_factory=dict)
    methods: dict[str, ast.FunctionDef] = field(default_factory=dict)
    constants: set[str] = field(default_factory=set)


class Program:
    """All code of an archive."""

    def __init__(self, sources: Mapping[str, bytes]) -> None:
        """Read the sources, by the names of their modules (`__torch__.torch.nn.modules.conv`), and check every function.

        Raises:
            Malformed: something that is not on the list, or that two parsers could read in two ways.
        """
        self._classes: dict[str, _Class] = {}
        self._functions: dict[str, ast.FunctionDef] = {}
        if sum(map(len, sources.values())) > MAX_CODE:
            raise Malformed(f"more than {MAX_CODE:,} bytes of code")
        for module, source in sources.items():
            for node in _parsed(module, source).body:
                self._define(module, node)
        for name in (*self._classes, *self._functions):
            try:
                self._check(name)
            except RecursionError as error:
                raise Malformed(f"{shown(name)} nests too deeply") from error
            except Malformed as error:
                raise Malformed(f"{shown(name)}: {error}") from error

    @property
    def classes(self) -> tuple[tuple[str, str], ...]:
        """Module and name of every class."""
        return tuple((name.rpartition(".")[0], name.rpartition(".")[2]) for name in self._classes)

    def _check(self, name: str) -> None:
        if name in self._functions:
            _Body(self, self._functions[name])
            return
        for annotation in self._classes[name].attributes.values():
            self._type(annotation)
        for method in self._classes[name].methods.values():
            _Body(self, method)

    def _define(self, module: str, node: ast.stmt) -> None:
        name = f"{module}.{getattr(node, 'name', '')}"
        if name in self._classes or name in self._functions:
            raise Malformed(f"two definitions of {shown(name)}")
        if isinstance(node, ast.FunctionDef):
            self._functions[name] = node
        elif isinstance(node, ast.ClassDef):
            self._classes[name] = _class(node)
        else:
            _refuse(node, "stands outside of functions and classes")

    def _type(self, node: ast.expr | None) -> Kind:
        """The kind of a value of an annotated type."""
        if node is None or (isinstance(node, ast.Constant) and node.value is None):
            return DATA
        if isinstance(node, ast.Name) and node.id in _TYPES:
            return DATA
        if isinstance(node, ast.Attribute):
            if (name := _dotted(node)) in self._classes:
                return Kind(name)
            _refuse(node, f"names the type {shown(name or '?')}, which is not of this archive")
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id in _TYPES:
            inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            kinds = [self._type(one) for one in inner]
            return kinds[0] if node.value.id == "Final" and len(kinds) == 1 else DATA
        if isinstance(node, ast.List | ast.Tuple):  # Tuple[()] and the like
            for one in node.elts:
                self._type(one)
            return DATA
        _refuse(node, "is no type that is known here")

    def _global(self, node: ast.expr, name: str) -> Kind:
        """What a dotted name that begins with torch, ops, __torch__ or CONSTANTS stands for."""
        root, _, rest = name.partition(".")
        if root == "CONSTANTS" and re.fullmatch(r"c[0-9]{1,9}", rest):
            return DATA
        if root == "torch" and rest in operators():
            return FUNCTION
        if root == "ops" and (
            (rest[:5] == "prim." and rest[5:] in primitives()) or (rest[:5] == "aten." and rest[5:] in operators())
        ):
            return FUNCTION
        if name in self._functions:
            return Kind(returns=self._type(self._functions[name].returns))
        if name in self._classes:
            return Kind(returns=Kind(name))
        owner, _, constant = name.rpartition(".")
        if owner in self._classes and constant == "__new__":
            return Kind(returns=Kind(owner))
        if owner in self._classes and constant in self._classes[owner].constants:
            return DATA
        _refuse(node, f"uses {shown(name)}, which is no operator that only computes, and nothing of this archive")

    def _member(self, node: ast.expr, of: Kind, name: str) -> Kind:
        """An attribute or a method of an object."""
        owner = self._classes.get(of.of)
        if owner is None:
            _refuse(node, f"reaches for {shown(name)!r} of a value whose class is not known")
        if name in owner.attributes:
            return self._type(owner.attributes[name])
        if name in owner.methods:
            return Kind(returns=self._type(owner.methods[name].returns))
        _refuse(node, f"reaches for {shown(name)!r}, which {shown(of.of)} does not have")


class _Body:
    """One function, statement by statement."""

    def __init__(self, program: Program, function: ast.FunctionDef) -> None:
        self._program = program
        self._names: dict[str, Kind] = {}
        given = function.args
        if function.decorator_list or given.vararg or given.kwarg or given.posonlyargs:
            _refuse(function, "is a function of a form that PyTorch does not write")
        for argument in (*given.args, *given.kwonlyargs):
            self._bind(function, argument.arg, program._type(argument.annotation))
        for default in (*given.defaults, *(one for one in given.kw_defaults if one)):
            self._value(default)
        program._type(function.returns)
        self._statements(function.body)

    def _statements(self, body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.Pass):
                continue
            if isinstance(node, ast.Return):
                self._optional(node.value)
            elif isinstance(node, ast.Expr):
                self._value(node.value)
            elif isinstance(node, ast.Assign) and len(node.targets) == 1:
                self._assign(node.targets[0], self._value(node.value))
            elif isinstance(node, ast.AnnAssign) and node.value:
                self._value(node.value)
                self._assign(node.target, self._program._type(node.annotation))
            elif isinstance(node, ast.If | ast.While):
                self._value(node.test)
                self._statements(node.body)
                self._statements(node.orelse)
            elif isinstance(node, ast.For) and not node.orelse:
                self._value(node.iter)
                self._assign(node.target, DATA)
                self._statements(node.body)
            else:
                _refuse(node, "is a statement that PyTorch does not write")

    def _bind(self, node: ast.AST, name: str, kind: Kind) -> None:
        if name in _ROOTS or name in _CALLS or name in _CASTS or name == "getattr":
            _refuse(node, f"gives {shown(name)} another meaning")
        if self._names.setdefault(name, kind) != kind:
            _refuse(node, f"gives {shown(name)} a second meaning")

    def _assign(self, target: ast.expr, kind: Kind) -> None:
        if isinstance(target, ast.Name):
            self._bind(target, target.id, kind)
        elif isinstance(target, ast.Tuple | ast.List):
            for one in target.elts:
                self._assign(one, DATA)
        else:  # an attribute of an object, an element of a list
            self._value(target)

    def _optional(self, node: ast.expr | None) -> None:
        if node is not None:
            self._value(node)

    def _value(self, node: ast.expr) -> Kind:
        if isinstance(node, ast.Constant) and not isinstance(node.value, bytes) and node.value is not ...:
            return DATA
        if isinstance(node, ast.Name):
            if node.id in _NUMBERS and node.id not in self._names:
                return DATA
            if node.id not in self._names:
                _refuse(node, f"uses {shown(node.id)}, which has no meaning here")
            return self._names[node.id]
        if isinstance(node, ast.Attribute):
            name = _dotted(node)
            if name and name.split(".")[0] in _ROOTS:
                return self._program._global(node, name)
            return self._program._member(node, self._value(node.value), node.attr)
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Tuple | ast.List | ast.BoolOp):
            inner: list[ast.expr | None] = list(node.values if isinstance(node, ast.BoolOp) else node.elts)
        elif isinstance(node, ast.Dict):
            inner = [*node.keys, *node.values]
        elif isinstance(node, ast.BinOp):
            inner = [node.left, node.right]
        elif isinstance(node, ast.UnaryOp):
            inner = [node.operand]
        elif isinstance(node, ast.Compare):
            inner = [node.left, *node.comparators]
        elif isinstance(node, ast.IfExp):
            inner = [node.test, node.body, node.orelse]
        elif isinstance(node, ast.Subscript):
            inner = [node.value, node.slice]
        elif isinstance(node, ast.Slice):
            inner = [node.lower, node.upper, node.step]
        else:
            _refuse(node, "is an expression that PyTorch does not write")
        for one in inner:
            self._optional(one)
        return DATA

    def _call(self, node: ast.Call) -> Kind:
        arguments = [*node.args, *(one.value for one in node.keywords)]
        if any(one.arg is None for one in node.keywords):
            _refuse(node, "unpacks arguments")
        if isinstance(node.func, ast.Name) and node.func.id not in self._names:
            return self._builtin(node, node.func.id, arguments)
        called = self._value(node.func)
        if called.returns is None:
            _refuse(node, "calls what is no function of this archive")
        for one in arguments:
            self._value(one)
        return called.returns

    def _builtin(self, node: ast.Call, name: str, arguments: list[ast.expr]) -> Kind:
        word = arguments[1].value if len(arguments) == 2 and isinstance(arguments[1], ast.Constant) else None
        if name == "getattr" and isinstance(word, str):
            return self._program._member(node, self._value(arguments[0]), word)
        if name in _CASTS and arguments:
            for one in arguments[1:]:
                self._value(one)
            return self._program._type(arguments[0])
        if name == "isinstance" and len(arguments) == 2:
            self._program._type(arguments[1])
            self._value(arguments[0])
            return DATA
        if name not in _CALLS:
            _refuse(node, f"calls {shown(name)}, which has no meaning here")
        for one in arguments:
            self._value(one)
        return DATA


@cache
def operators() -> frozenset[str]:
    """Operators that only compute."""
    return frozenset(_lists()["operators"])


@cache
def primitives() -> frozenset[str]:
    """What the interpreter does itself, and is harmless."""
    return frozenset(_lists()["primitives"])


@cache
def _lists() -> dict[str, list[str]]:
    text = resources.files("pratique.checks.artifact").joinpath("torchscript.yaml").read_text(encoding="utf-8")
    found: dict[str, list[str]] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return found


def _parsed(module: str, source: bytes) -> ast.Module:
    if not _TEXT.match(source):
        raise Malformed(f"{shown(module)} holds something else than printable ASCII")
    text = source.decode("ascii")
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                raise Malformed(f"{shown(module)} holds a comment, in line {token.start[0]:,}")
            if token.type == tokenize.STRING and (token.string[0] not in "'\"" or token.string[:3] in ("'''", '"""')):
                raise Malformed(f"{shown(module)} holds a string of a special form, in line {token.start[0]:,}")
            if token.type == tokenize.OP and token.string == ";":
                raise Malformed(f"{shown(module)} holds two statements in line {token.start[0]:,}")
        if "\\\n" in text:
            raise Malformed(f"{shown(module)} holds a line that goes on in the next one")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of strings with odd escapes
            return ast.parse(text)
    except (SyntaxError, ValueError, tokenize.TokenError, MemoryError, RecursionError) as error:
        raise Malformed(f"{shown(module)} is not code that can be read") from error


def _class(node: ast.ClassDef) -> _Class:
    if node.decorator_list or node.keywords or any(not isinstance(one, ast.Name) or one.id not in _BASES for one in node.bases):
        _refuse(node, "is a class of a form that PyTorch does not write")
    found = _Class()
    for one in node.body:
        target = one.targets[0] if isinstance(one, ast.Assign) and len(one.targets) == 1 else None
        if isinstance(one, ast.FunctionDef) and one.name not in found.methods:
            found.methods[one.name] = one
        elif isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name) and _is_literal(one.value):
            _attribute(found, one, one.target.id, one.annotation)
        elif isinstance(one, ast.Assign) and isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
            if not isinstance(target.value, ast.Name) or target.value.id != "__annotations__":
                _refuse(one, "is a statement that PyTorch does not write")
            _attribute(found, one, str(target.slice.value), one.value)
        elif isinstance(one, ast.Assign) and isinstance(target, ast.Name) and _is_literal(one.value):
            if target.id not in _LISTS:
                found.constants.add(target.id)
        elif not isinstance(one, ast.Pass):
            _refuse(one, "is a statement that PyTorch does not write")
    return found


def _attribute(owner: _Class, node: ast.AST, name: str, annotation: ast.expr) -> None:
    if name in owner.attributes:
        _refuse(node, f"declares {shown(name)} twice")
    owner.attributes[name] = annotation


def _is_literal(node: ast.expr | None) -> bool:
    """Whether an expression is made of constants alone."""
    allowed = (ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.UnaryOp, ast.expr_context, ast.unaryop)
    return node is None or all(isinstance(one, allowed) for one in ast.walk(node))


def _dotted(node: ast.expr) -> str:
    """A chain of names; '' if it begins with something else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def _refuse(node: ast.AST, why: str) -> NoReturn:
    raise Malformed(f"line {getattr(node, 'lineno', 0):,} {why}")
