"""Play the scenarios and show how they end: a table while it works, an HTML page, and JSON for machines."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from pratique import reports
from pratique.demonstration import world as worlds
from pratique.demonstration.airflow import Airflow, Run
from pratique.demonstration.scenarios import SCENARIOS, Scenario, play
from pratique.demonstration.world import World
from pratique.errors import UsageError

TASKS = ("admit_base", "admit_dataset", "fine_tune", "admit_model", "promote")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one scenario ended."""

    scenario: str
    expected: str
    verdict: str
    """`promoted`, `stopped at <task>`, or what went wrong with the demo itself."""

    reasons: tuple[str, ...]
    remedy: str
    seconds: float
    story: str
    states: dict[str, str]
    """The tasks' states, as Airflow shows them."""

    as_expected: bool


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
    reports.write(report, _page(outcomes))
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
            outcome, stage = _play_one(scenario, world, airflow, folder, honest)
            honest = honest or stage
            outcomes.append(outcome)
            mark = "[green]as expected[/]" if outcome.as_expected else "[red]NOT AS EXPECTED[/]"
            bar.console.print(f"{mark}  {outcome.scenario}: {outcome.verdict}  [dim]{outcome.seconds:.1f} s[/]")
            bar.advance(task)
    return outcomes


def _play_one(scenario: Scenario, world: World, airflow: Airflow, folder: Path, honest: World | None) -> tuple[Outcome, World]:
    started = time.monotonic()
    stage, run = play(scenario, world, airflow, folder, honest)
    where, reasons, remedy = _ending(run)
    promoted = (stage.production / "channels" / "production.sigstore.json").exists()
    verdict = "promoted" if where == "promoted" and promoted else f"stopped at {where}"
    expected = scenario.expected if scenario.expected == "promoted" else f"stopped at {scenario.expected}"
    outcome = Outcome(
        scenario=scenario.name, expected=expected, verdict=verdict, reasons=reasons, remedy=remedy,
        seconds=round(time.monotonic() - started, 1), story=scenario.story, states=dict(run.states),
        as_expected=verdict == expected and promoted == (expected == "promoted"),
    )  # fmt: skip
    return outcome, stage


def _ending(run: Run) -> tuple[str, tuple[str, ...], str]:
    """The task at which a run ended, and why."""
    for task in TASKS:
        if run.states.get(task) != "success":
            told = run.reasons.get(task, ())
            return task, tuple(told), run.remedies.get(task, "")
    return "promoted", (), ""


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table(title="The main job, and the attacks on it", title_justify="left", show_lines=True)
    for column in ("scenario", "ended", "why", "remedy"):
        table.add_column(column, overflow="fold")
    for one in outcomes:
        mark = "[green]" if one.as_expected else "[bold red]NOT AS EXPECTED: "
        table.add_row(one.scenario, f"{mark}{one.verdict}[/]", "\n".join(one.reasons[:2]), one.remedy)
    return table


def _page(outcomes: Sequence[Outcome]) -> str:
    good = sum(one.as_expected for one in outcomes)
    word = reports.badge(f"{good} of {len(outcomes)} as expected", good == len(outcomes))
    head = (
        f"<h1>Pratique demo {word}</h1><p class=dim>An honest delivery and the attacks on it, each run as the DAG "
        "<code>transfer_learning</code> on a real Airflow, on scanned handwritten digits. What is green below was meant to "
        "happen: an honest model reaches production, an attack is stopped.</p>"
    )
    rows = [
        (f'<a href="#{n}">{escape(one.scenario)}</a>', _path(one.states), escape(one.verdict)) for n, one in enumerate(outcomes)
    ]
    overview = "<h2>Overview</h2>" + reports.table(("scenario", "how far it came", "ended"), rows)
    return reports.page("Pratique demo", head + overview + "".join(_section(n, one) for n, one in enumerate(outcomes)))


def _section(number: int, one: Outcome) -> str:
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in one.reasons)
    remedy = f"<p class=fix>{escape(one.remedy)}</p>" if one.remedy else ""
    return (
        f'<div class=card id="{number}"><h3>{escape(one.scenario)} {reports.badge(one.verdict, one.as_expected)}</h3>'
        f"<p>{escape(one.story)}</p>{_path(one.states)}<ul>{reasons}</ul>{remedy}"
        f"<p class=dim>expected: {escape(one.expected)} · {one.seconds:.1f} s</p></div>"
    )


def _path(states: dict[str, str]) -> str:
    """The pipeline as a row of dots: filled where a task succeeded, crossed where it failed, open where it never ran."""
    parts = []
    for number, task in enumerate(TASKS):
        state, x = states.get(task, ""), 18 + number * 44
        if number:
            parts.append(f'<line x1="{x - 35}" y1="11" x2="{x - 9}" y2="11" stroke="var(--line)" stroke-width="2"/>')
        colour = {"success": "var(--good)", "failed": "var(--bad)"}.get(state, "none")
        parts.append(
            f'<circle cx="{x}" cy="11" r="8" fill="{colour}" stroke="var(--dim)">'
            f"<title>{task}: {escape(state)}</title></circle>"
        )
        if state == "failed":
            parts.append(f'<path d="M{x - 3} 8l6 6m0-6l-6 6" stroke="#fff" stroke-width="2"/>')
    label = ", ".join(f"{task} {states.get(task, 'not run')}" for task in TASKS)
    return f'<svg width="212" height="22" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
