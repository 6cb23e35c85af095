"""System calls of one piece of work, told apart by what they are about; no machine is too slow to count them."""

import os
import re
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_MARK = "/hermes-checkpoints-counts "
_KINDS = {
    "open openat openat2 creat": "open",
    "stat lstat fstat newfstatat statx": "stat",
    "getdents getdents64": "list",
    "read readv pread64 preadv preadv2": "read",
    "write writev pwrite64 pwritev pwritev2 sendfile copy_file_range": "write",
    "fsync fdatasync syncfs sync sync_file_range": "sync",
    "rename renameat renameat2": "rename",
    "unlink unlinkat rmdir": "remove",
    "execve": "start",
    "access faccessat faccessat2": "mark",
}
_KIND = {name: kind for names, kind in _KINDS.items() for name in names.split()}
# newfstatat(3</directory>, "name", …) = 0: strace -y says what a descriptor stands for.
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)(?:<(.*?)>(?:\(deleted\))?)?(?: .*)?")
_ABOUT = re.compile(r'(?:(?:AT_FDCWD|\d+)<(?P<at>[^>]*)>(?:\(deleted\))?(?:, )?)?(?:"(?P<name>(?:[^"\\]|\\.)*)")?')

# Each line of the input is a piece of work: what to call it, untimed preparation, and the call that is counted.
_WORKER = textwrap.dedent(
    f"""
    import os, shutil, sys, time
    from hermes_checkpoints import Engine
    workspace, store, backend = sys.argv[1:]
    with Engine(store=store, backend=backend) as engine:
        for line in sys.stdin:
            name, prepare, act = line.rstrip("\\n").split("\\t")
            exec(prepare)
            time.sleep(0.15)  # whatever was written is older than the clock's tick then, and is looked at once only
            os.access({_MARK!r} + name, os.F_OK)
            exec(act)
            os.access({_MARK!r} + name, os.F_OK)
    """
)


@dataclass(slots=True, repr=False)
class Counts:
    """What one piece of work did, by what it was about: ``workspace``, ``store`` or ``elsewhere``."""

    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    written: Counter[str] = field(default_factory=Counter)
    """Bytes."""
    opened: list[str] = field(default_factory=list)
    """Files of the workspace, directories not counted."""

    def of(self, kind: str, where: str | None = None) -> int:
        return sum(number for (one, at), number in self.calls.items() if one == kind and where in (None, at))

    def __repr__(self) -> str:
        told = [f"{kind} {where} {number}" for (kind, where), number in sorted(self.calls.items())]
        return ", ".join([*told, *(f"bytes {where} {number}" for where, number in self.written.items())])


def count(
    trace: Path, workspace: Path, store: Path, backend: str, work: Mapping[str, tuple[str, str]]
) -> dict[str, Counts]:
    """Each piece of work (its preparation and the call to count, as Python), all by one process, in order."""
    lines = "".join(f"{name}\t{prepare}\t{act}\n" for name, (prepare, act) in work.items())
    traced(trace, _KIND, _WORKER, (workspace, store, backend), lines)
    found: dict[str, Counts] = {}
    now = ""
    for name, arguments, result, target in calls_of(trace):
        if _KIND[name] == "mark" and _MARK in arguments:
            asked = arguments.partition(_MARK)[2].partition('"')[0]
            now = "" if now else asked
            found.setdefault(asked, Counts())
        elif now and _KIND[name] != "mark":
            _add(found[now], _KIND[name], arguments, result, target, (workspace, store))
    assert list(found) == list(work)
    return found


def traced(trace: Path, calls: Iterable[str], program: str, arguments: Iterable[object], lines: str) -> str:
    """Run a Python program on lines of input, with these calls of it traced; what it printed."""
    wanted = ",".join(f"?{name}" for name in calls)
    strace = ["strace", "-f", "-y", "-qq", "--seccomp-bpf", "-s", "0", "-e", f"trace={wanted}", "-e", "signal=none"]
    command = [*strace, "-o", str(trace), sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=False)
    if "ptrace" in done.stderr and "not permitted" in done.stderr:
        pytest.skip(f"strace may not trace here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def calls_of(trace: Path) -> Iterator[tuple[str, str, int, str]]:
    """Name, arguments, result and the path of a descriptor that came back."""
    begun: dict[str, str] = {}
    for line in trace.read_text(errors="surrogateescape").splitlines():
        process, _, rest = line.partition(" ")
        rest = rest.lstrip()
        if rest.endswith("<unfinished ...>"):
            begun[process] = rest.removesuffix("<unfinished ...>").rstrip()
            continue
        if resumed := re.match(r"<\.\.\. \w+ resumed>", rest):
            rest = begun.pop(process) + rest[resumed.end() :]
        if call := _CALL.fullmatch(rest):
            name, arguments, result, target = call.groups()
            yield name, arguments, int(result), target or ""
        else:
            assert rest.startswith("+++") or " = ?" in rest, f"a call that cannot be counted: {line}"


def _add(counts: Counts, kind: str, arguments: str, result: int, target: str, known: tuple[Path, Path]) -> None:
    about = _ABOUT.match(arguments)
    assert about is not None
    path = target or os.path.join(about["at"] or "", about["name"] or "")
    workspace, store = (f"{top}/" for top in known)
    where = (
        "workspace" if f"{path}/".startswith(workspace) else "store" if f"{path}/".startswith(store) else "elsewhere"
    )
    counts.calls[kind, where] += 1
    if kind == "write" and result > 0:
        counts.written[where] += result
    if kind == "open" and path.startswith(workspace) and "O_DIRECTORY" not in arguments and result >= 0:
        counts.opened.append(path.removeprefix(workspace))
