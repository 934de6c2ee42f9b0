"""Folders and files held against their signature where they lie: what is refused, and what may be allowed by its name."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pratique import oms
from pratique.artifacts import scan
from pratique.errors import (
    ArtifactChanged,
    ArtifactError,
    ArtifactRefused,
    Error,
    Malformed,
    Unsupported,
    UsageError,
    WrongSubject,
)
from pratique.oms import FORMAT, Allow, Hashing, trees
from pratique.oms.reading import _LEGACY_ENCODING
from pratique.signing import INTOTO
from pratique.signing import sign as sign_bytes
from pratique.testing import folder_of

from .forging import KEY, OTHER, SUPPLIER, A, claim, shards, signed, statement_of, tampered, total

FILES = {"weights.bin": bytes(range(250)) * 10, "config.json": b"{}", "vocab/words.txt": b"a b c"}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "model", FILES)


@pytest.fixture
def bundle(model: Path) -> bytes:
    return oms.sign(model, KEY, signature="")


def refused(folder: Path, bundle: bytes, **how: Any) -> Error:
    with pytest.raises(Error) as caught:
        oms.verify(folder, bundle, [SUPPLIER], **how)
    return caught.value


# --- each lenience of the format: refused, and let through only where it is named ---------------------------------------------


def _add(*paths: str) -> Callable[[Path], None]:
    return lambda folder: void(folder_of(folder, dict.fromkeys(paths, b"import os")))


def void(value: object) -> None:
    """For a lambda that does something."""


LENIENT: dict[Allow, tuple[Callable[[Path], Any], Callable[[Path], bytes]]] = {
    Allow.UNSIGNED_FILES: (_add("modeling_evil.py"), lambda folder: oms.sign(folder, KEY)),
    Allow.IGNORED_PATHS: (_add("cache/x.py"), lambda folder: oms.sign(folder, KEY, ignore=["cache"])),
    Allow.GIT_PATHS: (_add(".git/hooks/evil", ".github/x.yml", ".gitattributes"), lambda folder: oms.sign(folder, KEY)),
    Allow.EMPTY_FOLDERS: (lambda folder: (folder / "evil").mkdir(), lambda folder: oms.sign(folder, KEY)),
    Allow.EMPTY_FILES: (
        lambda folder: (folder / "__init__.py").touch(),
        lambda folder: oms.sign(folder, KEY, hashing=Hashing(shard_size=1000)),
    ),
    Allow.EXTRA_SIGNATURES: (lambda folder: None, lambda folder: with_junk(oms.sign(folder, KEY))),
    Allow.LEGACY_FORMAT: (lambda folder: None, lambda folder: legacy(folder)),
    Allow.TWIN_NAMES: (_add("CONFIG.json"), lambda folder: signed(over(folder, "CONFIG.json"))),
    Allow.UNUSUAL_NAMES: (_add("a\\b\x1b[2K"), lambda folder: signed(over(folder, "a\\b\x1b[2K"))),
    Allow.SYMLINKS: (
        lambda folder: (folder / "link.json").symlink_to("config.json"),
        lambda folder: signed(over(folder, "link.json", allow_symlinks=True)),
    ),
}
"""What is done to the folder after (or, where it is signed too, before) it is signed, and how it is signed."""

REFUSED = {
    Allow.UNSIGNED_FILES: "names-differ", Allow.IGNORED_PATHS: "names-differ", Allow.GIT_PATHS: "names-differ",
    Allow.EMPTY_FOLDERS: "names-differ", Allow.EMPTY_FILES: "names-differ", Allow.EXTRA_SIGNATURES: "extra-signature",
    Allow.LEGACY_FORMAT: "legacy-format", Allow.TWIN_NAMES: "name-twins", Allow.UNUSUAL_NAMES: "name-unusual",
    Allow.SYMLINKS: "symlink",
}  # fmt: skip


def with_junk(bundle: bytes) -> bytes:
    signatures = json.loads(bundle)["dsseEnvelope"]["signatures"]
    return tampered(bundle, signatures=[*signatures, {"sig": "anVuaw=="}])


def legacy(folder: Path) -> bytes:
    value = statement_of(oms.sign(folder, KEY))
    subjects = [{"name": one["name"], "digest": {"sha256": one["digest"]}} for one in value["predicate"]["resources"]]
    return signed({**value, "subject": subjects, "predicateType": "https://model_signing/Digests/v0.1", "predicate": {}})


def over(folder: Path, extra: str, **serialization: Any) -> dict[str, Any]:
    """A statement over a folder and one more file, whose name our own signer would not take."""
    files = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}
    data = FILES["config.json"] if extra == "link.json" else b"import os"
    names = sorted([*files, extra])
    value = claim(names=names, **{f"predicate__serialization__{key}": one for key, one in serialization.items()})
    for one in value["predicate"]["resources"]:
        one["digest"] = files.get(one["name"]) or hashlib.sha256(data).hexdigest()
    total(value)
    return value


@pytest.mark.parametrize("lenience", Allow)
def test_a_lenience_of_the_format_is_off_until_it_is_named(model: Path, lenience: Allow) -> None:
    change, sign = LENIENT[lenience]
    bundle = sign(model)
    change(model)
    assert refused(model, bundle).rule == REFUSED[lenience]
    assert refused(model, bundle, allow=frozenset(Allow) - {lenience, Allow.UNSIGNED_FILES, Allow.GIT_PATHS}).rule
    assert oms.verify(model, bundle, [SUPPLIER], allow={lenience})
    if lenience is not Allow.UNSIGNED_FILES:
        assert oms.verify(model, bundle, [SUPPLIER], allow=FORMAT)


@pytest.mark.parametrize("lenience", Allow)
def test_no_lenience_lets_a_changed_or_missing_file_through(model: Path, lenience: Allow) -> None:
    change, sign = LENIENT[lenience]
    bundle = sign(model)
    change(model)
    (model / "weights.bin").write_bytes(b"evil")
    assert refused(model, bundle, allow=frozenset(Allow)).rule in ("file-changed", "names-differ")
    (model / "weights.bin").unlink()
    assert refused(model, bundle, allow=frozenset(Allow)).rule == "names-differ"


def test_the_format_never_takes_unsigned_files_unasked() -> None:
    assert frozenset(Allow) - {Allow.UNSIGNED_FILES} == FORMAT


def test_a_signed_list_that_ignores_everything_ignores_nothing(model: Path) -> None:
    value = statement_of(oms.sign(model, KEY))
    value["predicate"]["serialization"]["ignore_paths"] = [".", "", "./", "/"]
    folder_of(model, {"evil.py": b"import os"})
    assert refused(model, signed(value), allow=FORMAT).rule == "names-differ"


def test_what_the_caller_leaves_out_is_looked_at_if_it_is_signed(model: Path, bundle: bytes) -> None:
    folder_of(model, {"cache/x": b"1"})
    (model / "cache" / "link").symlink_to("/etc/passwd")
    assert oms.verify(model, bundle, [SUPPLIER], ignore=["cache"], allow={Allow.IGNORED_PATHS})
    (model / "vocab" / "words.txt").write_bytes(b"a b d")
    assert refused(model, bundle, ignore=["cache", "vocab"], allow={Allow.IGNORED_PATHS}).rule == "file-changed"


# --- trees ------------------------------------------------------------------------------------------------------------------


def test_a_file_is_not_read_before_the_names_agree(model: Path, bundle: bytes) -> None:
    """A sparse file of 6 GiB that nobody signed costs its name."""
    (model / "giant.bin").touch()
    os.truncate(model / "giant.bin", 6 << 30)
    read: list[int] = []
    assert refused(model, bundle, progress=read.append).rule == "names-differ"
    (model / "giant.bin").unlink()
    assert read == []
    assert oms.verify(model, bundle, [SUPPLIER], progress=read.append)
    assert sum(read) == sum(map(len, FILES.values()))


def test_a_file_of_another_size_is_not_read_where_shards_tell(model: Path) -> None:
    bundle = oms.sign(model, KEY, hashing=Hashing(shard_size=1000))
    os.truncate(model / "weights.bin", 6 << 30)
    read: list[int] = []
    error = refused(model, bundle, progress=read.append)
    assert (read, "another size" in str(error)) == ([], True)


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("symlink", lambda folder: (folder / "link").symlink_to("config.json")),
        ("symlink", lambda folder: (folder / "loop").symlink_to(".")),
        ("symlink", lambda folder: (folder / "out").symlink_to("/etc")),
        ("symlink", lambda folder: (folder / "nothing").symlink_to("missing")),
        ("special-file", lambda folder: os.mkfifo(folder / "pipe")),
        ("name-twins", lambda folder: (folder / "CONFIG.json").touch()),
        ("name-twins", lambda folder: (folder / "Vocab").mkdir()),
        ("name-unusual", lambda folder: (folder / "a\x1b[2K").touch()),
    ],
)
def test_a_tree_that_no_artifact_may_be(model: Path, bundle: bytes, rule: str, change: Callable[[Path], Any]) -> None:
    assert oms.verify(model, bundle, [SUPPLIER])
    change(model)
    error = refused(model, bundle)
    assert isinstance(error, ArtifactRefused)
    assert error.rule == rule


def test_a_folder_link_of_which_the_signer_knew(model: Path) -> None:
    """Signed with its content behind a link, in the folder; not one that leads out of it, or back up in it."""
    (model / "also").symlink_to("vocab")
    bundle = signed(over(model, "also/words.txt", allow_symlinks=True))
    value = statement_of(bundle)
    for one in value["predicate"]["resources"]:
        if one["name"] == "also/words.txt":
            one["digest"] = next(two["digest"] for two in value["predicate"]["resources"] if two["name"] == "vocab/words.txt")
    total(value)
    assert oms.verify(model, signed(value), [SUPPLIER], allow=FORMAT)
    assert refused(model, signed(value)).rule == "symlink"
    (model / "vocab" / "words.txt").write_bytes(b"changed behind the link")
    assert refused(model, signed(value), allow=FORMAT).rule == "file-changed"
    for target in (".", "..", "/etc", "missing"):
        (model / "also").unlink()
        (model / "also").symlink_to(target)
        assert refused(model, signed(value), allow=FORMAT).rule == "symlink"


def test_a_folder_that_cannot_be_listed() -> None:
    """Its files can be opened by name, but it cannot be listed: 1.1.1 passes over it. Not as root, who can list all."""
    program = (
        "import os, sys; from pathlib import Path\n"
        "from pratique.oms import trees; from pratique.errors import ArtifactRefused\n"
        "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "assert (Path(sys.argv[1]) / 'hidden' / 'evil.py').read_bytes()\n"
        "try: trees.listing(Path(sys.argv[1]))\n"
        "except ArtifactRefused as error: print(error.rule)\n"
    )
    with tempfile.TemporaryDirectory() as place:
        folder = folder_of(Path(place), {"hidden/evil.py": b"import os", "config.json": b"{}"})
        folder.chmod(0o755)
        command = [sys.executable, "-c", program, str(folder)]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""
        (folder / "hidden").chmod(0o111)
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "unlistable-folder"
        (folder / "hidden").chmod(0o755)


def test_a_file_that_changes_while_it_is_read(model: Path, bundle: bytes) -> None:
    """It grows under the reader's hands; the names and the digests of what was read would have fitted."""

    def grow(count: int) -> None:
        with (model / "weights.bin").open("ab") as stream:
            stream.write(b"evil")

    with pytest.raises(ArtifactChanged):
        oms.verify(model, bundle, [SUPPLIER], progress=grow)


