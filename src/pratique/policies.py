"""What must hold before an artifact is admitted: one YAML file, read strictly.

    version: 1
    subject: model
    trust:
      gate:     {key: keys/gate.pub}
      supplier: {key: keys/supplier.pub}
    evidence: {signers: [gate], max_age: P1D}
    require:
      provenance: {options: {signers: [supplier]}}
      artifact:   {deny_at: medium, measures: {files: {max: 20}}}
    clearance: {expires: P7D}

Relative paths are relative to the file. Everything that the policy names is read when it is loaded, so that its digest binds
the keys, profiles and suites by content, and a mistake shows at once, with its line and the nearest right spelling.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from pratique import checking, documents, settings, signing
from pratique.artifacts import Kind
from pratique.checking import Check, Options, Setting, Severity
from pratique.errors import PolicyError, UsageError
from pratique.signing import TrustedKey
from pratique.statements import stamp

_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """An inclusive range in which a measure must lie."""

    min: float
    max: float

    def __str__(self) -> str:
        if self.min == float("-inf"):
            return f"at most {self.max:g}"
        return f"at least {self.min:g}" if self.max == float("inf") else f"from {self.min:g} to {self.max:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What the evidence of one check must look like."""

    options: Mapping[str, Any]
    """What the check is asked, as written; `Policy.question` resolves it."""

    options_digest: str
    """Names the question, with the content of every file in it."""

    deny_at: Severity
    """The mildest finding that denies."""

    measures: Mapping[str, Bound]
    """A measure that is named here and missing from the evidence denies."""

    max_age: timedelta
    """Older evidence is stale."""

    signers: frozenset[str]
    """Fingerprints of the keys that may sign it."""

    threshold: int
    """How many different ones of them must."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A dated exception from one rule of one check, for one artifact."""

    check: str
    rule: str
    subject: str
    """The digest of one artifact, never a pattern."""

    reason: str
    owner: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy with everything that it names resolved."""

    subject: Kind
    trust: Mapping[str, TrustedKey]
    require: Mapping[str, Requirement]
    waivers: tuple[Waiver, ...]
    clearance: timedelta
    """How long an admission lasts."""

    digest: str
    """Over the resolved content: keys by fingerprint, files by digest."""

    file: str
    base: Path

    @classmethod
    def load(cls, path: str | Path) -> Policy:
        """Read a policy file.

        Raises:
            PolicyError: unreadable, not YAML, an unknown key (with the nearest spelling and the line), an unknown check,
                an option that the check does not know, a file or a name that is not there, nothing required.
        """
        file = Path(path)
        try:
            data = file.read_bytes()
        except OSError as error:
            raise PolicyError(f"cannot read it: {error.strerror}", file=str(file), hint="see `pratique policy --help`") from error
        return cls.parse(data, file=str(file), base=file.parent)

    @classmethod
    def baseline(cls, kind: Kind = "model") -> Policy:
        """The policy that ships with the package: nothing that runs code, evidence signed by this machine's own gate key."""
        data = files("pratique").joinpath("baseline.yaml").read_bytes().replace(b"subject: model", f"subject: {kind}".encode())
        return cls.parse(data, file="the baseline policy", base=Path())

    @classmethod
    def parse(cls, data: bytes, *, file: str, base: Path) -> Policy:
        """Read the bytes of a policy; see `load`."""
        node = _compose(data, file)
        try:
            written = PolicyFile.model_validate(_plain(node, file))
        except ValidationError as error:
            raise _located(error, node, file) from error
        return _resolve(written, node, file, base)

    @classmethod
    def single(cls, check: str, options: Mapping[str, Any], *, kind: Kind, deny_at: str = "high", base: Path | None = None) -> Policy:
        """The policy of one check on its own: no finding at or above `deny_at`, evidence signed by this machine's gate key."""
        written = {
            "version": 1, "subject": kind, "trust": {"gate": {"own": True}},
            "require": {check: {"deny_at": deny_at, "options": dict(options)}},
        }  # fmt: skip
        try:
            model = PolicyFile.model_validate(written)
        except ValidationError as error:
            raise UsageError(f"{error.errors()[0]['loc'][-1]}: {error.errors()[0]['msg']}") from error
        return _resolve(model, None, "", base or Path())

    def setting(self, store: str = "") -> Setting:
        """What surrounds the checks of this policy."""
        return Setting(base=self.base, store=store, trust=self.trust)

    def question(self, name: str, store: str = "") -> tuple[Check[Any], Options]:
        """The check of that name and what this policy asks it.

        Raises:
            PolicyError: the files behind the options changed since the policy was loaded.
        """
        chosen = checking.load(name)
        options = checking.options_for(chosen, self.require[name].options, self.setting(store))
        if options.digest != self.require[name].options_digest:
            raise PolicyError(f"a file that {name}'s options name changed while the policy was in use", file=self.file)
        return chosen, options

    def keys(self, fingerprints: frozenset[str]) -> tuple[TrustedKey, ...]:
        """The trusted keys with these fingerprints."""
        return tuple(key for key in self.trust.values() if key.fingerprint in fingerprints)

    @property
    def evidence_keys(self) -> tuple[TrustedKey, ...]:
        """Everybody who may sign evidence for some requirement, or a clearance."""
        return self.keys(frozenset().union(*(one.signers for one in self.require.values())))


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class BoundFile(_Model):
    """An inclusive range; give `min`, `max` or both."""

    min: float = float("-inf")
    max: float = float("inf")

    @model_validator(mode="after")
    def _says_something(self) -> BoundFile:
        if not self.min <= self.max or (self.min, self.max) == (float("-inf"), float("inf")):
            raise ValueError("give min, max or both, with min <= max")
        return self


