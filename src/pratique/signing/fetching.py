"""Bring a trusted root up to date, over The Update Framework: `pratique trust fetch`, and nothing else goes online for trust.

    found = fetch(SIGSTORE, into=settings.home() / "tuf")
    Path("trusted_root.json").write_bytes(found.trusted_root)

What is fetched is trusted because the keys in a first root vouch for it, over a chain of roots since then: for Sigstore's own
instances the first root comes with the package `sigstore`, for others the caller names one that they got by another way.
Metadata is kept between calls, so that an older state of the repository is refused later (rollback, freeze).

Specification: https://theupdateframework.github.io/specification/latest/
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from pratique.errors import ServiceError, UsageError
from pratique.signing.roots import Root

SIGSTORE = "https://tuf-repo-cdn.sigstore.dev"
"""Sigstore's public instance."""

STAGING = "https://tuf-repo-cdn.sigstage.dev"
"""Sigstore's instance for tests."""

_ROOT = "trusted_root.json"
_CONFIG = "signing_config.v0.2.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a repository holds now."""

    trusted_root: bytes
    signing_config: bytes | None
    """Where the services are; None if the repository does not say."""


def fetch(url: str, *, into: Path, first_root: bytes | None = None) -> Fetched:
    """Ask a repository.

    Args:
        url: of the repository.
        into: folder for metadata, kept between calls.
        first_root: a TUF root that the caller trusts; the one that comes with the package `sigstore` if left out.

    Raises:
        UsageError: there is no first root for that repository. ServiceError: it does not answer, or nobody who is trusted
            vouches for what it answers.
    """
    url = url.rstrip("/")
    metadata = into / hashlib.sha256(url.encode()).hexdigest()[:16]
    known = metadata / "root.json"
    bootstrap = first_root or _packaged(url)
    if bootstrap is None and not known.exists():
        raise UsageError(f"there is no first root for {url}", hint="get its root.json by another way, and pass it")
    metadata.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as targets:
        return _fetch(url, metadata, Path(targets), bootstrap)


def _fetch(url: str, metadata: Path, targets: Path, bootstrap: bytes | None) -> Fetched:
    from tuf.api.exceptions import DownloadError, RepositoryError
    from tuf.ngclient.updater import Updater

    try:
        updater = Updater(
            metadata_dir=str(metadata), metadata_base_url=url, target_dir=str(targets), target_base_url=f"{url}/targets/",
            bootstrap=bootstrap,
        )  # fmt: skip
        updater.refresh()
        found = {name: updater.get_targetinfo(name) for name in (_ROOT, _CONFIG)}
        data = {name: Path(updater.download_target(one)).read_bytes() for name, one in found.items() if one is not None}
    except RepositoryError as error:
        raise ServiceError(f"what {url} answers is not vouched for: {type(error).__name__}: {error}") from error
    except (DownloadError, OSError, ValueError) as error:
        raise ServiceError(f"cannot fetch from {url}: {type(error).__name__}: {error}") from error
    if _ROOT not in data:
        raise ServiceError(f"{url} holds no {_ROOT}")
    Root.parse(data[_ROOT], f"the trusted root of {url}")
    return Fetched(trusted_root=data[_ROOT], signing_config=data.get(_CONFIG))


def _packaged(url: str) -> bytes | None:
    """The first root that the package `sigstore` carries for its own instances, as a file: nothing of it is run."""
    place = files("sigstore").joinpath("_store", quote(url, safe=""), "root.json")
    return place.read_bytes() if place.is_file() else None
