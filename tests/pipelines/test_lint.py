"""Compiled pipelines, edited by somebody: each change is found by its rule, and the honest pipeline passes in silence."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pratique.checking import Report, Severity
from pratique.errors import ArtifactRefused, UsageError
from pratique.pipelines import RULES, knowing, lint
from pratique.pipelines.linting import RUN_ID
from pratique.pipelines.reading import MAX_DEPTH
from pratique.signing import KeySigner
from tests.conftest import Pratique

ROOT = Path(__file__).resolve().parents[2]
PINNED = "registry.example/pratique@sha256:" + "a" * 64
HONEST = yaml.safe_load((ROOT / "components/transfer_learning.yaml").read_text().replace("pratique:0.1.0", PINNED))

Spec = dict[str, Any]


def look(spec: Spec, **more: Any) -> Report:
    return lint(json.dumps(spec).encode(), **more)


def rules(report: Report, least: Severity = Severity.MEDIUM) -> set[str]:
    return {one.rule for one in report.findings if one.severity >= least}


def tasks(spec: Spec) -> Spec:
    found: Spec = spec["root"]["dag"]["tasks"]
    return found


# --- the honest one -----------------------------------------------------------------------------------------------------


def test_our_own_pipeline_from_a_pinned_image_passes_in_silence() -> None:
    report = look(HONEST)
    assert report.findings == ()
    assert report.measures == {"tasks": 8, "gates": 3, "promotions": 1, "checks": 1}


def test_yaml_and_json_are_one() -> None:
    assert lint(yaml.safe_dump(HONEST).encode()).findings == ()


@pytest.mark.parametrize("path", sorted((ROOT / "components").glob("*/component.yaml")), ids=lambda path: path.parent.name)
def test_each_component_of_the_catalogue_is_known_by_its_command(path: Path) -> None:
    """Compiled alone, a component takes its run_id from whoever runs it: that is true, and all but the image."""
    assert rules(lint(path.read_bytes())) <= {"image-by-tag", "run-not-bound", "promotion-without-gate"}


# --- edited by somebody -------------------------------------------------------------------------------------------------


def unknown_field(spec: Spec) -> None:
    tasks(spec)["gate"]["bogus"] = 1


def unknown_type(spec: Spec) -> None:
    spec["components"]["comp-gate"]["inputDefinitions"]["parameters"]["key"]["parameterType"] = "STRINGG"


def no_executors(spec: Spec) -> None:
    spec["deploymentSpec"]["executors"].clear()


def another_component(spec: Spec) -> None:
    tasks(spec)["gate"]["componentRef"]["name"] = "comp-nothing"


def a_required_input_dropped(spec: Spec) -> None:
    del tasks(spec)["gate"]["inputs"]["parameters"]["policy"]


def a_dependency_on_nothing(spec: Spec) -> None:
    tasks(spec)["gate"]["dependentTasks"] = ["ghost"]


def an_input_from_nothing(spec: Spec) -> None:
    tasks(spec)["promote-model"]["inputs"]["artifacts"]["model"]["taskOutputArtifact"]["producerTask"] = "ghost"


def the_cache_on(spec: Spec) -> None:
    tasks(spec)["gate-3"]["cachingOptions"] = {"enableCache": True}


def the_cache_on_by_a_text(spec: Spec) -> None:
    tasks(spec)["gate-3"]["cachingOptions"] = {"enableCache": "true"}


def promotion_runs_anyway(spec: Spec) -> None:
    tasks(spec)["promote-model"]["triggerPolicy"] = {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}


def a_gate_runs_anyway(spec: Spec) -> None:
    tasks(spec)["gate-2"]["triggerPolicy"] = {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}


def training_runs_anyway(spec: Spec) -> None:
    tasks(spec)["fine-tune-digits"]["triggerPolicy"] = {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}


def a_strategy_of_another_name(spec: Spec) -> None:
    tasks(spec)["promote-model"]["triggerPolicy"] = {"strategy": "WHENEVER"}


def no_version(spec: Spec) -> None:
    del spec["schemaVersion"]


def the_gate_emptied(spec: Spec) -> None:
    command = spec["deploymentSpec"]["executors"]["exec-gate-3"]["container"]["command"]
    command[-1] = command[-1].replace("    steps.gate(", "    print(")


def the_gate_with_a_line_before(spec: Spec) -> None:
    command = spec["deploymentSpec"]["executors"]["exec-gate-3"]["container"]["command"]
    command[-1] = "import os\n" + command[-1]


def promotion_renamed(spec: Spec) -> None:
    container = spec["deploymentSpec"]["executors"]["exec-promote-model"]["container"]
    container["args"][-1] = "deploy"


def a_tag(spec: Spec) -> None:
    spec["deploymentSpec"]["executors"]["exec-gate"]["container"]["image"] = "pratique:latest"


def a_digest_that_is_cut_off(spec: Spec) -> None:
    spec["deploymentSpec"]["executors"]["exec-gate"]["container"]["image"] = PINNED[:-1]


def another_run(spec: Spec) -> None:
    tasks(spec)["gate"]["inputs"]["parameters"]["run_id"]["runtimeValue"]["constant"] = "yesterday"


def a_run_id_by_whoever_starts_it(spec: Spec) -> None:
    tasks(spec)["promote-model"]["inputs"]["parameters"]["run_id"] = {"componentInputParameter": "channel"}


def the_model_of_the_training(spec: Spec) -> None:
    made = {"producerTask": "fine-tune-digits", "outputArtifactKey": "model"}
    tasks(spec)["promote-model"]["inputs"]["artifacts"]["model"] = {"taskOutputArtifact": made}


def the_clearance_of_another_gate(spec: Spec) -> None:
    tasks(spec)["promote-model"]["inputs"]["artifacts"]["clearance"]["taskOutputArtifact"]["producerTask"] = "gate"


def a_clearance_from_outside(spec: Spec) -> None:
    tasks(spec)["promote-model"]["inputs"]["artifacts"]["clearance"] = {"componentInputArtifact": "clearance"}


def the_report_for_a_clearance(spec: Spec) -> None:
    tasks(spec)["promote-model"]["inputs"]["artifacts"]["clearance"]["taskOutputArtifact"]["outputArtifactKey"] = "report"


def no_clearance(spec: Spec) -> None:
    del tasks(spec)["promote-model"]["inputs"]["artifacts"]["clearance"]


def a_condition(spec: Spec) -> None:
    tasks(spec)["promote-model"]["triggerPolicy"] = {"condition": "inputs.parameter_values['channel'] == 'x'"}


def a_trusted_host(spec: Spec) -> None:
    command = spec["deploymentSpec"]["executors"]["exec-fine-tune-digits"]["container"]["command"]
    command[-1] = "pip install --trusted-host pypi.example x\n" + command[-1]


def container(spec: Spec, name: str = "exec-gate-3") -> Spec:
    found: Spec = spec["deploymentSpec"]["executors"][name]["container"]
    return found


def another_python_path(spec: Spec) -> None:
    container(spec)["env"] = [{"name": "PYTHONPATH", "value": "/gcs/evil"}]


def a_hook_before_it(spec: Spec) -> None:
    container(spec, "exec-promote-model")["lifecycle"] = {"preCacheCheck": {"command": ["sh", "-c", "x"]}}


def a_custom_job(spec: Spec) -> None:
    spec["deploymentSpec"]["executors"]["exec-promote-model"] = {"customJob": {"customJob": {}}}


def promotion_by_the_library(spec: Spec) -> None:
    command = container(spec, "exec-fine-tune-digits")["command"]
    command[-1] = "from pratique import promotion\npromotion.promote('x')\n" + command[-1]


def promotion_by_another_import(spec: Spec) -> None:
    command = container(spec, "exec-fine-tune-digits")["command"]
    command[-1] = "from pratique.steps import promote as p\np()\n" + command[-1]


def a_run_id_from_a_loop(spec: Spec) -> None:
    tasks(spec)["promote-model"]["parameterIterator"] = {"items": {"raw": '["old-run"]'}, "itemInput": "run_id"}


def a_clearance_from_a_loop(spec: Spec) -> None:
    tasks(spec)["promote-model"]["artifactIterator"] = {"items": {"inputArtifact": "x"}, "itemInput": "clearance"}


def a_run_id_by_an_expression(spec: Spec) -> None:
    tasks(spec)["gate"]["inputs"]["parameters"]["run_id"]["parameterExpressionSelector"] = "parseJson(string_value)['x']"


def two_sources_in_one_input(spec: Spec) -> None:
    tasks(spec)["promote-model"]["inputs"]["artifacts"]["clearance"]["componentInputArtifact"] = "clearance"


def a_type_that_is_a_list(spec: Spec) -> None:
    spec["components"]["comp-gate"]["inputDefinitions"]["parameters"]["key"]["parameterType"] = []


def a_task_after_a_sub_pipeline_with_the_gate(spec: Spec) -> None:
    spec["components"]["comp-judge"] = {"dag": {"tasks": {"gate": copy.deepcopy(tasks(spec)["gate"])}}}
    tasks(spec)["judge"] = {"componentRef": {"name": "comp-judge"}}
    tasks(spec)["deploy"] = {
        "componentRef": {"name": "comp-fine-tune-digits"}, "dependentTasks": ["judge"],
        "triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"},
    }  # fmt: skip


MUTATIONS: dict[Callable[[Spec], None], str] = {
    unknown_field: "ir-malformed", unknown_type: "ir-malformed", no_executors: "ir-malformed",
    another_component: "ir-malformed", a_required_input_dropped: "ir-malformed", a_dependency_on_nothing: "ir-malformed",
    an_input_from_nothing: "ir-malformed", no_version: "ir-malformed", a_strategy_of_another_name: "ir-malformed",
    the_cache_on: "cached",
    the_cache_on_by_a_text: "cached", promotion_runs_anyway: "ignores-upstream-failure",
    a_gate_runs_anyway: "ignores-upstream-failure", training_runs_anyway: "ignores-upstream-failure",
    the_gate_emptied: "component-altered", the_gate_with_a_line_before: "component-altered",
    promotion_renamed: "component-altered", a_tag: "image-by-tag", a_digest_that_is_cut_off: "image-by-tag",
    another_run: "run-not-bound", a_run_id_by_whoever_starts_it: "run-not-bound",
    the_model_of_the_training: "promotion-without-gate", the_clearance_of_another_gate: "promotion-without-gate",
    a_clearance_from_outside: "promotion-without-gate", the_report_for_a_clearance: "promotion-without-gate",
    another_python_path: "environment-altered", a_hook_before_it: "environment-altered", a_custom_job: "executor-unknown",
    promotion_by_the_library: "component-altered", promotion_by_another_import: "component-altered",
    a_run_id_from_a_loop: "run-not-bound", a_clearance_from_a_loop: "promotion-without-gate",
    a_run_id_by_an_expression: "run-not-bound", two_sources_in_one_input: "ir-malformed",
    a_type_that_is_a_list: "ir-malformed", a_task_after_a_sub_pipeline_with_the_gate: "ignores-upstream-failure",
    no_clearance: "promotion-without-gate", a_condition: "conditional", a_trusted_host: "trusted-host",
}  # fmt: skip


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.__name__)
def test_an_edited_pipeline(mutation: Callable[[Spec], None]) -> None:
    spec = copy.deepcopy(HONEST)
    mutation(spec)
    assert MUTATIONS[mutation] in rules(look(spec))


def platform(told: Any) -> bytes:
    document = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-gate-3": told}}}}}
    return f"{json.dumps(HONEST)}\n---\n{json.dumps(document)}".encode()


@pytest.mark.parametrize(
    "told",
    [
        {"pvcMount": [{"mountPath": "/usr/lib/python3/site-packages/pratique"}]},
        {"configMapAsEnv": [{"keyToEnv": [{"envVar": "PYTHONPATH"}]}]}, {"secretAsVolume": [{"mountPath": "/keys/../usr"}]},
        {"fieldPathAsEnv": [{"name": "LD_PRELOAD"}]}, {"somethingNew": {}}, {"emptyDirMounts": [{}]},
    ],
)  # fmt: skip
def test_what_kubernetes_is_told_that_can_change_what_runs(told: Any) -> None:
    assert rules(lint(platform(told))) == {"environment-altered"}


@pytest.mark.parametrize(
    "told",
    [
        {"secretAsVolume": [{"mountPath": "/keys"}], "securityContext": {"runAsUser": 1}, "imagePullPolicy": "Always"},
        {"secretAsEnv": [{"keyToEnv": [{"envVar": "AWS_SECRET_ACCESS_KEY"}]}]},
        {"emptyDirMounts": [{"mountPath": "/tmp"}]},
    ],
)
def test_what_kubernetes_is_told_and_a_gate_needs(told: Any) -> None:
    assert lint(platform(told)).findings == ()


def test_a_second_document_of_another_kind() -> None:
    assert rules(lint(f"{json.dumps(HONEST)}\n---\n{json.dumps(HONEST)}".encode())) == {"ir-malformed"}


def test_a_component_of_ones_own_that_only_shares_a_name() -> None:
    spec = copy.deepcopy(HONEST)
    command = container(spec, "exec-fine-tune-digits")
    command["command"], command["args"] = ["python", "-c", "def gate(x): return x"], ["--function_to_execute", "gate", "audit"]
    assert look(spec).findings == ()


def test_every_rule_has_a_case_here() -> None:
    compiled = {"several-exit-handlers", "installs-at-run-time"}
    assert set(MUTATIONS.values()) | compiled == set(RULES)


def test_a_gate_by_its_name_only_guards_nothing() -> None:
    """All of it is somebody's own: nothing here claims to be of the catalogue, except the promotion."""
    spec = copy.deepcopy(HONEST)
    container = spec["deploymentSpec"]["executors"]["exec-gate-3"]["container"]
    container["command"], container["args"] = ["true"], []
    assert "promotion-without-gate" in rules(look(spec))


