"""Look at a stranger's file with code that nobody wrote for strangers' files, in a process that can do nothing else.

    answer = sandbox.run("my_package.loading:convert", Path("model.bin"))
    answer.data            # what the loader wrote; hostile until you have checked it yourself

A loader is a module with a function `(stream, answer) -> None`: it reads the file from `stream`, and writes to `answer`. If the
module has a function `prepare()`, that runs first, with all rights and without the file: import there, and warm up what is
imported lazily. Then the process gives up every right (`locking`): it can compute, and answer, and no more.

**The answer is never evidence.** The file may have taken the loader over and may have written whatever it likes. The parent
must derive anew whatever it wants to rely on. A sandbox contains; it does not judge.

Linux on x86-64 and aarch64. The kernel must have seccomp; Landlock and namespaces (by bubblewrap) are added where they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pratique.errors import CheckError, CheckTimeout, SandboxUnavailable
from pratique.sandbox import starting
from pratique.sandbox.child import BROKEN, UNAVAILABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a loader may use."""

    memory: int = 4 << 30
    """Bytes of address space, beyond what it needs before it looks at the file."""

    seconds: int = 60
    """Of processor time; of the clock, twice that and ten seconds for imports."""

    answer: int = 1 << 30
    """Bytes that it may write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a loader wrote, for what that is worth."""

    data: bytes
    """Hostile until it has been checked."""

    namespaces: bool
    """Whether it ran in namespaces of its own, too."""


def run(
    loader: str,
    file: Path,
    *,
    limits: Limits | None = None,
    namespaces: bool | None = None,
    search: tuple[Path, ...] = (),
) -> Answer:
    """Let a loader look at a file, locked.

    Args:
        loader: `package.module:function`.
        file: a regular file.
        limits: how much it may use.
        namespaces: True to insist on namespaces (no network device, no view of other processes), False to do without, None to
            use them where bubblewrap can make them.
        search: folders from which the loader may be imported, besides what is installed.

    Raises:
        SandboxUnavailable: this machine cannot contain it; the file was not looked at.
        CheckTimeout: it took too long.
        CheckError: it failed, was killed, or wrote too much.
    """
    limits = limits or Limits()
    module, colon, function = loader.partition(":")
    if not colon:
        raise CheckError(f"{loader!r} names no loader", hint="such as package.module:function")
    jail = starting.jail(namespaces)
    ended = starting.start(
        [module, function, str(limits.memory), str(limits.seconds), *map(str, search)], file, jail,
        clock=2 * limits.seconds + 10, most=limits.answer,
    )  # fmt: skip
    _ensure_good(loader, ended)
    return Answer(data=ended.answer, namespaces=bool(jail))


def _ensure_good(loader: str, ended: starting.Ended) -> None:
    if ended.late:
        raise CheckTimeout(
            f"the loader {loader} took too long over the file", hint="the file may be a bomb; or raise the limit"
        )
    if ended.code == UNAVAILABLE:
        raise SandboxUnavailable(ended.said or "the loader could not be locked", hint="seccomp is needed: Linux 3.17 or later")
    if ended.code == BROKEN:
        raise CheckError(f"the loader {loader} cannot start: {ended.said}")
    if ended.too_much:
        raise CheckError(f"the loader {loader} wrote more than was allowed", hint="the file may be a bomb; or raise the limit")
    if ended.code < 0:
        raise CheckError(f"the loader {loader} was killed by signal {-ended.code} over the file: {ended.said or 'no words'}")
    if ended.code != 0:
        raise CheckError(f"the loader {loader} failed over the file: {ended.said or 'no words'}")
