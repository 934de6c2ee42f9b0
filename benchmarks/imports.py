"""What a DAG file pays for `import pratique.operators` at every parse, on top of `airflow.sdk`; and what the command line pays.

    python benchmarks/imports.py

CPU seconds of a process of its own, the best of several: other work on the machine only ever adds.
"""

from __future__ import annotations

import json
import subprocess
import sys

from rows import Row, table

ROUNDS = 5
MOST_SECONDS, MOST_MODULES = 0.05, 60
"""The budget of tests/airflow/test_imports.py. Airflow parses DAG files every 30 seconds unless told otherwise."""

MEASURE = """
import json, sys, time
def spent(what):
    before, start = set(sys.modules), time.process_time()
    exec(what, {})
    return time.process_time() - start, len(set(sys.modules) - before)
print(json.dumps([spent(what) for what in sys.argv[1:]]))
"""
OPERATORS = "import pratique.operators as ours\nfor name in ours.__all__: getattr(ours, name)"
HELP = "from click.testing import CliRunner\nfrom pratique.cli import cli\nCliRunner().invoke(cli, ['--help'])"


def spent(*what: str) -> list[tuple[float, int]]:
    """CPU seconds and new modules of each, one after the other in one fresh process: the best of several."""
    found = []
    for _ in range(ROUNDS):
        done = subprocess.run([sys.executable, "-c", MEASURE, *what], capture_output=True, text=True, check=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return [(min(seconds for seconds, _ in one), max(count for _, count in one)) for one in zip(*found, strict=True)]


def measure() -> list[Row]:
    """Seconds and modules."""
    (sdk, _), (ours, modules) = spent("import airflow.sdk, airflow.sdk.exceptions", OPERATORS)
    (help_, _), (click, _) = spent(HELP)[0], spent("import click.testing")[0]
    return [
        Row(
            what="all operators, on top of `airflow.sdk`", figure=ours, unit="s of CPU", peer=f"airflow.sdk itself {sdk:.2f} s",
            ratio=sdk / ours, goal=f"at most {MOST_SECONDS}",
        ),
        Row(what="modules that they add", figure=modules, unit="modules", goal=f"at most {MOST_MODULES}"),
        Row(
            what="`pratique --help`", figure=help_, unit="s of CPU", peer=f"click alone {click:.2f} s", ratio=click / help_,
            note="no numpy, no pydantic, no frameworks",
        ),
    ]  # fmt: skip


if __name__ == "__main__":
    print(table(measure()))
