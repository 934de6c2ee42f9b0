"""The snapshot and the digest."""

from __future__ import annotations

import mmap
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pratique.artifacts import Limits, Subject, open_artifact
from pratique.errors import ArtifactChanged, ArtifactError, ArtifactRefused
from pratique.testing import folder_of

NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\\\x7f", exclude_categories=("C",)), min_size=1, max_size=8
).filter(lambda name: name not in (".", ".."))

RECOMPUTE = """
cd "$1"
{ find . -type f -printf '%P\\0' | xargs -0 -r sha256sum --
  find . -mindepth 1 -type d -empty -printf '%P/\\n' | sed "s/^/$(sha256sum </dev/null | cut -c1-64)  /"
} | LC_ALL=C sort -k2 | sha256sum | cut -c1-64
"""


def coreutils_digest(folder: Path) -> str:
    """What docs/decisions/0003 tells people to type."""
    done = subprocess.run(["bash", "-c", RECOMPUTE, "bash", str(folder)], capture_output=True, text=True, check=True)
    return "sha256:" + done.stdout.strip()


def test_anyone_can_recompute_the_digest_with_coreutils(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", {"b.txt": b"b", "a/z": b"", "a b/ü.bin": os.urandom(100), "a-/x": b"1", "a/y/z": b"2"})
    (folder / "empty").mkdir()
    (folder / "a" / "e m").mkdir()
    assert open_artifact(folder).subject.digest == coreutils_digest(folder)


def test_a_files_digest_is_its_sha256(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"weights")
    done = subprocess.run(["sha256sum", str(path)], capture_output=True, text=True, check=True)
    assert open_artifact(path).subject.digest == "sha256:" + done.stdout[:64]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.dictionaries(NAMES, st.binary(max_size=20), min_size=1, max_size=5), data=st.data())
def test_the_digest_sees_bytes_and_names_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], data: st.DataObject
) -> None:
    tmp = tmp_path_factory.mktemp("d")
    try:
        one = open_artifact(folder_of(tmp / "one", files), into=tmp / "s").subject
    except ArtifactRefused:
        return  # names that are one name on some file systems
    folder_of(tmp / "two", dict(reversed(files.items())))
    for path in (tmp / "two").iterdir():
        os.utime(path, (1, 1))
        path.chmod(0o600)
    assert open_artifact(tmp / "two", into=tmp / "s").subject == one
    victim = data.draw(st.sampled_from(sorted(files)))
    (tmp / "two" / victim).write_bytes(files[victim] + b"!")
    assert open_artifact(tmp / "two", into=tmp / "s").subject != one


def test_a_renamed_file_changes_the_digest(tmp_path: Path) -> None:
    one = open_artifact(folder_of(tmp_path / "1", {"a": b"x", "b": b"y"})).subject
    assert open_artifact(folder_of(tmp_path / "2", {"b": b"x", "a": b"y"})).subject != one


def test_an_empty_directory_changes_the_digest(model: Path) -> None:
    before = open_artifact(model).subject
    (model / "new").mkdir()
    assert open_artifact(model).subject != before


def test_swapping_the_original_after_the_copy_changes_nothing(model: Path) -> None:
    artifact = open_artifact(model)
    (model / "weights.bin").write_bytes(b"evil")
    artifact.ensure_unchanged()
    assert (artifact.root / "weights.bin").read_bytes() == b"\x00\x01"


def test_writing_into_the_private_copy_is_noticed(model: Path) -> None:
    artifact = open_artifact(model)
    (artifact.root / "weights.bin").chmod(0o600)
    (artifact.root / "weights.bin").write_bytes(b"evil")
    with pytest.raises(ArtifactChanged):
        artifact.ensure_unchanged()


