"""A scheduled look at a large dataset: only what is new or changed since the last is read. No gate and no promotion uses it.

    with Memory() as memory:
        audit_folder(Path("images"), signed.claim, manifest, memory).remembered     # files that were not read

`verify_folder` reads everything and is what counts. An audit in between notices additions, removals and every change that the
file system shows; what it cannot notice stands in docs/decisions/0010.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pratique.hashing import Progress
from pratique.manifests import verifying
from pratique.manifests.claims import Claim
from pratique.manifests.lines import Manifest
from pratique.remembering import Memory, Recalled


def audit_folder(
    folder: Path,
    claim: Claim,
    manifest: Manifest,
    memory: Memory,
    *,
    own: Iterable[str] = (),
    progress: Progress | None = None,
) -> Recalled:
    """Whether a folder seems to hold exactly what was signed; see `manifests.verify_folder` for the arguments.

    Returns:
        How much of that rests on memory.

    Raises:
        SignatureInvalid: a file is new, missing or changed. ArtifactError: it cannot be read. StoreError: no memory.
    """
    verifying.ensure_of(claim, manifest)
    found = verifying.names_agree(folder, manifest, own)
    recalled = memory.digests(found, progress=progress)
    hashed = dict(zip((file.path for file in found.files), recalled.digests, strict=True))
    verifying.ensure_same(hashed, manifest.entries)
    return recalled
