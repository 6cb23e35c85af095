"""One system call of a process made to fail, or made its last: strace at a chosen call of a chosen operation.

The operation runs in a fork of ours that waits until strace is attached, so
that only its own calls are counted, from the first one on.
"""

import os
import pickle
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAKING = frozenset("write pwrite64 writev copy_file_range sendfile ioctl fallocate ftruncate openat".split())
"""Calls that take space, or may: what a full disk refuses, with those that make names."""
NAMING = frozenset("rename renameat renameat2 mkdir mkdirat link linkat symlink symlinkat".split())
CHANGING = (
    MAKING
    | NAMING
    | frozenset("unlink unlinkat rmdir fsync fdatasync syncfs chmod fchmod fchmodat chown fchown utimensat".split())
    | frozenset("setxattr fsetxattr removexattr fremovexattr".split())
)
"""Calls after which a disk is not as it was, or may be believed to be."""
READING = frozenset("openat read pread64 getdents64 newfstatat fstat flock readlink readlinkat fgetxattr".split())

# Seconds after which a process counts as hung.
_PATIENCE = 60.0
_LINE = re.compile(r"(?P<thread>\d+) +(?P<name>\w+)\((?P<rest>.*)")
_MAKES = re.compile(r"O_CREAT|O_TRUNC|O_TMPFILE")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call that an operation made."""

    name: str
    number: int
    """Which one of that name it was, from 1."""
    text: str
    """As strace tells it."""

    @property
    def changes(self) -> bool:
        """Whether the disk may be another one after it."""
        if self.name == "openat":
            return bool(_MAKES.search(self.text))
        if self.name == "ioctl":
            return "CLONE" in self.text
        return self.name in CHANGING


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to which calls; ``str`` says it for people."""

    told: str
    injections: tuple[str, ...]
    """As strace's ``-e inject`` takes them."""

    def __str__(self) -> str:
        return self.told


@dataclass(frozen=True, slots=True)
class Ended:
    """How an operation came out."""

    struck: bool
    """Whether the fault came to pass."""
    killed: bool
    answer: Any = None
    """What the operation returned, if it was not killed."""
    error: str = ""
    """The traceback of what it raised."""


def why_not() -> str:
    """Why no call can be tampered with here; empty where it can."""
    if sys.platform != "linux":
        return "strace needs Linux"
    if shutil.which("strace") is None:
        return "strace is not installed"
    return ""


def calls_of(operation: Callable[[], Any], below: Path, log: Path) -> tuple[list[Call], Ended]:
    """The calls that an operation makes about files below a directory when nobody disturbs it, in order."""
    ended = _run(operation, ["-y", "-s", "16", "-e", f"trace={','.join(sorted(CHANGING | READING))}"], log)
    counts: dict[tuple[str, str], int] = {}
    found = []
    for line in log.read_text(errors="replace").splitlines():
        match = _LINE.match(line)
        if match is None:  # a signal, an end, the second half of a call
            continue
        key = match["thread"], match["name"]
        counts[key] = counts.get(key, 0) + 1
        if str(below) in match["rest"]:
            found.append(Call(match["name"], counts[key], f"{match['name']}({match['rest']}"))
    return found, ended


def killed_before(call: Call) -> Fault:
    """The process dies as it enters the call."""
    return Fault(f"killed at {call.text}", (f"{call.name}:signal=KILL:when={call.number}",))


def failing(call: Call, error: str) -> Fault:
    """That one call fails."""
    return Fault(f"{error} at {call.text}", (f"{call.name}:error={error}:when={call.number}",))


def failing_from(call: Call, calls: Sequence[Call], error: str, names: Iterable[str]) -> Fault:
    """From that call on, all calls of these names fail: a disk that is full, or has become read-only."""
    before = calls[: calls.index(call)]
    first = {name: max((one.number for one in before if one.name == name), default=0) + 1 for name in names}
    injections = [f"{name}:error={error}:when={number}+" for name, number in sorted(first.items())]
    if call.name not in first:  # it makes something, and others of its name only look
        injections.append(f"{call.name}:error={error}:when={call.number}")
    return Fault(f"{error} from {call.text} on", tuple(injections))


def struck_by(fault: Fault, operation: Callable[[], Any], log: Path) -> Ended:
    """Run an operation with a fault in its way."""
    names = ",".join(injection.partition(":")[0] for injection in fault.injections)
    options = ["-e", f"trace={names}"]
    for injection in fault.injections:
        options += ["-e", f"inject={injection}"]
    return _run(operation, options, log)


def _run(operation: Callable[[], Any], options: list[str], log: Path) -> Ended:
    # The answer goes through a socket, since writing may be what fails; sending is never tampered with.
    ours, theirs = socket.socketpair()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of threads; none holds a lock here
        child = os.fork()
    if child == 0:
        ours.close()
        _answer(operation, theirs)
    theirs.close()
    with ours:
        tracer = subprocess.Popen(
            ["strace", "-f", "-o", log, *options, "-p", str(child)], stderr=subprocess.PIPE, text=True
        )
        assert tracer.stderr is not None
        with tracer.stderr as said:
            attached = said.readline()
            if "attached" not in attached:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                raise RuntimeError(f"strace could not attach: {attached.strip()}")
            ours.sendall(b"go")
            answer = _received(ours, child)
            said.read()
        tracer.wait()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    killed = code == -signal.SIGKILL
    struck = killed or "(INJECTED" in log.read_text(errors="replace")
    if killed:
        return Ended(struck, killed)
    result, error = pickle.loads(answer)
    return Ended(struck, killed, result, error)


def _received(ours: socket.socket, child: int) -> bytes:
    blocks = []
    while True:
        ready, _, _ = select.select([ours], [], [], _PATIENCE)
        if not ready:
            os.kill(child, signal.SIGKILL)
            raise AssertionError(f"a process had not finished after {_PATIENCE:g} s")
        try:
            block = ours.recv(65_536)
        except ConnectionResetError:  # killed before it had read all that we sent
            return b""
        if not block:
            return b"".join(blocks)
        blocks.append(block)


def _answer(operation: Callable[[], Any], theirs: socket.socket) -> None:
    """In the child: what comes of the operation, and the end."""
    silence = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(silence, descriptor)
    theirs.recv(2)
    try:
        answer = operation(), ""
    except BaseException:
        answer = None, traceback.format_exc()
    try:
        theirs.sendall(pickle.dumps(answer))
    finally:
        os._exit(0)
