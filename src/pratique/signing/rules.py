"""Why a signature by certificate, or a keyless one, proves nothing: an error's `rule`, and a finding's."""

from __future__ import annotations

RULES = {
    "signature-invalid": "the signature is by somebody who is trusted, but was made of something else: it was changed",
    "wrong-signer": "it is signed, but by nobody who is trusted for it",
    "unsupported-signature": "it is signed in a way that was given up, and that is not read",
    "revoked": "the policy has revoked the artifact, a file in it, its signature, or who made that",
    "certificate-untrusted": "no path leads from the signer's certificate to an authority that is trusted",
    "certificate-expired": "a certificate on that path had expired when it was to be valid",
    "certificate-not-yet-valid": "a certificate on that path was not valid yet when it was to be",
    "certificate-purpose": "the signer's certificate is not for signing code, or has a key of a kind that is not read",
    "certificate-authority-signed": "the signer's certificate is an authority's, which may not sign models",
    "certificate-not-understood": "the signer's certificate has a critical extension that is not understood",
    "certificate-subject": "the signer's certificate names somebody else than the policy asks for",
    "certificate-claims": "the keyless certificate names no identity or issuer, or several",
    "wrong-identity": "it is signed keyless by another identity, or by the word of another issuer, than the policy asks for",
    "authority-expired": "the authority that issued the keyless certificate did not count any more, or not yet",
    "not-logged": "the keyless signature is in no transparency log",
    "log-unknown": "the keyless signature is in a transparency log that is not trusted",
    "log-key-expired": "the transparency log's key did not count any more, or not yet",
    "inclusion-proof-invalid": "the proof that the signature is in the transparency log does not hold",
    "checkpoint-invalid": "the state of the transparency log that the proof leads to is not signed by the log",
    "log-entry-mismatch": "the entry in the transparency log is about something else",
    "log-time-invalid": "the time in the log entry is not the log's",
    "no-timestamp": "nobody who is trusted to tell says when it was signed",
    "timestamp-invalid": "a timestamp does not hold, is by nobody who is trusted for it, or lies in the future",
    "timestamp-authority-expired": "the timestamp authority did not count any more, or not yet",
    "sct-invalid": "no certificate log that is trusted promised to publish the keyless certificate",
    "ct-key-expired": "the certificate log's key did not count any more, or not yet",
    "second-opinion": "sigstore-python, asked for a second opinion, refuses it",
}
