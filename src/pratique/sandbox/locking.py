"""Giving up every right for good: the last thing that a child does before it looks at a stranger's bytes.

In the order of the code, since each step needs rights that a later one takes away:

1. One thread: seccomp and Landlock bind only the thread that asks.
2. Resource limits: memory beyond what is in use now, seconds of processor time, no file grows, no core dump.
3. No capabilities, no new privileges, not traceable, gone with the parent.
4. Landlock, where the kernel has it.
5. seccomp. Without it there is no sandbox.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
from dataclasses import dataclass

from pratique.errors import SandboxUnavailable
from pratique.sandbox import landlock, seccomp

_NO_NEW_PRIVS, _DUMPABLE, _BOUNDING_SET_DROP = 38, 4, 24
_CAPABILITY_VERSION_3 = 0x20080522


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """How a process is locked."""

    landlock: int
    """Version of Landlock; 0 if the kernel has none, and seccomp stands alone."""


def lock(*, memory: int, seconds: int) -> Locked:
    """Give up every right.

    Args:
        memory: bytes of address space beyond what is in use now.
        seconds: of processor time.

    Raises:
        SandboxUnavailable: something could not be given up. The process must end then.
    """
    _ensure_alone()  # 1
    _limit(memory, seconds)  # 2
    _drop_capabilities()  # 3
    _prctl(_NO_NEW_PRIVS, 1, "no new privileges")
    _prctl(_DUMPABLE, 0, "untraceable")
    known = landlock.deny_everything()  # 4
    seccomp.apply(seccomp.program(os.getpid()))  # 5
    return Locked(landlock=known)


def _ensure_alone() -> None:
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise SandboxUnavailable(
            f"the loader runs {threads} threads, and all but one would go free", hint="let it prepare without threads"
        )


def _limit(memory: int, seconds: int) -> None:
    with open("/proc/self/statm", encoding="ascii") as stream:
        used = int(stream.read().split()[0]) * resource.getpagesize()
    wanted = {
        resource.RLIMIT_AS: used + memory,
        resource.RLIMIT_CPU: int(resource.getrusage(resource.RUSAGE_SELF).ru_utime) + 1 + seconds,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for which, most in wanted.items():
        try:
            resource.setrlimit(which, (most, most))
        except (ValueError, OSError) as error:
            raise SandboxUnavailable(f"a resource limit could not be set: {error}") from error


def _drop_capabilities() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(64):  # needs CAP_SETPCAP; without it there is nothing to drop
        if libc.prctl(_BOUNDING_SET_DROP, capability, 0, 0, 0) != 0:
            break
    head = ctypes.create_string_buffer(struct.pack("<Ii", _CAPABILITY_VERSION_3, 0))
    if libc.capset(head, ctypes.create_string_buffer(24)) != 0:
        raise SandboxUnavailable(f"capabilities could not be dropped: {os.strerror(ctypes.get_errno())}")


def _prctl(option: int, value: int, what: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise SandboxUnavailable(f"the kernel cannot make this process {what}: {os.strerror(ctypes.get_errno())}")
