"""The command line's words for datasets: the commands `profile` and `suite`."""

from __future__ import annotations

import io
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pratique import documents, ending, errors
from pratique.cli_trust import GIVEN, PATH, with_format
from pratique.watching import steps, volume

if TYPE_CHECKING:
    from pratique.calibrations import Calibration
    from pratique.proposals import Reason


@click.command()
@click.argument("data", type=GIVEN)
@click.option("--output", "-o", type=PATH, required=True, help="Where to write the profile (JSON).")
@click.option("--label", default="label", show_default=True, help="The label column; '' if there is none.")
@click.option(
    "--ignore", type=GIVEN, multiple=True, metavar="COLUMN", help="A column that tells nothing, e.g. an id (repeatable)."
)
@click.option("--bins", type=click.IntRange(2, 256), default=10, show_default=True, help="Cells per numeric column.")
@click.option(
    "--sample", type=click.IntRange(0, 100_000), default=2000, show_default=True,
    help="Reference rows to keep for the test of label noise; 0 for none.",
)  # fmt: skip
@with_format
def profile(data: str, output: Path, label: str, ignore: tuple[str, ...], bins: int, sample: int, form: str) -> None:
    """Make the reference profile of a trusted dataset, against which later batches are checked."""
    from pratique import profiles
    from pratique.artifacts import open_artifact

    _refuse_place(output)
    with volume("reading") as advance:
        opened = open_artifact(data, kind="dataset", progress=advance)
    with steps("describing columns") as advance_to:
        built = profiles.build(
            opened.root, label=label or None, ignore=ignore, bins=bins, sample=sample, progress=advance_to
        )  # fmt: skip
    built.save(output)
    kept = built.sample.rows if built.sample else 0
    answer = {
        "profile": str(output), "digest": built.digest, "rows": built.rows, "columns": len(built.columns),
        "label": built.label.name if built.label else None, "ignored": sorted(set(ignore)), "sample": kept,
    }  # fmt: skip
    lines = (
        f"profile: {output}",
        f"  {built.rows:,} rows, {len(built.columns):,} columns, {len(set(ignore)):,} of them ignored"
        + (f", labels in {built.label.name!r}" if built.label else ", no labels"),
        f"  it holds {kept:,} coarsely rounded reference rows: who may not see the data may not see it" if kept else "",
        f"next: pratique suite init {shlex.quote(str(output))} -o suite.json",
    )
    ending.tell(form, answer, "\n".join(documents.line(one) for one in lines if one))


@click.group()
def suite() -> None:
    """Great Expectations suites."""


@suite.command("init")
@click.argument("profile", type=PATH)
@click.option("--output", "-o", type=PATH, required=True, help="Where to write the suite (JSON).")
@click.option(
    "--name", type=GIVEN, default="pratique", show_default=True, help="Of the suite in your Great Expectations project."
)
@click.option(
    "--false-alarm-rate", type=click.FloatRange(0, 0.5, min_open=True), default=0.01, show_default=True,
    help="Chance that a batch just like the reference fails; the statistical expectations share it.",
)  # fmt: skip
@click.option("--min-rows", type=click.IntRange(min=20), default=50, show_default=True, help="Fewest rows of a batch.")
@click.option("--force", is_flag=True, help="Overwrite what stands at the output, edited or not.")
@with_format
def suite_init(profile: Path, output: Path, name: str, false_alarm_rate: float, min_rows: int, force: bool, form: str) -> None:
    """Propose a suite for a profile: an ordinary Great Expectations suite, for you to edit."""
    from pratique import profiles, proposals, suites
    from pratique.checks.dataset.containing import contained

    _refuse_place(output)
    if not force and output.exists():  # said before Great Expectations is loaded, which takes seconds
        raise errors.UsageError(f"{output} exists; somebody may have edited it", hint="choose another name, or pass --force")
    _refuse_data(profile)
    loaded = profiles.load(profile)
    with contained():
        proposed = suites.default(loaded, false_alarm_rate=false_alarm_rate, min_rows=min_rows, name=name)
        suites.save(proposed, output, overwrite=force)
    found, without = proposals.reasons(loaded, proposed), proposals.left_out(loaded)
    command = (
        f"pratique check dataset DATA --kind dataset --deny-at medium -o profile={shlex.quote(str(profile))} "
        f"-o suite={shlex.quote(str(output))}"
    )
    answer = {
        "suite": str(output), "name": name, "profile": loaded.digest, "false_alarm_rate": false_alarm_rate,
        "expectations": [{"type": one.type, "severity": one.severity, "alpha": one.alpha, "why": one.why} for one in found],
        "left_out": without, "next": command,
    }  # fmt: skip
    lines = [
        documents.line(f"suite: {output}, {len(found)} expectations"),
        f"  a batch like the reference fails it in {false_alarm_rate:.3%} of cases: the tests with an alpha share that",
        _table(found) if form == "text" else "",
        *(documents.line(f"not asked: {one}") for one in without),
        documents.line(f"next: {command}"),
    ]
    ending.tell(form, answer, "\n".join(lines))


