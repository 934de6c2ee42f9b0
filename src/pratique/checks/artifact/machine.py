"""What a pickle would do to a loader, found out without doing it: the stack and the memo hold notes, never objects.

A stream is data only if it is made of None, bool, int, float, str, bytes, bytearray, list, tuple, dict, set and frozenset
alone, in the form that a pickler writes. Everything else is noted: each global with what was done to it (`uses`), each
oddity of form (`faults`). After an oddity that the C loader would take, reading goes on as C does, so that what stands
behind it is named.

What is done to a global is told apart by role, and an allow-list grants roles, not names:

    call   it is called with arguments of the supplier's choice (REDUCE)
    new    an instance is made without calling it (NEWOBJ, copyreg._reconstructor)
    ref    it stands among the values, where later code may find it
    base   an instance is made with the help of it (the second argument of copyreg._reconstructor)
    state  what it made gets a state (BUILD); items, pairs: is filled (APPENDS, SETITEMS)
    again  what it made is called itself; patch: the global itself gets a state or is filled. Nobody can be granted these.

Values are known by what matters about them: how large they are once written out (references expand: "billion laughs"), how
deep they nest, whether they can be keys. A container that another value holds may not change any more: that rules out
cycles, and makes the sizes exact.
"""

from __future__ import annotations

from pratique.checks.artifact import effects
from pratique.checks.artifact.opcodes import MAX_OPCODES, Broken, Op, decode
from pratique.checks.artifact.spelling import could_be
from pratique.checks.artifact.stack import Gap, Joblib, Stack
from pratique.checks.artifact.steps import STEPS, Step
from pratique.checks.artifact.values import Box, Leaf, Made, Reading, Use, Value
from pratique.checks.artifact.viewing import Bytes


def read(data: Bytes, start: int = 0, *, persistent: bool = False, joblib: Joblib = "perhaps") -> Reading:
    """Follow one stream from `start` to its STOP, or as far as it can be followed. Total: nothing is raised.

    `persistent` says that the loader is PyTorch's, which brings storages from elsewhere in the file; `joblib`, whether it is
    joblib's, which reads arrays from between the opcodes.
    """
    stack = Stack(data, start)
    stack.persistent, stack.joblib = persistent, "no" if persistent else joblib
    try:
        _follow(stack, start)
    except Broken as error:
        stack.reading.fault(error.position, str(error))
        stack.reading.given_up = error.given_up
    return stack.reading


def _follow(stack: Stack, start: int, count: int = 0) -> None:
    position: int | None = start
    while position is not None:
        ops, position = decode(stack.data, position, goes_on=count), None
        for op in ops:
            count += 1
            if op.fault:
                stack.odd(op, op.fault)
            _STEPS[op.name](stack, op)
            if stack.gap is not None:
                position = _over(stack, op, stack.gap)
                break


def _over(stack: Stack, op: Op, gap: Gap) -> int:
    """Go on behind what joblib reads itself, once it is clear that no other loader would find opcodes in there.

    1. A loader that knows nothing of joblib takes the same bytes for opcodes. What they would do counts like all the rest; only
       an array of objects is opcodes in any case, so there the name of the file has to say that joblib is the loader.
    2. An array of objects is a pickle of its own, read by a plain loader.
    3. On the stack, the array takes the place of its description.
    """
    stack.gap = None
    if (gap.end is not None or stack.joblib == "perhaps") and _deeds(stack, gap.start):
        other = stack.fork()
        try:
            _follow(other, gap.start)
        except Broken as error:
            if error.given_up:
                raise
        for use in other.reading.uses:
            if use.acted and could_be(use.module, use.name):
                stack.absorb(Reading(gap.start, uses=[use], used=1))
    if gap.end is None:
        inner = read(stack.data, gap.start, joblib="no")
        stack.absorb(inner)
        if inner.end is None:
            raise Broken(gap.start, "the pickle of an array of objects does not end")
        end = inner.end
    else:
        stack.reading.raw += gap.end - gap.start
        end = gap.end
    stack.pop(op)
    stack.push(Made(None))
    return end


def _deeds(stack: Stack, start: int) -> bool:
    """Whether the bytes from here make sense as opcodes for long enough to do something."""
    try:
        for op in decode(stack.data, start, goes_on=1):
            stack.tried += 1
            if op.name in _DEEDS:
                return True
            if stack.tried > MAX_OPCODES:
                raise Broken(start, "too much here can be read in two ways", given_up=True)
    except Broken as error:
        if error.given_up:
            raise
    return False


_DEEDS = frozenset({
    "GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "REDUCE", "BUILD", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4",
})  # fmt: skip


# --- globals, and what is done to them ----------------------------------------------------------------------------------


