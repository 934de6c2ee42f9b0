"""A signed model or dataset, and why its signature holds, step by step: `pratique verify FOLDER`.

In the order of the code:

1. Names first: a giant that nobody signed is refused before it is read.
2. A private copy, and the provenance check on it, with nothing allowed but what the caller names.
3. The signature once more, for who made it and why that holds.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pratique import checking, documents, manifests, oms, signing
from pratique.artifacts import Artifact, open_artifact
from pratique.checking import Check, Finding, Options, Severity
from pratique.checks.provenance import listed
from pratique.checks.provenance.reading import signature_in
from pratique.errors import ArtifactRefused, EvidenceError, SignatureInvalid, WrongSigner, WrongSubject
from pratique.listing import Listing
from pratique.oms import Allow, Manifest
from pratique.signing import Trusted


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Which delivery it must be, since a publisher's signature on another one, or on an older one, is just as genuine."""

    name: str = ""
    """What the publisher must call it; whatever they like if left out."""

    min_version: str = ""
    """The oldest version to take; any, or none, if left out."""

    digest: str = ""
    """`sha256:<hex>`: the one artifact to take, as `pratique digest` names it."""

    @property
    def options(self) -> dict[str, str]:
        """What is given, as the provenance check has it."""
        given = {"name": self.name, "min_version": self.min_version, "subject": self.digest}
        return {name: value for name, value in given.items() if value}


ANY = Expected()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Why something holds."""

    steps: tuple[str, ...]
    """One sentence per step, in order."""

    data: Mapping[str, Any]
    """The same for machines."""


def delivery(
    target: Path,
    trusted: Sequence[Trusted],
    *,
    signature: str = "",
    detached: Path | None = None,
    allow: Collection[Allow] = (),
    expected: Expected = ANY,
) -> Proof:
    """Verify a signed folder, or with `detached` a signed file.

    Args:
        target: the folder or file.
        trusted: whose signature counts.
        signature: path of the signature in the folder; `model.sig` if left out, or else that of a dataset's manifest.
        detached: file of the signature, if it lies elsewhere.
        allow: what is accepted for the format's sake.
        expected: which delivery it must be.

    Raises:
        EvidenceError: it does not hold, and why; its `rule` is the finding's. ArtifactError: it cannot be read.
        UsageError: what is expected makes no sense.
    """
    chosen = checking.load("provenance")
    if detached is not None and (inside := _inside(target, detached)):
        signature, detached = inside, None
    signature = signature or _found(target)
    asked = {"signers": list(trusted), "signature": signature, "allow": [one.value for one in allow]}
    asked |= expected.options
    if detached is not None:
        asked["detached"] = str(detached.absolute())
    options = checking.options_for(chosen, asked)
    artifact = open_artifact(target, preview=lambda found: _refuse_early(chosen, options, found))  # 1
    report = checking.run(chosen, artifact, options)  # 2
    if grave := [one for one in report.findings if one.severity > Severity.NOTE]:
        raise _refusal(grave)
    return _proof(artifact, _manifest(artifact, trusted, signature, detached, frozenset(allow)), trusted, report.measures)  # 3


def proof(*steps: str, data: Mapping[str, Any]) -> Proof:
    """The steps, numbered, each in a line of its own."""
    return Proof(steps=tuple(f"{number}. {documents.line(step)}" for number, step in enumerate(steps, 1)), data=data)


def _inside(target: Path, signature: Path) -> str:
    """The path of a signature in the folder that it is about; '' if it lies elsewhere."""
    place = signature.parent.resolve() / signature.name
    return place.relative_to(target.resolve()).as_posix() if place.is_relative_to(target.resolve()) and target.is_dir() else ""


def _found(target: Path) -> str:
    by_manifest = not os.path.lexists(target / oms.SIGNATURE) and os.path.lexists(target / manifests.SIGNATURE)
    return manifests.SIGNATURE if by_manifest else oms.SIGNATURE


def _count(files: int) -> str:
    return f"{files:,} file{'' if files == 1 else 's'}"


_ANOTHER = frozenset({
    "file-changed", "file-missing", "file-unsigned", "git-file-unsigned", "empty-file-unsigned", "empty-directory",
    "wrong-name", "wrong-digest", "version-missing", "version-older",
})  # fmt: skip
"""Rules that say: properly signed, but not this."""


def _refuse_early(chosen: Check[Any], options: Options, found: Listing) -> None:
    for finding in checking.preview(chosen, found, options):
        raise ArtifactRefused(f"{finding.message}; nothing was read", hint=finding.fix, rule=finding.rule)


def _refusal(grave: Sequence[Finding]) -> EvidenceError:
    """The first finding as an error: about the signature, or about files that are not what it covers."""
    first = grave[0]
    where = f" (at {first.where})" if first.where else ""
    kind: type[EvidenceError] = SignatureInvalid
    if first.rule in _ANOTHER:
        kind = WrongSubject
    elif first.rule in signing.RULES and first.rule != SignatureInvalid.rule:
        kind = WrongSigner
    more = f"; {len(grave)} findings in all" if len(grave) > 1 else ""
    return kind(f"{first.message}{where}{more}", hint=first.fix, rule=first.rule)


def _manifest(
    artifact: Artifact, trusted: Sequence[Trusted], signature: str, detached: Path | None, allow: frozenset[Allow]
) -> Manifest:
    found = signature_in(artifact, signature, detached)
    if found is None:
        raise SignatureInvalid("the signature went away while it was verified", rule="unsigned")
    if found.path.endswith(manifests.SUFFIX):
        seen = listed.manifest_in(found, trusted, listed.reader_of(artifact))
        if isinstance(seen, Finding):
            raise SignatureInvalid(seen.message, hint=seen.fix, rule=seen.rule)
        return seen
    manifest = oms.read(found.data, trusted, what=found.name, allow=allow)
    return manifest.of_file(artifact.subject.name) if artifact.is_file else manifest


def _proof(artifact: Artifact, manifest: Manifest, trusted: Sequence[Trusted], measures: Mapping[str, float]) -> Proof:
    signers = signing.names_of(manifest.signers, trusted)
    count, unsigned = len(manifest.entries), int(measures["unsigned_files"])
    version = f", version {manifest.version}" if manifest.version else ""
    steps = [f"the signature is by {' and '.join(signers)}"]
    steps += [step for witness in manifest.witnesses for step in witness.steps]
    steps += [
        f"what it covers is called {manifest.model}{version}: {_count(count)}, by {manifest.hashing}",
        f"of these {count:,}, none is missing or changed; "
        + (f"{_count(unsigned)} beside them that nobody signed, as was allowed" if unsigned else "there is nothing else"),
        f"the digest of it all is {artifact.subject.digest}",
    ]
    return proof(
        *steps,
        data={
            "subject": artifact.subject.digest, "signers": signers, "model": manifest.model, "version": manifest.version,
            "hash": manifest.hashing.hash_type, "shard_size": manifest.hashing.shard_size, "signed_files": count,
            "unsigned_files": unsigned, "statement": manifest.witnesses[0].statement if manifest.witnesses else "",
        },
    )  # fmt: skip
