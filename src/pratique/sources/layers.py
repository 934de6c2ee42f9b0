"""What becomes of each layer of an OCI artifact.

| layer | becomes |
|---|---|
| of a ModelKit (`application/vnd.kitops.modelkit.*.tar[+gzip]`) | unpacked at the top |
| of a ModelPack, `.tar[+gzip]` | unpacked at the top |
| of either, `.raw`, with `org.cncf.model.filepath` or a title | that file |
| with a title, and `io.deis.oras.content.unpack: "true"` (a folder pushed by `oras`) | unpacked, inside of the title |
| with a title (`org.opencontainers.image.title`) | that file |
| of an image (`application/vnd.oci.image.layer.v1.tar[+gzip]`, Docker's too) | unpacked at the top; no file may come twice |

Anything else is refused, for then somebody else would get another folder out of the same manifest. So are zstd and layers of
ModelKits that the Kitfile does not name (packed by versions of `kit` before 1.0, which placed them otherwise).
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pratique.errors import ArtifactRefused
from pratique.sources.manifests import FILEPATH, KIT, MODELPACK, TITLE, UNPACK, Descriptor, Manifest
from pratique.sources.naming import Names, place
from pratique.sources.tar_headers import Stream
from pratique.sources.tars import unpack

RATIO = 200
"""A layer may unpack to so many times its own size ..."""

FLOOR = 64 << 20
"""... or to so many bytes, whichever is more. Text shrinks to a tenth; only zeros and bombs shrink to a thousandth."""

_TAR = re.compile(r"\.tar(?:\.gzip|\+gzip)?\Z")
_IMAGE = re.compile(r"application/vnd\.(?:oci\.image\.layer\.v1\.tar(?:\+gzip)?|docker\.image\.rootfs\.diff\.tar(?:\.gzip)?)\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer, and where it goes."""

    descriptor: Descriptor

    path: str
    """The file that it becomes, or the folder inside of which it is unpacked ('' for the top)."""

    is_tar: bool

    number: int

    @property
    def name(self) -> str:
        """What to call it in errors."""
        return self.path or f"layer {self.number} ({self.descriptor.digest[:19]}…)"

    def lands(self, target: Path) -> Path:
        """Where it is downloaded to: in place, or beside the artifact if it has yet to be unpacked."""
        return target.with_name(f"{target.name}.{self.number}.layer") if self.is_tar else place(target, self.path)


def place_layers(manifest: Manifest, kitfile: Any, names: Names) -> list[Layer]:
    """Decide about every layer, and take the names of those that become files.

    Raises:
        ArtifactRefused: nobody can say what becomes of one, or together they are over a limit.
    """
    if manifest.is_modelkit:
        _ensure_kitfile_covers(manifest, kitfile)
    if len(manifest.layers) > names.limits.files:
        raise ArtifactRefused(f"{names.what} has {len(manifest.layers):,} layers; the limit is {names.limits.files:,}")
    layers = [_layer(one, number) for number, one in enumerate(manifest.layers, 1)]
    packed = sum(one.descriptor.size for one in layers if one.is_tar)
    if packed > names.limits.bytes:
        raise ArtifactRefused(f"{names.what} has layers of {packed:,} bytes together; the limit is {names.limits.bytes:,}")
    for one in layers:
        if not one.is_tar:
            names.file(one.path, one.descriptor.size)
    return layers


def unpack_layer(layer: Layer, packed: Path, target: Path, names: Names) -> None:
    """Unpack a layer whose digest was verified.

    Raises:
        ArtifactRefused: see `tars.unpack`; also what unpacks to too much, and what is not gzip although it says so.
    """
    zipped = layer.descriptor.mediaType.endswith("gzip") or layer.descriptor.annotation(UNPACK) == "true"
    with open(packed, "rb") as file:
        source: Stream = gzip.GzipFile(fileobj=file, mode="rb") if zipped else file
        most = max(FLOOR, RATIO * layer.descriptor.size)
        try:
            unpack(_Bounded(source, most, layer.name), target, names, _inside(layer))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ArtifactRefused(f"{layer.name} says that it is gzip, and is not: {error}") from error


class _Bounded:
    """A stream that ends in an error rather than in a full disk."""

    def __init__(self, stream: Stream, most: int, what: str) -> None:
        self.stream = stream
        self.left = most
        self.what = what

    def read(self, size: int, /) -> bytes:
        """At most so many bytes."""
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise ArtifactRefused(
                f"{self.what} unpacks to more than {RATIO} times its size: a decompression bomb",
                hint="if these really are many zeros, push the layer uncompressed",
            )
        return data


def _layer(descriptor: Descriptor, number: int) -> Layer:
    kind, title = descriptor.mediaType, descriptor.annotation(TITLE)
    path, is_tar = "", True
    if kind.startswith((KIT, MODELPACK)):
        is_tar = _TAR.search(kind) is not None
        path = (descriptor.annotation(FILEPATH) or title) if kind.endswith(".raw") else ""
    elif title and descriptor.annotation(UNPACK) == "true":
        path, is_tar = title.rstrip("/"), True
    elif title:
        path, is_tar = title, False
    elif not _IMAGE.match(kind):
        is_tar = False
    if not is_tar and not path:
        raise ArtifactRefused(
            f"layer {number} ({kind}) has no title, and is of no kind that says where it goes",
            hint="push files with their names (`oras push`), pack tars (`kit pack`); zstd is not read",
        )
    return Layer(descriptor=descriptor, path=path, is_tar=is_tar, number=number)


def _inside(layer: Layer) -> Callable[[str], str]:
    """Where the entries of a tar go. A folder pushed by `oras` carries its own name, or the last part of it."""
    title, base = layer.path, layer.path.rpartition("/")[0]

    def where(name: str) -> str:
        if any(part.startswith(".wh.") for part in name.split("/")):
            raise ArtifactRefused(f"{layer.name} deletes files of earlier layers ({name!r})", hint="push one layer, or files")
        if not title:
            return name
        for path in (name, f"{base}/{name}" if base else name):
            if path == title or path.startswith(f"{title}/"):
                return path
        raise ArtifactRefused(f"{layer.name} holds {name!r}, which lies outside of the folder that it is titled after")

    return where


def _ensure_kitfile_covers(manifest: Manifest, kitfile: Any) -> None:
    """Every layer is named in the Kitfile by its digest, and a model that the Kitfile speaks of is among them."""
    if not isinstance(kitfile, dict):
        raise ArtifactRefused("the ModelKit's config is not a Kitfile")
    known = set(_digests(kitfile))
    for one in manifest.layers:
        if one.mediaType.startswith(KIT) and one.digest not in known:
            raise ArtifactRefused(
                f"the Kitfile does not know the layer {one.digest[:19]}…", hint="pack it again with a current `kit`"
            )
    model = kitfile.get("model")
    path = model.get("path") if isinstance(model, dict) else None
    if path and not any(one.mediaType.startswith(f"{KIT}model.") for one in manifest.layers):
        raise ArtifactRefused(
            f"the ModelKit builds on another one, {str(path)[:120]!r}, which its digest does not cover",
            hint="unpack it with `kit unpack`, judge the folder that comes of it, and pack that",
        )


def _digests(value: Any) -> Iterator[str]:
    """Every `digest` in a Kitfile. The document was read with a limit on its depth."""
    if isinstance(value, dict):
        if isinstance(digest := value.get("digest"), str):
            yield digest
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _digests(one)
