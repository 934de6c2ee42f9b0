"""HDF5 as h5py and Keras write it: groups of old style, datasets within the file, attributes. Our own reader, of a subset.

HDF5 can lead out of the file: external links, virtual datasets, external storage, a driver that opens other files, and filters,
which are shared libraries. Each needs a kind of message, of layout, or of header that a plain file of arrays does not have. So
just what such a file has is read, and anything else is refused, known or unknown:

1. Superblock of version 0 at the first byte, no driver, an end of file that is the end of the file.
2. Objects with headers of version 1; groups as symbol tables, which hold hard links alone; each object once.
3. Datasets that are compact, contiguous or chunked in the file, with the filters that are part of the library.

Files for `libver="latest"`, soft links, committed types, compounds and references are honest sometimes, and refused too. Bytes
between the parts are not accounted for: the format leaves holes.

Format: HDF5 File Format Specification 3.0.
"""

from __future__ import annotations

from collections.abc import Iterator

from pratique.checks.artifact import hdf5_messages as messages
from pratique.checks.artifact.cursor import Cursor, text
from pratique.checks.artifact.hdf5_messages import UNDEFINED, Attribute, Layout, Type
from pratique.checks.artifact.viewing import Bytes
from pratique.errors import Malformed

MAGIC = b"\x89HDF\r\n\x1a\n"

_MAX_OBJECTS = 200_000
_MAX_NODES = 2_000_000
"""Nodes of trees, and chunks."""

_DEEPEST = 64
_MAX_ATTRIBUTE = 64 << 20
_MAX_TEXTS = 256 << 20
"""Bytes of a text in the global heap, and of all: many attributes may lead to one text."""

_FREE = 64 << 20
_MAX_RATIO = 200
"""A dataset may take 64 MiB in memory, or two hundred times what it takes in the file."""

CONFIGURATIONS = frozenset({"model_config", "training_config"})
"""Attributes of the root group which Keras parses: they must be texts."""

_NIL, _SPACE, _TYPE, _OLD_FILL, _FILL, _LAYOUT, _PIPELINE, _ATTRIBUTE = 0, 1, 3, 4, 5, 8, 11, 12
_COMMENT, _OLD_TIME, _CONTINUED, _SYMBOLS, _TIME = 13, 14, 16, 17, 18
_HARMLESS = frozenset({_NIL, _OLD_FILL, _FILL, _COMMENT, _OLD_TIME, _TIME})
_KNOWN = _HARMLESS | {_SPACE, _TYPE, _LAYOUT, _PIPELINE, _ATTRIBUTE, _CONTINUED, _SYMBOLS}
"""Messages. Absent are links (external ones among them), external files, shared tables, drivers, attributes in other places."""

_LEADING = {
    2: "a group of new style, whose links may lead to other files", 6: "a link that may lead to another file",
    7: "a dataset that lies in other files", 20: "a driver", 21: "attributes that lie elsewhere",
}  # fmt: skip
"""Messages that lead elsewhere, for people."""


def hides_in(data: Bytes) -> bool:
    """Whether a reader of HDF5 would find a file behind a block of the user's: of 512 bytes, 1,024, and so on."""
    return any(data[1 << power : (1 << power) + len(MAGIC)] == MAGIC for power in range(9, len(data).bit_length()))


