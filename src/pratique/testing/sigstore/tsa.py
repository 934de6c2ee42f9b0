"""A timestamp authority (RFC 3161)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from asn1crypto import cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pratique.testing.certificates import TIME_STAMPING, Authority, certify
from pratique.testing.sigstore.faults import Fault


@dataclass(slots=True, kw_only=True)
class TimestampAuthority:
    """Says when it saw a digest."""

    clock: Callable[[], datetime]
    faults: Collection[Fault]
    start: datetime
    name: str = "fake-tsa"
    root: Authority = field(init=False)
    key: ec.EllipticCurvePrivateKey = field(init=False)
    certificate: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        """Make the keys."""
        end = self.start + timedelta(days=3650)
        self.root = Authority.root(f"{self.name}-root", before=self.start, after=end)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = certify(
            self.key.public_key(), x509.Name.from_rfc4514_string(f"CN={self.name}"), self.root.certificate.subject,
            self.root.key, (self.start, end), usage=("digital_signature",), purposes=(TIME_STAMPING,), purposes_critical=True,
            issuer_key=self.root.key.public_key(),
        )  # fmt: skip

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """Its own certificate, then the root's."""
        return (self.certificate, self.root.certificate)

    def stamp(self, message: bytes) -> bytes:
        """A response over some bytes, without a request."""
        request = tsp.TimeStampReq(
            {
                "version": "v1",
                "message_imprint": {
                    "hash_algorithm": {"algorithm": "sha256"},
                    "hashed_message": hashlib.sha256(message).digest(),
                },
                "cert_req": True,
            }
        )
        return self.answer(request.dump())

    def answer(self, der: bytes) -> bytes:
        """The response to a request in DER."""
        if Fault.TIMESTAMP_STRANGER in self.faults:
            return TimestampAuthority(clock=self.clock, faults=(), start=self.start, name=self.name).answer(der)
        content = self._content(tsp.TimeStampReq.load(der)).dump()
        certificate = asn1_x509.Certificate.load(self.certificate.public_bytes(serialization.Encoding.DER))
        attributes = _attributes(content, certificate)
        info = {
            "version": "v1",
            "sid": cms.SignerIdentifier(
                {"issuer_and_serial_number": {"issuer": certificate.issuer, "serial_number": certificate.serial_number}}
            ),
            "digest_algorithm": {"algorithm": "sha256"},
            "signed_attrs": attributes,
            "signature_algorithm": {"algorithm": "sha256_ecdsa"},
            "signature": self.key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256())),
        }
        signed = {
            "version": "v3",
            "digest_algorithms": [{"algorithm": "sha256"}],
            "encap_content_info": {"content_type": "tst_info", "content": cms.ParsableOctetString(content)},
            "certificates": [cms.CertificateChoices("certificate", certificate)],
            "signer_infos": [cms.SignerInfo(info)],
        }
        token = cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(signed)})
        data: bytes = tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": token}).dump()
        return data

    def _content(self, request: tsp.TimeStampReq) -> tsp.TSTInfo:
        imprint = request["message_imprint"]
        if Fault.TIMESTAMP_WRONG in self.faults:
            imprint["hashed_message"] = hashlib.sha256(b"another signature").digest()
        content = tsp.TSTInfo(
            {
                "version": "v1", "policy": "1.2.3.4", "message_imprint": imprint,
                "serial_number": x509.random_serial_number() >> 32, "gen_time": self.clock().replace(microsecond=0),
            }
        )  # fmt: skip
        if request["nonce"].native is not None:
            content["nonce"] = request["nonce"].native
        return content


def _attributes(content: bytes, certificate: asn1_x509.Certificate) -> cms.CMSAttributes:
    own = tsp.ESSCertIDv2({"hash_algorithm": {"algorithm": "sha256"}, "cert_hash": hashlib.sha256(certificate.dump()).digest()})
    return cms.CMSAttributes(
        [
            cms.CMSAttribute({"type": "content_type", "values": ["tst_info"]}),
            cms.CMSAttribute({"type": "message_digest", "values": [core.OctetString(hashlib.sha256(content).digest())]}),
            cms.CMSAttribute({"type": "signing_certificate_v2", "values": [tsp.SigningCertificateV2({"certs": [own]})]}),
        ]
    )
