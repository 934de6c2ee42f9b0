"""Steps of a pickle that make plain data, or shuffle the stack and the memo (see `machine`)."""

from __future__ import annotations

from collections.abc import Callable

from pratique.checks.artifact.opcodes import Broken, Op
from pratique.checks.artifact.stack import Stack
from pratique.checks.artifact.values import Box, Leaf, Value

Step = Callable[[Stack, Op], None]

_SCALARS = {
    "NONE": Leaf(1, "none"),
    "NEWTRUE": Leaf(1, "bool", value=1),
    "NEWFALSE": Leaf(1, "bool", value=0),
    "FLOAT": Leaf(1, "float"),
    "BINFLOAT": Leaf(1, "float"),
}


# --- plain data ---------------------------------------------------------------------------------------------------------


def _protocol(stack: Stack, op: Op) -> None:
    stack.protocol = op.argument


def _ignore(stack: Stack, op: Op) -> None:
    """FRAME: the decoder has looked at it."""


def _scalar(stack: Stack, op: Op) -> None:
    stack.push(_SCALARS[op.name])


def _integer(stack: Stack, op: Op) -> None:
    stack.push(stack.number(op.argument, op.end - op.position))


def _long(stack: Stack, op: Op) -> None:
    stack.push(Leaf(op.end - op.position, "int", value=op.argument))


def _bytes(stack: Stack, op: Op) -> None:
    stack.push(Leaf(op.end - op.position, "bytes", op.position, op.end))


def _bytearray(stack: Stack, op: Op) -> None:
    stack.push(Leaf(op.end - op.position, "bytearray", op.position, op.end))


def _text(stack: Stack, op: Op) -> None:
    stack.push(Leaf(op.end - op.position, "text", op.position, op.end))


def _empty(kind: str) -> Step:
    return lambda stack, op: stack.push(Box(kind))


def _list(stack: Stack, op: Op) -> None:
    stack.collect(op, "list", stack.pop_to_mark(op))


def _tuple(stack: Stack, op: Op) -> None:
    values = [] if op.name == "EMPTY_TUPLE" else stack.pop_to_mark(op)
    stack.collect(op, "tuple", values, hashable=all(value.hashable for value in values))


def _short_tuple(count: int) -> Step:
    def step(stack: Stack, op: Op) -> None:
        values = [stack.pop(op) for _ in range(count)][::-1]
        stack.collect(op, "tuple", values, hashable=all(value.hashable for value in values))

    return step


def _dict(stack: Stack, op: Op) -> None:
    pairs = stack.pop_to_mark(op)
    _ensure_pairs(stack, op, pairs)
    stack.collect(op, "dict", pairs)


def _frozenset(stack: Stack, op: Op) -> None:
    values = stack.pop_to_mark(op)
    stack.ensure_keys(op, values)
    stack.collect(op, "frozenset", values, hashable=True)


def _append(stack: Stack, op: Op) -> None:
    stack.extend(op, "list", [stack.pop(op)])


def _appends(stack: Stack, op: Op) -> None:
    stack.extend(op, "list", stack.pop_to_mark(op))


def _set_item(stack: Stack, op: Op) -> None:
    value, key = stack.pop(op), stack.pop(op)
    _ensure_pairs(stack, op, [key, value], filled=True)
    stack.extend(op, "dict", [key, value])


def _set_items(stack: Stack, op: Op) -> None:
    pairs = stack.pop_to_mark(op)
    _ensure_pairs(stack, op, pairs, filled=True)
    stack.extend(op, "dict", pairs)


def _add_items(stack: Stack, op: Op) -> None:
    values = stack.pop_to_mark(op)
    if isinstance(stack.top(op), Box):
        stack.ensure_keys(op, values)
    stack.extend(op, "set", values)


def _ensure_pairs(stack: Stack, op: Op, pairs: list[Value], *, filled: bool = False) -> None:
    """Keys and values in turn. An object that is filled like a dict may take any keys."""
    if len(pairs) % 2:
        raise Broken(op.position, f"{op.name} has a key without a value")
    if not filled or isinstance(stack.top(op), Box):
        stack.ensure_keys(op, pairs[::2])


# --- the stack itself ---------------------------------------------------------------------------------------------------


def _mark(stack: Stack, op: Op) -> None:
    stack.marks.append(len(stack.values))


def _pop(stack: Stack, op: Op) -> None:
    stack.odd(op, "throws a value away, as no pickler of plain data does")
    if stack.marks and stack.marks[-1] == len(stack.values):
        stack.marks.pop()
    else:
        stack.pop(op)


def _pop_mark(stack: Stack, op: Op) -> None:
    stack.odd(op, "throws values away, as no pickler of plain data does")
    stack.pop_to_mark(op)


def _dup(stack: Stack, op: Op) -> None:
    stack.odd(op, "repeats a value, as no pickler does")
    stack.push(stack.top(op))


def _put(stack: Stack, op: Op) -> None:
    stack.remember(op, op.argument)


def _memoize(stack: Stack, op: Op) -> None:
    stack.remember(op, len(stack.memo))


def _get(stack: Stack, op: Op) -> None:
    if op.argument not in stack.memo:
        raise Broken(op.position, f"{op.name} asks for the number {op.argument}, which no value has")
    stack.push(stack.memo[op.argument])


def _stop(stack: Stack, op: Op) -> None:
    stack.reading.result = stack.top(op)
    stack.settle(op, stack.reading.result)
    if len(stack.values) > 1 or stack.marks:
        stack.odd(op, "leaves more than one value on the stack")
    stack.reading.end = op.end


STEPS: dict[str, Step] = {
    **dict.fromkeys(_SCALARS, _scalar),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2"), _integer),
    **dict.fromkeys(("LONG", "LONG1", "LONG4"), _long),
    **dict.fromkeys(("SHORT_BINBYTES", "BINBYTES", "BINBYTES8"), _bytes),
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE"), _text),
    **dict.fromkeys(("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), _text),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _get),
    **dict.fromkeys(("TUPLE", "EMPTY_TUPLE"), _tuple),
    "PROTO": _protocol,
    "FRAME": _ignore,
    "BYTEARRAY8": _bytearray,
    "EMPTY_LIST": _empty("list"),
    "EMPTY_DICT": _empty("dict"),
    "EMPTY_SET": _empty("set"),
    "LIST": _list,
    "TUPLE1": _short_tuple(1),
    "TUPLE2": _short_tuple(2),
    "TUPLE3": _short_tuple(3),
    "DICT": _dict,
    "FROZENSET": _frozenset,
    "APPEND": _append,
    "APPENDS": _appends,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "ADDITEMS": _add_items,
    "MARK": _mark,
    "POP": _pop,
    "POP_MARK": _pop_mark,
    "DUP": _dup,
    "MEMOIZE": _memoize,
    "STOP": _stop,
}
