"""Notes about the values of a pickle that is followed and never loaded (see `machine`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

_FIRST_FAULTS = 5
"""How much is kept of what a hostile stream repeats a million times."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that no pickler writes, or that no loader reads."""

    position: int
    message: str


@dataclass(frozen=True, slots=True)
class Action:
    """What an opcode did to a global, or to what the global had returned."""

    position: int
    opcode: str


@dataclass(slots=True, eq=False)
class Leaf:
    """A value that holds no other."""

    weight: int
    """Bytes that it takes written out."""

    kind: str
    """none, bool, int, float, text, bytes or bytearray."""

    at: int = -1
    """Offset of the opcode that pushed it, if it is text or bytes."""

    end: int = -1
    """Offset behind that opcode and its argument."""

    value: int | None = None
    """Of integers and booleans that are not too large to matter."""

    depth: ClassVar[int] = 0

    @property
    def hashable(self) -> bool:
        """Whether it can be a key."""
        return self.kind != "bytearray"


@dataclass(slots=True, eq=False)
class Box:
    """A list, dict, set, frozenset or tuple."""

    kind: str
    weight: int = 1
    depth: int = 1
    hashable: bool = False
    """Whether it can be a key."""

    held: bool = False
    """Whether another value holds it."""

    bare: bool = False
    """Whether it is a tuple that holds a global of which it is not known yet what it is there for."""

    items: list[Value] = field(default_factory=list)
    """What it holds; keys and values in turn, if it is a dict."""


@dataclass(slots=True, eq=False)
class Use:
    """One global that the stream imports, and what is done to it: what the allow-lists judge."""

    position: int
    """Where it is imported for the first time."""

    opcode: str
    module: str
    """As the loader will look for it: names of Python 2 are translated where it translates them."""

    name: str
    written: str = ""
    """The module as the stream spells it."""

    actions: dict[str, Action] = field(default_factory=dict)
    """The first deed in each role (see `machine`)."""

    weight: int = 1
    depth: ClassVar[int] = 0
    hashable: ClassVar[bool] = True

    def act(self, role: str, position: int, opcode: str) -> None:
        """Note what is done to it."""
        if role not in self.actions:
            self.actions[role] = Action(position, opcode)

    @property
    def acted(self) -> bool:
        """Whether anything is done to it, beside being a value among others."""
        return any(role != "ref" for role in self.actions)


@dataclass(slots=True, eq=False)
class Made:
    """Whatever a call returned. Nothing is known of it but the global that it came of, and what it was given."""

    origin: Use | None
    arguments: Box | None = None
    state: Value | None = None
    storage: Box | None = None
    """("storage", class, key, location, elements), if that is what the loader brings for it."""

    filled: list[Value] = field(default_factory=list)
    """What was put into it, keys and values in turn if by SETITEMS."""

    weight: int = 1
    depth: ClassVar[int] = 0
    hashable: ClassVar[bool] = True


Value = Leaf | Box | Use | Made


@dataclass(frozen=True, slots=True)
class Nested:
    """Bytes within a stream that its loader will load in turn."""

    position: int
    """Of the opcode that hands them over."""

    start: int
    end: int


@dataclass(slots=True)
class Reading:
    """What one stream says."""

    start: int
    uses: list[Use] = field(default_factory=list)
    """Each global once, in the order in which they are met."""

    used: int = 0
    """Imports, all counted."""

    faults: list[Fault] = field(default_factory=list)
    """The first few; `faulty` counts them all."""

    faulty: int = 0
    end: int | None = None
    """Offset behind STOP; None if the stream never gets there."""

    given_up: bool = False
    """Whether it goes on where we did not care to read."""

    result: Value | None = None
    """What the loader would return."""

    nested: list[Nested] = field(default_factory=list)
    storages: dict[str, tuple[int, int]] = field(default_factory=dict)
    """What a PyTorch checkpoint asks for, by the storage's key: elements, and bytes of each."""

    raw: int = 0
    """Bytes of arrays between the opcodes, which joblib reads itself."""

    @property
    def data_only(self) -> bool:
        """Whether loading it makes plain data and does nothing else."""
        return self.end is not None and not self.used and not self.faulty

    def fault(self, position: int, message: str) -> None:
        """Note an oddity."""
        self.faulty += 1
        if len(self.faults) < _FIRST_FAULTS:
            self.faults.append(Fault(position, message))
