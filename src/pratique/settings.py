"""Where this machine keeps what Pratique needs, and nothing else. Read once per call, from the environment only.

| variable | meaning | default |
|---|---|---|
| PRATIQUE_HOME | keys, snapshots and the default store | `~/.pratique` |
| PRATIQUE_STORE | evidence store, any fsspec URI | `$PRATIQUE_HOME/store` |
| PRATIQUE_KEY | private key that signs the gate's evidence | `$PRATIQUE_HOME/keys/gate.key`, made on first use |
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


def snapshots() -> Path:
    """Where private copies of artifacts live."""
    return home() / "snapshots"


def remembered() -> Path:
    """What audits remember of files that they have hashed."""
    return home() / "audits" / "digests.sqlite"
