"""What must hold before an artifact is admitted: one YAML file, read strictly.

    version: 1
    subject: model
    trust:
      gate:     {key: keys/gate.pub}
      supplier: {github: acme/models, workflow: release.yml, root: sigstore/trusted_root.json}
    evidence: {signers: [gate], max_age: P1D}
    require:
      provenance: {options: {signers: [supplier]}}
      artifact:   {deny_at: medium, measures: {files: {max: 20}}}
    clearance: {expires: P7D}

Relative paths are relative to the file. Everything that the policy names is read when it is loaded, so that its digest binds
the keys, profiles and suites by content, and a mistake shows at once, with its line and the nearest right spelling.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pratique import checking, documents, files, policy_files
from pratique.artifacts import Kind
from pratique.checking import Check, Options, Setting, Severity
from pratique.errors import PolicyError, UnknownCheck, UsageError
from pratique.policy_files import EvidenceFile, PolicyFile, RequirementFile, Source
from pratique.signing import Trusted
from pratique.signing.entries import OwnEntry, RevokedFile
from pratique.statements import stamp


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
    """Fingerprints of those under `trust` who may sign it."""

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
    trust: Mapping[str, Trusted]
    require: Mapping[str, Requirement]
    waivers: tuple[Waiver, ...]
    clearance: timedelta
    """How long an admission lasts."""

    digest: str
    """Over the resolved content: keys by fingerprint, files by digest."""

    file: str
    base: Path
    revoked: Mapping[str, str] = field(default_factory=dict)
    """Why each mark is worth nothing any more: digests of artifacts, files, statements, keys, certificates, identities."""
    clears: bool = True
    """Whether an admission earns a clearance, on which others rely. One check on its own does not."""

    @classmethod
    def load(cls, path: str | Path) -> Policy:
        """Read a policy file.

        Raises:
            PolicyError: unreadable, not YAML, an unknown key (with the nearest spelling and the line), an unknown check,
                an option that the check does not know, a file or a name that is not there, nothing required.
        """
        file = Path(path)
        try:
            data = files.read(file, most=policy_files.MAX_BYTES)
        except OSError as error:
            raise PolicyError(
                f"cannot read it: {error.strerror}", file=str(file), hint="see `pratique policy --help`"
            ) from error
        return cls.parse(data, file=str(file), base=file.parent)

    @classmethod
    def baseline(cls, kind: Kind = "model") -> Policy:
        """The policy that ships with the package: nothing that runs code, evidence signed by this machine's own gate key."""
        data = resources.files("pratique").joinpath("baseline.yaml").read_bytes()
        data = data.replace(b"subject: model", f"subject: {kind}".encode())
        return cls.parse(data, file="the baseline policy", base=Path())

    @classmethod
    def parse(cls, data: bytes, *, file: str, base: Path) -> Policy:
        """Read the bytes of a policy; see `load`."""
        written, source = policy_files.read(data, file)
        return _resolve(written, source, base)

    @classmethod
    def single(
        cls,
        check: str,
        options: Mapping[str, Any],
        *,
        kind: Kind,
        deny_at: str = "high",
        base: Path | None = None,
        gate: Trusted | None = None,
    ) -> Policy:
        """The policy of one check on its own: no finding at or above `deny_at`, evidence signed by one gate's key.

        It clears nothing: whoever may run one mild check would otherwise hold a clearance by the gate's own key.

        Args:
            check: its name.
            options: what it is asked.
            kind: what is judged.
            deny_at: the mildest finding that denies.
            base: folder of relative paths in the options.
            gate: the key that signs the evidence; this machine's own if left out.
        """
        written = {
            "version": 1, "subject": kind, "trust": {"gate": {"own": True}},
            "require": {check: {"deny_at": deny_at, "options": dict(options)}},
        }  # fmt: skip
        try:
            model = PolicyFile.model_validate(written)
        except ValidationError as error:
            raise UsageError(f"{error.errors()[0]['loc'][-1]}: {error.errors()[0]['msg']}") from error
        return dataclasses.replace(_resolve(model, Source(file=""), base or Path(), own=gate), clears=False)

    def setting(self, store: str = "") -> Setting:
        """What surrounds the checks of this policy."""
        return Setting(base=self.base, store=store, trust=self.trust, revoked=frozenset(self.revoked))

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

    def keys(self, fingerprints: frozenset[str]) -> tuple[Trusted, ...]:
        """Those of the trusted who have these fingerprints."""
        return tuple(key for key in self.trust.values() if key.fingerprint in fingerprints)

    @property
    def evidence_keys(self) -> tuple[Trusted, ...]:
        """Everybody who may sign evidence for some requirement, or a clearance."""
        return self.keys(frozenset().union(*(one.signers for one in self.require.values())))


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
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **document, "title": "Pratique policy"}


