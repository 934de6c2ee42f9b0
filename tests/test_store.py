"""The evidence store: append-only, whole files only, and nothing in it is believed."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import fsspec
import pytest

from pratique import documents
from pratique import store as stores
from pratique.artifacts import Subject
from pratique.errors import StoreConflict, StoreError, UsageError
from pratique.store import Store
from pratique.testing import folder_of

ONE = Subject(digest="sha256:" + "1" * 64, name="one")
TWO = Subject(digest="sha256:" + "2" * 64, name="two")


@pytest.fixture(params=["disk", "bucket"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store on a disk, and one in an object store."""
    return Store(str(tmp_path / "store") if request.param == "disk" else f"memory://{tmp_path.name}/store")


def listing(store: Store) -> list[str]:
    fs, root = fsspec.core.url_to_fs(store.uri)
    return sorted(name[len(root) :].lstrip("/") for name in fs.find(root))


def test_what_is_kept_is_read_under_its_digest(anywhere: Store) -> None:
    digest = anywhere.add("evidence", ONE, b"bundle", check="shape")
    assert digest == documents.sha256(b"bundle")
    path = f"evidence/sha256/{ONE.hex}/shape/{digest[7:]}.sigstore.json"
    assert list(anywhere.read("evidence", ONE)) == [(path, b"bundle")]
    assert listing(anywhere) == [path]


def test_shelves_and_subjects_do_not_mix(anywhere: Store) -> None:
    anywhere.add("evidence", ONE, b"1", check="shape")
    anywhere.add("records", ONE, b"2")
    anywhere.add("clearances", TWO, b"3")
    shelves = ("evidence", "records", "clearances")
    held = [[data for _, data in anywhere.read(shelf, one)] for shelf in shelves for one in (ONE, TWO)]
    assert held == [[b"1"], [], [b"2"], [], [], [b"3"]]


def test_a_store_that_is_not_there_is_empty(anywhere: Store) -> None:
    assert list(anywhere.read("evidence", ONE)) == []
    assert listing(anywhere) == []


def test_the_same_bytes_again_change_nothing(anywhere: Store) -> None:
    first = anywhere.add("records", ONE, b"bundle")
    before = listing(anywhere)
    assert anywhere.add("records", ONE, b"bundle") == first
    assert listing(anywhere) == before


def test_other_bytes_under_a_name_are_never_written_over(anywhere: Store) -> None:
    """A torn write of somebody's, or an edit: to be looked into, not to be lost."""
    digest = anywhere.add("records", ONE, b"bundle")
    fs, root = fsspec.core.url_to_fs(anywhere.uri)
    path = f"{root}/records/sha256/{ONE.hex}/{digest[7:]}.sigstore.json"
    fs.pipe_file(path, b"bun")
    with pytest.raises(StoreConflict) as caught:
        anywhere.add("records", ONE, b"bundle")
    assert "other bytes" in str(caught.value) and not caught.value.retryable
    assert fs.cat_file(path) == b"bun"


