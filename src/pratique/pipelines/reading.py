"""From bytes to a pipeline. Whoever can edit a compiled file writes these bytes: everything is bounded, nothing is guessed.

A field that this reader does not know could mean anything to a backend, so each one is a fault, and so is what does not fit
together: a task without a component, a component without an executor, a required input that nobody gives. The SDK's own strict
parser and a round trip through it notice two of ten such changes (measured).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pratique import documents, yamls
from pratique.errors import ArtifactRefused, Malformed

MAX_BYTES = 16 << 20
"""Of a compiled pipeline. Large ones with embedded code take about 1 MB."""

MAX_DEPTH = 64

MAX_NODES = 250_000
"""Keys and values. The largest pipeline that anybody compiled has some ten thousand."""

_FIELDS: Mapping[str, frozenset[str]] = {
    "pipeline": frozenset(
        {"pipelineInfo", "deploymentSpec", "sdkVersion", "schemaVersion", "components", "root", "defaultPipelineRoot"}
    ),
    "component": frozenset(
        {"inputDefinitions", "outputDefinitions", "dag", "executorLabel", "singlePlatformSpecs", "taskConfigPassthroughs"}
    ),
    "dag": frozenset({"tasks", "outputs"}),
    "task": frozenset(
        {
            "taskInfo", "inputs", "dependentTasks", "cachingOptions", "componentRef", "triggerPolicy", "artifactIterator",
            "parameterIterator", "retryPolicy", "iteratorPolicy",
        }
    ),
    "cachingOptions": frozenset({"enableCache", "cacheKey"}),
    "triggerPolicy": frozenset({"condition", "strategy"}),
    "inputs": frozenset({"parameters", "artifacts"}),
    "executor": frozenset({"container", "importer", "resolver", "customJob"}),
    "container": frozenset({"image", "command", "args", "lifecycle", "resources", "env"}),
    "artifact given": frozenset({"taskOutputArtifact", "componentInputArtifact"}),
    "parameter given": frozenset(
        {"taskOutputParameter", "runtimeValue", "componentInputParameter", "taskFinalStatus", "parameterExpressionSelector"}
    ),
    "input artifact": frozenset({"artifactType", "isArtifactList", "isOptional", "description"}),
    "input parameter": frozenset({"type", "parameterType", "defaultValue", "isOptional", "description", "literals"}),
}  # fmt: skip
"""What pipeline_spec.proto of kfp 2.16 and 2.17 knows, as far as it decides what runs."""

_TYPES = frozenset(
    {
        "NUMBER_DOUBLE", "NUMBER_INTEGER", "STRING", "BOOLEAN", "LIST", "STRUCT", "TASK_FINAL_STATUS", "TASK_CONFIG",
    }
)  # fmt: skip

_STRATEGIES = frozenset({"", "TRIGGER_STRATEGY_UNSPECIFIED", "ALL_UPSTREAM_TASKS_SUCCEEDED", "ALL_UPSTREAM_TASKS_COMPLETED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task of one DAG."""

    name: str
    component: str
    """The name of its component; '' if it names none."""

    needs: tuple[str, ...]
    """Tasks of the same DAG that come before it."""

    artifacts: Mapping[str, Mapping[str, Any]]
    """What it is given: `taskOutputArtifact` or `componentInputArtifact`, by the name of its input."""

    parameters: Mapping[str, Mapping[str, Any]]
    cached: bool
    anyway: bool
    """Whether it runs although what it depends on has failed (`ignore_upstream_failure`, an exit handler)."""

    condition: str
    """Of a `dsl.If`; '' without one."""

    looped: frozenset[str]
    """Inputs that a loop gives, whatever else is written for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dag:
    """Tasks, and which of their outputs are the DAG's own."""

    tasks: Mapping[str, Task]
    outputs: Mapping[str, tuple[tuple[str, str], ...]]
    """Of artifacts: the tasks and outputs that each can come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """What runs in a container; an importer runs in none."""

    kind: str
    """`container`, `importer`, or another word of the specification."""

    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    """Names of the variables that are set for it."""

    hooked: bool = False
    """Whether something else may run before it (`lifecycle`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """What a task runs: an executor, or a DAG."""

    label: str = ""
    """Of its executor, by which the platform's part of the file knows it."""

    executor: Executor | None = None
    dag: Dag | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A compiled pipeline, as far as it decides what runs."""

    name: str
    root: Dag
    components: Mapping[str, Component]
    faults: tuple[tuple[str, str], ...]
    """What does not fit together: a sentence, and where."""

    platform: Mapping[str, Mapping[str, Any]]
    """What Kubernetes is told about each executor, by its label: volumes, secrets, variables."""


def read(data: bytes, *, what: str) -> Pipeline:
    """Read a compiled pipeline (YAML, or JSON of KFP 2).

    Raises:
        ArtifactRefused: that is none, it is too large, or YAML of a kind that is not read: tags, anchors, a key twice.
    """
    document, platform = _documents(data, what)
    return _Reader(document, platform).pipeline(what)


@dataclass(slots=True)
class _Reader:
    """One walk over the document, which notes what does not fit on its way."""

    document: Mapping[str, Any]
    platform: Mapping[str, Any]
    faults: list[tuple[str, str]] = field(default_factory=list)

    def pipeline(self, what: str) -> Pipeline:
        spec = self._fields(self.document, "pipeline", "")
        if not str(spec.get("schemaVersion", "")).startswith("2."):
            self._fault(f"schemaVersion is {spec.get('schemaVersion')!r}, not 2.x", "schemaVersion")
        executors = {
            str(label): self._executor(value, f"executors.{label}")
            for label, value in _mapping(_mapping(spec.get("deploymentSpec")).get("executors")).items()
        }
        written = {str(name): _mapping(value) for name, value in _mapping(spec.get("components")).items()}
        components = {name: self._component(name, value, executors, written) for name, value in written.items()}
        root = self._fields(_mapping(spec.get("root")), "component", "root")
        if not _mapping(_mapping(root.get("dag")).get("tasks")):
            raise ArtifactRefused(f"{what} has no root.dag.tasks: it is no compiled pipeline", hint="kfp dsl compile makes one")
        name = str(_mapping(spec.get("pipelineInfo")).get("name", ""))
        dag, told = self._dag(root["dag"], "root", written), self._told()
        return Pipeline(name=name, root=dag, components=components, faults=tuple(self.faults), platform=told)

    def _told(self) -> dict[str, Mapping[str, Any]]:
        """The second document: what is said to Kubernetes, and nothing else."""
        for name in self.platform.keys() - {"platforms"}:
            self._fault(f"the second document has a field {str(name)[:80]!r}, which there is not", "platforms")
        platforms = _mapping(self.platform.get("platforms"))
        for name in platforms.keys() - {"kubernetes"}:
            self._fault(f"there is a platform {str(name)[:80]!r}, which is not known here", "platforms")
        spec = _mapping(_mapping(platforms.get("kubernetes")).get("deploymentSpec"))
        return {str(label): _mapping(one) for label, one in _mapping(spec.get("executors")).items()}

    def _component(
        self, name: str, value: Mapping[str, Any], executors: Mapping[str, Executor], written: Mapping[str, Mapping[str, Any]]
    ) -> Component:
        where = f"components.{name}"
        self._fields(value, "component", where)
        for kind, inner in (("parameters", "input parameter"), ("artifacts", "input artifact")):
            for key, one in _mapping(_mapping(value.get("inputDefinitions")).get(kind)).items():
                self._fields(_mapping(one), inner, f"{where}.{key}")
                if kind == "parameters" and (wrong := str(_mapping(one).get("parameterType"))) not in _TYPES:
                    self._fault(f"the parameter {key} is of the type {wrong!r}, which there is not", where)
        if "dag" in value:
            return Component(dag=self._dag(_mapping(value["dag"]), where, written))
        label = str(value.get("executorLabel", ""))
        if label not in executors:
            self._fault(f"the component {name} has no executor ({label or 'none is named'})", where)
        return Component(label=label, executor=executors.get(label))

    def _executor(self, value: Any, where: str) -> Executor:
        spec = self._fields(_mapping(value), "executor", where)
        if len(spec) != 1:
            self._fault(f"an executor is one thing, not {', '.join(sorted(spec)) or 'nothing'}", where)
            return Executor(kind="")
        (kind,) = spec
        if kind != "container":
            return Executor(kind=kind)
        container = self._fields(_mapping(spec[kind]), "container", where)
        return Executor(
            kind=kind, image=str(container.get("image", "")), command=_words(container.get("command")),
            args=_words(container.get("args")),
            env=tuple(str(_mapping(one).get("name")) for one in _list(container.get("env"))),
            hooked=bool(container.get("lifecycle")),
        )  # fmt: skip

    def _dag(self, value: Mapping[str, Any], where: str, written: Mapping[str, Mapping[str, Any]]) -> Dag:
        spec = self._fields(value, "dag", where)
        tasks = {
            str(name): self._task(str(name), _mapping(one), f"{where}.{name}", written)
            for name, one in _mapping(spec.get("tasks")).items()
        }
        for task in tasks.values():
            for needed in task.needs:
                if needed not in tasks:
                    self._fault(f"it depends on the task {needed}, which there is not", f"{where}.{task.name}")
        return Dag(tasks=tasks, outputs=dict(self._outputs(_mapping(spec.get("outputs")), tasks, where)))

    def _outputs(
        self, value: Mapping[str, Any], tasks: Mapping[str, Task], where: str
    ) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
        for name, one in _mapping(value.get("artifacts")).items():
            chosen = [_mapping(each) for each in _list(_mapping(one).get("artifactSelectors"))]
            pairs = tuple((str(each.get("producerSubtask")), str(each.get("outputArtifactKey"))) for each in chosen)
            for producer, _ in pairs:
                if producer not in tasks:
                    self._fault(f"its output {name} is that of the task {producer}, which there is not", where)
            yield str(name), tuple(dict.fromkeys(pairs))

    def _task(self, name: str, value: Mapping[str, Any], where: str, written: Mapping[str, Mapping[str, Any]]) -> Task:
        spec = self._fields(value, "task", where)
        component = str(_mapping(spec.get("componentRef")).get("name", ""))
        inputs = self._fields(_mapping(spec.get("inputs")), "inputs", where)
        artifacts = self._given(inputs, "artifacts", "artifact given", where)
        parameters = self._given(inputs, "parameters", "parameter given", where)
        loops = [_mapping(spec.get(one)) for one in ("parameterIterator", "artifactIterator")]
        looped = frozenset(str(one.get("itemInput")) for one in loops if one)
        if component not in written:
            self._fault(f"its component {component or '(none)'} is not there", where)
        else:
            self._complete(
                written[component], {"artifacts": {*artifacts, *looped}, "parameters": {*parameters, *looped}}, where
            )
        trigger = self._fields(_mapping(spec.get("triggerPolicy")), "triggerPolicy", where)
        if (strategy := str(trigger.get("strategy", ""))) not in _STRATEGIES:
            self._fault(f"its trigger strategy is {strategy!r}, which there is not", where)
        caching = self._fields(_mapping(spec.get("cachingOptions")), "cachingOptions", where)
        producers = [one.get("producerTask") for one in _producers((*artifacts.values(), *parameters.values()))]
        return Task(
            name=name, component=component, artifacts=artifacts, parameters=parameters,
            needs=tuple(dict.fromkeys(str(one) for one in (*_list(spec.get("dependentTasks")), *producers))),
            cached=caching.get("enableCache") not in (None, False),
            anyway=strategy not in ("", "TRIGGER_STRATEGY_UNSPECIFIED", "ALL_UPSTREAM_TASKS_SUCCEEDED"),
            condition=str(trigger.get("condition", "")), looped=looped,
        )  # fmt: skip

    def _given(self, inputs: Mapping[str, Any], kind: str, known: str, where: str) -> dict[str, Mapping[str, Any]]:
        found = {str(name): _mapping(one) for name, one in _mapping(inputs.get(kind)).items()}
        for name, one in found.items():
            self._fields(one, known, f"{where}.{name}")
            chosen = [key for key in one if key != "parameterExpressionSelector"]
            if len(chosen) != 1:
                self._fault(f"its input {name} is given {len(chosen)} things: {', '.join(chosen) or 'nothing'}", where)
            for key in chosen:
                if key not in ("componentInputArtifact", "componentInputParameter"):
                    _mapping(one[key])
        return found

    def _complete(self, component: Mapping[str, Any], given: Mapping[str, set[str]], where: str) -> None:
        """Every required input is given. (More may be: the SDK hands on the channels that a text is made of.)"""
        asked = _mapping(component.get("inputDefinitions"))
        for kind, values in given.items():
            for name, one in _mapping(asked.get(kind)).items():
                if name not in values and _mapping(one).get("isOptional") is not True:
                    self._fault(f"nobody gives its required input {name}", where)

    def _fields(self, value: Mapping[str, Any], kind: str, where: str) -> Mapping[str, Any]:
        for name in value:
            if name not in _FIELDS[kind]:
                self._fault(f"{kind} has a field {str(name)[:80]!r}, which there is not", where)
        return value

    def _fault(self, sentence: str, where: str) -> None:
        self.faults.append((documents.line(sentence), documents.line(where)))


def _producers(given: Any) -> Iterator[Mapping[str, Any]]:
    for one in given:
        for key in ("taskOutputArtifact", "taskOutputParameter", "taskFinalStatus"):
            if key in one:
                yield _mapping(one[key])


def _mapping(value: Any) -> Mapping[str, Any]:
    """An object; nothing counts as an empty one, and anything else is no pipeline."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ArtifactRefused(f"an object was expected, not {str(value)[:60]!r}: this is no compiled pipeline")
    return value


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise ArtifactRefused(f"a list was expected, not {str(value)[:60]!r}: this is no compiled pipeline")
    return value


def _words(value: Any) -> tuple[str, ...]:
    return tuple(one if isinstance(one, str) else repr(one) for one in _list(value))


def _documents(data: bytes, what: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The pipeline, and what is said to a platform about its executors: volumes, secrets, variables."""
    if len(data) > MAX_BYTES:
        raise ArtifactRefused(f"{what} has {len(data):,} bytes; at most {MAX_BYTES:,} are read")
    try:
        read = yamls.documents(data, what=what, max_depth=MAX_DEPTH, max_nodes=MAX_NODES, aliases=False)
    except Malformed as error:
        raise ArtifactRefused(str(error)) from error
    if not 1 <= len(read) <= 2 or not all(isinstance(one, dict) for one in read):
        raise ArtifactRefused(f"{what} is no compiled pipeline", hint="kfp dsl compile --py pipeline.py --output pipeline.yaml")
    pipeline, *platform = read
    return pipeline, platform[0] if platform else {}