def test_two_tasks_whose_joined_names_are_equal_are_two() -> None:
    """A slash in a name: what stands in the sub-pipeline `a` under the name `b`, and what is called `a/b` outside of it."""
    spec = copy.deepcopy(HONEST)
    inner = {"dag": {"tasks": {"b": tasks(spec)["gate-3"]}}}
    spec["components"]["comp-sub"] = inner
    tasks(spec)["a"] = {"componentRef": {"name": "comp-sub"}, "taskInfo": {"name": "a"}}
    fake = copy.deepcopy(tasks(spec)["fine-tune-digits"])
    tasks(spec)["a/b"] = fake
    for one in tasks(spec)["promote-model"]["inputs"]["artifacts"].values():
        one["taskOutputArtifact"]["producerTask"] = "a/b"
    assert "promotion-without-gate" in rules(look(spec))


# --- reviewed components of somebody's own ------------------------------------------------------------------------------


def test_an_altered_gate_that_was_reviewed_is_accepted() -> None:
    spec = copy.deepcopy(HONEST)
    the_gate_with_a_line_before(spec)
    (found,) = (one for one in look(spec).findings if one.rule == "component-altered")
    digest = found.message.rpartition("(")[2].rstrip(")")
    assert look(spec, accepted=knowing.accepted((f"gate={digest}",))).findings == ()
    assert rules(look(spec, accepted=knowing.accepted((f"check={digest}",)))) == {"promotion-without-gate"}


