"""An audit as one HTML page: what is in production, and what is not as it should be."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pratique import sources
from pratique.auditing import GOOD, Audited
from pratique.reports import badge, page, quoted, table
from pratique.statements import stamp


def as_page(destination: str, found: Sequence[Audited], *, now: datetime, changes: Sequence[str] = ()) -> str:
    """The whole page; what needs somebody comes first."""
    good = sum(one.state in GOOD for one in found)
    where = quoted(sources.redact(destination))
    head = (
        f"<h1>Audit {badge(f'{good} of {len(found)} as they should be', bool(found) and good == len(found))}</h1>"
        f"<p class=dim><code>{where}</code>, {stamp(now)[:16]}Z</p>"
    )
    if not found:
        head += "<p>There are no channels: nothing was ever promoted there, or it is somewhere else.</p>"
    parts = [head]
    if changes:
        parts.append("<h2>Since the last audit</h2><ul>" + "".join(f"<li>{quoted(one)}</li>" for one in changes) + "</ul>")
    ordered = sorted(found, key=lambda one: (one.state in GOOD, one.channel))
    parts.append("<h2>Channels</h2>" + table(("", "channel", "artifact", "number", "until"), [_row(one) for one in ordered]))
    parts += [_reasons(one) for one in ordered if one.reasons]
    return page("Audit", "".join(parts))


def _row(one: Audited) -> Sequence[str]:
    artifact = f"{quoted(one.name)}<br><code>{quoted(one.digest)}</code>" if one.digest else ""
    number, until = (str(one.sequence), f"{one.until[:16]}Z") if one.digest else ("", "")
    return (badge(one.state, one.state in GOOD), quoted(one.channel), artifact, number, until)


def _reasons(one: Audited) -> str:
    reasons = "".join(f"<li>{quoted(reason)}</li>" for reason in one.reasons)
    fixes = "".join(f"<p class=fix>{quoted(fix)}</p>" for fix in one.fixes)
    return f"<div class=card><h3>{quoted(one.channel)} {badge(one.state, False)}</h3><ul>{reasons}</ul>{fixes}</div>"
