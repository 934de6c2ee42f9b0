"""The README, tried out: its commands run, its DAG stops an attack, its pipeline compiles, its tables are true."""

from __future__ import annotations

import atexit
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

from pratique import errors
from pratique.demonstration import airflow as embedded
from pratique.demonstration import digits
from pratique.demonstration.scenarios import SCENARIOS

from .markdown import ROOT, blocks, plain, play, table

README = ROOT / "README.md"
_HOME = Path(tempfile.mkdtemp(prefix="pratique-readme-"))
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
embedded.settle(_HOME)  # before anybody imports Airflow; if the tests of the operators were first, theirs counts

RUN_OF_PIPELINE = re.compile(r"^\s+cachingOptions:\n\s+enableCache: true\n\s+componentRef:\n\s+name: (\S+)", re.M)


def deliver(folder: Path) -> None:
    """What the README takes for granted: a small real model, and two batches of real data."""
    import numpy
    from safetensors.numpy import save_file

    for name in ("models/base", "data/approved", "data/incoming"):
        (folder / name).mkdir(parents=True)
    save_file({"w": numpy.arange(4, dtype="float32")}, folder / "models/base/model.safetensors")
    (folder / "models/base/config.json").write_text(json.dumps({"hidden_size": 4}))
    digits.write_dataset(folder / "data/approved", "reference")
    digits.write_dataset(folder / "data/incoming", "incoming")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    deliver(tmp_path)
    return tmp_path


def test_every_command_does_what_the_page_says(folder: Path) -> None:
    """In order, in one folder. The policy stands below the commands that use it, so it is written first."""
    for block in blocks(README):
        if block.file == "policy.yaml":
            (folder / block.file).write_text(block.text)
    played = [block for block in play(README, folder) if block.runs]
    said = "".join(block.text for block in played)
    for command in ("gate", "check", "keys", "sign", "verify", "promote", "profile", "digest", "policy"):
        assert f"\npratique {command} " in f"\n{said}", f"the README does not show `pratique {command}`"
    channel = folder / "production" / "channels" / "production.sigstore.json"
    assert channel.exists() and (folder / "report.html").exists()


def test_what_is_installed_and_made_is_there() -> None:
    """The blocks that are not run here: installing (tests/packaging does it) and make."""
    lines = [
        line for block in blocks(README) if block.language == "bash" and not block.runs for line in block.text.splitlines()
    ]
    commands = [line.partition("#")[0].strip() for line in lines if line.strip()]
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    made = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.M))
    for command in commands:
        extra = re.fullmatch(r"pip install (?:\.|'\.\[(\w+)\]')", command)
        target = re.fullmatch(r"make (\w+)", command)
        assert extra or target, f"nothing proves {command!r}"
        assert not extra or not extra[1] or extra[1] in parser["options.extras_require"]
        assert not target or target[1] in made
    assert len(commands) == 6


def test_the_demo_plays_what_the_page_shows() -> None:
    shown = re.findall(r"^as expected  (.+?): (.+)$", README.read_text(), re.M)
    ends = [(one.name, one.expected if one.expected == "promoted" else f"stopped at {one.expected}") for one in SCENARIOS]
    assert shown == ends, "the README's list of scenarios is not the demo's"


@pytest.fixture(scope="module")
def airflow() -> Iterator[embedded.Airflow]:
    yield embedded.Airflow(_HOME)


def test_the_dag_trains_on_an_admitted_model_and_on_no_other(airflow: embedded.Airflow, folder: Path) -> None:
    play_files(folder)
    dag = airflow.load(folder / "dags" / "train_on_admitted.py")
    honest = airflow.run({"base_model": str(folder / "models/base")}, dag=dag)
    assert honest.states == {"admit_base": "success", "train": "success"}

    (folder / "models/base/optimizer.pkl").write_bytes(b"cos\nsystem\n(S'echo gotcha'\ntR.")
    hostile = airflow.run({"base_model": str(folder / "models/base")}, dag=dag)
    assert hostile.states == {"admit_base": "failed", "train": "upstream_failed"}
    assert "os.system" in hostile.reasons["admit_base"][0] and "safetensors" in hostile.remedies["admit_base"]


def test_the_pipeline_compiles_and_answers_nothing_from_a_cache(folder: Path) -> None:
    play_files(folder)
    done = subprocess.run([sys.executable, "pipelines/release.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    compiled = (folder / "release.yaml").read_text()
    assert {"comp-gate:", "comp-promote-model:"} <= set(compiled.split())
    assert RUN_OF_PIPELINE.findall(compiled) == ["comp-importer"]  # the importer is told to import again


def test_the_examples_are_as_short_as_they_are_said_to_be() -> None:
    for block in blocks(README):
        if block.language == "python":
            code = [line for line in block.text.splitlines() if line.strip() and not line.startswith("#")]
            assert len(code) <= 13, f"{block.where} is no ten lines any more"


def test_the_exit_codes_are_those_of_the_errors() -> None:
    """Every error is in the row of its code, once; no row is made up."""
    rows = table(README, "exit", "what it means", "errors")
    written = {name: int(code) for code, _, names in rows for name in re.findall(r"`(\w+)`", names)}
    assert written == {one.__name__: one.exit_code for one in all_errors()}
    assert sorted(int(code) for code, _, _ in rows) == sorted({0, *(one.exit_code for one in all_errors())})


def test_owasps_defences_live_where_the_table_says_or_are_planned() -> None:
    rows = table(README, "OWASP says", "here", "where")
    assert len(rows) == 6
    for says, here, where in rows:
        places = re.findall(r"\]\(([^)]+)\)", where)
        assert places or here == "planned", f"nothing backs {says!r}"
        assert all((ROOT / place).is_file() for place in places)


def test_a_check_that_is_planned_is_not_there_and_one_that_is_there_is_not_called_planned() -> None:
    from pratique import checking

    text = plain(README.read_text())
    planned = {"backdoor", "privacy"}
    assert not planned & set(checking.installed()), "it is there now: the README still calls it planned"
    assert all(f"docs/checks/{name}.md" in README.read_text() for name in checking.installed())
    assert text.count("planned") >= len(planned)


def play_files(folder: Path) -> None:
    for block in blocks(README):
        if block.file:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text)


def all_errors(root: type[errors.Error] = errors.Error) -> list[type[errors.Error]]:
    ours = [one for one in root.__subclasses__() if one.__module__ == errors.__name__]
    return [root, *(found for one in ours for found in all_errors(one))]
