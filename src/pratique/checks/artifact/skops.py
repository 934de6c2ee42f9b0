"""Files of skops: a tree of nodes in JSON, each with a class or a function by its name, and arrays beside it.

    schema.json  {"__loader__": "ObjectNode", "__module__": "sklearn.svm._classes", "__class__": "SVC", "content": {...}}
    1404.npy     what a node calls its "file"

skops imports what a node names, before it asks whom it trusts. So names are held against the same allow-lists as those in
pickles (`packs`), in the role in which the node uses them. Nodes that call methods, operators and partial functions are
refused; what stands among the values must be allowed as a value. Format: skops.io of version 0.16, protocols 0 to 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pratique import documents
from pratique.checking import Finding
from pratique.checks.artifact import arrays, packs, spelling, zips
from pratique.checks.artifact.granting import NOTHING, Grants
from pratique.checks.artifact.rules import RULES, finding
from pratique.checks.artifact.viewing import Sight, View, shown
from pratique.errors import Malformed

SCHEMA = "schema.json"

MAX_SCHEMA = 64 << 20
"""Bytes."""

_PLAIN = {
    "DictNode": {"builtins.dict", "collections.OrderedDict"},
    "ListNode": {"builtins.list"},
    "SetNode": {"builtins.set", "builtins.frozenset"},
    "TupleNode": {"builtins.tuple"},
    "DefaultDictNode": {"collections.defaultdict"},
    "SliceNode": {"builtins.slice"},
    "JsonNode": {"builtins.str"},
    "BytesNode": {"builtins.bytes"},
    "BytearrayNode": {"builtins.bytearray"},
    "MaskedArrayNode": {"numpy.ma.MaskedArray", "numpy.ma.core.MaskedArray"},
    "RandomStateNode": {"numpy.random.RandomState", "numpy.random.mtrand.RandomState"},
    "RandomGeneratorNode": {"numpy.random.Generator", "numpy.random._generator.Generator"},
}  # fmt: skip
"""Nodes that hold data, and the only types that they may make."""

_ARRAYS = frozenset({
    "ndarray", "bool", "bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32",
    "float64", "complex64", "complex128", "str_", "bytes_", "longdouble", "datetime64", "timedelta64",
})  # fmt: skip

_ROLES = {
    "ObjectNode": "new", "TypeNode": "ref", "FunctionNode": "ref", "TreeNode": "call", "LossNode": "call",
    "ConstructorFromReduceNode": "call",
}  # fmt: skip
"""What other nodes do with the name that they carry."""

_DEEDS = {"new": "makes an instance of", "ref": "puts among the values", "call": "calls"}
_SUFFIXES = (".npy", ".npz", ".bin")


def is_archive(members: list[zips.Member]) -> bool:
    """Whether an archive holds what skops reads first."""
    return any(member.name == SCHEMA for member in members)


def look_at_archive(view: View, members: list[zips.Member], grants: Grants = NOTHING) -> Sight:
    """Read the tree, then the arrays that it asks for. `pickle_globals` counts the names in the tree."""
    inside = {member.name: member for member in members}
    where = f"{view.name}, member {SCHEMA}"
    try:
        if inside[SCHEMA].size > MAX_SCHEMA:
            raise Malformed(f"a tree of more than {MAX_SCHEMA:,} bytes")
        text = b"".join(zips.blocks(view.data, inside[SCHEMA]))
        tree = documents.parse(text, what="the tree", max_bytes=MAX_SCHEMA, max_depth=1_000)
        if not (isinstance(tree, dict) and "__loader__" in tree and tree.get("protocol") in (0, 1, 2)):
            raise Malformed("no tree of a protocol that is known here")
        nodes = list(_nodes(tree))
        findings = [one for node in nodes for one in _refusals(node, where, grants)]
        asked = {str(node["file"]) for node in nodes if "file" in node}
        if asked ^ (inside.keys() - {SCHEMA}):
            raise Malformed(f"its tree and its members do not agree: {shown(min(asked ^ (inside.keys() - {SCHEMA})))}")
        for name in sorted(asked):
            findings += _file(view, inside[name])
    except Malformed as error:
        return Sight(findings=(finding("skops-malformed", view.name, f"not as skops writes models: {error}"),))
    return Sight(findings=tuple(dict.fromkeys(findings)), counts={"pickle_globals": len(nodes)})


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Everything that could be taken for a node, wherever it stands."""
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "__loader__" in value:
                yield value
            elif "__class__" in value or "__module__" in value:
                raise Malformed("a name without a loader")
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _refusals(node: dict[str, Any], where: str, grants: Grants) -> Iterator[Finding]:
    """What is wrong with the name that a node carries."""
    loader, module, name = (node.get(key) for key in ("__loader__", "__module__", "__class__"))
    if loader == "CachedNode":
        return
    if not (isinstance(loader, str) and isinstance(module, str) and isinstance(name, str)):
        raise Malformed("a node without a name")
    full = f"{module}.{name}"
    if loader in _PLAIN:
        if full not in _PLAIN[loader]:
            yield _unsafe(where, f"a {loader} makes an instance of {spelling.plain(module, name)}, which is no such data")
    elif loader in ("NdArrayNode", "DTypeNode"):
        if module != "numpy" or name not in (_ARRAYS if loader == "NdArrayNode" else {"dtype"}):
            yield _unsafe(where, f"a {loader} calls {spelling.plain(module, name)}, which is no type of NumPy's")
    elif loader == "SparseMatrixNode":
        if not module.startswith("scipy.sparse"):
            yield _unsafe(where, f"a {loader} names {spelling.plain(module, name)}")
    elif loader not in _ROLES:
        yield _unsafe(where, f"a {shown(loader)} uses {spelling.plain(module, name)}, and no policy can allow that")
    else:
        yield from _named(where, loader, module, name, grants)


def _named(where: str, loader: str, module: str, name: str, grants: Grants) -> Iterator[Finding]:
    role = _ROLES[loader]
    granted = grants.roles.get((module, name), frozenset())
    plain = loader == "TypeNode" and module == "builtins" and name in ("str", "int", "float", "bool", "NoneType")
    if plain or role in granted:
        return
    offer = packs.offering(module, name, {role})
    line = f"`pickle_packs: [{offer.name}]` would allow it (risk: {offer.risk})" if offer else ""
    if not line and spelling.is_proper(module, name) and not spelling.is_pythons(module):
        line = f'`pickle_globals: ["{role} {module}.{name}"]` would allow it'
    what = f"a {loader} {_DEEDS[role]} {spelling.plain(module, name)} (role {role})"
    yield finding(
        "skops-global", where, f"loading this imports what no allow-list names: {what}", fix=line or RULES["skops-global"].fix
    )


def _file(view: View, member: zips.Member) -> list[Finding]:
    """An array, a sparse matrix, or bytes."""
    where = f"{view.name}, member {shown(member.name)}"
    if not member.name.endswith(_SUFFIXES) or "/" in member.name:
        raise Malformed(f"a member that is no array: {shown(member.name)}")
    with zips.extracted(view.data, member, where) as inner:
        if member.name.endswith(".npy"):
            return list(arrays.look(inner).findings)
        if member.name.endswith(".npz"):
            return list(arrays.look_at_archive(inner, zips.members(inner.data)).findings)
    return []


def _unsafe(where: str, message: str) -> Finding:
    return finding("skops-unsafe", where, message)
