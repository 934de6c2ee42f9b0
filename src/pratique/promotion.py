"""The only door to production. It trusts nothing that it is handed: no task state, no XCom, no earlier verdict.

    promotion = promote("models/tuned", policy=Policy.load("release.yaml"), destination="s3://models", channel="production")

In the order of the code:

1. Take a private copy of the artifact and hash it: from here on, only these bytes exist.
2. Read the evidence about that digest from the store and verify every signature.
3. Decide again, under the promoter's own copy of the policy.
4. Copy by digest to `sha256/<digest>/`, never over anything else, hashing what was written.
5. Only then move the channel: one signed pointer, replaced in one step. A crash before leaves the old state, after it the
   new one.

A deployment reads `channels/<channel>.sigstore.json`, verifies it (`read_channel`) and loads `sha256/<digest>/` by its digest.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pratique import artifacts, settings, signing
from pratique.artifacts import Artifact, Entry, Limits, Progress, Subject, open_artifact
from pratique.clearing import ensure_clearance
from pratique.errors import Denied, EvidenceError, Malformed, StoreConflict, StoreError, UsageError, WrongSubject
from pratique.gate import cleared
from pratique.judging import Verdict, decide
from pratique.policies import Policy
from pratique.signing import INTOTO, Signer, Trusted
from pratique.statements import Clearance, Evidence, Vouched
from pratique.store import Store, replace, write_new
from pratique.vouching import collect

_CHANNEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What was promoted, and where to."""

    verdict: Verdict
    uri: str
    """Where the bytes lie now: `<destination>/sha256/<digest>`."""

    clearance: Clearance
    """What the channel points to, signed by the promoter."""

    refused: tuple[str, ...]
    """Statements in the store that proved nothing, and why."""


def promote(
    uri: str,
    *,
    policy: Policy,
    destination: str,
    channel: str = "production",
    store: Store | None = None,
    signer: Signer | None = None,
    run_id: str = "",
    expect: Subject | None = None,
    limits: Limits | None = None,
    now: datetime | None = None,
    progress: Progress | None = None,
) -> Promotion:
    """Put an artifact into production, or raise.

    Args:
        uri: the artifact. Its bytes are hashed here; what the gate saw elsewhere does not matter.
        policy: what must hold, as the promoter keeps it.
        destination: an fsspec folder that only the promoter can write to.
        channel: the pointer to move, such as `production`.
        store: where the evidence is.
        signer: who signs the promotion; this machine's key if left out. Best a key that no gate and no training holds.
        run_id: if given, only evidence of this pipeline run counts.
        expect: if given, the artifact must be this one, whatever evidence there is about others.

    Raises:
        Denied: the evidence does not satisfy the policy. Nothing was copied.
        WrongSubject: the artifact is not the expected one.
        StoreConflict: other bytes stand where these belong, or the channel's pointer is not ours to move.
        ArtifactError, StoreError, PolicyError: it could not be decided or done; the old state stands.
    """
    if not _CHANNEL.match(channel):
        raise UsageError(f"{channel!r} is not a channel's name", hint="lower-case letters, digits, '.', '_' and '-'")
    store = store or Store()
    signer = signer or signing.own_signer(settings.gate_key())
    now = now or datetime.now(timezone.utc)
    place = _Destination(destination)

    artifact = open_artifact(uri, kind=policy.subject, limits=limits, progress=progress)  # 1
    if expect is not None and artifact.subject != expect:
        raise WrongSubject(
            f"the artifact is {artifact.subject.digest[:19]}…, not {expect.digest[:19]}… as expected: it was swapped, or the "
            f"pointer to it was edited ({uri})",
            hint="promote the copy that the gate admitted",
        )
    seen = collect(store, "evidence", artifact.subject, policy.evidence_keys, Evidence.parse)  # 2
    absent = "; ".join(seen.refused[:3])
    absences = dict.fromkeys(policy.require, f"what the store holds proves nothing: {absent}") if absent else {}
    verdict = decide(policy, artifact.subject, seen.vouched, now=now, run_id=run_id, absences=absences)  # 3
    if not verdict.admitted:
        raise Denied(verdict)
    sequence = place.next_sequence(channel, signer)
    where = place.keep(artifact)  # 4
    clearance = cleared(
        verdict, signer, role="promotion", resource_uri=where, run_id=run_id, channel=channel, sequence=sequence
    )
    bundle = signing.sign(clearance.statement(), INTOTO, signer)
    store.add("clearances", artifact.subject, bundle)
    place.move(channel, sequence, bundle)  # 5
    return Promotion(verdict=verdict, uri=where, clearance=clearance, refused=seen.refused)


