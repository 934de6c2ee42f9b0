"""Documents that are tried out: what a page shows is run, and what it says about the code is held against the code.

- A `yaml`, `python` or `bash` block that begins with `# some/path.ext` is a file: it is written there.
- Another `bash` block with a line that begins with `pratique` is run, line by line. A line may end in `# exit N`.
- A `text` block right below it is all that the block prints; `…` stands for anything within a line, alone for any lines.
- Another `python` block is run.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

from pratique import cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_FILE = re.compile(r"# (\S+\.(?:py|yaml|cfg|toml|sh))\n")
_EXIT = re.compile(r"\s+# exit (\d+)\b.*")


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block of a page."""

    language: str
    text: str
    where: str
    """Page and line, for failures."""

    output: str | None = None
    """The `text` block that stands right below it."""

    @property
    def file(self) -> str:
        """Where it is to be written; '' if it is not a file."""
        found = _FILE.match(self.text)
        return found[1] if found else ""

    @property
    def runs(self) -> bool:
        """Whether it is tried out."""
        if self.file or self.language not in ("bash", "python"):
            return False
        return self.language == "python" or bool(re.search(r"^pratique ", self.text, re.M))


def blocks(page: Path) -> list[Block]:
    """Every block of a page, in order."""
    text, found, end = page.read_text(encoding="utf-8"), [], 0
    for match in _FENCE.finditer(text):
        language, body = match.groups()
        if language == "text" and found and not text[end : match.start()].strip():
            found[-1] = replace(found[-1], output=body)
        else:
            where = f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}"
            found.append(Block(language=language, text=body, where=where))
        end = match.end()
    return found


def play(page: Path, folder: Path) -> list[Block]:
    """Try a page out in a folder; returns the blocks that were written or run."""
    played = []
    for block in blocks(page):
        if block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.runs:
            with _inside(folder):
                said = _python(block) if block.language == "python" else "".join(_shell(block))
            if block.output is not None:
                assert _fits(block.output, said), f"{block.where} prints\n{said}\nand the page says\n{block.output}"
        else:
            continue
        played.append(block)
    return played


def commands(block: Block) -> Iterator[tuple[str, int]]:
    """The command lines of a shell block, with the exit code that each must have."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            code = _EXIT.search(line)
            yield _EXIT.sub("", line), int(code[1]) if code else 0


def tables(page: Path) -> Iterator[tuple[list[str], list[list[str]]]]:
    """The tables of a page: what stands in the head, and the rows."""
    rows: list[list[str]] = []
    for line in [*page.read_text(encoding="utf-8").splitlines(), ""]:
        if line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            rows.append([cell.strip().replace("\\|", "|") for cell in cells])
        elif rows:
            yield rows[0], rows[2:]
            rows = []


def table(page: Path, *head: str) -> list[list[str]]:
    """The rows of the one table whose head begins like this."""
    found = [rows for names, rows in tables(page) if names[: len(head)] == list(head)]
    assert len(found) == 1, f"{page.name} has {len(found)} tables with the head {head}"
    return found[0]


def plain(cell: str) -> str:
    """A cell without its back quotes and links."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", cell).replace("`", "")


def _shell(block: Block) -> Iterator[str]:
    for line, expected in commands(block):
        code, said = _pratique(line) if line.startswith("pratique ") else _bash(line)
        assert code == expected, f"{block.where}: {line!r} ended with {code}, not with {expected}:\n{said}"
        yield said


def _pratique(line: str) -> tuple[int, str]:
    """The command in this process: a new one for each line would take half a second."""
    said, code = io.StringIO(), 0
    argv = patch.object(sys, "argv", shlex.split(line, comments=True))
    with argv, contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            cli.main()
        except SystemExit as done:
            code = int(done.code or 0)
    return code, said.getvalue()


def _bash(line: str) -> tuple[int, str]:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-euc", line], capture_output=True, text=True, check=False, env=environment)
    return done.returncode, done.stdout + done.stderr


def _python(block: Block) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(block.text, block.where, "exec"), {"__name__": "__main__"})  # noqa: S102  (our own page)
    return said.getvalue()


def _fits(pattern: str, said: str) -> bool:
    lines = [
        r"(?:.*\n)*?" if line.strip() == "…" else re.escape(line.rstrip()).replace("…", ".*?") + r"[ ]*\n"
        for line in pattern.splitlines()
    ]
    return re.fullmatch("".join(lines), said if said.endswith("\n") else said + "\n") is not None


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
