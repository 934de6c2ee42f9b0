"""Pipelines in every shape that the SDK has, with a guarded promotion in it. (kfp cannot read postponed annotations.)"""

from typing import NamedTuple

from kfp import dsl

from pratique.components import gate, promote_model, uncached

PINNED = "registry.example/pratique@sha256:" + "a" * 64
RUN = {"policy": "p", "store": "s", "key": "k", "run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER}
Judged = NamedTuple("Judged", [("admitted", dsl.Artifact), ("clearance", dsl.Artifact)])  # noqa: UP014  # as kfp's docs have it


@dsl.component(base_image=PINNED, install_kfp_package=False)
def notify(status: dsl.PipelineTaskFinalStatus) -> None:
    print(status)


@dsl.component(base_image=PINNED, install_kfp_package=False)
def say(word: str) -> str:
    return word


@dsl.component(base_image="python:3.11")
def install() -> None:
    print("hello")


def guarded(model):
    given = dsl.importer(artifact_uri=model, artifact_class=dsl.Model, reimport=True)
    admission = gate(artifact=given.output, **RUN)
    promotion = promote_model(
        model=admission.outputs["admitted"], clearance=admission.outputs["clearance"], destination="d", channel="c", **RUN
    )
    uncached(given, admission, promotion)
    return promotion


@dsl.pipeline(name="inner")
def inner(model: str) -> str:
    return guarded(model).output


@dsl.pipeline(name="nested")
def nested(model: str):
    inner(model=model)


@dsl.pipeline(name="judge")
def judge(model: str) -> Judged:
    given = dsl.importer(artifact_uri=model, artifact_class=dsl.Model, reimport=True)
    admission = gate(artifact=given.output, **RUN)
    uncached(given, admission)
    return Judged(admission.outputs["admitted"], admission.outputs["clearance"])


@dsl.pipeline(name="apart")
def apart(model: str):
    """The gate in a pipeline of its own, whose outputs the promotion takes."""
    judged = judge(model=model)
    promotion = promote_model(
        model=judged.outputs["admitted"], clearance=judged.outputs["clearance"], destination="d", channel="c", **RUN
    )
    uncached(promotion)


@dsl.pipeline(name="crossed")
def crossed(model: str, other: str):
    """Two such gates, and a promotion that takes one thing of each."""
    one, two = judge(model=model), judge(model=other)
    promotion = promote_model(
        model=one.outputs["admitted"], clearance=two.outputs["clearance"], destination="d", channel="c", **RUN
    )
    uncached(promotion)


@dsl.pipeline(name="with-exit")
def with_exit(model: str):
    with dsl.ExitHandler(notify()):
        guarded(model)


@dsl.pipeline(name="two-exits")
def two_exits(model: str):
    with dsl.ExitHandler(notify()):
        guarded(model)
    with dsl.ExitHandler(notify()):
        say(word="x")


@dsl.pipeline(name="condition")
def condition(model: str, word: str):
    with dsl.If(say(word=word).output == "x"):
        guarded(model)


@dsl.pipeline(name="loop")
def loop():
    with dsl.ParallelFor(["a", "b"]) as model:
        guarded(model)


@dsl.pipeline(name="anyway")
def anyway(model: str):
    say(word="denied, and still running").after(guarded(model)).ignore_upstream_failure()


@dsl.pipeline(name="cached")
def cached(model: str):
    given = dsl.importer(artifact_uri=model, artifact_class=dsl.Model, reimport=True)
    gate(artifact=given.output, **RUN)


@dsl.pipeline(name="plain")
def plain():
    install()
