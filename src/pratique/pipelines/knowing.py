"""Which executors are ours: by the command that would run, never by a name.

A component of the catalogue is code inside the compiled file. Somebody who edits `steps.gate` out of a task named `gate` leaves
its name, its image and its inputs as they were. So the command and its arguments are hashed, and compared with those of the
catalogue that is installed here.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pratique import documents
from pratique.errors import UsageError
from pratique.pipelines.reading import Executor, read

Role = Literal["gate", "promotion", "check"]

_ROLES: Mapping[str, Role] = {"gate": "gate", "promote_model": "promotion"}
"""Every other component of the catalogue is a check."""

_OURS = re.compile(r"\bsteps\s*\.\s*(gate|promote|check|audit)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What an executor is to us."""

    role: Role
    genuine: bool
    """Whether exactly this command is known; else it only looks like one of ours."""


def digest_of(executor: Executor) -> str:
    """`sha256:<hex>` over what a container would run, as canonical JSON; its image is another matter."""
    return documents.sha256(documents.canonical({"args": list(executor.args), "command": list(executor.command)}))


@cache
def catalogue() -> Mapping[str, tuple[str, Role]]:
    """Name and role of every component that is installed with us, by the digest of its command."""
    found: dict[str, tuple[str, Role]] = {}
    for path in sorted(_folder().glob("*/component.yaml")):
        name = path.parent.name
        for component in read(path.read_bytes(), what=str(path)).components.values():
            if component.executor is not None:
                found[digest_of(component.executor)] = (name, _ROLES.get(name, "check"))
    return found


def know(executor: Executor | None, accepted: Mapping[str, Role]) -> Known | None:
    """Whether a container is a gate, a promotion or a check of ours; None if it does not even claim to be.

    Args:
        executor: what would run.
        accepted: roles of other commands that somebody has reviewed, by their digests.
    """
    if executor is None or executor.kind != "container":
        return None
    digest = digest_of(executor)
    if digest in accepted:
        return Known(role=accepted[digest], genuine=True)
    if digest in catalogue():
        return Known(role=catalogue()[digest][1], genuine=True)
    names = {name: role for name, role in catalogue().values()}
    claimed = next((names[one] for one in executor.args if one in names), None)
    called = next((found[1] for word in (*executor.command, *executor.args) if (found := _OURS.search(word))), "")
    role = claimed or {"gate": "gate", "promote": "promotion", "check": "check", "audit": "check"}.get(called)
    return Known(role=role, genuine=False) if role else None  # type: ignore[arg-type]


def accepted(words: tuple[str, ...]) -> dict[str, Role]:
    """`gate=sha256:...` as a command line gives it.

    Raises:
        UsageError: another role, or no digest.
    """
    found: dict[str, Role] = {}
    for word in words:
        role, _, digest = word.partition("=")
        if role not in ("gate", "promotion", "check") or not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise UsageError(f"{word!r} accepts nothing", hint="gate=sha256:..., promotion=sha256:... or check=sha256:...")
        found[digest] = role  # type: ignore[assignment]
    return found


def _folder() -> Path:
    """Where the catalogue lies. It is not imported: that takes the SDK."""
    spec = importlib.util.find_spec("pratique.components")
    places = list(spec.submodule_search_locations or ()) if spec else []
    if not places:
        raise UsageError("the component catalogue is not installed", hint="pip install pratique")
    return Path(places[0])