@pytest.mark.parametrize("word", ["", "gate", "gate=", "gate=sha256:12", "door=sha256:" + "a" * 64, "gate=" + "a" * 64])
def test_what_accepts_nothing(word: str) -> None:
    with pytest.raises(UsageError, match="accepts nothing"):
        knowing.accepted((word,))


# --- as the SDK compiles them -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Spec]:
    """A pipeline of `shapes`, compiled by the real SDK, with the catalogue's image pinned."""
    compiler = pytest.importorskip("kfp.compiler")
    from pratique.components.image import IMAGE
    from tests.pipelines import shapes

    def compile_(name: str) -> Spec:
        path = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
        compiler.Compiler().compile(getattr(shapes, name), str(path))
        spec: Spec = next(yaml.safe_load_all(path.read_text().replace(IMAGE, PINNED)))
        return spec

    return compile_


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("inner", set()), ("nested", set()), ("with_exit", set()), ("loop", set()), ("apart", set()),
        ("condition", {"conditional"}), ("crossed", {"promotion-without-gate"}),
        ("two_exits", {"several-exit-handlers"}), ("anyway", {"ignores-upstream-failure"}), ("cached", {"cached"}),
        ("plain", set()),
    ],
)  # fmt: skip
def test_a_shape_of_the_sdk(compiled: Callable[[str], Spec], name: str, expected: set[str]) -> None:
    assert rules(look(compiled(name))) == expected


