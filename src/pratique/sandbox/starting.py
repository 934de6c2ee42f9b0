"""Starting the child, and taking from it no more than was agreed, for no longer than was agreed."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import selectors
import shutil
import signal
import stat
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pratique.errors import ArtifactError, ArtifactRefused, SandboxUnavailable

_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""All that the child gets to know of ours. One thread: a second one could not be locked."""

_WORDS = 4000
"""Bytes of complaint that are kept."""

_RUN = "import os, sys; from pratique.sandbox import child; os._exit(child.main(sys.argv[1:]))"
"""No clean-up that the file might have prepared: finalisers and exit handlers do not run."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How the child ended."""

    code: int
    """Its exit code; minus the number of the signal that killed it."""

    answer: bytes
    said: str
    """Its last words, one line without control characters: they may be the file's."""

    late: bool
    too_much: bool


def jail(wanted: bool | None) -> tuple[str, ...]:
    """The command that makes namespaces, to put before the child's; empty for none.

    Raises:
        SandboxUnavailable: they are insisted on, and cannot be made here.
    """
    if wanted is False:
        return ()
    command = _bubblewrap()
    if wanted and not command:
        raise SandboxUnavailable(
            "no namespaces can be made here", hint="install bubblewrap, and allow user namespaces; or do without namespaces"
        )
    return command


def start(arguments: list[str], file: Path, before: tuple[str, ...], *, clock: float, most: int) -> Ended:
    """Run the child on an open file until it ends, is late, or says too much."""
    command = [*before, sys.executable, "-I", "-c", _RUN, *arguments]
    with _opened(file) as stream:
        child = subprocess.Popen(
            command, stdin=stream, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(_ENVIRONMENT), cwd="/",
            close_fds=True, start_new_session=True,
        )  # fmt: skip
    try:
        answer, words, late = _collect(child, time.monotonic() + clock, most)
    finally:
        _end(child)
    return Ended(code=child.returncode, answer=answer[:most], said=_line(words), late=late, too_much=len(answer) > most)


def _opened(file: Path) -> IO[bytes]:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ArtifactError(f"cannot read {file}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ArtifactRefused(f"{file} is not a regular file")
    return os.fdopen(descriptor, "rb")


def _collect(child: subprocess.Popen[bytes], deadline: float, most: int) -> tuple[bytes, bytes, bool]:
    """What the child answers (one byte more than is allowed, at most) and says, and whether it was late."""
    assert child.stdout is not None and child.stderr is not None, "both are pipes"
    answer, words, late = bytearray(), bytearray(), False
    with selectors.DefaultSelector() as waiting:
        waiting.register(child.stdout, selectors.EVENT_READ, (answer, most + 1))
        waiting.register(child.stderr, selectors.EVENT_READ, (words, _WORDS))
        while waiting.get_map() and len(answer) <= most and not late:
            for key, _ in waiting.select(max(0.0, deadline - time.monotonic())):
                kept, limit = key.data
                block = os.read(key.fd, 1 << 16)
                kept += block[: limit - len(kept)]
                if not block:
                    waiting.unregister(key.fileobj)
            late = time.monotonic() >= deadline and bool(waiting.get_map())
    if not late and len(answer) <= most:
        late = _lingers(child, deadline)
    return bytes(answer), bytes(words), late


def _lingers(child: subprocess.Popen[bytes], deadline: float) -> bool:
    """Whether the child goes on although it has closed its mouth."""
    try:
        child.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return True
    return False


def _end(child: subprocess.Popen[bytes]) -> None:
    """Whatever it was doing: it and all that it may have started before it was locked."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for pipe in (child.stdout, child.stderr):
        if pipe is not None:
            pipe.close()


def _line(words: bytes) -> str:
    return " ".join(_CONTROL.sub(" ", words.decode("utf-8", "replace")).split())[:500]


@functools.cache
def _bubblewrap() -> tuple[str, ...]:
    """The command for namespaces, if it works here."""
    program = shutil.which("bwrap")
    if program is None:
        return ()
    command = (
        program, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--ro-bind", "/", "/",
        "--dev", "/dev", "--proc", "/proc", "--chdir", "/", "--",
    )  # fmt: skip
    tried = subprocess.run([*command, "true"], capture_output=True, timeout=20, check=False, env={"PATH": "/usr/bin:/bin"})
    return command if tried.returncode == 0 else ()
