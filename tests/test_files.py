"""Whole files or none, work folders that do not pile up, and one at a time."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pratique import files
from pratique.testing import folder_of


def test_a_file_is_created_whole_and_never_over_another(tmp_path: Path) -> None:
    files.create(tmp_path / "a" / "one", b"first", mode=0o600)
    assert (tmp_path / "a" / "one").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        files.create(tmp_path / "a" / "one", b"second")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["one"] and (tmp_path / "a" / "one").read_bytes() == b"first"


def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*args: object, **more: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", unsupported)
    files.create(tmp_path / "one", b"first")
    with pytest.raises(FileExistsError):
        files.create(tmp_path / "one", b"second")
    assert [path.name for path in tmp_path.iterdir()] == ["one"] and (tmp_path / "one").read_bytes() == b"first"


@pytest.mark.parametrize("name", ["link", "replace", "fsync"])
def test_a_write_that_fails_leaves_what_stood_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    files.replace(tmp_path / "one", b"old")

    def full(*args: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, name, full)
    with pytest.raises(OSError, match="No space"):
        (files.create if name == "link" else files.replace)(tmp_path / ("new" if name == "link" else "one"), b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["one"] and (tmp_path / "one").read_bytes() == b"old"


def test_reading_is_bounded_whatever_the_file_is(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 11)
    assert files.read(tmp_path / "big", most=11) == b"x" * 11
    for path in (tmp_path / "big", Path("/dev/zero")):
        with pytest.raises(OSError, match="at most 10 bytes"):
            files.read(path, most=10)
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), Path("/dev/null")):
        with pytest.raises(OSError, match="not a regular file"):
            files.read(path, most=10, regular=True)
    with pytest.raises(OSError, match="null"):
        files.read("a\0b", most=10)


def test_a_work_folder_is_gone_afterwards_read_only_or_not(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), files.workshop(tmp_path, ".work-") as folder:
        folder_of(folder, {"a/b": b"1"})
        (folder / "a").chmod(0o500)
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_swept_a_day_later_and_what_is_in_use_is_not(tmp_path: Path) -> None:
    with files.workshop(tmp_path, ".work-") as used:
        left, young, other = (folder_of(tmp_path / name, {"a": b"1"}) for name in (".work-left", ".work-young", "other"))
        for path in (used, left, other):
            os.utime(path, (1, 1))
        with files.workshop(tmp_path, ".work-"):
            assert used.exists() and young.exists() and other.exists() and not left.exists()


HOLD = """
import sys, time
from pathlib import Path
from pratique import files
with files.turn(Path(sys.argv[1]), seconds=5):
    print("mine", flush=True)
    time.sleep(60)
"""


def test_a_turn_ends_with_its_holder(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(lock)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "mine\n"
    with pytest.raises(TimeoutError), files.turn(lock, seconds=0.1):
        pass
    holder.kill()
    holder.wait()
    with files.turn(lock, seconds=5):
        pass


def test_turns_are_taken(tmp_path: Path) -> None:
    inside, most = [0], [0]

    def work() -> None:
        with files.turn(tmp_path / "lock", seconds=30):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
