"""Notes about the values of a pickle that is followed and never loaded (see `machine`)."""

from __future__ import annotations

from dataclasses import dataclass, field

_FIRST_USES = 20
_FIRST_FAULTS = 5
_FIRST_ACTIONS = 5
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
    """REDUCE, INST and OBJ call it; NEWOBJ and NEWOBJ_EX make an instance; BUILD sets state; others call its methods."""


@dataclass(slots=True, eq=False)
class Leaf:
    """A value that holds no other."""

    weight: int
    """Bytes that it takes written out."""

    at: int = -1
    """Offset of the opcode that pushed it, if it is text."""

    depth: int = 0
    hashable: bool = True


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


@dataclass(slots=True, eq=False)
class Use:
    """One global that the stream imports, and what is done to it: what a policy of allowed globals would judge."""

    position: int
    opcode: str
    module: str
    name: str
    actions: list[Action] = field(default_factory=list)
    """The first few."""

    weight: int = 1
    depth: int = 0
    hashable: bool = True

    def act(self, action: Action) -> None:
        """Note what is done to it."""
        if len(self.actions) < _FIRST_ACTIONS:
            self.actions.append(action)


@dataclass(slots=True, eq=False)
class Made:
    """Whatever a call returned. Nothing is known of it but the global that it came of."""

    origin: Use | None
    weight: int = 1
    depth: int = 0
    hashable: bool = True


Value = Leaf | Box | Use | Made


@dataclass(slots=True)
class Reading:
    """What one stream says."""

    start: int
    uses: list[Use] = field(default_factory=list)
    """The first ones; `used` counts them all."""

    used: int = 0
    faults: list[Fault] = field(default_factory=list)
    """The first few; `faulty` counts them all."""

    faulty: int = 0
    end: int | None = None
    """Offset behind STOP; None if the stream never gets there."""

    given_up: bool = False
    """Whether it goes on where we did not care to read."""

    @property
    def data_only(self) -> bool:
        """Whether loading it makes plain data and does nothing else."""
        return self.end is not None and not self.used and not self.faulty

    def use(self, use: Use) -> None:
        """Note a global."""
        self.used += 1
        if len(self.uses) < _FIRST_USES:
            self.uses.append(use)

    def fault(self, position: int, message: str) -> None:
        """Note an oddity."""
        self.faulty += 1
        if len(self.faults) < _FIRST_FAULTS:
            self.faults.append(Fault(position, message))
