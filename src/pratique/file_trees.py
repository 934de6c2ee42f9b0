"""An artifact's files as a tree, each with what was found in it: `pratique check artifact` for people.

    trojan
    ├── config.json: nothing found
    └── optimizer.pkl: refused, 2 findings, worst critical
        └── critical pickle-global at byte 0: loading this pickle runs os.system: GLOBAL imports it, ...
            └── no line of a policy allows this; ask the supplier for safetensors ...

Names and words are strangers': each is one line without control characters, and none of it is markup. The tree is bounded, and
says how much it leaves out; files in which something was found come first where not all have room.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from pratique import documents, places
from pratique.checking import Finding, Severity

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

MAX_FILES = 60
"""Files that are drawn."""

MAX_FINDINGS = 100
"""Findings that are drawn, of all files together; each takes two lines."""

_WIDTH = 10_000
"""Characters of a line where no terminal says how many fit: nothing is broken into two."""

_STYLES = {
    Severity.CRITICAL: "bold red", Severity.HIGH: "red", Severity.MEDIUM: "yellow", Severity.LOW: "cyan", Severity.NOTE: "dim",
}  # fmt: skip


def text(name: str, files: Iterable[str], findings: Sequence[Finding], deny_at: Severity) -> str:
    """The tree as plain text, without a line break at the end."""
    from rich.console import Console

    stream = io.StringIO()
    Console(file=stream, width=_WIDTH, color_system=None, force_terminal=False, emoji=False, highlight=False).print(
        drawn(name, files, findings, deny_at)
    )
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def show(name: str, files: Iterable[str], findings: Sequence[Finding], deny_at: Severity) -> None:
    """Print the tree on a terminal, in colour and broken to its width."""
    from rich.console import Console

    Console(file=sys.stdout, emoji=False, highlight=False).print(drawn(name, files, findings, deny_at))


def drawn(name: str, files: Iterable[str], findings: Sequence[Finding], deny_at: Severity) -> Tree:
    """The tree, for rich."""
    from rich.text import Text
    from rich.tree import Tree

    root = Tree(Text(_word(name, 120), style="bold"))
    sorted_files = sorted(one for one in files if not one.endswith("/"))
    held, loose = _by_file(sorted_files, findings)
    chosen = sorted(sorted(sorted_files, key=lambda one: (one not in held, one))[:MAX_FILES])
    folders: dict[str, Tree] = {"": root}
    left = MAX_FINDINGS
    for file in chosen:
        found = held.get(file, [])
        leaf = _folder(folders, file).add(_labelled(file.rpartition("/")[2], [one for one, _ in found], deny_at))
        left -= _add(leaf, found, left)
    left -= _add(root, loose, left)
    for more in _left_out(len(sorted_files) - len(chosen), len(findings) - (MAX_FINDINGS - left)):
        root.add(Text(more))
    return root


def _by_file(
    files: Sequence[str], findings: Sequence[Finding]
) -> tuple[dict[str, list[tuple[Finding, str]]], list[tuple[Finding, str]]]:
    """Findings by their file, each with where in it; and those that name no file."""
    known = frozenset(files)
    held: dict[str, list[tuple[Finding, str]]] = {}
    loose = []
    for one in findings:
        place = places.within(one.where, known)
        if place is None:
            loose.append((one, one.where))
        else:
            held.setdefault(place.file, []).append((one, place.detail))
    return held, loose


def _folder(folders: dict[str, Tree], file: str) -> Tree:
    """The branch for a file's folder, made on the way to it."""
    from rich.text import Text

    above = ""
    for part in file.split("/")[:-1]:
        path = f"{above}/{part}" if above else part
        if path not in folders:
            folders[path] = folders[above].add(Text(f"{_word(part, 120)}/"))
        above = path
    return folders[above]


def _labelled(name: str, found: Sequence[Finding], deny_at: Severity) -> Text:
    """A file and what comes of it."""
    from rich.text import Text

    label = Text(f"{_word(name, 120)}: ")
    worst = max((one.severity for one in found), default=Severity.NOTE)
    if not found:
        return label.append("nothing found", style="dim")
    refused = "refused, " if worst >= deny_at else ""
    return label.append(f"{refused}{documents.many(len(found), 'finding')}, worst {worst.name.lower()}", style=_STYLES[worst])


def _add(branch: Tree, found: Sequence[tuple[Finding, str]], most: int) -> int:
    """Draw findings, the gravest first, as far as there is room; returns how many."""
    from rich.text import Text

    ordered = sorted(found, key=lambda one: -one[0].severity)[: max(most, 0)]
    for one, detail in ordered:
        said = Text(one.severity.name.lower(), style=_STYLES[one.severity])
        said.append(f" {_word(one.rule, 80)}", style="bold")
        place = f" at {_word(detail, 200)}" if detail else ""
        leaf = branch.add(said.append(f"{place}: {_word(one.message, 400)}", style="not bold"))
        if one.fix:
            leaf.add(Text(_word(one.fix, 400), style="dim"))
    return len(ordered)


def _word(text: str, most: int) -> str:
    """A stranger's words: in one line, control characters as escapes, not too long."""
    return documents.short(documents.line(text), most)


def _left_out(files: int, findings: int) -> Iterator[str]:
    if findings:
        yield f"and {documents.many(findings, 'finding')} more: --format json lists them"
    if files:
        yield f"and {documents.many(files, 'file')} more"
