"""Steps of a pickle that make plain data, or shuffle the stack and the memo (see `machine`)."""

from __future__ import annotations

from collections.abc import Callable

from pratique.checks.artifact.opcodes import Broken, Op
from pratique.checks.artifact.stack import Stack
from pratique.checks.artifact.values import Box, Leaf, Value

Step = Callable[[Stack, Op], None]

_SCALAR = Leaf(1)


# --- plain data ---------------------------------------------------------------------------------------------------------


def _ignore(stack: Stack, op: Op) -> None:
    """PROTO and FRAME: the decoder has looked at them."""


def _scalar(stack: Stack, op: Op) -> None:
    stack.push(_SCALAR)


def _bytes(stack: Stack, op: Op) -> None:
    stack.push(Leaf(op.end - op.position))


def _bytearray(stack: Stack, op: Op) -> None:
    stack.push(Leaf(op.end - op.position, hashable=False))


def _text(stack: Stack, op: Op) -> None:
    stack.push(Leaf(op.end - op.position, op.position))


def _empty(kind: str) -> Step:
    return lambda stack, op: stack.push(Box(kind))


def _list(stack: Stack, op: Op) -> None:
    stack.collect(op, "list", stack.pop_to_mark(op))


def _tuple(stack: Stack, op: Op) -> None:
    values = [] if op.name == "EMPTY_TUPLE" else stack.pop_to_mark(op)
    stack.collect(op, "tuple", values, hashable=all(value.hashable for value in values))


def _short_tuple(count: int) -> Step:
    def step(stack: Stack, op: Op) -> None:
        values = [stack.pop(op) for _ in range(count)]
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
    _ensure_pairs(stack, op, [key, value])
    stack.extend(op, "dict", [key, value])


def _set_items(stack: Stack, op: Op) -> None:
    pairs = stack.pop_to_mark(op)
    _ensure_pairs(stack, op, pairs)
    stack.extend(op, "dict", pairs)


def _add_items(stack: Stack, op: Op) -> None:
    values = stack.pop_to_mark(op)
    stack.ensure_keys(op, values)
    stack.extend(op, "set", values)


def _ensure_pairs(stack: Stack, op: Op, pairs: list[Value]) -> None:
    if len(pairs) % 2:
        raise Broken(op.position, f"{op.name} has a key without a value")
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
    stack.top(op)
    if len(stack.values) > 1 or stack.marks:
        stack.odd(op, "leaves more than one value on the stack")
    stack.reading.end = op.end


STEPS: dict[str, Step] = {
    **dict.fromkeys(("PROTO", "FRAME"), _ignore),
    **dict.fromkeys(("NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT"), _scalar),
    **dict.fromkeys(("LONG", "LONG1", "LONG4", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8"), _bytes),
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE"), _text),
    **dict.fromkeys(("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), _text),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _get),
    **dict.fromkeys(("TUPLE", "EMPTY_TUPLE"), _tuple),
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
