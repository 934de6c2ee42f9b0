"""Whether somebody trusted signed exactly these files: OpenSSF Model Signing v1.0, by key, by certificate, or keyless;
or the manifest of a dataset.

    pratique sign model --key supplier.key
    pratique check provenance model -o signers=supplier.pub

    pratique manifest sign images --key publisher.key
    pratique check provenance images --kind dataset -o signers=publisher.pub -o signature=dataset.manifest.sigstore.json

Which of the two is read is the policy's choice, by the name of the signature; a delivery cannot choose. A Croissant description
at the root of the delivery is compared with the files beside it.

What it cannot see:

- A publisher who signs something bad, and a key that was stolen. A signature says who, not what.
- An older version of the same model with its own valid signature put in place of a newer one, unless `min_version` or `subject`
  is asked for.
- Another model of the same publisher with its own valid signature, unless `name` is asked for.

Where the format OMS v1.0 is more lenient, the option `allow` names each lenience that a policy takes on itself; without it
none is on. A file under a hash other than sha256, or under shards, is hashed again from the private copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Annotated

from pydantic import AfterValidator, Field

from pratique import manifests, oms, signing
from pratique.artifacts import Artifact, Subject
from pratique.checking import Finding, Options, PolicyPath, Report, Severity, check
from pratique.checks.provenance import describing, listed, origins
from pratique.checks.provenance.comparing import Comparison
from pratique.checks.provenance.previewing import previewed
from pratique.checks.provenance.reading import manifest_in, signature_in, unsigned
from pratique.checks.provenance.rules import MEASURES, RULES
from pratique.errors import UsageError
from pratique.listing import Listing
from pratique.oms import Allow, Manifest
from pratique.trust import Signers, revoked


def _inside(path: str) -> str:
    if "\\" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"{path!r} is not a path inside the artifact, such as {oms.SIGNATURE}")
    return path


def _allowed(wanted: tuple[Allow, ...]) -> tuple[Allow, ...]:
    if never := [one.value for one in wanted if one in _NEVER]:
        raise ValueError(f"{never[0]} cannot be allowed: no artifact holds such a thing")
    return tuple(sorted(set(wanted), key=lambda one: one.value))


def _version(wanted: str) -> str:
    try:
        oms.version_numbers(wanted)
    except UsageError as error:
        raise ValueError(error.diagnostics().replace("\nHint: ", "; ")) from error
    return wanted


_MEANS = {"key": "key", "certificate": "certificate", "keyless": "identity"}

_NEVER = (Allow.SYMLINKS, Allow.TWIN_NAMES, Allow.UNUSUAL_NAMES)
"""What an artifact refuses whatever was signed."""


class ProvenanceOptions(Options):
    """Whose signature counts, and where it is."""

    signers: Signers
    """Who may have signed: names under the policy's `trust`, files of public keys relative to it, or entries as there."""

    signature: Annotated[str, AfterValidator(_inside)] = oms.SIGNATURE
    """Path of the signature inside the artifact. One whose name ends in `.manifest.sigstore.json` is that of a dataset's
    manifest (`pratique manifest sign`), any other one is of OpenSSF Model Signing."""

    detached: PolicyPath | None = None
    """File of a signature outside of the artifact, relative to the policy; `signature` is not looked for then."""

    allow: Annotated[tuple[Allow, ...], AfterValidator(_allowed)] = ()
    """What is accepted because the format accepts it: `empty-folders`, `ignored-paths`, `git-paths`, `unsigned-files` ..."""

    name: str | None = Field(default=None, min_length=1)
    """What the publisher must call it in the signature (by habit, the name of the folder that was signed)."""

    min_version: Annotated[str, AfterValidator(_version)] | None = None
    """The oldest version to take, such as `1.4.0`, by what the publisher signed (`pratique sign --version`)."""

    subject: str | None = Field(default=None, pattern=r"^sha256:[0-9a-f]{64}$")
    """The one artifact to take, by the digest that `pratique digest` prints. It binds names and contents."""

    max_signature_age: timedelta | None = Field(default=None, gt=timedelta(0))
    """How long ago it may have been signed (ISO 8601, such as P90D), by a timestamp or a log; without either, it is too old."""


def _preview(found: Listing, options: ProvenanceOptions) -> Iterator[Finding]:
    return previewed(
        found, options.signers, signature=options.signature, detached=options.detached, allow=frozenset(options.allow)
    )


@check(
    "provenance", version="2", kinds=("model", "dataset"), options=ProvenanceOptions, rules=RULES, measures=MEASURES,
    preview=_preview,
)  # fmt: skip
def provenance(artifact: Artifact, options: ProvenanceOptions) -> Report:
    """Whether a trusted publisher signed exactly these files (OpenSSF Model Signing v1.0, or the manifest of a dataset).

    In the order of the code: find the signature; verify it and read its manifest strictly; compare that with the names and
    digests of the private copy, and a Croissant description as well.
    """
    return origins.traced(artifact, describing.described(artifact, _signed(artifact, options)))


