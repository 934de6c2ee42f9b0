"""The catalogue as files: what is compiled, what is generated, what may be imported, and what Kubeflow refuses to compile."""

from __future__ import annotations

import ast
import configparser
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from kfp import compiler, components, dsl

import pratique.components
from pratique import checking
from pratique.components import gate, promote_model, scan_artifact, uncached

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "components"
NAMES = sorted(path.parent.name for path in FOLDER.glob("*/component.py"))
CODE = [*FOLDER.glob("*/component.py"), FOLDER / "transfer_learning.py"]
GUARDED = {
    "gate": {"artifact", "policy", "store", "key", "run_id"},
    "promote_model": {"model", "clearance", "policy", "store", "key", "destination", "channel", "run_id"},
    "audit": {"destination", "policy", "store", "key", "renew", "run_id"},
}
"""Inputs of the doors: each is needed, none has a default."""


@pytest.fixture(scope="module")
def tool() -> Any:
    """tools/components.py, which finds its neighbours beside itself."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        import components as found  # type: ignore[import-not-found]

        yield found
    finally:
        sys.path.remove(str(ROOT / "tools"))
        for name in ("components", "component_pages", "operators"):
            sys.modules.pop(name, None)


def ir(name: str) -> dict[str, Any]:
    """A compiled component, or the compiled pipeline, as it ships."""
    path = FOLDER / f"{name}.yaml" if name == "transfer_learning" else FOLDER / name / "component.yaml"
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def inputs(name: str) -> dict[str, Any]:
    (component,) = ir(name)["components"].values()
    given = component["inputDefinitions"]
    return {**given.get("parameters", {}), **given.get("artifacts", {})}


def tasks(compiled: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = compiled["root"]["dag"]["tasks"]
    return found


# --- generated files ----------------------------------------------------------------------------------------------------


def test_what_is_generated_is_up_to_date(tool: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("PRATIQUE_IMAGE", "registry.example/mine")  # of whoever runs this; it must not get into a file
    assert tool.main(["--check"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_a_compiled_component_survives_being_loaded_and_compiled_again(tool: Any, name: str, tmp_path: Path) -> None:
    text = (FOLDER / name / "component.yaml").read_text(encoding="utf-8")
    again = tool.component_pages.compiled_component(components.load_component_from_text(text))
    assert tool.same(document(again), document(text))


def document(text: str) -> str:
    """Without the comment at the top, which kfp writes from another part of the docstring the second time."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))


def test_the_compiled_pipeline_survives_being_loaded_and_compiled_again(tool: Any) -> None:
    text = (FOLDER / "transfer_learning.yaml").read_text(encoding="utf-8")
    assert tool.same(tool.component_pages.compile_(components.load_component_from_text(text)), text)


def test_another_version_of_kfp_is_no_drift_but_a_changed_step_is(tool: Any) -> None:
    text = (FOLDER / "gate" / "component.yaml").read_text(encoding="utf-8")
    assert tool.same(text, re.sub(r"sdkVersion: .*", "sdkVersion: kfp-2.99.9", text))
    assert not tool.same(text, text.replace("steps.gate", "print"))


def test_stale_and_missing_files_are_found_and_mended(tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "components", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "ruff.toml", tmp_path)  # how wide a line is
    monkeypatch.setattr(tool, "FOLDER", folder)
    monkeypatch.setattr(tool.component_pages, "compiled", lambda *_: {})  # compiling is the other tests' business
    assert tool.main(["--check"]) == 0
    step = folder / "scan_artifact" / "component.py"
    step.write_text(step.read_text() + "\n# by hand\n")
    (folder / "gate" / "metadata.yaml").unlink()
    assert tool.main(["--check"]) == 1
    assert tool.main([]) == 0 and tool.main(["--check"]) == 0
    assert "by hand" not in step.read_text()


# --- the catalogue is whole ---------------------------------------------------------------------------------------------


def test_every_check_of_ours_has_a_component(tool: Any) -> None:
    expected = {tool.component_name(check) for check in tool.own_checks()}
    assert expected and expected | {"audit", "gate", "promote_model"} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_folder_is_whole_and_is_packaged(name: str) -> None:
    whole = {"__init__.py", "component.py", "component.yaml", "metadata.yaml", "README.md"}
    assert {path.name for path in (FOLDER / name).iterdir() if path.name != "__pycache__"} == whole
    installed = files("pratique.components") / name
    assert {one.name for one in installed.iterdir() if one.name != "__pycache__"} == whole
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert f"pratique.components.{name}" in config["options"]["packages"].split()


