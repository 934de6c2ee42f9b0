"""What one step of a Kubeflow pipeline does, without knowing Kubeflow.

The code of a component is copied into every pipeline that is compiled with it, where nobody can mend it any more. So a
component (`pratique.components`) is only a call of one of these functions, which come with the image:

    check      look at an artifact, keep signed evidence; fails only if nothing could be observed
    gate       hold an artifact against a policy, sign a clearance and hand over the copy that was judged; fails on denial
    promote    verify everything again, copy by digest, move a channel; fails on anything that is not as it should be

A step is a process of its own: the key that it was given is "this machine's own gate key" for as long as it runs. Whatever
stops a step ends as one line: `SystemExit` with what happened and what to do about it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

import click

from pratique import documents, promotion, reports, settings, signing
from pratique.artifacts import Artifact, Kind, digest_of, open_artifact, scan
from pratique.checking import Report, Severity
from pratique.clearing import ensure_clearance
from pratique.errors import ArtifactChanged, ArtifactError, Denied, Error, Malformed, StoreError, UsageError
from pratique.gate import observe, pass_gate
from pratique.policies import Policy
from pratique.signing import INTOTO, KeySigner
from pratique.statements import Clearance, Vouched
from pratique.store import Store

BASELINE = "baseline"
"""Stands for the policy that ships with the package, where a step takes the path of a policy."""


class Handle(Protocol):
    """What Kubeflow hands to a step for an artifact that goes in or comes out (`kfp.dsl.Artifact`)."""

    uri: str
    metadata: dict[str, Any]

    @property
    def path(self) -> str:
        """Where the artifact lies, or belongs, in the step's own file system."""


class Tally(Protocol):
    """Where a step writes numbers (`kfp.dsl.Metrics`)."""

    def log_metric(self, metric: str, value: float) -> None:
        """Show one number."""


def check(
    name: str,
    artifact: Handle,
    *,
    evidence: Handle,
    report: Handle,
    metrics: Tally,
    run_id: str,
    policy: str,
    store: str,
    key: str,
    kind: Kind,
    asked: Mapping[str, Any],
) -> str:
    """Look at an artifact with one check, and keep signed evidence of what it saw, good or bad.

    Args:
        name: the check.
        artifact: what to look at.
        evidence: where the signed statement goes; a copy of the one in the store.
        report: where the HTML page goes.
        metrics: gets every measure, and how many findings there are of each severity.
        run_id: this pipeline run.
        policy: path of a policy that asks the question; '' if `asked` does.
        store: URI of the evidence store.
        key: path of the private key that signs; '' for this machine's own.
        kind: what the artifact claims to be; with a policy, the policy says so.
        asked: options of the check that differ from its defaults.

    Returns:
        The digest of the evidence: its name in the store.

    Raises:
        SystemExit: nothing could be observed, and why, in one line. There is no evidence then.
    """
    with _step(key):
        run = _run(run_id)
        question = _question(name, policy, asked, kind)
        shelf, signer = Store(store), signing.own_signer(settings.gate_key())
        opened = _open(artifact, question.subject)
        seen = observe(name, opened, question, store=shelf.uri, run_id=run)
        bundle = signing.sign(seen.statement(), INTOTO, signer)
        digest = shelf.add("evidence", opened.subject, bundle, check=name)
        _write(evidence, bundle, digest, {"check": name, "subject": opened.subject.digest, "run_id": run})
        _show(report, reports.of_evidence(seen, digest))
        _count(metrics, seen.report)
        click.echo(f"{opened.subject.name} ({opened.subject.digest})\n{reports.as_line(seen)}\nevidence {digest}")
        return digest


