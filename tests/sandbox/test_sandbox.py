"""A loader that a file has taken over gets nowhere; an honest one does its work."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pratique import sandbox
from pratique.errors import ArtifactError, ArtifactRefused, CheckError, CheckTimeout, SandboxUnavailable
from pratique.sandbox import Limits, landlock, seccomp, starting

HERE = Path(__file__).parent
SOURCE = Path(sandbox.__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the sandbox is Linux's")

Load = Callable[..., sandbox.Answer]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(b"a model " * 1000)
    return path


@pytest.fixture
def load(file: Path) -> Load:
    def run(loader: str, **more: Any) -> sandbox.Answer:
        return sandbox.run(loader, more.pop("file", file), search=(HERE,), namespaces=more.pop("namespaces", False), **more)

    return run


@pytest.fixture
def aim(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Something to get at: a secret in a file, in the environment and behind a descriptor, three sockets, a model."""
    os.chmod(tmp_path, 0o777)
    os.chmod(file, 0o666)
    (tmp_path / "secret").write_text("a key")
    monkeypatch.setenv("PRATIQUE_TEST_SECRET", "a key")
    with contextlib.ExitStack() as stack:
        tcp = stack.enter_context(socket.socket())
        tcp.bind(("127.0.0.1", 0))
        tcp.listen(8)
        unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        unix.bind(str(tmp_path / "socket"))
        unix.listen(8)
        os.chmod(tmp_path / "socket", 0o777)
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind(f"\0pratique-test-{os.getpid()}")
        abstract.listen(8)
        descriptor = os.open(tmp_path / "descriptor", os.O_RDWR | os.O_CREAT)
        stack.callback(os.close, descriptor)
        os.write(descriptor, b"DESCRIPTOR-SECRET")
        os.set_inheritable(descriptor, True)
        yield {
            "port": tcp.getsockname()[1], "unix": str(tmp_path / "socket"), "abstract": f"pratique-test-{os.getpid()}",
            "secret": str(tmp_path / "secret"), "folder": str(tmp_path), "model": str(file), "parent": os.getpid(),
        }  # fmt: skip


def written(path: Path, aim: dict[str, Any]) -> Path:
    path.write_text(json.dumps(aim))
    return path


# --- the honest ---------------------------------------------------------------------------------------------------------


def test_an_honest_loader_reads_its_file_and_answers(load: Load, file: Path) -> None:
    answer = load("reading:load")
    assert answer.data.decode() == f"{hashlib.sha256(file.read_bytes()).hexdigest()} ['yes']"


