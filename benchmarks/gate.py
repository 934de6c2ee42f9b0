"""What the way through the gate and into production costs, against sha256 of the same bytes in the same run.

    python benchmarks/gate.py             256 MB of safetensors
    python benchmarks/gate.py --mb 16     less

The gate copies the artifact while hashing it, looks at it, hashes the copy again, signs, stores, verifies and decides. A
promotion copies and hashes what it is given, copies it to the destination, brings it to the disk, and hashes what lies there.
CPU seconds of this process, all its threads together, the best of several rounds in which all take turns. Waiting for the disk
is no CPU time, and is not in the figures.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rows import Row, table

ROUNDS = 3
MB = 1_000_000


def model(folder: Path, size: int) -> Path:
    """An honest model of some bytes."""
    folder.mkdir()
    values = size // 4
    header = json.dumps({"w": {"dtype": "F32", "shape": [values], "data_offsets": [0, 4 * values]}}).encode()
    with (folder / "model.safetensors").open("wb") as stream:
        stream.write(struct.pack("<Q", len(header)) + header)
        for _ in range(values // 262_144):
            stream.write(os.urandom(1 << 20))
        stream.write(os.urandom(4 * (values % 262_144)))
    (folder / "config.json").write_text('{"layers": 1}')
    return folder


def sha256(folder: Path) -> None:
    """What nobody can do without."""
    for path in folder.iterdir():
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)


def best(*acts: Callable[[], object]) -> list[float]:
    """CPU seconds of each, the least of several rounds in which they take turns."""
    found: list[list[float]] = [[] for _ in acts]
    for _ in range(ROUNDS):
        for act, seconds in zip(acts, found, strict=True):
            start = time.process_time()
            act()
            seconds.append(time.process_time() - start)
    return [min(seconds) for seconds in found]


def rows_of(work: Path, size: int) -> list[Row]:
    """The gate and a promotion of a model of that size."""
    from pratique.gate import pass_gate
    from pratique.policies import Policy
    from pratique.promotion import promote
    from pratique.store import Store

    source, policy, store = model(work / f"model{size}", size), Policy.baseline(), Store(str(work / "store"))

    def gate() -> None:
        shutil.rmtree(work / "home" / "snapshots", ignore_errors=True)
        assert pass_gate(str(source), policy=policy, store=store).verdict.admitted

    def door() -> None:
        shutil.rmtree(work / "production", ignore_errors=True)
        promote(str(source), policy=policy, destination=str(work / "production"), store=store)

    plain, gated, promoted = best(lambda: sha256(source), gate, door)
    label = f"{size / MB:,.0f} MB" if size >= MB else f"{size / 1000:,.0f} kB"
    if size < MB:  # here it is not the bytes that cost
        return [
            Row(what=f"through the gate, {label}", figure=gated, unit="s of CPU", goal="at most 0.2"),
            Row(what=f"into production, {label}", figure=promoted, unit="s of CPU", goal="at most 0.2"),
        ]
    peer = f"sha256 {plain:.3g} s"
    return [
        Row(what=f"through the gate, {label}", figure=gated, unit="s of CPU", peer=peer, ratio=plain / gated,
            goal="at least 0.25", note="hashed twice, written once"),
        Row(what=f"into production, {label}", figure=promoted, unit="s of CPU", peer=peer, ratio=plain / promoted,
            note="hashed three times (what came, the snapshot that was there, what lies there now), written twice and synced"),
    ]  # fmt: skip


def measure(mb: int = 256) -> list[Row]:
    """A small model and a large one."""
    before = os.environ.get("PRATIQUE_HOME")
    with tempfile.TemporaryDirectory(prefix="pratique-gate-") as folder:
        os.environ["PRATIQUE_HOME"] = f"{folder}/home"
        try:
            rows_of(Path(folder), 4_000)  # imports, the key, the page cache
            shutil.rmtree(Path(folder) / "model4000")
            return [*rows_of(Path(folder), 4_000), *rows_of(Path(folder), mb * MB)]
        finally:
            if before is None:
                del os.environ["PRATIQUE_HOME"]
            else:
                os.environ["PRATIQUE_HOME"] = before


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=256, help="size of the large model")
    print(table(measure(parser.parse_args().mb)))
