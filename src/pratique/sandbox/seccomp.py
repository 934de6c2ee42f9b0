"""A seccomp filter that allows what computing on bytes takes, and refuses every other system call, also those yet to come.

A list of what is forbidden is out of date with the next kernel. So this is a list of what is allowed after a loader has been
imported and its file has been opened: reading and writing open files, memory that is never executable, clocks, and leaving.
No file can be opened, no program or thread started, no socket made, nobody else signalled.

Classic BPF as in linux/filter.h and linux/seccomp.h; see seccomp(2). Numbers of system calls: Linux's own tables,
arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

from pratique.errors import SandboxUnavailable

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
_NUMBER, _ARCHITECTURE = 0, 4
"""Offsets in `struct seccomp_data`."""

_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000
"""A second numbering of the same calls on x86-64, so that a filter by number could be walked around."""

_PROT_EXEC = 4

ALLOWED: dict[str, tuple[int | None, int | None]] = {
    # x86-64, aarch64
    "read": (0, 63), "readv": (19, 65), "pread64": (17, 67), "write": (1, 64), "writev": (20, 66), "lseek": (8, 62),
    "close": (3, 57), "fstat": (5, 80),
    "munmap": (11, 215), "mremap": (25, 216), "brk": (12, 214), "madvise": (28, 233), "futex": (202, 98),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "sigaltstack": (131, 132),
    "exit": (60, 93), "exit_group": (231, 94),
    "clock_gettime": (228, 113), "clock_nanosleep": (230, 115), "nanosleep": (35, 101), "gettimeofday": (96, 169),
    "time": (201, None), "times": (100, 153), "getrusage": (98, 165), "getrandom": (318, 278),
    "getpid": (39, 172), "gettid": (186, 178), "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176),
    "getegid": (108, 177), "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "getcpu": (309, 168),
    "rseq": (334, 293), "set_robust_list": (273, 99),
}  # fmt: skip
"""Whatever their arguments."""

_MEMORY: dict[str, tuple[int, int]] = {"mmap": (9, 222), "mprotect": (10, 226)}
"""Unless the memory would be executable (third argument)."""

_SIGNAL = {"tgkill": (234, 131)}
"""Only to this very process (first argument): `abort` needs it."""


def program(pid: int, architecture: str = "") -> bytes:
    """The filter for a process of that number.

    Raises:
        SandboxUnavailable: there is no table for this architecture.
    """
    machine = architecture or platform.machine()
    if machine not in _AUDIT:
        raise SandboxUnavailable(f"there is no list of system calls for {machine}", hint="x86-64 and aarch64 are known")
    column = list(_AUDIT).index(machine)
    code = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, _AUDIT[machine]), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _NUMBER)]
    if machine == "x86_64":
        code += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]
    for numbers in ALLOWED.values():
        number = numbers[column]
        if number is not None:
            code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for numbers in _MEMORY.values():
        # The low half of the third argument; PROT_EXEC lies there.
        code += [(_EQUAL, 0, 4, numbers[column]), (_LOAD, 0, 0, _argument(2)), (_ANY_BIT, 0, 1, _PROT_EXEC)]
        code += [(_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]
    for numbers in _SIGNAL.values():
        code += [(_EQUAL, 0, 4, numbers[column]), (_LOAD, 0, 0, _argument(0)), (_EQUAL, 1, 0, pid)]
        code += [(_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]
    code.append((_RETURN, 0, 0, _REFUSE))
    return b"".join(struct.pack("<HBBI", *one) for one in code)


def apply(filter_code: bytes) -> None:
    """Bind the calling thread to a filter, for good. `no_new_privs` must have been set.

    Raises:
        SandboxUnavailable: the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(filter_code, len(filter_code))
    head = struct.pack("@HP", len(filter_code) // 8, ctypes.addressof(buffer))
    set_seccomp, mode_filter = 22, 2
    if libc.prctl(set_seccomp, mode_filter, ctypes.create_string_buffer(head, len(head)), 0, 0) != 0:
        raise SandboxUnavailable(f"the kernel takes no seccomp filter: {os.strerror(ctypes.get_errno())}")


def _argument(index: int) -> int:
    """Where the low half of a system call's argument lies in `struct seccomp_data`, on a little-endian machine."""
    return 16 + 8 * index
