"""From an artifact to a manifest that somebody trusted signed, or to the one finding that says why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from pratique import documents, oms
from pratique.artifacts import Artifact, Subject
from pratique.checking import Finding, Severity
from pratique.errors import ArtifactError, EvidenceError, Malformed, SignatureInvalid, WrongSigner
from pratique.oms import Allow, Manifest
from pratique.oms.hashing import open_regular
from pratique.signing import Trusted

_AGAIN = "get the delivery again from the publisher, and ask them what they signed if that does not help"
_HOSTILE = "treat it as hostile; if the publisher changed how they sign, learn that from them by another way than this delivery"
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_SUFFIXES = (".sig", ".sigstore", ".sigstore.json")


class Reader(Protocol[T_co]):
    """Verifies a bundle, and says what is in it."""

    def __call__(self, bundle: bytes, trusted: Sequence[Trusted], /, *, what: str) -> T_co:
        """Read it, or raise an EvidenceError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureFile:
    """The bytes of a signature, and what to call it."""

    name: str
    path: str
    """Relative path in the artifact; '' if it lies outside."""

    data: bytes
    """Empty if it is too large to be one."""

    size: int

    @classmethod
    def read(cls, place: Path, name: str, path: str = "") -> SignatureFile:
        """Read one, up to what any signature may have.

        Raises:
            ArtifactError: it cannot be read.
        """
        try:
            with open(open_regular(place, name), "rb") as stream:
                data = stream.read(documents.MAX_BYTES + 1)
            size = max(len(data), place.lstat().st_size)
        except OSError as error:
            raise ArtifactError(f"cannot read {name}: {error.strerror}") from error
        return cls(name=name, path=path, data=data if len(data) <= documents.MAX_BYTES else b"", size=size)

    @property
    def subject(self) -> Subject:
        """Names it in a report."""
        return Subject(digest=documents.sha256(self.data), name=self.name)


def signature_in(artifact: Artifact, path: str, detached: Path | None = None) -> SignatureFile | None:
    """The signature file; None if there is none."""
    if detached is not None:
        return SignatureFile.read(detached, detached.name)
    found = next((one for one in artifact.entries if one.path == path and not artifact.is_file), None)
    return SignatureFile.read(artifact.path(found), path, path) if found else None


def unsigned(artifact: Artifact, path: str, keys: Sequence[Trusted]) -> Finding:
    """What to say about an artifact without a signature."""
    fix = f"get it with its signature from {names(keys)}, who makes one with `pratique sign FOLDER --key KEY`"
    if artifact.is_file:
        message = f"{artifact.subject.name} is a single file, which cannot carry its signature"
        fix = (
            "name the file of its signature with the option `detached`, or have the publisher sign a folder with the file in it"
        )
    elif any(entry.path.startswith(path + "/") for entry in artifact.entries):
        message = f"{path} is a folder, where the signature should be"
    else:
        message = f"there is no signature: no {path} among its {len(artifact.entries):,} entries"
        if others := [entry.path for entry in artifact.entries if entry.path.endswith(_SUFFIXES)]:
            message += f" ({others[0]} may be one: name it with the option `signature`)"
    return _grave("unsigned", message, "", fix)


def manifest_in(
    signature: SignatureFile, keys: Sequence[Trusted], allow: AbstractSet[Allow] = frozenset()
) -> Manifest | Finding:
    """What the signature says, or why it says nothing."""
    return vouched(signature, keys, partial(oms.read, allow=allow))


def vouched(signature: SignatureFile, keys: Sequence[Trusted], read: Reader[T]) -> T | Finding:
    """What a reader makes of the signature, or why it says nothing."""
    what = signature.name
    try:
        if signature.size > documents.MAX_BYTES:
            raise Malformed(f"{what} is {signature.size:,} bytes; at most {documents.MAX_BYTES:,} are read", rule="too-large")
        return read(signature.data, keys, what=what)
    except SignatureInvalid as error:
        return _grave("signature-invalid", str(error), what, _AGAIN)
    except WrongSigner as error:
        if error.rule == WrongSigner.rule:
            return _wrong_signer(signature.data, keys, what)
        return _grave(error.rule, str(error), what, error.hint or _HOSTILE)
    except EvidenceError as error:
        return _grave(error.rule or "malformed-signature", str(error), what, error.hint or _AGAIN)


def names(keys: Sequence[Trusted]) -> str:
    """What people call the owners of these keys."""
    return " or ".join(sorted({key.name for key in keys}))


def _wrong_signer(bundle: bytes, keys: Sequence[Trusted], what: str) -> Finding:
    trusted = " or ".join(sorted({key.describe() for key in keys}))
    return _grave(
        "wrong-signer",
        f"{what} was not made by anybody who is trusted for it, which is {trusted}; it says that it was made by "
        f"{oms.claimed_signer(bundle)}",
        what,
        "treat it as hostile, unless the publisher has a new key: get that from them by another way than this delivery, "
        "compare its `sha256sum`, and list it under `trust` and `signers`",
    )


def _grave(rule: str, message: str, where: str, fix: str) -> Finding:
    return Finding(rule=rule, severity=Severity.CRITICAL, message=message, where=where, fix=fix)
