"""The engine: what it returns, what it refuses while it reads, and what it leaves behind."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pratique import hashing, listing
from pratique.artifacts import Limits, open_artifact, scan
from pratique.errors import ArtifactChanged, ArtifactError, ArtifactRefused
from pratique.hashing import BLOCK
from pratique.testing import folder_of

LARGE = 5 * BLOCK + 17
"""Two of these are enough work for a second thread."""


def by_hand(folder: Path) -> dict[str, str]:
    """The digests as anybody would make them."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read(folder: Path, copy: Path | None = None, threads: int = 2) -> dict[str, str]:
    found = listing.tree(folder, Limits())
    digests = hashing.digests(found, copy=copy, threads=threads)
    return {file.path: digest for file, digest in zip(found.files, digests, strict=True)}


def two_large(folder: Path) -> Path:
    return folder_of(folder, {"a.bin": os.urandom(LARGE), "b.bin": os.urandom(LARGE - 1), "c.txt": b"c"})


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_and_sizes_around_a_block(tmp_path: Path, threads: int) -> None:
    sizes = (0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, LARGE, LARGE)
    files = {f"{'x/' * (number % 3)}{number}.bin": os.urandom(size) for number, size in enumerate(sizes)}
    folder = folder_of(tmp_path / "m", files)
    assert read(folder, tmp_path / "copy", threads) == by_hand(folder) == by_hand(tmp_path / "copy")
    assert len(by_hand(folder)) == len(sizes)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    tree=st.dictionaries(
        st.lists(st.sampled_from(["a", "b", "ü", "a b"]), min_size=1, max_size=14).map(lambda parts: "/".join(parts) + "/f"),
        st.binary(max_size=10), min_size=1, max_size=40,
    )
)  # fmt: skip
def test_any_tree_is_copied_as_it_is(tmp_path_factory: pytest.TempPathFactory, tree: dict[str, bytes]) -> None:
    """Deep and wide enough that folders are closed and opened again."""
    tmp = tmp_path_factory.mktemp("t")
    folder = folder_of(tmp / "m", tree)
    assert read(folder, tmp / "copy") == by_hand(folder) == by_hand(tmp / "copy")


