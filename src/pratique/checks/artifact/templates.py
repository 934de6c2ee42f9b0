"""Chat templates: Jinja that is read by Jinja's own parser, never rendered, and held against a list of what such templates do.

    {% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] | trim }}{% endfor %}      passes
    {{ ().__class__.__base__.__subclasses__() }}                                         does not

A tokenizer renders its template with whatever the chat brings along, in a sandbox if its library has one. So the template may
build text out of the chat and nothing else:

1. Only kinds of nodes that are listed; no import, include, inheritance, or `self`. Of functions, filters, tests and methods,
   the listed ones.
2. What is called is a listed function, a macro of the template, or a listed method. A function is called and not passed around;
   nothing is stored under its name, nor under a method's name in a dictionary or namespace.
3. No attribute, key or constant leads into Python: none begins with an underscore, none holds two of them together.
4. A key that is not written down (`x[key]`) could lead anywhere. So it is a number or comes from the chat itself (messages,
   tools, documents), and so does that of which it is the key: not texts that the template puts together, nor other variables,
   such as special tokens, whose values are the artifact's. Attributes for `map` and the like are always written down.
5. Size, depth and the number of nodes are bounded, and so are constants that repeat something. A template may still take long
   to render: loops may be nested.

Jinja: https://jinja.palletsprojects.com/en/stable/templates. What transformers adds (`raise_exception`, `strftime_now`,
`tojson`, `generation`, loop controls): transformers/utils/chat_template_utils.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pratique.checking import Finding
from pratique.checks.artifact.rules import finding
from pratique.checks.artifact.viewing import shown
from pratique.errors import Malformed

if TYPE_CHECKING:
    from jinja2 import nodes

MAX_TEMPLATE = 256 << 10
"""Characters. The longest in wide use have about 30,000."""

_MAX_NODES = 50_000
_DEEPEST = 100
_LONGEST_RANGE = 10_000

_NODES = frozenset({
    "Template", "Output", "TemplateData", "For", "If", "Macro", "CallBlock", "FilterBlock", "Assign", "AssignBlock", "Scope",
    "ExprStmt", "Break", "Continue", "Name", "NSRef", "Const", "Tuple", "List", "Dict", "Pair", "Keyword", "CondExpr", "Filter",
    "Test", "Call", "Getitem", "Getattr", "Slice", "Concat", "Compare", "Operand", "Add", "Sub", "Mul", "Div", "FloorDiv",
    "Mod", "Not", "Neg", "Pos", "And", "Or",
})  # fmt: skip
"""Kinds of nodes, as `jinja2.nodes` calls them. Absent are whatever loads, extends or configures: Import, FromImport, Include,
Extends, Block, With, EvalContextModifier, the ones of extensions; and Pow."""

_FUNCTIONS = frozenset({"range", "namespace", "dict", "raise_exception", "strftime_now"})
"""Functions that may be called by name; and macros that the template itself defines."""

_FILTERS = frozenset({
    "abs", "batch", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float", "from_json", "fromjson",
    "groupby", "indent", "int", "items", "join", "last", "length", "list", "lower", "map", "max", "min", "reject", "rejectattr",
    "replace", "reverse", "round", "safe", "select", "selectattr", "slice", "sort", "string", "sum", "title", "tojson", "trim",
    "truncate", "unique", "upper", "urlencode", "wordcount",
})  # fmt: skip
"""Filters; absent are `attr`, `format`, `pprint`, `random`, `xmlattr`, and those that nobody needs in a chat."""

_TESTS = frozenset({
    "boolean", "defined", "divisibleby", "eq", "equalto", "==", "even", "false", "float", "ge", ">=", "gt", "greaterthan", ">",
    "in", "integer", "iterable", "le", "<=", "lower", "lt", "lessthan", "<", "mapping", "ne", "!=", "none", "number", "odd",
    "sequence", "string", "true", "undefined", "upper",
})  # fmt: skip

_METHODS = frozenset({
    "append", "capitalize", "count", "endswith", "extend", "find", "get", "index", "insert", "isdigit", "items", "join", "keys",
    "lower", "lstrip", "partition", "pop", "removeprefix", "removesuffix", "replace", "rfind", "rpartition", "rsplit", "rstrip",
    "split", "splitlines", "startswith", "strip", "title", "upper", "values",
})  # fmt: skip
"""Methods of texts, lists and dictionaries. Absent are `format` and `format_map`, which look up attributes, and `update`."""

_ATTRIBUTES = {"selectattr": 0, "rejectattr": 0, "groupby": 0, "sum": 0, "join": 1, "min": 1, "max": 1, "unique": 1, "sort": 2}
"""Filters that look up an attribute by name: which of their arguments it is. It may be called `attribute`, as in `map`, too."""

_FORBIDDEN = frozenset({"self", "super", "varargs", "kwargs", "cycler", "joiner", "lipsum", "config", "request"})
"""Names that Jinja, or frameworks around it, give a meaning of their own."""

_PYTHONS_WAYS = ("func_", "f_", "gi_", "cr_", "ag_", "tb_", "co_", "mro")
"""How attributes of functions, frames, generators, coroutines, tracebacks, code and classes begin."""

_CHAT = frozenset({"messages", "tools", "documents"})
"""What a tokenizer passes under these names comes from whoever chats. Other variables may be special tokens of the artifact."""

_APPENDED = "[]"
"""The name under which is noted what is appended to any list."""

_COUNTERS = frozenset({"index", "index0", "revindex", "revindex0", "length"})
"""Numbers that `loop` has."""

_SAME = frozenset({
    "select", "reject", "selectattr", "rejectattr", "list", "sort", "reverse", "unique", "dictsort", "items", "first", "last",
    "length", "count", "int",
})  # fmt: skip
"""Filters that pass on what they get, or count it."""

_PARTS = frozenset({"items", "keys", "values", "index", "find", "count", "get"})
"""Methods of which the same is true."""


def objections(text: str) -> list[str]:
    """What is wrong with a template; nothing if it does just what chat templates do.

    Raises:
        Malformed: it cannot be read, or is too large.
        ImportError: Jinja is not installed.
    """
    return list(dict.fromkeys(_Reader(_parsed(text)).all()))


def findings(where: str, text: str) -> Iterator[Finding]:
    """What is wrong with a chat template."""
    try:
        wrong = objections(text)
    except Malformed as error:
        wrong = [str(error)]
    except ImportError:
        wrong = ["it was not looked at, because Jinja is not installed here: pip install 'pratique[templates]'"]
    shortened = "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5:,} more" if len(wrong) > 5 else "")
    if wrong:
        yield finding("template-unsafe", where, f"this chat template is refused: {shortened}")


def _parsed(text: str) -> nodes.Template:
    if len(text) > MAX_TEMPLATE:
        raise Malformed(f"it has {len(text):,} characters; {MAX_TEMPLATE:,} are read")
    from jinja2 import Environment, TemplateSyntaxError, nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.parser import Parser

    class Generation(Extension):
        """`{% generation %}`, by which transformers marks what the assistant said."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Parser) -> nodes.Node:
            """The block as a scope."""
            line = next(parser.stream).lineno
            return nodes.Scope(list(parser.parse_statements(("name:endgeneration",), drop_needle=True)), lineno=line)

    try:
        return Environment(extensions=[loopcontrols, Generation]).parse(text)
    except (TemplateSyntaxError, RecursionError, ValueError, OverflowError, MemoryError) as error:
        raise Malformed(f"Jinja cannot parse it: {shown(str(error))}") from error


