"""A loader that a file has taken over: it tries every way out that we know, each harmless, and answers which worked.

Also run without any lock, as a control: an attempt that never works proves nothing about the lock.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

Aim = dict[str, Any]
ATTEMPTS: dict[str, Callable[[Aim], object]] = {}
NUMBERS = {
    # x86-64, aarch64
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "bpf": (321, 280), "io_uring_setup": (425, 425),
    "userfaultfd": (323, 282), "perf_event_open": (298, 241), "add_key": (248, 217), "mount": (165, 40), "unshare": (272, 97),
    "setns": (308, 268), "memfd_create": (319, 279), "pidfd_open": (434, 434), "open_by_handle_at": (304, 265),
    "clone3": (435, 435), "fsopen": (430, 430), "seccomp": (317, 277), "chroot": (161, 51), "kexec_load": (246, 104),
}  # fmt: skip


def attempt(function: Callable[[Aim], object]) -> Callable[[Aim], object]:
    ATTEMPTS[function.__name__] = function
    return function


def call(name: str, *arguments: Any) -> int:
    """A system call by its number."""
    number = NUMBERS[name][os.uname().machine == "aarch64"] if hasattr(os, "uname") else -1
    found = int(ctypes.CDLL(None, use_errno=True).syscall(number, *arguments))
    if found < 0:
        raise OSError(ctypes.get_errno(), name)
    return found


# --- network ------------------------------------------------------------------------------------------------------------


@attempt
def connect_by_tcp(aim: Aim) -> object:
    return socket.create_connection(("127.0.0.1", aim["port"]), 1).close()


@attempt
def send_by_udp(aim: Aim) -> object:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(("127.0.0.1", aim["port"]))
        return one.send(b"x")


@attempt
def listen_by_tcp(aim: Aim) -> object:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.listen()


@attempt
def connect_to_a_unix_socket(aim: Aim) -> object:
    with socket.socket(socket.AF_UNIX) as one:
        return one.connect(aim["unix"])


@attempt
def connect_to_an_abstract_socket(aim: Aim) -> object:
    with socket.socket(socket.AF_UNIX) as one:
        return one.connect("\0" + aim["abstract"])


@attempt
def open_a_netlink_socket(aim: Aim) -> object:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()


@attempt
def make_a_pair_of_sockets(aim: Aim) -> object:
    return [one.close() for one in socket.socketpair()]


# --- files and secrets --------------------------------------------------------------------------------------------------


@attempt
def read_a_secret(aim: Aim) -> object:
    with open(aim["secret"]) as stream:
        return stream.read()


@attempt
def read_the_password_file(aim: Aim) -> object:
    with open("/etc/passwd") as stream:
        return stream.read()


@attempt
def write_a_file(aim: Aim) -> object:
    with open(aim["folder"] + "/written", "w") as stream:
        return stream.write("x")


@attempt
def fill_the_disk(aim: Aim) -> object:
    path = aim["folder"] + "/fill"
    try:
        with open(path, "wb", buffering=0) as stream:
            return [stream.write(b"\0" * (1 << 20)) for _ in range(50)]
    finally:
        os.unlink(path)


@attempt
def tamper_with_the_model(aim: Aim) -> object:
    with open(aim["model"], "r+b"):
        return True


@attempt
def make_the_model_writable(aim: Aim) -> object:
    return os.chmod(aim["model"], 0o777)


@attempt
def make_a_symbolic_link(aim: Aim) -> object:
    return os.symlink(aim["secret"], aim["folder"] + "/link")


@attempt
def list_a_folder(aim: Aim) -> object:
    return os.listdir(aim["folder"])


@attempt
def look_whether_a_file_is_there(aim: Aim) -> object:
    return os.stat(aim["secret"])


@attempt
def read_a_secret_from_the_environment(aim: Aim) -> object:
    return os.environ["PRATIQUE_TEST_SECRET"]


@attempt
def read_the_parents_environment(aim: Aim) -> object:
    with open(f"/proc/{aim['parent']}/environ", "rb") as stream:
        return stream.read()


@attempt
def read_an_inherited_descriptor(aim: Aim) -> object:
    for descriptor in range(3, 64):
        try:
            if b"DESCRIPTOR-SECRET" in os.pread(descriptor, 64, 0):
                return True
        except OSError:
            continue
    raise OSError("there is none")


# --- other processes ----------------------------------------------------------------------------------------------------


@attempt
def run_a_shell(aim: Aim) -> object:
    return subprocess.run(["/bin/sh", "-c", "true"], capture_output=True, timeout=5, check=True)


@attempt
def fork(aim: Aim) -> object:
    child = os.fork()
    if not child:
        os._exit(0)
    return os.waitpid(child, 0)


@attempt
def start_a_thread(aim: Aim) -> object:
    one = threading.Thread(target=lambda: None)
    one.start()
    return one.join()


@attempt
def signal_the_parent(aim: Aim) -> object:
    return os.kill(aim["parent"], 0)


@attempt
def signal_the_parents_thread(aim: Aim) -> object:
    number = 234 if os.uname().machine == "x86_64" else 131
    if ctypes.CDLL(None, use_errno=True).syscall(number, aim["parent"], aim["parent"], 0) != 0:
        raise OSError(ctypes.get_errno(), "tgkill")
    return True


@attempt
def list_processes(aim: Aim) -> object:
    return [int(one) for one in os.listdir("/proc") if one.isdigit()][3]


@attempt
def run_a_program_from_memory(aim: Aim) -> object:
    return os.close(call("memfd_create", b"x", 0))


@attempt
def trace_the_parent(aim: Aim) -> object:
    call("ptrace", 0x4206, aim["parent"], 0, 0)
    return call("ptrace", 17, aim["parent"], 0, 0)


@attempt
def take_hold_of_the_parent(aim: Aim) -> object:
    return os.close(call("pidfd_open", aim["parent"], 0))


# --- the kernel ---------------------------------------------------------------------------------------------------------


@attempt
def make_memory_executable(aim: Aim) -> object:
    return mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


@attempt
def take_six_gibibytes(aim: Aim) -> object:
    return mmap.mmap(-1, 6 << 30).close()


@attempt
def raise_the_limits(aim: Aim) -> object:
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    return resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@attempt
def change_the_owner(aim: Aim) -> object:
    return os.setuid(os.getuid())


@attempt
def leave_for_a_new_namespace(aim: Aim) -> object:
    return call("unshare", 0x10000000)


def _bare(name: str, *arguments: Any) -> None:
    def function(aim: Aim) -> object:
        return call(name, *arguments)

    function.__name__ = f"call_{name}"
    attempt(function)


_bare("bpf", 0, ctypes.create_string_buffer(b"\x02\0\0\0\x04\0\0\0\x04\0\0\0\x01\0\0\0" + b"\0" * 56), 72)
_bare("io_uring_setup", 4, ctypes.create_string_buffer(256))
_bare("userfaultfd", 1)
_bare("perf_event_open", ctypes.create_string_buffer(b"\x01\0\0\0\x70\0\0\0" + b"\0" * 104), 0, -1, -1, 0)
_bare("add_key", b"user", b"a:b", b"x", 1, -3)
_bare("mount", b"none", b"/proc", b"tmpfs", 0, b"")
_bare("fsopen", b"tmpfs", 0)
_bare("chroot", b"/")
_bare("setns", -1, 0)
_bare("process_vm_readv", 1, 0, 0, 0, 0, 0)

NEVER_UNLOCKED = ("call_mount", "leave_for_a_new_namespace", "call_chroot", "change_the_owner")
"""Would change the machine, or this process, if they worked; and the bare calls, which many a kernel refuses anyhow."""


def load(stream: Any, answer: Any) -> None:
    aim = json.loads(stream.read())
    answer.write(json.dumps(tried(aim, list(ATTEMPTS))).encode())


def tried(aim: Aim, names: list[str]) -> dict[str, str]:
    """For each attempt, '' if it worked, or what stopped it."""
    found = {}
    for name in names:
        try:
            ATTEMPTS[name](aim)
            found[name] = ""
        except BaseException as error:
            found[name] = f"{type(error).__name__}: {error}"
    return found


def spin(stream: Any, answer: Any) -> None:
    while True:
        pass


def doze(stream: Any, answer: Any) -> None:
    import time

    while True:
        time.sleep(1)


def babble(stream: Any, answer: Any) -> None:
    while True:
        answer.write(b"x" * 65536)


def shout(stream: Any, answer: Any) -> None:
    while True:
        os.write(2, b"x\n\x1b[2J" * 1000)


def devour(stream: Any, answer: Any) -> None:
    hoard = []
    while True:
        hoard.append(bytearray(1 << 20))


def die(stream: Any, answer: Any) -> None:
    os.write(2, b"last words\n\x1b[31m\r\nADMITTED")
    os.abort()


def leave(stream: Any, answer: Any) -> None:
    answer.write(b"half")
    sys.exit(0)


def haunt(stream: Any, answer: Any) -> None:
    import atexit

    class Ghost:
        def __del__(self) -> None:
            os.write(1, b"from beyond")

    atexit.register(os.write, 2, b"from beyond")
    stream.ghost = Ghost()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    answer.write(b"done")


if __name__ == "__main__":
    told = json.loads(sys.stdin.read())
    sys.stdout.write(json.dumps(tried(told, [one for one in ATTEMPTS if one not in NEVER_UNLOCKED])))