def test_many_small_files(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", {f"{number % 7}/{number}": str(number).encode() for number in range(1000)})
    assert read(folder) == by_hand(folder)


def grow(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"more")


def shrink(path: Path) -> None:
    os.truncate(path, BLOCK)


def overwrite(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(LARGE - 1)
        stream.write(b"!")


@pytest.mark.parametrize("attack", [grow, shrink, overwrite])
def test_a_file_that_is_written_to_while_it_is_read(tmp_path: Path, attack: Callable[[Path], None]) -> None:
    """Half of one version and half of another was never anybody's model."""
    path = tmp_path / "weights.bin"
    path.write_bytes(os.urandom(LARGE))
    told: list[int] = []

    def progress(count: int) -> None:
        if not told:
            attack(path)
        told.append(count)

    with pytest.raises(ArtifactChanged, match=r"weights\.bin was written to while it was read"):
        open_artifact(path, progress=progress)
    assert sum(told) <= LARGE  # never more than was listed
    path.write_bytes(os.urandom(LARGE))
    assert open_artifact(path).entries == scan(path)


def swap_file_for_symlink(folder: Path) -> None:
    (folder / "sub" / "b.bin").rename(folder.parent / "b.bin")
    (folder / "sub" / "b.bin").symlink_to(folder.parent / "b.bin")


def swap_folder_for_symlink(folder: Path) -> None:
    (folder / "sub").rename(folder.parent / "sub")
    (folder / "sub").symlink_to(folder.parent / "sub")


def swap_root_for_symlink(folder: Path) -> None:
    folder.rename(folder.parent / "other")
    folder.symlink_to(folder.parent / "other")


def swap_file_for_pipe(folder: Path) -> None:
    (folder / "sub" / "b.bin").unlink()
    os.mkfifo(folder / "sub" / "b.bin")


def resize(folder: Path) -> None:
    (folder / "sub" / "b.bin").write_bytes(b"evil")


@pytest.mark.parametrize(
    "attack", [swap_file_for_symlink, swap_folder_for_symlink, swap_root_for_symlink, swap_file_for_pipe, resize]
)
def test_swapped_between_listing_and_reading(tmp_path: Path, attack: Callable[[Path], None]) -> None:
    """The bytes behind the links are the right ones: it is the way to them that is refused."""
    folder = folder_of(tmp_path / "m", {"a.bin": b"a", "sub/b.bin": b"b"})
    found = listing.tree(folder, Limits())
    assert len(hashing.digests(found)) == 2
    attack(folder)
    with pytest.raises(ArtifactChanged):
        hashing.digests(found, copy=tmp_path / "copy")


def test_an_error_in_another_thread_reaches_the_caller(tmp_path: Path) -> None:
    folder = two_large(tmp_path / "m")
    found = listing.tree(folder, Limits())
    (folder / "a.bin").unlink()  # the largest: the helper's
    with pytest.raises(ArtifactError, match=r"cannot read a\.bin"):
        hashing.digests(found, copy=tmp_path / "copy", threads=2)
    assert not [thread for thread in threading.enumerate() if thread.name == "pratique-hashing"]


def test_progress_is_told_in_the_callers_thread_and_adds_up(tmp_path: Path) -> None:
    folder = two_large(tmp_path / "m")
    told: list[tuple[int, int]] = []
    open_artifact(folder, progress=lambda count: told.append((threading.get_ident(), count)))
    assert {thread for thread, _ in told} == {threading.get_ident()}
    assert sum(count for _, count in told) == 2 * LARGE


@pytest.mark.parametrize("what", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_leaves_nothing_behind(tmp_path: Path, home: Path, what: type[BaseException]) -> None:
    """Also the way to call it off: raise in the progress callback."""
    folder, before = two_large(tmp_path / "m"), len(os.listdir("/proc/self/fd"))

    def progress(count: int) -> None:
        if what is KeyboardInterrupt:
            signal.raise_signal(signal.SIGINT)
        raise what("stop")

    with pytest.raises(what):
        open_artifact(folder, progress=progress)
    assert not list((home / "snapshots").iterdir())
    assert not [thread for thread in threading.enumerate() if thread.name == "pratique-hashing"]
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_full_disk(tmp_path: Path, home: Path) -> None:
    """Room is reserved before the bytes are read; what was begun is removed."""
    import resource

    folder = two_large(tmp_path / "m")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGE // 2, before[1]))
    try:
        with pytest.raises(ArtifactError, match=r"cannot copy .*File too large"):
            open_artifact(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    assert not list((home / "snapshots").iterdir())
    assert open_artifact(folder).entries == scan(folder)


def test_names_come_before_bytes(tmp_path: Path) -> None:
    """A sparse giant that is refused for the name beside it costs no time: not one byte is read."""
    folder = folder_of(tmp_path / "m", {"weights.bin": b"1"})
    os.truncate(folder / "weights.bin", 1 << 39)
    (folder / "z").symlink_to("/etc/passwd")
    told: list[int] = []
    start = time.perf_counter()
    with pytest.raises(ArtifactRefused, match="symbolic link"):
        open_artifact(folder, progress=told.append)
    (folder / "z").unlink()
    with pytest.raises(ArtifactRefused, match="bytes"):
        open_artifact(folder, limits=Limits(bytes=1 << 38), progress=told.append)
    assert not told
    assert time.perf_counter() - start < 2


def test_a_sparse_file_does_not_fill_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    with path.open("wb") as stream:
        stream.write(b"head")
        stream.seek(40 * BLOCK)
        stream.write(b"tail")
        stream.truncate(48 * BLOCK + 5)
    artifact = open_artifact(path)
    assert artifact.subject.hex == hashlib.sha256(path.read_bytes()).hexdigest()
    assert artifact.root.read_bytes() == path.read_bytes()
    assert artifact.root.stat().st_blocks * 512 < 4 * BLOCK


def test_a_snapshot_cannot_be_written_to_by_mistake(model: Path) -> None:
    root = open_artifact(model).root
    modes = {path.relative_to(root).as_posix(): path.stat().st_mode & 0o777 for path in (root, *root.rglob("*"))}
    assert modes == {".": 0o500, "sub": 0o500, "weights.bin": 0o400, "sub/config.json": 0o400}


def test_what_ought_to_be_there_and_leads_outside(tmp_path: Path) -> None:
    folder_of(tmp_path, {"m/a": b"a", "secret": b"s"})
    for path in ("../secret", "a/../../secret", "/etc/passwd", "./a", "x//a", ""):
        with pytest.raises(ArtifactRefused):
            listing.expected(tmp_path / "m", [(path, 1)])
    assert hashing.digests(listing.expected(tmp_path / "m", [("a", 1)])) == [hashlib.sha256(b"a").hexdigest()]


def test_slow_storage_gets_more_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where each file takes a millisecond to open, several are waited for at once; else one thread is enough."""
    folder = folder_of(tmp_path / "m", {f"{number % 5}/{number}": str(number).encode() for number in range(1500)})
    seen: set[int] = set()
    real = os.open

    def patient(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        seen.add(threading.get_ident())
        time.sleep(delay) if delay else None
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", patient)
    for delay in (0.001, 0.0):
        seen.clear()
        assert read(folder, threads=1) == by_hand(folder)
        assert (len(seen) > 1) == bool(delay)
