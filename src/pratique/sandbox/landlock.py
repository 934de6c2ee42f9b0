"""Landlock: no file, no network and no signal beyond what is already open. A second wall behind seccomp, where there is one.

See landlock(7) and include/uapi/linux/landlock.h. The rules grow with the kernel's version of Landlock ("ABI").
"""

from __future__ import annotations

import ctypes
import os
import struct

from pratique.errors import SandboxUnavailable

_CREATE, _RESTRICT = 444, 446
"""System calls, with one number on every architecture."""

_VERSION = 1
_FILES_1 = (1 << 13) - 1
_REFER, _TRUNCATE, _IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
_TCP_BIND_AND_CONNECT = 3
_ABSTRACT_SOCKETS_AND_SIGNALS = 3


def version() -> int:
    """The kernel's version of Landlock; 0 if it has none."""
    found = _libc().syscall(_CREATE, None, ctypes.c_size_t(0), _VERSION)
    return max(int(found), 0)


def deny_everything() -> int:
    """Bind the calling thread to an empty list of exceptions. `no_new_privs` must have been set.

    Returns:
        The version of Landlock that did it; 0 if the kernel has none.

    Raises:
        SandboxUnavailable: the kernel has Landlock and refuses to use it.
    """
    known = version()
    if not known:
        return 0
    libc, rules = _libc(), _rules(known)
    buffer = ctypes.create_string_buffer(rules, len(rules))
    ruleset = libc.syscall(_CREATE, buffer, ctypes.c_size_t(len(rules)), 0)
    if ruleset < 0:
        raise SandboxUnavailable(f"Landlock refuses its rules: {os.strerror(ctypes.get_errno())}")
    try:
        if libc.syscall(_RESTRICT, ruleset, 0) != 0:
            raise SandboxUnavailable(f"Landlock refuses to bind this process: {os.strerror(ctypes.get_errno())}")
    finally:
        os.close(ruleset)
    return known


def _rules(known: int) -> bytes:
    """`struct landlock_ruleset_attr`: everything that this version can forbid."""
    files = _FILES_1 | (_REFER if known >= 2 else 0) | (_TRUNCATE if known >= 3 else 0) | (_IOCTL_DEVICE if known >= 5 else 0)
    whole = struct.pack("<QQQ", files, _TCP_BIND_AND_CONNECT, _ABSTRACT_SOCKETS_AND_SIGNALS)
    return whole[: 8 if known < 4 else 16 if known < 6 else 24]


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
