"""From a check's options to an operator's parameters: tools/operators.py."""

from __future__ import annotations

import importlib.util
import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import pytest
from pydantic import Field

from pratique.checking import FunctionCheck, Options, Report, check


def sample(options: type[Options]) -> FunctionCheck[Any]:
    @check("my-check", version="1", kinds=("dataset", "model"), options=options)
    def my_check(artifact: Any, asked: Any) -> Report:
        r"""Looks \at things. Then it tells.

        More than anybody wants to know.
        """
        return Report()

    return my_check


class ManyOptions(Options):
    words: tuple[Literal["a", "b"], ...] = ("a",)
    r"""Some words, such as C:\temp."""

    limit: int
    "How many at most."

    rate: float | None = None
    "How often."

    mode: Literal["fast", "slow"] = "fast"
    strict: bool = True
    table: dict[str, list[int]] = Field(default_factory=dict)


class GreedyOptions(Options):
    artifact: str = ""


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "tools" / "operators.py"
    spec = importlib.util.spec_from_file_location("tools_operators", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def operator(tool: ModuleType) -> Any:
    from pratique.operators import CheckOperator

    names: dict[str, Any] = {"CheckOperator": CheckOperator, "Mapping": Mapping, "Sequence": Sequence, "Any": Any}
    exec(tool.class_of("MyCheckOperator", sample(ManyOptions)), names | {"XComArg": object}, names)  # noqa: S102
    return names["MyCheckOperator"]


def test_the_parameters_are_the_options_with_their_defaults(operator: Any) -> None:
    parameters = inspect.signature(operator.__init__).parameters
    defaults = {name: parameters[name].default for name in ManyOptions.model_fields}
    assert defaults == {
        "words": ("a",), "limit": inspect.Parameter.empty, "rate": None, "mode": "fast", "strict": True, "table": None,
    }  # fmt: skip
    assert parameters["kind"].default == "model"


def test_what_is_left_out_is_left_to_the_check(operator: Any) -> None:
    built = operator(task_id="x", artifact="m", limit=3)
    assert built.check == "my-check" and json.loads(json.dumps(built.options)) == {
        "words": ["a"], "limit": 3, "mode": "fast", "strict": True,
    }  # fmt: skip
    assert ManyOptions.model_validate(built.options) == ManyOptions(limit=3)


def test_the_words_are_the_checks_own(operator: Any) -> None:
    assert inspect.getdoc(operator).startswith("Looks \\at things.\n\nThen it tells. The check `my-check` as a task")
    assert "words: Some words, such as C:\\temp." in inspect.getdoc(operator.__init__)
    assert "limit: How many at most." in inspect.getdoc(operator.__init__)


def test_a_check_that_nobody_named_gets_its_own_name(tool: ModuleType) -> None:
    assert tool.operator_name("my-check") == "MyCheckOperator"
    assert tool.operator_name("artifact") == "ScanArtifactOperator"


def test_an_option_that_is_called_like_ours_is_refused(tool: ModuleType) -> None:
    with pytest.raises(SystemExit, match="cannot have the option 'artifact'"):
        tool.class_of("MyCheckOperator", sample(GreedyOptions))


def test_stale_files_are_found_and_mended(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "FOLDER", tmp_path)
    monkeypatch.setattr(tool, "own_checks", lambda: ["artifact"])
    assert tool.main(["--check"]) == 1
    assert tool.main([]) == 0 and tool.main(["--check"]) == 0
    (tmp_path / "checks.py").write_text((tmp_path / "checks.py").read_text() + "\n# by hand\n")
    assert tool.main(["--check"]) == 1