@pytest.mark.parametrize("name", NAMES)
def test_metadata_follows_the_convention_of_kubeflows_own_catalogue(name: str) -> None:
    told = yaml.safe_load((FOLDER / name / "metadata.yaml").read_text(encoding="utf-8"))
    assert set(told) <= {"name", "stability", "dependencies", "tags", "lastVerified", "ci", "links"}
    assert told["name"] == name and told["stability"] in ("alpha", "beta", "stable")
    assert [one["name"] for one in told["dependencies"]["kubeflow"]] == ["Pipelines"]
    assert isinstance(told["lastVerified"], datetime) and told["tags"] and told["links"]


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(GUARDED)))
def test_a_components_options_are_its_checks_options(tool: Any, name: str) -> None:
    by_name = {tool.component_name(check): check for check in tool.own_checks()}
    chosen = checking.load(by_name[name])
    asked = set(inputs(name)) - {"artifact", "run_id", "policy", "kind", "deny_at", "store", "key"}
    assert asked == set(chosen.options.model_fields)
    for option, field in chosen.options.model_fields.items():
        default = inputs(name)[option].get("defaultValue")
        assert default in (None, field.default), "a default of its own would ask something else than the check's"


# --- names --------------------------------------------------------------------------------------------------------------


def test_the_package_offers_components_and_not_their_folders() -> None:
    import pratique.components.gate
    import pratique.components.gate.component
    import pratique.components.promote_model.component

    for name in pratique.components.__all__:
        assert not isinstance(getattr(pratique.components, name), ModuleType)
    assert pratique.components.gate is gate and sys.modules["pratique.components.gate"].gate is gate
    with pytest.raises(AttributeError):
        pratique.components.gaet  # noqa: B018


def test_nothing_is_loaded_before_it_is_used() -> None:
    code = "import sys, pratique.components; print([m for m in ('kfp', 'pydantic', 'pratique.steps') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize("given", ["", "registry.example/pratique@sha256:" + "0" * 64])
def test_the_image_is_the_users_choice_and_has_the_version_for_a_tag(given: str) -> None:
    code = "import pratique.components as c; print(c.IMAGE)"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PRATIQUE_IMAGE": given}
    )
    assert told.stdout.strip() == (given or f"pratique:{pratique.__version__}")


