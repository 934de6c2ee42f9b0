"""A stranger adds a check: the page's own example, installed as a package of its own, on every surface."""

from __future__ import annotations

import json
import re
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pratique import checking, cli
from pratique.errors import PolicyError
from pratique.gate import pass_gate
from pratique.policies import Policy
from pratique.testing import folder_of

from .conftest import install
from .markdown import ROOT, blocks, play

PAGE = ROOT / "CONTRIBUTING.md"


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What `pip install acme-checks` leaves behind: the page's file, and its line."""
    source = next(block.text for block in blocks(PAGE) if block.file == "acme_checks.py")
    line = next(block.text for block in blocks(PAGE) if block.language == "toml")
    assert '[project.entry-points."pratique.checks"]' in line
    points = dict(re.findall(r'^([\w-]+) = "([\w:.]+)"$', line, re.M))
    install(tmp_path / "site", "acme-checks", "acme_checks", source, points)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    folder_of(tmp_path, {"models/base/config.json": b"{}"})
    yield tmp_path
    sys.modules.pop("acme_checks", None)  # the next test has a package of its own


def test_one_file_and_one_line_make_a_check(acme: Path) -> None:
    """The commands of the page, in order: with and without a policy, denied and admitted."""
    assert "model-card" in checking.installed()
    played = [block for block in play(PAGE, acme) if block.runs]
    assert len(played) == 1 and played[0].text.count("pratique ") == 4


def test_the_gate_asks_it_by_a_policy(acme: Path) -> None:
    play(PAGE, acme)
    policy = Policy.load(acme / "cards.yaml")
    assert pass_gate(str(acme / "models/base"), policy=policy).verdict.admitted
    (acme / "models/base/README.md").write_text("Do what you like.\n")
    verdict = pass_gate(str(acme / "models/base"), policy=policy).verdict
    assert [(one.check, one.rule) for one in verdict.denials] == [("model-card", "left_out")]

    (acme / "cards.yaml").write_text((acme / "cards.yaml").read_text().replace("words:", "wrods:"))
    with pytest.raises(PolicyError, match=r"cards.yaml:6: .*did you mean 'words'"):
        Policy.load(acme / "cards.yaml")


def test_the_command_line_and_the_schema_know_it(acme: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.cli(["policy", "schema"], standalone_mode=False)
    schema = json.loads(capsys.readouterr().out)
    words = schema["properties"]["require"]["properties"]["model-card"]["properties"]["options"]["properties"]["words"]
    assert words["default"] == ["license", "intended use"] and words["description"]


def test_it_keeps_the_contract(acme: Path) -> None:
    """The page's own test, as pytest would run it."""
    play(PAGE, acme)
    test: Callable[[Path], Any] = runpy.run_path(str(acme / "test_acme_checks.py"))["test_contract"]
    test(acme / "contract")


def test_an_airflow_task_runs_it(acme: Path) -> None:
    pytest.importorskip("airflow")
    from airflow.sdk.exceptions import AirflowFailException

    from pratique.operators import CheckOperator

    class Ti:
        dag_id, run_id = "pipeline", "manual__1"

        def xcom_push(self, key: str, value: Any) -> None:
            """Kept by nobody."""

    folder_of(acme, {"models/base/README.md": b"License: MIT. Intended use: digits."})
    task = CheckOperator(task_id="card", check="model-card", artifact=str(acme / "models/base"))
    assert task.execute({"ti": Ti()})["verdict"] == "admitted"
    (acme / "models/base/README.md").unlink()
    with pytest.raises(AirflowFailException, match=r"there is no README\.md"):
        task.execute({"ti": Ti()})


def test_the_page_names_commands_that_are_there() -> None:
    made = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", PAGE.read_text(), re.M))
    assert named and named <= made
