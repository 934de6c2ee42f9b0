"""What an OCI registry says an artifact consists of, read strictly (OCI image-spec 1.1, manifest.md and descriptor.md)."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pratique import documents
from pratique.errors import ArtifactRefused, Malformed

IMAGE = "application/vnd.oci.image.manifest.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
ACCEPT = ", ".join((IMAGE, DOCKER, *INDEXES))
MOST = 4 << 20
"""Bytes of a manifest: what registries accept (distribution-spec, pushing manifests)."""

TITLE = "org.opencontainers.image.title"
UNPACK = "io.deis.oras.content.unpack"
FILEPATH = "org.cncf.model.filepath"
KIT = "application/vnd.kitops.modelkit."
MODELPACK = "application/vnd.cncf.model."

M = TypeVar("M", bound=BaseModel)


class _Model(BaseModel):
    """Field names are the specification's own."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Descriptor(_Model):
    """Names bytes by digest and size. `urls`, from which others would fetch them, and `data` are not looked at."""

    mediaType: str  # noqa: N815
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    size: Annotated[int, Field(ge=0)]
    annotations: dict[str, str] | None = None

    def annotation(self, key: str) -> str:
        """One annotation; '' if it is not there."""
        return (self.annotations or {}).get(key, "")


class Manifest(_Model):
    """An image manifest: what models, datasets and images are pushed as."""

    schemaVersion: Literal[2]  # noqa: N815
    mediaType: str = IMAGE  # noqa: N815
    artifactType: str = ""  # noqa: N815
    config: Descriptor
    layers: list[Descriptor]

    @property
    def is_modelkit(self) -> bool:
        """Whether `kit` packed it."""
        return self.config.mediaType.startswith(KIT)


def digest(data: bytes) -> str:
    """`sha256:<hex>`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def read(data: bytes, content_type: str, what: str) -> Manifest:
    """Read a manifest whose digest was verified.

    Raises:
        ArtifactRefused: an index, another format, or one that means one thing to some readers and another to others
            (CVE-2021-41190).
    """
    value = parse(data, what)
    served = content_type.partition(";")[0].strip().lower()
    if not isinstance(value, dict) or "fsLayers" in value or "blobs" in value:
        raise ArtifactRefused(f"{what} is not an OCI image manifest", hint="push it again with a current tool")
    claimed = value.get("mediaType", served)
    both, known = "manifests" in value and "layers" in value, served in (IMAGE, DOCKER, *INDEXES)
    if both or (known and claimed != served):
        raise ArtifactRefused(f"{what} is served as {served or 'nothing'} and says that it is {claimed}")
    if claimed in INDEXES or "manifests" in value:
        raise ArtifactRefused(
            f"{what} is an index of several manifests", hint="name the one that you mean by its digest: @sha256:..."
        )
    return validate(Manifest, value, what)


def parse(data: bytes, what: str) -> Any:
    """JSON, read strictly."""
    try:
        return documents.parse(data, what=what)
    except Malformed as error:
        raise ArtifactRefused(str(error)) from error


def validate(model: type[M], value: Any, what: str) -> M:
    """Hold JSON against a model."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "its top"
        raise ArtifactRefused(f"{what} makes no sense at {where}: {first['msg']}") from error
