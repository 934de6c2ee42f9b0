"""What was signed against what is there, in words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from pratique.artifacts import Artifact, Entry
from pratique.checking import Finding, Severity
from pratique.oms import Allow, Manifest
from pratique.oms.comparing import Differences, by_bytes, by_name

MOST = 20
"""Findings of one rule that are listed one by one; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A signed manifest beside an artifact. Paths are compared by their code points, contents the manifest's way."""

    manifest: Manifest
    who: str
    """What people call those who signed."""

    names: Differences
    """What the names alone tell, less what the policy allows."""

    unsigned_files: int
    """Files that nobody signed, allowed or not."""

    there: Mapping[str, tuple[str, ...]]
    """Digests of what is there, made the manifest's way; of unsigned files only if we had them anyway."""

    sizes: Mapping[str, int]
    changed: tuple[str, ...]

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        artifact: Artifact,
        *,
        signature: str,
        who: str,
        besides: Collection[str] = (),
        allow: AbstractSet[Allow] = frozenset(),
    ) -> Comparison:
        """Compare. The signature, and what the caller names `besides`, need not be signed; what else was left out is unsigned.

        An artifact's own digests serve for whole files by sha256. For other hashes and for shards its private copy is read
        again: the files that are signed and there, and no others.
        """
        manifest = manifest.of_file(artifact.entries[0].path) if artifact.is_file else manifest
        files = {one.path: one for one in artifact.entries if one.path in manifest.entries or not one.path.endswith("/")}
        folders = [one.path.rstrip("/") for one in artifact.entries if one.path not in files]
        sizes = {path: one.size for path, one in files.items()}
        strict = by_name(manifest, sizes, folders=folders, signature=signature, left_out=besides)
        apart = by_name(manifest, sizes, folders=folders, signature=signature, left_out=besides, allow=allow)
        there = _digests(manifest, artifact, files, apart)
        common = {path: there[path] for path in apart.common if path in there}
        return cls(
            manifest=manifest,
            who=who,
            names=apart,
            unsigned_files=len(strict.unsigned) + len(strict.git) + len(strict.empty_files),
            there=there,
            sizes=sizes,
            changed=tuple(sorted({*apart.resized, *by_bytes(manifest, common)})),
        )

    @property
    def measures(self) -> dict[str, float]:
        """How many files of each sort."""
        return {
            "signed_files": float(len(self.manifest.entries)),
            "unsigned_files": float(self.unsigned_files),
            "changed_files": float(len(self.changed)),
            "missing_files": float(len(self.names.missing)),
        }

    def findings(self) -> Iterator[Finding]:
        """Every difference, the gravest first."""
        homes = {digests: path for path, digests in self.manifest.entries.items()}
        yield from _listed(
            "file-changed", Severity.CRITICAL, self.changed, [self._on_change(path, homes) for path in self.changed[:MOST]],
            "do not use it; get the file again from the publisher, or have them sign again if the change is theirs",
        )  # fmt: skip
        yield from _listed(
            "file-missing", Severity.HIGH, self.names.missing,
            [f"{path} was signed by {self.who}, but is not there" for path in self.names.missing[:MOST]],
            "get the whole delivery again, or have the publisher sign what is left",
        )  # fmt: skip
        for rule, paths in (
            ("file-unsigned", self.names.unsigned),
            ("git-file-unsigned", self.names.git),
            ("empty-file-unsigned", self.names.empty_files),
        ):
            yield from _listed(
                rule, Severity.HIGH, paths, [self._on_extra(path, homes) for path in paths[:MOST]], _REMOVE[rule]
            )
        yield from _listed(
            "empty-directory", Severity.HIGH, [f"{path}/" for path in self.names.empty_folders],
            [f"{path}/ is an empty folder, which no signature covers" for path in self.names.empty_folders[:MOST]], "remove it",
        )  # fmt: skip

    def _on_change(self, path: str, homes: Mapping[tuple[str, ...], str]) -> str:
        then, how = self.manifest.entries[path], self.manifest.hashing
        now = self.there.get(path)
        if now is None:
            detail = f"it has {self.sizes[path]:,} bytes, signed were {self.manifest.sizes[path]:,}"
        elif how.shard_size:
            first = next(number for number, (one, other) in enumerate(zip(now, then, strict=True)) if one != other)
            detail = f"the first bytes that differ are from {first * how.shard_size:,} on"
        else:
            detail = f"its {how.hash_type} is {now[0][:16]}…, signed was {then[0][:16]}…"
        return f"{path} was changed after {self.who} signed it: {detail}{_taken_from(path, now, homes)}"

    def _on_extra(self, path: str, homes: Mapping[tuple[str, ...], str]) -> str:
        how = "was left out of the signature" if self.manifest.left_out(path) else "was added to what was signed"
        return f"{path} {how}; {self.who} did not sign it{_taken_from(path, self.there.get(path), homes)}"


_REMOVE = {
    "file-unsigned": "remove it; if it belongs there, have the publisher sign again and leave nothing out",
    "git-file-unsigned": "remove it; if it belongs there, have the publisher sign git's own files too "
    "(the command `model_signing sign` leaves them out: --no-ignore-git-paths)",
    "empty-file-unsigned": "remove it; if it belongs there, have the publisher sign whole files instead of shards",
}


def _digests(
    manifest: Manifest, artifact: Artifact, files: Mapping[str, Entry], apart: Differences
) -> Mapping[str, tuple[str, ...]]:
    if manifest.hashing.is_ours:
        return {path: (one.sha256,) for path, one in files.items()}
    wanted = [path for path in apart.common if path not in set(apart.resized)]
    return manifest.hashing.digest_files(
        {path: artifact.path(files[path]) for path in wanted}, sizes={path: files[path].size for path in wanted}
    )


def _taken_from(path: str, digests: tuple[str, ...] | None, homes: Mapping[tuple[str, ...], str]) -> str:
    home = homes.get(digests, path) if digests else path
    return f" (it holds what was signed as {home})" if home != path else ""


def _listed(rule: str, severity: Severity, paths: Sequence[str], messages: Sequence[str], fix: str) -> Iterator[Finding]:
    for path, message in zip(paths, messages, strict=False):
        yield Finding(rule=rule, severity=severity, message=message, where=path, fix=fix)
    if more := len(paths) - len(messages):
        yield Finding(rule=rule, severity=severity, message=f"and {more:,} more, {len(paths):,} in all", fix=fix)
