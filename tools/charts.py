"""The chart, as helm renders it, and what our own check says of that.

    python tools/charts.py proof              # is each rendering isolated? exit 1 if not
    python tools/charts.py generate           # write the digests of its admission policies, and the golden rendering
    python tools/charts.py generate --check   # exit 1 if they are not what would be written

`make helm` gets helm first.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from pratique import isolation
from pratique.artifacts import open_artifact
from pratique.checking import Report, options_for, run
from pratique.checks.isolation import isolation_check
from pratique.isolation import admission
from pratique.isolation.kinds import ADMISSION

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts" / "pratique"
VALUES = tuple(sorted(CHART.glob("ci/*.yaml")))
KNOWN = ROOT / "src" / "pratique" / "isolation" / "admission.json"
GOLDEN = ROOT / "tests" / "golden" / "chart.yaml"
HELM = Path(os.environ.get("PRATIQUE_HELM", ROOT / ".venv" / "helm" / "helm"))
SIDES = {"names.yaml": ("team-a-train", "team-a-prod", "team-a-release")}
"""Namespaces of values files that name others than the defaults."""


def render(values: Path | None = None, *more: str) -> bytes:
    """What `helm template` writes, for a file of values and other arguments."""
    given = ["-f", str(values)] if values else []
    command = [str(HELM), "template", "pratique", str(CHART), "--namespace", "pratique", *given, *more]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.decode())
    return done.stdout


def digests() -> dict[str, list[str]]:
    """Digests of the policies in a rendering, by purpose."""
    env = isolation.read({"chart.yaml": render()})
    found = {}
    for one in env.of(ADMISSION, "ValidatingAdmissionPolicy"):
        found[one.name.removeprefix("pratique-")] = [admission.digest(one)]
    return {purpose: found[purpose] for purpose in admission.PURPOSES}


def judged(values: Path, work: Path) -> Report:
    """What the check says of a rendering. Buckets that training may write to are said, for nobody else can say them."""
    train, deploy, broker = SIDES.get(values.name, ("ml-train", "ml-deploy", "ml-broker"))
    given = {"train": [train], "deploy": [deploy], "broker": [broker], "scope": "rendering", "train_stores": ["s3://scratch"]}
    file = work / "chart.yaml"
    file.write_bytes(render(values))
    artifact = open_artifact(file, kind="environment", into=work / "snapshots")
    return run(isolation_check, artifact, options_for(isolation_check, given))


def main(arguments: list[str]) -> int:
    """Prove, or write."""
    if arguments == ["proof"]:
        return proof()
    wanted = {KNOWN: (json.dumps(digests(), indent=2) + "\n").encode(), GOLDEN: render(CHART / "ci" / "exceptions.yaml")}
    stale = [path for path, data in wanted.items() if not path.exists() or path.read_bytes() != data]
    if arguments == ["generate", "--check"]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date: run `make generate`", file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        path.write_bytes(wanted[path])
    return 0


def proof() -> int:
    """Every values file, and what was proved of it."""
    worst = 0
    for values in VALUES:
        with tempfile.TemporaryDirectory() as folder:
            report = judged(values, Path(folder))
        broken = [one for one in report.findings if one.severity > 0]
        print(f"{values.name}: {report.measures['rules_proved']:.0f} rules proved, {report.measures['breaches']:.0f} breaches")
        for one in broken:
            print(f"  {one.severity.name.lower()} {one.rule}: {one.message} ({one.where})")
        worst |= bool(broken)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
