"""Signed statements: DSSE over the exact bytes, in a Sigstore v0.3 bundle.

    signer = KeySigner.load(Path("gate.key"))
    bundle = sign(payload, INTOTO, signer)
    verified = verify(bundle, [TrustedKey.load("gate", Path("gate.pub"))])
    verified.payload      # parse these bytes and no others: they are the ones that were signed

Verification, in the order of the code:

1. Parse the bundle strictly: size, nesting, duplicate keys, unknown shapes.
2. Rebuild DSSE's pre-authentication encoding from the payload type and the decoded payload.
3. Try every signature against every trusted key; a public key has one vote, under however many names it is listed.
4. Nobody's vote: say whether a trusted key was named and failed (SignatureInvalid) or none was involved (WrongSigner).

Specifications: DSSE v1.0.2 (https://github.com/secure-systems-lab/dsse), Sigstore bundle v0.3
(https://github.com/sigstore/protobuf-specs, sigstore_bundle.proto). Hashes by curve as in OpenSSF Model Signing v1.0.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pratique import documents, files
from pratique.errors import Malformed, SignatureInvalid, UsageError, WrongSigner

INTOTO = "application/vnd.in-toto+json"
"""The DSSE payload type of an in-toto statement."""

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
"""The media type that we write; any v0.3 spelling is read."""

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
"""OMS v1.0, section on key-based signatures: the hash follows the curve."""

_MAX_KEY = 1 << 20
"""Bytes of a key file; a certificate chain in front of the key fits."""

_CURVES: dict[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """A public key and the name by which a policy knows it."""

    name: str
    """For people; two names of one key are one key."""

    public: ec.EllipticCurvePublicKey
    """P-256, P-384 or P-521."""

    @classmethod
    def load(cls, name: str, path: Path) -> TrustedKey:
        """Read a PEM public key.

        Raises:
            UsageError: no such file, or not such a key.
        """
        return cls.parse(name, _read(path), str(path))

    @classmethod
    def parse(cls, name: str, pem: bytes, where: str = "the key") -> TrustedKey:
        """Read PEM bytes; see `load`."""
        try:
            public = serialization.load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm) as error:
            hint = "that is a private key: pass its .pub" if b"PRIVATE KEY" in pem else "make one with `pratique keys new`"
            raise UsageError(f"{where} is not a PEM public key", hint=hint) from error
        if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name not in _HASHES:
            raise UsageError(f"{where} is not an elliptic-curve key", hint="P-256, P-384 and P-521 are supported")
        return cls(name=name, public=public)

    @property
    def fingerprint(self) -> str:
        """`sha256:<hex>` over the DER SubjectPublicKeyInfo: names the key whatever it is called."""
        return fingerprint(self.public)

    @property
    def pem(self) -> bytes:
        """The key as PEM."""
        return self.public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


class Signer(Protocol):
    """What can sign: a key file today, a token or a key service by the same two members."""

    @property
    def public(self) -> ec.EllipticCurvePublicKey:
        """The key that verifies."""

    def sign(self, message: bytes) -> bytes:
        """A DER-encoded ECDSA signature over the message."""


@dataclass(frozen=True, slots=True)
class KeySigner:
    """Signs with a private key in a file."""

    private: ec.EllipticCurvePrivateKey

    @classmethod
    def generate(cls, curve: str = "P-256") -> KeySigner:
        """A fresh key pair on P-256, P-384 or P-521."""
        if curve not in _CURVES:
            raise UsageError(f"unknown curve {curve!r}", hint=f"one of {', '.join(_CURVES)}")
        return cls(ec.generate_private_key(_CURVES[curve]))

    @classmethod
    def load(cls, path: Path, password: bytes | None = None) -> KeySigner:
        """Read a PEM private key.

        Raises:
            UsageError: no such file, not such a key, or a password is missing or wrong.
        """
        try:
            private = serialization.load_pem_private_key(_read(path), password)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise UsageError(
                f"{path} is not a readable PEM private key: {error}", hint="make one with `pratique keys new`"
            ) from error
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name not in _HASHES:
            raise UsageError(f"{path} is not an elliptic-curve key", hint="P-256, P-384 and P-521 are supported")
        return cls(private)

    def save(self, path: Path) -> Path:
        """Write the private key (mode 0600) and `<stem>.pub` beside it; never over an existing file. Returns the public one."""
        public = path.with_suffix(".pub") if path.name else path
        if public == path:
            raise UsageError(f"{str(path)!r} is no name for a private key", hint="such as gate.key; gate.pub goes beside it")
        pem = self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        try:
            taken = next((one for one in (path, public) if os.path.lexists(one)), None)
            if taken is None:
                files.create(path, pem, mode=0o600)
                try:
                    files.create(public, self.trusted().pem, mode=0o644)
                except OSError:
                    path.unlink()  # both or none
                    raise
        except FileExistsError:
            taken = path  # somebody else was faster
        except OSError as error:
            raise UsageError(f"cannot write the key {path}: {error.strerror}") from error
        if taken is not None:
            raise UsageError(f"{taken} exists; a key is never overwritten", hint="choose another name")
        return public

    @property
    def public(self) -> ec.EllipticCurvePublicKey:
        """The key that verifies."""
        return self.private.public_key()

    def trusted(self, name: str = "own") -> TrustedKey:
        """The public half as somebody who trusts it would list it."""
        return TrustedKey(name=name, public=self.public)

    def sign(self, message: bytes) -> bytes:
        """A DER-encoded ECDSA signature, with the hash that belongs to the curve."""
        return self.private.sign(message, ec.ECDSA(_HASHES[self.private.curve.name]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a bundle says, once somebody trusted has vouched for it."""

    payload_type: str
    payload: bytes
    signers: frozenset[str]
    """Fingerprints of the trusted public keys whose signatures hold; never empty."""

    signatures: int
    """How many signatures the envelope holds; more than `signers` means that nobody trusted vouches for some of them."""


