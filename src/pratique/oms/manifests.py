"""The signed manifest: an in-toto Statement v1 with OMS's predicate, in memory and as bytes to sign."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pratique import documents
from pratique.errors import UsageError
from pratique.oms import names
from pratique.oms.hashing import Hashing
from pratique.signing import Witness

PREDICATE = "https://model_signing/signature/v1.0"

LEGACY = "https://model_signing/Digests/v0.1"
"""What the reference implementation wrote before 1.0: without a root digest, and with another encoding of what is signed."""

STATEMENT = "https://in-toto.io/Statement/v1"

VERSION = "version"
"""The subject's annotation that says which version it is (in-toto's ResourceDescriptor has annotations, OMS lets them be)."""

_NUMBERS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,7}\Z")


def version_numbers(version: str) -> tuple[int, ...]:
    """A version as numbers to compare; `1.4` is `1.4.0`.

    Raises:
        UsageError: it is anything but numbers with dots between them.
    """
    if not _NUMBERS.match(version):
        raise UsageError(f"{version!r} is not a version", hint="numbers with dots between them, such as 1.4.0")
    numbers = [int(part) for part in version.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a signature says about a folder or a file, once somebody trusted has vouched for it."""

    model: str
    """What the signer calls it; the folder's or file's name, as a rule."""

    version: str = ""
    """Which one it is, by the signer's count, such as `1.4.0`; '' if they do not say."""

    entries: Mapping[str, tuple[str, ...]]
    """The hex digests of every signed file by relative path: one, or under shards one for each part. Never empty."""

    hashing: Hashing = field(default_factory=Hashing)
    """How those digests were made."""

    sizes: Mapping[str, int] = field(default_factory=dict)
    """Bytes of every signed file; only shards say so, else empty."""

    root: str
    """`sha256:<hex>` over all digests. It binds no names: two models may share it."""

    ignore_paths: tuple[str, ...] = ()
    """What the signer says was left out."""

    allow_symlinks: bool = False
    """Whether the signer says that symbolic links were followed."""

    signers: frozenset[str]
    """Fingerprints of what is trusted and vouches for it; never empty."""

    witnesses: tuple[Witness, ...] = ()
    """Who signed, and why that holds."""

    @property
    def is_single_file(self) -> bool:
        """Whether it is over one file that it does not name, as early versions of the reference implementation wrote."""
        return names.SINGLE in self.entries

    def left_out(self, path: str) -> bool:
        """Whether the signer says that this path was left out. The folder as a whole never is."""
        return names.below(path, self.ignore_paths)

    def of_file(self, name: str) -> Manifest:
        """The same, with the one file called by its name."""
        if not self.is_single_file:
            return self
        sizes = {name: self.sizes[names.SINGLE]} if self.sizes else {}
        return dataclasses.replace(self, entries={name: self.entries[names.SINGLE]}, sizes=sizes)


def statement(
    model: str,
    files: Mapping[str, tuple[str, ...]],
    *,
    ignore_paths: Iterable[str] = (),
    hashing: Hashing | None = None,
    sizes: Mapping[str, int] | None = None,
    version: str = "",
) -> bytes:
    """The bytes to sign (sections 5 and 6 of the specification); resources in the order of their names' code points.

    Args:
        model: what to call it.
        files: the hex digests of each file, as `Hashing.digest_files` returns them.
        ignore_paths: what was left out.
        hashing: how the digests were made.
        sizes: bytes of each file; needed for shards.
        version: which one it is, such as `1.4.0`; '' for none.

    Raises:
        Malformed: `parsing.parse` would refuse it.
    """
    how = hashing or Hashing()
    resources = dict(_resources(files, how, sizes or {}))
    names.ensure_paths(sorted(files), "the folder")
    ordered = sorted(resources)
    subject: dict[str, Any] = {"name": model, "digest": {"sha256": root_of(resources[name] for name in ordered)}}
    if version:
        subject["annotations"] = {VERSION: version}
    return documents.canonical(
        {
            "_type": STATEMENT,
            "subject": [subject],
            "predicateType": PREDICATE,
            "predicate": {
                "resources": [{"name": name, "digest": resources[name], "algorithm": how.hash_type} for name in ordered],
                "serialization": _serialization(how, list(ignore_paths)),
            },
        }
    )


def root_of(digests: Iterable[str]) -> str:
    """Section 6.5.1: sha256 over the digests as bytes, in the manifest's order."""
    return hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in digests)).hexdigest()


def _resources(files: Mapping[str, tuple[str, ...]], how: Hashing, sizes: Mapping[str, int]) -> Iterable[tuple[str, str]]:
    for path, digests in files.items():
        if not how.shard_size:
            (digest,) = digests
            yield path, digest
            continue
        for (start, end), digest in zip(how.ranges(sizes[path]), digests, strict=True):
            yield names.shard(path, start, end), digest


def _serialization(how: Hashing, ignore_paths: list[str]) -> dict[str, Any]:
    value: dict[str, Any] = {"method": "files", "hash_type": how.hash_type, "allow_symlinks": False}
    if how.shard_size:
        value |= {"method": "shards", "shard_size": how.shard_size}
    if ignore_paths:
        value["ignore_paths"] = ignore_paths
    return value
