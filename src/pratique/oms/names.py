"""The names in a manifest. There is one way to read them, and one tree that they make."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

from pratique.artifacts import Limits
from pratique.errors import Malformed
from pratique.oms.allowing import Allow

LIMITS = Limits()
"""What no artifact may hold has no place in a manifest."""

SINGLE = "."
"""What early versions of the reference implementation call a model that is one file (OMS v1.0, section 11)."""

_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")
"""As in an artifact: terminals act on such characters."""

_SHARD = re.compile(r"(.*):(0|[1-9][0-9]{0,15}):([1-9][0-9]{0,15})\Z", re.DOTALL)
"""Section 6.3.2: the last two numbers are the range, whatever colons come before."""


def ensure_paths(paths: Sequence[str], what: str, allow: AbstractSet[Allow] = frozenset()) -> None:
    """Refuse paths that are not normal, there twice, or more than one tree.

    Raises:
        Malformed: naming the first that is wrong.
    """
    if list(paths) == [SINGLE]:
        return
    for path in paths:
        ensure_path(path, what, allow)
    if len(set(paths)) != len(paths):
        raise Malformed(f"{what} names {Counter(paths).most_common(1)[0][0][:100]!r} twice", rule="name-twice")
    folders = {folder for path in paths for folder in folders_of(path)}
    if both := folders.intersection(paths):
        raise Malformed(f"{what} holds {min(both)[:100]!r} both as a file and as a folder", rule="name-twice")
    if Allow.TWIN_NAMES not in allow and (twins := twins_in((*paths, *sorted(folders)))):
        one, other = twins
        raise Malformed(f"{what} names {one[:100]!r} and {other[:100]!r}, one name on some file systems", rule="name-twins")


def ensure_path(path: str, what: str, allow: AbstractSet[Allow] = frozenset()) -> None:
    """Refuse what is no normal relative path (section 6.1.2).

    Raises:
        Malformed: saying so.
    """
    parts = path.split("/")
    if path.startswith("/") or ".." in parts:
        raise Malformed(f"{what} holds {path[:100]!r}, which leaves the folder", rule="name-escapes")
    usual = Allow.UNUSUAL_NAMES in allow or (
        len(path.encode("utf-8", "surrogatepass")) <= LIMITS.path_length
        and len(parts) - 1 <= LIMITS.depth
        and not _UNSAFE.search(path)
    )
    if not usual or "\0" in path or not is_text(path) or "" in parts or "." in parts:
        raise Malformed(f"{what} holds {path[:100]!r}, which is no normal relative path", rule="name-unusual")


def ensure_sorted(names: Sequence[str], what: str, *, shards: bool) -> None:
    """Refuse another order than one of the two in use.

    Raises:
        Malformed: saying so.
    """
    # The specification sorts by code points; model-signing 1.1.1 sorts folder by folder, and shards by their numbers.
    theirs = _shard_by_folder if shards else _by_folder
    if list(names) != sorted(names) and list(names) != sorted(names, key=theirs):
        raise Malformed(f"{what} is not sorted by name", rule="not-sorted")


def split_shard(name: str, what: str) -> tuple[str, int, int]:
    """The path, the first byte, and the byte after the last.

    Raises:
        Malformed: the name has no such form.
    """
    found = _SHARD.match(name)
    if found is None or int(found[2]) >= int(found[3]):
        raise Malformed(f"{what} holds {name[:100]!r}, which names no range of bytes", rule="shards-wrong")
    return found[1], int(found[2]), int(found[3])


def shard(path: str, start: int, end: int) -> str:
    """The name of a range of bytes."""
    return f"{path}:{start}:{end}"


def twins_in(paths: Iterable[str]) -> tuple[str, str] | None:
    """Two different names that are one on a file system that folds case or composes characters."""
    spelled: dict[str, str] = {}
    for path in paths:
        other = spelled.setdefault(unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold()), path)
        if other != path:
            return other, path
    return None


def folders_of(path: str) -> Iterator[str]:
    """Every folder above a path."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def below(path: str, heads: Iterable[str]) -> bool:
    """Whether a path is one of these, or lies in one of them."""
    return any(path == head or path.startswith(head + "/") for head in heads)


def is_text(name: str) -> bool:
    """Whether a name can be written in UTF-8 at all."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _by_folder(name: str) -> tuple[list[str], int]:
    return name.split("/"), 0


def _shard_by_folder(name: str) -> tuple[list[str], int]:
    path, start, _ = split_shard(name, "the manifest")
    return path.split("/"), start
