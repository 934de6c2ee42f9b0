"""What we sign: in-toto statements about one artifact's digest.

| class | predicate | says |
|---|---|---|
| Evidence | https://in-toto.io/attestation/test-result/v0.1 | what one check saw |
| TrainingRecord | https://slsa.dev/provenance/v1 | what a training run used and made |
| Clearance | https://slsa.dev/verification_summary/v1 | that a policy was satisfied, and until when |

Each survives `parse(statement()) == self`; fields that are ours sit under the key `pratique` of the predicate, where the
in-toto parsing rules let others ignore them. Reading is strict: bytes go straight into pydantic models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from pratique import documents
from pratique.artifacts import Kind, Subject
from pratique.checking import Finding, Report, Severity
from pratique.errors import Malformed
from pratique.signing import Witness
from pratique.sources import Resolution

STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
PROVENANCE = "https://slsa.dev/provenance/v1"
VERIFICATION_SUMMARY = "https://slsa.dev/verification_summary/v1"
TRANSFER_LEARNING: Literal["urn:pratique:build:transfer-learning:v1"] = "urn:pratique:build:transfer-learning:v1"
"""SLSA buildType of our training records."""

NEUTRALISE: Literal["urn:pratique:build:neutralise:v1"] = "urn:pratique:build:neutralise:v1"
"""SLSA buildType of records of a model that was written again in a format which cannot carry code (`neutralising`)."""

BuildType = Literal["urn:pratique:build:transfer-learning:v1", "urn:pratique:build:neutralise:v1"]

_Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
_Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_YEARS = range(1970, 9000)
"""Later and earlier moments cannot be reckoned with: a maximum age added to them leaves the calendar."""

M = TypeVar("M", bound=BaseModel)
S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vouched(Generic[S]):
    """A statement whose signature has been verified."""

    statement: S
    digest: str
    """sha256 of the bundle: its name in the store."""

    witnesses: tuple[Witness, ...]
    """Who exactly signed, as whom of those who are trusted, and why that holds."""

    @property
    def signers(self) -> frozenset[str]:
        """Fingerprints of what is trusted and vouches for it."""
        return frozenset(one.fingerprint for one in self.witnesses)

    @property
    def actors(self) -> frozenset[str]:
        """Fingerprints of those who signed: keys, or identities at their issuer."""
        return frozenset(one.actor for one in self.witnesses)

    @property
    def marks(self) -> frozenset[str]:
        """Everything that this signature can be revoked by."""
        return frozenset().union(*(one.marks for one in self.witnesses))

    @property
    def ballots(self) -> frozenset[tuple[str, str]]:
        """Each of those who are trusted, with who signed as them."""
        return frozenset((one.fingerprint, one.actor) for one in self.witnesses)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one check saw in one artifact, when, and what exactly it had been asked."""

    check: str
    check_version: str
    subject: Subject
    kind: Kind
    report: Report
    options_digest: str
    """Names the question (`Options.digest`); an answer to another question is no answer."""

    policy_digest: str
    """The policy under which it was asked. For the record: evidence may be judged under another policy."""

    run_id: str
    """The pipeline run that asked; '' outside of a pipeline."""

    made_at: datetime
    origin: Resolution | None = None
    """Where the bytes were taken from, and what upstream calls them. For the record: only the digest is judged."""

    def statement(self) -> bytes:
        """The bytes to sign."""
        findings = self.report.findings
        tests: dict[str, list[str]] = {"passedTests": [], "warnedTests": [], "failedTests": []}
        for rule in dict.fromkeys(one.rule for one in findings):
            worst = max(one.severity for one in findings if one.rule == rule)
            tests[_grade(worst)].append(rule)
        predicate = {
            "result": {"passedTests": "PASSED", "warnedTests": "WARNED", "failedTests": "FAILED"}[_grade(self.report.worst)],
            "configuration": [
                {"name": "options", "digest": _digest_set(self.options_digest)},
                {"name": "policy", "digest": _digest_set(self.policy_digest)},
                *({"name": one.name, "digest": _digest_set(one.digest)} for one in self.report.materials),
            ],
            **tests,
            "pratique": {
                "check": self.check,
                "checkVersion": self.check_version,
                "kind": self.kind,
                "runId": self.run_id,
                "madeAt": stamp(self.made_at),
                "measures": {name: float(value) for name, value in self.report.measures.items()},
                "findings": [
                    {"rule": f.rule, "severity": f.severity.name, "message": f.message, "where": f.where, "fix": f.fix}
                    for f in findings
                ],
                **({"origin": self.origin.as_json()} if self.origin else {}),
            },
        }
        return _statement(self.subject, TEST_RESULT, predicate)

    @classmethod
    def parse(cls, payload: bytes) -> Evidence:
        """Read a statement back. Raises Malformed."""
        outer, subject = _open(payload, TEST_RESULT)
        body = _validate(_TestResult, outer.predicate)
        ours, (options, policy, *materials) = body.pratique, body.configuration
        if (options.name, policy.name) != ("options", "policy"):
            raise Malformed("evidence names its options and its policy first")
        return cls(
            check=ours.check, check_version=ours.checkVersion, subject=subject, kind=ours.kind,
            report=Report(
                findings=tuple(
                    Finding(rule=f.rule, severity=Severity[f.severity], message=f.message, where=f.where, fix=f.fix)
                    for f in ours.findings
                ),
                measures=dict(ours.measures),
                materials=tuple(one.subject() for one in materials),
            ),
            options_digest=options.digest.text, policy_digest=policy.digest.text, run_id=ours.runId, made_at=ours.madeAt,
            origin=ours.origin.resolution() if ours.origin else None,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Something that a training run used."""

    role: Literal["base", "dataset"]
    subject: Subject
    uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """What went into a training run and what came out."""

    subject: Subject
    """The model that was made."""

    materials: tuple[Material, ...]
    """The base model and the datasets, by the digests of the very copies that were read."""

    parameters: Mapping[str, Any]
    """What the caller chose: epochs, learning rate ... JSON values."""

    builder: str
    """Names who trained: `urn:pratique:trainer:<fingerprint of the key>`."""

    run_id: str
    started_at: datetime
    finished_at: datetime

    build_type: BuildType = TRANSFER_LEARNING
    """What was done: a training, or the writing of the same tensors in a format that cannot carry code."""

    def statement(self) -> bytes:
        """The bytes to sign."""
        predicate = {
            "buildDefinition": {
                "buildType": self.build_type,
                "externalParameters": dict(self.parameters),
                "resolvedDependencies": [
                    {
                        "name": one.subject.name, "uri": one.uri, "digest": _digest_set(one.subject.digest),
                        "annotations": {"role": one.role},
                    }
                    for one in self.materials
                ],
            },
            "runDetails": {
                "builder": {"id": self.builder},
                "metadata": {
                    "invocationId": self.run_id, "startedOn": stamp(self.started_at), "finishedOn": stamp(self.finished_at),
                },
            },
        }  # fmt: skip
        return _statement(self.subject, PROVENANCE, predicate)

    @classmethod
    def parse(cls, payload: bytes) -> TrainingRecord:
        """Read a statement back. Raises Malformed, also for SLSA provenance of anything but our training."""
        outer, subject = _open(payload, PROVENANCE)
        body = _validate(_Provenance, outer.predicate)
        metadata = body.runDetails.metadata
        return cls(
            subject=subject,
            materials=tuple(
                Material(role=one.annotations.role, subject=one.subject(), uri=one.uri)
                for one in body.buildDefinition.resolvedDependencies
            ),
            parameters=body.buildDefinition.externalParameters, builder=body.runDetails.builder.id,
            run_id=metadata.invocationId, started_at=metadata.startedOn, finished_at=metadata.finishedOn,
            build_type=body.buildDefinition.buildType,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearance:
    """That a policy was satisfied by an artifact, until a date. Revocation is expiry: nothing renews it but a new decision."""

    subject: Subject
    kind: Kind
    verifier: str
    """`urn:pratique:<gate|promotion>:<fingerprint of the signing key>`."""

    resource_uri: str
    """What was judged, or where it was promoted to."""

    policy_digest: str
    evidence: tuple[str, ...]
    """Digests of the bundles that satisfied the policy."""

    levels: tuple[str, ...]
    """One per requirement that was met: PRATIQUE_PROVENANCE, PRATIQUE_ARTIFACT ..."""

    made_at: datetime
    expires: datetime
    run_id: str = ""
    channel: str = ""
    """The channel that a promotion moved; '' for a gate's clearance."""

    sequence: int = 0
    """Counts the promotions of a channel, so that an old pointer cannot be put back unnoticed."""

    waived: tuple[str, ...] = field(default=())
    """`check/rule` of every waiver that was used."""

    def statement(self) -> bytes:
        """The bytes to sign."""
        predicate = {
            "verifier": {"id": self.verifier},
            "timeVerified": stamp(self.made_at),
            "resourceUri": self.resource_uri,
            "policy": {"digest": _digest_set(self.policy_digest)},
            "inputAttestations": [{"digest": _digest_set(one)} for one in self.evidence],
            "verificationResult": "PASSED",
            "verifiedLevels": list(self.levels),
            "slsaVersion": "1.0",
            "pratique": {
                "kind": self.kind, "expires": stamp(self.expires), "runId": self.run_id,
                "channel": self.channel, "sequence": self.sequence, "waived": list(self.waived),
            },
        }  # fmt: skip
        return _statement(self.subject, VERIFICATION_SUMMARY, predicate)

    @classmethod
    def parse(cls, payload: bytes) -> Clearance:
        """Read a statement back. Raises Malformed, also for a summary that says anything but PASSED."""
        outer, subject = _open(payload, VERIFICATION_SUMMARY)
        body = _validate(_Summary, outer.predicate)
        ours = body.pratique
        return cls(
            subject=subject, kind=ours.kind, verifier=body.verifier.id, resource_uri=body.resourceUri,
            policy_digest=body.policy.digest.text, evidence=tuple(one.digest.text for one in body.inputAttestations),
            levels=tuple(body.verifiedLevels), made_at=body.timeVerified, expires=ours.expires, run_id=ours.runId,
            channel=ours.channel, sequence=ours.sequence, waived=tuple(ours.waived),
        )  # fmt: skip


def stamp(moment: datetime) -> str:
    """RFC 3339 in UTC, to the microsecond."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _reckonable(moment: datetime) -> datetime:
    if moment.year not in _YEARS:
        raise ValueError(f"the year is not between {_YEARS.start} and {_YEARS.stop}")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_reckonable)]
"""A date with a time zone, as strangers write it, with which can be reckoned."""


def _grade(severity: Severity) -> str:
    if severity >= Severity.HIGH:
        return "failedTests"
    return "warnedTests" if severity >= Severity.LOW else "passedTests"


def _digest_set(digest: str) -> dict[str, str]:
    algorithm, _, value = digest.partition(":")
    return {algorithm: value}


def _statement(subject: Subject, predicate_type: str, predicate: dict[str, Any]) -> bytes:
    return documents.canonical(
        {
            "_type": STATEMENT,
            "subject": [{"name": subject.name, "digest": _digest_set(subject.digest)}],
            "predicateType": predicate_type,
            "predicate": predicate,
        }
    )


def _open(payload: bytes, predicate_type: str) -> tuple[_Statement, Subject]:
    outer = _validate(_Statement, documents.parse(payload, what="the statement"))
    if outer.predicateType != predicate_type:
        raise Malformed(f"the statement is a {outer.predicateType[:80]!r}, not a {predicate_type}")
    return outer, outer.subject[0].subject()


def _validate(model: type[M], value: Any) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the statement"
        raise Malformed(f"{where}: {first['msg']}") from error


class _Model(BaseModel):
    """Field names are the specification's own; keys that we do not know are ignored, as in-toto's parsing rules demand."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class _DigestSet(_Model):
    sha256: _Hex

    @property
    def text(self) -> str:
        return "sha256:" + self.sha256


class _Resource(_Model):
    digest: _DigestSet
    name: str = ""

    def subject(self) -> Subject:
        return Subject(digest=self.digest.text, name=self.name)


class _Statement(_Model):
    type: Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")]
    subject: Annotated[list[_Resource], Field(min_length=1, max_length=1)]
    predicateType: str
    predicate: dict[str, Any]


class _Finding(_Model):
    rule: str
    severity: Literal["NOTE", "LOW", "MEDIUM", "HIGH", "CRITICAL"]
    message: str
    where: str
    fix: str


class _Origin(_Model):
    uri: str
    pinned: str
    scheme: str
    ids: dict[str, str]
    mutable: bool
    notes: list[str]

    def resolution(self) -> Resolution:
        return Resolution(
            uri=self.uri, pinned=self.pinned, scheme=self.scheme, ids=self.ids, mutable=self.mutable, notes=tuple(self.notes)
        )


class _EvidenceBody(_Model):
    check: str
    checkVersion: str
    kind: Kind
    runId: str
    madeAt: Moment
    measures: dict[str, float]
    findings: list[_Finding]
    origin: _Origin | None = None
    """Absent for local artifacts, and from statements that were made before origins were recorded."""


class _TestResult(_Model):
    result: Literal["PASSED", "WARNED", "FAILED"]
    configuration: Annotated[list[_Resource], Field(min_length=2)]
    pratique: _EvidenceBody


class _Role(_Model):
    role: Literal["base", "dataset"]


class _Dependency(_Resource):
    uri: str
    annotations: _Role


class _BuildDefinition(_Model):
    buildType: BuildType
    externalParameters: dict[str, Any]
    resolvedDependencies: list[_Dependency]


class _Id(_Model):
    id: str


class _RunMetadata(_Model):
    invocationId: str
    startedOn: Moment
    finishedOn: Moment


class _RunDetails(_Model):
    builder: _Id
    metadata: _RunMetadata


class _Provenance(_Model):
    buildDefinition: _BuildDefinition
    runDetails: _RunDetails


class _Attestation(_Model):
    digest: _DigestSet


class _SummaryBody(_Model):
    kind: Kind
    expires: Moment
    runId: str
    channel: str
    sequence: Annotated[int, Field(ge=0)]
    waived: list[str]


class _Summary(_Model):
    verifier: _Id
    timeVerified: Moment
    resourceUri: str
    policy: _Attestation
    inputAttestations: list[_Attestation]
    verificationResult: Literal["PASSED"]
    verifiedLevels: Annotated[list[str], Field(min_length=1)]
    pratique: _SummaryBody