def test_a_lightweight_component_that_installs_the_sdk_is_told_mildly(compiled: Callable[[str], Spec]) -> None:
    report = look(compiled("plain"))
    assert {(one.rule, one.severity) for one in report.findings} == {
        ("image-by-tag", Severity.LOW), ("installs-at-run-time", Severity.LOW),
    }  # fmt: skip


# --- bytes of anybody ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"", b"hello", b"[]", b"{}", b"a: 1", b"\xff\xfe", b"a: [", b"root: {dag: {tasks: []}}", b"root: 3", b"a: 1\na: 2",
        b"root: !!python/object/apply:os.system [echo]", b"a: &x [1]\nb: *x", b"[" * (MAX_DEPTH + 1), b"{" * 200_000,
        b"a: 1\n---\nb: 1\n---\nc: 1", b"? [a]\n: 1", b"a: 1:0:0", b"a: [" + b"a," * 600_000 + b"]",
    ],
    ids=lambda data: repr(data[:24]),
)  # fmt: skip
def test_what_is_no_pipeline(data: bytes) -> None:
    with pytest.raises(ArtifactRefused):
        lint(data)


def test_a_component_that_contains_itself() -> None:
    spec = copy.deepcopy(HONEST)
    spec["components"]["comp-loop"] = {"dag": {"tasks": {"again": {"componentRef": {"name": "comp-loop"}}}}}
    tasks(spec)["loop"] = {"componentRef": {"name": "comp-loop"}}
    with pytest.raises(ArtifactRefused, match="deep"):
        look(spec)


