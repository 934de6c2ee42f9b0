"""What audits remember: what it saves, what it notices, what it cannot notice, and that it never counts."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from pratique import listing, manifests, remembering
from pratique.artifacts import Limits
from pratique.errors import SignatureInvalid, StoreError
from pratique.manifests import Manifest, Signed
from pratique.manifests.audits import audit_folder
from pratique.remembering import Memory
from pratique.signing import KeySigner
from pratique.testing import folder_of

OWN = (manifests.SIGNATURE, "dataset.manifest.jsonl")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of these tests were made just now; take them for old."""
    monkeypatch.setattr(remembering, "_FRESH", 0)


@pytest.fixture
def dataset(tmp_path: Path, signer: KeySigner) -> Path:
    folder = folder_of(tmp_path / "images", {"a": b"aaaa", "sub/b": b"bbbb", "sub/c": b"cccc"})
    manifests.write(folder, signer)
    return folder


def audit(folder: Path, signer: KeySigner, **options: timedelta) -> int:
    """How many files were not read."""
    signed: Signed = manifests.signed_in(folder, [signer.trusted()])
    manifest: Manifest = manifests.manifest_in(folder, signed.claim)
    with Memory(**options) as memory:
        return audit_folder(folder, signed.claim, manifest, memory, own=OWN).remembered


def test_a_second_audit_reads_only_what_changed(dataset: Path, signer: KeySigner) -> None:
    assert audit(dataset, signer) == 0
    assert audit(dataset, signer) == 3
    (dataset / "a").write_bytes(b"aaaa")  # the same bytes, but written again
    assert audit(dataset, signer) == 2


@pytest.mark.parametrize("name", ["a", "sub/b"])
def test_an_audit_notices_a_change_that_was_dated_back(dataset: Path, signer: KeySigner, name: str) -> None:
    audit(dataset, signer)
    before = (dataset / name).stat()
    (dataset / name).write_bytes(b"evil")
    os.utime(dataset / name, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (dataset / name).stat().st_mtime_ns == before.st_mtime_ns
    with pytest.raises(SignatureInvalid, match=f"{name} is not what was signed"):
        audit(dataset, signer)


def test_an_audit_notices_another_file_in_place(dataset: Path, signer: KeySigner) -> None:
    audit(dataset, signer)
    (dataset / "new").write_bytes(b"evil")
    (dataset / "new").replace(dataset / "a")
    with pytest.raises(SignatureInvalid):
        audit(dataset, signer)
    (dataset / "sub" / "d").write_bytes(b"")
    with pytest.raises(SignatureInvalid, match="sub/d was not signed"):
        audit(dataset, signer)


def test_what_an_audit_cannot_notice_the_verification_does(dataset: Path, signer: KeySigner) -> None:
    """A mapping from before changes bytes without a trace. This is why nothing that counts may remember."""
    with (dataset / "a").open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as mapping:
        mapping[0] = mapping[0]
        audit(dataset, signer)
        mapping[:4] = b"evil"
        assert audit(dataset, signer) == 3
        signed = manifests.signed_in(dataset, [signer.trusted()])
        with pytest.raises(SignatureInvalid, match="a is not what was signed"):
            manifests.verify_folder(dataset, signed.claim, manifests.manifest_in(dataset, signed.claim), own=OWN)


def test_what_was_just_written_is_not_remembered(dataset: Path, signer: KeySigner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second write within the same tick of the clock could not be told from the first."""
    monkeypatch.setattr(remembering, "_FRESH", 2_000_000_000)
    audit(dataset, signer)
    assert audit(dataset, signer) == 0


def test_after_a_while_a_file_is_read_again(dataset: Path, signer: KeySigner) -> None:
    audit(dataset, signer)
    assert audit(dataset, signer, max_age=timedelta(hours=1)) == 3
    assert audit(dataset, signer, max_age=timedelta(0)) == 0


def test_the_memory_is_its_owners(dataset: Path, signer: KeySigner, home: Path) -> None:
    audit(dataset, signer)
    path = home / "audits" / "digests.sqlite"
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(StoreError, match="cannot use what audits remember"):
        audit(dataset, signer)
    path.unlink()
    path.symlink_to("/etc/passwd")
    with pytest.raises(StoreError):
        audit(dataset, signer)


def test_a_file_that_changes_between_looking_and_reading(dataset: Path) -> None:
    found = listing.tree(dataset, Limits())
    with Memory() as memory:
        first = memory.digests(found)
        (dataset / "a").write_bytes(b"evil")
        assert memory.digests(found).digests != first.digests


def test_nothing_that_counts_can_remember() -> None:
    """The import contract in setup.cfg says so; and here it is looked at, with every check loaded."""
    code = (
        "import sys, pratique.gate, pratique.promotion, pratique.steps, pratique.verifying, pratique.training\n"
        "from pratique import checking\n"
        "checks = [checking.load(name) for name in checking.installed()]\n"
        "assert len(checks) >= 4\n"
        "assert 'pratique.manifests.verifying' in sys.modules\n"
        "assert not {'pratique.remembering', 'pratique.manifests.audits'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
