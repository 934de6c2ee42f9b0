"""YAML: configurations of Hydra and NeMo, and MLflow's MLmodel. Parsed without making anything of it, and searched for code.

    flavors: {python_function: {loader_module: mlflow.sklearn, model_path: model.pkl}}      passes
    model: {_target_: os.system, command: "true"}                                           names what Hydra calls

YAML's own way to code are tags; every tag beyond the core schema is refused. An alias of a text is that text, one of a
container is never followed twice. What remains are keys that a library takes for the name of something to import: those of
`references`, those listed here, and any key that speaks of a class, a function or a module and has a dotted name for a value.
Like the keys of JSON, that is a deny-list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from pratique.checking import Finding
from pratique.checks.artifact import references, spelling, texts
from pratique.checks.artifact.granting import NOTHING, Grants
from pratique.checks.artifact.rules import RULES, finding
from pratique.checks.artifact.viewing import Sight, View, shown
from pratique.errors import Malformed

MAX_BYTES = 4 << 20
MAX_DEPTH = 64
MAX_NODES = 500_000

_CORE = frozenset({"!", *(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq"))})
"""Tags of YAML's core schema."""

_ALIAS = "(alias)"
"""Stands for a container that an alias names: what is in it has been looked at where it is written."""

_NAMES_CODE = frozenset({
    "_target_", "_component_", "_class_", "class_path", "loader_module", "python_model", "model_code_path", "model_code_paths",
    "code_path", "code_paths", "custom_objects", "entry_point", "entry_points", "__class__", "__module__", "object_hook",
})  # fmt: skip
"""Keys whose value is imported, whatever it looks like."""

_WORDS = re.compile(
    r"(?i)(^|_)(target|class|cls|module|loader|factory|func|fn|function|callable|constructor|import|handler|component|plugin|"
    r"hook|callback|resolver)s?_?$"
)
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+\Z", re.ASCII)
_FILE = re.compile(
    r"(?i)\.(txt|json|yaml|yml|csv|md|pkl|pt|bin|safetensors|model|vocab|onnx|npz|npy|h5|ckpt|parquet|joblib|gz)\Z"
)
_RESOLVER = re.compile(r"\$\{\s*([\w.]+)\s*:")
_FREE_RESOLVERS = frozenset({"oc.select", "oc.dict.keys", "oc.dict.values", "oc.deprecated"})

_FLAVORS = frozenset(f"mlflow.{name}" for name in (
    "catboost", "h2o", "keras", "lightgbm", "onnx", "paddle", "prophet", "pytorch", "sentence_transformers", "sklearn", "spacy",
    "statsmodels", "tensorflow", "transformers", "xgboost",
))  # fmt: skip
"""What MLmodel may name as a loader: MLflow's own for libraries. `mlflow.pyfunc.model` loads code that comes with the model."""


def look(view: View, *, max_bytes: int, grants: Grants = NOTHING) -> Sight:
    """One file of YAML."""
    sight = texts.look(view, max_bytes=min(max_bytes, MAX_BYTES))
    if sight.findings:
        return sight
    try:
        documents = _parsed(view.data[:].decode("utf-8"))
    except Malformed as error:
        return Sight(
            findings=(finding("yaml-malformed", view.name, f"YAML that cannot be read, or not in one way only: {error}"),)
        )
    found: dict[Finding, None] = {}
    for document in documents:
        found |= dict.fromkeys(one for one in references.find(document, view.name) if "_target_ names" not in one.message)
        found |= dict.fromkeys(_code(document, view.name, grants))
    return Sight(findings=tuple(found))


