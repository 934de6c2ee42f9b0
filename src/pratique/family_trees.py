"""A trace as a picture: what an artifact was made of on the left, what was made of it on the right. Plain SVG, no script."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from pratique import documents
from pratique.tracing import Step, Trace

MOST = 400
"""Boxes; a picture of more is none."""

_WIDTH, _HEIGHT, _GAP, _LANE = 210, 46, 14, 90
_STYLE = (
    "svg{font:13px system-ui,sans-serif;background:#fff;color:#1d2129}rect{fill:#f5f7fa;stroke:#c5ccd6}"
    ".it rect{stroke:#1d2129;stroke-width:2}.live rect{stroke:#a3241d;stroke-width:2}"
    "text{fill:currentColor}.small{font-size:11px;opacity:.75}path{fill:none;stroke:#9aa4b2;stroke-width:1.5}"
    "@media(prefers-color-scheme:dark){svg{background:#14171c;color:#e6e9ee}rect{fill:#1e232b;stroke:#3a4350}"
    ".it rect{stroke:#e6e9ee}.live rect{stroke:#ff7b72}}"
)


def as_svg(found: Trace) -> str:
    """The picture. Boxes with a red edge were promoted; the one with a thick edge was asked for."""
    up, down = list(found.upstream), list(found.downstream)
    whole = len(up) + len(down)
    if whole > MOST:
        up = up[: max(MOST // 2, MOST - len(down))]
        down = down[: MOST - len(up)]
    dropped = whole - len(up) - len(down)
    columns = _columns(up, down)
    places = _places(columns, found.digest)
    lines = [_line(places[a], places[b]) for a, b in _edges([*up, *down]) if a in places and b in places]
    boxes = [_box(places[found.digest], found.digest, found.name, [one.channel for one in found.places], "it")]
    boxes += [
        _box(places[one.digest], one.digest, one.name, [place.channel for place in one.places], "") for one in [*up, *down]
    ]
    width = max(x for x, _ in places.values()) + _WIDTH + 20
    height = max(y for _, y in places.values()) + _HEIGHT + (44 if dropped else 20)
    note = f'<text x="20" y="{height - 12}" class="small">and {dropped:,} more</text>' if dropped else ""
    title = html.escape(documents.line(f"Lineage of {found.name} {found.digest}"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
        f"<title>{title}</title><style>{_STYLE}</style>{''.join(lines)}{''.join(boxes)}{note}</svg>\n"
    )


def _columns(up: Iterable[Step], down: Iterable[Step]) -> dict[int, list[str]]:
    """Digests by column: negative ones are upstream, 0 is the artifact itself."""
    columns: dict[int, list[str]] = {}
    for one in up:
        columns.setdefault(-one.distance, []).append(one.digest)
    for one in down:
        columns.setdefault(one.distance, []).append(one.digest)
    return columns


def _places(columns: dict[int, list[str]], centre: str) -> dict[str, tuple[int, int]]:
    """The upper left corner of each box. Something can be upstream and downstream, where somebody recorded a circle."""
    columns = {**columns, 0: [centre]}
    tallest = max(len(one) for one in columns.values())
    places: dict[str, tuple[int, int]] = {}
    for number, column in enumerate(sorted(columns)):
        top = 20 + (tallest - len(columns[column])) * (_HEIGHT + _GAP) // 2
        for row, digest in enumerate(columns[column]):
            places.setdefault(digest, (20 + number * (_WIDTH + _LANE), top + row * (_HEIGHT + _GAP)))
    return places


def _edges(steps: Sequence[Step]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((link.material, link.product) for one in steps for link in one.through))


def _line(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1 = start[0] + _WIDTH, start[1] + _HEIGHT // 2
    x2, y2 = end[0], end[1] + _HEIGHT // 2
    return f'<path d="M{x1} {y1}C{x1 + _LANE // 2} {y1} {x2 - _LANE // 2} {y2} {x2} {y2}"/>'


def _box(place: tuple[int, int], digest: str, name: str, channels: Sequence[str], kind: str) -> str:
    x, y = place
    where = f", in {', '.join(dict.fromkeys(channels))}" if channels else ""
    words = f"{html.escape(documents.short(name, 26))}"
    small = html.escape(documents.short(f"{digest[7:19]}…{where}", 34))
    title = html.escape(documents.line(f"{name} {digest}{where}"))
    classes = " ".join(one for one in (kind, "live" if channels else "") if one)
    return (
        f'<g class="{classes}"><title>{title}</title><rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>'
        f'<text x="{x + 10}" y="{y + 19}">{words}</text><text x="{x + 10}" y="{y + 36}" class="small">{small}</text></g>'
    )
