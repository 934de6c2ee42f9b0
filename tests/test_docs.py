"""The pages, held against the code: links, tables, examples, and the tests that they name."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pratique import checking, policies
from pratique.checks.artifact.rules import RULES
from pratique.testing import folder_of

from .markdown import PAGES, ROOT, plain, play, table, tables

CHECKS = sorted(page for page in ROOT.glob("docs/checks/*.md") if not page.stem.endswith("-attacks"))
PLAYED = (
    "docs/audit.md",
    "docs/incident.md",
    "docs/policy.md",
    "docs/sources.md",
    "docs/trust.md",
    "docs/checks/artifact.md",
    "docs/checks/lineage.md",
    "docs/checks/provenance.md",
)
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#]*)(?:#([^)]*))?\)")
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def names(paths: list[Path]) -> list[str]:
    return [path.relative_to(ROOT).as_posix() for path in paths]


# --- links --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target, anchor in _LINK.findall(_without_code(page)):
        there = (page.parent / target).resolve() if target else page
        if not there.exists() or not there.is_relative_to(ROOT):
            broken.append(target)
        elif anchor and anchor not in anchors(there):
            broken.append(f"{target}#{anchor}")
    assert not broken


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in seen:
            continue
        seen.add(page)
        targets = [(page.parent / target).resolve() for target, _ in _LINK.findall(_without_code(page)) if target]
        ahead += [one for one in targets if one.suffix == ".md" and one.exists()]
    assert set(PAGES) <= seen


@pytest.mark.parametrize("page", PAGES, ids=names(PAGES))
def test_every_test_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    assert not [f"{file}::{name}" for file, name in _TEST.findall(text) if name not in functions(ROOT / file)]
    assert not [file for file in re.findall(r"`(tests/[\w/]+\.py)`", text) if not (ROOT / file).is_file()]


# --- checks -------------------------------------------------------------------------------------------------------------


def test_every_check_has_a_page_and_every_page_a_check() -> None:
    assert {path.stem for path in CHECKS} <= set(checking.installed())


@pytest.mark.parametrize("page", CHECKS, ids=names(CHECKS))
@pytest.mark.parametrize("what", ["rule", "measure", "option"])
def test_the_tables_of_a_check_are_what_it_reports_and_can_be_asked(page: Path, what: str) -> None:
    """Names in the first column are exactly the check's; a column called `meaning` or `default` is the check's own, too."""
    check = checking.load(page.stem)
    options = {key: (default, meaning) for key, default, meaning in described(check.options.model_json_schema())}
    known = {"rule": check.rules, "measure": check.measures, "option": options}[what]
    written = {}
    for head, rows in tables(page):
        if head[0].rstrip("s") == what:
            written.update({plain(row[0]): dict(zip(head, row, strict=True)) for row in rows})
    assert set(written) == set(known)
    for name, row in written.items():
        if "meaning" in row:
            assert row["meaning"] == (options[name][1] if what == "option" else known[name])
        if "default" in row:
            assert row["default"] == options[name][0]


def test_the_severities_and_remedies_of_the_artifact_check() -> None:
    rows = table(ROOT / "docs/checks/artifact.md", "rule", "severity", "meaning", "what to do")
    assert [(plain(row[0]), row[1], row[3]) for row in rows] == [
        (name, rule.severity.name.lower(), rule.fix) for name, rule in RULES.items()
    ]


def test_the_keys_that_the_artifact_check_knows_are_all_named() -> None:
    from pratique.checks.artifact.references import KEYS

    text = (ROOT / "docs/checks/artifact.md").read_text()
    unnamed = [key for key in KEYS if f"`{key}`" not in text]
    assert sorted(unnamed) == sorted([
        "_attn_implementation", "_attn_implementation_internal", "py/function", "py/object", "py/reduce", "py/type",
    ])  # fmt: skip
    assert "private twins" in text and "`py/...`" in text


def test_the_changelog_names_every_check_and_every_command() -> None:
    from pratique.cli import cli

    text = (ROOT / "CHANGELOG.md").read_text()
    assert text.index("## Unreleased") == text.index("## "), "what is coming stands on top"
    missing = [
        name for name in (*checking.installed(), *cli.commands) if f"`{name}`" not in text and f"make {name}" not in text
    ]
    assert not missing


# --- policies -----------------------------------------------------------------------------------------------------------


def test_the_policy_reference_is_the_schema() -> None:
    schema = policies.schema()
    parts = schema["$defs"]
    requirement = schema["properties"]["require"]["properties"]["artifact"]
    options = {"type": "object", "default": {}, "description": policy_file("RequirementFile", "options")}
    requirement = {**requirement, "properties": {**requirement["properties"], "options": options}}
    below = ("BoundFile", "EvidenceFile", "ClearanceFile", "WaiverFile")
    expected = [described(one, parts) for one in (schema, requirement, *(parts[name] for name in below))]
    found = [
        [(plain(key), default, meaning) for key, default, meaning in rows]
        for head, rows in tables(ROOT / "docs/policy.md") if head == ["key", "default", "meaning"]
    ]  # fmt: skip
    assert found == expected


def test_the_reference_of_whom_to_trust_is_the_schema() -> None:
    parts = policies.schema()["$defs"]
    kinds = ("Key", "Own", "Certificate", "Identity", "GitHub", "GitLab", "Google", "Email")
    expected = [described(parts[name], parts) for name in (*(f"{kind}Entry" for kind in kinds), "RevokedFile")]
    found = [
        [(plain(key), default, meaning) for key, default, meaning in rows]
        for head, rows in tables(ROOT / "docs/trust.md") if head == ["key", "default", "meaning"]
    ]  # fmt: skip
    assert found == expected


def test_the_schema_is_json_that_every_parser_reads() -> None:
    """JSON has no infinity, which is what a bound that was left out comes to."""
    text = json.dumps(policies.schema(), allow_nan=False)
    assert "Infinity" not in text and json.loads(text)["title"] == "Pratique policy"


def described(schema: Mapping[str, Any], parts: Mapping[str, Any] | None = None) -> list[tuple[str, str, str]]:
    """What a schema says of each key: name, default, meaning."""
    rows = []
    for key, one in schema["properties"].items():
        part = (parts or {}).get(one.get("$ref", "").rpartition("/")[2], {})
        default = "" if one.get("default") is None else f"`{json.dumps(one['default'])}`"
        meaning = one.get("description") or part.get("description", "")
        rows.append((key, "required" if key in schema.get("required", ()) else default, " ".join(meaning.split())))
    return rows


def policy_file(model: str, field: str) -> str:
    from pratique import policy_files

    return str(getattr(policy_files, model).model_fields[field].description)


# --- examples -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PLAYED)
def test_the_examples_of_a_page_run_as_it_says(page: str, tmp_path: Path) -> None:
    deliver(tmp_path)
    played = [block for block in play(ROOT / page, tmp_path) if block.runs]
    assert played


def deliver(folder: Path) -> None:
    """What the pages take for granted."""
    import torch
    from safetensors.torch import save_file

    tensors = {"w": torch.arange(4.0)}
    folder_of(folder, {"data/train/table.csv": b"a,label\n1,0\n2,1\n", "models/base/config.json": b'{"hidden_size": 4}'})
    save_file(tensors, folder / "models" / "base" / "model.safetensors")
    for name in ("large/model.safetensors", "one.safetensors"):
        (folder / "models" / name).parent.mkdir(exist_ok=True)
        save_file(tensors, folder / "models" / name)
    (folder / "models" / "foreign").mkdir()
    torch.save(tensors, folder / "models" / "foreign" / "pytorch_model.bin")


def _without_code(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to headings."""
    headings = re.findall(r"^#+ (.+)$", _without_code(page), re.M)
    return {re.sub(r"[^\w\- ]", "", plain(one).lower()).replace(" ", "-") for one in headings}


@cache
def functions(file: Path) -> frozenset[str]:
    """Every test function in a file."""

    def walk() -> Iterator[str]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                yield node.name

    return frozenset(walk()) if file.is_file() else frozenset()
