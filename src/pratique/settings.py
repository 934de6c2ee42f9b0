"""Where this machine keeps what Pratique needs, and nothing else. Read once per call, from the environment only.

| variable | meaning | default |
|---|---|---|
| PRATIQUE_HOME | keys, snapshots and the default store | `~/.pratique` |
| PRATIQUE_STORE | evidence store, any fsspec URI | `$PRATIQUE_HOME/store` |
| PRATIQUE_KEY | private key that signs the gate's evidence | `$PRATIQUE_HOME/keys/gate.key`, made on first use |
| PRATIQUE_CERTIFICATE | PEM file of the certificate for that key and of those above it: the gate signs by certificate | none |
| PRATIQUE_SIGNING_CONFIG | Sigstore's services: the gate signs keyless | none |
| PRATIQUE_TRUSTED_ROOT | Sigstore's trusted root, for signing keyless | none |
| PRATIQUE_ROLE | what runs here, such as `training`: whatever is neither empty nor `promotion` may not promote | none |
| PRATIQUE_PROMOTERS | service accounts that may promote, by commas: `system:serviceaccount:ml-broker:promoter` | any |
| PRATIQUE_TOKEN_FROM | where the token for that is: a file, `env` (PRATIQUE_IDENTITY_TOKEN) or `ambient` | `ambient` |

Where artifacts come from (`pratique.sources`), under the names that the services' own tools use where there are such. A
secret is sent to the service that it is for, and to nobody else; files in your home folder are not searched for any.

| variable | meaning | default |
|---|---|---|
| HF_ENDPOINT | the Hub, or a mirror of it | the public Hub |
| HF_TOKEN | token for the Hub | none |
| PRATIQUE_REGISTRY_AUTH | `host=user:password` for one OCI registry | none |
| PRATIQUE_REGISTRY_CONFIG | a Docker `config.json` with credentials for registries | none |
| MLFLOW_TRACKING_URI | the MLflow server | none |
| MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and _PASSWORD | who we are there | nobody |
"""

from __future__ import annotations

import os
from pathlib import Path

from pratique.errors import UsageError


def home() -> Path:
    """The one folder that holds everything we keep on this machine.

    Raises:
        UsageError: the environment names none, and this user has no home (a container that runs as any user id).
    """
    try:
        return Path(os.environ.get("PRATIQUE_HOME") or Path.home() / ".pratique")
    except RuntimeError as error:
        raise UsageError(f"there is no folder for keys and snapshots: {error}", hint="set PRATIQUE_HOME") from error


def store_uri() -> str:
    """Where evidence goes unless the caller names another store."""
    return os.environ.get("PRATIQUE_STORE") or str(home() / "store")


def gate_key() -> Path:
    """The private key of this machine's own gate."""
    return Path(os.environ.get("PRATIQUE_KEY") or home() / "keys" / "gate.key")


def gate_certificate() -> Path | None:
    """The certificate for that key; None to sign by the key alone."""
    return _path("PRATIQUE_CERTIFICATE")


def signing_config() -> Path | None:
    """Where Sigstore's services are; None to sign with a key."""
    return _path("PRATIQUE_SIGNING_CONFIG")


def trusted_root() -> Path | None:
    """Sigstore's trusted root, for whoever signs keyless."""
    return _path("PRATIQUE_TRUSTED_ROOT")


def token_from() -> str:
    """Where the identity token for that is."""
    return os.environ.get("PRATIQUE_TOKEN_FROM") or "ambient"


def role() -> str:
    """What runs here; '' if nobody said."""
    return os.environ.get("PRATIQUE_ROLE", "").strip()


def promoters() -> frozenset[str]:
    """The service accounts that may promote; none if any may."""
    return frozenset(name for one in os.environ.get("PRATIQUE_PROMOTERS", "").split(",") if (name := one.strip()))


def _path(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value) if value else None


def snapshots() -> Path:
    """Where private copies of artifacts live."""
    return home() / "snapshots"


def remembered() -> Path:
    """What audits remember of files that they have hashed."""
    return home() / "audits" / "digests.sqlite"


def hub_endpoint() -> str:
    """The Hub that `hf://` means, without a slash at its end."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def hub_token() -> str:
    """The token for that Hub; '' if there is none."""
    return os.environ.get("HF_TOKEN", "").strip()


def registry_auth() -> str:
    """`host=user:password` for one OCI registry; '' if there is none."""
    return os.environ.get("PRATIQUE_REGISTRY_AUTH", "")


def registry_config() -> Path | None:
    """A Docker configuration with credentials for registries, if one was named. The one in the home folder is not read."""
    named = os.environ.get("PRATIQUE_REGISTRY_CONFIG")
    return Path(named).expanduser() if named else None


def tracking_uri() -> str:
    """The MLflow server that `models:/` and `runs:/` mean, without a slash at its end; '' if none was named."""
    return os.environ.get("MLFLOW_TRACKING_URI", "").rstrip("/")


def tracking_auth() -> tuple[str, str, str]:
    """Token, user name and password for the MLflow server; each '' if there is none."""
    names = ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
    token, user, password = (os.environ.get(name, "") for name in names)
    return token, user, password