class _Reader:
    """One template: its macros, what its names may stand for, and what is wrong with it."""

    def __init__(self, tree: nodes.Template) -> None:
        self._nodes = list(_flat(tree))
        self._macros = {node.name: node for node in self._nodes if type(node).__name__ == "Macro"}
        self._functions = _FUNCTIONS | self._macros.keys() | {"caller"}
        self._called = {id(node.node) for node in self._nodes if type(node).__name__ in ("Call", "Test")}
        self._values: dict[str, list[Any]] = {}
        for node in self._nodes:
            for name, value in self._bound(node):
                self._values.setdefault(name, []).append(value)
        self._steps = 0

    def all(self) -> Iterator[str]:
        """Every objection, in the order of the template."""
        for node in self._nodes:
            kind = type(node).__name__
            if kind not in _NODES:
                yield f"line {node.lineno}: {kind.lower()}, which no chat template needs"
                continue
            check = getattr(self, f"_check_{kind.lower()}", None)
            yield from (f"line {node.lineno}: {what}" for what in (check(node) if check else ()))
            if getattr(node, "dyn_args", None) or getattr(node, "dyn_kwargs", None):
                yield f"line {node.lineno}: arguments with a star, which are known at run time only"

    def _check_const(self, node: Any) -> Iterator[str]:
        if isinstance(node.value, str) and "__" in node.value:
            yield f"the text {shown(node.value)!r}: two underscores could name what is Python's own"
        if isinstance(node.value, int) and abs(node.value) > 1 << 63:
            yield "a number that is out of bounds"

    def _check_name(self, node: Any) -> Iterator[str]:
        if "__" in node.name or node.name in _FORBIDDEN:
            yield f"the name {shown(node.name)}"
        elif node.name in self._functions and (node.ctx != "load" or id(node) not in self._called):
            yield f"{shown(node.name)}, a function that is not called but stored, or stored to"

    def _check_nsref(self, node: Any) -> Iterator[str]:
        yield from _attribute(node.attr)
        if node.name in _FORBIDDEN or node.attr in _METHODS:
            yield f"something that is stored as {shown(node.name)}.{shown(node.attr)}"

    def _check_macro(self, node: Any) -> Iterator[str]:
        if "__" in node.name or node.name in _FORBIDDEN | _FUNCTIONS | {"caller"}:
            yield f"a macro of the name {shown(node.name)}"

    def _check_getattr(self, node: Any) -> Iterator[str]:
        yield from _attribute(node.attr)

    def _check_getitem(self, node: Any) -> Iterator[str]:
        kind = type(node.arg).__name__
        if kind == "Const":
            yield from _attribute(node.arg.value) if isinstance(node.arg.value, str) else ()
        elif kind != "Slice" and not (_is_number(node.arg) or (self._harmless(node.arg) and self._harmless(node.node))):
            yield "an item whose name is not written down, of something that is no part of the chat, or by such a name"

    def _check_pair(self, node: Any) -> Iterator[str]:
        if type(node.key).__name__ != "Const":
            yield "a dictionary with a key that is not written down"
        elif isinstance(node.key.value, str):
            yield from _stored(node.key.value, node.value)

    def _check_test(self, node: Any) -> Iterator[str]:
        if node.name not in _TESTS:
            yield f"the test {shown(node.name)}"

    def _check_filter(self, node: Any) -> Iterator[str]:
        if node.name not in _FILTERS:
            yield f"the filter {shown(node.name)}"
            return
        place = _ATTRIBUTES.get(node.name)
        named = [] if place is None else node.args[place : place + 1]
        for one in (*named, *(given.value for given in node.kwargs if given.key == "attribute")):
            if type(one).__name__ != "Const":
                yield f"{node.name} by an attribute that is not written down"
            else:
                yield from (what for part in str(one.value).replace(",", ".").split(".") for what in _attribute(part.strip()))
        applied = {"map": 0, "select": 0, "reject": 0, "selectattr": 1, "rejectattr": 1}.get(node.name)
        allowed = _FILTERS - _ATTRIBUTES.keys() - {"map", "select", "reject"} if node.name == "map" else _TESTS
        for one in node.args[applied : applied + 1] if applied is not None else ():
            if type(one).__name__ != "Const" or one.value not in allowed:
                yield f"{node.name} with a filter or test that is not listed"
        if node.name in ("indent", "batch", "slice", "truncate"):
            yield from _bounded(node.name, node.args)

    def _check_call(self, node: Any) -> Iterator[str]:
        target, kind = node.node, type(node.node).__name__
        if kind == "Name" and target.name in self._functions:
            if target.name == "range":
                yield from _bounded("range", node.args)
            if target.name in ("namespace", "dict"):
                yield from (f"{target.name} of something else than names" for _ in node.args[:1])
                yield from (what for one in node.kwargs for what in _stored(one.key, one.value))
        elif kind == "Name":
            yield f"a call of {shown(target.name)}"
        elif kind != "Getattr":
            yield "a call of something that has no name"
        elif target.attr not in _METHODS:
            yield f"a call of the method {shown(target.attr)}"

    def _check_mul(self, node: Any) -> Iterator[str]:
        for one in (node.left, node.right):
            if type(one).__name__ == "Mul":
                yield "a product of products"
            yield from _bounded("product", [one])

    def _check_mod(self, node: Any) -> Iterator[str]:
        if type(node.left).__name__ == "Const" and isinstance(node.left.value, str):
            yield "the operator % on a text, which formats it"

    def _bound(self, node: Any) -> Iterator[tuple[str, Any]]:
        """Names that a node gives values to; attributes of namespaces as `.name`. None stands for a value that is not known."""
        kind = type(node).__name__
        if kind in ("Assign", "For"):
            yield from ((name, node.iter if kind == "For" else node.node) for name in _targets(node.target))
        elif kind == "AssignBlock":
            yield from ((name, None) for name in _targets(node.target))
        elif kind in ("Macro", "CallBlock"):
            yield from ((one.name, default) for one in node.args for default in node.defaults)
            yield from ((one.name, None) for one in node.args if kind == "CallBlock")
        elif kind == "Call" and type(node.node).__name__ == "Name":
            called = node.node.name
            given = [*node.args, *(one.value for one in node.kwargs)]
            if called in self._macros:
                yield from ((one.name, value) for one in self._macros[called].args for value in given)
            if called in ("namespace", "dict"):
                yield from ((f".{one.key}", one.value) for one in node.kwargs)
        elif kind == "Call" and type(node.node).__name__ == "Getattr" and node.node.attr in ("append", "extend", "insert"):
            yield from ((_APPENDED, value) for value in node.args)

    def _harmless(self, node: Any, seen: frozenset[str] = frozenset()) -> bool:
        """Whether a value is a number, written down, or a part of the chat: nothing that the artifact's author put together."""
        self._steps += 1
        if self._steps > _MAX_NODES:
            return False
        kind = type(node).__name__
        if kind == "Const":
            return not isinstance(node.value, str) or not list(_attribute(node.value))
        if kind == "Name":
            return self._known(node.name, seen) if node.name in self._values else node.name in _CHAT
        if kind == "Getattr" and type(node.node).__name__ == "Name" and node.node.name == "loop" not in self._values:
            return node.attr in _COUNTERS
        if kind == "Getattr" and f".{node.attr}" in self._values:
            return self._known(f".{node.attr}", seen)
        if kind == "Getitem" and type(node.arg).__name__ == "Slice" and node.arg.step is not None and not _turns(node.arg.step):
            return False  # every second letter of a text makes another text
        if kind in ("Getattr", "Getitem"):
            return self._harmless(node.node, seen)
        if kind == "Filter":
            return node.name in _SAME and node.node is not None and self._harmless(node.node, seen)
        if kind == "Call":
            target = type(node.node).__name__
            if target == "Name":
                return bool(node.node.name == "range")
            return target == "Getattr" and node.node.attr in _PARTS and self._harmless(node.node.node, seen)
        if kind in ("And", "Or"):
            return self._harmless(node.left, seen) and self._harmless(node.right, seen)
        if kind == "CondExpr":
            return self._harmless(node.expr1, seen) and (node.expr2 is None or self._harmless(node.expr2, seen))
        if kind == "Dict":
            return all(self._harmless(one.value, seen) for one in node.items)
        if kind in ("List", "Tuple"):
            return all(self._harmless(one, seen) for one in node.items) and self._known(_APPENDED, seen)
        return kind in ("Compare", "Not", "Test") or self._number(node)

    def _known(self, name: str, seen: frozenset[str]) -> bool:
        return name in seen or all(self._harmless(value, seen | {name}) for value in self._values.get(name, ()))

    def _number(self, node: Any, seen: frozenset[str] = frozenset()) -> bool:
        """Whether a value is a number for sure. Only numbers may be added: texts could make any text together."""
        self._steps += 1
        kind = type(node).__name__
        if self._steps > _MAX_NODES or kind in ("Const", "Filter", "Sub"):
            return _is_number(node)
        if kind in ("Neg", "Pos"):
            return self._number(node.node, seen)
        if kind in ("Add", "Mul", "FloorDiv", "Mod"):
            return self._number(node.left, seen) and self._number(node.right, seen)
        if kind == "Call":
            return type(node.node).__name__ == "Getattr" and node.node.attr in ("index", "find", "rfind", "count")
        if kind == "Getattr" and type(node.node).__name__ == "Name" and node.node.name == "loop" not in self._values:
            return node.attr in _COUNTERS
        name = node.name if kind == "Name" else f".{node.attr}" if kind == "Getattr" else ""
        if name in seen:
            return True
        return name in self._values and all(self._number(value, seen | {name}) for value in self._values[name])