def read_channel(
    destination: str, channel: str, trusted: Iterable[Trusted], *, now: datetime | None = None, least: int = 0
) -> Vouched[Clearance]:
    """What a channel points to, verified: a deployment's first step, before it loads anything.

    Args:
        trusted: whose promotions count.
        least: the highest sequence number that the deployment has seen; a lower one is an old pointer put back.

    Raises:
        StoreError: there is no such channel.
        EvidenceError: the pointer proves nothing, or no longer.
    """
    place = _Destination(destination)
    bundle = place.pointer(channel)
    if bundle is None:
        raise StoreError(f"nothing was ever promoted to {channel} in {destination}")
    vouched = _verified(bundle, channel, tuple(trusted))
    one = vouched.statement
    ensure_clearance(vouched, one.subject, now=now or datetime.now(timezone.utc))
    if one.sequence < least:
        raise EvidenceError(
            f"the pointer is number {one.sequence}, but number {least} was seen before: an old one was put back"
        )
    return vouched


def verify_promoted(clearance: Clearance, destination: str) -> Artifact:
    """Hash what a channel points to again; returns a private copy of exactly the promoted bytes.

    Raises:
        EvidenceError: the bytes at the destination are not the ones that were promoted.
    """
    where = _Destination(destination).address(clearance.subject)
    artifact = open_artifact(_only_file(where), kind=clearance.kind)
    if artifact.subject != clearance.subject:
        raise EvidenceError(f"{where} holds {artifact.subject.digest}: it was changed after the promotion")
    return artifact


def _verified(bundle: bytes, channel: str, trusted: tuple[Trusted, ...]) -> Vouched[Clearance]:
    verified = signing.verify(bundle, trusted, what=f"the pointer of channel {channel}")
    clearance = Clearance.parse(verified.payload)
    if clearance.channel != channel:
        raise Malformed(f"the pointer of channel {channel} was made for channel {clearance.channel or '(none)'}")
    digest = "sha256:" + hashlib.sha256(bundle).hexdigest()
    return Vouched(statement=clearance, signers=verified.signers, digest=digest, witnesses=verified.witnesses)


def _only_file(where: str) -> str:
    """A promoted single file lies in a folder of its own, marked by the suffix `.file`; hash it as the file that it is."""
    from fsspec.core import url_to_fs

    fs, path = url_to_fs(where + ".file")
    return where + ".file/" + str(fs.ls(path, detail=False)[0]).rsplit("/", 1)[-1] if fs.exists(path) else where