def _signed(artifact: Artifact, options: ProvenanceOptions) -> Report:
    signature = signature_in(artifact, options.signature, options.detached)
    if signature is None:
        return _nobody_vouches(artifact, options, unsigned(artifact, options.signature, options.signers))
    allow = frozenset(options.allow)
    is_listed = signature.path.endswith(manifests.SUFFIX)
    besides = [manifests.manifest_of(signature.path)] if is_listed else []
    if is_listed:
        manifest = listed.manifest_in(signature, options.signers, listed.reader_of(artifact))
    else:
        manifest = manifest_in(signature, options.signers, allow)
    material = signature.subject
    if isinstance(manifest, Finding):
        return _nobody_vouches(artifact, options, manifest, material)
    who = " and ".join(signing.names_of(manifest.signers, options.signers))
    compared = Comparison.of(manifest, artifact, signature=signature.path, who=who, besides=besides, allow=allow)
    voters = signing.votes((one.fingerprint, one.actor) for one in manifest.witnesses)
    return Report(
        findings=(
            *_revoked(manifest, artifact, options),
            *_other(manifest, artifact, who, options),
            *_too_old(manifest, who, options.max_signature_age),
            *compared.findings(),
        ),
        measures={
            **compared.measures,
            "signers": float(voters),
        },
        materials=(material, *_signers(manifest, options)),
    )


def _nobody_vouches(artifact: Artifact, options: ProvenanceOptions, why: Finding, *materials: Subject) -> Report:
    files = [entry for entry in artifact.entries if not entry.path.endswith("/") and entry.path != options.signature]
    measures = {"signed_files": 0.0, "unsigned_files": float(len(files)), "signers": 0.0}
    return Report(findings=(why,), measures=measures, materials=materials)


def _other(manifest: Manifest, artifact: Artifact, who: str, options: ProvenanceOptions) -> Iterator[Finding]:
    """Properly signed, but not what was asked for: another model, an older version, another delivery."""
    if options.name is not None and manifest.model != options.name:
        yield _grave(
            "wrong-name",
            f"{who} signed this as {manifest.model!r}, not as {options.name!r}: it is another delivery",
            "get the right one, or correct the option `name` if the publisher renamed it",
        )
    if options.subject is not None and artifact.subject.digest != options.subject:
        yield _grave(
            "wrong-digest",
            f"this is {artifact.subject.digest}, not {options.subject}",
            "get the right one, or correct the option `subject` after you have looked at this one",
        )
    if options.min_version is not None:
        yield from _older(manifest, who, options.min_version)


def _older(manifest: Manifest, who: str, oldest: str) -> Iterator[Finding]:
    try:
        numbers = oms.version_numbers(manifest.version)
    except UsageError:
        said = f"as version {manifest.version!r}" if manifest.version else "without a version"
        yield _grave(
            "version-missing",
            f"{who} signed this {said}; there is no telling whether it is {oldest} or newer",
            "have the publisher sign with `pratique sign --version`, or name the one to take with the option `subject`",
        )
        return
    if numbers < oms.version_numbers(oldest):
        yield _grave(
            "version-older",
            f"{who} signed this as version {manifest.version}, older than {oldest}: somebody may have put it back",
            "get the newer one",
        )


def _grave(rule: str, message: str, fix: str) -> Finding:
    return Finding(rule=rule, severity=Severity.CRITICAL, message=message, fix=fix)


def _signers(manifest: Manifest, options: ProvenanceOptions) -> tuple[Subject, ...]:
    """Who vouches, and by what, so that the evidence says which of several it was, and can be taken back with any of it."""
    names = {one.fingerprint: f"{_MEANS[one.method]} of {one.name}" for one in options.signers}
    said = {one.statement: f"statement under the {names[one.fingerprint]}" for one in manifest.witnesses if one.statement}
    marks = {mark: names[one.fingerprint] for one in manifest.witnesses for mark in (one.fingerprint, *one.marks)}
    signers = [(mark, name) for mark, name in sorted(marks.items()) if mark not in said]
    return tuple(Subject(digest=mark, name=name) for mark, name in (*signers, *sorted(said.items())))


def _revoked(manifest: Manifest, artifact: Artifact, options: ProvenanceOptions) -> Iterator[Finding]:
    """What the policy has revoked by its digest: all of it, or a file in it."""
    gone = revoked(options.signers)
    if artifact.subject.digest in gone:
        yield _grave("revoked", f"the policy has revoked this very artifact, {artifact.subject.digest}", "do not use it")
    for entry in artifact.entries:
        if f"sha256:{entry.sha256}" in gone:
            yield Finding(
                rule="revoked", severity=Severity.CRITICAL, where=entry.path, fix="do not use it",
                message=f"the policy has revoked the file {entry.path}, sha256:{entry.sha256[:16]}…",
            )  # fmt: skip


def _too_old(manifest: Manifest, who: str, limit: timedelta | None) -> Iterator[Finding]:
    if limit is None:
        return
    known = [one.signed_at for one in manifest.witnesses if one.signed_at is not None]
    if not known:
        yield _grave(
            "signature-too-old",
            f"nobody who is trusted to tell says when {who} signed this; it may be at most {limit} ago",
            "have it signed keyless, or by certificate with a timestamp",
        )
    elif datetime.now(timezone.utc) - min(known) > limit:
        yield _grave(
            "signature-too-old",
            f"{who} signed this on {min(known):%Y-%m-%d %H:%M:%S} UTC; it may be at most {limit} ago",
            "get a newer one, or have the publisher sign it again",
        )