def test_components_that_multiply() -> None:
    spec = copy.deepcopy(HONEST)
    for level in range(8):
        inner = f"comp-{level + 1}" if level < 7 else "comp-gate"
        spec["components"][f"comp-{level}"] = {"dag": {"tasks": {f"t{n}": {"componentRef": {"name": inner}} for n in range(8)}}}
    tasks(spec)["bomb"] = {"componentRef": {"name": "comp-0"}}
    with pytest.raises(ArtifactRefused, match="more than"):
        look(spec)


def test_outputs_of_outputs_are_followed_once_each() -> None:
    spec = copy.deepcopy(HONEST)
    for level in range(25):
        inner = {"componentRef": {"name": f"comp-{level + 1}" if level < 24 else "comp-gate"}}
        selectors = [{"producerSubtask": "in", "outputArtifactKey": one} for one in ("a", "b")]
        outputs = {"artifacts": {one: {"artifactSelectors": selectors} for one in ("a", "b")}}
        spec["components"][f"comp-{level}"] = {"dag": {"tasks": {"in": inner}, "outputs": outputs}}
    tasks(spec)["deep"] = {"componentRef": {"name": "comp-0"}}
    made = {"producerTask": "deep", "outputArtifactKey": "a"}
    tasks(spec)["promote-model"]["inputs"]["artifacts"]["model"] = {"taskOutputArtifact": made}
    assert "promotion-without-gate" in rules(look(spec))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from([RUN_ID, "gate", "comp-gate", "root"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["dag", "tasks", "name", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_edit_is_a_report_or_a_refusal(data: st.DataObject) -> None:
    spec: Any = copy.deepcopy(HONEST)
    place, key = None, None
    here: Any = spec
    for _ in range(data.draw(st.integers(1, 9))):
        if not isinstance(here, (dict, list)) or not here:
            break
        place = here
        key = data.draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
        here = here[key]
    place[key] = data.draw(VALUES)  # type: ignore[index]
    try:
        report = look(spec)
    except ArtifactRefused:
        return
    assert set(report.measures) == {"tasks", "gates", "promotions", "checks"}


# --- on the command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def honest(tmp_path: Path) -> Path:
    path = tmp_path / "pipeline.yaml"
    path.write_text(yaml.safe_dump(HONEST))
    return path


def test_the_command_passes_and_denies(pratique: Pratique, honest: Path) -> None:
    code, out, err = pratique("kfp", "lint", honest)
    assert (code, err) == (0, "") and "8 tasks, 3 gates, 1 checks, 1 promotions; 0 findings" in out
    spec = copy.deepcopy(HONEST)
    a_condition(spec)
    honest.write_text(yaml.safe_dump(spec))
    assert pratique("kfp", "lint", honest)[0] == 0
    code, out, _ = pratique("kfp", "lint", honest, "--deny-at", "medium", "--format", "json")
    told = json.loads(out)
    assert (code, told["verdict"], told["findings"][0]["rule"]) == (1, "denied", "conditional")


def test_a_pipeline_is_signed_verified_and_edited(pratique: Pratique, honest: Path, tmp_path: Path) -> None:
    KeySigner.generate().save(tmp_path / "ci.key")
    assert pratique("kfp", "sign", honest, "--key", tmp_path / "ci.key")[0] == 0
    assert pratique("kfp", "verify", honest, "--trust", tmp_path / "ci.pub")[0] == 0
    honest.write_text(honest.read_text().replace("'{{$.pipeline_job_uuid}}'", "mine"))
    code, _, err = pratique("kfp", "verify", honest, "--trust", tmp_path / "ci.pub")
    assert code == 5 and "changed" in err


def test_bad_input_on_the_command_line(pratique: Pratique, tmp_path: Path) -> None:
    (tmp_path / "text.yaml").write_text("hello")
    KeySigner.generate().save(tmp_path / "ci.key")
    for command in ("lint", "sign", "verify"):
        more = {"lint": [], "sign": ["--key", tmp_path / "ci.key"], "verify": ["--trust", tmp_path / "ci.pub"]}[command]
        for name in ("absent.yaml", "text.yaml", "."):
            code, out, err = pratique("kfp", command, tmp_path / name, *more)
            assert (code, out) == (3, ""), err
    assert pratique("kfp", "sign", ROOT / "components/transfer_learning.yaml")[0] == 2
    assert not list(tmp_path.glob("*.sig"))
