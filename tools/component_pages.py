"""The compiled form and the page of every component. Run by tools/components.py, once the code is there."""

from __future__ import annotations

import inspect
import subprocess
import sys
import tempfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import yaml

CACHED, UNCACHED = "        cachingOptions:\n          enableCache: true\n", "        cachingOptions: {}\n"
"""kfp writes a component as a pipeline of one task that may be answered from the cache, and has no switch for that."""

TASKS = {"gate": "admission", "promote_model": "promotion"}
"""What a page calls the task of a component; else its verb."""

PAGE = """\
# {name}

{description}

{facts}

## Inputs

| name | type | needed | what |
|---|---|---|---|
{inputs}

## Outputs

| name | type | what |
|---|---|---|
{outputs}

## Use

```python
from kfp import dsl
from pratique.components import {name}, uncached

{task} = uncached({name}({call}))
```

Or, without this package, from [`component.yaml`](component.yaml), whose image is then set on the task:

```python
from kfp import components

{name} = components.load_component_from_file("component.yaml")
{task} = {name}({call})
{task}.set_container_image("registry.example/pratique@sha256:...").set_caching_options(False)
```

The image, the store, the keys, and what others can do to a run: [docs/kubeflow.md](../../docs/kubeflow.md).
This page is written by tools/components.py.
"""

CATALOGUE = """\
# Kubeflow Pipelines components

| component | what it does |
|---|---|
{rows}

[`transfer_learning.py`](transfer_learning.py) chains them; [`transfer_learning.yaml`](transfer_learning.yaml) is that pipeline,
compiled. How to use them: [docs/kubeflow.md](../docs/kubeflow.md). This page is written by tools/components.py.
"""


def compiled(folder: Path, pipeline: str) -> dict[Path, str]:
    """What is made from the Python files in a folder of components: YAML and pages."""
    files, rows = {}, []
    for home in sorted(path.parent for path in folder.glob("*/component.py")):
        component = load(home / "component.py", home.name)
        files[home / "component.yaml"] = compiled_component(component)
        metadata = yaml.safe_load((home / "metadata.yaml").read_text(encoding="utf-8"))
        files[home / "README.md"] = formatted(page(component, metadata), home / "README.md")
        rows.append(f"| [`{home.name}`]({home.name}) | {prose(component).splitlines()[0]} |")
    files[folder / f"{pipeline}.yaml"] = compile_(load(folder / f"{pipeline}.py", pipeline))
    files[folder / "README.md"] = CATALOGUE.format(rows="\n".join(rows))
    return files


def compiled_component(component: Any) -> str:
    """A component as a file that can be loaded. Nothing in it asks for the cache; whoever loads it has to say so once more."""
    return compile_(component).replace(CACHED, UNCACHED)


def load(path: Path, name: str) -> Any:
    """The component or pipeline in a file, whatever is installed."""
    spec = spec_from_file_location(f"generated_{name}", path)
    assert spec and spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, name)


def compile_(component: Any) -> str:
    """As `kfp dsl compile` writes it."""
    from kfp import compiler

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "compiled.yaml")
        compiler.Compiler().compile(component, str(path))
        return path.read_text(encoding="utf-8")


def page(component: Any, metadata: dict[str, Any]) -> str:
    """The README of a component."""
    spec, name, told = component.component_spec, component.name.replace("-", "_"), docs(component)
    kubeflow = ", ".join(f"{one['name']} {one['version']}" for one in metadata["dependencies"]["kubeflow"])
    return PAGE.format(
        name=name, description=prose(component), call=call(component), task=TASKS.get(name, name.partition("_")[0]),
        facts=f"Stability: {metadata['stability']}. Needs Kubeflow {kubeflow}. Last verified: "
        f"{metadata['lastVerified']:%Y-%m-%d}. Tags: {', '.join(metadata['tags'])}.",
        inputs="\n".join(
            f"| `{key}` | {typed(one.type)} | {'' if one.optional else 'yes'} | {cell(told.get(key, ''))} |"
            for key, one in (spec.inputs or {}).items()
        ),
        outputs="\n".join(
            f"| `{key}` | {typed(one.type)} | {cell(told.get(key, ''))} |" for key, one in (spec.outputs or {}).items()
        ),
    )  # fmt: skip


def call(component: Any) -> str:
    """The arguments that an example needs."""
    told = docs(component)
    needed = [
        key for key, one in component.component_spec.inputs.items() if not one.optional or "Needed, unless" in told.get(key, "")
    ]
    return ", ".join(f"{one}={'dsl.PIPELINE_JOB_ID_PLACEHOLDER' if one == 'run_id' else '...'}" for one in needed)


def prose(component: Any) -> str:
    """A docstring without its sections; a line for each paragraph."""
    text = (inspect.getdoc(component.python_func) or "").partition("\n\nArgs:")[0]
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def docs(component: Any) -> dict[str, str]:
    """What the docstring says of each input and output."""
    import docstring_parser  # a dependency of kfp

    parsed = docstring_parser.parse(component.python_func.__doc__ or "")
    told = {one.arg_name: one.description or "" for one in parsed.params}
    return told | ({"Output": parsed.returns.description or ""} if parsed.returns else {})


def typed(schema: str) -> str:
    """A type as people write it."""
    if "@" in schema:
        return schema.removeprefix("system.").partition("@")[0]
    for theirs, ours in (("String", "str"), ("Integer", "int"), ("Float", "float"), ("Boolean", "bool")):
        schema = schema.replace(theirs, ours)
    return f"`{schema.replace('List', 'list').replace('Dict', 'dict')}`"


def formatted(text: str, path: Path) -> str:
    """As `make format` leaves it: it formats the code in a page, too."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(path), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def cell(text: str) -> str:
    """Prose in a table."""
    return " ".join(text.split()).replace("|", "\\|")
