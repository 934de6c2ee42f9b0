"""An entry of a transparency log (Rekor): that it is in the log, and when it came there.

In the order of the code:

1. The log is one of the trusted root's, by its key's id; its key counted at the time.
2. The inclusion proof leads from the entry's bytes to a root hash (RFC 9162, 2.1.3.2).
3. The checkpoint names that root hash and that size, and the log signed it (C2SP signed note and tlog-checkpoint). Signatures
   by others, such as witnesses, are passed over.
4. If the entry carries a time, the log signed that, too (the signed entry timestamp of Rekor v1).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pratique import documents
from pratique.errors import Malformed, NotLogged
from pratique.signing.roots import Log

_TIMED = frozenset({("hashedrekord", "0.0.1"), ("dsse", "0.0.1"), ("intoto", "0.0.2")})
"""Kinds of entries that Rekor v1 makes, with a time of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry as a bundle carries it; believed by nobody yet."""

    index: int
    log_id: bytes
    kind: str
    version: str
    at: datetime | None
    """When the log says that it came there; None for Rekor v2, which does not say."""

    promise: bytes
    """The log's signature over that; b'' without."""

    body: bytes
    """What is in the log."""

    position: int
    size: int
    root: bytes
    hashes: tuple[bytes, ...] = field(repr=False)
    checkpoint: str = field(repr=False)
    what: str

    @classmethod
    def parse(cls, written: Mapping[str, Any], what: str) -> Entry:
        """Decode an entry.

        Raises:
            Malformed: it is not in order, or lacks its inclusion proof.
        """
        try:
            one = _Entry.model_validate(written)
            proof = one.proof
            return cls(
                index=one.index, log_id=_decode(one.id.key), kind=one.kind.kind, version=one.kind.version,
                at=datetime.fromtimestamp(one.at, timezone.utc) if one.at else None,
                promise=_decode(one.promise.signature) if one.promise else b"", body=_decode(one.body),
                position=proof.index, size=proof.size, root=_decode(proof.root), hashes=tuple(map(_decode, proof.hashes)),
                checkpoint=proof.checkpoint.envelope, what=what,
            )  # fmt: skip
        except ValidationError as error:
            first = error.errors()[0]
            at = documents.plain(".".join(str(part) for part in first["loc"]))
            raise Malformed(f"{what} carries a log entry that is not in order: {at}: {first['msg']}") from error
        except (ValueError, OverflowError, OSError) as error:
            raise Malformed(f"{what} carries a log entry that is not in order: {documents.plain(str(error))}") from error

    def log(self, logs: Iterable[Log], times: Sequence[datetime]) -> Log:
        """Step 1.

        Raises:
            NotLogged: a log that nobody trusts, or one whose key did not count then.
        """
        known = [one for one in logs if one.id == self.log_id]
        if not known:
            raise NotLogged(f"{self.what} is in the log {self.log_id.hex()[:16]}…, which is not trusted", rule="log-unknown")
        for one in known:
            if all(one.span.holds(at) for at in times):
                return one
        raise NotLogged(
            f"{self.what} is in the log {known[0].url}, whose key counts {known[0].span}; it was signed on "
            f"{min(times):%Y-%m-%d %H:%M:%S} UTC",
            rule="log-key-expired",
        )

    def ensure_included(self, log: Log) -> None:
        """Steps 2 and 3.

        Raises:
            NotLogged: it is not in the log.
        """
        if _root_of(self) != self.root:
            raise NotLogged(f"the inclusion proof of {self.what} does not hold", rule="inclusion-proof-invalid")
        size, root, note, signatures = _open_checkpoint(self.checkpoint, self.what)
        if (size, root) != (self.size, self.root):
            raise NotLogged(f"the checkpoint of {self.what} is about another state of the log", rule="checkpoint-invalid")
        mine = [signature for hint, signature in signatures if hint == self.log_id[:4]]
        if not any(log.signed(signature, note) for signature in mine):
            raise NotLogged(f"the checkpoint of {self.what} is not signed by {log.url}", rule="checkpoint-invalid")

    def ensure_promised(self, log: Log) -> None:
        """Step 4.

        Raises:
            NotLogged: the time is not the log's.
        """
        if self.at is None or not self.promise:
            return
        said = {
            "body": base64.b64encode(self.body).decode(),
            "integratedTime": int(self.at.timestamp()),
            "logID": self.log_id.hex(),
            "logIndex": self.index,
        }
        if not log.signed(self.promise, documents.canonical(said)):
            raise NotLogged(f"the time in the log entry of {self.what} is not the log's", rule="log-time-invalid")

    @property
    def time(self) -> datetime | None:
        """When the log says that it came there, if it promises that with a signature (`ensure_promised`)."""
        return self.at if self.promise and (self.kind, self.version) in _TIMED else None


