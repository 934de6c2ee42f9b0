"""What was signed against what is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pratique.artifacts import Entry
from pratique.checking import Finding, Severity
from pratique.oms import Manifest

MOST = 20
"""Findings of one rule that are listed one by one; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A signed manifest beside a folder. Paths are compared by their code points, contents by their sha256."""

    manifest: Manifest
    who: str
    """What people call those who signed."""

    there: Mapping[str, str]
    """sha256 (hex) of every file that is there, by path."""

    changed: tuple[str, ...]
    missing: tuple[str, ...]
    unsigned: tuple[str, ...]
    empty: tuple[str, ...]
    """Empty folders that are not signed: OMS names none at all, and some loaders take one for a module."""

    @classmethod
    def of(cls, manifest: Manifest, entries: Sequence[Entry], *, signature: str, who: str) -> Comparison:
        """Compare. The signature is the one file that need not be signed; what else the signer left out is unsigned."""
        signed = manifest.entries
        there = {one.path: one.sha256 for one in entries if one.path in signed or not one.path.endswith("/")}
        return cls(
            manifest=manifest,
            who=who,
            there=there,
            changed=tuple(path for path, digest in sorted(signed.items()) if there.get(path, digest) != digest),
            missing=tuple(sorted(signed.keys() - there.keys())),
            unsigned=tuple(sorted(there.keys() - signed.keys() - {signature})),
            empty=tuple(one.path for one in entries if one.path.endswith("/") and one.path not in signed),
        )

    @property
    def measures(self) -> dict[str, float]:
        """How many files of each sort."""
        return {
            "signed_files": float(len(self.manifest.entries)),
            "unsigned_files": float(len(self.unsigned)),
            "changed_files": float(len(self.changed)),
            "missing_files": float(len(self.missing)),
        }

    def findings(self) -> Iterator[Finding]:
        """Every difference, the gravest first."""
        homes = {digest: path for path, digest in self.manifest.entries.items()}
        yield from _listed(
            "file-changed", Severity.CRITICAL, self.changed, [self._on_change(path, homes) for path in self.changed[:MOST]],
            "do not use it; get the file again from the publisher, or have them sign again if the change is theirs",
        )  # fmt: skip
        yield from _listed(
            "file-missing", Severity.HIGH, self.missing,
            [f"{path} was signed by {self.who}, but is not there" for path in self.missing[:MOST]],
            "get the whole delivery again, or have the publisher sign what is left",
        )  # fmt: skip
        yield from _listed(
            "file-unsigned", Severity.HIGH, self.unsigned, [self._on_extra(path, homes) for path in self.unsigned[:MOST]],
            "remove it; if it belongs there, have the publisher sign again and leave nothing out "
            "(the command `model_signing sign` leaves git's own files out: --no-ignore-git-paths)",
        )  # fmt: skip
        yield from _listed(
            "empty-directory", Severity.HIGH, self.empty,
            [f"{path} is an empty folder, which no signature covers" for path in self.empty[:MOST]], "remove it",
        )  # fmt: skip

    def _on_change(self, path: str, homes: Mapping[str, str]) -> str:
        now, then = self.there[path], self.manifest.entries[path]
        digests = f"its sha256 is {now[:16]}…, signed was {then[:16]}…"
        return f"{path} was changed after {self.who} signed it: {digests}{_taken_from(path, now, homes)}"

    def _on_extra(self, path: str, homes: Mapping[str, str]) -> str:
        how = "was left out of the signature" if self.manifest.left_out(path) else "was added to what was signed"
        return f"{path} {how}; {self.who} did not sign it{_taken_from(path, self.there[path], homes)}"


def _taken_from(path: str, digest: str, homes: Mapping[str, str]) -> str:
    home = homes.get(digest, path)
    return f" (it holds what was signed as {home})" if home != path else ""


def _listed(rule: str, severity: Severity, paths: Sequence[str], messages: Sequence[str], fix: str) -> Iterator[Finding]:
    for path, message in zip(paths, messages, strict=False):
        yield Finding(rule=rule, severity=severity, message=message, where=path, fix=fix)
    if more := len(paths) - len(messages):
        yield Finding(rule=rule, severity=severity, message=f"and {more:,} more, {len(paths):,} in all", fix=fix)