def gate(
    artifact: Handle,
    *,
    admitted: Handle,
    clearance: Handle,
    report: Handle,
    metrics: Tally,
    policy: str,
    store: str,
    key: str,
    run_id: str,
) -> str:
    """Hold an artifact against a policy; on admission, hand over the very copy that was judged.

    Evidence that other steps of this run left in the store counts, once its signature has been verified; required checks
    that left none are run here.

    Args:
        artifact: what to judge.
        admitted: where the copy goes that was judged. Use this one, not what went in.
        clearance: where the signed clearance goes.
        report: where the HTML page goes.
        metrics: gets the measures of every check, as `check.measure`.
        policy: path of the policy, or `baseline`.
        store: URI of the evidence store.
        key: path of the gate's private key; '' for this machine's own.
        run_id: this pipeline run.

    Returns:
        The digest of the admitted artifact.

    Raises:
        SystemExit: denied, or nothing could be decided, and why, in one line.
    """
    with _step(key):
        chosen = _policy(policy)
        shelf = Store(store)
        admission = pass_gate(_source(artifact), policy=chosen, store=shelf, run_id=_run(run_id), resume=True)
        click.echo(reports.as_text(admission))
        _show(report, reports.of_admission(admission, chosen))
        for one in admission.evidence:
            _count(metrics, one.statement.report, prefix=f"{one.statement.check}.")
        subject = admission.require().artifact.subject
        _hand_over(admission.artifact, admitted)
        bundle = dict(_named(shelf, admission.artifact))[admission.clearance_digest]
        _write(clearance, bundle, admission.clearance_digest, {"subject": subject.digest, "run_id": run_id})
        return subject.digest


def promote(
    model: Handle,
    clearance: Handle,
    *,
    policy: str,
    store: str,
    key: str,
    destination: str,
    channel: str,
    run_id: str,
) -> str:
    """Put a model into production. Nothing that the pipeline says is believed.

    1. The clearance must be signed by a key that the promoter's own policy trusts, be about this policy and this run, hold
       now, and name the very bytes that are about to be copied.
    2. `promotion.promote` then verifies all evidence behind it once more, and decides again.

    Args:
        model: what to promote.
        clearance: the gate's clearance of this model.
        policy: path of the promoter's own copy of the policy, or `baseline`.
        store: URI of the evidence store.
        key: path of the promoter's private key; '' for this machine's own.
        destination: URI of the folder of promoted models.
        channel: the pointer to move, such as `production`.
        run_id: the pipeline run whose evidence counts.

    Returns:
        Where the promoted bytes lie: `<destination>/sha256/<digest>`.

    Raises:
        SystemExit: refused, and why, in one line. The old state stands.
    """
    with _step(key):
        chosen, run = _policy(policy), _run(run_id)
        subject = _cleared(clearance, chosen, run).subject  # 1
        done = promotion.promote(  # 2
            _source(model), policy=chosen, destination=_given("destination", destination), channel=channel,
            store=Store(store), run_id=run, expect=subject,
        )  # fmt: skip
        click.echo(f"promoted {subject.digest}\n  to {done.uri}\n  channel {channel}, number {done.clearance.sequence}")
        return done.uri


@contextmanager
def _step(key: str) -> Iterator[None]:
    """Turn our errors into one line, and the given key into this machine's own."""
    before = os.environ.get("PRATIQUE_KEY")
    try:
        if key:
            KeySigner.load(Path(key))  # a path that is mistyped must not become a key that is made on first use
            os.environ["PRATIQUE_KEY"] = key
        yield
    except Error as error:
        raise SystemExit(_one_line(error)) from None
    finally:
        if key and before is None:
            os.environ.pop("PRATIQUE_KEY", None)
        elif before is not None:
            os.environ["PRATIQUE_KEY"] = before


def _one_line(error: Error) -> str:
    """What happened and what to do, in one line: the last that a pod's log shows."""
    if isinstance(error, Denied):
        first, *more = error.verdict.denials
        others = f" (and {len(more)} more, see above)" if more else ""
        text = f"DENIED {error.verdict.subject.name}: {first}{others}"
    else:
        text = f"{type(error).__name__}: {error}"
    return " ".join(f"{text}. {error.hint}".split() if error.hint else text.split())


def _run(run_id: str) -> str:
    """The run, which binds evidence to this execution, and keeps Kubeflow's cache from answering with an older one."""
    return _given("run_id", run_id, hint="pass run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER")


def _given(name: str, value: str, hint: str = "") -> str:
    if not value.strip():
        raise UsageError(f"{name} is empty", hint=hint)
    return value


def _policy(path: str) -> Policy:
    _given("policy", path, hint=f"pass the path of a policy in the step's file system, or {BASELINE!r}")
    return Policy.baseline() if path == BASELINE else Policy.load(path)