def test_a_single_file_and_its_name(tmp_path: Path) -> None:
    one = folder_of(tmp_path, {"model.bin": b"1"}) / "model.bin"
    bundle = oms.sign(one, KEY)
    assert oms.verify(one, bundle, [SUPPLIER]).entries.keys() == {"model.bin"}
    other = one.rename(tmp_path / "other.bin")
    assert refused(other, bundle).rule == "names-differ"
    early = signed(claim(names=["."]))  # which does not bind the name
    (tmp_path / "a").write_bytes(b"a")
    assert oms.verify(tmp_path / "a", early, [SUPPLIER]).entries == {"a": (A,)}
    assert refused(folder_of(tmp_path / "folder", {"a": b"a"}), early).rule == "names-differ"


PART = st.sampled_from(["a", "A", "\u00e9", "e\u0301", "b:0:1", "\n", "."])
TREE = st.dictionaries(st.lists(PART, min_size=1, max_size=3).map("/".join), st.binary(max_size=3), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tree=TREE)
def test_a_folder_is_listed_as_an_artifact_is_or_refused_as_it_is(tree: dict[str, bytes]) -> None:
    """Two readers of folders, one set of rules."""
    with tempfile.TemporaryDirectory() as place:
        try:
            root = folder_of(Path(place) / "m", tree)
        except OSError:  # a file where a folder should be
            assume(False)
        (root / "nothing").mkdir()
        try:
            entries = scan(root)
        except ArtifactRefused:
            with pytest.raises(ArtifactRefused):
                trees.listing(root)
            return
        found = trees.listing(root)
        assert {one.path: one.size for one in entries if not one.path.endswith("/")} == found.sizes
        assert {one.path.rstrip("/") for one in entries if one.path.endswith("/")} == set(found.folders)


