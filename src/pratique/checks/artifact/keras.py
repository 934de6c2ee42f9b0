"""Keras models: a zip archive of configuration and weights (.keras), or one HDF5 file (.h5). HDF5 files of others, too.

The configuration says which classes to make. Keras finds them by module and name, and in many versions
`{"module": "os", "class_name": "system"}` has run (CVE-2025-1550, CVE-2025-8747, CVE-2025-9905, CVE-2024-3660); layers with a
vocabulary read it from any path (CVE-2025-12058). Here every class and function in it must be one of `keras_names`, and every
vocabulary must be in it or in the archive.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from pratique import documents
from pratique.checking import Finding
from pratique.checks.artifact import hdf5, keras_names, pickles, texts, zips
from pratique.checks.artifact.rules import finding
from pratique.checks.artifact.viewing import Bytes, Sight, View, shown
from pratique.errors import Malformed

_MAX_CONFIG = 64 << 20
_MAX_METADATA = 64 << 10
_ENOUGH = 100

_WEIGHTS = "model.weights.h5"
_CONFIG, _METADATA, _ASSETS = "config.json", "metadata.json", "assets/"

_LITERALS = frozenset({"__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__", "__keras_tensor__", "__tuple__"})
"""Values that JSON has no word for. Absent are `__lambda__`, which is code, and `__typespec__`, which imports."""

_PATHS = frozenset({"vocabulary", "vocab", "vocabulary_file", "filepath", "origin"})
"""Keys under which a text is a path that Keras opens."""


def look_at_hdf5(view: View) -> Sight:
    """One HDF5 file, with the configuration of a model in it or without."""
    findings, counts = _hdf5(view.name, view.data, 0, view.size)
    return Sight(findings=tuple(findings), counts=counts)


def look_at_archive(view: View, members: list[zips.Member]) -> Sight:
    """A .keras archive."""
    findings: list[Finding] = []
    counts: dict[str, int] = {}
    for member in members:
        where = f"{view.name}, member {shown(member.name)}"
        try:
            if member.name == _CONFIG:
                document = documents.parse(_read(view.data, member, _MAX_CONFIG), what="it", max_bytes=_MAX_CONFIG)
                findings += islice(objections(document, where), _ENOUGH)
            elif member.name == _METADATA:
                documents.parse(_read(view.data, member, _MAX_METADATA), what="it", max_bytes=_MAX_METADATA)
            elif member.name.startswith(_ASSETS) and member.name.endswith(".txt"):
                _ensure_text(view, member)
            elif member.name == _WEIGHTS:
                with zips.opened(view.data, member) as (data, start, end):
                    found, counts = _hdf5(where, data, start, end)
                findings += found
            else:
                raise Malformed("it is no part of a Keras archive that is known here")
        except Malformed as error:
            findings.append(finding("keras-malformed", where, f"not as Keras writes it: {error}"))
    return Sight(findings=tuple(findings), counts=counts)


def is_archive(members: list[zips.Member]) -> bool:
    """Whether an archive holds what Keras reads first."""
    return {_CONFIG, _METADATA} <= {member.name for member in members}


def objections(document: Any, where: str) -> Iterator[Finding]:
    """Everything in a configuration that is not one of Keras' own classes that are but data."""
    ahead = [document]
    while ahead:
        value = ahead.pop()
        if isinstance(value, list):
            ahead += reversed(value)
        elif isinstance(value, dict):
            if "class_name" in value:
                yield from _named(value, where)
            for key in _PATHS & value.keys():
                if isinstance(value[key], str):
                    message = f"{key} is a path, {shown(value[key])!r}, that Keras would read (CVE-2025-12058)"
                    yield finding("keras-object", where, message)
            ahead += reversed(value.values())


def _named(value: dict[str, Any], where: str) -> Iterator[Finding]:
    """An object that names a class or a function."""
    module, name, registered, given = (value.get(key) for key in ("module", "class_name", "registered_name", "config"))
    told = f"{module}.{name}" if module else str(name)
    if not isinstance(name, str) or not (module is None or isinstance(module, str)):
        yield finding("keras-object", where, "a class whose module or name is no text")
    elif name == "function":
        if not isinstance(given, str) or not keras_names.is_function(module or "", given):
            yield finding(
                "keras-object", where, f"it names the function {shown(f'{module}.{given}')}, which is not one of Keras' own"
            )
    elif name in _LITERALS:
        pass
    elif not keras_names.is_class(module or "", name):
        yield finding(
            "keras-object", where, f"it names {shown(told)}, which is not one of Keras' own classes that are but data"
        )
    if registered is not None and registered not in (name, given):
        yield finding(
            "keras-object", where, f"it asks for {shown(str(registered))}, which somebody has to register: custom code"
        )


def _hdf5(where: str, data: Bytes, start: int, end: int) -> tuple[list[Finding], dict[str, int]]:
    file = hdf5.File(data, start, end)
    try:
        file.walk()
        found: list[Finding] = []
        for name in sorted(hdf5.CONFIGURATIONS & file.attributes.keys()):
            document = documents.parse(file.attributes[name], what=name, max_bytes=_MAX_CONFIG)
            found += islice(objections(document, f"{where}, {name}"), _ENOUGH)
    except Malformed as error:
        return [finding("hdf5-malformed", where, f"not an HDF5 file of plain arrays: {error}")], {}
    if any(map(pickles.hides_in, file.suspects)):
        found.append(finding("hdf5-pickle", where, "an attribute is a pickle, which PyTables (and pandas) would load"))
    return found, {"tensors": file.datasets, "parameters": file.elements}


def _read(data: Bytes, member: zips.Member, most: int) -> bytes:
    if member.size > most:
        raise Malformed(f"it is {member.size:,} bytes long; {most:,} are read")
    return b"".join(zips.blocks(data, member))


def _ensure_text(view: View, member: zips.Member) -> None:
    """A vocabulary."""
    sight = texts.look(
        View(name=member.name, path=view.path, data=_read(view.data, member, _MAX_CONFIG)), max_bytes=_MAX_CONFIG
    )
    if sight.findings:
        raise Malformed(sight.findings[0].message)