class RequirementFile(_Model):
    """What the evidence of one check must look like."""

    deny_at: Literal["note", "low", "medium", "high", "critical"] = "high"
    """The mildest finding that denies."""
    measures: dict[str, BoundFile] = {}
    """Bounds by measure; a measure that is missing from the evidence denies."""
    max_age: timedelta | None = None
    """How old its evidence may be (ISO 8601, such as P1D); default: `evidence.max_age`."""
    signers: Annotated[list[str], Field(min_length=1)] | None = None
    """Names in `trust` that may sign its evidence; default: `evidence.signers`."""
    threshold: Annotated[int, Field(ge=1)] = 1
    """How many different keys must have signed evidence that suffices."""
    options: dict[str, Any] = {}
    """What the check is asked; `pratique policy schema` lists each check's options."""


class TrustFile(_Model):
    """A public key: a PEM file, or this machine's own gate key."""

    key: str = ""
    """Path of a PEM public key, relative to the policy."""
    own: bool = False
    """This machine's own gate key, made on first use."""

    @model_validator(mode="after")
    def _one(self) -> TrustFile:
        if bool(self.key) == self.own:
            raise ValueError("give either `key: FILE` or `own: true`")
        return self


class EvidenceFile(_Model):
    """Defaults for every requirement."""

    signers: Annotated[list[str], Field(min_length=1)] = ["gate"]
    """Names in `trust` that may sign evidence and clearances."""
    max_age: timedelta = timedelta(days=1)
    """How old evidence may be."""


class ClearanceFile(_Model):
    """What an admission is worth."""

    expires: timedelta = timedelta(days=7)
    """How long it lasts; it never outlives the evidence behind it."""


class WaiverFile(_Model):
    """A dated exception from one rule of one check, for one artifact."""

    check: str
    rule: str
    subject: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    """The digest of one artifact, never a pattern."""
    reason: Annotated[str, Field(min_length=1)]
    owner: Annotated[str, Field(min_length=1)]
    until: AwareDatetime
    """With a time zone; expired waivers waive nothing."""


class PolicyFile(_Model):
    """Everything that must hold before an artifact is admitted."""

    version: Literal[1]
    subject: Kind = "model"
    """What is judged."""
    trust: Annotated[dict[str, TrustFile], Field(min_length=1)]
    """Public keys by the name that the rest of the policy uses."""
    evidence: EvidenceFile = EvidenceFile()
    require: Annotated[dict[str, RequirementFile], Field(min_length=1)]
    """What each check's evidence must look like. An empty policy would admit anything, so it is refused."""
    clearance: ClearanceFile = ClearanceFile()
    waivers: list[WaiverFile] = []


