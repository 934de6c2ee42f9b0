"""From bytes in a store to statements that somebody trusted has signed. The only way from one to the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from pratique import documents, signing
from pratique.artifacts import Subject
from pratique.errors import EvidenceError, Malformed, WrongSubject
from pratique.signing import Trusted
from pratique.statements import Vouched
from pratique.store import SUFFIX, Shelf, Store


class _About(Protocol):
    @property
    def subject(self) -> Subject: ...


S = TypeVar("S", bound=_About)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected(Generic[S]):
    """What a store holds about a subject."""

    vouched: tuple[Vouched[S], ...]
    """What proves something."""

    refused: tuple[str, ...] = field(default=())
    """Why each of the others proves nothing, for people."""


def collect(
    store: Store, shelf: Shelf, subject: Subject, trusted: Iterable[Trusted], parse: Callable[[bytes], S]
) -> Collected[S]:
    """Read, verify and parse everything that a store holds about a subject.

    One bad bundle spoils nothing but itself: it is reported and left out, which can only ever deny. Copies of one are one.

    Raises:
        StoreError: the store itself could not be read.
    """
    keys = tuple(trusted)
    vouched: dict[str, Vouched[S]] = {}
    refused: list[str] = []
    for path, bundle in store.read(shelf, subject):
        try:
            one = _one(path, bundle, subject, keys, parse)
        except EvidenceError as error:
            refused.append(documents.line(f"{error} ({path})"))
        else:
            vouched.setdefault(one.digest, one)
    return Collected(vouched=tuple(vouched.values()), refused=tuple(refused))


def collect_all(
    store: Store, shelf: Shelf, trusted: Iterable[Trusted], parse: Callable[[bytes], S], each: Callable[[], None] = lambda: None
) -> Collected[S]:
    """The same for everything on a shelf, in one listing.

    Args:
        store, shelf, trusted, parse: as of `collect`.
        each: called after each bundle, for a progress bar.

    Raises:
        StoreError: the store itself could not be read.
    """
    keys = tuple(trusted)
    vouched: dict[str, Vouched[S]] = {}
    refused: list[str] = []
    for subject, path, bundle in store.everything(shelf):
        try:
            one = _one(path, bundle, subject, keys, parse)
        except EvidenceError as error:
            refused.append(documents.line(f"{error} ({path})"))
        else:
            vouched.setdefault(one.digest, one)
        each()
    return Collected(vouched=tuple(vouched.values()), refused=tuple(refused))


def _one(path: str, bundle: bytes, subject: Subject, keys: Sequence[Trusted], parse: Callable[[bytes], S]) -> Vouched[S]:
    digest = documents.sha256(bundle)
    if path.rsplit("/", 1)[-1] != digest.removeprefix("sha256:") + SUFFIX:
        raise Malformed("its bytes are not the ones that its name promises")
    verified = signing.verify(bundle, keys, what="the statement")
    statement = parse(verified.payload)
    if statement.subject != subject:
        raise WrongSubject(f"it is about {statement.subject.digest}, replayed for another artifact")
    return Vouched(statement=statement, digest=digest, witnesses=verified.witnesses)