def _root_of(entry: Entry) -> bytes:
    """RFC 9162, 2.1.3.2, with its names; b'' if the proof has the wrong length."""
    if not 0 <= entry.position < entry.size:
        return b""
    fn, sn = entry.position, entry.size - 1
    r = hashlib.sha256(b"\x00" + entry.body).digest()
    for p in entry.hashes:
        if sn == 0:
            return b""
        if fn & 1 or fn == sn:
            r = hashlib.sha256(b"\x01" + p + r).digest()
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = hashlib.sha256(b"\x01" + r + p).digest()
        fn, sn = fn >> 1, sn >> 1
    return r if sn == 0 else b""


def _open_checkpoint(text: str, what: str) -> tuple[int, bytes, bytes, list[tuple[bytes, bytes]]]:
    """Size, root hash, the bytes that are signed, and who signed with what (https://c2sp.org/tlog-checkpoint, signed-note)."""
    note, blank, below = text.partition("\n\n")
    lines = note.split("\n")
    try:
        if not blank or len(lines) < 3 or not lines[0] or not lines[1].isascii() or not lines[1].isdigit():
            raise ValueError("it is not a signed note")
        signatures = []
        for line in below.splitlines():
            dash, name, blob = line.split(" ")
            raw = _decode(blob)
            if dash != "\u2014" or not name or len(raw) < 5:
                raise ValueError("a signature is not in order")
            signatures.append((raw[:4], raw[4:]))
        return int(lines[1]), _decode(lines[2]), f"{note}\n".encode(), signatures
    except ValueError as error:
        raise NotLogged(
            f"the checkpoint of {what} is not in order: {documents.plain(str(error))}", rule="checkpoint-invalid"
        ) from error


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error


_Whole = Annotated[int, Field(ge=0, lt=1 << 63)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class _Id(_Model):
    key: Annotated[str, Field(alias="keyId", min_length=8)]


class _Kind(_Model):
    kind: str
    version: str


class _Promise(_Model):
    signature: Annotated[str, Field(alias="signedEntryTimestamp")]


class _Checkpoint(_Model):
    envelope: Annotated[str, Field(max_length=1 << 16)]


class _Proof(_Model):
    index: Annotated[_Whole, Field(alias="logIndex")] = 0
    root: Annotated[str, Field(alias="rootHash")]
    size: Annotated[_Whole, Field(alias="treeSize")]
    hashes: Annotated[list[str], Field(max_length=64)] = []
    checkpoint: _Checkpoint


class _Entry(_Model):
    index: Annotated[_Whole, Field(alias="logIndex")] = 0
    id: Annotated[_Id, Field(alias="logId")]
    kind: Annotated[_Kind, Field(alias="kindVersion")]
    at: Annotated[_Whole | None, Field(alias="integratedTime")] = None
    promise: Annotated[_Promise | None, Field(alias="inclusionPromise")] = None
    proof: Annotated[_Proof, Field(alias="inclusionProof")]
    body: Annotated[str, Field(alias="canonicalizedBody")]