@pytest.mark.parametrize("how", [Hashing(), Hashing(hash_type="blake3"), Hashing(shard_size=1 << 20)], ids=str)
def test_memory_does_not_grow_with_the_files(tmp_path: Path, how: Hashing) -> None:
    large = folder_of(tmp_path, {"large": b""}) / "large"
    os.truncate(large, 64 << 20)
    tracemalloc.start()
    how.digest_files({"large": large})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < ((os.cpu_count() or 1) + 1) * (2 << 20)


# --- only some files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shard_size", [0, 1000])
def test_one_file_is_verified_when_it_is_loaded(model: Path, tmp_path: Path, shard_size: int) -> None:
    manifest = oms.read(oms.sign(model, KEY, hashing=Hashing(shard_size=shard_size)), [SUPPLIER])
    (model / "config.json").write_bytes(b"changed, and nobody asks about it")
    read: list[int] = []
    assert oms.verify_files(model, manifest, ["weights.bin"], progress=read.append) == (model / "weights.bin",)
    assert sum(read) == 2500
    (private,) = oms.verify_files(model, manifest, ["weights.bin"], into=tmp_path / "private")
    assert (private, private.read_bytes()) == (tmp_path / "private" / "weights.bin", FILES["weights.bin"])
    (model / "weights.bin").write_bytes(bytes(2500))
    with pytest.raises(WrongSubject, match=r"weights\.bin was changed"):
        oms.verify_files(model, manifest, ["weights.bin"])
    with pytest.raises(WrongSubject):
        oms.verify_files(model, manifest, ["weights.bin"], into=tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_what_is_handed_on_is_what_was_verified(model: Path, bundle: bytes, tmp_path: Path) -> None:
    """A swap after the copy was taken reaches nobody."""
    manifest = oms.read(bundle, [SUPPLIER])

    def swap(count: int) -> None:
        (model / "config.json").write_bytes(b"{'evil': 1}")

    (private,) = oms.verify_files(model, manifest, ["config.json"], into=tmp_path / "private", progress=swap)
    assert private.read_bytes() == FILES["config.json"]


def test_files_that_nobody_signed_or_named(model: Path, bundle: bytes, tmp_path: Path) -> None:
    manifest = oms.read(bundle, [SUPPLIER])
    folder_of(model, {"evil.py": b"import os"})
    for paths in ([], ["evil.py"], ["../model/config.json"], ["config.json", "missing"]):
        with pytest.raises(UsageError):
            oms.verify_files(model, manifest, paths)
    with pytest.raises(UsageError, match="not empty"):
        oms.verify_files(model, manifest, ["config.json"], into=model)
    (model / "config.json").unlink()
    with pytest.raises(ArtifactError, match="is no file there"):
        oms.verify_files(model, manifest, ["config.json"])
    (model / "vocab").rename(tmp_path / "elsewhere")
    (model / "vocab").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match="symbolic link"):
        oms.verify_files(model, manifest, ["vocab/words.txt"])