def _question(name: str, policy: str, asked: Mapping[str, Any], kind: Kind) -> Policy:
    """A policy that asks the question: the given one, or one made of the step's own options."""
    if not policy:
        return Policy.single(name, _whole(dict(asked)), kind=kind)
    if asked:
        raise UsageError(
            f"both a policy and options ({', '.join(sorted(asked))}) were given", hint="with a policy, the policy asks"
        )
    chosen = _policy(policy)
    if name not in chosen.require:
        raise UsageError(f"{policy} does not require {name!r}", hint="require it there, or leave the step out")
    return chosen


def _whole(value: Any) -> Any:
    """Kubeflow hands lists and dictionaries through a format without integers: 3 arrives as 3.0. Set that right."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole(one) for key, one in value.items()}
    return [_whole(one) for one in value] if isinstance(value, (list, tuple)) else value


def _source(artifact: Handle) -> str:
    """Where to take an artifact from: where Kubeflow put it, else where it says that it lies (an importer of a hub's URI)."""
    if not artifact.uri:
        raise ArtifactError("the input artifact has no URI", hint="did the step before it write to `.path`?")
    return artifact.path if Path(artifact.path).exists() else artifact.uri


def _open(artifact: Handle, kind: Kind) -> Artifact:
    return open_artifact(_source(artifact), kind=kind)


def _cleared(handle: Handle, policy: Policy, run_id: str) -> Clearance:
    """The clearance behind a handle, verified; only its bytes count, none of what Kubeflow knows about it."""
    try:
        bundle = Path(handle.path).read_bytes()
    except OSError as error:
        raise ArtifactError(f"cannot read the clearance: {error.strerror}", hint="pass the gate's own output") from error
    verified = signing.verify(bundle, policy.evidence_keys, what="the clearance")
    one = Clearance.parse(verified.payload)
    vouched = Vouched(statement=one, signers=verified.signers, digest=documents.sha256(bundle), witnesses=verified.witnesses)
    ensure_clearance(vouched, one.subject, now=datetime.now(timezone.utc), policy_digest=policy.digest)
    if one.run_id != run_id:
        raise Malformed(
            f"the clearance is from run {one.run_id or '(none)'}, not from {run_id}", hint="run the gate in this run"
        )
    return one


def _named(store: Store, artifact: Artifact) -> Iterator[tuple[str, bytes]]:
    for _, bundle in store.read("clearances", artifact.subject):
        yield documents.sha256(bundle), bundle


def _hand_over(artifact: Artifact, target: Handle) -> None:
    """Copy what was judged to where the next step looks for it, and look again at what was written."""
    goal = Path(target.path)
    try:
        goal.parent.mkdir(parents=True, exist_ok=True)
        if artifact.is_file:
            shutil.copyfile(artifact.root, goal)
        else:
            _copy_folder(artifact.root, goal)
    except OSError as error:
        raise StoreError(f"cannot write the admitted copy to {goal}: {error.strerror or error}") from error
    if digest_of(scan(goal), is_file=artifact.is_file) != artifact.subject.digest:
        raise ArtifactChanged(f"the admitted copy {goal} is not what was judged", hint="something else writes there")
    target.metadata.update(subject=artifact.subject.digest, name=artifact.subject.name)


def _copy_folder(source: Path, goal: Path) -> None:
    """Like `shutil.copytree`, without the read-only modes of a snapshot: Kubeflow has to clean up after a run."""
    goal.mkdir()
    for path in sorted(source.rglob("*")):
        inner = goal / path.relative_to(source)
        inner.mkdir() if path.is_dir() else shutil.copyfile(path, inner)


def _write(handle: Handle, bundle: bytes, digest: str, more: Mapping[str, str]) -> None:
    """A signed statement as an artifact. Its metadata is for people who browse; nothing reads it."""
    try:
        Path(handle.path).parent.mkdir(parents=True, exist_ok=True)
        Path(handle.path).write_bytes(bundle)
    except OSError as error:
        raise StoreError(f"cannot write {handle.path}: {error.strerror}") from error
    handle.metadata.update(media_type=signing.BUNDLE, digest=digest, **more)


def _show(handle: Handle, html: str) -> None:
    reports.write(Path(handle.path), html)


def _count(metrics: Tally, report: Report, prefix: str = "") -> None:
    for measure, value in report.measures.items():
        metrics.log_metric(prefix + measure, float(value))
    for severity in Severity:
        number = sum(finding.severity is severity for finding in report.findings)
        metrics.log_metric(f"{prefix}findings_{severity.name.lower()}", float(number))