def fingerprint(public: ec.EllipticCurvePublicKey) -> str:
    """`sha256:<hex>` over the DER SubjectPublicKeyInfo."""
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return documents.sha256(der)


def hint(public: ec.EllipticCurvePublicKey) -> str:
    """Names the key inside a bundle, as OMS does: hex sha256 over the PEM, so `sha256sum key.pub` prints it."""
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(pem).hexdigest()


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is really signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, payload_type: str, signer: Signer) -> bytes:
    """A Sigstore v0.3 bundle around a DSSE envelope with one signature."""
    signature = signer.sign(pae(payload_type, payload))
    return documents.canonical(
        {
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": hint(signer.public)}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": payload_type,
                "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
            },
        }
    )


def verify(bundle: bytes, trusted: Iterable[TrustedKey], *, payload_type: str = INTOTO, what: str = "the bundle") -> Verified:
    """Check a bundle's signatures against trusted keys.

    Args:
        bundle: the bytes of a Sigstore v0.3 bundle with a DSSE envelope.
        trusted: whose signature counts.
        payload_type: what the envelope must hold.
        what: names the bundle in errors.

    Raises:
        Malformed: not such a bundle, or another payload type.
        SignatureInvalid: it names a trusted key whose signature does not fit.
        WrongSigner: nobody trusted signed it.
    """
    keys = {key.fingerprint: key for key in trusted}
    envelope, named = parse_bundle(bundle, what=what)
    if envelope.payload_type != payload_type:
        raise Malformed(f"{what} holds {envelope.payload_type!r}, not {payload_type!r}")
    message = pae(envelope.payload_type, envelope.payload)
    voters = frozenset(mark for mark, key in keys.items() if any(_holds(key, sig, message) for sig in envelope.signatures))
    if not voters:
        names = ", ".join(sorted({key.name for key in keys.values()})) or "nobody"
        owner = next((key.name for key in keys.values() if named in (hint(key.public), key.fingerprint)), None)
        if owner is not None:
            raise SignatureInvalid(f"the signature of {owner} on {what} does not fit its content: it was changed")
        raise WrongSigner(f"{what} is signed by nobody who is trusted here ({names})", hint="is the right public key listed?")
    return Verified(
        payload_type=envelope.payload_type,
        payload=envelope.payload,
        signers=voters,
        signatures=len(envelope.signatures),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A DSSE envelope, decoded but not verified."""

    payload_type: str
    payload: bytes
    signatures: tuple[bytes, ...]


def parse_bundle(bundle: bytes, *, what: str = "the bundle") -> tuple[Envelope, str]:
    """The unverified envelope of a bundle, and the hint that names its key ('' if there is none).

    Raises:
        Malformed: not a v0.3 bundle with a DSSE envelope.
    """
    try:
        model = _Bundle.model_validate(documents.parse(bundle, what=what))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Malformed(f"{what} is not a Sigstore v0.3 bundle: {where}: {first['msg']}") from error
    dsse = model.dsse_envelope
    envelope = Envelope(
        payload_type=dsse.payload_type,
        payload=_decode(dsse.payload, what),
        signatures=tuple(_decode(one.sig, what) for one in dsse.signatures),
    )
    material = model.verification_material.get("publicKey")
    named = material.get("hint", "") if isinstance(material, dict) else ""
    return envelope, named if isinstance(named, str) else ""


def own_signer(path: Path) -> KeySigner:
    """This machine's own key; made on first use, like an SSH host key."""
    if not os.path.lexists(path):
        try:
            KeySigner.generate().save(path)
        except UsageError:
            if not os.path.lexists(path):  # else another process was faster
                raise
    return KeySigner.load(path)


def names_of(signers: Iterable[str], trusted: Sequence[TrustedKey]) -> tuple[str, ...]:
    """What people call these fingerprints."""
    known = {key.fingerprint: key.name for key in trusted}
    return tuple(sorted(known.get(one, one) for one in signers))


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=False)


class _Signature(_Model):
    sig: str
    keyid: str | None = ""  # OMS v1.0, 4.1: absent, empty or null; it decides nothing


class _Envelope(_Model):
    payload: str
    payload_type: Annotated[str, Field(alias="payloadType", max_length=256)]
    signatures: Annotated[list[_Signature], Field(min_length=1, max_length=64)]


class _Bundle(_Model):
    media_type: Annotated[
        Literal["application/vnd.dev.sigstore.bundle.v0.3+json", "application/vnd.dev.sigstore.bundle+json;version=0.3"],
        Field(alias="mediaType"),
    ]
    verification_material: Annotated[dict[str, Any], Field(alias="verificationMaterial")]
    dsse_envelope: Annotated[_Envelope, Field(alias="dsseEnvelope")]


def _decode(text: str, what: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed(f"{what} holds something that is not base64") from error
    if base64.b64encode(data).decode() != text:  # a second spelling of the same bytes is a second bundle
        raise Malformed(f"{what} holds base64 that is not in its canonical spelling")
    return data


def _holds(key: TrustedKey, signature: bytes, message: bytes) -> bool:
    try:
        key.public.verify(signature, message, ec.ECDSA(_HASHES[key.public.curve.name]))
    except InvalidSignature:
        return False
    return True


def _read(path: Path) -> bytes:
    try:
        return files.read(path, most=_MAX_KEY)
    except OSError as error:
        raise UsageError(f"cannot read the key {path}: {error.strerror}") from error