def schema() -> dict[str, Any]:
    """The JSON schema of a policy file, with the options of every installed check."""
    document = PolicyFile.model_json_schema()
    requirement = document["$defs"].pop("RequirementFile")
    properties = {}
    for name in sorted(checking.installed()):
        chosen = checking.load(name)
        options = chosen.options.model_json_schema(mode="validation")
        document["$defs"].update(options.pop("$defs", {}))
        properties[name] = {**requirement, "properties": {**requirement["properties"], "options": options}}
    document["properties"]["require"] = {
        **document["properties"]["require"], "properties": properties, "additionalProperties": False,
    }  # fmt: skip
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Pratique policy", **document}


def explain(policy: Policy) -> list[str]:
    """The policy as sentences."""
    lines = [f"A {policy.subject} is admitted only if all of this holds:"]
    for name, one in policy.require.items():
        signers = ", ".join(sorted({key.name for key in policy.keys(one.signers)}))
        count = f"at least {one.threshold} of {signers}" if one.threshold > 1 or len(one.signers) > 1 else signers
        lines.append(f"- {name}: evidence signed by {count}, not older than {one.max_age}, answers exactly the policy's question")
        lines.append(f"  - and has no finding of severity {one.deny_at.name.lower()} or worse")
        lines += [f"  - and reports the measure {measure}: {bound}" for measure, bound in one.measures.items()]
        lines += [f"  - asked with {key} = {value}" for key, value in one.options.items()]
    lines.append(f"An admission lasts {policy.clearance}, and never longer than the evidence behind it.")
    for waiver in policy.waivers:
        lines.append(
            f"Until {stamp(waiver.until)}, {waiver.check}/{waiver.rule} is waived for {waiver.subject} "
            f"by {waiver.owner}: {waiver.reason}"
        )
    return lines


def _resolve(written: PolicyFile, node: yaml.Node | None, file: str, base: Path) -> Policy:
    trust = {name: _key(name, one, node, file, base) for name, one in written.trust.items()}
    setting = Setting(base=base, trust=trust)
    require = {
        name: _requirement(name, one, written.evidence, trust, setting, node, file) for name, one in written.require.items()
    }
    waivers = tuple(
        Waiver(check=one.check, rule=one.rule, subject=one.subject, reason=one.reason, owner=one.owner, until=one.until)
        for one in written.waivers
    )
    for number, waiver in enumerate(waivers):
        if waiver.check not in require:
            raise _error(f"a waiver names {waiver.check!r}, which is not required", node, ("waivers", number, "check"), file, require)
    if written.clearance.expires <= timedelta(0):
        raise _error("an admission must last longer than nothing", node, ("clearance", "expires"), file)
    return Policy(
        subject=written.subject, trust=trust, require=require, waivers=waivers, clearance=written.clearance.expires,
        digest=_digest(written.subject, require, waivers, written.clearance.expires), file=file, base=base,
    )  # fmt: skip


def _digest(subject: Kind, require: Mapping[str, Requirement], waivers: tuple[Waiver, ...], expires: timedelta) -> str:
    """Over what decides, and nothing else: names of keys and of files do not enter, their content does."""
    content = {
        "version": 1,
        "subject": subject,
        "require": {
            name: {
                "options": one.options_digest,
                "deny_at": one.deny_at.name,
                "measures": {measure: [str(bound.min), str(bound.max)] for measure, bound in one.measures.items()},
                "max_age": one.max_age.total_seconds(),
                "signers": sorted(one.signers),
                "threshold": one.threshold,
            }
            for name, one in require.items()
        },
        "waivers": [[w.check, w.rule, w.subject, w.reason, w.owner, stamp(w.until)] for w in waivers],
        "expires": expires.total_seconds(),
    }
    return documents.sha256(documents.canonical(content))


def _key(name: str, one: TrustFile, node: yaml.Node | None, file: str, base: Path) -> TrustedKey:
    try:
        if one.own:
            return signing.own_signer(settings.gate_key()).trusted(name)
        return TrustedKey.load(name, base / Path(one.key).expanduser())
    except UsageError as error:
        raise _error(str(error), node, ("trust", name), file, hint=error.hint) from error


