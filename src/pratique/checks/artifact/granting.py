"""What a policy allows pickles to do, and how a refusal is explained: the place, the deed, and the line that would allow it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pratique.checking import Finding
from pratique.checks.artifact import packs, spelling
from pratique.checks.artifact.rules import RULES, finding
from pratique.checks.artifact.values import Action, Use

_DEEDS = {
    "REDUCE": "calls it",
    "INST": "calls it",
    "OBJ": "calls it",
    "NEWOBJ": "makes an instance of it",
    "NEWOBJ_EX": "makes an instance of it",
    "BUILD": "sets the state of what it returned",
}

_ROLE_DEEDS = {
    "again": "calls what it returned",
    "patch": "changes the thing itself",
    "items": "fills what it returned",
    "pairs": "fills what it returned",
    "base": "builds upon it",
    "new": "makes an instance of it",
}

_RISKS = {
    "call": "whatever that function does with arguments of the supplier's choice, happens when the file is loaded",
    "new": "the class's own __new__ and __setstate__ run with values of the supplier's choice",
    "ref": "code that finds it among the values may call it later",
    "base": "its __new__ and __init__ run with values of the supplier's choice",
    "state": "its __setstate__ runs with values of the supplier's choice",
    "items": "its append and extend run with values of the supplier's choice",
    "pairs": "its __setitem__ runs with values of the supplier's choice",
}

_LINE = re.compile(r"(?P<roles>[a-z]+(,[a-z]+)*) (?P<module>[A-Za-z_][\w.]*)\.(?P<name>[A-Za-z_]\w*)\Z", re.ASCII)

_OPENABLE = ("call", "new", "ref", "state", "items", "pairs")
"""Roles that a policy may grant one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """What pickles may import, and in which roles."""

    roles: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)

    def missing(self, use: Use) -> dict[str, Action]:
        """Roles in which a global is used and may not be; every one of them, if it may not be used at all."""
        granted = self.roles.get((use.module, use.name))
        if granted is None:
            return use.actions or {"ref": Action(use.position, use.opcode)}
        return {role: action for role, action in use.actions.items() if role not in granted}


NOTHING = Grants()


def grants(pack_names: Iterable[str], lines: Iterable[str]) -> Grants:
    """What packs and single lines of a policy allow together."""
    roles: dict[tuple[str, str], frozenset[str]] = {}
    for name in packs.closure(pack_names):
        for key, entry in packs.pack(name).entries.items():
            roles[key] = roles.get(key, frozenset()) | entry.roles
    for line in lines:
        granted, module, one = parsed(line)
        roles[module, one] = roles.get((module, one), frozenset()) | granted
    return Grants(roles=roles)


def parsed(line: str) -> tuple[frozenset[str], str, str]:
    """Roles, module and name of a line such as `new acme.nets.Net`. An instance that may be made may get its state.

    Raises:
        ValueError: it is no such line, or opens a door that stays shut.
    """
    match = _LINE.match(line)
    if match is None:
        raise ValueError(f"{line!r} is not of the form 'new acme.nets.Net': roles ({', '.join(_OPENABLE)}), a module and a name")
    roles = frozenset(match["roles"].split(","))
    if unknown := sorted(roles - set(_OPENABLE)):
        raise ValueError(f"{line!r} grants {unknown[0]!r}, which is none of {', '.join(_OPENABLE)}")
    if not _openable(match["module"], match["name"], roles):
        raise ValueError(f"{line!r}: nothing that comes with Python can be allowed one by one; name a pack instead")
    return roles | ({"state"} if "new" in roles else frozenset()), match["module"], match["name"]


def refusal(where: str, use: Use, missing: Mapping[str, Action]) -> Finding:
    """Why a global is refused."""
    what = spelling.plain(use.module, use.name)
    alias = f" (as {spelling.shown(use.written)})" if spelling.is_alias(use.written) else ""
    role, first = _gravest(missing)
    if role == "ref":
        message = (
            f"loading this pickle imports {what}: {use.opcode} puts it{alias} among the values, where later code may call it"
        )
    else:
        deed = _ROLE_DEEDS.get(role) or _DEEDS.get(first.opcode, "uses it")
        place = "and" if first.position == use.position else f"{first.opcode} at byte {first.position:,}"
        message = f"loading this pickle runs {what}: {use.opcode} imports it{alias}, {place} {deed}"
    return finding("pickle-global", where, f"{message} ({_roles(missing)})", fix=_remedy(use, frozenset(missing)))


def _remedy(use: Use, roles: frozenset[str]) -> str:
    """The one line of a policy that would allow it, and its risk; where no line can, what to do instead."""
    usual = RULES["pickle-global"].fix
    offer = packs.offering(use.module, use.name, roles)
    if offer is not None:
        return f"`pickle_packs: [{offer.name}]` would allow it (risk: {offer.risk}); or {usual}"
    if not _openable(use.module, use.name, roles):
        return f"no line of a policy allows this; {usual}"
    granted = sorted(roles - {"state"}) if "new" in roles else sorted(roles)
    risk = "; ".join(_RISKS[role] for role in granted)
    return f'`pickle_globals: ["{",".join(granted)} {use.module}.{use.name}"]` would allow it (risk: {risk}); or {usual}'


def _openable(module: str, name: str, roles: frozenset[str]) -> bool:
    return spelling.is_proper(module, name) and not spelling.is_pythons(module) and roles <= set(_OPENABLE)


def _gravest(missing: Mapping[str, Action]) -> tuple[str, Action]:
    return next((one for one in missing.items() if one[0] != "ref"), next(iter(missing.items())))


def _roles(missing: Mapping[str, Action]) -> str:
    names = sorted(missing)
    return f"role {names[0]}" if len(names) == 1 else f"roles {', '.join(names)}"
