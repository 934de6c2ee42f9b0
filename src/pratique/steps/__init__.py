"""What one step of a Kubeflow pipeline does, without knowing Kubeflow.

The code of a component is copied into every pipeline that is compiled with it, where nobody can mend it any more. So a
component (`pratique.components`) is only a call of one of these functions, which come with the image:

    check      look at an artifact, keep signed evidence of what was seen; fail on a grave finding
    gate       hold an artifact against a policy, sign a clearance and hand over the copy that was judged; fail on denial
    training   around your own code: train on private copies, sign a record of what went in and what came out
    audit      look again at everything in production; fail on anything that is not as it should be
    promote    verify everything again, copy by digest, move a channel; fail on anything that is not as it should be

A step is a process of its own: the key that it was given is "this machine's own gate key" for as long as it runs. Whatever
of ours stops a step ends as one line: `SystemExit` with what happened and what to do about it.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click

from pratique import checking, documents, promotion, reports, signing
from pratique import training as recording
from pratique.artifacts import Kind, open_artifact
from pratique.clearing import ensure_clearance
from pratique.errors import Denied, Error, EvidenceError, PolicyError, StoreError, UsageError
from pratique.gate import Admission, observe, pass_gate
from pratique.judging import decide
from pratique.policies import Policy
from pratique.signing import INTOTO, KeySigner, Signer, Witness
from pratique.signing.choosing import gate_signer
from pratique.statements import Clearance, Evidence, Vouched
from pratique.steps.handing import Handle, Tally, bundle_in, count, hand_over, source, write_bundle
from pratique.store import Store

BASELINE = "baseline"
"""Stands for the policy that ships with the package, where a step takes the path of a policy."""

NEVER = "never"
"""Stands for no severity at all: the step succeeds whatever it sees, and leaves the decision to a gate."""

_KINDS: tuple[Kind, ...] = ("model", "dataset", "environment")


def check(
    name: str,
    artifact: Handle,
    *,
    evidence: Handle,
    report: Handle,
    metrics: Tally,
    run_id: str,
    asked: Mapping[str, Any],
    policy: str | None = None,
    kind: str | None = None,
    deny_at: str | None = None,
    store: str = "",
    key: str = "",
) -> str:
    """Look at an artifact with one check, keep signed evidence of what it saw, good or bad, and then fail on a grave finding.

    1. The question is either the policy's own, or made of `asked`.
    2. Whatever is seen is signed and stored before anything is decided; a gate of this run can lean on it.
    3. The step fails if the requirement would object to what was seen, unless `deny_at` is `never`.

    Args:
        name: the check.
        artifact: what to look at.
        evidence: where the signed statement goes; a copy of the one in the store.
        report: where the HTML page goes.
        metrics: gets every measure, and how many findings there are of each severity.
        run_id: this pipeline run.
        asked: options of the check; None, or a default of the check's own, asks nothing.
        policy: path of a policy that asks the question; None if `asked` and the check's defaults do.
        kind: what the artifact is. With a policy, the policy says so.
        deny_at: the mildest finding that fails the step, `high` if left out, or `never`. With a policy, the policy says so.
        store: URI of the evidence store; '' for this machine's own.
        key: path of the private key that signs; '' for this machine's own.

    Returns:
        The digest of the evidence: its name in the store.

    Raises:
        SystemExit: a grave finding; or nothing could be observed, and then there is no evidence. Why, in one line.
    """
    with _step(key):
        run = _run(run_id)
        question = _question(name, policy, asked, kind, deny_at)  # 1
        shelf, signer = Store(store), gate_signer()
        _ensure_counts(name, question, signer)
        opened = open_artifact(source(artifact), kind=question.subject)
        seen = observe(name, opened, question, store=shelf.uri, run_id=run)
        bundle = signing.sign(seen.statement(), INTOTO, signer)  # 2
        digest = shelf.add("evidence", opened.subject, bundle, check=name)
        write_bundle(evidence, bundle, digest, {"check": name, "subject": opened.subject.digest, "run_id": run})
        reports.write(Path(report.path), reports.of_evidence(seen, digest))
        count(metrics, seen.report)
        click.echo(f"{documents.short(opened.subject.name)} ({opened.subject.digest})")
        click.echo(f"{reports.as_line(seen)}\nevidence {digest}")
        if deny_at != NEVER:
            _ensure_acceptable(question, seen, digest)  # 3
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
        store: URI of the evidence store; '' for this machine's own.
        key: path of the gate's private key; '' for this machine's own.
        run_id: this pipeline run.

    Returns:
        The digest of the admitted artifact.

    Raises:
        SystemExit: denied, or nothing could be decided, and why, in one line. Nothing is handed over.
    """
    with _step(key):
        run, chosen, shelf = _run(run_id), _policy(policy), Store(store)
        admission = pass_gate(source(artifact), policy=chosen, store=shelf, run_id=run, resume=True)
        click.echo(reports.as_text(admission))
        reports.write(Path(report.path), reports.of_admission(admission, chosen))
        for one in admission.evidence:
            count(metrics, one.statement.report, prefix=f"{one.statement.check}.")
        subject = admission.require().artifact.subject
        bundle = _stored_clearance(admission, shelf)
        hand_over(admission.artifact, admitted)
        write_bundle(clearance, bundle, admission.clearance_digest, {"subject": subject.digest, "run_id": run})
        return subject.digest


