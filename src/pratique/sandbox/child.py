"""The other side of `pratique.sandbox.run`: the process in which a loader meets its file.

In the order of the code: import the loader, let it prepare, lock, and only then read a byte of the file, which is standard
input. What the loader writes goes to the parent through what was standard output. Everything that this process says may be said
by the file; nobody believes it.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import BinaryIO

from pratique.errors import SandboxUnavailable

UNAVAILABLE = 99
"""Exit code: it could not be locked, and not a byte was read."""

BROKEN = 98
"""Exit code: the loader could not be imported or prepared, and not a byte was read."""


def main(arguments: list[str]) -> int:
    """Load, locked; returns the exit code.

    Args:
        arguments: module, function, bytes of memory, seconds of processor time, and folders to import from.
    """
    module, function, memory, seconds, *search = arguments
    answer = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # whatever a library prints is no answer
    sys.path[:0] = search
    try:
        loader = importlib.import_module(module)
        prepare, load = getattr(loader, "prepare", None), getattr(loader, function)
        if prepare is not None:
            prepare()
        from pratique.sandbox import locking
    except Exception as error:
        _say(error)
        return BROKEN
    stream: BinaryIO = os.fdopen(os.dup(0), "rb")
    try:
        locking.lock(memory=int(memory), seconds=int(seconds))
    except SandboxUnavailable as error:
        _say(error)
        return UNAVAILABLE
    try:
        load(stream, answer)
    except BaseException as error:  # what the file makes of it, SystemExit included
        _say(error)
        return 1
    return 0


def _say(error: BaseException) -> None:
    os.write(2, f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:2000])