def explain(policy: Policy) -> list[str]:
    """The policy as sentences."""
    lines = [f"Trusted: {one.describe()}." for one in policy.trust.values()]
    lines += [f"Worth nothing any more: {mark[:19]}…, because {reason}" for mark, reason in sorted(policy.revoked.items())]
    lines.append(f"A {policy.subject} is admitted only if all of this holds:")
    for name, one in policy.require.items():
        signers = ", ".join(sorted({key.name for key in policy.keys(one.signers)}))
        count = f"at least {one.threshold} of {signers}" if one.threshold > 1 or len(one.signers) > 1 else signers
        age = documents.lasting(one.max_age)
        lines.append(f"- {name}: evidence signed by {count}, not older than {age}, answers exactly the policy's question")
        lines.append(f"  - and has no finding of severity {one.deny_at.name.lower()} or worse")
        lines += [f"  - and reports the measure {measure}: {bound}" for measure, bound in one.measures.items()]
        lines += [f"  - asked with {key} = {value}" for key, value in one.options.items()]
    lines.append(f"An admission lasts {documents.lasting(policy.clearance)}, and never longer than the evidence behind it.")
    for waiver in policy.waivers:
        lines.append(
            f"Until {stamp(waiver.until)}, {waiver.check}/{waiver.rule} is waived for {waiver.subject} "
            f"by {waiver.owner}: {waiver.reason}"
        )
    return lines


def _resolve(written: PolicyFile, source: Source, base: Path, own: Trusted | None = None) -> Policy:
    revoked = _revoked(written.revoked, source, base)
    trust = {name: _trusted(name, one, revoked, source, base, own) for name, one in written.trust.items()}
    setting = Setting(base=base, trust=trust, revoked=frozenset(revoked))
    require = {name: _requirement(name, one, written.evidence, setting, source) for name, one in written.require.items()}
    waivers = tuple(
        Waiver(check=one.check, rule=one.rule, subject=one.subject, reason=one.reason, owner=one.owner, until=one.until)
        for one in written.waivers
    )
    for number, waiver in enumerate(waivers):
        if waiver.check not in require:
            raise source.error(f"a waiver names {waiver.check!r}, which is not required", ("waivers", number, "check"), require)
    return Policy(
        subject=written.subject, trust=trust, require=require, waivers=waivers, clearance=written.clearance.expires,
        digest=_digest(written.subject, require, waivers, written.clearance.expires, revoked), file=source.file, base=base,
        revoked=revoked,
    )  # fmt: skip


def _digest(
    subject: Kind, require: Mapping[str, Requirement], waivers: tuple[Waiver, ...], expires: timedelta,
    revoked: Iterable[str],
) -> str:  # fmt: skip
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
        **({"revoked": sorted(revoked)} if revoked else {}),
    }
    return documents.sha256(documents.canonical(content))


def _trusted(name: str, one: Any, revoked: Mapping[str, str], source: Source, base: Path, own: Trusted | None) -> Trusted:
    try:
        found: Trusted = own if own is not None and isinstance(one, OwnEntry) else one.trusted(name, base)
    except UsageError as error:
        raise source.error(str(error), ("trust", name), hint=error.hint) from error
    return found.renamed(name, frozenset(revoked))


def _revoked(written: Sequence[RevokedFile], source: Source, base: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, one in enumerate(written):
        try:
            found |= dict.fromkeys(one.marks(base), one.reason)
        except UsageError as error:
            raise source.error(str(error), ("revoked", number), hint=error.hint) from error
    return found


def _requirement(name: str, one: RequirementFile, defaults: EvidenceFile, setting: Setting, source: Source) -> Requirement:
    at = ("require", name)
    try:
        chosen = checking.load(name)
        digest = checking.options_for(chosen, one.options, setting).digest
    except (UsageError, UnknownCheck) as error:
        raise source.error(str(error), at, hint=error.hint) from error
    signers = _signers(name, one.signers or defaults.signers, setting.trust, source)
    if one.threshold > len(signers):
        raise source.error(f"{one.threshold} signers are demanded, {len(signers)} different keys are listed", at)
    for measure in one.measures:
        if not _reports(chosen, measure):
            raise source.error(f"check {name!r} reports no measure {measure!r}", (*at, "measures", measure), chosen.measures)
    return Requirement(
        options=one.options, options_digest=digest, deny_at=Severity[one.deny_at.upper()],
        measures={measure: Bound(min=bound.min, max=bound.max) for measure, bound in one.measures.items()},
        max_age=one.max_age or defaults.max_age, signers=signers, threshold=one.threshold,
    )  # fmt: skip


def _signers(check: str, names: Sequence[str], trust: Mapping[str, Trusted], source: Source) -> frozenset[str]:
    for name in names:
        if name not in trust:
            raise source.error(
                f"{name!r} may sign evidence of {check} but is not listed under `trust`", ("require", check), trust
            )
    return frozenset(trust[name].fingerprint for name in names)


def _reports(chosen: Check[Any], measure: str) -> bool:
    return any(measure == known or ("*" in known and fnmatchcase(measure, known)) for known in chosen.measures)
