"""What a look at a file with the `artifact` check costs, against sha256 of the same bytes in the same run; and its memory.

What it costs to write it again as safetensors (`pratique neutralise`) is measured in the same way.

    python benchmarks/scan.py             some minutes: files of 512 MiB
    python benchmarks/scan.py --mib 64    smaller ones

Each look is a process of its own. Its memory is what it takes privately beyond what Python and the package take; pages of the
file that the system maps in are not counted, because it takes them back whenever it likes. Needs torch, numpy and joblib.
"""

# ruff: noqa: TID253
from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import pickle
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rows import Row, table

FORMATS = ("npy", "pickle", "safetensors", "torch")
PACKS = ("joblib", "sklearn", "torch")
NEUTRALISED = ("zip.pt", "old.pt", "a.npz")
GOAL_MEMORY = 200
GOAL_NEUTRALISED = 1.5
"""Times the sha256 of the same bytes."""

_BLOCK = 1 << 20


def files(folder: Path, mib: int) -> Iterator[tuple[str, Path]]:
    """Honest files of every kind that holds a pickle, and safetensors."""
    import joblib
    import torch
    from safetensors.torch import save_file

    dice = np.random.default_rng(0)
    layers = {f"layer.{n}.weight": torch.from_numpy(dice.standard_normal((1024, 1024), np.float32)) for n in range(mib // 4)}
    torch.save(layers, folder / "zip.pt")
    yield "PyTorch checkpoint", folder / "zip.pt"
    torch.save(layers, folder / "old.pt", _use_new_zipfile_serialization=False)
    yield "PyTorch checkpoint of before 1.6", folder / "old.pt"
    save_file(layers, folder / "w.safetensors")
    yield "safetensors", folder / "w.safetensors"
    arrays = {name: one.numpy() for name, one in layers.items()}
    joblib.dump(arrays, folder / "a.joblib")
    yield "joblib, raw arrays", folder / "a.joblib"
    joblib.dump(arrays, folder / "z.joblib", compress=1)
    yield "joblib, zlib", folder / "z.joblib"
    np.savez(folder / "a.npz", **arrays)
    yield ".npz", folder / "a.npz"
    rows = [{"id": number, "name": f"row {number}", "score": number / 7} for number in range(4_000 * mib)][:300_000]
    (folder / "rows.pkl").write_bytes(pickle.dumps(rows))
    yield "pickle of 300,000 small dictionaries", folder / "rows.pkl"


def look(path: Path) -> float:
    """Seconds of CPU that the check takes for one file."""
    from pratique.checks.artifact.granting import grants
    from pratique.checks.artifact.looking import Asked
    from pratique.checks.artifact.looking import look as look_at
    from pratique.checks.artifact.viewing import opened

    asked = Asked(formats=FORMATS, max_json_bytes=1 << 26, max_text_bytes=1 << 26, grants=grants(PACKS, ()))
    start = time.process_time()
    with opened(path, path.name) as view:
        findings = look_at(view, asked).findings
    if findings:
        raise SystemExit(f"{path.name} is refused: {findings[0].message}")
    return time.process_time() - start


def written_again(path: Path) -> float:
    """Seconds of CPU for the tensors alone: to find them, and to write them as safetensors."""
    from pratique import neutralising
    from pratique.checks.artifact import drawing
    from pratique.checks.artifact.viewing import opened

    target = path.with_suffix(".written")
    start = time.process_time()
    with opened(path, path.name) as view, target.open("xb") as stream:
        neutralising.write(stream, view.data, drawing.draw(view))
    seconds = time.process_time() - start
    target.unlink()
    return seconds


def neutralised(path: Path) -> float:
    """Seconds of CPU for all of `pratique neutralise`: private copy, both digests, looks before and after, signed record."""
    from pratique import neutralising
    from pratique.signing import KeySigner
    from pratique.store import Store

    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        os.environ["PRATIQUE_HOME"] = f"{folder}/home"
        signer, store = KeySigner.generate(), Store(f"{folder}/store")
        start = time.process_time()
        neutralising.neutralise(path, f"{folder}/out", signer=signer, store=store)
        return time.process_time() - start


def sha256(path: Path) -> float:
    """Seconds of CPU that its digest takes."""
    digest, buffer = hashlib.sha256(), bytearray(_BLOCK)
    start = time.process_time()
    with path.open("rb") as stream:
        while count := stream.readinto(buffer):
            digest.update(memoryview(buffer)[:count])
    return time.process_time() - start


def private() -> int:
    """Bytes of memory that are this process's own."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) << 10


def _child(function: Callable[[Path], float], path: Path, answer: Any) -> None:
    import pratique.checks.artifact  # noqa: F401  (its memory is not the file's)

    before, most, done = private(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            most[0] = max(most[0], private())

    watcher = threading.Thread(target=watch)
    watcher.start()
    seconds = function(path)
    done.set()
    watcher.join()
    answer.send((seconds, max(0, most[0] - before)))


def alone(function: Callable[[Path], float], path: Path) -> tuple[float, int]:
    """Seconds and bytes of a function in a process of its own."""
    mine, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_child, args=(function, path, theirs))
    process.start()
    theirs.close()
    found: tuple[float, int] = mine.recv()
    process.join()
    return found


def measure(mib: int = 512) -> list[Row]:
    """Cost and memory of one look at each kind of file: the better of two runs."""
    found = []
    with tempfile.TemporaryDirectory(prefix="pratique-scan-") as folder:
        for what, path in files(Path(folder), mib):
            looks = [alone(look, path) for _ in range(2)]
            seconds, memory = min(one for one, _ in looks), max(one for _, one in looks)
            peer = min(alone(sha256, path)[0] for _ in range(2))
            size = path.stat().st_size / (1 << 20)
            found.append(Row(
                what=f"{what}, {size:,.0f} MiB", figure=seconds, unit="s of CPU", peer=f"sha256 {peer:.3g} s",
                ratio=peer / seconds if seconds else None, goal="at least 1", note=f"{memory / (1 << 20):,.0f} MiB of memory",
            ))  # fmt: skip
            found.append(Row(
                what=f"memory for {what}", figure=memory / (1 << 20), unit="MiB", goal=f"under {GOAL_MEMORY}",
            ))  # fmt: skip
            if path.name in NEUTRALISED:
                found += _neutralised(what, path, peer)
            path.unlink()
    return found


def _neutralised(what: str, path: Path, peer: float) -> Iterator[Row]:
    for how, function in (("all of `pratique neutralise`", neutralised), ("its tensors found and written", written_again)):
        runs = [alone(function, path) for _ in range(2)]
        seconds, memory = min(one for one, _ in runs), max(one for _, one in runs) / (1 << 20)
        yield Row(
            what=f"{what}, {how}", figure=seconds, unit="s of CPU", peer=f"sha256 {peer:.3g} s", ratio=peer / seconds,
            goal=f"at least {1 / GOAL_NEUTRALISED:.2f}", note=f"{memory:,.0f} MiB of memory, of under {GOAL_MEMORY}",
        )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=512)
    print(table(measure(parser.parse_args().mib)))