def test_torch_loads_a_state_dict_in_it(load: Load, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    (tmp_path / "torch_loader.py").write_text(
        "import io, torch\n"
        "def prepare():\n"
        "    torch.set_num_threads(1)\n"
        "    made = io.BytesIO(); torch.save({'w': torch.zeros(1)}, made); made.seek(0); torch.load(made)\n"
        "def load(stream, answer):\n"
        "    answer.write(str(float(torch.load(stream)['w'].sum())).encode())\n"
    )
    torch.save({"w": torch.full((256, 256), 2.0)}, tmp_path / "state.pt")
    answer = sandbox.run("torch_loader:load", tmp_path / "state.pt", search=(tmp_path,), namespaces=False)
    assert answer.data == b"131072.0"


# --- a loader that a file has taken over --------------------------------------------------------------------------------


def test_no_attempt_to_escape_succeeds(load: Load, aim: dict[str, Any], tmp_path: Path) -> None:
    tried = json.loads(load("hostile:load", file=written(tmp_path / "aim", aim)).data)
    assert len(tried) > 40
    assert [name for name, stopped in tried.items() if not stopped] == []
    assert not (tmp_path / "written").exists()


def test_the_same_attempts_do_succeed_without_a_lock(aim: dict[str, Any]) -> None:
    """A control: what never works would prove nothing about the lock."""
    done = subprocess.run(
        [sys.executable, str(HERE / "hostile.py")], input=json.dumps(aim), capture_output=True, text=True, close_fds=False,
        timeout=60, check=True,
    )  # fmt: skip
    tried = json.loads(done.stdout)
    stopped = {name for name, why in tried.items() if why and not name.startswith("call_")}
    by_the_machine = {
        "trace_the_parent",
        "take_six_gibibytes",
        "take_hold_of_the_parent",
    }
    assert stopped <= by_the_machine, stopped


@pytest.mark.skipif(landlock.version() == 0, reason="THIS KERNEL HAS NO LANDLOCK: only seccomp is tested here")
def test_no_attempt_succeeds_with_seccomp_alone(aim: dict[str, Any], tmp_path: Path) -> None:
    """On a kernel without Landlock."""
    tried = _alone("landlock.deny_everything = lambda: 0", aim)
    assert [name for name, stopped in tried.items() if not stopped] == []


@pytest.mark.skipif(landlock.version() < 6, reason="THIS KERNEL'S LANDLOCK DOES NOT KNOW SIGNALS: not tested here")
def test_landlock_alone_keeps_files_and_tcp_and_signals(aim: dict[str, Any], tmp_path: Path) -> None:
    """The second wall stands by itself, should the first have a hole."""
    tried = _alone("seccomp.apply = lambda code: None", aim)
    kept = (
        "read_a_secret", "write_a_file", "tamper_with_the_model", "connect_by_tcp", "signal_the_parent", "run_a_shell",
        "connect_to_an_abstract_socket", "list_a_folder", "fill_the_disk", "make_a_symbolic_link",
    )  # fmt: skip
    assert all(tried[name] for name in kept), {name: tried[name] for name in kept}


def _alone(without: str, aim: dict[str, Any]) -> dict[str, str]:
    code = (
        f"import sys, json; sys.path[:0] = [{str(SOURCE)!r}, {str(HERE)!r}]; import hostile\n"
        f"from pratique.sandbox import landlock, locking, seccomp\n{without}\n"
        "aim = json.loads(sys.stdin.read())\n"
        "locking.lock(memory=1 << 30, seconds=20)\n"
        "sys.stdout.write(json.dumps(hostile.tried(aim, list(hostile.ATTEMPTS)))); sys.stdout.flush(); import os; os._exit(0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(aim), capture_output=True, text=True, check=True, env={}
    )
    return dict(json.loads(done.stdout))


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT ROOT: the attempts as another user are not made here")
def test_no_attempt_succeeds_as_nobody(aim: dict[str, Any]) -> None:
    python = Path("/usr/bin/python3")
    if not python.exists() or shutil.which("setpriv") is None:
        pytest.skip("NO PYTHON THAT NOBODY MAY RUN, OR NO setpriv: the attempts as nobody are not made here")
    with tempfile.TemporaryDirectory() as public:
        os.chmod(public, 0o755)
        tried = _as_nobody(python, Path(public), aim)
    assert [name for name, stopped in tried.items() if not stopped] == []


def _as_nobody(python: Path, room: Path, aim: dict[str, Any]) -> dict[str, str]:
    shutil.copytree(SOURCE / "pratique" / "sandbox", room / "pratique" / "sandbox")
    for name in ("__init__.py", "errors.py"):
        shutil.copy(SOURCE / "pratique" / name, room / "pratique" / name)
    shutil.copy(HERE / "hostile.py", room)
    (room / "aim").write_text(json.dumps(aim))
    with open(room / "aim", "rb") as stream:
        command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", str(python), "-I", "-c"]
        code = f"import sys; sys.path.insert(0, {str(room)!r}); {starting._RUN}"
        command += [code, "hostile", "load", str(1 << 30), "20", str(room)]
        done = subprocess.run(command, stdin=stream, capture_output=True, timeout=60, check=False, env={})
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_no_attempt_succeeds_in_namespaces_either(load: Load, aim: dict[str, Any], tmp_path: Path) -> None:
    if not starting._bubblewrap():
        pytest.skip("NO BUBBLEWRAP, OR NO USER NAMESPACES: the attempts in namespaces are not made here")
    answer = load("hostile:load", file=written(tmp_path / "aim", aim), namespaces=True)
    assert answer.namespaces
    assert [name for name, stopped in json.loads(answer.data).items() if not stopped] == []


# --- bombs and bad manners ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loader", ["hostile:spin", "hostile:doze"])
def test_a_file_that_never_ends_is_stopped(load: Load, loader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.monotonic()
    with pytest.raises(CheckError) as caught:
        sandbox_run_quickly(load, loader, monkeypatch)
    assert isinstance(caught.value, CheckTimeout) or "signal" in str(caught.value)
    assert time.monotonic() - started < 30


def sandbox_run_quickly(load: Load, loader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = starting.start

    def hurried(*arguments: Any, **more: Any) -> Any:
        return whole(*arguments, **{**more, "clock": 3.0})

    monkeypatch.setattr(starting, "start", hurried)
    load(loader, limits=Limits(seconds=1))


def test_an_answer_without_end_is_cut_off(load: Load) -> None:
    with pytest.raises(CheckError, match="wrote more than was allowed"):
        load("hostile:babble", limits=Limits(answer=1 << 20))


def test_last_words_without_end_do_not_fill_our_memory(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckError):
        sandbox_run_quickly(load, "hostile:shout", monkeypatch)


def test_memory_is_limited(load: Load) -> None:
    with pytest.raises(CheckError, match=r"MemoryError|killed"):
        load("hostile:devour", limits=Limits(memory=64 << 20))


def test_a_crash_is_an_error_and_its_last_words_are_one_plain_line(load: Load) -> None:
    with pytest.raises(CheckError, match="killed by signal 6") as caught:
        load("hostile:die")
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)


def test_nothing_runs_after_the_answer(load: Load) -> None:
    assert load("hostile:haunt").data == b"done"


def test_a_loader_that_leaves_early_has_not_succeeded(load: Load) -> None:
    with pytest.raises(CheckError, match="failed over the file: SystemExit"):
        load("hostile:leave")


def test_a_loader_that_refuses_its_file_is_an_error(load: Load) -> None:
    with pytest.raises(CheckError, match="ValueError: this is no model"):
        load("reading:fail")


# --- failing closed -----------------------------------------------------------------------------------------------------


def test_a_loader_with_a_second_thread_never_sees_the_file(load: Load) -> None:
    with pytest.raises(SandboxUnavailable, match="2 threads"):
        load("threaded:load")


@pytest.mark.parametrize("loader", ["nowhere:load", "reading:nothing", "reading"])
def test_a_loader_that_is_not_there_is_named(load: Load, loader: str) -> None:
    with pytest.raises(CheckError, match=loader.partition(":")[0]):
        load(loader)


def test_namespaces_that_are_insisted_on_and_cannot_be_had(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "_bubblewrap", tuple)
    with pytest.raises(SandboxUnavailable, match="no namespaces"):
        load("reading:load", namespaces=True)
    assert not load("reading:load", namespaces=None).namespaces


def test_a_machine_without_a_list_of_calls_is_refused() -> None:
    with pytest.raises(SandboxUnavailable, match="riscv64"):
        seccomp.program(1, "riscv64")


def test_a_kernel_without_seccomp_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """The filter itself is refused: nothing is loaded."""
    with pytest.raises(SandboxUnavailable, match="seccomp"):
        seccomp.apply(b"\0" * 8)  # not a filter; without no_new_privs it would not be taken either


@pytest.mark.parametrize("what", ["folder", "link", "pipe", "absent"])
def test_only_a_regular_file_is_opened(load: Load, tmp_path: Path, file: Path, what: str) -> None:
    path = tmp_path / what
    if what == "folder":
        path.mkdir()
    elif what == "link":
        path.symlink_to(file)
    elif what == "pipe":
        os.mkfifo(path)
    with pytest.raises((ArtifactError, ArtifactRefused)):
        load("reading:load", file=path)


# --- the filter itself, for both architectures --------------------------------------------------------------------------


def decide(code: bytes, architecture: int, number: int, arguments: tuple[int, ...] = ()) -> int:
    """What the kernel's classic BPF machine makes of a system call; see linux/Documentation/networking/filter.rst."""
    import struct

    data = struct.pack("<iIQ6Q", number, architecture, 0, *(*arguments, 0, 0, 0, 0, 0, 0)[:6])
    lines, at, register = [struct.unpack_from("<HBBI", code, one) for one in range(0, len(code), 8)], 0, 0
    while True:
        what, yes, no, value = lines[at]
        at += 1
        if what == 0x20:
            register = struct.unpack_from("<I", data, value)[0]
        elif what == 0x06:
            return int(value)
        else:
            holds = {0x15: register == value, 0x35: register >= value, 0x45: bool(register & value)}[what]
            at += yes if holds else no


ALLOW, KILL, EPERM = 0x7FFF0000, 0x80000000, 0x00050001


@pytest.mark.parametrize(("machine", "audit"), [("x86_64", 0xC000003E), ("aarch64", 0xC00000B7)])
def test_the_filter_allows_its_list_and_nothing_else(machine: str, audit: int) -> None:
    code, column = seccomp.program(4321, machine), machine == "aarch64"
    allowed = {numbers[column] for numbers in seccomp.ALLOWED.values()} - {None}
    argued = {numbers[column] for numbers in (*seccomp._MEMORY.values(), *seccomp._SIGNAL.values())}
    for number in set(range(600)) - argued:
        assert decide(code, audit, number) == (ALLOW if number in allowed else EPERM), number


@pytest.mark.parametrize(("machine", "audit"), [("x86_64", 0xC000003E), ("aarch64", 0xC00000B7)])
def test_the_filter_minds_arguments(machine: str, audit: int) -> None:
    code, column = seccomp.program(4321, machine), machine == "aarch64"
    for name in ("mmap", "mprotect"):
        number = seccomp._MEMORY[name][column]
        assert decide(code, audit, number, (0, 4096, 3)) == ALLOW
        assert decide(code, audit, number, (0, 4096, 5)) == EPERM, "executable"
    signal = seccomp._SIGNAL["tgkill"][column]
    assert decide(code, audit, signal, (4321, 4321, 6)) == ALLOW
    assert decide(code, audit, signal, (1, 1, 9)) == EPERM


def test_another_numbering_of_the_calls_is_death() -> None:
    code = seccomp.program(1, "x86_64")
    assert decide(code, 0x40000003, 4) == KILL, "32-bit x86"
    assert decide(code, 0xC000003E, 0x40000000 | 1) == KILL, "x32"
    assert decide(seccomp.program(1, "aarch64"), 0x40000028, 4) == KILL, "32-bit Arm"


def test_this_machine_is_known() -> None:
    assert platform.machine() in ("x86_64", "aarch64") and seccomp.program(1)