class File:
    """A file that is being walked; `base` is where it begins, because it may be a member of an archive."""

    def __init__(self, data: Bytes, base: int = 0, end: int | None = None) -> None:
        self._data, self._base = data, base
        self._end = len(data) if end is None else end
        self._seen: set[int] = set()
        self._nodes = 0
        self._texts = self._memory = 0
        self._named: set[str] = set()
        self._heaps: dict[int, dict[int, tuple[int, int]]] = {}
        self.elements = 0
        """Numbers in all datasets."""

        self.datasets = 0
        self.attributes: dict[str, bytes] = {}
        """What Keras parses among the attributes of the root group, by name (`CONFIGURATIONS`)."""

        self.suspects: list[bytes] = []
        """Texts among the attributes of any object that end as pickles do: PyTables takes these for pickles."""

    def walk(self) -> None:
        """Walk all objects.

        Raises:
            Malformed: something is there that h5py does not write by default, or that leads out of the file.
        """
        root = self._superblock()
        ahead = [(root, 0)]
        while ahead:
            address, depth = ahead.pop()
            if address in self._seen or len(self._seen) > _MAX_OBJECTS or depth > _DEEPEST:
                raise Malformed("an object that is linked twice, too many objects, or too many levels")
            self._seen.add(address)
            ahead += [(child, depth + 1) for child in self._object(address, is_root=depth == 0)]

    def _at(self, address: int, size: int | None = None) -> Cursor:
        """A place in the file, and how far it may be read."""
        start = self._base + address
        end = self._end if size is None else start + size
        if not self._base <= start <= end <= self._end:
            raise Malformed(f"an address outside of the file: {address:,}")
        return Cursor(self._data, start, end)

    def _superblock(self) -> int:
        cursor = self._at(0)
        if cursor.take(8) != MAGIC or any(cursor.take(5)) or cursor.take(2) != b"\x08\x08":
            raise Malformed("a superblock of another version than 0, or addresses of other than 8 bytes")
        cursor.skip(1 + 4 + 4)
        base, free, end, driver = cursor.unpack("QQQQ")
        if base or free != UNDEFINED or driver != UNDEFINED:
            raise Malformed("a driver, or a file that does not begin at its first byte")
        if end != self._end - self._base:
            raise Malformed(f"it says that it ends at byte {end:,}, and it ends at {self._end - self._base:,}")
        return self._entry(cursor)[1]

    @staticmethod
    def _entry(cursor: Cursor) -> tuple[int, int]:
        """Where the name lies, and the object."""
        name, address, kind, _ = cursor.unpack("QQII")
        cursor.skip(16)
        if kind > 1:
            raise Malformed("a soft link")
        return name, address

    def _object(self, address: int, *, is_root: bool) -> Iterator[int]:
        """Read an object's header; the addresses of what is in it."""
        found: dict[int, Cursor] = {}
        for kind, body in self._messages(address):
            if kind == _ATTRIBUTE:
                self._attribute(messages.attribute(body), keep=is_root)
            elif kind not in _HARMLESS and found.setdefault(kind, body) is not body:
                raise Malformed("an object that says something twice")
        if _SYMBOLS in found:
            if found.keys() - {_SYMBOLS}:
                raise Malformed("an object that is a group and a dataset")
            yield from self._group(*found[_SYMBOLS].unpack("QQ"))
        elif {_SPACE, _TYPE, _LAYOUT} <= found.keys():
            if _PIPELINE in found:
                messages.ensure_filters(found[_PIPELINE])
            count, kind_ = messages.dataspace(found[_SPACE]), messages.datatype(found[_TYPE])
            self._dataset(count, kind_, messages.layout(found[_LAYOUT]))
        else:
            raise Malformed("an object that is neither a group of old style nor a dataset")

    def _messages(self, address: int) -> Iterator[tuple[int, Cursor]]:
        cursor = self._at(address)
        version, _, count, _, size = cursor.unpack("BBHII")
        if version != 1:
            raise Malformed("an object whose header is of another version than 1")
        cursor.skip(4)
        blocks = [self._at(cursor.at - self._base, size)]
        while blocks:
            block = blocks.pop(0)
            while block.end - block.at >= 8:
                kind, length, flags = block.unpack("HHB")
                block.skip(3)
                start = block.skip(length)
                count -= 1
                if kind not in _KNOWN or flags & 2:
                    what = _LEADING.get(kind, f"a message of the type {kind}, or one that lies elsewhere")
                    raise Malformed(f"{what}: not what h5py writes by default")
                if kind == _CONTINUED:
                    blocks.append(self._at(*Cursor(self._data, start, block.at).unpack("QQ")))
                    self._step()
                else:
                    yield kind, Cursor(self._data, start, block.at)
        if count:
            raise Malformed("an object with more or fewer messages than it says")

    def _group(self, tree: int, heap: int) -> Iterator[int]:
        """The objects in a group."""
        cursor = self._at(heap)
        if cursor.take(8) != b"HEAP\0\0\0\0":
            raise Malformed("a group without names")
        size, _, address = cursor.unpack("QQQ")
        names = self._at(address, size)
        seen: set[bytes] = set()
        for _, leaf in self._tree(tree, 0, 8):
            block = self._at(leaf)
            if block.take(6) != b"SNOD\1\0":
                raise Malformed("a group without entries")
            for _ in range(block.uint(2)):
                offset, child = self._entry(block)
                name = self._name(names, offset)
                if name in seen:
                    raise Malformed("two objects of one name")
                seen.add(name)
                yield child

    def _name(self, names: Cursor, offset: int) -> bytes:
        start = names.at + offset
        end = self._data.find(b"\0", start, names.end) if start < names.end else -1
        if end <= start:
            raise Malformed("an object without a name")
        raw = self._data[start:end]
        if not text(raw, "the name of an object").isprintable():
            raise Malformed("an object whose name is not printable")
        return raw

    def _tree(self, root: int, kind: int, key: int) -> Iterator[tuple[int, int]]:
        """The leaves' entries of a tree of version 1: where the key before a child lies, and the child.

        Level by level, so that the links from node to node are held against the links from above: readers follow either.
        """
        level, height = [root], -1
        while True:
            entries: list[tuple[int, int]] = []
            for number, address in enumerate(level):
                cursor = self._at(address)
                if cursor.take(4) != b"TREE" or cursor.uint(1) != kind:
                    raise Malformed("a tree that is none")
                stands, used, left, right = cursor.unpack("BHQQ")
                height = stands if height < 0 else height
                beside = (*(level[one] if 0 <= one < len(level) else UNDEFINED for one in (number - 1, number + 1)),)
                if stands != height or height > 16 or (left, right) != beside:
                    raise Malformed("a tree whose nodes do not agree about their places")
                for _ in range(used):
                    self._step()
                    entries.append((cursor.skip(key), cursor.uint(8)))
            if height == 0:
                yield from entries
                return
            level, height = [child for _, child in entries], height - 1

    def _dataset(self, count: int, kind: Type, layout: Layout) -> None:
        size = count * kind.size
        if messages.is_variable(kind):
            raise Malformed("a dataset of texts of varying length")
        stored = layout.size
        if layout.kind == "contiguous" and layout.address != UNDEFINED:
            self._at(layout.address, layout.size)
        elif layout.kind == "contiguous":
            stored = 0
        elif layout.kind == "chunked":
            stored = self._chunks(layout)
        if layout.kind != "chunked" and layout.size != size:
            raise Malformed(f"a dataset of {layout.size:,} bytes, whose shape asks for {size:,}")
        file = self._end - self._base
        self._memory += size
        if max(size, layout.chunk) > max(_FREE, _MAX_RATIO * min(stored, file)) or self._memory > max(_FREE, _MAX_RATIO * file):
            raise Malformed(f"a dataset that takes {size:,} bytes in memory and {stored:,} in the file: a decompression bomb")
        self.datasets += 1
        self.elements += count

    def _chunks(self, layout: Layout) -> int:
        """Bytes of all chunks in the file."""
        if layout.address == UNDEFINED:
            return 0
        stored = 0
        for key, address in self._tree(layout.address, 1, 8 + 8 * layout.rank):
            size = Cursor(self._data, key, self._end).uint(4)
            self._at(address, size)
            stored += size
        return stored

    def _attribute(self, found: Attribute, *, keep: bool) -> None:
        value: bytes | None = None
        if messages.is_variable(found.type):
            cursor = Cursor(found.value)
            values = [self._heaped(*cursor.unpack("IQI")) for _ in range(found.elements)]
            value = values[0] if len(values) == 1 else None
        elif messages.is_text(found.type) and found.elements == 1:
            value = found.value.rstrip(b"\0")
        if value is not None and value.endswith(b"."):
            self.suspects.append(value)
        if keep:
            if found.name in self._named:
                raise Malformed("two attributes of one name")
            self._named.add(found.name)
            if found.name in CONFIGURATIONS:
                if value is None:
                    raise Malformed(f"{found.name} is no text")
                self.attributes[found.name] = value

    def _heaped(self, length: int, address: int, index: int) -> bytes:
        """A text of varying length, in the global heap."""
        if not length and not index:
            return b""
        if address not in self._heaps:
            self._heaps[address] = self._heap(address)
        start, size = self._heaps[address].get(index, (0, 0))
        if not 0 < length <= min(size, _MAX_ATTRIBUTE):
            raise Malformed("a text that lies nowhere, or is longer than its place")
        self._texts += length
        if self._texts > _MAX_TEXTS:
            raise Malformed(f"attributes of more than {_MAX_TEXTS:,} bytes")
        return self._data[start : start + length].rstrip(b"\0")

    def _heap(self, address: int) -> dict[int, tuple[int, int]]:
        """Where the objects of a collection lie."""
        cursor = self._at(address)
        if cursor.take(8) != b"GCOL\1\0\0\0":
            raise Malformed("a text that lies nowhere")
        size = cursor.uint(8)
        heap = Cursor(self._data, cursor.at, self._at(address, size).end)
        found: dict[int, tuple[int, int]] = {}
        while heap.end - heap.at >= 16:
            self._step()
            number, _, _, size = heap.unpack("HHIQ")
            if number == 0:
                break
            if number in found:
                raise Malformed("two texts in one place")
            found[number] = (heap.skip(-(-size // 8) * 8), size)
        return found

    def _step(self) -> None:
        self._nodes += 1
        if self._nodes > _MAX_NODES:
            raise Malformed(f"more than {_MAX_NODES:,} nodes")
