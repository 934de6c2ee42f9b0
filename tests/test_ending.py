"""How a command ends: its output has nowhere to go, a signal comes, a check runs away, a stranger writes to the terminal."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pratique import checking, documents
from pratique.checking import Options
from pratique.testing import folder_of
from tests.conftest import Pratique, install

RUN = [sys.executable, "-m", "pratique.cli"]

RUNAWAY = '''
"""A check that tries to end the program, or goes on for ever."""
import sys, time
from pathlib import Path
from pratique.checking import Finding, Options, Report, Severity, check


@check("runaway", version="1", kinds=("model",), options=Options, rules={"odd": "odd"})
def runaway(artifact, options):
    """Does what the artifact says."""
    for entry in artifact.entries:
        if entry.path == "exit":
            sys.exit(0)
        if entry.path == "sleep":
            Path(artifact.root, "..", "..", "..", "asleep").write_text("")
            time.sleep(60)
        if entry.path.startswith("say"):
            words = artifact.path(entry).read_text()
            return Report(findings=(Finding(rule="odd", severity=Severity.HIGH, message=words, where=words, fix=words),))
    return Report()
'''


@pytest.fixture
def runaway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The site folder with that check installed."""
    install(tmp_path / "runaway", "runaway", "runaway_check", RUNAWAY, {"runaway": "runaway_check:runaway"})
    monkeypatch.syspath_prepend(str(tmp_path / "runaway"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "runaway"))
    return tmp_path / "runaway"


def shell(line: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """A line of bash in which `pratique` is ours."""
    line = f'pratique() {{ {sys.executable} -m pratique.cli "$@"; }}; {line}'
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, **more)


# --- the output has nowhere to go ---------------------------------------------------------------------------------------


def test_a_broken_pipe() -> None:
    done = shell(
        "pratique policy schema | head -c 1 >/dev/null; echo ${PIPESTATUS[0]}; pratique --help | true; echo ${PIPESTATUS[0]}"
    )
    schema, text = done.stdout.split()
    assert schema in ("0", "141") and text in ("0", "141")  # 0 if all of it fitted into the pipe before its reader went
    assert done.stderr == ""


def test_a_full_disk_behind_the_output(tmp_path: Path) -> None:
    done = shell("pratique policy schema >/dev/full; echo $?; pratique policy schema >&-; echo $?")
    assert done.stdout.split() == ["3", "0"]  # closed on purpose is no failure; full is one
    assert "No space left" in done.stderr and "Traceback" not in done.stderr


def test_a_terminal_without_the_letters() -> None:
    done = shell("pratique policy explain", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0 and "admitted only if" in done.stdout


# --- signals and limits -------------------------------------------------------------------------------------------------


def test_ctrl_c(runaway: Path, tmp_path: Path, home: Path) -> None:
    """Exit 130, one JSON document, and no evidence, no clearance, no half-written copy."""
    model = folder_of(tmp_path / "model", {"sleep": b""})
    words = [*RUN, "check", "runaway", str(model), "--store", str(tmp_path / "store"), "--format", "json"]
    # A shell in the background (as in CI) lets its children ignore SIGINT; whoever presses Ctrl-C has one that does not.
    attentive = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=attentive)
    until = time.monotonic() + 30
    while not (home / "snapshots" / "asleep").exists() and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert json.loads(out)["error"] == "Interrupted" and "Traceback" not in err
    assert not (tmp_path / "store").exists()
    assert not list((home / "snapshots").glob(".incoming-*"))


