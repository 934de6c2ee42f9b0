"""How fast bytes are hashed, copied, signed and verified: against hashlib, openssl, sha256sum, model-signing on the same files.

    python benchmarks/hash.py                        two or three minutes, some 700 MB in a temporary folder
    python benchmarks/hash.py --files 5000 --bytes 67108864

Everything is measured in one run, as CPU seconds (user and system, `getrusage`) of a process of its own: the best of several
rounds in which all take turns, since other work on the machine only ever adds. How a file lies in the page cache moves every
reader's figure alike; the ratios are what counts.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rows import Row, table

if TYPE_CHECKING:
    from pratique.signing import KeySigner

ROUNDS = 3
GB = 1e9
Cost = dict[str, float]
"""cpu and wall in seconds, peak (of memory) in MB, bytes written."""


def measure(files: int = 100_000, size: int = 256 << 20) -> list[Row]:
    """All figures.

    Args:
        files: in the dataset that is signed; a fifth of it for the figures per file.
        size: bytes of the large file.
    """
    with tempfile.TemporaryDirectory(prefix="pratique-bench-") as name:
        work = Path(name)
        return [*_large(work, size), *_small(work, max(1, files // 5)), *_signed(work, files)]


# --- one process each ---------------------------------------------------------------------------------------------------


def limit(folder: Path) -> None:
    """What the CPU can hash at all: one block that stays in its cache."""
    block, digest = os.urandom(1 << 18), hashlib.sha256()
    for _ in range(_size(folder) >> 18):
        digest.update(block)


def hashlib_loop(folder: Path) -> None:
    """What everybody writes."""
    for at, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(at, name), "rb") as stream:
                hashlib.file_digest(stream, "sha256").hexdigest()


def ours_scan(folder: Path) -> None:
    """Names, refusals and digests, in place."""
    from pratique.artifacts import scan

    scan(folder)


def ours_scan_one_thread(folder: Path) -> None:
    from pratique import hashing, listing

    hashing.digests(listing.tree(folder, listing.Limits()), threads=1)


def ours_copy_one_thread(folder: Path) -> None:
    from pratique import hashing, listing

    hashing.digests(listing.tree(folder, listing.Limits()), copy=folder.parent / "copy", threads=1)


def ours_open(folder: Path) -> None:
    """A private copy, hashed on the way."""
    from pratique.artifacts import open_artifact

    open_artifact(folder, into=folder.parent / "copy")


def peer_hash(folder: Path) -> None:
    """model-signing's hashing, as its `sign` and `verify` do it."""
    from model_signing import hashing

    hashing.Config().hash(folder)


def ours_oms_sign(folder: Path) -> None:
    from pratique import oms

    (folder.parent / "ours.sig").write_bytes(oms.sign(folder, _key(folder)))


def ours_oms_verify(folder: Path) -> None:
    from pratique import oms
    from pratique.artifacts import scan

    manifest = oms.read((folder.parent / "ours.sig").read_bytes(), [_key(folder).trusted()])
    if manifest.entries != {entry.path: (entry.sha256,) for entry in scan(folder)}:
        raise SystemExit("does not verify")


def ours_manifest_sign(folder: Path) -> None:
    from pratique import manifests

    manifest = manifests.build(folder)
    (folder.parent / "ours.jsonl").write_bytes(manifest.data)
    (folder.parent / "ours.sigstore.json").write_bytes(manifests.sign(manifest, _key(folder), name=folder.name))


def ours_manifest_verify(folder: Path) -> None:
    from pratique import manifests

    signed = manifests.verify((folder.parent / "ours.sigstore.json").read_bytes(), [_key(folder).trusted()])
    manifest = manifests.read((folder.parent / "ours.jsonl").read_bytes(), signed.claim)
    manifests.verify_folder(folder, signed.claim, manifest)


def ours_one_file(folder: Path) -> None:
    """One file of all, by a proof of some hundred bytes."""
    from pratique import manifests

    signed = manifests.verify((folder.parent / "ours.sigstore.json").read_bytes(), [_key(folder).trusted()])
    proof = manifests.proof_in(folder.parent / "proof.json")
    manifests.verify_file(folder, next(iter(proof.entries.values())).path, signed.claim, proof)