def _parsed(text: str) -> list[Any]:
    """The documents of a stream as dicts, lists and texts.

    1. Events, not nodes: nothing recurses, however deep a stranger nests.
    2. A tag is an order to make something; none is followed, so none may be there but those of texts, numbers and containers.
    3. An alias of a text is that text; one of a container is a word that stands for it; one of a container that is still
       open would be a cycle.
    """
    documents: list[Any] = []
    builder = _Builder()
    count = 0
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            count += 1
            if count > MAX_NODES:
                raise Malformed(f"more than {MAX_NODES:,} values")
            if isinstance(event, yaml.DocumentStartEvent):
                if event.tags:
                    raise Malformed("it declares tags of its own")
                builder = _Builder()
            elif isinstance(event, yaml.DocumentEndEvent):
                documents.append(builder.root)
            elif isinstance(event, yaml.NodeEvent):
                builder.add(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                builder.end()
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise Malformed(f"it is not YAML ({shown(str(getattr(error, 'problem', '') or 'malformed'))})") from error
    return documents


class _Builder:
    """One document."""

    def __init__(self) -> None:
        self.root: Any = None
        self._open: list[tuple[Any, str]] = []
        """Containers and their anchors."""
        self._keys: list[str | None] = []
        """The key that waits for its value, for each open container."""
        self._anchors: dict[str, Any] = {}

    def add(self, event: yaml.NodeEvent) -> None:
        """A text, an alias, or the beginning of a container."""
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise Malformed(f"an alias of {shown(str(event.anchor))!r}, which is nothing, or which it stands in")
            self._put(self._anchors[event.anchor])
            return
        tag = getattr(event, "tag", None)
        if tag is not None and tag not in _CORE:
            raise Malformed(f"the tag {shown(str(tag))}: tags make loaders build what they name")
        if isinstance(event, yaml.ScalarEvent):
            value: Any = _plain(event)
            if event.anchor:
                self._anchors[event.anchor] = value
            self._put(value)
            return
        container: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._put(container)
        self._open.append((container, event.anchor or ""))
        self._keys.append(None)
        self._anchors.pop(event.anchor or "", None)
        if len(self._open) > MAX_DEPTH:
            raise Malformed(f"more than {MAX_DEPTH} levels")

    def end(self) -> None:
        """The end of the innermost container."""
        _, anchor = self._open.pop()
        self._keys.pop()
        if anchor:
            self._anchors[anchor] = _ALIAS

    def _put(self, value: Any) -> None:
        if not self._open:
            self.root = value
            return
        container = self._open[-1][0]
        if isinstance(container, list):
            container.append(value)
            return
        key = self._keys[-1]
        if key is not None:
            container[key] = value
            self._keys[-1] = None
            return
        name = value if isinstance(value, str) else str(value)
        if isinstance(value, dict | list) or value == _ALIAS:
            raise Malformed("a key that is no text")
        if name == "<<":
            raise Malformed("a merge key, which is no part of YAML 1.2")
        if name in container:
            raise Malformed(f"the key {shown(name)!r} twice in one mapping")
        self._keys[-1] = name


def _plain(event: yaml.ScalarEvent) -> Any:
    """A text, or one of the few plain values that switch a key off."""
    if not event.style and event.tag is None:
        if event.value in ("", "~", "null", "Null", "NULL"):
            return None
        if event.value in ("false", "False", "FALSE"):
            return False
    return event.value


def _code(document: Any, where: str, grants: Grants) -> Iterator[Finding]:
    """Keys and values that name code, in no order."""
    waiting: list[tuple[str, Any]] = [("$", document)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, list):
            waiting += [(f"{path}[{number}]", inner) for number, inner in enumerate(value)]
        elif isinstance(value, dict):
            for key, inner in value.items():
                yield from _key(f"{path}.{shown(key)}", key, inner, where, grants)
                waiting.append((f"{path}.{shown(key)}", inner))
            if "python_function" in value:
                yield from _python_function(f"{path}.python_function", value["python_function"], where)
        elif isinstance(value, str):
            for name in _RESOLVER.findall(value):
                if name not in _FREE_RESOLVERS:
                    yield _reference(
                        where, f"{path} asks OmegaConf for {shown(name)}, which reads from outside of the file", ""
                    )


def _key(path: str, key: str, value: Any, where: str, grants: Grants) -> Iterator[Finding]:
    for text in value if isinstance(value, list) else [value]:
        if text in (None, False, "", [], {}):
            continue
        dotted = isinstance(text, str) and bool(_DOTTED.match(text)) and not _FILE.search(text)
        if not (key in _NAMES_CODE or (dotted and _WORDS.search(key))):
            continue
        if key == "loader_module" and isinstance(text, str) and text in _FLAVORS:
            continue
        name = str(text) if isinstance(text, str) else "something"
        module, _, last = name.rpartition(".")
        if dotted and "call" in grants.roles.get((module, last), ()):
            continue
        line = f'`pickle_globals: ["call {name}"]` allows it' if dotted and not spelling.is_pythons(module) else ""
        yield _reference(where, f"{path} names {shown(name)}, which a loader imports and calls", line)


def _python_function(path: str, flavor: Any, where: str) -> Iterator[Finding]:
    """MLflow's flavor for any loader: code beside the model goes into the path of modules."""
    if isinstance(flavor, dict) and flavor.get("code") not in (None, False, ""):
        yield _reference(where, f"{path}.code puts modules of the artifact where Python imports from", "")


def _reference(where: str, message: str, line: str) -> Finding:
    usual = RULES["remote-code-reference"].fix
    return finding("remote-code-reference", where, message, fix=f"{line}; or {usual}" if line else usual)
