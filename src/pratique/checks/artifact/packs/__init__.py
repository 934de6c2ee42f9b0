"""Allow-lists for pickles, as data: which globals may be used, in which role, and why.

    pickle_packs: [torch, numpy]        # in a policy, under the options of `artifact`

A pack is a YAML file beside this module. Nothing that is not listed is allowed, so a pack cannot be incomplete in a dangerous
way: it can only list too much. Therefore each entry says what for. Roles are those of `machine`; `takes` gives the roles that
classes among the arguments need; `rule` names a further check of the arguments (`effects`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

import yaml

from pratique import documents

NAMES = (
    "stdlib-data", "numpy", "joblib", "scipy", "sklearn", "torch", "torch-modules", "xgboost", "lightgbm", "transformers",
    "ultralytics",
)  # fmt: skip
"""Every pack that ships."""

ROLES = frozenset({"call", "new", "ref", "base", "state", "items", "pairs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One global that a pack allows."""

    pack: str
    roles: frozenset[str]
    takes: tuple[str, ...] = ()
    """Roles that the first arguments must have, if they are called."""

    rule: str = ""
    """Name of a further check of the arguments; '' if there is none."""

    reason: str
    """What it is for, and why that is harmless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """One file of entries."""

    name: str
    about: str
    risk: str
    """What remains when everything in it is allowed."""

    includes: tuple[str, ...]
    """Packs that are allowed with it."""

    entries: Mapping[tuple[str, str], Entry]
    """By module and name."""

    digest: str
    """sha256 of the file and of those that it includes: other content is another question."""


@cache
def pack(name: str) -> Pack:
    """Read one pack."""
    text = resources.files(__name__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    raw = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    includes = tuple(raw.get("includes", ()))
    inner = "".join(pack(one).digest for one in includes)
    return Pack(
        name=name, about=raw["about"], risk=raw["risk"], includes=includes,
        entries=MappingProxyType(dict(_entries(name, raw["allow"]))),
        digest=documents.sha256((text + inner).encode()),
    )  # fmt: skip


def _entries(name: str, lines: Iterable[Mapping[str, Any]]) -> Iterable[tuple[tuple[str, str], Entry]]:
    for line in lines:
        modules = line["module"] if isinstance(line["module"], list) else [line["module"]]
        entry = Entry(
            pack=name, roles=frozenset(line["roles"]), takes=tuple(line.get("takes", ())), rule=line.get("rule", ""),
            reason=line["reason"],
        )  # fmt: skip
        for module in modules:
            for one in line["names"]:
                yield (module, one), entry


def closure(names: Iterable[str]) -> tuple[str, ...]:
    """These packs, and those that they include."""
    found: dict[str, None] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found[name] = None
            waiting += pack(name).includes
    return tuple(found)


@cache
def known() -> Mapping[tuple[str, str], Entry]:
    """Everything that any pack lists, allowed or not: what takes classes, and what has a rule, is so in any case."""
    found: dict[tuple[str, str], Entry] = {}
    for name in NAMES:
        for key, entry in pack(name).entries.items():
            found.setdefault(key, entry)
    return MappingProxyType(found)


def offering(module: str, name: str, roles: Iterable[str]) -> Pack | None:
    """The first pack that allows a global in all these roles; None if none does."""
    wanted = frozenset(roles)
    for one in NAMES:
        entry = pack(one).entries.get((module, name))
        if entry is not None and wanted <= entry.roles and entry.rule != "lazy-hook":  # getattr is for one use only
            return pack(one)
    return None
