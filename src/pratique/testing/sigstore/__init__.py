"""A Sigstore of your own for a test suite: offline, on loopback, with a clock that you set and faults that you ask for.

    with FakeSigstore() as fake:
        signer = fake.signer(tokens.github("acme/models"), tmp_path)    # a signing.SigstoreSigner: real client, real protocol
        bundle = signing.sign(payload, INTOTO, signer)
        supplier = fake.trusted("supplier", publishers.github("acme/models"))
        signing.verify(bundle, [supplier])

    fake.clock.advance(timedelta(days=400))     # everything that the services say is from then on
    fake.faults.add(Fault.SCT_WRONG)            # and wrong in this way
    fake.seal(payload, tokens.github("acme/models"))    # a bundle without a client, at whatever time the clock shows

There are Fulcio, a certificate log, Rekor v1 and v2 and a timestamp authority (RFC 3161); each checks what it is sent as the
real one does. Nobody trusts any of it who was not given `fake.trusted_root()`. Needs `pip install 'pratique[testing]'`.
"""

from __future__ import annotations

import json
import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pratique.signing import INTOTO, KeySigner, SigstoreSigner, TrustedIdentity, envelopes
from pratique.signing.publishers import Publisher
from pratique.signing.roots import Root
from pratique.testing.sigstore import describing, sealing, serving, tokens
from pratique.testing.sigstore.clock import Clock as Clock
from pratique.testing.sigstore.faults import Fault as Fault
from pratique.testing.sigstore.fulcio import Fulcio
from pratique.testing.sigstore.rekor import RekorV1, RekorV2
from pratique.testing.sigstore.serving import Answer
from pratique.testing.sigstore.tokens import Claims
from pratique.testing.sigstore.tsa import TimestampAuthority

Part = Literal["log", "certificate_log", "authority", "timestamps"]
"""What a trusted root can say an end about: the transparency logs, the certificate log, Fulcio, the timestamp authority."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What a command line needs, as files."""

    trusted_root: Path
    signing_config: Path
    token: Path


