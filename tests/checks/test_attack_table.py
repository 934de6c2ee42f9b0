"""docs/checks/provenance-attacks.md says which test stops which attack: here it is held to that."""

from __future__ import annotations

import re
from pathlib import Path

from pratique import signing
from pratique.checks.provenance import provenance

from ..test_docs import functions

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "checks" / "provenance-attacks.md"
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
SIGNERS = {*signing.RULES, "signature-too-old"}
"""Who signed, by what, and when: the page names those that were measured, `pratique.signing` has tests of many more."""
ERRORS = {"symlink", "special-file", "unlistable-folder", "changed-meanwhile", "names-differ"}
"""What is no finding, because there is nothing to make one about: an artifact or a folder that is refused outright."""


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if "| tests |" not in line]


def test_every_row_names_a_test_that_is_there() -> None:
    assert len(rows()) > 60
    for row in rows():
        named = TEST.findall(row[-1])
        assert named and len(row) == 4, row
        assert not [f"{file}::{name}" for file, name in named if name not in functions(ROOT / file)]


def test_every_rule_is_one_that_we_have() -> None:
    known = {*provenance.rules, *ERRORS}
    sections = PAGE.read_text().split("## What 1.1.1 refuses")[0]
    lines = [line for line in sections.splitlines() if line.startswith("| ") and "| tests |" not in line]
    named = {rule for line in lines for rule in re.findall(r"`([a-z]+(?:-[a-z]+)+|unsigned|symlink)`", line.split(" | ")[2])}
    assert named - {"unsigned-files"} <= known
    assert set(provenance.rules) - SIGNERS <= named, "a rule that no attack on the page ends with"


def test_every_rule_in_the_code_is_in_the_table_of_rules() -> None:
    written = set()
    for folder in ("oms", "checks/provenance"):
        for file in (ROOT / "src" / "pratique" / folder).glob("*.py"):
            written |= set(re.findall(r'rule="([a-z-]+)"', file.read_text()))
    assert written <= {*provenance.rules, *ERRORS}
