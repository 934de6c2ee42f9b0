"""The rules for a compiled pipeline.

In the order of the code: the file fits together; security tasks are what they say, run from a pinned image, are never answered
from the cache, and are bound to the run; nothing that depends on a gate runs when the gate has failed; and each promotion takes
the clearance and the copy of one and the same gate.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pratique import documents
from pratique.checking import Finding, Report, Severity
from pratique.pipelines import graphs, knowing
from pratique.pipelines.graphs import Node, Source
from pratique.pipelines.knowing import Known, Role
from pratique.pipelines.reading import Pipeline, read

RULES = {
    "ir-malformed": "the compiled file does not fit together, or has a field that nobody knows",
    "component-altered": "a task looks like one of the catalogue and runs something else",
    "environment-altered": "a security task runs with variables, volumes or hooks that can change what runs in it",
    "executor-unknown": "a task is run by something else than a container",
    "image-by-tag": "an image is named by a tag, which can be moved",
    "cached": "a gate, a check or a promotion may be answered from the cache",
    "run-not-bound": "a security task is not bound to this very run",
    "ignores-upstream-failure": "a task runs although what it depends on has failed",
    "several-exit-handlers": "there is more than one exit handler",
    "promotion-without-gate": "a promotion does not take the clearance and the copy of one gate",
    "conditional": "a gate or a promotion is skipped on a condition, and the run is green all the same",
    "trusted-host": "packages are installed without looking at the index's certificate",
    "installs-at-run-time": "packages are installed while the step runs, without a hash",
}

RUN_ID = "{{$.pipeline_job_uuid}}"
"""`dsl.PIPELINE_JOB_ID_PLACEHOLDER`, as it is compiled."""

_EXIT = re.compile(r"comp-exit-handler-\d+\Z")
_PINNED = re.compile(r"@sha256:[0-9a-f]{64}\Z")
_ENV = re.compile(r"HOME|TMPDIR|PRATIQUE_(HOME|KEY|STORE)|(AWS|AZURE|GOOGLE|GCS|S3|MINIO)_[A-Z0-9_]+")
"""Variables that a security task may have, credentials of its store among them; any other can be one that Python acts on."""

_MOUNTS = ("/keys", "/etc/pratique", "/tmp", "/var/run/secrets", "/mnt", "/data", "/models")
"""Where volumes may lie: not over Python, and not over us."""

_HARMLESS = frozenset(
    {
        "securityContext",
        "activeDeadlineSeconds",
        "imagePullPolicy",
        "imagePullSecret",
        "podMetadata",
        "nodeSelector",
        "tolerations",
        "nodeAffinity",
    }
)
"""What Kubernetes may be told about a security task without changing what runs in it."""

_RECOMPILE = "compile the pipeline again from its source, and compare"
_NOUNS: Mapping[Role, str] = {"gate": "a gate", "promotion": "a promotion", "check": "a check"}


def lint(data: bytes, *, what: str = "the pipeline", accepted: Mapping[str, Role] | None = None) -> Report:
    """Look at a compiled pipeline.

    Args:
        data: the file, as `kfp dsl compile` writes it.
        what: its name, for messages.
        accepted: roles of commands outside of the catalogue that somebody has reviewed, by `knowing.digest_of`.

    Raises:
        ArtifactRefused: that is no compiled pipeline.
    """
    pipeline = read(data, what=what)
    found = graphs.nodes(pipeline)
    roles = {  # once for each component, however many tasks use it
        name: seen
        for name, one in pipeline.components.items()
        if (seen := knowing.know(one.executor, accepted or {})) is not None
    }
    known = {one.key: roles[one.task.component] for one in found if one.task.component in roles}
    look = _Look(pipeline=pipeline, nodes=found, known=known)
    findings = [
        Finding(rule="ir-malformed", severity=Severity.HIGH, message=say, where=where, fix=_RECOMPILE)
        for say, where in pipeline.faults
    ]
    findings += [*look.tasks(), *look.failures(), *look.exits(), *look.promotions()]
    count = Counter(one.role for one in known.values())
    measures = {"tasks": len(found), "gates": count["gate"], "promotions": count["promotion"], "checks": count["check"]}
    ordered = sorted(findings, key=lambda one: (-one.severity, one.where, one.rule))
    return Report(findings=tuple(ordered), measures={name: float(value) for name, value in measures.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One pipeline, and what is known about its tasks."""

    pipeline: Pipeline
    nodes: list[Node]
    known: dict[tuple[str, ...], Known]
    """By key; tasks that neither are nor claim to be ours are not in it."""

    def tasks(self) -> Iterator[Finding]:
        """What can be said of each task alone."""
        for node in self.nodes:
            seen = self.known.get(node.key)
            if seen is not None:
                yield from self._secured(node, seen)
            yield from self._executed(node, secured=seen is not None)

    def _secured(self, node: Node, seen: Known) -> Iterator[Finding]:
        noun = _NOUNS[seen.role]
        executor = node.component.executor
        if not seen.genuine and executor is not None:
            yield _finding(
                "component-altered", Severity.CRITICAL, node,
                f"it looks like {noun} of the catalogue, and runs something else ({knowing.digest_of(executor)})",
                "compile it with the catalogue that is installed here; or, if it is your own and reviewed, accept its digest",
            )  # fmt: skip
        for what in self._altering(node):
            yield _finding(
                "environment-altered", Severity.HIGH, node, f"{noun} runs with {what}: that can change what runs in it",
                "take it out, or bake it into the image that you review",
            )  # fmt: skip
        if node.task.cached:
            yield _finding(
                "cached", Severity.HIGH, node, f"{noun} can be answered from the cache, which knows names and no content",
                "pass the task to `pratique.components.uncached`, or call set_caching_options(False) on it",
            )  # fmt: skip
        if graphs.constant(node, "run_id") != RUN_ID:
            yield _finding(
                "run-not-bound", Severity.HIGH, node, f"{noun} takes its run_id from somewhere else than the run",
                "pass run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER",
            )  # fmt: skip
        if seen.role != "check" and any(one.task.condition for one in node.around):
            yield _finding(
                "conditional", Severity.MEDIUM, node, f"{noun} stands under a condition: a run that skips it succeeds",
                "let the gate fail the run; put nothing that decides under dsl.If",
            )  # fmt: skip

    def _altering(self, node: Node) -> Iterator[str]:
        """Variables, volumes and hooks of a security task that are none of those that it needs."""
        executor = node.component.executor
        if executor is not None:
            yield from (f"the variable {name}" for name in executor.env if not _ENV.fullmatch(name))
            if executor.hooked:
                yield "a hook before it"
        for name, told in self.pipeline.platform.get(node.component.label, {}).items():
            if name in _HARMLESS:
                continue
            for what in told if isinstance(told, list) else [told]:
                yield from _odd(name, what if isinstance(what, Mapping) else {})

    def _executed(self, node: Node, *, secured: bool) -> Iterator[Finding]:
        executor = node.component.executor
        if executor is not None and executor.kind not in ("container", "importer", ""):
            yield _finding(
                "executor-unknown", Severity.HIGH, node, f"it is run by {executor.kind}, whose program nobody here has seen",
                "run it as a container",
            )  # fmt: skip
        if executor is None or executor.kind != "container":
            return
        if not _PINNED.search(executor.image):
            yield _finding(
                "image-by-tag", Severity.HIGH if secured else Severity.LOW, node,
                f"its image {documents.short(executor.image, 120)} is no digest: whoever can push it decides what runs",
                "compile with image@sha256:...; for the catalogue, set PRATIQUE_IMAGE",
            )  # fmt: skip
        script = " ".join((*executor.command, *executor.args))
        if "--trusted-host" in script:
            yield _finding(
                "trusted-host", Severity.MEDIUM, node, "it installs packages from an index whose certificate nobody looks at",
                "pass pip_trusted_hosts=[] to the component",
            )  # fmt: skip
        if "pip install" in script and "--require-hashes" not in script and "#sha256=" not in script:
            yield _finding(
                "installs-at-run-time", Severity.LOW, node, "it installs packages while it runs, whichever the index then has",
                "bake them into the image, and set install_kfp_package=False",
            )  # fmt: skip

    def failures(self) -> Iterator[Finding]:
        """Whatever runs although something before it has failed."""
        for node in self.nodes:
            if not node.task.anyway:
                continue
            held = self._roles_in(node)
            if held:
                yield _finding(
                    "ignores-upstream-failure", Severity.CRITICAL, node,
                    f"it runs {' and '.join(sorted(_NOUNS[one] for one in held))} although what comes before has failed",
                    "leave ignore_upstream_failure() out",
                )  # fmt: skip
            elif not self._is_exit(node) and self._after_gate(node):
                yield _finding(
                    "ignores-upstream-failure", Severity.HIGH, node, "it runs although the gate before it has denied",
                    "leave ignore_upstream_failure() out; for a notice, use one dsl.ExitHandler around everything",
                )  # fmt: skip

    def exits(self) -> Iterator[Finding]:
        """The backend keeps exit tasks by what they depend on, and drops all but the last; it fires none for what never ran."""
        handlers = [one for one in self.nodes if one.task.anyway and self._is_exit(one)]
        if len(handlers) > 1:
            needed = Counter((*node.key[:-1], need) for node in handlers for need in node.task.needs)
            severity = Severity.HIGH if max(needed.values()) > 1 else Severity.MEDIUM
            names = ", ".join(one.path for one in handlers[:5])
            yield _finding(
                "several-exit-handlers", severity, handlers[0], f"of {len(handlers)} exit handlers some may not run: {names}",
                "use one dsl.ExitHandler, around the whole pipeline",
            )  # fmt: skip

    def promotions(self) -> Iterator[Finding]:
        """Each takes both of its artifacts from one and the same gate, whichever way the run goes."""
        for node in self.nodes:
            seen = self.known.get(node.key)
            if seen is None or seen.role != "promotion":
                continue
            clearances = graphs.sources(self.pipeline, node, "clearance")
            copies = graphs.sources(self.pipeline, node, "model")
            wrong = self._not_of_a_gate(clearances, "clearance", "clearance") or self._not_of_a_gate(
                copies, "admitted", "model"
            )
            if not wrong and {_key(one) for one in clearances} != {_key(one) for one in copies}:
                wrong = "its model and its clearance come from different gates"
            if wrong:
                yield _finding(
                    "promotion-without-gate", Severity.CRITICAL, node, wrong,
                    "pass the `admitted` and the `clearance` of the gate that judged the model",
                )  # fmt: skip

    def _not_of_a_gate(self, found: tuple[Source, ...], output: str, name: str) -> str:
        """What is wrong about where an input comes from; '' if it can only be that output of a gate."""
        if not found:
            return f"nobody gives it a {name}"
        for one in found:
            seen = self.known.get(_key(one))
            if one.node is None:
                return f"its {name} is given from outside of the pipeline ({documents.short(one.output, 80)})"
            if seen is None or seen.role != "gate" or one.output != output:
                return f"its {name} is {one.output} of {one.node.path}, and not {output} of a gate"
        return ""

    def _roles_in(self, node: Node) -> set[Role]:
        """What of ours a task is, or has inside."""
        return {seen.role for key, seen in self.known.items() if key[: len(node.key)] == node.key}

    def _after_gate(self, node: Node) -> bool:
        """Whether a gate, or something in the same DAG with a gate inside, comes before it."""
        *outer, _ = node.key
        depth = len(outer)
        gates = {key[depth] for key, seen in self.known.items() if seen.role == "gate" and [*key[:depth]] == outer}
        return node.task.name in graphs.downstream(node.dag, gates)

    def _is_exit(self, node: Node) -> bool:
        """How a dsl.ExitHandler compiles: a task that waits for one DAG, `exit-handler-N`, and takes nothing that it made."""
        if len(node.task.needs) != 1 or node.task.artifacts:
            return False
        waited = node.dag.tasks.get(node.task.needs[0])
        taken = [one for one in node.task.parameters.values() if "taskOutputParameter" in one]
        return waited is not None and not taken and _EXIT.match(waited.component) is not None


def _odd(name: str, told: Mapping[str, Any]) -> Iterator[str]:
    """What is odd about one volume, or one source of variables."""
    if name.endswith("AsEnv"):
        given = [one for one in told.get("keyToEnv", []) if isinstance(one, Mapping)]
        names = [str(one.get("envVar", "")) for one in given] or [str(told.get("name", ""))]
        yield from (f"the variable {one or 'of no name'}" for one in names if not _ENV.fullmatch(one))
    elif not _is_harmless(str(told.get("mountPath", ""))):
        yield f"{name} at {str(told.get('mountPath', '')) or 'a place of no name'}"


def _is_harmless(path: str) -> bool:
    """Whether a volume lies where it can hold data only. (A path with `..` lies anywhere.)"""
    return ".." not in path and any(path == one or path.startswith(one + "/") for one in _MOUNTS)


def _key(source: Source) -> tuple[str, ...]:
    return source.node.key if source.node else ()


def _finding(rule: str, severity: Severity, node: Node, message: str, fix: str) -> Finding:
    return Finding(rule=rule, severity=severity, message=documents.line(message), where=node.path, fix=fix)
