"""Stores, signers and policies as Airflow connections, so that DAG files name them once: `store="conn:evidence"`.

    export AIRFLOW_CONN_EVIDENCE='{"conn_type": "pratique_store", "host": "s3://bucket/evidence"}'

| connection type | its host is | where it can stand |
|---|---|---|
| `pratique_store` | URI of an evidence store | `store` |
| `pratique_signer` | path of a private key, on the worker | `key` |
| `pratique_trust` | path of a policy file, on the worker | `policy` |

A connection holds no secret: whatever runs on a worker can read every connection, and a key that training can read is no key of
the gate's. Airflow's own button "Test" (`[core] test_connection`) looks with the eyes of the API server.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from airflow.sdk import BaseHook  # noqa: TID253

from pratique.operators.base import given

_HIDDEN = ("schema", "login", "password", "port", "extra")


class _Named(BaseHook):  # type: ignore[misc, unused-ignore]
    """A connection that names one thing, as its host."""

    conn_name_attr = "conn_id"
    conn_type = ""
    what = ""
    example = ""

    def __init__(self, conn_id: str, **_: Any) -> None:
        super().__init__()
        self.conn_id = conn_id

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """One field in the form."""
        return {"hidden_fields": [*_HIDDEN], "relabeling": {"host": cls.what}, "placeholders": {"host": cls.example}}

    @property
    def named(self) -> str:
        """What the connection names.

        Raises:
            UsageError: nothing, or there is no such connection, or it is of another type.
        """
        from pratique.errors import UsageError

        try:
            found = self.get_connection(self.conn_id)
        except Exception as error:
            if type(error).__name__ != "AirflowNotFoundException":
                raise
            raise UsageError(f"there is no connection {self.conn_id!r}") from error
        if found.conn_type != self.conn_type:
            raise UsageError(f"the connection {self.conn_id!r} is of the type {found.conn_type!r}, not {self.conn_type!r}")
        return given(f"the host of the connection {self.conn_id!r}", found.host)

    def test_connection(self) -> tuple[bool, str]:
        """Whether it is there and in order, and what it is."""
        from pratique.errors import Error

        try:
            return True, self.look()
        except Error as error:
            return False, str(error)

    def look(self) -> str:
        """Open it, change nothing, and say what it is. Raises Error."""
        raise NotImplementedError


class StoreHook(_Named):
    """An evidence store."""

    conn_type, hook_name = "pratique_store", "Pratique evidence store"
    what, example = "URI", "s3://bucket/evidence"

    def look(self) -> str:
        """Read from it."""
        from pratique.artifacts import Subject
        from pratique.store import Store

        store = Store(self.named)
        next(iter(store.read("evidence", Subject(digest=f"sha256:{'0' * 64}"))), None)
        return f"{store.shown} can be read"


class SignerHook(_Named):
    """A private key, by its path."""

    conn_type, hook_name = "pratique_signer", "Pratique signer"
    what, example = "Path of the private key", "/keys/gate.key"

    def look(self) -> str:
        """Load it."""
        from pratique.signing import KeySigner, mark

        return f"signs as {mark(KeySigner.load(Path(self.named).expanduser()))}"


class TrustHook(_Named):
    """A policy file: what must hold, and who is trusted."""

    conn_type, hook_name = "pratique_trust", "Pratique policy"
    what, example = "Path of the policy", "/etc/pratique/release.yaml"

    def look(self) -> str:
        """Read it."""
        from pratique.policies import Policy

        policy = Policy.load(self.named)
        return f"{policy.digest}: judges a {policy.subject}, trusts {', '.join(policy.trust) or 'nobody'}"


HOOKS: dict[str, type[_Named]] = {"store": StoreHook, "key": SignerHook, "policy": TrustHook}
"""Which type of connection a parameter takes."""
