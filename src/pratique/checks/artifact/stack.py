"""The stack and the memo of a pickle that is followed and never loaded (see `machine`)."""

from __future__ import annotations

from collections.abc import Sequence

from pratique.checks.artifact.opcodes import Broken, Op
from pratique.checks.artifact.values import Action, Box, Made, Reading, Use, Value
from pratique.checks.artifact.viewing import Bytes

MAX_DEPTH = 128
"""Values within values. Python itself cannot print or copy what nests a thousand deep."""

FREE_EXPANSION = 64 << 20
MAX_EXPANSION = 100
"""A stream may stand for 64 MiB of values, or for a hundred times its own size if that is more."""


class Stack:
    """What a loader would hold while it reads one stream."""

    def __init__(self, data: Bytes, start: int) -> None:
        self.data = data
        self.reading = Reading(start)
        self.values: list[Value] = []
        self.marks: list[int] = []
        self.memo: dict[int, Value] = {}
        self.most = max(FREE_EXPANSION, MAX_EXPANSION * (len(data) - start))

    def push(self, value: Value) -> None:
        """Put a value on top."""
        self.values.append(value)

    def pop(self, op: Op) -> Value:
        """Take the topmost value, not reaching below a mark."""
        if len(self.values) <= (self.marks[-1] if self.marks else 0):
            raise Broken(op.position, f"{op.name} finds nothing on the stack")
        return self.values.pop()

    def top(self, op: Op) -> Value:
        """The topmost value, left where it is."""
        value = self.pop(op)
        self.values.append(value)
        return value

    def pop_to_mark(self, op: Op) -> list[Value]:
        """Take everything above the last mark, and the mark."""
        if not self.marks:
            raise Broken(op.position, f"{op.name} finds no mark on the stack")
        mark = self.marks.pop()
        values = self.values[mark:]
        del self.values[mark:]
        return values

    def odd(self, op: Op, message: str) -> None:
        """Note what no pickler writes for data."""
        self.reading.fault(op.position, f"{op.name} {message}")

    def remember(self, op: Op, index: int) -> None:
        """Give the topmost value a number in the memo."""
        if index in self.memo:
            self.odd(op, f"gives the number {index} to a second value")
        elif index > op.position - self.reading.start:  # the loader allocates as many places as the highest number
            self.odd(op, f"uses the number {index:,}, which is more than there are opcodes")
        self.memo[index] = self.top(op)

    def hold(self, op: Op, box: Box, values: Sequence[Value]) -> None:
        """Let a container hold more values."""
        for value in values:
            box.weight += value.weight
            box.depth = max(box.depth, value.depth + 1)
            if isinstance(value, Box):
                value.held = True
        if box.weight > self.most:
            self.odd(op, f"makes a value that takes more than {self.most:,} bytes written out")
            box.weight = 1  # said once is enough
        if box.depth > MAX_DEPTH:
            self.odd(op, f"nests values more than {MAX_DEPTH} deep")
            box.depth = 1

    def extend(self, op: Op, kind: str, values: Sequence[Value]) -> None:
        """Change the container on top of the stack."""
        target = self.top(op)
        if isinstance(target, Use | Made):
            self.act(op, target)  # a made object's own append, extend, add or __setitem__
            return
        if not isinstance(target, Box) or target.kind != kind:
            self.odd(op, f"does not find a {kind} to change")
            return
        self.hold(op, target, values)
        if target.held and values:
            self.odd(op, f"changes a {kind} that another value holds already: a cycle, or an expansion bomb")

    def collect(self, op: Op, kind: str, values: Sequence[Value], *, hashable: bool = False) -> None:
        """Push a new container with values in it."""
        box = Box(kind, hashable=hashable)
        self.hold(op, box, values)
        self.push(box)

    def ensure_keys(self, op: Op, keys: Sequence[Value]) -> None:
        """Refuse keys that cannot be hashed, as the loader does."""
        if not all(key.hashable for key in keys):
            raise Broken(op.position, f"{op.name} uses as a key what cannot be one")

    def import_(self, op: Op, module: str, name: str) -> Use:
        """Note a global."""
        use = Use(op.position, op.name, module, name)
        self.reading.use(use)
        return use

    def act(self, op: Op, value: Value) -> Made:
        """Note what is done to a global, or to what came of one."""
        if not isinstance(value, Use | Made):
            raise Broken(op.position, f"{op.name} needs a class or a function and finds plain data")
        origin = value if isinstance(value, Use) else value.origin
        if origin is not None:
            origin.act(Action(op.position, op.name))
        return Made(origin)
