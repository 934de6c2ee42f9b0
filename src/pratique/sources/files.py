"""`https://`: one file from a web server. The web knows no versions, so such a reference is always mutable."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from pratique.errors import ArtifactRefused
from pratique.sources.connecting import Patience
from pratique.sources.plans import Limits, Plan, Progress, Resolution
from pratique.sources.redacting import redact
from pratique.sources.web import Web
from pratique.sources.writing import Sink


def plan(uri: str, patience: Patience | None = None) -> Plan:
    """One file; nothing is asked before it is fetched."""
    web = Web(uri, patience=patience, hint="credentials in the URL or elsewhere are not supported for plain web servers")
    shown = redact(uri)
    name = unquote(urlsplit(uri).path).rpartition("/")[2]
    if not name:
        raise ArtifactRefused(f"{shown} names a folder; the web has no listing of folders", hint="name one file")

    def fetch(target: Path, limits: Limits, progress: Progress) -> None:
        web.save(uri, Sink(target, what=shown, size=None, most=limits.bytes, digests={}, progress=progress))

    return Plan(
        name=name, fetch=fetch,
        resolution=Resolution(
            uri=shown, pinned=shown, scheme="https", mutable=True,
            notes=("a web server can serve other bytes tomorrow, and has no name for today's",),
        ),
    )  # fmt: skip
