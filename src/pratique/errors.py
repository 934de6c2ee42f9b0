"""Every error that this package raises on purpose.

    Error                     exit  retry
    ├ UsageError                 2     no   the caller asked for something that makes no sense
    │  └ PolicyError             2     no   a policy that does not parse or contradicts itself
    ├ ArtifactError              3    yes   unreadable or unreachable
    │  ├ ArtifactRefused         3     no   ambiguous by nature (symlink, name twins ...) or over a limit
    │  └ ArtifactChanged         3     no   changed while we looked at it
    ├ StoreError                 3    yes   the evidence store or the destination failed
    │  └ StoreConflict           3     no   something else stands where these bytes belong
    ├ ServiceError               3    yes   a signing service did not answer, refused, or answered wrongly
    ├ CheckError                 4     no   a check could not finish: no evidence, so a denial
    │  ├ UnknownCheck            4     no   no installed package registers it, or two do
    │  ├ CheckUnavailable        4     no   an optional dependency is missing
    │  ├ SandboxUnavailable      4     no   this machine cannot contain what has to be contained
    │  └ CheckTimeout            4    yes   it took longer than it may
    ├ EvidenceError              5     no   a statement that proves nothing
    │  ├ Malformed               5     no   not a bundle or statement that we accept
    │  │  └ Unsupported          5     no   in order, but of a kind that we do not read
    │  ├ SignatureInvalid        5     no   the signature does not fit the bytes
    │  ├ WrongSigner             5     no   signed, but by nobody who is trusted for it
    │  │  ├ CertificateRefused   5     no   the certificate behind the signature does not hold
    │  │  ├ NotLogged            5     no   no log or timestamp that is trusted bears a keyless signature out
    │  │  └ Revoked              5     no   the policy has revoked the key, the certificate or the identity
    │  ├ WrongSubject            5     no   about some other artifact
    │  └ Stale                   5     no   expired, or from the future
    └ Denied                     1     no   the policy said no; carries the verdict

Adapters map this once: the CLI exits with `exit_code`; Airflow fails at once unless `retryable`; a Kubeflow component prints
one line and exits non-zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pratique.judging import Verdict


class Error(Exception):
    """Base of every deliberate error. `hint` says what to do next.

    `rule` is the kebab-case name of what is wrong, as a check's finding names it; '' where the class says enough.
    """

    exit_code: ClassVar[int] = 70
    retryable: ClassVar[bool] = False
    rule: str = ""

    def __init__(self, message: str, *, hint: str = "", rule: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.rule = rule or type(self).rule

    def diagnostics(self) -> str:
        """The message and, when there is one, what to do about it."""
        return f"{self}\nHint: {self.hint}" if self.hint else str(self)


class UsageError(Error):
    """The caller asked for something that makes no sense."""

    exit_code = 2


class PolicyError(UsageError):
    """The policy does not parse, or contradicts itself."""

    def __init__(self, message: str, *, file: str = "", line: int = 0, hint: str = "") -> None:
        place = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        super().__init__(place + message, hint=hint)
        self.file = file
        self.line = line


class ArtifactError(Error):
    """The artifact cannot be read or reached."""

    exit_code = 3
    retryable = True


class ArtifactRefused(ArtifactError):
    """The artifact is ambiguous by nature, empty, or over a limit."""

    retryable = False


class ArtifactChanged(ArtifactError):
    """The artifact changed between two looks at it."""

    retryable = False


class StoreError(Error):
    """The evidence store or a promotion's destination failed."""

    exit_code = 3
    retryable = True


class StoreConflict(StoreError):
    """Other bytes already stand where these belong; nothing is overwritten."""

    retryable = False


class ServiceError(Error):
    """A service that signing needs did not answer, refused, or answered something that does not hold."""

    exit_code = 3
    retryable = True


class CheckError(Error):
    """A check could not finish. There is no evidence then, and no evidence denies."""

    exit_code = 4


class UnknownCheck(CheckError):
    """No installed package registers a check of that name, or more than one does."""


class CheckUnavailable(CheckError):
    """The check needs an optional dependency that is not installed."""


class SandboxUnavailable(CheckError):
    """This machine cannot contain a loader of untrusted files, so none was loaded."""


class CheckTimeout(CheckError):
    """It took longer than it may: a bomb, or a busy machine."""

    retryable = True


class EvidenceError(Error):
    """A statement that proves nothing."""

    exit_code = 5
    rule = "evidence"


class Malformed(EvidenceError):
    """Not a bundle or statement of a form that we accept."""

    rule = "malformed-signature"


class Unsupported(Malformed):
    """In order, but of a kind that we do not read: another hash, another format."""

    rule = "unsupported-signature"


class SignatureInvalid(EvidenceError):
    """The signature does not fit the bytes that it claims to cover."""

    rule = "signature-invalid"


class WrongSigner(EvidenceError):
    """Properly signed, but by nobody who is trusted for it."""

    rule = "wrong-signer"


class CertificateRefused(WrongSigner):
    """The certificate behind a signature does not hold: expired, for another purpose, by another authority ..."""

    rule = "certificate-refused"


class NotLogged(WrongSigner):
    """No transparency log or timestamp authority that is trusted bears a keyless signature out."""

    rule = "not-logged"


class Revoked(WrongSigner):
    """The policy has revoked the key, the certificate, the identity or the very statement."""

    rule = "revoked"


class WrongSubject(EvidenceError):
    """About some other artifact than the one at hand."""

    rule = "wrong-subject"


class Stale(EvidenceError):
    """Expired, or dated in the future."""

    rule = "stale"


class Denied(Error):
    """The policy said no. Trying again will not help; `verdict` says why."""

    exit_code = 1

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.summary(), hint=verdict.remedy())
        self.verdict = verdict
