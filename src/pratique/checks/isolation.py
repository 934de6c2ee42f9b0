"""Whether training can reach deployment: a pair of environments, and a proof that they are apart or the path between them.

    pratique check isolation environment/ --kind environment
    pratique check isolation rendered/ --kind environment -o scope=rendering -o train='["team-a"]' -o deploy='["prod"]'

The artifact is the description of an environment: Kubernetes manifests (a dump of a cluster, or a rendered chart), or what two
Airflow deployments say of themselves, or both. Nothing is asked of a cluster, so the evidence is about these very bytes, and
anybody can look at them again. `pratique.isolation` has the rules.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from pratique import files, isolation
from pratique.artifacts import Artifact
from pratique.checking import Finding, Options, Report, Severity, check
from pratique.errors import CheckError
from pratique.isolation import airflow as airflows
from pratique.isolation.objects import Breach, Question, Sides
from pratique.isolation.reading import MAX_BYTES
from pratique.isolation.rules import AIRFLOW, RULES

MEANINGS = {name: rule.meaning for name, rule in RULES.items()}

MEASURES = {
    "rules_proved": "rules that nothing in the description speaks against",
    "rules_violated": "rules with at least one breach that is certain, and that no exception covers",
    "rules_unknown": "rules that could not be decided",
    "rules_excepted": "rules whose every breach is covered by an exception",
    "breaches": "breaches and undecided questions that no exception covers",
    "exceptions": "exceptions that cover a breach now",
    "objects": "Kubernetes objects in the description",
    "accounts": "service accounts in the description",
    "pods": "pods, and templates of pods, in the namespaces of the three sides",
    "network_policies": "network policies in the namespaces of the three sides",
    "secrets": "Secrets in those namespaces, whose contents were compared",
}

MAX_FINDINGS = 200
"""Listed; the rest are counted."""
_DAYS = 366
"""An exception is for no longer than a year: somebody has to look again."""


class AirflowFiles(BaseModel):
    """Which files of the artifact describe two sides of Airflow."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: str
    deploy: str


