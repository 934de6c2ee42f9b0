"""Where promoted artifacts lie: by digest, whole or not at all, never one over another.

    sha256/<digest>/            a folder
    sha256/<digest>.file/name   a single file, under its name

Nothing points to a copy before all of it was written and hashed again as it lies there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pratique import artifacts, files
from pratique.artifacts import Artifact, Entry, Subject, open_artifact
from pratique.errors import ArtifactRefused, Error, EvidenceError, StoreConflict, StoreError
from pratique.sources import redact
from pratique.statements import Clearance
from pratique.store import connect, is_local, names_in, why


class Destination:
    """A folder of promoted artifacts."""

    def __init__(self, uri: str) -> None:
        """Open it; nothing is touched.

        Raises:
            UsageError: no driver is installed for the URI's scheme.
        """
        self.uri = uri
        self.shown = redact(uri)
        self._fs, self._root = connect(uri, "the destination")
        self._local = is_local(self._fs)

    def address(self, subject: Subject, *, is_file: bool) -> str:
        """Where the bytes of a subject belong."""
        base = self.uri if self.uri.endswith("/") else self.uri + "/"
        return base + place(subject, is_file=is_file)

    def keep(self, artifact: Artifact) -> str:
        """Copy an artifact to its address, unless the same bytes already stand there; returns the address.

        Raises:
            StoreConflict: other bytes stand there.
            ArtifactRefused: it holds an empty folder, and the destination cannot.
            StoreError: it could not be written. Nothing stands there then that anything points to.
        """
        where = self.address(artifact.subject, is_file=artifact.is_file)
        path = f"{self._root}/{place(artifact.subject, is_file=artifact.is_file)}"
        with self._driver("write to"):
            if self._local:
                if not os.path.lexists(path):
                    _copy(artifact, Path(path))
                # whoever owns what a link leads to could change it afterwards
                found = () if os.path.islink(path) else artifacts.scan(Path(path))
            else:
                found = self._upload(artifact, path)
        if found != artifact.entries:
            raise StoreConflict(
                f"{redact(where)} holds other bytes than its name says; nothing was promoted",
                hint="somebody wrote into the destination: look into it, then remove that folder",
            )
        return where

    def open(self, clearance: Clearance) -> Artifact:
        """A private copy of exactly the promoted bytes.

        Raises:
            EvidenceError: other bytes lie there, or none; or a link, or something beside them.
        """
        where = self.where(clearance)
        artifact = open_artifact(where, kind=clearance.kind)
        if artifact.subject != clearance.subject:
            raise EvidenceError(f"{redact(where)} holds {artifact.subject.digest}: it was changed after the promotion")
        return artifact

    def where(self, clearance: Clearance) -> str:
        """What to load: the folder, or the one file with the name that was promoted. Its bytes are not looked at here.

        A digest is that of a folder or of a file, and the signed clearance says of which. So whatever lies in the other's place
        was put there by somebody, and so was a link, or a file of another name: a name decides which loader runs.

        Raises:
            EvidenceError: something else lies there.
        """
        subject = clearance.subject
        is_file = clearance.resource_uri.endswith(".file")
        here, other = (f"{self._root}/{place(subject, is_file=one)}" for one in (is_file, not is_file))
        address = self.address(subject, is_file=is_file)
        with self._driver("read"):
            if self._local:
                names = _entries(Path(here))
                stray = os.path.lexists(other)
            else:
                names = [name[len(here) :].lstrip("/") for name, _ in names_in(self._fs, here)]
                stray = bool(names_in(self._fs, other)) or bool(self._fs.isfile(other))
        if stray:
            raise EvidenceError(f"{redact(self.address(subject, is_file=not is_file))} was put beside {redact(address)}")
        if is_file and names != [subject.name]:
            raise EvidenceError(f"{redact(address)} does not hold {subject.name} alone: it was changed after the promotion")
        return f"{address}/{subject.name}" if is_file else address

    def _upload(self, artifact: Artifact, path: str) -> tuple[Entry, ...]:
        """Object stores have no rename. What an upload that died left behind is completed, and hashed like the rest."""
        if empty := next((one.path for one in artifact.entries if one.path.endswith("/")), None):
            raise ArtifactRefused(
                f"{empty} is an empty folder, which {self.shown} cannot hold", hint="remove it, and run the gate again"
            )
        there = {name[len(path) :].lstrip("/") for name, _ in names_in(self._fs, path)}
        for entry in artifact.entries:
            if entry.path not in there:
                self._fs.put_file(str(artifact.path(entry)), f"{path}/{entry.path}")
        return tuple(sorted(self._hashed(path), key=lambda entry: entry.path.encode()))

    def _hashed(self, path: str) -> Iterator[Entry]:
        for name, _ in names_in(self._fs, path):
            digest, size = hashlib.sha256(), 0
            with self._fs.open(name, "rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
                    size += len(block)
            yield Entry(path=name[len(path) :].lstrip("/"), size=size, sha256=digest.hexdigest())

    @contextmanager
    def _driver(self, doing: str) -> Iterator[None]:
        """fsspec drivers raise whatever their client library raises."""
        try:
            yield
        except Error:
            raise
        except Exception as error:
            raise StoreError(f"cannot {doing} {self.shown}: {why(error)}") from error


def _entries(folder: Path) -> list[str]:
    """What a local folder holds; links are nothing that was promoted, for whoever owns what they lead to can change it."""
    if folder.is_symlink() or not folder.is_dir():
        raise EvidenceError(f"{folder} is no folder: it was changed after the promotion")
    return sorted(os.listdir(folder))


def place(subject: Subject, *, is_file: bool) -> str:
    """Where the bytes of a subject belong, within any destination."""
    return f"sha256/{subject.hex}" + (".file" if is_file else "")


def _copy(artifact: Artifact, target: Path) -> None:
    """Copy beside the target, sync, then take its name in one step."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with files.workshop(target.parent, ".copying-") as work:
        copy = work / "copy"
        if artifact.is_file:
            copy.mkdir()
            shutil.copyfile(artifact.root, copy / artifact.root.name)
        else:
            shutil.copytree(artifact.root, copy, copy_function=shutil.copyfile)
        for folder in (copy, *(one for one in copy.rglob("*") if one.is_dir())):
            folder.chmod(0o755)
        files.sync_tree(copy)
        try:
            copy.rename(target)
        except OSError:
            if not target.exists():  # else another promoter was faster; what stands there is verified next
                raise
    files.sync_folder(target.parent)
