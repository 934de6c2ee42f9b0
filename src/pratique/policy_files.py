"""The policy file as it is written: its models, and strict YAML with line numbers. `policies` gives it a meaning."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from pratique.artifacts import Kind
from pratique.errors import PolicyError
from pratique.signing.entries import KINDS, Entry, RevokedFile, kind_of
from pratique.statements import Moment

MAX_BYTES = 1 << 20
_LONGEST = timedelta(days=36_525)
"""A century: added to any moment that we read, it stays within the calendar."""
_PLAIN = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a policy was written, for errors that name the line."""

    file: str
    node: yaml.Node | None = None
    """None for a policy that was made in memory."""

    def error(self, message: str, path: tuple[Any, ...], known: Iterable[str] | None = None, hint: str = "") -> PolicyError:
        """An error about what stands at a path of keys."""
        if known is not None and not hint:
            hint = f"known: {', '.join(sorted(known)) or 'none'}"
        return PolicyError(message, file=self.file, line=self.line(path), hint=hint)

    def line(self, path: tuple[Any, ...]) -> int:
        """The line of the deepest part of a path that exists; 0 if there is no file."""
        node = self.node
        line = node.start_mark.line + 1 if node else 0
        for part in path:
            if isinstance(node, yaml.MappingNode):
                pair = next(((key, value) for key, value in node.value if key.value == part), None)
                if pair is None:
                    break
                line, node = pair[0].start_mark.line + 1, pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
        return line


def read(data: bytes, file: str) -> tuple[PolicyFile, Source]:
    """Parse and validate the bytes of a policy file.

    Raises:
        PolicyError: with the line, and for an unknown key the nearest spelling.
    """
    node = _compose(data, file)
    source = Source(file=file, node=node)
    try:
        return PolicyFile.model_validate(_plain(node, file)), source
    except ValidationError as error:
        raise _located(error, source) from error


def _without_default(schema: dict[str, Any]) -> None:
    """JSON has no infinity, so a schema cannot name it as a default."""
    schema.pop("default", None)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class BoundFile(_Model):
    """An inclusive range; give `min`, `max` or both."""

    min: float = Field(default=float("-inf"), json_schema_extra=_without_default)
    """The smallest value that is fine; any if left out."""
    max: float = Field(default=float("inf"), json_schema_extra=_without_default)
    """The largest value that is fine; any if left out."""

    @model_validator(mode="after")
    def _says_something(self) -> BoundFile:
        if not self.min <= self.max or (self.min, self.max) == (float("-inf"), float("inf")):
            raise ValueError("give min, max or both, with min <= max")
        return self


def _lasting(span: timedelta) -> timedelta:
    if not timedelta(0) < span <= _LONGEST:
        raise ValueError(f"it must last longer than nothing, and at most {_LONGEST.days:,} days")
    return span


Duration = Annotated[timedelta, AfterValidator(_lasting)]
"""A span of time in ISO 8601, such as P1D."""


class RequirementFile(_Model):
    """What the evidence of one check must look like."""

    deny_at: Literal["note", "low", "medium", "high", "critical"] = "high"
    """The mildest finding that denies."""
    measures: dict[str, BoundFile] = {}
    """Bounds by measure; a measure that is missing from the evidence denies."""
    max_age: Duration | None = None
    """How old its evidence may be (ISO 8601, such as P1D); default: `evidence.max_age`."""
    signers: Annotated[list[str], Field(min_length=1)] | None = None
    """Names in `trust` that may sign its evidence; default: `evidence.signers`."""
    threshold: Annotated[int, Field(ge=1)] = 1
    """How many different signers must have signed evidence that suffices."""
    options: dict[str, Any] = {}
    """What the check is asked; `pratique policy schema` lists each check's options."""


class EvidenceFile(_Model):
    """Defaults for every requirement."""

    signers: Annotated[list[str], Field(min_length=1)] = ["gate"]
    """Names in `trust` that may sign evidence and clearances."""
    max_age: Duration = timedelta(days=1)
    """How old evidence may be."""


class ClearanceFile(_Model):
    """What an admission is worth."""

    expires: Duration = timedelta(days=7)
    """How long it lasts; it never outlives the evidence behind it."""


class WaiverFile(_Model):
    """A dated exception from one rule of one check, for one artifact."""

    check: str
    """A check that the policy requires."""
    rule: str
    """The rule of a finding, or the name of a measure that is out of bounds."""
    subject: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    """The digest of one artifact, never a pattern."""
    reason: Annotated[str, Field(min_length=1)]
    """Why this one may pass, for whoever reads the clearance."""
    owner: Annotated[str, Field(min_length=1)]
    """Who answers for it."""
    until: Moment
    """When it lapses, with a time zone; an expired waiver waives nothing, and no admission outlives it."""