@pytest.mark.parametrize(("most", "says"), [(300, "cannot write"), (2000, "cannot copy")])
def test_a_disk_that_fills_up(shape: str, tmp_path: Path, home: Path, most: int, says: str) -> None:
    """A limit on the size of a file stands for it: evidence does not fit into 300 bytes, weights not into 2000."""
    shell("pratique keys show")
    model = folder_of(tmp_path / "model", {"weights.bin": bytes(most - 1 if most < 1000 else most + 1)})
    words = [*RUN, "check", "shape", str(model), "--store", str(tmp_path / "store")]

    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(words, capture_output=True, text=True, preexec_fn=small, env=env, timeout=60)
    assert done.returncode == 3 and says in done.stderr, done.stderr
    assert "File too large" in done.stderr and "Traceback" not in done.stderr
    assert not [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert not list((home / "snapshots").glob(".incoming-*"))


# --- a check that runs away ---------------------------------------------------------------------------------------------


def test_a_check_that_exits_with_success_admits_nothing(pratique: Pratique, runaway: Path, tmp_path: Path) -> None:
    model = folder_of(tmp_path / "model", {"exit": b""})
    code, out, _ = pratique("check", "runaway", model, "--format", "json")
    assert (code, json.loads(out)["verdict"]) == (1, "denied")


def test_a_check_that_exits_in_its_preview_spares_nothing_and_admits_nothing(shape: str, model: Path) -> None:
    """Names and sizes are looked at before anything is run. Leaving there must not look like success either."""

    def leave(found: Any, options: Any) -> Any:
        sys.exit(0)

    chosen = checking.load(shape)
    assert checking.preview(dataclasses.replace(chosen, preview=leave), None, Options()) == ()  # type: ignore[type-var,arg-type]


def test_a_check_that_exits_while_it_is_imported(
    pratique: Pratique, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "leaver", "leaver", "leaver_check", "import sys; sys.exit(0)", {"leaver": "leaver_check:leaver"})
    monkeypatch.syspath_prepend(str(tmp_path / "leaver"))
    assert pratique("check", "leaver", model)[0] == 4
    (tmp_path / "policy.yaml").write_text("version: 1\ntrust: {gate: {own: true}}\nrequire: {leaver: {}}\n")
    assert pratique("gate", model, "--policy", tmp_path / "policy.yaml")[0] == 2


def test_success_is_only_what_a_command_returned(pratique: Pratique, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some library, somewhere below, ends the program in all friendliness."""
    from pratique import artifacts

    monkeypatch.setattr(artifacts, "open_artifact", lambda *args, **more: sys.exit(0))
    code, _, err = pratique("digest", model)
    assert code == 70 and "SystemExit" in err


def test_a_step_of_a_pipeline_that_somebody_ends_in_all_friendliness() -> None:
    from pratique import steps

    with pytest.raises(SystemExit) as caught, steps._step():
        sys.exit(0)
    assert caught.value.code not in (0, None)


def test_one_check_on_its_own_clears_nothing(pratique: Pratique, shape: str, model: Path, tmp_path: Path) -> None:
    """Else the mildest check would leave a clearance by the gate's own key, on which `lineage` relies."""
    code, out, _ = pratique("check", "shape", model, "--deny-at", "critical", "--store", tmp_path / "store", "--format", "json")
    assert (code, json.loads(out)["clearance"]) == (0, "")
    assert (tmp_path / "store" / "evidence").exists() and not (tmp_path / "store" / "clearances").exists()


# --- strangers' words ---------------------------------------------------------------------------------------------------

FORGED = "fine\nmodel (sha256:0000…) is admitted\x1b[2J\x1b]0;title\x07 \u202egnp.exe\u2066 \x9b31m \u2028"


def test_a_strangers_words_do_not_act_on_the_terminal(pratique: Pratique, runaway: Path, tmp_path: Path) -> None:
    model = folder_of(tmp_path / "model", {"say": FORGED.encode()})
    code, out, err = pratique("check", "runaway", model)
    assert code == 1
    assert documents.plain(out + err) == out + err
    assert "fine\\nmodel" in out and not any(line.startswith("model") and "admitted" in line for line in out.splitlines())
    code, out, _ = pratique("check", "runaway", model, "--format", "json")
    assert json.loads(out)["denials"][0]["reason"] == FORGED  # machines get it as it is