class IsolationException(BaseModel):
    """A breach that somebody answers for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: str
    where: str = Field(min_length=1)
    reason: str = Field(min_length=1)
    owner: str = Field(min_length=1)
    until: AwareDatetime

    @field_validator("rule")
    @classmethod
    def _known(cls, rule: str) -> str:
        if rule not in isolation.KUBERNETES and rule not in AIRFLOW:
            raise ValueError(f"there is no rule {rule!r} that an exception could be made from")
        return rule


class IsolationOptions(Options):
    """Which sides there are, and what is known about them."""

    train: tuple[str, ...] = Field(default=("ml-train",), min_length=1)
    """Namespaces of training."""

    deploy: tuple[str, ...] = Field(default=("ml-deploy",), min_length=1)
    """Namespaces of deployment."""

    broker: tuple[str, ...] = ("ml-broker",)
    """Namespaces of what promotes; they may reach both sides."""

    scope: Literal["cluster", "rendering"] = "cluster"
    """`cluster`: the description is all of a cluster, and what is missing denies. `rendering`: it is what a chart makes."""

    exceptions: tuple[IsolationException, ...] = ()
    """Breaches that somebody answers for: `rule`, `where` (exactly as the finding says it), `reason`, `owner`, `until`."""

    train_stores: tuple[str, ...] | None = None
    """URI prefixes of buckets that training may write to. Unless it is said, any bucket that deployment reads is undecided."""

    pod_cidrs: tuple[str, ...] = ()
    """Addresses of pods. Unless they are said, a network policy that names addresses may mean pods."""

    known_groups: tuple[str, ...] = ()
    """API groups of custom resources that start no pods and hold no secrets, besides those that are known."""

    admission_policies: tuple[str, ...] = ()
    """Admission policies of your own that you reviewed, such as `lock=sha256:...`, besides those of the chart."""

    kubernetes: bool = True
    """Judge Kubernetes manifests. Turn it off only where the artifact describes nothing but Airflow."""

    airflow: AirflowFiles | None = None
    """Judge two sides of Airflow: `train` and `deploy`, paths of JSON files inside the artifact."""

    @field_validator("pod_cidrs")
    @classmethod
    def _nets(cls, nets: tuple[str, ...]) -> tuple[str, ...]:
        for one in nets:
            ipaddress.ip_network(one)
        return nets

    @model_validator(mode="after")
    def _apart(self) -> IsolationOptions:
        names = [*self.train, *self.deploy, *self.broker]
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        if twice:
            raise ValueError(f"the namespace {twice[0]} is named twice; each is of one side")
        if not self.kubernetes and self.airflow is None:
            raise ValueError("there is nothing to judge: neither kubernetes nor airflow")
        return self


@check("isolation", version="1", kinds=("environment",), options=IsolationOptions, rules=MEANINGS, measures=MEASURES)
def isolation_check(artifact: Artifact, options: IsolationOptions) -> Report:
    """Whether training can reach deployment, or deployment training: by rights, networks, storage, secrets or nodes.

    In the order of the code: read what describes Airflow, and what describes Kubernetes; ask every rule; set aside what
    somebody answers for; say what is left, and what is proved.
    """
    named = (options.airflow.train, options.airflow.deploy) if options.airflow else ()
    breaches: list[Breach] = []
    asked: list[str] = []
    counts: dict[str, int] = {}
    if options.airflow:
        train, deploy = (airflows.read(_content(artifact, path), what=path) for path in named)
        breaches += airflows.judge(train, deploy)
        asked += AIRFLOW
    if options.kubernetes:
        env = isolation.read({one.path: _content(artifact, one.path) for one in artifact.entries if one.path not in named})
        judged = isolation.judge(_question(env, options), cluster=options.scope == "cluster")
        breaches += judged.breaches
        asked += judged.rules
        counts = judged.counts
    elif extra := [one.path for one in artifact.entries if one.path not in named]:
        breaches.append(Breach(rule="unreadable", where=extra[0], steps=(f"nobody looked at {extra[0]}",), certain=False))
    return _report(breaches, asked, counts, options, datetime.now(timezone.utc))


def _content(artifact: Artifact, path: str) -> bytes:
    entry = next((one for one in artifact.entries if one.path == path), None)
    if entry is None or path.endswith("/"):
        raise CheckError(f"there is no file {path} in the artifact")
    try:
        return files.read(artifact.path(entry), most=MAX_BYTES)
    except OSError as error:
        raise CheckError(f"cannot read {path}: {error.strerror}") from error


def _question(env: isolation.Environment, options: IsolationOptions) -> Question:
    return Question(
        env=env,
        sides=Sides(train=frozenset(options.train), deploy=frozenset(options.deploy), broker=frozenset(options.broker)),
        pod_cidrs=options.pod_cidrs, train_stores=options.train_stores, known_groups=frozenset(options.known_groups),
        admission_policies=frozenset(options.admission_policies),
    )  # fmt: skip


def _report(
    breaches: list[Breach], asked: list[str], counts: dict[str, int], options: IsolationOptions, now: datetime
) -> Report:  # fmt: skip
    excepted = {(one.rule, one.where): one for one in options.exceptions if _holds(one, now)}
    left = [one for one in breaches if (one.rule, one.where) not in excepted]
    covered = [one for one in breaches if (one.rule, one.where) in excepted]
    broken = {one.rule for one in left}
    sound = not broken & {"unreadable", "incomplete"}
    proved = [rule for rule in asked if sound and rule not in broken | {one.rule for one in covered}]
    sure = {one.rule for one in left if one.certain}
    findings = [*_told(left), *_exceptions(breaches, options, now)]
    if proved:
        text = f"proved for everything that is described: {', '.join(proved)}"
        findings.append(Finding(rule="proved", severity=Severity.NOTE, message=text))
    measures = {
        "rules_proved": len(proved),
        "rules_violated": len(sure),
        "rules_unknown": len(broken - sure),
        "rules_excepted": len({one.rule for one in covered} - broken),
        "breaches": len(left),
        "exceptions": len(covered),
        **counts,
    }
    return Report(findings=tuple(findings), measures={name: float(value) for name, value in measures.items()})


def _told(breaches: list[Breach]) -> Iterator[Finding]:
    """Findings, the gravest first, as many as people read."""
    told = sorted((_finding(one) for one in breaches), key=lambda one: -one.severity)
    yield from told[:MAX_FINDINGS]
    rest = Counter(one.rule for one in told[MAX_FINDINGS:])
    if rest:
        counted = ", ".join(f"{count:,} {rule}" for rule, count in sorted(rest.items()))
        yield Finding(
            rule="more-findings", severity=Severity.HIGH, message=f"more was found than is listed: {counted}",
            fix=RULES["more-findings"].fix,
        )  # fmt: skip


def _finding(breach: Breach) -> Finding:
    """A breach as a finding. What could not be decided is at least high: it denies where a breach would."""
    rule = RULES[breach.rule]
    path = "; ".join(breach.steps)
    return Finding(
        rule=breach.rule, severity=rule.severity if breach.certain else max(rule.severity, Severity.HIGH),
        message=path if breach.certain else f"cannot be decided: {path}", where=breach.where, fix=breach.fix or rule.fix,
    )  # fmt: skip


def _holds(one: IsolationException, now: datetime) -> bool:
    return now < one.until and (one.until - now).days <= _DAYS


def _exceptions(breaches: Iterable[Breach], options: IsolationOptions, now: datetime) -> Iterator[Finding]:
    """What became of each exception."""
    there = {(one.rule, one.where): one for one in breaches}
    for one in options.exceptions:
        day = one.until.date().isoformat()
        breach = there.get((one.rule, one.where))
        if breach is None:
            rule, text = "exception-unused", f"the exception of {one.owner} from {one.rule} covers nothing"
        elif now >= one.until:
            rule, text = "exception-expired", f"the exception of {one.owner} from {one.rule} ended on {day}"
        elif not _holds(one, now):
            rule, text = "exception-expired", f"the exception of {one.owner} from {one.rule}, until {day}, is for over a year"
        else:
            path = "; ".join(breach.steps)
            rule, text = "exception", f"{one.owner} answers for {one.rule} until {day}: {one.reason} ({path})"
        yield Finding(rule=rule, severity=RULES[rule].severity, message=text, where=one.where, fix=RULES[rule].fix)
