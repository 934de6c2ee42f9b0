"""Write what is generated below components/: a step for each check, and the compiled form and the page of every component.

    python tools/components.py            # write them
    python tools/components.py --check    # exit 1 if they are not what would be written

| file | from |
|---|---|
| `<check>/component.py` | the options of the check, as tools/operators.py does it for Airflow |
| `__init__.py`, `<name>/__init__.py` | the folders that there are |
| `<name>/metadata.yaml` | a first draft if there is none; then it is yours |
| `<name>/component.yaml`, `transfer_learning.yaml` | kfp's compiler (tools/component_pages.py) |
| `<name>/README.md`, `README.md` | the compiled interface and the metadata (tools/component_pages.py) |

A component for a check is a few lines over `pratique.steps`, because the code of a component is copied into every pipeline that
is compiled with it.
"""

from __future__ import annotations

import os
import re
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import component_pages
import operators  # tools/operators.py
from operators import Parameter, formatted, own_checks, parameters, wrapped
from pratique import checking
from pratique.checking import Check

FOLDER = Path(__file__).resolve().parent.parent / "components"
PIPELINE = "transfer_learning"
OTHERS = {
    "IMAGE": "image", PIPELINE: PIPELINE, "harden": "hardening", "schedule_audit": "scheduling", "uncached": "caching",
}  # fmt: skip
"""What the package offers besides its components, and where each is."""

INPUTS = ("artifact", "run_id", "evidence", "report", "metrics", "policy", "kind", "deny_at", "store", "key", "asked")
SCALARS = ("str", "int", "float", "bool")
SDK = re.compile(r"^sdkVersion: .*$", re.MULTILINE)
"""The one line in which two versions of kfp compile our components differently."""

COMPONENT = '''\
"""The check `{check}` as a step. Written by tools/components.py: change the check's options instead."""

from typing import {typing}

from kfp import dsl
from kfp.dsl import HTML, Artifact, Input, Metrics, Output

from pratique.components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def {name}(
    artifact: Input[Artifact],
    run_id: str,
    evidence: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
{signature}
    policy: Optional[str] = None,
{kind}
    deny_at: Optional[str] = None,
    store: str = "",
    key: str = "",
) -> str:
    """{first}

{rest}

    Args:
{arguments}

    Returns:
        The digest of the evidence: its name in the store.
    """
    from pratique import steps

    asked = {{{options}}}
    return steps.check(
        "{check}", artifact, evidence=evidence, report=report, metrics=metrics, run_id=run_id, asked=asked,
        policy=policy, {passed}deny_at=deny_at, store=store, key=key,
    )  # fmt: skip
'''

ARGUMENTS = {
    "artifact": "What to look at: any artifact of an earlier step, or a `dsl.importer` for a path or a URI.",
    "run_id": "This run: `dsl.PIPELINE_JOB_ID_PLACEHOLDER`.",
    "evidence": "What was seen, as a signed in-toto test result in a Sigstore bundle; a copy of the one in the store.",
    "report": "What was seen, as a page.",
    "metrics": "Every measure, and the number of findings of each severity.",
}
MORE = {
    "policy": "Path of a policy in the step's file system that asks the question, instead of all options here.",
    "kind": "What the artifact is: {kinds}. Default: {kind}.",
    "deny_at": "The mildest finding that fails the step: note, low, medium, high or critical; or `never`, which leaves the "
    "decision to a gate of this run. Default: high, or as the policy says.",
    "store": "URI of the evidence store; '' for the image's PRATIQUE_STORE.",
    "key": "Path of the private key that signs (mount a secret); '' for the image's PRATIQUE_KEY.",
}

PACKAGE = '''\
"""The component `{name}`. Written by tools/components.py."""

from pratique.components.{name}.component import {name}

__all__ = ["{name}"]
'''

INIT = '''\
"""The gates of Pratique as Kubeflow Pipelines components (Kubeflow Pipelines 2, `pip install 'pratique[kfp]'`).

    from pratique.components import gate, promote_model, uncached

Each lives in a folder of its own, beside its compiled `component.yaml` and a README. `transfer_learning` chains them.

Written by tools/components.py.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
{imports}

# kfp takes seconds to import, so nothing is loaded before it is used (PEP 562).
_HOME = {home}

__all__ = {names}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {{__name__!r}} has no attribute {{name!r}}")
    from importlib import import_module

    value = getattr(import_module(f"{{__name__}}.{{_HOME[name]}}"), name)
    globals()[name] = value
    return value


class _Catalogue(ModuleType):
    """Python binds an imported sub-module to its package, where `gate` must stay the component and not become its folder."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Catalogue
'''

METADATA = """\
---
name: {name}
stability: alpha
dependencies:
  kubeflow:
    - name: Pipelines
      version: '>=2.16'
tags:
  - security
  - supply-chain
lastVerified: {today}T00:00:00Z
links:
  documentation: docs/kubeflow.md
"""


def main(arguments: list[str]) -> int:
    """Write the files, or compare them. Code first: the other files are made from it."""
    os.environ.pop("PRATIQUE_IMAGE", None)  # a compiled file names the default image, whoever compiles it
    check_only = arguments == ["--check"]
    stale = put(sources(), check_only)
    stale += [] if stale else put(component_pages.compiled(FOLDER, PIPELINE), check_only)
    if stale:
        print(f"components/{', components/'.join(stale)} out of date: run `make generate`", file=sys.stderr)
    return 1 if stale else 0


