"""A destination's channels: signed pointers to what is promoted, and the history of where each has pointed.

    channels/production.sigstore.json                       the pointer: one signed clearance, swapped in one step
    channels/production/00000003-<digest>.sigstore.json     every promotion's clearance, by its number

Whoever promotes takes a number by appending to the history, and then swaps the pointer. With two at once, or one that died in
between, in the order of the code:

1. On a local disk promoters take turns, by a lock that dies with its holder.
2. The number is one more than the highest that the pointer or the history holds: no number is given twice.
3. Whoever then finds an equal or a higher number of somebody else in the history was overtaken, and moves nothing.
4. Whoever finds one after he moved the pointer lets it point there: what is in the history was decided, signed and copied.

A pointer says which destination it was made for, so that the one of a test area is none of production: the folder's real
path, or its URI without passwords. Where readers see the destination under another name than promoters do (a volume that is
mounted elsewhere), both pass the same `known_as`.

Object stores have no locks that fsspec knows of, but they list at once what was written (S3, GCS and Azure do): of two with one
number at least one sees the other. Entries that the promoter's own key did not sign are nobody's number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pratique import documents, files, signing, store
from pratique.errors import Error, EvidenceError, Malformed, StoreConflict, StoreError, UsageError, WrongSubject
from pratique.signing import Trusted
from pratique.sources import redact
from pratique.statements import Clearance, Vouched
from pratique.store import SUFFIX, connect, get, is_local, names_in, replace, why, write_new

PATIENCE = 60.0
"""Seconds to wait for another promoter's turn: signing and three small files."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}\Z")
_ENTRY = re.compile(r"([0-9]{8,18})-[0-9a-f]{64}" + re.escape(SUFFIX) + r"\Z")


