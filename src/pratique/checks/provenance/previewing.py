"""What names and sizes alone tell, before a byte of a delivery is read.

Somebody puts a file of 6 GiB beside a signed delivery: sparse, it costs them nothing. It would be hashed in full before anyone
says that nobody signed it. So, where a trusted signature is there, names are compared first, and if what nobody signed would be
dear to read, that is that. If it would not, everything is read: then there is a digest, and evidence about it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from pratique import manifests
from pratique.checking import Finding, Severity
from pratique.checks.provenance import listed
from pratique.checks.provenance.reading import SignatureFile, manifest_in
from pratique.listing import Listing
from pratique.oms import Allow, Manifest
from pratique.oms.comparing import by_name
from pratique.signing import Trusted

DEAR = 256 << 20
"""Bytes; less is hashed in a fraction of a second, and the evidence is worth that."""


def previewed(
    found: Listing, trusted: Sequence[Trusted], *, signature: str, detached: Path | None, allow: AbstractSet[Allow]
) -> Iterator[Finding]:
    """The one finding against a delivery that holds much that nobody signed."""
    sizes = {one.path: one.size for one in found.files}
    manifest = _manifest(found, sizes, trusted, signature, detached, allow)
    if manifest is None:
        return
    besides = [manifests.manifest_of(signature)] if signature.endswith(manifests.SUFFIX) else []
    apart = by_name(manifest, sizes, signature="" if detached else signature, left_out=besides, allow=allow)
    rules = {
        **dict.fromkeys(apart.unsigned, "file-unsigned"),
        **dict.fromkeys(apart.git, "git-file-unsigned"),
        **dict.fromkeys(apart.resized, "file-changed"),
    }
    if sum(sizes[path] for path in rules) < DEAR:
        return
    worst = max(rules, key=lambda path: sizes[path])
    what = "has another size than was signed" if worst in apart.resized else "is there, but nobody signed it"
    yield Finding(
        rule=rules[worst],
        severity=Severity.CRITICAL if worst in apart.resized else Severity.HIGH,
        message=f"{worst}, {sizes[worst]:,} bytes, {what}",
        where=worst,
        fix="remove it, or get the whole delivery again from the publisher",
    )


def _manifest(
    found: Listing, sizes: dict[str, int], trusted: Sequence[Trusted], signature: str, detached: Path | None,
    allow: AbstractSet[Allow],
) -> Manifest | None:  # fmt: skip
    """What somebody trusted signed, if that can be read here; whatever is wrong with it, the check itself says."""
    if detached is None and signature not in sizes:
        return None
    file = (
        SignatureFile.read(detached, detached.name)
        if detached
        else SignatureFile.read(found.root / signature, signature, signature)
    )
    if file.path.endswith(manifests.SUFFIX):
        manifest = listed.manifest_in(file, trusted, lambda path: (found.root / path).read_bytes())
    else:
        manifest = manifest_in(file, trusted, allow)
    if isinstance(manifest, Finding):
        return None
    return manifest.of_file(found.files[0].path) if len(found.files) == 1 else manifest