def put(files: dict[Path, str], check_only: bool) -> list[str]:
    """Write what is not as it should be; or, if that is all that was asked, return what is not."""
    stale = [path for path, text in files.items() if not path.exists() or not same(path.read_text(encoding="utf-8"), text)]
    if check_only:
        return [str(path.relative_to(FOLDER)) for path in stale]
    for path in stale:
        path.parent.mkdir(exist_ok=True)
        path.write_text(files[path], encoding="utf-8")
    return []


def same(one: str, other: str) -> bool:
    """Whether two files say the same, by whatever version of kfp."""
    return SDK.sub("", one) == SDK.sub("", other)


def sources() -> dict[Path, str]:
    """The Python files, and a draft of missing metadata."""
    checks = {component_name(name): checking.load(name) for name in own_checks()}
    files = {FOLDER / name / "component.py": component_of(name, chosen) for name, chosen in checks.items()}
    names = sorted({*checks, *(path.parent.name for path in FOLDER.glob("*/component.py"))})
    files |= {FOLDER / name / "__init__.py": PACKAGE.format(name=name) for name in names}
    home = {**OTHERS, **{name: f"{name}.component" for name in names}}
    imports = "\n".join(
        f"    from pratique.components.{home[name]} import {name} as {name}" for name in sorted(home, key=home.__getitem__)
    )
    files[FOLDER / "__init__.py"] = INIT.format(
        imports=imports, home={one: home[one] for one in sorted(home)}, names=sorted(home)
    )
    files = {path: formatted(text, path) for path, text in files.items()}
    today = datetime.now(timezone.utc).date()
    drafts = {FOLDER / name / "metadata.yaml": METADATA.format(name=name, today=today) for name in names}
    return files | {path: text for path, text in drafts.items() if not path.exists()}


def component_name(check: str) -> str:
    """What the component of a check is called: what its operator is, in Kubeflow's spelling."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", operators.operator_name(check).removesuffix("Operator")).lower()


def component_of(name: str, chosen: Check[Any]) -> str:
    """The source of one component."""
    fields = parameters(chosen)
    for one in fields:
        if one.name in INPUTS:
            raise SystemExit(f"check {chosen.name!r}: a component cannot have the option {one.name!r}; call it something else")
    kinds = [kind for kind in ("model", "dataset", "environment") if kind in chosen.kinds]
    several = len(kinds) > 1
    first, rest = described(chosen)
    types = {one.name: type_of(chosen.name, one) for one in fields}
    told = {
        **ARGUMENTS,
        **{one.name: f"{one.text} {remark(one)}" for one in fields},
        **{key: text.format(kinds=" or ".join(kinds), kind=kinds[0]) for key, text in MORE.items() if key != "kind" or several},
    }
    return COMPONENT.format(
        check=chosen.name, name=name, first=first, rest=rest, kind="    kind: Optional[str] = None," if several else "",
        typing="Any, Optional" if any("Any" in one for one in types.values()) else "Optional",
        signature="\n".join(f"    {one.name}: {annotation(chosen.name, one)}," for one in fields),
        arguments="\n".join(wrapped(f"{key}: {text}", indent=8, hanging=4) for key, text in told.items()),
        options=", ".join(f'"{one.name}": {one.name}' for one in fields), passed="kind=kind, " if several else "",
    )  # fmt: skip


def described(chosen: Check[Any]) -> tuple[str, str]:
    """The check's own first paragraph, as a headline and a body that says what the step does about it."""
    first, _ = operators.described(chosen, [])
    rest = (
        "Keeps signed evidence of what it saw, and then fails on a finding at or above `deny_at`. It hands no artifact on and "
        "clears nothing: to train on exactly what was judged, or to promote it, use `gate`. What to ask comes from the options "
        "here (paths are those of the step's file system) or from `policy`."
    )
    return first, wrapped(rest, indent=4)


def type_of(check: str, field: Parameter) -> str:
    """A type that Kubeflow hands on: a parameter there is a string, a number, a truth value, a list or a dictionary."""
    whole = field.type.startswith("Sequence[") and field.type.endswith("]")  # what lies within its brackets is its own affair
    kinds = [field.type] if whole else [one for one in field.type.split(" | ") if one != "None"]
    kind = kinds[0] if len(kinds) == 1 else ""
    if kind in SCALARS:
        return kind
    if kind.startswith("Sequence["):
        inner = kind.removeprefix("Sequence[").removesuffix("]")
        return f"list[{inner}]" if inner in SCALARS else "list[Any]"
    if kind.startswith("Mapping["):
        return "dict[str, Any]"
    raise SystemExit(f"check {check!r}, option {field.name!r}: Kubeflow has no parameters of type {field.type}")


def annotation(check: str, field: Parameter) -> str:
    """Type and default. Every option can be left out, for a policy to say; None stands for what has no plain default."""
    kind = type_of(check, field)
    if kind in SCALARS and field.default not in ("", "None"):
        return f"{kind} = {field.default}"
    if kind == "int":  # kfp.local calls int() on every integer, also on one that was left out (2.16 and 2.17)
        raise SystemExit(f"check {check!r}, option {field.name!r}: an integer needs a default")
    return f"Optional[{kind}] = None"


def remark(field: Parameter) -> str:
    """What a signature cannot say: that an option is needed, or the default of a list."""
    if not field.default:
        return "Needed, unless `policy` is given."
    return f"Default: {field.default.strip('()').rstrip(',')}." if field.default.startswith("(") else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