class _Destination:
    """A folder of promoted artifacts and channel pointers."""

    def __init__(self, uri: str) -> None:
        from fsspec.core import url_to_fs

        self.uri = uri.rstrip("/")
        try:
            self.fs, self.root = url_to_fs(self.uri)
        except (ImportError, ValueError) as error:
            raise UsageError(f"no driver for {uri}: {error}", hint="pip install its fsspec driver, e.g. s3fs") from error
        protocol = self.fs.protocol if isinstance(self.fs.protocol, tuple) else (self.fs.protocol,)
        self.local = "file" in protocol

    def address(self, subject: Subject) -> str:
        """Where the bytes of a subject belong."""
        return f"{self.uri}/sha256/{subject.hex}"

    def pointer(self, channel: str) -> bytes | None:
        """The bytes of a channel's pointer; None if there never was one."""
        path = f"{self.root}/channels/{channel}.sigstore.json"
        try:
            self.fs.invalidate_cache()
            return bytes(self.fs.cat_file(path)) if self.fs.exists(path) else None
        except Exception as error:  # fsspec drivers raise whatever their client library raises
            raise StoreError(f"cannot read {self.uri}: {type(error).__name__}: {error}") from error

    def next_sequence(self, channel: str, signer: Signer) -> int:
        """One more than the pointer's that stands there; a pointer of somebody else is not ours to move."""
        bundle = self.pointer(channel)
        if bundle is None:
            return 1
        own = signing.trust_in(signer, "this promoter")
        try:
            return _verified(bundle, channel, (own,)).statement.sequence + 1
        except EvidenceError as error:
            raise StoreConflict(
                f"the pointer of {channel} in {self.uri} is not one of ours: {error}",
                hint="promote with the key that made it, or remove it by hand after looking into it",
            ) from error

    def keep(self, artifact: Artifact) -> str:
        """Copy an artifact to its address unless the same bytes already stand there."""
        where = self.address(artifact.subject) + (".file" if artifact.is_file else "")
        path = f"{self.root}/sha256/{artifact.subject.hex}" + (".file" if artifact.is_file else "")
        try:
            if not self.fs.exists(path):
                self._keep_local(artifact, Path(path)) if self.local else self._keep_remote(artifact, path)
        except OSError as error:
            raise StoreError(f"cannot write to {self.uri}: {error.strerror or error}") from error
        self._ensure_same(artifact, where)
        return where

    def _keep_local(self, artifact: Artifact, target: Path) -> None:
        """Copy beside the target, then take its name in one step."""
        target.parent.mkdir(parents=True, exist_ok=True)
        work = target.parent / f".{uuid.uuid4().hex}.part"
        try:
            if artifact.is_file:
                work.mkdir()
                shutil.copyfile(artifact.root, work / artifact.root.name)
            else:
                shutil.copytree(artifact.root, work, copy_function=shutil.copyfile)
            for folder in (work, *(one for one in work.rglob("*") if one.is_dir())):
                folder.chmod(0o755)
            work.rename(target)
        except OSError:
            if not target.exists():  # else another promoter was faster; what stands there is verified next
                raise
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _keep_remote(self, artifact: Artifact, path: str) -> None:
        """Object stores have no rename: nothing points here until every object has been written and hashed again."""
        for entry in artifact.entries:
            if not entry.path.endswith("/"):
                self.fs.put_file(str(artifact.path(entry)), f"{path}/{entry.path}")

    def _ensure_same(self, artifact: Artifact, where: str) -> None:
        found = _entries(self.fs, f"{self.root}/sha256/{where.rsplit('/', 1)[-1]}", local=self.local)
        expected = artifact.entries if self.local else tuple(one for one in artifact.entries if not one.path.endswith("/"))
        if found != expected:
            raise StoreConflict(
                f"{where} holds other bytes than its name says; nothing was promoted",
                hint="somebody wrote into the destination: look into it, then remove that folder",
            )

    def move(self, channel: str, sequence: int, bundle: bytes) -> None:
        """Append to the channel's history, then swap the pointer."""
        try:
            digest = hashlib.sha256(bundle).hexdigest()
            write_new(self.fs, f"{self.root}/channels/{channel}/{sequence:08d}-{digest}.sigstore.json", bundle)
            replace(self.fs, f"{self.root}/channels/{channel}.sigstore.json", bundle)
        except Exception as error:
            raise StoreError(f"cannot move {channel} in {self.uri}: {type(error).__name__}: {error}") from error


def _entries(fs: Any, path: str, *, local: bool) -> tuple[Entry, ...]:
    """Hash what lies at a destination, as it lies there."""
    if local:
        return artifacts.scan(Path(path))
    found = []
    for name in fs.find(path):
        digest, size = hashlib.sha256(), 0
        with fs.open(name, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
                size += len(block)
        found.append(Entry(path=name[len(path) :].lstrip("/"), size=size, sha256=digest.hexdigest()))
    return tuple(sorted(found, key=lambda entry: entry.path.encode()))