@suite.command("calibrate")
@click.argument("suite_file", metavar="SUITE", type=PATH)
@click.argument("held_back", type=PATH)
@click.option("--profile", "-p", type=PATH, required=True, help="The profile that batches will be compared with.")
@click.option("--rows", type=click.IntRange(min=20), help="Of each batch; half of the held-back rows if not given.")
@click.option("--clean", type=click.IntRange(min=1), default=300, show_default=True, help="Batches with nothing planted.")
@click.option(
    "--planted", type=click.IntRange(min=1), default=20, show_default=True, help="Batches of each kind and share of poison."
)
@click.option("--kind", "kinds", type=GIVEN, multiple=True, help="Of poison to plant (repeatable); all kinds if not given.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of what is drawn and planted.")
@click.option("--dry-run", is_flag=True, help="Measure, and leave the suite file as it is.")
@with_format
def suite_calibrate(
    suite_file: Path, held_back: Path, profile: Path, rows: int | None, clean: int, planted: int, kinds: tuple[str, ...],
    seed: int, dry_run: bool, form: str,
) -> None:  # fmt: skip
    """Measure a suite on approved rows that its profile was not made of: how often it fails, and what planted poison it finds.

    Half a second a batch, so some minutes. The figures go into the suite's metadata, where a policy can ask for them
    (must_detect of the check dataset).
    """
    from pratique import calibrating

    with steps("measuring") as advance_to:
        measured = calibrating.calibrate(
            suite_file, profile, held_back, rows=rows, clean=clean, planted=planted, kinds=kinds or None, seed=seed,
            progress=advance_to,
        )  # fmt: skip
    if not dry_run:
        calibrating.write(suite_file, measured)
    found = measured.clean
    lines = [
        f"suite: {suite_file}, on batches of {measured.rows:,} of {measured.held_back:,} held-back rows",
        f"  clean batches that failed: {found.alarms} of {found.trials} ({found.low:.3f} to {found.high:.3f})",
        *_powers(measured),
        "no figure holds for a reference that is poisoned itself",
    ]
    answer = {"suite": str(suite_file), "written": not dry_run, "calibration": measured.model_dump(mode="json")}
    ending.tell(form, answer, "\n".join(documents.line(one) for one in lines))


def _powers(measured: Calibration) -> list[str]:
    """A line per kind of poison."""
    kinds = dict.fromkeys(one.kind for one in measured.power)
    rows = {kind: [one for one in measured.power if one.kind == kind] for kind in kinds}
    return [
        f"  {kind:20} found: " + ", ".join(f"{one.found.alarms} of {one.found.trials} at {one.share:.1%}" for one in found)
        for kind, found in rows.items()
    ]


def _refuse_place(output: Path) -> None:
    """Said before the work, not after it."""
    if not output.parent.is_dir():
        raise errors.UsageError(f"cannot write {output}: there is no folder {output.parent}", hint="make it first")
    if output.is_dir():
        raise errors.UsageError(f"cannot write {output}: it is a folder", hint="name a file in it")


def _refuse_data(path: Path) -> None:
    if path.is_dir() or (path.suffix.lower() in (".csv", ".parquet") and path.exists()):
        raise errors.UsageError(
            f"{path} is data, not a profile of it", hint=f"pratique profile {shlex.quote(str(path))} -o profile.json"
        )  # fmt: skip


def _table(found: Sequence[Reason]) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table: Any = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("expectation", no_wrap=True)
    table.add_column("failure is")
    table.add_column("alpha", justify="right")
    table.add_column("why")
    for one in found:
        alpha = "" if one.alpha is None else f"{one.alpha:.2g}"
        table.add_row(one.type, one.severity, alpha, Text(documents.line(one.why)))  # as Text, brackets are no markup
    out = io.StringIO()
    width = max(100, min(shutil.get_terminal_size((120, 24)).columns, 140)) if sys.stdout.isatty() else 120
    Console(file=out, width=width, color_system=None, legacy_windows=False).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().rstrip().splitlines())
