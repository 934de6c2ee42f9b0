"""What calls of particular globals come to: which arguments they take, and what a pickler would never give them.

The rules hold whether or not the global is allowed. `packs` says which global has which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pratique.checks.artifact import array_rules, packs, torch_rules
from pratique.checks.artifact.array_rules import Objection
from pratique.checks.artifact.opcodes import Op
from pratique.checks.artifact.stack import Stack
from pratique.checks.artifact.values import Box, Leaf, Made, Nested, Use, Value

storage = torch_rules.storage
source = torch_rules.source

_ENCODINGS = ("latin1", "latin-1")
"""Any other name would make `encode` import a module of that name from `encodings`."""


def takes(target: Value) -> tuple[str, ...]:
    """The roles that a global wants of its first arguments."""
    entry = packs.known().get((target.module, target.name)) if isinstance(target, Use) else None
    return entry.takes if entry else ()


def name_of(target: Value) -> str:
    """A global as a message names it."""
    return f"{target.module}.{target.name}" if isinstance(target, Use) else "what is called"


def made(stack: Stack, op: Op, target: Use, value: Made, keywords: Value | None) -> None:
    """Look at what a global was called with."""
    rule = _rule(target)
    if rule in _MADE:
        if keywords is not None and isinstance(keywords, Box) and keywords.items:
            stack.odd(op, f"gives keywords to {name_of(target)}, which takes none")
        try:
            _MADE[rule](stack, op, value)
        except Objection as error:
            stack.odd(op, f"calls {name_of(target)} {error}")
    if takes(target)[:1] == ("new",) and value.arguments and value.arguments.items:
        first = value.arguments.items[0]
        value.origin = first if isinstance(first, Use) else value.origin  # what is made is an instance of that class


def built(stack: Stack, op: Op, value: Made) -> None:
    """Look at the state that a made object gets."""
    _ensure_plain_names(stack, op, value.state)
    rule = _rule(value.origin)
    if rule in _BUILT:
        try:
            _BUILT[rule](stack, op, value)
        except Objection as error:
            stack.odd(op, f"gives {name_of_origin(value)} a state {error}")


def name_of_origin(value: Made) -> str:
    """The global that an object came of, as a message names it."""
    return name_of(value.origin) if value.origin else "an object from outside"


def _rule(origin: Use | None) -> str:
    entry = packs.known().get((origin.module, origin.name)) if origin else None
    return entry.rule if entry else ""


def _ensure_plain_names(stack: Stack, op: Op, state: Value | None) -> None:
    """No state sets `__class__` or a hook that Python itself calls, neither in the dict nor in the slots."""
    parts = state.items if isinstance(state, Box) and state.kind == "tuple" and len(state.items) == 2 else [state]
    for part in parts:
        if not (isinstance(part, Box) and part.kind == "dict"):
            continue
        for key in part.items[::2]:
            name = stack.text(key)
            if name is not None and name.startswith("__") and name.endswith("__") and name != "__doc__":
                stack.odd(op, f"sets {name}, which is Python's own and no state of data")


def _sized(stack: Stack, op: Op, value: Made) -> None:
    for one in value.arguments.items if value.arguments else ():
        if isinstance(one, Leaf) and one.kind == "int":
            raise Objection("with a number, which makes as many zeros")


def _encode(stack: Stack, op: Op, value: Made) -> None:
    given = value.arguments.items if value.arguments else []
    if len(given) != 2 or stack.text(given[0]) is None or stack.text(given[1]) not in _ENCODINGS:
        raise Objection("with something else than a text and latin1")


def _bytes_of_torch(stack: Stack, op: Op, value: Made) -> None:
    given = value.arguments.items if value.arguments else []
    if len(given) != 1 or not isinstance(given[0], Leaf) or given[0].kind not in ("bytes", "bytearray"):
        raise Objection("with something else than bytes of this file")
    if stack.persistent:
        raise Objection("within a checkpoint, where tensors have storages")
    leaf = given[0]
    head = {"SHORT_BINBYTES": 2, "BINBYTES": 5}.get(_opcode(stack, leaf.at), 9)
    stack.reading.nested.append(Nested(op.position, leaf.at + head, leaf.end))
    value.storage = _only_storage(stack, leaf.at + head)


def _only_storage(stack: Stack, position: int) -> Box | None:
    """The storage that a checkpoint in bytes comes to: its fourth pickle."""
    from pratique.checks.artifact import machine

    for number in range(4):
        reading = machine.read(stack.data, position, persistent=number == 3)
        if reading.end is None:
            return None
        position = reading.end
    return reading.result.storage if isinstance(reading.result, Made) else None


def _opcode(stack: Stack, at: int) -> str:
    return {ord("C"): "SHORT_BINBYTES", ord("B"): "BINBYTES"}.get(stack.data[at], "")


def _calls(stack: Stack, op: Op, value: Made) -> None:
    """torch._tensor._rebuild_from_type_v2 calls its first argument with its third."""
    given = value.arguments.items if value.arguments else []
    if len(given) == 4 and isinstance(given[0], Use) and isinstance(given[2], Box) and given[2].kind == "tuple":
        made(stack, op, given[0], Made(given[0], given[2]), None)
    else:
        raise Objection("with something else than a function, a class, arguments and a state")


Rule = Callable[[Stack, Op, Made], None]

_MADE: Mapping[str, Rule] = {
    "sized": _sized,
    "encode": _encode,
    "calls": _calls,
    "torch-bytes": _bytes_of_torch,
    "dtype": array_rules.dtype_made,
    "scalar": array_rules.scalar_made,
    "array": array_rules.array_made,
    "frombuffer": array_rules.frombuffer_made,
    "view": torch_rules.view,
    "view-of-bytes": torch_rules.view_of_bytes,
    "lazy-hook": torch_rules.lazy_hook,
}

_BUILT: Mapping[str, Rule] = {
    "dtype": array_rules.dtype_built,
    "array-state": array_rules.array_built,
    "joblib-array": array_rules.joblib_built,
}
