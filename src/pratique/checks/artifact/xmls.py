"""XML: models in PMML, and the graphs of OpenVINO. Parsed by expat with nothing fetched, nothing expanded, and bounds.

Entities are XML's way to files, to the network and to bombs ("billion laughs"), and they need a document type; whoever has
one is refused. What else can lead to code are extensions: PMML's `Extension` elements and elements of other namespaces, and
OpenVINO's layers that are in none of its own operator sets. Elements are held against the format's root.
"""

from __future__ import annotations

from xml.parsers import expat

from pratique.checking import Finding
from pratique.checks.artifact import texts
from pratique.checks.artifact.rules import finding
from pratique.checks.artifact.viewing import Sight, View, shown
from pratique.errors import Malformed

MAX_BYTES = 256 << 20
MAX_DEPTH = 256
MAX_ELEMENTS = 5_000_000
_BLOCK = 1 << 20
_ENOUGH = 25

_OPSETS = frozenset(f"opset{number}" for number in range(1, 17)) | {"experimental"}
_LIBRARY = frozenset({"library", "path", "file", "href", "src", "kernel", "plugin", "xml:base", "xlink:href"})
"""Attributes by which an element asks for another file. Neither format has one of them."""


def look(view: View, *, max_bytes: int) -> Sight:
    """One document."""
    sight = texts.look(view, max_bytes=min(max_bytes, MAX_BYTES))
    if sight.findings:
        return sight
    reader = _Reader(view.name)
    try:
        reader.read(view)
    except Malformed as error:
        return Sight(findings=(*reader.findings, finding("xml-malformed", view.name, f"not XML that is read here: {error}")))
    return Sight(findings=tuple(reader.findings))


class _Reader:
    """Follows the elements of one document."""

    def __init__(self, name: str) -> None:
        self.findings: list[Finding] = []
        self._name = name
        self._root = ""
        self._depth = self._count = 0

    def read(self, view: View) -> None:
        """Feed a parser that stops at whatever could lead out of the document."""
        parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._doctype
        parser.EntityDeclHandler = self._doctype
        parser.ProcessingInstructionHandler = self._instruction
        parser.ExternalEntityRefHandler = self._doctype
        try:
            for start in range(0, view.size, _BLOCK):
                parser.Parse(view.data[start : start + _BLOCK], start + _BLOCK >= view.size)
        except expat.ExpatError as error:
            raise Malformed(expat.errors.messages.get(error.code, "malformed")) from error
        except (ValueError, LookupError) as error:
            raise Malformed("an encoding that is not known") from error

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if (encoding or "utf-8").casefold() not in ("utf-8", "us-ascii", "ascii"):
            raise Malformed(f"the encoding {shown(str(encoding))}, by which another reader may see another document")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._count += 1
        if self._depth > MAX_DEPTH or self._count > MAX_ELEMENTS:
            raise Malformed(f"more than {MAX_DEPTH} levels, or more than {MAX_ELEMENTS:,} elements")
        local = tag.rpartition(":")[2]
        if self._depth == 1:
            self._root = local
            if local not in ("PMML", "net"):
                raise Malformed(f"the root is {shown(local)!r}, which is neither PMML nor OpenVINO's net")
        if asks := sorted(_LIBRARY & {key.casefold() for key in attributes}):
            self._refuse(f"<{shown(local)}> asks for another file, by its attribute {asks[0]}")
        if self._root == "PMML":
            self._pmml(tag, local, attributes)
        elif local == "layer" and attributes.get("version", "") not in _OPSETS:
            name, version = attributes.get("name", "?"), attributes.get("version", "?")
            self._refuse(f"the layer {shown(name)!r} is of {shown(version)!r}, which is no operator set of OpenVINO's own")

    def _pmml(self, tag: str, local: str, attributes: dict[str, str]) -> None:
        if local == "Extension" or ":" in tag:
            self._refuse(f"<{shown(tag)}> is an extension, whose meaning is up to the reader")
        function = attributes.get("function", "") if local == "Apply" else ""
        if "." in function or ":" in function:
            self._refuse(f"<Apply> calls {shown(function)!r}, which is a name in a programming language")

    def _end(self, _tag: str) -> None:
        self._depth -= 1

    def _doctype(self, *_: object) -> int:
        raise Malformed("a document type or an entity, by which XML reads files and expands without end")

    def _instruction(self, target: str, _data: str) -> None:
        self._refuse(f"<?{shown(target)}?> is an instruction to a program")

    def _refuse(self, message: str) -> None:
        if len(self.findings) < _ENOUGH:
            self.findings.append(finding("xml-extension", self._name, message))