# --- what stands in a component's file ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", CODE, ids=[str(path.relative_to(FOLDER)) for path in CODE])
def test_a_component_imports_next_to_nothing(path: Path) -> None:
    """Only the function is copied into a pipeline; and kfp cannot read postponed annotations."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    allowed = {"kfp", "pratique.components"} if path.parent == FOLDER else {"kfp", "pratique.components.image"}
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
            for name in names:
                assert name != "__future__", f"{path}: annotations must stay what they are"
                standard = name.partition(".")[0] in sys.stdlib_module_names
                assert standard or any(name == one or name.startswith(one + ".") for one in allowed), f"{path} imports {name}"
    inner = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom)) and node not in tree.body]
    assert inner and all(isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pratique") for node in inner)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_installs_nothing_and_runs_a_few_lines(name: str) -> None:
    (executor,) = ir(name)["deploymentSpec"]["executors"].values()
    container = executor["container"]
    assert container["image"] == f"pratique:{pratique.__version__}"
    assert "pip install" not in " ".join(container["command"])
    body = ast.parse(container["command"][-1]).body[-1]
    assert isinstance(body, ast.FunctionDef) and len(body.body) <= 4, "a docstring, an import, and a call"


# --- what Kubeflow refuses to compile -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(GUARDED))
def test_no_input_of_a_door_has_a_default(name: str) -> None:
    found = inputs(name)
    assert set(found) == GUARDED[name]
    assert not [key for key, one in found.items() if one.get("isOptional") or "defaultValue" in one]


@pytest.mark.parametrize("name", NAMES)
def test_every_step_must_be_told_its_run(name: str) -> None:
    assert not inputs(name)["run_id"].get("isOptional")


@pytest.mark.parametrize("name", NAMES)
def test_no_file_of_a_component_asks_for_the_cache(name: str) -> None:
    assert [task["cachingOptions"] for task in tasks(ir(name)).values()] == [{}]


def test_no_task_of_the_pipeline_is_answered_from_the_cache_or_shares_its_run() -> None:
    compiled = ir("transfer_learning")
    assert len(tasks(compiled)) == 8
    for name, task in tasks(compiled).items():
        assert not task["cachingOptions"].get("enableCache"), name
        assert "triggerPolicy" not in task, name
        if not name.startswith("importer"):
            assert task["inputs"]["parameters"]["run_id"]["runtimeValue"]["constant"] == dsl.PIPELINE_JOB_ID_PLACEHOLDER, name


def test_every_way_to_production_leads_through_the_gates() -> None:
    """By the data alone: each step consumes what the gate before it made."""
    found = tasks(ir("transfer_learning"))

    def makers(task: str) -> dict[str, tuple[str, str]]:
        given = found[task]["inputs"].get("artifacts", {})
        return {
            key: (one["taskOutputArtifact"]["producerTask"], one["taskOutputArtifact"]["outputArtifactKey"])
            for key, one in given.items()
        }

    assert makers("promote-model") == {"model": ("gate-3", "admitted"), "clearance": ("gate-3", "clearance")}
    assert makers("gate-3") == {"artifact": ("fine-tune-digits", "model")}
    assert makers("fine-tune-digits") == {"base": ("gate", "admitted"), "dataset": ("gate-2", "admitted")}
    assert "validate-dataset" in found["gate-2"]["dependentTasks"]


def compile_(body: Any, tmp_path: Path) -> dict[str, Any]:
    """Compile a pipeline whose tasks `body` makes."""
    body.__annotations__ = {}  # kfp cannot read postponed ones
    compiler.Compiler().compile(dsl.pipeline(name="attempt")(body), str(tmp_path / "attempt.yaml"))
    loaded: dict[str, Any] = yaml.safe_load((tmp_path / "attempt.yaml").read_text())
    return loaded


def admit(**more: Any) -> Any:
    model = dsl.importer(artifact_uri="hf://someone/base", artifact_class=dsl.Model, reimport=True)
    asked = {"policy": "p.yaml", "store": "s", "key": "k", "run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER, **more}
    return gate(artifact=model.output, **asked)


def door(admission: Any, **more: Any) -> Any:
    asked = {
        "model": admission.outputs["admitted"], "clearance": admission.outputs["clearance"], "policy": "p.yaml", "store": "s",
        "key": "k", "destination": "d", "channel": "c", "run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER, **more,
    }  # fmt: skip
    return promote_model(**{key: value for key, value in asked.items() if value is not None})


def test_an_honest_pipeline_compiles(tmp_path: Path) -> None:
    def body() -> None:
        admission = uncached(admit())
        uncached(door(admission))

    compiled = compile_(body, tmp_path)
    assert tasks(compiled)["promote-model"]["dependentTasks"] == ["gate"]
    assert not tasks(compiled)["gate"]["cachingOptions"]


@pytest.mark.parametrize("left_out", sorted(GUARDED["promote_model"]))
def test_promotion_without_one_of_its_inputs_does_not_compile(left_out: str, tmp_path: Path) -> None:
    def body() -> None:
        door(admit(), **{left_out: None})

    with pytest.raises(TypeError, match=left_out):
        compile_(body, tmp_path)


def test_promotion_after_a_failed_gate_does_not_compile(tmp_path: Path) -> None:
    """`ignore_upstream_failure` needs a default for whatever the failed step leaves out."""

    def body() -> None:
        door(admit()).ignore_upstream_failure()

    with pytest.raises(Exception, match="have a default value"):
        compile_(body, tmp_path)


def test_a_gate_after_a_failed_step_does_not_compile(tmp_path: Path) -> None:
    def body() -> None:
        first = admit()
        gate(
            artifact=first.outputs["admitted"], policy="p", store="s", key="k", run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER
        ).ignore_upstream_failure()

    with pytest.raises(Exception, match="have a default value"):
        compile_(body, tmp_path)


# --- docs/kubeflow.md ---------------------------------------------------------------------------------------------------


def test_the_pipeline_in_the_manual_compiles(tool: Any, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "kubeflow.md").read_text(encoding="utf-8")
    code = next(one for one in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "@dsl.pipeline" in one)
    (tmp_path / "manual.py").write_text(code)
    compiled = yaml.safe_load(
        tool.component_pages.compile_(tool.component_pages.load(tmp_path / "manual.py", "admit_and_promote"))
    )
    assert set(tasks(compiled)) == {"importer", "gate", "promote-model"}
    assert not [name for name, task in tasks(compiled).items() if task["cachingOptions"]]


def test_every_test_that_the_manual_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "kubeflow.md").read_text(encoding="utf-8")))
    written = {
        name for path in Path(__file__).parent.glob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    assert len(named) > 9 and named <= written


# --- from a check's options to a component ------------------------------------------------------------------------------


class ManyOptions(checking.Options):
    words: tuple[str, ...] = ("a", "b")
    "Some words."

    needed: tuple[str, ...]
    "Cannot be guessed."

    limit: int = 3
    "How many at most."

    rate: float | None = None
    strict: bool = True
    table: dict[str, list[int]] = {}  # noqa: RUF012


class Greedy(checking.Options):
    run_id: str = ""


class Untold(checking.Options):
    limit: int | None = None


class Strange(checking.Options):
    either: int | str = 3


def sample(options: type[checking.Options], *kinds: Any) -> Any:
    @checking.check("my-check", version="1", kinds=kinds or ("dataset",), options=options)
    def my_check(artifact: Any, asked: Any) -> checking.Report:
        """Looks at things."""
        return checking.Report()

    return my_check


def test_a_new_check_gets_a_component_that_kubeflow_understands(tool: Any, tmp_path: Path) -> None:
    assert tool.component_name("my-check") == "my_check" and tool.component_name("artifact") == "scan_artifact"
    path = tmp_path / "component.py"
    path.write_text(tool.component_of("my_check", sample(ManyOptions)))
    made = tool.component_pages.load(path, "my_check")
    found = {key: (one.type, one.optional, one.default) for key, one in made.component_spec.inputs.items()}
    assert found["words"] == ("List[String]", True, None) and found["needed"] == ("List[String]", True, None)
    assert found["limit"] == ("Integer", True, 3) and found["strict"] == ("Boolean", True, True)
    assert found["rate"] == ("Float", True, None) and found["table"][0].startswith("Dict[")
    assert "kind" not in found and "kind" in inspect.signature(kinds_of(tool, tmp_path)).parameters
    told = tool.component_pages.docs(made)
    assert "Default: 'a', 'b'." in told["words"] and "Needed, unless `policy` is given." in told["needed"]
    assert "needed=..." in tool.component_pages.call(made)
    json.dumps(tool.component_pages.compiled_component(made))


def kinds_of(tool: Any, tmp_path: Path) -> Any:
    path = tmp_path / "of_two_kinds.py"
    path.write_text(tool.component_of("my_check", sample(ManyOptions, "model", "dataset")))
    return tool.component_pages.load(path, "my_check").python_func


@pytest.mark.parametrize(
    ("options", "why"),
    [(Greedy, "cannot have the option 'run_id'"), (Untold, "an integer needs a default"), (Strange, "no parameters of type")],
)
def test_an_option_that_kubeflow_cannot_hand_on_is_refused(tool: Any, options: Any, why: str) -> None:
    with pytest.raises(SystemExit, match=why):
        tool.component_of("my_check", sample(options))


def test_the_component_asks_what_its_caller_asks(tmp_path: Path) -> None:
    """What the compiled pipeline hands to a check is what its caller said."""

    def body() -> None:
        model = dsl.importer(artifact_uri="hf://someone/base", artifact_class=dsl.Model, reimport=True)
        scan_artifact(artifact=model.output, run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER, formats=["safetensors"], deny_at="low")

    given = tasks(compile_(body, tmp_path))["scan-artifact"]["inputs"]["parameters"]
    assert given["formats"]["runtimeValue"]["constant"] == ["safetensors"]
    assert set(given) == {"run_id", "formats", "deny_at"}
