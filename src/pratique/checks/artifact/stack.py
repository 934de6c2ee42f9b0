"""The stack and the memo of a pickle that is followed and never loaded (see `machine`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from pratique.checks.artifact.opcodes import Broken, Op, text_at
from pratique.checks.artifact.spelling import translated
from pratique.checks.artifact.values import Box, Leaf, Made, Reading, Use, Value
from pratique.checks.artifact.viewing import Bytes

MAX_DEPTH = 128
"""Values within values. Python itself cannot print or copy what nests a thousand deep."""

FREE_EXPANSION = 64 << 20
MAX_EXPANSION = 100
"""A stream may stand for 64 MiB of values, or for a hundred times its own size if that is more."""

MAX_GLOBALS = 1_000
"""Different globals of one stream. The largest models that we have seen take about a hundred."""

_DEEDS = {"list": "items", "set": "items", "dict": "pairs"}
"""What it is to fill a made object as if it was one of these."""

_MANY_NUMBERS = 1 << 16

Joblib = Literal["no", "perhaps", "yes"]


class Gap(NamedTuple):
    """Bytes between two opcodes that joblib reads itself."""

    start: int
    end: int | None
    """None if it is another pickle, which says where it ends."""


class Stack:
    """What a loader would hold while it reads one stream."""

    def __init__(self, data: Bytes, start: int) -> None:
        self.data = data
        self.reading = Reading(start)
        self.values: list[Value] = []
        self.marks: list[int] = []
        self.memo: dict[int, Value] = {}
        self.most = max(FREE_EXPANSION, MAX_EXPANSION * (len(data) - start))
        self.protocol = 0
        self.persistent = False
        """Whether the loader is PyTorch's, which brings storages from elsewhere in the file."""

        self.joblib: Joblib = "perhaps"
        """Whether the loader is joblib's, which reads arrays from between the opcodes."""

        self.gap: Gap | None = None
        """What joblib reads before the next opcode."""

        self.tried = 0
        """Opcodes that were looked at where joblib reads an array."""

        self._uses: dict[tuple[str, str], Use] = {}
        self._numbers: dict[int, Leaf] = {}

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
            if box.kind != "tuple":
                self.settle(op, value)
            elif isinstance(value, Use) or (isinstance(value, Box) and value.bare):
                box.bare = True
        box.items += values
        if box.weight > self.most:
            self.odd(op, f"makes a value that takes more than {self.most:,} bytes written out")
            box.weight = 1  # said once is enough
        if box.depth > MAX_DEPTH:
            self.odd(op, f"nests values more than {MAX_DEPTH} deep")
            box.depth = 1

    def extend(self, op: Op, kind: str, values: Sequence[Value]) -> None:
        """Change the container on top of the stack."""
        target = self.top(op)
        if isinstance(target, Use | Made):  # a made object's own append, extend, add or __setitem__
            for value in values:
                self.settle(op, value)
            self.act(op, target, _DEEDS[kind] if isinstance(target, Made) else "patch")
            if isinstance(target, Made):
                target.filled += values
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

    def settle(self, op: Op, value: Value) -> None:
        """A global that ends up among values is a bare reference; so is one in a tuple that does."""
        waiting = [value]
        while waiting:
            value = waiting.pop()
            if isinstance(value, Use):
                value.act("ref", op.position, op.name)
            elif isinstance(value, Box) and value.bare:
                value.bare = False  # what it holds is noted, once is enough
                waiting += value.items

    def number(self, value: int | None, weight: int) -> Leaf:
        """An integer; the same note for the same number, because arrays in plain lists hold millions."""
        if value is None:
            return Leaf(weight, "int")
        known = self._numbers.get(value)
        if known is None:
            known = Leaf(1, "int", value=value)
            if len(self._numbers) < _MANY_NUMBERS:
                self._numbers[value] = known
        return known

    def import_(self, op: Op, module: str, name: str) -> Use:
        """Note a global."""
        self.reading.used += 1
        written = module
        module, name = translated(module, name) if self.protocol < 3 else (module, name)
        use = self._uses.get((module, name))
        if use is None:
            if len(self._uses) >= MAX_GLOBALS:
                raise Broken(op.position, f"more than {MAX_GLOBALS:,} different globals", given_up=True)
            use = self._uses[module, name] = Use(op.position, op.name, module, name, written)
            self.reading.uses.append(use)
        return use

    def act(self, op: Op, value: Value, role: str, arguments: Box | None = None) -> Made:
        """Note what is done to a global, or to what came of one."""
        if not isinstance(value, Use | Made):
            raise Broken(op.position, f"{op.name} needs a class or a function and finds plain data")
        origin = value if isinstance(value, Use) else value.origin
        if origin is not None:
            origin.act(role, op.position, op.name)
        else:
            self.odd(op, "acts upon an object that the loader brought from elsewhere")
        return Made(origin, arguments, weight=1 + (arguments.weight if arguments else 0))

    def absorb(self, inner: Reading) -> None:
        """Take over what was found in bytes that the loader reads on the way."""
        self.reading.used += inner.used
        for use in inner.uses:
            known = self._uses.setdefault((use.module, use.name), use)
            if known is use:
                self.reading.uses.append(use)
            for role, action in use.actions.items():
                known.act(role, action.position, action.opcode)
        for fault in inner.faults:
            self.reading.fault(fault.position, fault.message)
        self.reading.faulty += inner.faulty - len(inner.faults)
        self.reading.nested += inner.nested

    def fork(self) -> Stack:
        """A loader in the same state, which goes another way from here."""
        other = Stack(self.data, self.reading.start)
        other.protocol, other.persistent, other.joblib = self.protocol, self.persistent, "no"
        other.values, other.marks, other.memo = list(self.values), list(self.marks), dict(self.memo)
        return other

    def text(self, value: Value | None) -> str | None:
        """The text that a value is; None if it is none."""
        return text_at(self.data, value.at) if isinstance(value, Leaf) and value.kind == "text" else None