@contextmanager
def training(
    *datasets: Handle,
    model: Handle,
    key: str,
    run_id: str,
    base: Handle | None = None,
    store: str = "",
    parameters: Mapping[str, Any] | None = None,
) -> Iterator[recording.Run]:
    """Wrap the code of a training step; on a clean exit, sign and store a record of what went in and what came out.

        with steps.training(dataset, base=base, model=model, key=key, run_id=run_id) as run:
            weights = train(run.base.root, run.datasets[0].root)
            save(weights, run.output)

    See `pratique.training.record`: the code reads private copies, and nothing stands at `model` unless it was recorded.

    Args:
        datasets: what to train on: the `admitted` outputs of gates.
        model: where the trained model goes.
        key: path of the trainer's own private key, which is no gate's.
        run_id: this pipeline run.
        base: the base model: the `admitted` output of a gate; None when training from scratch.
        store: URI of the evidence store; '' for this machine's own.
        parameters: what the caller chose (epochs, learning rate ...), as JSON values.

    Raises:
        SystemExit: an error of ours, in one line. What the training itself raises passes through.
    """
    with _step():
        run = _run(run_id)
        signer = KeySigner.load(Path(_given("key", key, hint="pass the path of the trainer's own private key")))
        with recording.record(
            base=None if base is None else source(base), datasets=[source(one) for one in datasets], output=model.path,
            signer=signer, store=Store(store), run_id=run, parameters=parameters,
        ) as recorded:  # fmt: skip
            yield recorded
        assert recorded.subject is not None, "a run that was recorded has a subject"
        model.metadata.update(subject=recorded.subject.digest, record=recorded.record_digest)
        click.echo(f"trained {recorded.subject.digest}\nrecord {recorded.record_digest}")


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
        store: URI of the evidence store; '' for this machine's own.
        key: path of the promoter's private key; '' for this machine's own, which must be there: a key that was made for one
            step would sign a pointer that nobody can move any more.
        destination: URI of the folder of promoted models.
        channel: the pointer to move, such as `production`.
        run_id: the pipeline run whose evidence counts.

    Returns:
        Where the promoted bytes lie: `<destination>/sha256/<digest>`.

    Raises:
        SystemExit: refused, and why, in one line. The old state stands.
    """
    with _step(key):
        run, chosen, shelf = _run(run_id), _policy(policy), Store(store)
        signer = gate_signer(make=False)
        subject = _cleared(clearance, chosen, run).subject  # 1
        done = promotion.promote(  # 2
            source(model), policy=chosen, destination=_given("destination", destination), channel=channel, store=shelf,
            signer=signer, run_id=run, expect=subject,
        )  # fmt: skip
        click.echo(f"promoted {subject.digest}\n  to {done.uri}\n  channel {channel}, number {done.clearance.sequence}")
        return done.uri


def audit(
    destination: str, *, report: Handle, metrics: Tally, policy: str, store: str, key: str, renew: str, run_id: str
) -> None:
    """Look at everything in production as a promotion would today; fail unless all of it is as it should be.

    Args:
        destination: URI of the folder of promoted models.
        report: where the HTML page goes.
        metrics: gets the number of channels in each state.
        policy: path of the policy that must hold now; whoever it trusts counts as a promoter.
        store: URI of the evidence store; '' for this machine's own.
        key: path of a gate's private key, to run checks again; '' for none.
        renew: path of the promoter's private key, to give what is admitted a later date; '' for none.
        run_id: this pipeline run, so that no cache answers with an older audit.

    Raises:
        SystemExit: something is not as it should be, or nothing is there, and what, in one line.
    """
    from pratique.steps.looking_again import look

    with _step():
        _run(run_id)
        look(_given("destination", destination), _policy(policy), Store(store), key, renew, report, metrics)


@contextmanager
def _step(key: str = "") -> Iterator[None]:
    """Turn our errors into one line, and the given key into this machine's own."""
    before = os.environ.get("PRATIQUE_KEY")
    try:
        if key:
            KeySigner.load(Path(key))  # a path that is mistyped must not become a key that is made on first use
            os.environ["PRATIQUE_KEY"] = key
        yield
    except Error as error:
        raise SystemExit(_one_line(error)) from None
    except SystemExit as error:  # not ours: `sys.exit(0)` in a library must not look like a step that succeeded
        raise SystemExit(f"something ended the step half-way, with the exit code {error.code}") from None
    finally:
        if before is not None:
            os.environ["PRATIQUE_KEY"] = before
        elif key:
            os.environ.pop("PRATIQUE_KEY", None)


