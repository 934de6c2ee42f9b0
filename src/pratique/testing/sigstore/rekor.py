"""Transparency logs of both generations: v1 answers with its own time and a promise, v2 with neither."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from pratique.testing.sigstore.faults import Fault
from pratique.testing.sigstore.merkle import Tree


@dataclass(slots=True, kw_only=True)
class Rekor:
    """What the two have in common: a tree, a key, and proofs."""

    origin: str
    clock: Callable[[], datetime]
    faults: Collection[Fault]
    key: Any = field(init=False)
    tree: Tree = field(default_factory=Tree)

    def __post_init__(self) -> None:
        """Make the key, and a log that is not empty."""
        self.renew()
        for number in range(5):
            self.tree.add(b"entry %d of somebody else" % number)

    def renew(self) -> None:
        """Take a new key; the tree stays."""
        self.key = self._fresh()

    def _fresh(self) -> Any:
        raise NotImplementedError

    @property
    def id(self) -> bytes:
        """Names the log's key."""
        raise NotImplementedError

    def _log(self, body: dict[str, Any]) -> tuple[bytes, int, dict[str, Any]]:
        """The entry's bytes, its index, and its proof with binary values."""
        data = json.dumps(body, separators=(",", ":"), sort_keys=True).encode()
        index = self.tree.add(data)
        size, root, path = len(self.tree.leaves), self.tree.root(), self.tree.proof(index)
        if Fault.PROOF_WRONG in self.faults:
            path = [hashlib.sha256(b"elsewhere").digest(), *path[1:]]
        stated = size + 1 if Fault.CHECKPOINT_OTHER_SIZE in self.faults else size
        return data, index, {"size": size, "root": root, "hashes": path, "checkpoint": self._checkpoint(stated, root)}

    def _checkpoint(self, size: int, root: bytes) -> str:
        note = f"{self.origin}\n{size}\n{base64.b64encode(root).decode()}\n"
        key = self._fresh() if Fault.CHECKPOINT_WRONG in self.faults else self.key
        blob = base64.b64encode(self.id[:4] + _sign(key, note.encode())).decode()
        return f"{note}\n\u2014 {self.origin.split(' ')[0]} {blob}\n"


@dataclass(slots=True, kw_only=True)
class RekorV1(Rekor):
    """The first generation: entries of the kinds `dsse` and `hashedrekord` 0.0.1."""

    origin: str = "rekor.fake - 1"

    def _fresh(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    @property
    def id(self) -> bytes:
        """The digest of the public key."""
        return hashlib.sha256(spki(self.key.public_key())).digest()

    def add(self, proposed: dict[str, Any]) -> dict[str, Any]:
        """What `POST /api/v1/log/entries` answers."""
        body = _dsse(proposed, self.faults) if proposed["kind"] == "dsse" else _pick(proposed, "apiVersion", "kind", "spec")
        data, index, proof = self._log(body)
        entry = {
            "body": base64.b64encode(data).decode(), "integratedTime": int(self.clock().timestamp()),
            "logID": self.id.hex(), "logIndex": index,
        }  # fmt: skip
        said = json.dumps(entry, separators=(",", ":"), sort_keys=True).encode()
        promise = _sign(self._fresh() if Fault.PROMISE_WRONG in self.faults else self.key, said)
        verification = {
            "signedEntryTimestamp": base64.b64encode(promise).decode(),
            "inclusionProof": {
                "logIndex": index, "treeSize": proof["size"], "rootHash": proof["root"].hex(),
                "hashes": [one.hex() for one in proof["hashes"]], "checkpoint": proof["checkpoint"],
            },
        }  # fmt: skip
        return {f"{index:064x}": {**entry, "verification": verification}}


@dataclass(slots=True, kw_only=True)
class RekorV2(Rekor):
    """The second generation: `hashedrekord` 0.0.2 alone, and no time."""

    origin: str = "rekor2.fake"

    def _fresh(self) -> ed25519.Ed25519PrivateKey:
        return ed25519.Ed25519PrivateKey.generate()

    @property
    def id(self) -> bytes:
        """The digest of the origin and the key (C2SP signed note)."""
        raw = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return hashlib.sha256(self.origin.encode() + b"\n\x01" + raw).digest()

    def add(self, request: dict[str, Any]) -> dict[str, Any]:
        """What `POST /api/v2/log/entries` answers."""
        asked = request["hashedRekordRequestV002"]
        digest = base64.b64encode(b"\x00" * 32).decode() if Fault.ENTRY_OTHER in self.faults else asked["digest"]
        spec = {"data": {"algorithm": "SHA2_256", "digest": digest}, "signature": asked["signature"]}
        data, index, proof = self._log({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {"hashedRekordV002": spec}})
        return {
            "logIndex": str(index), "logId": {"keyId": base64.b64encode(self.id).decode()},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
            "inclusionProof": {
                "logIndex": str(index), "rootHash": base64.b64encode(proof["root"]).decode(), "treeSize": str(proof["size"]),
                "hashes": [base64.b64encode(one).decode() for one in proof["hashes"]],
                "checkpoint": {"envelope": proof["checkpoint"]},
            },
            "canonicalizedBody": base64.b64encode(data).decode(),
        }  # fmt: skip


def as_entry(answer: dict[str, Any], kind: str) -> dict[str, Any]:
    """The answer of a v1 log, as a bundle carries it."""
    ((_, one),) = answer.items()
    proof = one["verification"]["inclusionProof"]
    return {
        "logIndex": str(one["logIndex"]), "logId": {"keyId": _b64(bytes.fromhex(one["logID"]))},
        "kindVersion": {"kind": kind, "version": "0.0.1"}, "integratedTime": str(one["integratedTime"]),
        "inclusionPromise": {"signedEntryTimestamp": one["verification"]["signedEntryTimestamp"]},
        "inclusionProof": {
            "logIndex": str(proof["logIndex"]), "rootHash": _b64(bytes.fromhex(proof["rootHash"])),
            "treeSize": str(proof["treeSize"]), "hashes": [_b64(bytes.fromhex(digest)) for digest in proof["hashes"]],
            "checkpoint": {"envelope": proof["checkpoint"]},
        },
        "canonicalizedBody": one["body"],
    }  # fmt: skip


def spki(public: Any) -> bytes:
    """A public key in DER."""
    data: bytes = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return data


def _dsse(proposed: dict[str, Any], faults: Collection[Fault]) -> dict[str, Any]:
    content = proposed["spec"]["proposedContent"]
    envelope = json.loads(content["envelope"])
    payload = b"something else" if Fault.ENTRY_OTHER in faults else base64.b64decode(envelope["payload"])
    spec = {
        "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(content["envelope"].encode()).hexdigest()},
        "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
        "signatures": [{"signature": one["sig"], "verifier": content["verifiers"][0]} for one in envelope["signatures"]],
    }
    return {"apiVersion": "0.0.1", "kind": "dsse", "spec": spec}


def _sign(key: Any, message: bytes) -> bytes:
    signature: bytes = (
        key.sign(message) if isinstance(key, ed25519.Ed25519PrivateKey) else key.sign(message, ec.ECDSA(hashes.SHA256()))
    )
    return signature


def _pick(value: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value[name] for name in names}


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
