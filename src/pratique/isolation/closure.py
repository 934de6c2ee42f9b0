"""Whom somebody can become, in how few steps: the closure of all moves, breadth first.

reach = Reach.of(access, accounts, start)
reach.paths[Identity("ServiceAccount", "ml-deploy", "server")]     # the shortest path there, a sentence for each step
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from pratique.isolation.moves import Move, moves
from pratique.isolation.objects import Environment
from pratique.isolation.roles import Access, Identity


@dataclass(frozen=True, slots=True)
class Path:
    """How somebody gets to be somebody."""

    steps: tuple[str, ...] = ()
    certain: bool = True

    def then(self, step: str, certain: bool) -> Path:
        """One step further."""
        return Path((*self.steps, step), self.certain and certain)


@dataclass(slots=True)
class Reach:
    """Everybody whom somebody can become, and what each of those can do."""

    paths: dict[Identity, Path] = field(default_factory=dict)
    moves: dict[Identity, tuple[Move, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, access: Access, accounts: Mapping[str, Collection[Identity]], start: Iterable[Identity],
        known: dict[Identity, tuple[Move, ...]] | None = None, known_groups: frozenset[str] = frozenset(),
    ) -> Reach:  # fmt: skip
        """Follow what is certain as far as it goes, and only then what may be.

        Args:
            access: all rights.
            accounts: the service accounts of each namespace.
            start: who to begin with.
            known: moves that were found before, to be shared between several starts.
            known_groups: see `moves`.
        """
        reach = cls(paths=dict.fromkeys(start, Path()))
        known = {} if known is None else known
        sure, later = deque(reach.paths), deque[tuple[Identity, Move]]()
        while sure or later:
            if not sure:
                who, move = later.popleft()
                sure.extend(reach._take(who, move, accounts))
                continue
            who = sure.popleft()
            if who not in known:
                known[who] = tuple(moves(access, who, known_groups))
            reach.moves[who] = known[who]
            for move in known[who]:
                if move.takes and move.certain and reach.paths[who].certain:
                    sure.extend(reach._take(who, move, accounts))
                elif move.takes:
                    later.append((who, move))
        return reach

    def _take(self, who: Identity, move: Move, accounts: Mapping[str, Collection[Identity]]) -> list[Identity]:
        new = []
        for namespace in [move.namespace] if move.namespace else accounts:
            for one in accounts.get(namespace, ()):
                if one not in self.paths and (not move.names or one.name in move.names):
                    place = f" in {move.namespace}" if move.namespace else " in every namespace"
                    step = f"{who} {move.says}{place} ({move.via}), and so become {one}"
                    self.paths[one] = self.paths[who].then(step, move.certain)
                    new.append(one)
        return new


def accounts_of(env: Environment) -> dict[str, tuple[Identity, ...]]:
    """The service accounts of each namespace in one order, whatever order the description has.

    Each has a `default` one, whether it is described or not.
    """
    found = {name: {Identity("ServiceAccount", name, "default")} for name in env.namespaces}
    for one in env.of("", "ServiceAccount"):
        found[one.namespace].add(Identity("ServiceAccount", one.namespace, one.name))
    return {name: tuple(sorted(found[name])) for name in sorted(found)}