def _one_line(error: Error) -> str:
    """What happened and what to do, in one line: the last that a pod's log shows."""
    if isinstance(error, Denied):
        first, *more = error.verdict.denials
        others = f" (and {len(more)} more, see above)" if more else ""
        text = f"DENIED {error.verdict.subject.name}: {first}{others}"
    else:
        text = f"{type(error).__name__}: {error}"
    return documents.short(f"{text}. {error.hint}" if error.hint else text, width=2000)


def _run(run_id: str) -> str:
    """The run, which binds evidence to this execution, and keeps Kubeflow's cache from answering with an older one."""
    hint = "pass run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER"
    if "{{" in run_id:
        raise UsageError(f"run_id is the placeholder {run_id!r} itself, which every run shares", hint=hint)
    return _given("run_id", run_id, hint=hint)


def _given(name: str, value: str, hint: str = "") -> str:
    if not value.strip():
        raise UsageError(f"{name} is empty", hint=hint)
    return value


def _policy(path: str) -> Policy:
    _given("policy", path, hint=f"pass the path of a policy in the step's file system, or {BASELINE!r}")
    return Policy.baseline() if path == BASELINE else Policy.load(path)


def _question(name: str, policy: str | None, options: Mapping[str, Any], kind: str | None, deny_at: str | None) -> Policy:
    """A policy that asks the question: the given one, or one made of the step's own options."""
    fields = checking.load(name).options.model_fields
    defaults = {option: field.default for option, field in fields.items()}
    asked = {one: _whole(value) for one, value in options.items() if value is not None and value != defaults.get(one)}
    severity = None if deny_at == NEVER else deny_at
    if policy is None:
        return Policy.single(name, asked, kind=_kind(name, kind), deny_at="high" if severity is None else severity)
    twice = [*asked, *(word for word, value in (("kind", kind), ("deny_at", severity)) if value is not None)]
    if twice:
        raise UsageError(f"both a policy and {', '.join(twice)} were given", hint="with a policy, the policy says all that")
    chosen = _policy(policy)
    if name not in chosen.require:
        raise UsageError(f"{policy} does not require {name!r}", hint="require it there, or leave the step out")
    return chosen


def _kind(check: str, kind: str | None) -> Kind:
    known = [one for one in _KINDS if one in checking.load(check).kinds]
    for one in known:
        if kind in (None, one):
            return one
    raise UsageError(f"check {check!r} cannot look at {kind!r}", hint=f"kind is one of: {', '.join(known)}")


def _whole(value: Any) -> Any:
    """Kubeflow hands lists and dictionaries through a format without integers: 3 arrives as 3.0. Set that right."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole(one) for key, one in value.items()}
    return [_whole(one) for one in value] if isinstance(value, (list, tuple)) else value


def _ensure_counts(name: str, question: Policy, signer: Signer) -> None:
    wanted = question.keys(question.require[name].signers)
    if not any(signing.accepts(one, signer) for one in wanted):
        allowed = ", ".join(key.name for key in wanted)
        raise PolicyError(
            f"this step signs with {signing.mark(signer)[:19]}…, whose evidence of {name} counts for nothing "
            f"(only that of {allowed})",
            file=question.file, hint="pass the right key, or list its .pub under `trust` and as a signer",
        )  # fmt: skip


def _ensure_acceptable(question: Policy, seen: Evidence, digest: str) -> None:
    """Ask what a gate would object to in this evidence, as if everybody whose signature it needs had signed it, too."""
    as_if = Vouched(
        statement=seen,
        digest=digest,
        witnesses=tuple(
            Witness(fingerprint=one, actor=one, who="as if", steps=(), marks=frozenset())
            for one in question.require[seen.check].signers
        ),
    )
    verdict = decide(question, seen.subject, [as_if], now=seen.made_at, run_id=seen.run_id)
    objections = tuple(one for one in verdict.denials if one.check == seen.check)
    if objections:
        raise Denied(dataclasses.replace(verdict, denials=objections))


def _cleared(handle: Handle, policy: Policy, run_id: str) -> Clearance:
    """The clearance behind a handle, verified; only its bytes count, none of what Kubeflow knows about it."""
    bundle = bundle_in(handle, "the clearance")
    verified = signing.verify(bundle, policy.evidence_keys, what="the clearance")
    one = Clearance.parse(verified.payload)
    vouched = Vouched(statement=one, digest=documents.sha256(bundle), witnesses=verified.witnesses)
    ensure_clearance(
        vouched, one.subject, now=datetime.now(timezone.utc), revoked=frozenset(policy.revoked), policy_digest=policy.digest
    )
    if one.run_id != run_id:
        raise EvidenceError(
            f"the clearance is from run {one.run_id or '(none)'}, not from {run_id}", hint="run the gate in this run"
        )
    return one


def _stored_clearance(admission: Admission, store: Store) -> bytes:
    """The clearance as the store returns it."""
    for _, bundle in store.read("clearances", admission.artifact.subject):
        if documents.sha256(bundle) == admission.clearance_digest:
            return bundle
    raise StoreError(f"the store {store.shown} does not return the clearance that was written to it")
