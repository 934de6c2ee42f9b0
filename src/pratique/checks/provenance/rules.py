"""What the provenance check can find, by name: a waiver names one of these, docs/checks/provenance-attacks.md tells of them."""

from __future__ import annotations

from pratique import croissant, signing
from pratique.checks.provenance import describing, origins

RULES = {
    "unsigned": "there is no signature where one is expected",
    "malformed-signature": "the signature is not a bundle with one manifest in it that everybody reads alike",
    "too-large": "the signature or its manifest is larger than any honest one",
    "too-deep": "the signature or its manifest is nested deeper than any honest one",
    "key-twice": "a JSON object in the signature or its manifest has a key twice; two readers may take two values",
    "extra-signature": "the signature file holds a signature by nobody who is trusted, beside those that count",
    "wrong-predicate": "it is signed, but is no statement about a model's or dataset's files",
    "legacy-format": "somebody trusted signed it, but in the format of before OMS 1.0",
    "unknown-serialization": "somebody trusted signed it, but by a hash or a method that is not read",
    "manifest-empty": "the manifest names no file",
    "root-mismatch": "the manifest's root digest is not that of its files",
    "mixed-hashes": "the manifest's files do not all have the hash that it says they have",
    "shards-wrong": "the manifest's shards do not cover each file exactly",
    "not-sorted": "the manifest's files are in no order that the format knows",
    "name-twice": "the manifest has a name twice, or as a file and a folder",
    "name-twins": "the manifest has two names that are one on some file systems",
    "name-escapes": "the manifest has a name that leads out of the folder",
    "name-unusual": "the manifest has a name that is no normal relative path",
    **signing.RULES,
    "signature-too-old": "it was signed longer ago than the policy takes, or nobody who is trusted to tell says when",
    "wrong-name": "it is signed by somebody trusted, but as another model or dataset",
    "version-missing": "the signature does not say which version this is, and one is asked for",
    "version-older": "it is an older version than the policy takes, however well signed",
    "wrong-digest": "it is not the one artifact that the policy names by its digest",
    "file-changed": "a file is not the one that was signed",
    "file-missing": "a file that was signed is not there",
    "file-unsigned": "a file is there that was not signed",
    "git-file-unsigned": "one of git's own files is there that was not signed; many verifiers never look at these",
    "empty-file-unsigned": "an empty file is there that was not signed; shards cannot cover one",
    "empty-directory": "an empty folder is there that the signature does not cover; those of OpenSSF Model Signing cover none",
    "manifest-changed": "a trusted signature of a manifest is there, but not the manifest that was signed",
    **croissant.RULES,
    **origins.RULES,
}

MEASURES = {
    "signed_files": "files that a trusted signature covers, whether they are there and unchanged or not",
    "unsigned_files": "files that are there without being covered, allowed or not, apart from the signature itself",
    "changed_files": "covered files whose content is not what was signed",
    "missing_files": "covered files that are not there",
    "signers": "different signers among those who are trusted",
    **describing.MEASURES,
}