def ours_audit(folder: Path) -> None:
    from pratique import manifests
    from pratique.manifests.audits import audit_folder
    from pratique.remembering import Memory

    signed = manifests.verify((folder.parent / "ours.sigstore.json").read_bytes(), [_key(folder).trusted()])
    manifest = manifests.read((folder.parent / "ours.jsonl").read_bytes(), signed.claim)
    with Memory(folder.parent / "memory.sqlite") as memory:
        audit_folder(folder, signed.claim, manifest, memory)


def peer_sign(folder: Path) -> None:
    from model_signing import signing

    signing.Config().use_elliptic_key_signer(private_key=folder.parent / "key").sign(folder, folder.parent / "peer.sig")


def peer_verify(folder: Path) -> None:
    from model_signing import verifying

    verifying.Config().use_elliptic_key_verifier(public_key=folder.parent / "key.pub").verify(
        folder, folder.parent / "peer.sig"
    )


def _warm(function: Callable[[Path], None]) -> None:
    """Import what a function needs, so that only its work is measured."""
    if "peer" in function.__name__:
        import model_signing.hashing
        import model_signing.signing
        import model_signing.verifying  # noqa: F401
    elif "ours" in function.__name__:
        import pratique.manifests.audits
        import pratique.oms  # noqa: F401


def _run_here(name: str, folder: Path) -> None:
    function = globals()[name]
    _warm(function)
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    function(folder)
    after, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - began
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"cpu": cpu, "wall": wall, "peak": after.ru_maxrss / 1024, "before": before.ru_maxrss / 1024}))