def test_a_write_that_leaves_no_trace_in_the_inode_is_noticed(model: Path) -> None:
    """Through a mapping that was made before, bytes change while size, mtime and ctime stay: so all is hashed again."""
    artifact = open_artifact(model)
    path = artifact.root / "weights.bin"
    path.chmod(0o600)
    with path.open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as mapping:
        mapping[0] = mapping[0]  # from here on the page takes writes without asking the kernel
        path.chmod(0o400)
        before = path.stat()
        mapping[1] = 0x66
        after = path.stat()
        assert (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (after.st_size, after.st_mtime_ns, after.st_ctime_ns)
        with pytest.raises(ArtifactChanged, match=r"the content of weights\.bin"):
            artifact.ensure_unchanged()


@pytest.mark.parametrize("name", ["sub/new.py", "new/"])
def test_an_addition_to_the_private_copy_is_noticed(model: Path, name: str) -> None:
    artifact = open_artifact(model)
    folder = artifact.root / ("sub" if "sub" in name else "")
    folder.chmod(0o700)
    (artifact.root / name).mkdir() if name.endswith("/") else (artifact.root / name).write_bytes(b"")
    with pytest.raises(ArtifactChanged, match=f"{name} is new"):
        artifact.ensure_unchanged()


def test_a_snapshot_that_was_written_into_is_never_used_again(model: Path) -> None:
    first = open_artifact(model)
    (first.root / "weights.bin").chmod(0o600)
    (first.root / "weights.bin").write_bytes(b"evil")
    again = open_artifact(model)
    again.ensure_unchanged()
    assert (again.root / "weights.bin").read_bytes() == b"\x00\x01"


def test_the_same_bytes_are_kept_once(model: Path) -> None:
    assert open_artifact(model).root == open_artifact(model).root


def test_two_files_with_one_content_keep_their_names(tmp_path: Path) -> None:
    folder_of(tmp_path, {"a.json": b"{}", "b.json": b"{}"})
    first, second = open_artifact(tmp_path / "a.json"), open_artifact(tmp_path / "b.json")
    assert (first.root.name, second.root.name) == ("a.json", "b.json")
    assert first.root.read_bytes() == second.root.read_bytes() == b"{}"


def test_a_file_that_impersonates_a_directory(model: Path, tmp_path: Path) -> None:
    """The listing of a directory, saved as a file, would have the directory's own digest: evidence for one would admit both."""
    artifact = open_artifact(model)
    listing = tmp_path / "listing.txt"
    listing.write_text("".join(f"{entry.sha256}  {entry.path}\n" for entry in artifact.entries))
    with pytest.raises(ArtifactRefused, match="list of digests"):
        open_artifact(listing)
    assert open_artifact(folder_of(tmp_path / "sums", {"SHA256SUMS": listing.read_bytes()}))


def symlink(folder: Path) -> None:
    (folder / "link").symlink_to("/etc/passwd")


def folder_symlink(folder: Path) -> None:
    (folder / "link").symlink_to(folder.parent)


def fifo(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def case_twins(folder: Path) -> None:
    folder_of(folder, {"Model.bin": b"1", "model.BIN": b"2"})


def unicode_twins(folder: Path) -> None:
    folder_of(folder, {"caf\u00e9": b"1", "cafe\u0301": b"2"})


def newline_in_a_name(folder: Path) -> None:
    folder_of(folder, {"a\nb": b"1"})


def backslash_in_a_name(folder: Path) -> None:
    folder_of(folder, {"a\\b": b"1"})


def terminal_escape_in_a_name(folder: Path) -> None:
    folder_of(folder, {"a\x1b[2Jb": b"1"})


def name_that_is_not_utf8(folder: Path) -> None:
    os.close(os.open(os.fsencode(folder) + b"/\xff", os.O_CREAT | os.O_WRONLY))


@pytest.mark.parametrize(
    "attack",
    [
        symlink,
        folder_symlink,
        fifo,
        case_twins,
        unicode_twins,
        newline_in_a_name,
        backslash_in_a_name,
        terminal_escape_in_a_name,
        name_that_is_not_utf8,
    ],
)
def test_what_makes_a_digest_ambiguous_is_refused(model: Path, attack: object) -> None:
    open_artifact(model)
    attack(model)  # type: ignore[operator]
    with pytest.raises(ArtifactRefused):
        open_artifact(model)


def test_a_symlink_to_the_whole_model(model: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(model)
    with pytest.raises(ArtifactRefused, match="symbolic link"):
        open_artifact(tmp_path / "link")


@pytest.mark.parametrize(
    ("limits", "says"),
    [(Limits(files=1), "entries"), (Limits(bytes=3), "bytes"), (Limits(depth=0), "deep"), (Limits(path_length=5), "long")],
)
def test_each_limit_has_its_own_error(model: Path, limits: Limits, says: str) -> None:
    with pytest.raises(ArtifactRefused, match=says):
        open_artifact(model, limits=limits)


def test_an_empty_folder_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / "m" / "sub").mkdir(parents=True)
    with pytest.raises(ArtifactRefused, match="no file"):
        open_artifact(tmp_path / "m")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="nothing at"):
        open_artifact(tmp_path / "m")


def as_nobody(function: Callable[[], object]) -> str:
    """The error that a call ends with when it runs without root's rights; '' if it does not."""
    reader, writer = os.pipe()
    if not (child := os.fork()):
        try:
            if os.geteuid() == 0:
                os.seteuid(65534)
            function()
        except BaseException as error:
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    return os.read(reader, 4096).decode()


def test_a_folder_that_cannot_be_listed_but_opened_by_name(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Mode 0111 hides files from a listing; a loader that knows their names still finds them."""
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        folder = folder_of(base / "m", {"weights.bin": b"1", "hidden/evil.py": b"2"})
        for path in (base, folder, folder / "weights.bin"):
            path.chmod(0o755)
        (folder / "hidden").chmod(0o111)
        (base / "s").mkdir()
        (base / "s").chmod(0o777)
        assert "cannot list hidden" in as_nobody(lambda: open_artifact(folder, into=base / "s"))


def test_a_remote_artifact_has_the_digest_of_its_local_twin(model: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(str(model), "/bucket/model", recursive=True)
    remote = open_artifact("memory://bucket/model")
    assert remote.subject == open_artifact(model).subject
    assert remote.subject.name == "model"


def test_a_remote_artifact_over_a_limit_is_not_downloaded(model: Path) -> None:
    import fsspec

    fsspec.filesystem("memory").put(str(model), "/bucket/big", recursive=True)
    with pytest.raises(ArtifactRefused, match="limit"):
        open_artifact("memory://bucket/big", limits=Limits(bytes=1))


@pytest.mark.parametrize("uri", ["memory://nowhere/at/all", "nosuchscheme://x/y"])
def test_an_unreachable_remote_artifact(uri: str) -> None:
    with pytest.raises(ArtifactError):
        open_artifact(uri)


def test_failure_leaves_nothing_behind(model: Path, home: Path) -> None:
    symlink(model)
    with pytest.raises(ArtifactRefused):
        open_artifact(model)
    assert not list((home / "snapshots").iterdir())


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:" + "A" * 64, "md5:" + "0" * 32, "sha256:" + "0" * 63])
def test_what_is_not_a_digest(digest: str) -> None:
    with pytest.raises(ArtifactRefused):
        Subject(digest=digest)