def _global(stack: Stack, op: Op) -> None:
    stack.push(stack.import_(op, *op.argument))


def _stack_global(stack: Stack, op: Op) -> None:
    name, module = stack.pop(op), stack.pop(op)
    stack.push(stack.import_(op, _word(stack, op, module), _word(stack, op, name)))


def _word(stack: Stack, op: Op, value: Value) -> str:
    text = stack.text(value)
    if text is not None:
        return text
    if isinstance(value, Made):
        return "(computed)"
    raise Broken(op.position, f"{op.name} finds no text on the stack")


def _extension(stack: Stack, op: Op) -> None:
    stack.push(stack.import_(op, "(copyreg extension)", str(op.argument)))


def _inst(stack: Stack, op: Op) -> None:
    use = stack.import_(op, *op.argument)  # before the mark is looked for, as the loader in pure Python does
    values = stack.pop_to_mark(op)
    stack.odd(op, "is how classes of Python 2 were written, and no loader calls what it says in the same way")
    stack.push(stack.act(op, use, "call", _given(stack, op, use, "call", Box("tuple", items=values, bare=True))))


def _obj(stack: Stack, op: Op) -> None:
    values = stack.pop_to_mark(op)
    if not values:
        raise Broken(op.position, "OBJ finds nothing above the mark")
    stack.odd(op, "is how classes of Python 2 were written, and no loader calls what it says in the same way")
    target, arguments = values[0], Box("tuple", items=values[1:], bare=True)
    role = "call" if isinstance(target, Use) else "again"
    stack.push(stack.act(op, target, role, _given(stack, op, target, role, arguments)))


def _call(role: str, arguments: int = 1) -> Step:
    def step(stack: Stack, op: Op) -> None:
        keywords = stack.pop(op) if arguments == 2 else None
        given = stack.pop(op)
        target = stack.pop(op)
        done = role if isinstance(target, Use) else "again"
        if keywords is not None:
            stack.settle(op, keywords)
            if not (isinstance(keywords, Box) and keywords.kind == "dict"):
                stack.odd(op, "is given keywords that are not a plain dict")
        made = stack.act(op, target, done, _given(stack, op, target, done, given))
        if isinstance(target, Use):
            effects.made(stack, op, target, made, keywords)
        stack.push(made)

    return step


def _given(stack: Stack, op: Op, target: Value, role: str, given: Value) -> Box | None:
    """Look at the arguments of a call: a class among them may be there to be made an instance of."""
    if not (isinstance(given, Box) and given.kind == "tuple"):
        stack.settle(op, given)
        if isinstance(target, Use | Made):
            stack.odd(op, "is given arguments that are not a plain tuple")
        return None
    takes = effects.takes(target) if role == "call" else ()
    for place, value in enumerate(given.items):
        wanted = takes[place] if place < len(takes) else "ref"
        if isinstance(value, Use):
            value.act(wanted, op.position, op.name)
            continue
        stack.settle(op, value)
        if wanted != "ref" and not isinstance(value, Leaf):
            stack.odd(op, f"finds no class among its arguments where {effects.name_of(target)} wants one")
    return given


def _build(stack: Stack, op: Op) -> None:
    state = stack.pop(op)
    target = stack.top(op)
    stack.settle(op, state)
    if isinstance(target, Made):
        stack.act(op, target, "state")
        target.state = state
        target.weight += state.weight
        effects.built(stack, op, target)
    elif isinstance(target, Use):
        stack.act(op, target, "patch")
    else:
        stack.odd(op, "sets the state of plain data, which has none")


def _persistent(stack: Stack, op: Op) -> None:
    if op.name == "BINPERSID":
        key = stack.pop(op)
        source = effects.source(stack, key) if stack.persistent else None
        if source is not None:
            stack.push(source)
            return
        stack.settle(op, key)
        if stack.persistent and effects.storage(stack, op, key):
            stack.push(Made(None, storage=key if isinstance(key, Box) else None))
            return
    stack.odd(op, "asks the loader for an object that is not in the file")
    stack.push(Made(None))


def _buffer(stack: Stack, op: Op) -> None:
    stack.odd(op, "asks the loader for a buffer that is not in the file")
    if op.name == "NEXT_BUFFER":
        stack.push(Made(None))


_STEPS: dict[str, Step] = {
    **STEPS,
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), _extension),
    **dict.fromkeys(("PERSID", "BINPERSID"), _persistent),
    **dict.fromkeys(("NEXT_BUFFER", "READONLY_BUFFER"), _buffer),
    "REDUCE": _call("call"),
    "NEWOBJ": _call("new"),
    "NEWOBJ_EX": _call("new", 2),
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "INST": _inst,
    "OBJ": _obj,
    "BUILD": _build,
}