def _cost(function: Callable[[Path], None], folder: Path) -> Cost:
    shutil.rmtree(folder.parent / "copy", ignore_errors=True)
    words = [sys.executable, __file__, "--one", function.__name__, str(folder)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    cost: Cost = json.loads(done.stdout.splitlines()[-1])
    if (folder.parent / "copy").exists():
        subprocess.run(["chmod", "-R", "u+w", str(folder.parent / "copy")], check=True)
        shutil.rmtree(folder.parent / "copy")
    return cost


def _command(words: list[str], path: Path) -> Cost:
    """What a command costs, from start to end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*words, str(path)], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def _in_turns(*measured: Callable[[], Cost]) -> list[Cost]:
    """The least that each costs, in rounds."""
    rounds = [[one() for one in measured] for _ in range(ROUNDS)]
    return [{key: min(costs[at][key] for costs in rounds) for key in rounds[0][at]} for at in range(len(measured))]


# --- tables -------------------------------------------------------------------------------------------------------------


def _large(work: Path, size: int) -> list[Row]:
    """One large file, and two of half the size."""
    one, two, empty = work / "one", work / "two", work / "empty"
    for folder, count in ((one, 1), (two, 2)):
        folder.mkdir()
        for number in range(count):
            with open(folder / f"{number}.bin", "wb", buffering=0) as stream:
                for _ in range(size // count >> 24):
                    stream.write(os.urandom(1 << 24))
    empty.touch()
    path, gb = one / "0.bin", (size >> 24 << 24) / GB
    bound, loop, ours, copy, peer, openssl, sha256sum, openssl_start, sha256sum_start, cp = _in_turns(
        lambda: _cost(limit, one), lambda: _cost(hashlib_loop, one), lambda: _cost(ours_scan_one_thread, one),
        lambda: _cost(ours_copy_one_thread, one), lambda: _cost(peer_hash, one),
        lambda: _command(["openssl", "dgst", "-sha256"], path), lambda: _command(["sha256sum"], path),
        lambda: _command(["openssl", "dgst", "-sha256"], empty), lambda: _command(["sha256sum"], empty),
        lambda: _command(["cp", "-f", "--reflink=never", "-t", str(work)], path),
    )  # fmt: skip
    alone, both, opened = _in_turns(
        lambda: _cost(ours_scan_one_thread, two), lambda: _cost(ours_scan, two), lambda: _cost(ours_open, two)
    )
    cores = len(os.sched_getaffinity(0))
    openssl["cpu"] -= openssl_start["cpu"]
    sha256sum["cpu"] -= sha256sum_start["cpu"]
    audited = _audit_of_one(one)

    def speed(cost: Cost) -> float:
        return gb / cost["cpu"]

    worst, best = sorted(((speed(openssl), "openssl"), (speed(sha256sum), "sha256sum")))
    unit, share, apart = "GB/CPU-s", speed(copy) / speed(ours), ours["cpu"] / (ours["cpu"] + cp["cpu"])
    return [
        Row(what="the CPU's limit: SHA-256 of a cached block", figure=speed(bound), unit=unit),
        Row(what="hash a large file", figure=speed(ours), unit=unit, peer=f"{best[1]} {best[0]:.2f}",
            ratio=speed(ours) / best[0], goal="at least 1",
            note=f"{speed(ours) / speed(bound):.0%} of the limit; the other one: {worst[1]} {worst[0]:.2f}"),
        Row(what="hash a large file", figure=speed(ours), unit=unit, peer=f"hashlib.file_digest {speed(loop):.2f}",
            ratio=speed(ours) / speed(loop)),
        Row(what="hash a large file", figure=speed(ours), unit=unit, peer=f"model-signing {speed(peer):.2f}",
            ratio=speed(ours) / speed(peer)),
        Row(what="copy a large file while hashing it", figure=speed(copy), unit=unit, peer=f"hashing alone {speed(ours):.2f}",
            ratio=share, goal="at least 0.75",
            note=f"up to the page cache; `cp`, then hashing, proves less and reaches {apart:.2f}"),
        Row(what="hash two large files", figure=gb / both["wall"], unit="GB/s", peer=f"one thread {gb / alone['wall']:.2f}",
            ratio=alone["wall"] / both["wall"], goal=f"near {min(2, cores)} on {cores} idle cores",
            note=f"CPU {both['cpu']:.3f} s with all threads, {alone['cpu']:.3f} with one; load {os.getloadavg()[0]:.1f}"),
        Row(what="open_artifact of two large files", figure=gb / opened["wall"], unit="GB/s",
            peer=f"hashing alone, one thread {gb / alone['wall']:.2f}", ratio=alone["wall"] / opened["wall"]),
        Row(what="audit a large file again", figure=audited["cpu"] * 1000, unit="ms CPU",
            peer=f"hashing it {ours['cpu'] * 1000:.0f}", ratio=ours["cpu"] / audited["cpu"], note="nothing is read"),
        Row(what="memory to hash a large file", figure=ours["peak"] - ours["before"], unit="MB",
            peer=f"model-signing {peer['peak'] - peer['before']:.1f}", goal="whatever the file's size",
            note=f"on top of the interpreter; the file has {gb * 1000:.0f} MB"),
    ]  # fmt: skip


def _audit_of_one(folder: Path) -> Cost:
    """What the second of two audits costs; the file is older than what is too fresh to be remembered."""
    _cost(ours_manifest_sign, folder)
    return [_cost(ours_audit, folder) for _ in range(2)][1]


def _small(work: Path, count: int) -> list[Row]:
    folder = _parquet_like(work / "small", count)
    loop, ours, opened, peer = _in_turns(
        lambda: _cost(hashlib_loop, folder), lambda: _cost(ours_scan, folder), lambda: _cost(ours_open, folder),
        lambda: _cost(peer_hash, folder),
    )  # fmt: skip

    def each(cost: Cost) -> float:
        return cost["cpu"] / count * 1e6

    what = f"{count:,} files of 1 KiB"
    return [
        Row(what=f"list and hash {what}", figure=each(ours), unit="µs CPU a file", peer=f"model-signing {each(peer):.0f}",
            ratio=each(peer) / each(ours), goal="at most 15 µs"),
        Row(what=f"list and hash {what}", figure=each(ours), unit="µs CPU a file", peer=f"os.walk and hashlib {each(loop):.1f}",
            ratio=each(loop) / each(ours)),
        Row(what=f"open_artifact of {what}", figure=each(opened), unit="µs CPU a file", peer=f"hashing alone {each(ours):.1f}",
            ratio=each(ours) / each(opened), note="creating a file costs the kernel more than all the rest"),
    ]  # fmt: skip


def _signed(work: Path, count: int) -> list[Row]:
    folder = _parquet_like(work / "dataset", count)
    _key(folder)
    steps = (ours_oms_sign, ours_oms_verify, ours_manifest_sign, ours_manifest_verify, peer_sign, peer_verify)
    costs = {one.__name__: _cost(one, folder) for one in steps}
    _prove(folder)
    costs |= {name: _cost(one, folder) for name, one in (("one", ours_one_file), ("audit", ours_audit), ("again", ours_audit))}
    names = ("ours.sig", "peer.sig", "ours.sigstore.json", "ours.jsonl", "proof.json")
    sizes = {name: (work / name).stat().st_size for name in names}
    size = sizes["peer.sig"]
    what = f"{count:,} files of 1 KiB"

    def row(step: str, ours: str, peer: str, note: str = "") -> Row:
        cpu, theirs = costs[ours]["cpu"], costs[peer]["cpu"]
        memory = f"{costs[ours]['peak']:.0f} MB at most (peer {costs[peer]['peak']:.0f})"
        return Row(what=f"{step} {what}", figure=cpu, unit="CPU-s", peer=f"model-signing {theirs:.2f}", ratio=theirs / cpu,
                   note="; ".join(one for one in (memory, note) if one))  # fmt: skip

    return [
        row("sign (OMS)", "ours_oms_sign", "peer_sign"),
        row("verify (OMS)", "ours_oms_verify", "peer_verify"),
        row("sign (manifest)", "ours_manifest_sign", "peer_sign"),
        row("verify (manifest)", "ours_manifest_verify", "peer_verify"),
        Row(what="signature (OMS)", figure=sizes["ours.sig"] / 1e6, unit="MB", peer=f"model-signing {size / 1e6:.1f}",
            ratio=size / sizes["ours.sig"]),
        Row(what="signature (manifest)", figure=sizes["ours.sigstore.json"], unit="bytes", peer=f"model-signing {size:,}",
            ratio=size / sizes["ours.sigstore.json"], goal="under 1,024",
            note=f"the manifest beside it has {sizes['ours.jsonl'] / 1e6:.1f} MB"),
        Row(what="verify one of these files", figure=costs["one"]["cpu"] * 1000, unit="ms CPU",
            peer=f"model-signing, which verifies all, {costs['peer_verify']['cpu'] * 1000:,.0f}",
            ratio=costs["peer_verify"]["cpu"] / costs["one"]["cpu"], note=f"by a proof of {sizes['proof.json']:,} bytes"),
        Row(what="audit again, nothing changed", figure=costs["again"]["cpu"], unit="CPU-s",
            peer=f"verifying {costs['ours_manifest_verify']['cpu']:.2f}",
            ratio=costs["ours_manifest_verify"]["cpu"] / costs["again"]["cpu"],
            note="a small file costs more to remember than to read; large ones gain all of it (above)"),
    ]  # fmt: skip


def _parquet_like(folder: Path, count: int) -> Path:
    """Small files in folders, as a partitioned table has them, each with content of its own."""
    block = os.urandom(1016)
    for part in range(min(256, count)):
        (folder / f"part={part:03}").mkdir(parents=True)
    for number in range(count):
        with open(folder / f"part={number % 256:03}" / f"part-{number:06}.parquet", "wb") as stream:
            stream.write(number.to_bytes(8, "big") + block)
    return folder


def _prove(folder: Path) -> None:
    from pratique.manifests import Manifest

    manifest = Manifest.parse((folder.parent / "ours.jsonl").read_bytes())
    middle = manifest.entries[len(manifest.entries) // 2].path
    (folder.parent / "proof.json").write_bytes(manifest.prove([middle]).data)


def _key(folder: Path) -> KeySigner:
    from pratique import signing

    return signing.own_signer(folder.parent / "key")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--bytes", type=int, default=256 << 20)
    parser.add_argument("--one", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        _run_here(asked.one[0], Path(asked.one[1]))
    else:
        print(table(measure(asked.files, asked.bytes)))


if __name__ == "__main__":
    main()