def _flat(tree: nodes.Template) -> Iterator[Any]:
    """Every node, without recursion: depth is bounded here, not by Python's stack."""
    ahead: list[tuple[Any, int]] = [(tree, 0)]
    seen = 0
    while ahead:
        node, depth = ahead.pop()
        seen += 1
        if seen > _MAX_NODES or depth > _DEEPEST:
            raise Malformed(f"more than {_MAX_NODES:,} parts, or {_DEEPEST} levels")
        yield node
        ahead += [(child, depth + 1) for child in reversed(list(node.iter_child_nodes()))]


def _attribute(name: str) -> Iterator[str]:
    if name.startswith(("_", *_PYTHONS_WAYS)) or "__" in name:
        yield f"the attribute {shown(name)}"
    elif name in ("format", "format_map"):
        yield f"{name}, which looks up attributes at run time"


def _stored(name: str, value: Any) -> Iterator[str]:
    """A value under a name: under the name of a method it would be what is called."""
    yield from _attribute(name)
    if name in _METHODS and not _is_written(value):
        yield f"something that is stored under the name of the method {name}"


def _is_written(value: Any) -> bool:
    from jinja2 import nodes

    kinds = (nodes.Const, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Operand)
    return isinstance(value, kinds) and all(isinstance(one, kinds) for one in value.find_all(nodes.Node))