class Channel:
    """One channel of one destination."""

    def __init__(self, destination: str, name: str, known_as: str = "") -> None:
        """Open it; nothing is touched.

        Args:
            destination: an fsspec folder.
            name: of the channel.
            known_as: the name of the destination that pointers say; its real path or URI if left out.

        Raises:
            UsageError: that is no channel's name, or there is no driver for the destination.
        """
        if not _NAME.match(name) or name.endswith(SUFFIX):
            raise UsageError(f"{name!r} is not a channel's name", hint="lower-case letters, digits, '.', '_' and '-'")
        self.name = name
        self.shown = redact(destination)
        self._fs, root = connect(destination, "the destination")
        self.known_as = redact(known_as).rstrip("/") or store.known_as(self._fs, root, destination)
        self._pointer = f"{root}/channels/{name}{SUFFIX}"
        self._history = f"{root}/channels/{name}"

    def read(self, trusted: Iterable[Trusted]) -> Vouched[Clearance] | None:
        """The clearance that the channel points to, its signature verified; None if nothing was ever promoted.

        Raises:
            EvidenceError: the pointer proves nothing.
            StoreError: it cannot be read.
        """
        with self._driver("read"):
            self._fs.invalidate_cache()
            bundle = get(self._fs, self._pointer, -1) if self._fs.exists(self._pointer) else None
        return None if bundle is None else self._verified(bundle, tuple(trusted))

    def highest(self, trusted: Iterable[Trusted]) -> int:
        """The highest number in the history that somebody trusted signed; 0 if there is none.

        A pointer with a lower one is an old one that was put back, or a promoter died before he moved it.

        Raises:
            StoreError: it cannot be read.
        """
        return max((number for number, _ in self._claims(1, *trusted)), default=0)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Be the only promoter to this channel, on a local disk.

        Raises:
            StoreError: another one has been at it for a minute, or one may not write there.
        """
        with ExitStack() as held:
            if is_local(self._fs):
                lock = Path(self._history).with_name(f".{self.name}.lock")
                with self._driver("take the turn in"):
                    held.enter_context(files.turn(lock, seconds=PATIENCE))
            yield

    def next(self, own: Trusted) -> int:
        """The number of the next promotion.

        Raises:
            StoreConflict: the pointer is somebody else's, and not ours to move.
        """
        try:
            current = self.read((own,))
        except EvidenceError as error:
            raise StoreConflict(
                f"the pointer of {self.name} in {self.shown} is not one of ours: {error}",
                hint="promote with the key that made it, or remove it by hand after looking into it",
            ) from error
        highest = current.statement.sequence if current else 0
        return 1 + max([highest, *(number for number, _ in self._claims(highest + 1, own))])

    def move(self, number: int, bundle: bytes, own: Trusted) -> None:
        """Append to the history, then swap the pointer.

        Raises:
            StoreError: it could not be done, or another promoter was faster; the pointer stands where it stood.
        """
        with self._driver("move"):
            write_new(self._fs, f"{self._history}/{number:08d}-{_hex(bundle)}{SUFFIX}", bundle)
            if any(rival != bundle for _, rival in self._claims(number, own)):
                raise StoreError(
                    f"another promotion to {self.name} took number {number} at the same time; nothing was moved",
                    hint="promote again if this one should follow it",
                )
            replace(self._fs, self._pointer, bundle)
            for _, later in self._claims(number + 1, own)[:1]:
                replace(self._fs, self._pointer, later)

    def _claims(self, least: int, *trusted: Trusted) -> list[tuple[int, bytes]]:
        """Entries in the history by these from a number on, the highest first."""
        found = []
        with self._driver("read"):
            for path, size in names_in(self._fs, self._history):
                entry = _ENTRY.match(path.rsplit("/", 1)[-1])
                if entry is None or int(entry[1]) < least:
                    continue
                bundle = get(self._fs, path, size)
                try:
                    if self._verified(bundle, trusted).statement.sequence == int(entry[1]):
                        found.append((int(entry[1]), bundle))
                except EvidenceError:
                    continue  # not ours: whoever can write here cannot take a number
        return sorted(found, reverse=True)

    def _verified(self, bundle: bytes, trusted: tuple[Trusted, ...]) -> Vouched[Clearance]:
        """The clearance in a bundle, if it was made for this channel of this destination."""
        what = f"the pointer of channel {self.name}"
        verified = signing.verify(bundle, trusted, what=what)
        clearance = Clearance.parse(verified.payload)
        if clearance.channel != self.name:
            raise Malformed(f"{what} was made for channel {clearance.channel[:80] or '(none)'}")
        elsewhere, _, place = clearance.resource_uri.rpartition("/sha256/")
        if elsewhere != self.known_as or place not in (clearance.subject.hex, f"{clearance.subject.hex}.file"):
            raise WrongSubject(
                f"{what} was made for {redact(clearance.resource_uri)[:200]}, which is not in {self.known_as}",
                hint="a volume that is mounted elsewhere needs one name: pass it as known_as (--known-as), here and to promote",
            )
        return Vouched(statement=clearance, digest=documents.sha256(bundle), witnesses=verified.witnesses)

    @contextmanager
    def _driver(self, doing: str) -> Iterator[None]:
        """fsspec drivers raise whatever their client library raises."""
        try:
            yield
        except Error:
            raise
        except Exception as error:
            raise StoreError(f"cannot {doing} {self.name} in {self.shown}: {why(error)}") from error


def names(destination: str) -> tuple[str, ...]:
    """Every channel of a destination, by what lies there: a pointer that proves nothing is named, and a history without one.

    Raises:
        StoreError: the destination cannot be read.
    """
    fs, root = connect(destination, "the destination")
    folder = f"{root}/channels"
    try:
        found = [name[len(folder) :].lstrip("/") for name, _ in names_in(fs, folder)]
    except Exception as error:  # fsspec drivers raise whatever their client library raises
        raise StoreError(f"cannot read {redact(destination)}: {why(error)}") from error
    heads = {one.partition("/")[0].removesuffix(SUFFIX) for one in found if one.endswith(SUFFIX)}
    return tuple(sorted(one for one in heads if _NAME.match(one)))


def _hex(bundle: bytes) -> str:
    return documents.sha256(bundle).removeprefix("sha256:")
