"""Manifests and bundles as no honest tool writes them, by a key that is trusted all the same."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from pratique import oms, signing
from pratique.oms import Hashing, manifests
from pratique.signing import INTOTO, KeySigner

KEY, OTHER = KeySigner.generate(), KeySigner.generate()
SUPPLIER = KEY.trusted("supplier")
A, B = (hashlib.sha256(data).hexdigest() for data in (b"a", b"b"))


def claim(names: list[str] | None = None, **changes: Any) -> dict[str, Any]:
    """A statement as a careless or malicious, but trusted, signer may make it; `a__0__b` leads to what changes."""
    files = {"a": (A,), "b": (B,)} if names is None else {"a": (A,)}
    value: dict[str, Any] = json.loads(manifests.statement("m", files, ignore_paths=["model.sig"]))
    if names is not None:
        value["predicate"]["resources"] = [{"name": name, "digest": A, "algorithm": "sha256"} for name in names]
    return changed(value, changes, retotal=names is not None)


def shards(names: list[str] | None = None, size: int = 10, **changes: Any) -> dict[str, Any]:
    """The same over shards of ten bytes: `a` has 25 bytes, `b` has 10."""
    how = Hashing(shard_size=size)
    value: dict[str, Any] = json.loads(
        manifests.statement("m", {"a": (A, B, A), "b": (B,)}, hashing=Hashing(shard_size=10), sizes={"a": 25, "b": 10})
    )
    value["predicate"]["serialization"]["shard_size"] = how.shard_size
    if names is not None:
        value["predicate"]["resources"] = [{"name": name, "digest": A, "algorithm": "sha256"} for name in names]
    return changed(value, changes, retotal=names is not None)


def changed(value: dict[str, Any], changes: dict[str, Any], *, retotal: bool = False) -> dict[str, Any]:
    """Put other values in; `...` takes one out."""
    if retotal:
        total(value)
    for path, change in changes.items():
        part, *keys, last = (value, *path.split("__"))
        for key in keys:
            part = part[int(key) if key.isdigit() else key]
        if change is ...:
            del part[last]
        else:
            part[last] = change
    return value


def total(value: dict[str, Any]) -> None:
    """Make the root digest fit again."""
    digests = b"".join(bytes.fromhex(one["digest"]) for one in value["predicate"]["resources"])
    value["subject"][0]["digest"]["sha256"] = hashlib.sha256(digests).hexdigest()


def signed(value: Any, signer: Any = KEY) -> bytes:
    """A bundle around a statement, or around whatever bytes."""
    return signing.sign(value if isinstance(value, bytes) else json.dumps(value).encode(), INTOTO, signer)


def read(value: Any, allow: frozenset[oms.Allow] = frozenset()) -> oms.Manifest:
    """What our reader makes of it."""
    return oms.read(signed(value), [SUPPLIER], allow=allow)


def tampered(bundle: bytes, **changes: Any) -> bytes:
    """A bundle whose envelope somebody changed."""
    value = json.loads(bundle)
    value["dsseEnvelope"].update(changes)
    return json.dumps(value).encode()


def statement_of(bundle: bytes) -> dict[str, Any]:
    """What a bundle says, believed or not."""
    value: dict[str, Any] = json.loads(base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"]))
    return value