def _bounded(what: str, arguments: list[Any]) -> Iterator[str]:
    for one in arguments:
        inner = one.node if type(one).__name__ == "Neg" else one
        if type(inner).__name__ == "Const" and isinstance(inner.value, int) and inner.value > _LONGEST_RANGE:
            yield f"a {what} of more than {_LONGEST_RANGE:,}"
        elif type(inner).__name__ == "Mul" and what != "product":
            yield f"a {what} of a product"


def _targets(target: Any) -> Iterator[str]:
    kind = type(target).__name__
    if kind == "Name":
        yield target.name
    elif kind == "NSRef":
        yield f".{target.attr}"
    elif kind == "Tuple":
        for one in target.items:
            yield from _targets(one)


def _is_number(node: Any) -> bool:
    """Whether a node is a number whatever is in it: nothing but numbers can be subtracted."""
    kind = type(node).__name__
    if kind in ("Neg", "Pos"):
        return _is_number(node.node)
    if kind == "Filter":
        return node.name in ("length", "count", "int")
    return kind == "Sub" or (kind == "Const" and isinstance(node.value, int))


def _turns(step: Any) -> bool:
    """Whether a slice has the step -1, which turns a list around."""
    return type(step).__name__ == "Neg" and getattr(step.node, "value", None) == 1
