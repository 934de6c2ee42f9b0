"""Play the scenarios and show how they end: a table while it works, an HTML page, and JSON for machines."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from pratique import promotion, reports
from pratique.demonstration import pages
from pratique.demonstration import world as worlds
from pratique.demonstration.airflow import Airflow
from pratique.demonstration.outcomes import TASKS, Outcome
from pratique.demonstration.scenarios import SCENARIOS, Scenario, play
from pratique.demonstration.world import World
from pratique.errors import UsageError


def play_demo(report: Path, only: Sequence[str] = (), *, as_json: bool = False) -> bool:
    """Play; returns whether each scenario ended as expected.

    Raises:
        UsageError: no scenario has that name.
    """
    chosen = _choose(only)
    console = Console(stderr=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pratique-demo-") as name:
        outcomes = _play_all(chosen, Path(name), console)
    good = sum(one.as_expected for one in outcomes)
    reports.write(report, pages.of_demo(outcomes))
    if as_json:
        keys = ("scenario", "expected", "verdict", "reasons", "seconds")
        print(json.dumps([{key: asdict(one)[key] for key in keys} for one in outcomes], indent=2))  # noqa: T201
    else:
        Console().print(_table(outcomes))
    console.print(f"{good} of {len(outcomes)} scenarios ended as expected, in {time.monotonic() - started:.0f} s")
    console.print(f"report: {report.resolve()}", soft_wrap=True)
    return good == len(outcomes)


def _choose(only: Sequence[str]) -> list[Scenario]:
    known = [one.name for one in SCENARIOS]
    for name in only:
        if name not in known:
            raise UsageError(f"no scenario is called {name!r}", hint=f"one of: {'; '.join(known)}")
    return [one for one in SCENARIOS if not only or one.name in only or one.name == known[0]]


def _play_all(chosen: Sequence[Scenario], root: Path, console: Console) -> list[Outcome]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    outcomes: list[Outcome] = []
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("setting the stage", total=len(chosen) + 2)
        world = worlds.build(root / "world", lambda text: bar.update(task, description=text))
        bar.update(task, advance=1, description="starting Airflow (embedded SQLite, no server)")
        airflow = Airflow(root / "airflow")
        bar.advance(task)
        honest: World | None = None
        for number, scenario in enumerate(chosen):
            bar.update(task, description=scenario.name)
            folder = root / f"scenario-{number:02d}"
            outcome, stage = play_one(scenario, world, airflow, folder, honest)
            honest = honest or stage
            outcomes.append(outcome)
            mark = "[green]as expected[/]" if outcome.as_expected else "[red]NOT AS EXPECTED[/]"
            bar.console.print(f"{mark}  {outcome.scenario}: {outcome.verdict}  [dim]{outcome.seconds:.1f} s[/]")
            bar.advance(task)
    return outcomes


def play_one(scenario: Scenario, world: World, airflow: Airflow, folder: Path, honest: World | None) -> tuple[Outcome, World]:
    """Play one scenario; returns how it ended, and the world in which it did."""
    started = time.monotonic()
    stage, run = play(scenario, world, airflow, folder, honest)
    task = next((one for one in TASKS if run.states.get(one) != "success"), "")
    verdict = f"stopped at {task}" if task else "promoted"
    expected = scenario.expected if scenario.expected == "promoted" else f"stopped at {scenario.expected}"
    because = not scenario.because or scenario.because in run.rules.get(task, ())
    outcome = Outcome(
        scenario=scenario.name, expected=expected, verdict=verdict, reasons=run.reasons.get(task, ()),
        remedy=run.remedies.get(task, ""), seconds=round(time.monotonic() - started, 1), story=scenario.story,
        states=dict(run.states),
        overruled=tuple(one for one in run.reasons if run.states.get(one) == "success"),
        as_expected=verdict == expected and because and _in_production(stage) == (not task),
    )  # fmt: skip
    return outcome, stage


def _in_production(stage: World) -> bool:
    """Look with a deployment's eyes: the channel's signature, then the bytes. Anything there that is not in order raises."""
    if not stage.production.exists():
        return False
    vouched = promotion.read_channel(str(stage.production), "production", [stage.signer("promoter").trusted("promoter")])
    promotion.verify_promoted(vouched.statement, str(stage.production))
    return True


def _table(outcomes: Sequence[Outcome]) -> Table:
    """The first reason, in short, and what to do; the page has them all, in full."""
    table = Table(title="The main job, and the attacks on it", title_justify="left", show_lines=True)
    table.add_column("scenario", overflow="fold", width=18)
    table.add_column("ended", overflow="fold", width=13)
    table.add_column("why, and what to do", overflow="fold")
    for one in outcomes:
        mark = "[green]" if one.as_expected else "[bold red]NOT AS EXPECTED: "
        why = Text(shorten(one.reasons[0] if one.reasons else "", 220))
        if one.remedy:
            why.append(f"\n→ {shorten(one.remedy, 120)}", style="dim")
        table.add_row(one.scenario, f"{mark}{one.verdict}[/]", why)
    return table


def shorten(text: str, width: int) -> str:
    """A sentence cut off at a word."""
    return text if len(text) <= width else text[:width].rsplit(" ", 1)[0] + " …"
