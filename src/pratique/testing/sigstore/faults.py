"""What can go wrong on the side of the services. Each is one that a verifier must notice, or a signer must report."""

from __future__ import annotations

from enum import Enum


class Fault(Enum):
    """One thing that the fake does wrong while it is in `FakeSigstore.faults`."""

    FULCIO_DOWN = "the certificate authority answers 503"
    REKOR_DOWN = "the transparency log answers 503"
    TSA_DOWN = "the timestamp authority answers 503"
    SCT_MISSING = "the certificate carries no promise of a certificate log"
    SCT_WRONG = "the promise of the certificate log is signed by another key"
    PROOF_WRONG = "the inclusion proof leads elsewhere"
    CHECKPOINT_WRONG = "the checkpoint is signed by another key"
    CHECKPOINT_OTHER_SIZE = "the checkpoint, properly signed, gives another size of the log than the proof"
    PROMISE_WRONG = "the log's promise, and so its time, is signed by another key (Rekor v1)"
    ENTRY_OTHER = "the entry, properly logged, is about another content"
    TIMESTAMP_WRONG = "the timestamp is over another signature"
    TIMESTAMP_STRANGER = "the timestamp is by an authority that nobody trusts"
    CERTIFICATE_WRONG_PURPOSE = "the certificate is for servers, not for signing code"
    CERTIFICATE_AUTHORITY = "the certificate is an authority's"
    TWO_IDENTITIES = "the certificate names two identities"
    NO_ISSUER = "the certificate names no issuer"
