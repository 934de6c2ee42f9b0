"""Where each input of a task comes from, through conditions, loops, exit handlers and sub-pipelines.

A DAG inside of a DAG is a task of the outer one. Its tasks take `componentInputArtifact`, which the outer task was given; what
they make leaves by the DAG's outputs, which can come from several of them (`dsl.OneOf`). A component can be used by several
tasks, so a task is known by the names of all that it stands in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pratique import documents
from pratique.errors import ArtifactRefused
from pratique.pipelines.reading import Component, Dag, Pipeline, Task

MOST = 10_000
"""Tasks in all. A component that is used by several tasks, several levels deep, multiplies."""

_DEEPEST = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One task of a run, with all that it stands in."""

    task: Task
    component: Component
    inside: tuple[Node, ...]
    """The tasks around it, the outermost first."""

    dag: Dag
    """The one that it is a task of."""

    @property
    def key(self) -> tuple[str, ...]:
        """The names of all that it stands in, and its own. (A name can hold any character, so a joined text is no key.)"""
        return (*(one.task.name for one in self.inside), self.task.name)

    @property
    def path(self) -> str:
        """Its name in a report."""
        return documents.line("/".join(self.key))

    @property
    def around(self) -> tuple[Node, ...]:
        """Itself, and every task that it stands in."""
        return (*self.inside, self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One thing that an input can be."""

    node: Node | None
    """The task that makes it; None if whoever starts the run gives it, or nobody can tell."""

    output: str
    """The name of that task's output, or of the run's input."""


def nodes(pipeline: Pipeline) -> list[Node]:
    """Every task that a run can have.

    Raises:
        ArtifactRefused: more than anybody runs, or a component that contains itself.
    """
    found: list[Node] = []
    for one in _inside(pipeline, pipeline.root, ()):
        found.append(one)
        if len(found) > MOST:
            raise ArtifactRefused(f"the pipeline has more than {MOST:,} tasks")
    return found


def _inside(pipeline: Pipeline, dag: Dag, around: tuple[Node, ...]) -> Iterator[Node]:
    if len(around) > _DEEPEST:
        raise ArtifactRefused(f"components lie in each other more than {_DEEPEST} deep")
    for task in dag.tasks.values():
        component = pipeline.components.get(task.component, Component())
        node = Node(task=task, component=component, inside=around, dag=dag)
        yield node
        if component.dag is not None:
            yield from _inside(pipeline, component.dag, (*around, node))


def sources(pipeline: Pipeline, node: Node, artifact: str) -> tuple[Source, ...]:
    """Everything that an artifact which a task is given can be; none if it is given none.

    Raises:
        ArtifactRefused: it can be more than anybody can tell.
    """
    given = node.task.artifacts.get(artifact)
    if artifact in node.task.looped:
        return (Source(node=None, output=f"each item of a loop over {artifact}"),)
    if given is None:
        return ()
    if "taskOutputArtifact" in given:
        made = given["taskOutputArtifact"]
        producer, output = str(made.get("producerTask")), str(made.get("outputArtifactKey"))
        return tuple(_made(pipeline, node.dag, node.inside, producer, output))
    name = str(given.get("componentInputArtifact", ""))
    return sources(pipeline, node.inside[-1], name) if node.inside else (Source(node=None, output=name),)


def constant(node: Node, parameter: str) -> Any:
    """What a task is given for a parameter in the compiled file itself; None if it is made or given during the run."""
    given = node.task.parameters.get(parameter, {})
    if parameter in node.task.looped or "parameterExpressionSelector" in given:
        return None
    if "runtimeValue" in given:
        return given["runtimeValue"].get("constant")
    if "componentInputParameter" in given and node.inside:
        return constant(node.inside[-1], str(given["componentInputParameter"]))
    return None


def _made(pipeline: Pipeline, dag: Dag, inside: tuple[Node, ...], producer: str, output: str) -> list[Source]:
    """Breadth first, and each place once: outputs of outputs can multiply."""
    found: dict[tuple[str, ...], Source] = {}
    waiting = [(dag, inside, producer, output)]
    met = {(*(one.task.name for one in inside), producer, output)}
    for here, around, name, word in waiting:  # it grows as it goes
        task = here.tasks.get(name)
        component = pipeline.components.get(task.component, Component()) if task else Component()
        key = (*(one.task.name for one in around), name, word)
        if task is None or (component.dag is not None and word not in component.dag.outputs):
            found[key] = Source(node=None, output=f"{name}.{word}")
            continue
        node = Node(task=task, component=component, inside=around, dag=here)
        if component.dag is None:
            found[key] = Source(node=node, output=word)
            continue
        for inner, key_ in component.dag.outputs[word]:
            step = (*node.key, inner, key_)
            if step not in met:
                met.add(step)
                waiting.append((component.dag, (*around, node), inner, key_))
        if len(met) > MOST:
            raise ArtifactRefused(f"an input can come from more than {MOST:,} places")
    return list(found.values())


def downstream(dag: Dag, first: Iterable[str]) -> frozenset[str]:
    """The tasks of a DAG that come after any of these."""
    after: dict[str, list[str]] = {}
    for task in dag.tasks.values():
        for need in task.needs:
            after.setdefault(need, []).append(task.name)
    found: set[str] = set()
    waiting = list(first)
    while waiting:
        for name in after.get(waiting.pop(), ()):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return frozenset(found)
