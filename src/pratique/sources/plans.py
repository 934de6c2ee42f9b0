"""What it means to resolve a URI: which bytes exactly, and how to get them.

A scheme's module offers `plan(uri) -> Plan`. Making a plan asks the service which bytes the URI means at this moment and
writes nothing; `plan.fetch` gets those bytes, whatever the URI means by then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pratique.listing import Limits as Limits

Progress = Callable[[int], None]
"""Called with the number of bytes that arrived since the last call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What a URI meant when it was resolved. For the record and for people: an artifact is named by its digest alone."""

    uri: str
    """As it was given, without credentials."""

    pinned: str
    """The URI that means the same bytes tomorrow; equal to `uri` where the service has no way to say that."""

    scheme: str
    """`hf`, `oci`, `models`, `s3` ..."""

    ids: Mapping[str, str] = field(default_factory=dict)
    """What the service itself calls these bytes: commit, manifest, object versions, run. Never used as the digest."""

    mutable: bool
    """Whether `uri` may mean other bytes tomorrow: a branch, a tag, an alias, a bucket's newest objects."""

    notes: tuple[str, ...] = ()
    """What people should know about it, a sentence each."""

    def __hash__(self) -> int:
        return hash((self.uri, self.pinned, self.scheme))

    def as_json(self) -> dict[str, Any]:
        """The same for machines: what evidence records."""
        return {
            "uri": self.uri, "pinned": self.pinned, "scheme": self.scheme, "ids": dict(self.ids), "mutable": self.mutable,
            "notes": list(self.notes),
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A resolved URI, ready to be fetched."""

    resolution: Resolution

    name: str
    """What people call the artifact: the last part of the URI that is not a version."""

    fetch: Callable[[Path, Limits, Progress], None]
    """Write the file or the folder to a path at which nothing is. What it leaves there after an error is not the artifact.

    Raises ArtifactError (unreachable; worth another try) and ArtifactRefused (other bytes than promised, unsafe names, over
    a limit).
    """