class FakeSigstore(AbstractContextManager["FakeSigstore"]):
    """Everything at once; a context manager around the server. See the top of this module."""

    def __init__(self, *, start: datetime | None = None) -> None:
        """Make all keys.

        Args:
            start: from when on they count; 400 days ago if left out.
        """
        self.clock = Clock()
        self.faults: set[Fault] = set()
        self.start = (start or self.clock() - timedelta(days=400)).replace(microsecond=0)
        self.fulcio = Fulcio(clock=self.clock, faults=self.faults, start=self.start)
        self.rekor_v1 = RekorV1(clock=self.clock, faults=self.faults)
        self.rekor_v2 = RekorV2(clock=self.clock, faults=self.faults)
        self.tsa = TimestampAuthority(clock=self.clock, faults=self.faults, start=self.start)
        self._issuer = ec.generate_private_key(ec.SECP256R1())
        self._ends: dict[Part, datetime] = {}
        self._retired: list[tuple[str, dict[str, Any]]] = []
        self._server: ThreadingHTTPServer | None = None

    # --- the server

    def __enter__(self) -> FakeSigstore:
        self._server = serving.serve(
            {
                "/api/v2/signingCert": self._sign_certificate,
                "/api/v1/log/entries": self._add_v1,
                "/v2/api/v2/log/entries": self._add_v2,
                "/timestamp": self._stamp,
            }
        )
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    @property
    def url(self) -> str:
        """Where the services listen while the context is open; a name that nobody resolves otherwise."""
        return f"http://127.0.0.1:{self._server.server_port}" if self._server else "http://sigstore.invalid"

    def _sign_certificate(self, body: bytes, token: str) -> Answer:
        if down := self._down(Fault.FULCIO_DOWN):
            return down
        claims = tokens.read(token, int(self.clock().timestamp()), self._issuer.public_key())
        request = x509.load_pem_x509_csr(serving.from_base64(json.loads(body)["certificateSigningRequest"]))
        public = request.public_key()
        if not request.is_signature_valid or not isinstance(public, ec.EllipticCurvePublicKey):
            raise ValueError("the request does not prove that the key is there")
        chain = [self.fulcio.issue(public, claims), *self.fulcio.chain]
        pem = [one.public_bytes(serialization.Encoding.PEM).decode() for one in chain]
        return serving.as_json({"signedCertificateEmbeddedSct": {"chain": {"certificates": pem}}})

    def _add_v1(self, body: bytes, token: str) -> Answer:
        return (
            serving.as_json({}, 503)
            if Fault.REKOR_DOWN in self.faults
            else serving.as_json(self.rekor_v1.add(json.loads(body)))
        )

    def _add_v2(self, body: bytes, token: str) -> Answer:
        return (
            serving.as_json({}, 503)
            if Fault.REKOR_DOWN in self.faults
            else serving.as_json(self.rekor_v2.add(json.loads(body)))
        )

    def _stamp(self, body: bytes, token: str) -> Answer:
        return self._down(Fault.TSA_DOWN) or (201, self.tsa.answer(body))

    def _down(self, fault: Fault) -> Answer | None:
        return serving.as_json({}, 503) if fault in self.faults else None

    # --- what clients need

    def token(self, claims: Claims, *, minutes: int = 10) -> str:
        """An identity token that the fake Fulcio accepts."""
        return tokens.issue(claims, int(self.clock().timestamp()), self._issuer, minutes=minutes)

    def trusted_root(self) -> dict[str, Any]:
        """The root of trust, as JSON."""
        certificate_log = describing.log(self.url, self.fulcio.log_key.public_key(), None, self._span("certificate_log"))
        document: dict[str, Any] = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [
                describing.log(f"{self.url}/", self.rekor_v1.key.public_key(), self.rekor_v1.id, self._span("log")),
                describing.log(f"{self.url}/v2", self.rekor_v2.key.public_key(), self.rekor_v2.id, self._span("log")),
            ],
            "certificateAuthorities": [describing.authority(self.url, self.fulcio.chain, self._span("authority"))],
            "ctlogs": [certificate_log],
            "timestampAuthorities": [describing.authority(f"{self.url}/timestamp", self.tsa.chain, self._span("timestamps"))],
        }
        for key, entry in self._retired:
            document[key].append(entry)
        return document

    def signing_config(self, *, version: Literal[1, 2] = 2, timestamps: bool | None = None) -> dict[str, Any]:
        """Where the services are, as JSON.

        Args:
            version: of Rekor.
            timestamps: whether to ask the timestamp authority; if left out, for Rekor v2, which has no time of its own.
        """
        log = self.url if version == 1 else f"{self.url}/v2"
        stamps = [self._service(f"{self.url}/timestamp")] if (version == 2 if timestamps is None else timestamps) else []
        return {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [self._service(self.url)], "oidcUrls": [], "rekorTlogUrls": [self._service(log, version)],
            "tsaUrls": stamps, "rekorTlogConfig": {"selector": "ANY"}, "tsaConfig": {"selector": "ANY"},
        }  # fmt: skip

    def write(self, folder: Path, claims: Claims | None = None, *, version: Literal[1, 2] = 2) -> Files:
        """The trusted root, the signing configuration and a token, as files in a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        found = Files(
            trusted_root=folder / "trusted_root.json", signing_config=folder / "signing_config.json", token=folder / "token"
        )
        found.trusted_root.write_text(json.dumps(self.trusted_root(), indent=2))
        found.signing_config.write_text(json.dumps(self.signing_config(version=version), indent=2))
        found.token.write_text(self.token(claims or tokens.email("dev@example.com")))
        return found

    def signer(self, claims: Claims, folder: Path, *, version: Literal[1, 2] = 2) -> SigstoreSigner:
        """A signer that asks these services for everything. The clock must show the true time: the client looks at its own."""
        written = self.write(folder, claims, version=version)
        return SigstoreSigner.load(written.signing_config, written.trusted_root, token=lambda: self.token(claims))

    def trusted(self, name: str, publisher: Publisher) -> TrustedIdentity:
        """Trust in a publisher, as far as these services vouch for it."""
        root = Root.parse(json.dumps(self.trusted_root()).encode(), "the fake's root")
        return TrustedIdentity(name=name, publisher=publisher, root=root)

    # --- time and change

    def end(self, part: Part, at: datetime) -> None:
        """Let the trusted root say that a part counts until a moment, that one included."""
        self._ends[part] = at

    def renew(self, part: Literal["log", "certificate_log"]) -> None:
        """Give a log a new key. The trusted root lists the old one, too, up to now."""
        before = self.trusted_root()
        key = "tlogs" if part == "log" else "ctlogs"
        for entry in before[key]:
            entry["publicKey"]["validFor"]["end"] = describing.stamp(self.clock())
            self._retired.append((key, entry))
        if part == "log":
            self.rekor_v1.renew()
            self.rekor_v2.renew()
        else:
            self.fulcio.renew_log()

    # --- bundles without a client

    def seal(
        self,
        payload: bytes,
        claims: Claims,
        *,
        payload_type: str = INTOTO,
        version: Literal[1, 2] = 2,
        timestamps: bool | None = None,
        key: KeySigner | None = None,
    ) -> bytes:
        """A bundle as a client would have made it at the time that the clock shows, without HTTP."""
        key = key or KeySigner.generate()
        draft = sealing.Draft(
            payload=payload, payload_type=payload_type, certificate=self.fulcio.issue(key.public, claims),
            signature=key.sign(envelopes.pae(payload_type, payload)),
        )  # fmt: skip
        entry = draft.log_v1(self.rekor_v1) if version == 1 else draft.log_v2(self.rekor_v2)
        wanted = version == 2 if timestamps is None else timestamps
        return draft.bundle(entry, [self.tsa.stamp(draft.signature)] if wanted else [])

    def _span(self, part: Part) -> dict[str, str]:
        end = {"end": describing.stamp(self._ends[part])} if part in self._ends else {}
        return {"start": describing.stamp(self.start), **end}

    def _service(self, url: str, version: int = 1) -> dict[str, Any]:
        return {"url": url, "majorApiVersion": version, "operator": "fake", "validFor": {"start": describing.stamp(self.start)}}