class PolicyFile(_Model):
    """Everything that must hold before an artifact is admitted."""

    version: Literal[1]
    """The version of this format."""
    subject: Kind = "model"
    """What is judged."""
    trust: Annotated[dict[str, Entry], Field(min_length=1)]
    """Whose signature counts, by the name that the rest of the policy uses: keys, certificates, identities."""
    revoked: list[RevokedFile] = []
    """What is worth nothing any more, whoever signed it and whatever evidence there is."""
    evidence: EvidenceFile = EvidenceFile()
    """Defaults for every requirement."""
    require: Annotated[dict[str, RequirementFile], Field(min_length=1)]
    """What each check's evidence must look like. An empty policy would admit anything, so it is refused."""
    clearance: ClearanceFile = ClearanceFile()
    """What an admission is worth."""
    waivers: list[WaiverFile] = []
    """Dated exceptions, each for one artifact."""


def _compose(data: bytes, file: str) -> yaml.Node:
    if len(data) > MAX_BYTES:
        raise PolicyError(f"{len(data):,} bytes are no policy; at most {MAX_BYTES:,} are read", file=file)
    try:
        loader = yaml.SafeLoader(data.decode("utf-8"))
        node = loader.get_single_node()
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise PolicyError(
            f"it is not YAML: {getattr(error, 'problem', error)}", file=file, line=mark.line + 1 if mark else 0
        ) from error
    if not isinstance(node, yaml.MappingNode):
        raise PolicyError("a policy is a mapping with the keys version, trust and require", file=file, line=1)
    return node


def _plain(node: yaml.Node, file: str, seen: set[int] | None = None) -> Any:
    """The node as Python values. Keys are different strings; no node is used twice, so that an alias cannot hide a bomb."""
    seen = set() if seen is None else seen
    line = node.start_mark.line + 1
    if id(node) in seen:
        raise PolicyError("anchors and aliases are not read", file=file, line=line, hint="write it out")
    seen.add(id(node))
    if isinstance(node, yaml.CollectionNode) and node.tag not in _PLAIN:
        raise PolicyError(f"the tag {node.tag[:80]} is not read", file=file, line=line, hint="leave it out")
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, file, seen)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(inner, file, seen) for inner in node.value]
    try:
        return yaml.SafeLoader("").construct_object(node)
    except Exception as error:  # PyYAML: a KeyError for `!!bool maybe`, an AttributeError for `!!timestamp x` ...
        raise PolicyError(f"{str(node.value)[:80]!r} is not a plain value", file=file, line=line) from error


def _mapping(node: yaml.MappingNode, file: str, seen: set[int]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, inner in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
            raise PolicyError(f"the key {str(key.value)[:80]!r} is not a plain string", file=file, line=line)
        if key.value in value:
            raise PolicyError(f"the key {key.value!r} appears twice", file=file, line=line)
        value[key.value] = _plain(inner, file, seen)
    return value


def _located(error: ValidationError, source: Source) -> PolicyError:
    """Turn pydantic's first complaint into a sentence with a line and, for an unknown key, the nearest right one."""
    found = error.errors()
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])  # a typo explains what is missing
    path = first["loc"]
    if first["type"] == "extra_forbidden":
        known = _fields_at(path[:-1])
        near = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
        message = f"unknown key {path[-1]!r}" + (f"; did you mean {near[0]!r}?" if near else "")
        return source.error(message, _as_written(path), hint=f"known here: {', '.join(known)}")
    if first["type"] == "missing":
        at = _as_written(path[:-1])
        return source.error(f"the key {path[-1]!r} is missing", at, hint="see `pratique policy schema`")
    where = ".".join(str(part) for part in _as_written(path))
    return source.error(f"{where}: {first['msg']}", _as_written(path), hint="see `pratique policy schema`")


def _as_written(path: tuple[Any, ...]) -> tuple[Any, ...]:
    """Without the kind of an entry, which pydantic puts into the path of what stands in it."""
    return (*path[:2], *path[3:]) if path[:1] == ("trust",) and len(path) > 2 and path[2] in KINDS else path


def _fields_at(path: tuple[Any, ...]) -> list[str]:
    """The keys that a policy may have at a path; names chosen by the user (checks, signers) match any."""
    model: type[BaseModel] = PolicyFile
    skip = False
    for part in path:
        if skip:
            skip = False
            continue
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        inner = _models(annotation)
        if not inner:
            break
        kinds = {kind_of(one): one for one in inner}
        model = kinds.get(path[2], inner[0]) if len(inner) > 1 and len(path) > 2 else inner[0]
        skip = getattr(annotation, "__origin__", None) in (dict, list)
    return list(model.model_fields)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models(part)]
