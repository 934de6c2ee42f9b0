"""Where artifacts come from: a URI of a hub, a registry or a bucket, resolved to what it means now, and fetched.

    sources.resolve("hf://org/model").pinned      # 'hf://org/model@0123…', what the branch is at this moment

| URI | what | module |
|---|---|---|
| `hf://org/name@commit` | Hugging Face Hub | `hub` |
| `oci://host/name@sha256:…` | OCI registries: ModelKits, ModelPacks, plain artifacts | `registry` |
| `models:/name/1`, `runs:/id/path` | MLflow | `tracking` |
| `https://host/file` | one file from a web server | `files` |
| `s3://`, `gs://`, `abfs://` ... | object stores, and whatever else fsspec has a driver for | `objects` |

A URI is resolved once, and what it was resolved to is fetched: a branch, tag or alias that moves in between changes nothing.
Upstream's own ids are recorded, never trusted: an artifact is named by the digest of the bytes that arrived.

A path and a `file:` URI are no sources; `artifacts` copies those itself.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pratique.errors import ArtifactRefused
from pratique.sources.naming import UNSAFE
from pratique.sources.plans import Limits as Limits
from pratique.sources.plans import Plan, Progress, Resolution
from pratique.sources.redacting import redact as redact

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)(?:://|::)|(models|runs|file|local):")
_MOST = 1200
"""Characters of an id or a note that are recorded: a path (1,024 bytes at most) and what stands before it."""

_MODULES = {"hf": "hub", "oci": "registry", "models": "tracking", "runs": "tracking", "https": "files", "http": "files"}

__all__ = ["Limits", "Plan", "Progress", "Resolution", "local", "make_plan", "obtain", "redact", "resolve", "scheme_of"]


def scheme_of(uri: str) -> str:
    """The scheme of a URI in lower case; '' for a local path. A file called `models:x` is reached as `./models:x`."""
    match = _SCHEME.match(uri)
    return (match[1] or match[2]).lower() if match else ""


def local(uri: str) -> str | None:
    """The path behind a local path or a `file:` URI; None for anything that has to be fetched."""
    scheme = scheme_of(uri)
    if scheme in ("file", "local"):
        return uri.partition(":")[2].removeprefix("//")
    return None if scheme else uri


def make_plan(uri: str) -> Plan:
    """Ask the service what a URI means at this moment.

    Raises:
        ArtifactError: unreachable. ArtifactRefused: not a URI of that scheme, or a service that contradicts itself.
    """
    module = importlib.import_module(f"pratique.sources.{_MODULES.get(scheme_of(uri), 'objects')}")
    make: Callable[[str], Plan] = module.plan
    plan = make(uri)
    if plan.name in ("", ".", "..") or UNSAFE.search(plan.name) or "/" in plan.name:
        raise ArtifactRefused(f"{redact(uri)} gives the artifact no name that a file could have")
    return replace(plan, resolution=_presentable(plan.resolution))


def resolve(uri: str) -> Resolution:
    """What a URI means at this moment. Nothing is downloaded.

    Raises:
        ArtifactError, ArtifactRefused: as `make_plan`; also for a local path, which has nothing to resolve.
    """
    if local(uri) is not None:
        raise ArtifactRefused(f"{uri} is a local path; there is nothing to resolve")
    return make_plan(uri).resolution


def obtain(uri: str, target: Path, limits: Limits, progress: Progress) -> Plan:
    """Resolve a URI and fetch what it was resolved to.

    Args:
        target: where the file or folder goes; nothing may be there. After an error, what is there is not the artifact.
        limits: how much to fetch at most.
        progress: called with bytes that arrived.

    Raises:
        ArtifactError: unreachable, or it kept breaking off. ArtifactRefused: other bytes than promised, unsafe names, over a
            limit.
    """
    plan = make_plan(uri)
    plan.fetch(target, limits, progress)
    return plan


def _presentable(one: Resolution) -> Resolution:
    """What strangers call their bytes, fit to be signed and shown: no secrets, no control characters, no megabytes."""
    ids = {redact(name)[:_MOST]: redact(value)[:_MOST] for name, value in one.ids.items()}
    return replace(one, ids=ids, notes=tuple(redact(note)[:_MOST] for note in one.notes))