@pytest.mark.parametrize("step", ["link", "fsync"])
def test_a_torn_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    store = Store(str(tmp_path / "store"))
    store.add("records", ONE, b"before")
    before = listing(store)

    def full(*args: Any, **more: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(StoreError, match="No space left") as caught:
        store.add("records", ONE, b"after")
    assert caught.value.retryable
    assert listing(store) == before


def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FAT, SMB, and what mounts an object store as a folder."""

    def unsupported(*args: Any, **more: Any) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "link", unsupported)
    store = Store(str(tmp_path / "store"))
    store.add("records", ONE, b"bundle")
    assert [data for _, data in store.read("records", ONE)] == [b"bundle"] and len(listing(store)) == 1


def test_many_write_the_same_at_once(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    store = Store(str(tmp_path / "store"))
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: store.add("records", ONE, b"bundle" * 999), range(16)))) == 1
    assert [data for _, data in store.read("records", ONE)] == [b"bundle" * 999]
    assert len(listing(store)) == 1


def test_what_is_too_large_to_be_read_again_is_not_kept(anywhere: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "MAX_BUNDLE", 10)
    with pytest.raises(StoreConflict, match="11 bytes"):
        anywhere.add("records", ONE, b"x" * 11)
    assert listing(anywhere) == []


def test_a_gigabyte_in_the_store_costs_nothing(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    place = folder_of(tmp_path / "store" / "records" / "sha256" / ONE.hex, {})
    with (place / ("0" * 64 + ".sigstore.json")).open("wb") as stream:
        stream.truncate(1 << 40)
    assert [data for _, data in store.read("records", ONE)] == [b""]


def test_a_gigabyte_in_a_bucket_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, memory = Store(f"memory://{tmp_path.name}/store"), fsspec.filesystem("memory")
    store.add("records", ONE, b"small")
    monkeypatch.setattr(stores, "MAX_BUNDLE", 10)
    memory.pipe_file(f"/{tmp_path.name}/store/records/sha256/{ONE.hex}/{'0' * 64}.sigstore.json", b"x" * 11)
    fetched: list[int] = []
    real = type(memory).cat_file

    def counted(self: Any, path: str, **more: Any) -> bytes:
        data: bytes = real(self, path, **more)
        fetched.append(len(data))
        return data

    monkeypatch.setattr(type(memory), "cat_file", counted)
    assert [data for _, data in store.read("records", ONE)] == [b"", b"small"]
    assert fetched == [5]


@pytest.mark.parametrize("what", ["pipe", "loop", "dangling", "device", "socket", "folder"])
def test_what_is_no_file_holds_nobody_up(tmp_path: Path, what: str) -> None:
    import socket

    store = Store(str(tmp_path / "store"))
    store.add("records", ONE, b"bundle")
    path = tmp_path / "store" / "records" / "sha256" / ONE.hex / ("0" * 64 + ".sigstore.json")
    if what == "socket":
        listener = socket.socket(socket.AF_UNIX)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(path.parent)  # a socket's name may only have 107 bytes
            listener.bind(path.name)
        listener.close()
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to({"loop": path, "dangling": tmp_path / "none", "device": Path("/dev/zero")}[what])
    assert [data for _, data in store.read("records", ONE) if data] == [b"bundle"]


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    store.add("evidence", ONE, b"bundle", check="shape")
    here = tmp_path / "store" / "evidence" / "sha256" / ONE.hex
    (here / "again").symlink_to(here)
    assert len(list(store.read("evidence", ONE))) == 1


def test_a_folder_that_may_not_be_listed_is_an_error_and_not_an_empty_store(tmp_path: Path, mortal: None) -> None:
    store = Store(str(tmp_path / "store"))
    store.add("evidence", ONE, b"bundle", check="shape")
    for folder in (f"evidence/sha256/{ONE.hex}/shape", f"evidence/sha256/{ONE.hex}", "evidence"):
        (tmp_path / "store" / folder).chmod(0)
        with pytest.raises(StoreError, match="Permission denied"):
            list(store.read("evidence", ONE))
        (tmp_path / "store" / folder).chmod(0o700)


def test_a_file_that_may_not_be_read_is_an_error(tmp_path: Path, mortal: None) -> None:
    store = Store(str(tmp_path / "store"))
    digest = store.add("records", ONE, b"bundle")
    (tmp_path / "store" / "records" / "sha256" / ONE.hex / f"{digest[7:]}.sigstore.json").chmod(0)
    with pytest.raises(StoreError, match="Permission denied"):
        list(store.read("records", ONE))


@pytest.mark.parametrize("check", ["../../clearances", "a/b", ".", "..", "a b", "\x00", "x" * 200])
def test_a_check_whose_name_leads_elsewhere(anywhere: Store, check: str) -> None:
    with pytest.raises(StoreConflict):
        anywhere.add("evidence", ONE, b"bundle", check=check)
    assert listing(anywhere) == []


@pytest.mark.parametrize("uri", ["nosuch://x", "a\0b", "  "])
def test_a_store_that_cannot_be(uri: str) -> None:
    with pytest.raises(UsageError):
        Store(uri)


def test_a_driver_that_raises_what_it_likes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Botched(Exception):
        pass

    def broken(*args: Any, **more: Any) -> Any:
        raise Botched("the client library\nhas had enough \x1b[2J")

    store = Store(f"memory://{tmp_path.name}/store")
    store.add("records", ONE, b"bundle")
    memory = type(fsspec.filesystem("memory"))
    monkeypatch.setattr(memory, "pipe_file", broken)
    monkeypatch.setattr(memory, "find", broken)
    for act in (lambda: store.add("records", ONE, b"other"), lambda: list(store.read("records", ONE))):
        with pytest.raises(StoreError, match="Botched") as caught:
            act()
        assert documents.line(str(caught.value)) == str(caught.value)