def _requirement(
    name: str, one: RequirementFile, defaults: EvidenceFile, trust: Mapping[str, TrustedKey], setting: Setting,
    node: yaml.Node | None, file: str,
) -> Requirement:  # fmt: skip
    at = ("require", name)
    try:
        chosen = checking.load(name)
        options = checking.options_for(chosen, one.options, setting)
        digest = options.digest
    except (UsageError, checking.UnknownCheck, checking.CheckUnavailable) as error:
        raise _error(str(error), node, at, file, hint=error.hint) from error
    signers = set()
    for signer in one.signers or defaults.signers:
        if signer not in trust:
            raise _error(f"{signer!r} may sign evidence of {name} but is not listed under `trust`", node, at, file, trust)
        signers.add(trust[signer].fingerprint)
    if one.threshold > len(signers):
        raise _error(f"{one.threshold} signers are demanded, {len(signers)} different keys are listed", node, at, file)
    unknown = [measure for measure in one.measures if not _reports(chosen, measure)]
    if unknown:
        raise _error(f"check {name!r} reports no measure {unknown[0]!r}", node, (*at, "measures"), file, chosen.measures)
    return Requirement(
        options=one.options, options_digest=digest, deny_at=Severity[one.deny_at.upper()],
        measures={measure: Bound(min=bound.min, max=bound.max) for measure, bound in one.measures.items()},
        max_age=one.max_age or defaults.max_age, signers=frozenset(signers), threshold=one.threshold,
    )  # fmt: skip


def _reports(chosen: Check[Any], measure: str) -> bool:
    from fnmatch import fnmatchcase

    return any(measure == known or ("*" in known and fnmatchcase(measure, known)) for known in chosen.measures)


# --- YAML with line numbers ---------------------------------------------------------------------------------------------


def _compose(data: bytes, file: str) -> yaml.Node:
    if len(data) > _MAX_BYTES:
        raise PolicyError(f"{len(data):,} bytes are no policy; at most {_MAX_BYTES:,} are read", file=file)
    try:
        loader = yaml.SafeLoader(data.decode("utf-8"))
        node = loader.get_single_node()
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise PolicyError(f"it is not YAML: {getattr(error, 'problem', error)}", file=file, line=mark.line + 1 if mark else 0) from error
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
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, file, seen)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(inner, file, seen) for inner in node.value]
    try:
        return yaml.SafeLoader("").construct_object(node)  # type: ignore[no-untyped-call]
    except (yaml.YAMLError, ValueError) as error:
        raise PolicyError(f"{node.value!r} is not a plain value", file=file, line=line) from error


def _mapping(node: yaml.MappingNode, file: str, seen: set[int]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for key, inner in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
            raise PolicyError(f"the key {key.value!r} is not a plain string", file=file, line=line)
        if key.value in value:
            raise PolicyError(f"the key {key.value!r} appears twice", file=file, line=line)
        value[key.value] = _plain(inner, file, seen)
    return value


def _line(node: yaml.Node | None, path: tuple[Any, ...]) -> int:
    """The line of the deepest part of a path that exists."""
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


def _error(
    message: str, node: yaml.Node | None, path: tuple[Any, ...], file: str, known: Mapping[str, Any] | None = None, hint: str = ""
) -> PolicyError:
    if known is not None and not hint:
        hint = f"known: {', '.join(sorted(known)) or 'none'}"
    return PolicyError(message, file=file, line=_line(node, path), hint=hint)


def _located(error: ValidationError, node: yaml.Node, file: str) -> PolicyError:
    """Turn pydantic's first complaint into a sentence with a line and, for an unknown key, the nearest right one."""
    first = error.errors()[0]
    path = first["loc"]
    if first["type"] == "extra_forbidden":
        known = _fields_at(path[:-1])
        near = difflib.get_close_matches(str(path[-1]), known, n=1)
        message = f"unknown key {path[-1]!r}" + (f"; did you mean {near[0]!r}?" if near else "")
        return PolicyError(message, file=file, line=_line(node, path), hint=f"known here: {', '.join(known)}")
    if first["type"] == "missing":
        return PolicyError(f"the key {path[-1]!r} is missing", file=file, line=_line(node, path[:-1]), hint="see `pratique policy schema`")
    where = ".".join(str(part) for part in path)
    return PolicyError(f"{where}: {first['msg']}", file=file, line=_line(node, path), hint="see `pratique policy schema`")


def _fields_at(path: tuple[Any, ...]) -> list[str]:
    """The keys that a policy may have at a path; names chosen by the user (checks, signers) match any."""
    model: type[BaseModel] = PolicyFile
    skip = False
    for part in path:
        if skip:
            skip = False
            continue
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        inner = [one for one in _models(annotation)]
        if not inner:
            break
        model, skip = inner[0], getattr(annotation, "__origin__", None) in (dict, list)
    return list(model.model_fields)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models(part)]
