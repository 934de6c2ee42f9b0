"""Write operators/checks.py and operators/__init__.py from the registry of checks.

    python tools/operators.py            # write them
    python tools/operators.py --check    # exit 1 if they are not what would be written

The parameters of an operator are the fields of its check's options, with their names, defaults and descriptions. So a new check
gets an operator without anybody writing one, and the two cannot drift apart.
"""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pratique import checking
from pratique.checking import Check

FOLDER = Path(__file__).resolve().parent.parent / "operators"
NAMES = {
    "artifact": "ScanArtifactOperator",
    "backdoor": "ProbeBackdoorOperator",
    "dataset": "ValidateDatasetOperator",
    "isolation": "VerifyIsolationOperator",
    "lineage": "VerifyLineageOperator",
    "privacy": "VerifyPrivacyOperator",
    "provenance": "VerifyProvenanceOperator",
}
"""Operators are named after what they do. A check that is not listed gets its own name: `my-check`, MyCheckOperator."""

WRITTEN_BY_HAND = {
    "AuditOperator": "auditing",
    "BlockedGateNotifier": "notifying",
    "CheckOperator": "gates",
    "EvidenceSensor": "waiting",
    "GateOperator": "gates",
    "PromoteModelOperator": "promoting",
    "guarded_promotion": "grouping",
}
TYPES = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "object": "Mapping[str, Any]"}
COMMON = {
    "kind": "what the artifact is: {kinds}.",
    "deny_at": "the mildest finding that fails the task: note, low, medium, high or critical.",
    "enforcement": "`enforce`, or `audit`: a denial is signed, stored and told, but the task succeeds.",
    "store": "URI of the evidence store. Default: PRATIQUE_STORE.",
    "key": "path of the private key that signs. Default: this machine's own, PRATIQUE_KEY.",
    "kwargs": "Airflow's own, such as `task_id` and `retries`.",
}

MODULE = '''\
"""An operator for each check that ships with the package. Written by tools/operators.py: change the check's options instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pratique.operators.gates import CheckOperator

if TYPE_CHECKING:
    from airflow.sdk import XComArg

__all__ = {names}
'''

CLASS = '''

class {operator}(CheckOperator):
    """{first}

{rest}
    """

    def __init__(
        self,
        *,
        artifact: str | XComArg,
{parameters}
        kind: str = "{kind}",
        deny_at: str = "high",
        enforcement: str = "enforce",
        store: str | None = None,
        key: str | None = None,
        **kwargs: Any,
    ) -> None:
        """All parameters are templated.

        Args:
{arguments}
        """
        options: Mapping[str, Any] = {{{options}}}
        super().__init__(
            check="{check}", artifact=artifact, options=options, kind=kind, deny_at=deny_at, enforcement=enforcement,
            store=store, key=key, **kwargs,
        )  # fmt: skip
'''

INIT = '''\
"""Airflow operators: hold an artifact against a policy, run one check, put a model into production.

    from pratique.operators import GateOperator

    base = GateOperator(task_id="admit_base", artifact="{{{{ params.base_model }}}}")   # baseline policy, no other set-up
    train(base.output["path"])                                                      # the copy that was judged

Written by tools/operators.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
{imports}

# Airflow imports a provider in every process that it starts: nothing is loaded before it is used (PEP 562).
_HOME = {home}

__all__ = {names}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {{__name__!r}} has no attribute {{name!r}}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{{__name__}}.{{_HOME[name]}}"), name)
    return value
'''


@dataclass(frozen=True)
class Parameter:
    """One field of a check's options, as a keyword parameter."""

    name: str
    type: str
    default: str
    """Python source; '' if the field is required."""

    text: str


def main(arguments: list[str]) -> int:
    """Write the files, or compare them."""
    stale = []
    for path, text in generate().items():
        if arguments == ["--check"]:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(path.name)
        else:
            path.write_text(text, encoding="utf-8")
    if stale:
        print(f"operators/{', operators/'.join(stale)} out of date: run `make generate`", file=sys.stderr)
    return 1 if stale else 0


def generate() -> dict[Path, str]:
    """The text of each file."""
    checks = {operator_name(name): checking.load(name) for name in own_checks()}
    classes = "".join(class_of(operator, chosen) for operator, chosen in sorted(checks.items()))
    module = MODULE.format(names=sorted(checks)) + classes
    home = {**dict.fromkeys(checks, "checks"), **WRITTEN_BY_HAND}
    names = sorted(home)
    ordered = sorted(names, key=lambda name: (home[name], name))
    imports = "\n".join(f"    from pratique.operators.{home[name]} import {name} as {name}" for name in ordered)
    init = INIT.format(imports=imports, home={name: home[name] for name in names}, names=names)
    return {path: formatted(text, path) for path, text in ((FOLDER / "checks.py", module), (FOLDER / "__init__.py", init))}


