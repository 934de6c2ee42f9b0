"""What a pickle would do to a loader, found out without doing it: the stack and the memo hold notes, never objects.

A stream is data only if it is made of None, bool, int, float, str, bytes, bytearray, list, tuple, dict, set and frozenset
alone, in the form that a pickler writes. Everything else is noted: each global with what was done to it (`uses`), each
oddity of form (`faults`). After an oddity that the C loader would take, reading goes on as C does, so that what stands
behind it is named.

Values are known by what matters about them: how large they are once written out (references expand: "billion laughs"), how
deep they nest, whether they can be keys. A container that another value holds may not change any more: that rules out
cycles, and makes the sizes exact.
"""

from __future__ import annotations

from pratique.checks.artifact.opcodes import Broken, Op, decode, text_at
from pratique.checks.artifact.stack import Stack
from pratique.checks.artifact.steps import STEPS, Step
from pratique.checks.artifact.values import Leaf, Made, Reading, Use, Value
from pratique.checks.artifact.viewing import Bytes


def read(data: Bytes, start: int = 0) -> Reading:
    """Follow one stream from `start` to its STOP, or as far as it can be followed. Total: nothing is raised."""
    stack = Stack(data, start)
    try:
        for op in decode(data, start):
            if op.fault:
                stack.odd(op, op.fault)
            _STEPS[op.name](stack, op)
    except Broken as error:
        stack.reading.fault(error.position, str(error))
        stack.reading.given_up = error.given_up
    return stack.reading


# --- globals, and what is done to them ----------------------------------------------------------------------------------


def _global(stack: Stack, op: Op) -> None:
    stack.push(stack.import_(op, *op.argument))


def _stack_global(stack: Stack, op: Op) -> None:
    name, module = stack.pop(op), stack.pop(op)
    stack.push(stack.import_(op, _word(stack, op, module), _word(stack, op, name)))


def _word(stack: Stack, op: Op, value: Value) -> str:
    if isinstance(value, Leaf) and value.at >= 0:
        return text_at(stack.data, value.at)
    if isinstance(value, Made):
        return "(computed)"
    raise Broken(op.position, f"{op.name} finds no text on the stack")


def _extension(stack: Stack, op: Op) -> None:
    stack.push(stack.import_(op, "(copyreg extension)", str(op.argument)))


def _inst(stack: Stack, op: Op) -> None:
    use = stack.import_(op, *op.argument)  # before the mark is looked for, as the loader in pure Python does
    stack.pop_to_mark(op)
    stack.push(stack.act(op, use))


def _obj(stack: Stack, op: Op) -> None:
    values = stack.pop_to_mark(op)
    if not values:
        raise Broken(op.position, "OBJ finds nothing above the mark")
    stack.push(stack.act(op, values[0]))


def _call(arguments: int) -> Step:
    def step(stack: Stack, op: Op) -> None:
        for _ in range(arguments):
            stack.pop(op)
        stack.push(stack.act(op, stack.pop(op)))

    return step


def _build(stack: Stack, op: Op) -> None:
    stack.pop(op)
    target = stack.top(op)
    if isinstance(target, Use | Made):
        stack.act(op, target)
    else:
        stack.odd(op, "sets the state of plain data, which has none")


def _persistent(stack: Stack, op: Op) -> None:
    if op.name == "BINPERSID":
        stack.pop(op)
    stack.odd(op, "asks the loader for an object that is not in the file")
    stack.push(Made(None))


def _buffer(stack: Stack, op: Op) -> None:
    stack.odd(op, "asks the loader for a buffer that is not in the file")
    if op.name == "NEXT_BUFFER":
        stack.push(Made(None))


_STEPS: dict[str, Step] = {
    **STEPS,
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), _extension),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _call(1)),
    **dict.fromkeys(("PERSID", "BINPERSID"), _persistent),
    **dict.fromkeys(("NEXT_BUFFER", "READONLY_BUFFER"), _buffer),
    "NEWOBJ_EX": _call(2),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "INST": _inst,
    "OBJ": _obj,
    "BUILD": _build,
}
