"""Whether somebody trusted signed exactly these files: OpenSSF Model Signing v1.0, by key, or the manifest of a dataset.

    pratique sign model --key supplier.key
    pratique check provenance model -o signers=supplier.pub

    pratique manifest sign images --key publisher.key
    pratique check provenance images --kind dataset -o signers=publisher.pub -o signature=dataset.manifest.sigstore.json

Which of the two is read is the policy's choice, by the name of the signature; a delivery cannot choose. A Croissant description
at the root of the delivery is compared with the files beside it.

What it cannot see:

- A publisher who signs something bad, and a key that was stolen. A signature says who, not what.
- An older version of the same model with its own valid signature put in place of a newer one. Pin the digest, or give each
  version a name of its own and ask for it (`name`).
- Another model of the same publisher with its own valid signature, unless `name` is asked for.

Signatures by certificates, keyless ones, shards and other hashes than sha256 are not read, and refused.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from pratique import croissant, manifests, oms, signing
from pratique.artifacts import Artifact, Subject
from pratique.checking import Finding, Options, Report, Severity, check
from pratique.checks.provenance import describing, listed, origins
from pratique.checks.provenance.comparing import Comparison
from pratique.checks.provenance.reading import manifest_in, signature_in, unsigned
from pratique.oms import Manifest
from pratique.trust import Signers

RULES = {
    "unsigned": "there is no signature where one is expected",
    "malformed-signature": "the signature is not a bundle with one manifest in it that everybody reads alike",
    "unsupported-signature": "somebody trusted signed it, but by a hash or in a format that is not read",
    "signature-invalid": "the signature names a trusted key, but was changed after it was made",
    "wrong-signer": "it is signed, but by nobody who is trusted for it",
    "wrong-name": "it is signed by somebody trusted, but as another model or dataset",
    "file-changed": "a file is not the one that was signed",
    "file-missing": "a file that was signed is not there",
    "file-unsigned": "a file is there that was not signed",
    "empty-directory": "an empty folder is there that the signature does not cover; those of OpenSSF Model Signing cover none",
    "manifest-changed": "a trusted signature of a manifest is there, but not the manifest that was signed",
    **croissant.RULES,
    **origins.RULES,
}

MEASURES = {
    "signed_files": "files that a trusted signature covers, whether they are there and unchanged or not",
    "unsigned_files": "files that are there without being covered, apart from the signature itself",
    "changed_files": "covered files whose content is not what was signed",
    "missing_files": "covered files that are not there",
    "signers": "different trusted keys that signed",
    **describing.MEASURES,
}


def _inside(path: str) -> str:
    if "\\" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"{path!r} is not a path inside the artifact, such as {oms.SIGNATURE}")
    return path


class ProvenanceOptions(Options):
    """Whose signature counts, and where it is."""

    signers: Signers
    """Who may have signed: names under the policy's `trust`, or files of public keys relative to the policy."""

    signature: Annotated[str, AfterValidator(_inside)] = oms.SIGNATURE
    """Path of the signature inside the artifact. One whose name ends in `.manifest.sigstore.json` is that of a dataset's
    manifest (`pratique manifest sign`), any other one is of OpenSSF Model Signing."""

    name: str | None = Field(default=None, min_length=1)
    """What the publisher must call it in the signature (by habit, the name of the folder that was signed)."""


@check("provenance", version="2", kinds=("model", "dataset"), options=ProvenanceOptions, rules=RULES, measures=MEASURES)
def provenance(artifact: Artifact, options: ProvenanceOptions) -> Report:
    """Whether a trusted publisher signed exactly these files (OpenSSF Model Signing v1.0, or the manifest of a dataset).

    In the order of the code: find the signature; verify it and read its manifest strictly; compare that with the names and
    digests of the private copy, and a Croissant description as well. Nothing is hashed again.
    """
    return origins.traced(artifact, describing.described(artifact, _signed(artifact, options)))


def _signed(artifact: Artifact, options: ProvenanceOptions) -> Report:
    is_manifest = options.signature.endswith(manifests.SUFFIX)
    signature = signature_in(artifact, options.signature)
    if signature is None:
        return _nobody_vouches(artifact, options, unsigned(artifact, options.signature, options.signers))
    manifest = (listed.manifest_in if is_manifest else manifest_in)(artifact, signature, options.signers)
    material = Subject(digest=f"sha256:{signature.sha256}", name=signature.path)
    if isinstance(manifest, Finding):
        return _nobody_vouches(artifact, options, manifest, material)
    who = " and ".join(signing.names_of(manifest.signers, options.signers))
    entries = listed.without_manifest(artifact.entries, signature.path) if is_manifest else artifact.entries
    compared = Comparison.of(manifest, entries, signature=signature.path, who=who)
    return Report(
        findings=(*_other_name(manifest, who, options.name), *compared.findings()),
        measures={**compared.measures, "signers": float(len(manifest.signers))},
        materials=(material, *_signers(manifest, options)),
    )


def _nobody_vouches(artifact: Artifact, options: ProvenanceOptions, why: Finding, *materials: Subject) -> Report:
    files = [entry for entry in artifact.entries if not entry.path.endswith("/") and entry.path != options.signature]
    measures = {"signed_files": 0.0, "unsigned_files": float(len(files)), "signers": 0.0}
    return Report(findings=(why,), measures=measures, materials=materials)


def _other_name(manifest: Manifest, who: str, expected: str | None) -> tuple[Finding, ...]:
    if expected is None or manifest.model == expected:
        return ()
    found = Finding(
        rule="wrong-name",
        severity=Severity.CRITICAL,
        message=f"{who} signed this as {manifest.model!r}, not as {expected!r}: it is another delivery",
        fix="get the right one, or correct the option `name` if the publisher renamed it",
    )
    return (found,)


def _signers(manifest: Manifest, options: ProvenanceOptions) -> tuple[Subject, ...]:
    """The keys that vouch, so that the evidence says which of several trusted ones it was."""
    keys = {key.fingerprint: key.name for key in options.signers if key.fingerprint in manifest.signers}
    return tuple(Subject(digest=mark, name=f"key of {name}") for mark, name in sorted(keys.items()))
