"""The demo as one HTML page: what was played, how far each got, and why it was stopped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pratique import reports
from pratique.demonstration.outcomes import TASKS, Outcome

OVERRULED = "failed, then marked as a success by hand"
"""What Airflow shows as a success."""


def of_demo(outcomes: Sequence[Outcome]) -> str:
    """The whole page."""
    good = sum(one.as_expected for one in outcomes)
    word = reports.badge(f"{good} of {len(outcomes)} as expected", good == len(outcomes))
    head = (
        f"<h1>Pratique demo {word}</h1><p class=dim>An honest delivery and the attacks on it, each run as the DAG "
        "<code>transfer_learning</code> on a real Airflow, on scanned handwritten digits. What is green below was meant to "
        "happen: an honest model reaches production, an attack is stopped.</p>"
    )
    rows = [(f'<a href="#{n}">{escape(one.scenario)}</a>', _path(one), escape(one.verdict)) for n, one in enumerate(outcomes)]
    legend = f"<p class=dim>{' → '.join(TASKS)}. {_key('success')} done, {_key('failed')} stopped, "
    legend += f"{_key(OVERRULED)} {OVERRULED}, {_key('none')} never ran.</p>"
    overview = "<h2>Overview</h2>" + legend + reports.table(("scenario", "how far it came", "ended"), rows)
    return reports.page("Pratique demo", head + overview + "".join(_section(n, one) for n, one in enumerate(outcomes)))


def _section(number: int, one: Outcome) -> str:
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in one.reasons)
    remedy = f"<p class=fix>{escape(one.remedy)}</p>" if one.remedy else ""
    return (
        f'<div class=card id="{number}"><h3>{escape(one.scenario)} {reports.badge(one.verdict, one.as_expected)}</h3>'
        f"<p>{escape(one.story)}</p>{_path(one)}<ul>{reasons}</ul>{remedy}"
        f"<p class=dim>expected: {escape(one.expected)} · {one.seconds:.1f} s</p></div>"
    )


def _path(one: Outcome) -> str:
    """The pipeline as a row of dots, in the order of `TASKS`."""
    parts, told = [], []
    for number, task in enumerate(TASKS):
        state = OVERRULED if task in one.overruled else one.states.get(task, "none")
        told.append(f"{task}: {state}")
        x = 18 + number * 44
        if number:
            parts.append(f'<line x1="{x - 35}" y1="11" x2="{x - 9}" y2="11" stroke="var(--line)" stroke-width="2"/>')
        parts.append(_dot(state, x, told[-1]))
    size = 'class="path" width="212" height="22" viewBox="0 0 212 22"'
    return f'<svg {size} role="img" aria-label="{escape(", ".join(told))}">{"".join(parts)}</svg>'


def _key(state: str) -> str:
    return f'<svg class="key" width="18" height="22" viewBox="0 0 18 22" aria-hidden="true">{_dot(state, 9, state)}</svg>'


def _dot(state: str, x: int, title: str) -> str:
    fill = {"success": "var(--good)", "failed": "var(--bad)", OVERRULED: "var(--warn)"}.get(state, "none")
    sign = {"failed": f"M{x - 3} 8l6 6m0-6l-6 6", OVERRULED: f"M{x} 6v6m0 2v2"}.get(state)
    drawn = f'<path d="{sign}" stroke="#fff" stroke-width="2"/>' if sign else ""
    return f'<g><title>{escape(title)}</title><circle cx="{x}" cy="11" r="8" fill="{fill}" stroke="var(--dim)"/>{drawn}</g>'