def own_checks() -> list[str]:
    """The checks that this distribution registers; other people's get their operators from other people."""
    return [name for name, point in checking.installed().items() if point.dist and point.dist.name == "pratique"]


def operator_name(check: str) -> str:
    """What the operator of a check is called."""
    return NAMES.get(check) or "".join(part.capitalize() for part in check.split("-")) + "Operator"


def class_of(operator: str, chosen: Check[Any]) -> str:
    """The source of one operator."""
    fields = parameters(chosen)
    refuse_collisions(chosen.name, fields)
    kinds = [kind for kind in ("model", "dataset", "environment") if kind in chosen.kinds]
    first, rest = described(chosen, fields)
    common = {**COMMON, "kind": COMMON["kind"].format(kinds=" or ".join(kinds))}
    told = {
        "artifact": "a local path or any fsspec URI, or another task's output.",
        **{one.name: one.text for one in fields},
        **common,
    }
    return CLASS.format(
        operator=operator, first=first, rest=rest, check=chosen.name, kind=kinds[0],
        parameters="\n".join(
            f"        {one.name}: {one.type}" + (f" = {one.default}" if one.default else "") + "," for one in fields
        ),
        arguments="\n".join(wrapped(f"{name}: {text}", indent=12, hanging=4) for name, text in told.items()),
        options=", ".join(f'"{one.name}": {one.name}' for one in fields),
    )  # fmt: skip


def described(chosen: Check[Any], fields: list[Parameter]) -> tuple[str, str]:
    """The first paragraph of the check's own words, as a headline and a body."""
    doc = inspect.getdoc(getattr(chosen, "function", type(chosen))) or f"Run the check {chosen.name}."
    first, _, more = doc.partition("\n\n")[0].replace("\n", " ").partition(". ")
    rest = f"{more} " if more else ""
    rest += f"The check `{chosen.name}` as a task: keeps its signed evidence, and fails on a finding at or above `deny_at`."
    if any("file" in one.text.lower() for one in fields):
        rest += " There is no policy file that a relative path could be relative to, so give absolute ones."
    return first.rstrip(".").replace("\\", "\\\\") + ".", wrapped(rest, indent=4)


def parameters(chosen: Check[Any]) -> list[Parameter]:
    """What the check can be asked, the required things first."""
    schema = chosen.options.model_json_schema(mode="validation")
    definitions = schema.get("$defs", {})
    needed = set(schema.get("required", ()))
    found = []
    for name, one in schema.get("properties", {}).items():
        optional = name not in needed
        value = one.get("default")
        kind = type_of(one, definitions)
        if optional and value is None and "None" not in kind.split(" | "):
            kind += " | None"
        text = " ".join(one.get("description", one.get("title", name)).split())
        found.append(Parameter(name=name, type=kind, default=source(value) if optional else "", text=text))
    return sorted(found, key=lambda one: bool(one.default))


def type_of(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """The annotation for a JSON schema. What it does not say is Any."""
    if "$ref" in schema:
        return type_of(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return " | ".join(dict.fromkeys(type_of(one, definitions) for one in choices))
    if schema.get("type") == "null":
        return "None"
    if schema.get("type") == "array":
        return f"Sequence[{type_of(schema.get('items', {}), definitions)}]"
    if "enum" in schema or "const" in schema:
        return "str"
    return TYPES.get(schema.get("type", ""), "Any")


def source(value: Any) -> str:
    """A default as Python source, without mutable ones. None stands for what has no plain form: the check then decides."""
    if isinstance(value, list):
        return repr(tuple(value))
    return repr(value) if value is None or isinstance(value, (str, int, float, bool)) else "None"


def refuse_collisions(check: str, fields: list[Parameter]) -> None:
    """An option named like one of our own parameters would be taken for it. (A test looks at Airflow's.)"""
    taken = {"artifact", "check", "options", *COMMON}
    for one in fields:
        if one.name in taken:
            raise SystemExit(f"check {check!r}: an operator cannot have the option {one.name!r}; call it something else")


def wrapped(text: str, *, indent: int, hanging: int = 0) -> str:
    """Prose within the line length, ready to stand in a docstring."""
    space = " " * indent
    lines = textwrap.wrap(text.replace("\\", "\\\\"), 126, initial_indent=space, subsequent_indent=space + " " * hanging)
    return "\n".join(lines)


def formatted(text: str, path: Path) -> str:
    """As `make format` leaves it."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(path), "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    command = [sys.executable, "-m", "ruff", "check", "--fix", "--select", "F401", "--stdin-filename", str(path), "-q", "-"]
    return subprocess.run(command, input=done.stdout, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