def test_a_single_file_is_verified_too(tmp_path: Path) -> None:
    one = folder_of(tmp_path, {"model.bin": b"1"}) / "model.bin"
    manifest = oms.read(oms.sign(one, KEY), [SUPPLIER])
    assert oms.verify_files(one, manifest, ["model.bin"]) == (one,)


# --- the format of before 1.0 -----------------------------------------------------------------------------------------------


def test_what_version_0_2_signed_counts_for_its_own_format_alone(model: Path) -> None:
    """Its encoding of what is signed is read only where the format is allowed, and only over that format's predicate."""

    def old(statement: bytes) -> bytes:
        whole = sign_bytes(statement, INTOTO, KEY)
        signature = KEY.sign(_LEGACY_ENCODING.message(INTOTO, statement))
        return tampered(whole, signatures=[{"sig": base64.b64encode(signature).decode()}])

    before = json.dumps(statement_of(legacy(model))).encode()
    now = json.dumps(statement_of(oms.sign(model, KEY))).encode()
    assert oms.verify(model, old(before), [SUPPLIER], allow={Allow.LEGACY_FORMAT})
    for bundle, allow in ((old(before), frozenset()), (old(now), frozenset(Allow)), (old(b"["), frozenset(Allow))):
        with pytest.raises(Error, match="does not fit its content"):
            oms.verify(model, bundle, [SUPPLIER], allow=allow)
    with pytest.raises(Error):
        oms.verify(model, old(before), [OTHER.trusted("other")], allow={Allow.LEGACY_FORMAT})


@pytest.mark.parametrize(
    "subjects",
    [
        [], [{"name": "../x", "digest": {"sha256": A}}], [{"name": "x", "digest": {"sha512": A}}],
        [{"name": "x", "digest": {"sha256": A}}] * 2, [{"name": "x", "digest": {"sha256": A.upper()}}],
    ],
)  # fmt: skip
def test_the_old_format_is_read_as_strictly(subjects: list[Any]) -> None:
    value = {**claim(), "subject": subjects, "predicateType": "https://model_signing/Digests/v0.1", "predicate": {}}
    with pytest.raises(Malformed) as caught:
        oms.read(signed(value), [SUPPLIER], allow={Allow.LEGACY_FORMAT})
    assert not isinstance(caught.value, Unsupported)


def test_shards_of_early_single_files() -> None:
    manifest = oms.read(signed(shards(names=[".:0:10", ".:10:15"])), [SUPPLIER])
    assert manifest.of_file("x").sizes == {"x": 15}
