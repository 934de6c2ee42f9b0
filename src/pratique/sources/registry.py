"""`oci://`: artifacts in OCI registries: ModelKits (`kit`), ModelPacks, plain artifacts (`oras`), and images that are files.

    oci://registry.example/team/model@sha256:<64 hex digits>
    oci://registry.example/team/model:v1                         a tag: resolved, pinned to its digest, and reported

In the order of the code:

1. Get the manifest by digest or tag, and hash it: the digest names the manifest, the manifest names every layer by digest.
2. Decide for every layer what becomes of it, before any is fetched. Layers that nobody can place are refused.
3. Get each layer, held against its digest and size as it arrives.
4. Write files under their titles; unpack tars, files and folders only, within bounds.

The artifact is the folder that comes of it; the config and the manifest are not part of it. Descriptors' `urls` are not
followed, and a ModelKit that builds on another one, which its own digest does not cover, is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pratique.errors import ArtifactRefused
from pratique.sources import manifests
from pratique.sources.connecting import Patience, is_loopback
from pratique.sources.layers import Layer, place_layers, unpack_layer
from pratique.sources.manifests import Descriptor, Manifest
from pratique.sources.many import Job, save_all
from pratique.sources.naming import Names
from pratique.sources.plans import Limits, Plan, Progress, Resolution
from pratique.sources.redacting import redact
from pratique.sources.tokens import HINT, answering
from pratique.sources.web import Web

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_URI = re.compile(
    r"oci://(?P<host>[a-z0-9.-]+(?::\d{1,5})?|\[[0-9a-f:]+\](?::\d{1,5})?)/"
    rf"(?P<name>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?\Z"
)
"""Names and tags as in the distribution-spec, "Pulling manifests"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reference:
    host: str
    name: str
    tag: str
    digest: str

    @property
    def home(self) -> str:
        """The registry's base URL: https, but for this machine's own loopback."""
        host = re.sub(r":\d+\Z", "", self.host).strip("[]")
        return f"{'http' if is_loopback(host) else 'https'}://{self.host}"

    def url(self, what: str, reference: str) -> str:
        """Where a manifest or a blob is."""
        return f"{self.home}/v2/{self.name}/{what}/{reference}"


def plan(uri: str, patience: Patience | None = None) -> Plan:
    """Ask the registry which manifest a URI means."""
    reference = _read(uri)
    challenge = answering(reference.home, reference.host, reference.name, patience)
    web = Web(reference.home, challenge=challenge, patience=patience, hint=HINT)
    page = web.read(
        reference.url("manifests", reference.digest or reference.tag), accept=manifests.ACCEPT, most=manifests.MOST
    )  # 1
    digest = manifests.digest(page.body)
    _ensure_same(digest, reference.digest, page.headers.get("docker-content-digest", ""), uri)
    manifest = manifests.read(page.body, page.headers.get("content-type", ""), f"the manifest {digest[:19]}…")
    pinned = f"oci://{reference.host}/{reference.name}@{digest}"
    resolution = Resolution(
        uri=uri, pinned=pinned, scheme="oci", mutable=not reference.digest,
        ids={
            "registry": reference.host, "repository": reference.name, "manifest": digest, "config": manifest.config.digest,
            "type": manifest.artifactType or manifest.config.mediaType,
        },
        notes=() if reference.digest else (f"the tag {reference.tag!r} can move; it was {digest[:19]}… when it was resolved",),
    )  # fmt: skip

    def fetch(target: Path, limits: Limits, progress: Progress) -> None:
        _fetch(web, reference, manifest, target, Names(limits, pinned), progress)

    return Plan(resolution=resolution, name=reference.name.rpartition("/")[2], fetch=fetch)


def _read(uri: str) -> _Reference:
    match = _URI.match(uri)
    if not match or not (match["tag"] or match["digest"]):
        raise ArtifactRefused(
            f"{redact(uri)!r} does not name an artifact in a registry",
            hint="oci://host/name@sha256:<digest>, or :tag; names are in lower case",
        )
    return _Reference(host=match["host"], name=match["name"], tag=match["tag"] or "", digest=match["digest"] or "")


def _ensure_same(digest: str, asked: str, told: str, uri: str) -> None:
    if asked and digest != asked:
        raise ArtifactRefused(
            f"the registry answers with manifest {digest[:19]}… when asked for {asked[:19]}…",
            hint="do not use it: look into the registry, or whatever lies in between",
        )
    if told.startswith("sha256:") and told != digest:
        raise ArtifactRefused(f"the registry says that {uri} is {told[:19]}…, but serves {digest[:19]}…")


def _fetch(web: Web, reference: _Reference, manifest: Manifest, target: Path, names: Names, progress: Progress) -> None:
    kitfile = _blob(web, reference, manifest.config) if manifest.is_modelkit else None
    layers = place_layers(manifest, kitfile, names)  # 2
    target.mkdir()
    jobs = [
        Job(
            url=reference.url("blobs", one.descriptor.digest), path=one.lands(target), what=one.name,
            size=one.descriptor.size, digests={"sha256": one.descriptor.digest.removeprefix("sha256:")},
        )
        for one in layers
    ]  # fmt: skip
    save_all(web, jobs, most=0, progress=progress)  # 3
    for one in layers:
        if one.is_tar:
            _unpack(one, target, names)  # 4


def _unpack(layer: Layer, target: Path, names: Names) -> None:
    packed = layer.lands(target)
    unpack_layer(layer, packed, target, names)
    packed.unlink()


def _blob(web: Web, reference: _Reference, descriptor: Descriptor) -> object:
    """A small JSON blob, verified."""
    page = web.read(reference.url("blobs", descriptor.digest), most=manifests.MOST)
    if manifests.digest(page.body) != descriptor.digest:
        raise ArtifactRefused(f"the registry serves other bytes for {descriptor.digest[:19]}… than that")
    return manifests.parse(page.body, f"the config {descriptor.digest[:19]}…")
