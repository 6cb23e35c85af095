"""Workspaces for tests: trees with every kind of entry in them, made with plain ``os`` calls."""

import os
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from hermes_checkpoints import Engine, plugins
from hermes_checkpoints.results import Taken

BACKENDS = ("shadow-git", "cow")

# An ordinary user in a forked child uses what is imported already: our own files may be closed to them.
plugins.load_all()

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW

NAMES = (
    b"-rf",
    b"--help",
    b"two\nlines",
    b"tab\tand space ",
    b" leading space",
    b"not utf-8 \xff\xfe\x80",
    b"\xc3\xa9 composed",
    b"e\xcc\x81 decomposed",
    b"pipe|semi;amp&dollar$`tick`",
    b"*",
    b"?[a-z]{x,y}",
    b":(top)magic",
    b":!excluded",
    b"!not",
    b"#hash",
    b"back\\slash",
    b"\"quoted'",
    b"~",
    b"...",
    b"control \x01\x1b[31m\x7f",
    b"files",
    b"meta",
    b"=",
    b"+",
    b".GIT",
    b".gitmodules",
    b"HEAD",
    b"n" * 255,
)
"""Every byte a name can have, in the places where tools go wrong."""

ATTRIBUTES = b"""* text=auto eol=crlf
*.crlf text eol=crlf
*.utf16 text working-tree-encoding=UTF-16
*.id ident
*.filtered filter=upper diff=upper merge=upper
*.hidden export-ignore
*.subst export-subst
"""

CONTENTS = {
    "empty": b"",
    "one-byte": b"x",
    "no-newline-at-the-end": b"a\nb",
    "mixed-ends": b"one\r\ntwo\nthree\rfour\r\n",
    "windows.crlf": b"one\r\ntwo\r\n",
    "unix.crlf": b"one\ntwo\n",
    "wide.utf16": "\ufeffwide\n".encode("utf-16-le"),
    "not-really.utf16": b"\xff",
    "keyword.id": b"$Id: 0123456789abcdef $\n",
    "shout.filtered": b"quiet\n",
    "secret.hidden": b"$Format:%H$\n",
    "version.subst": b"$Format:%H$\n",
    "zeros": bytes(100_000),
    "zeros-then-one": bytes(100_000) + b"1",
    "looks-like-a-pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
}
"""Contents that line-ending, encoding and filter settings would change."""


class Ground(NamedTuple):
    """A workspace, the engine that protects it, and where its snapshots go."""

    workspace: Path
    engine: Engine
    store: Path

    def take(self, reason: str = "") -> Taken:
        """A snapshot, which must be taken."""
        taken = self.engine.snapshot(self.workspace, reason)
        assert isinstance(taken, Taken), taken
        return taken


@contextmanager
def ground(directory: Path, backend: str | None, **options: Any) -> Iterator[Ground]:
    """An empty workspace and a store beside it in ``directory``; ``options`` are the engine's."""
    workspace = directory / "workspace"
    workspace.mkdir(parents=True, exist_ok=True)
    options.setdefault("store", directory / "checkpoints")
    with Engine(backend=backend, **options) as engine:
        yield Ground(workspace, engine, Path(options["store"]))


@contextmanager
def seconds(limit: int) -> Iterator[None]:
    """``TimeoutError`` when the block takes longer: what hangs must fail, not hang."""

    def late(_number, _frame):
        raise TimeoutError(f"still not done after {limit} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(limit)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def put(root: Path, path: str, content: bytes | str = b"") -> Path:
    """A file with the directories above it."""
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.encode() if isinstance(content, str) else content)
    return target


def rich(root: Path) -> None:
    """Every kind of entry that a snapshot keeps, below a directory that exists."""
    put(root, "attributed/.gitattributes", ATTRIBUTES)
    put(root, ".gitattributes", ATTRIBUTES)
    for name, content in CONTENTS.items():
        put(root, f"attributed/{name}", content)
    put(root, "large.bin", bytes(range(256)) * 1000)
    put(root, "larger.bin", os.urandom(1_500_000))
    put(root, "src/package/deep/er/module.py", b"print('hello')\n")
    names = os.fsencode(root / "names")
    os.mkdir(names)
    for number, name in enumerate(NAMES):
        with open(names + b"/" + name, "wb") as file:
            file.write(b"%d" % number)
        os.mkdir(names + b"/d" + name[:254])
    for directory in ("empty", "nested-empty/a/b"):
        (root / directory).mkdir(parents=True)
    _links(root / "links")
    _modes(root / "modes")
    _marked(root / "marked")
    _repositories(root)


TO_LARGE = "../large.bin"


def _links(root: Path) -> None:
    root.mkdir()
    targets = ["nowhere", "/etc/hostname", "../src", ".", "itself", "../../..", "x" * 1000, TO_LARGE, "a\nb", b"\xff"]
    for number, target in enumerate(targets):
        os.symlink(os.fsencode(target), os.fsencode(root / f"link{number}"))
    os.symlink("itself", root / "itself")
    put(root, "first-name", b"one file, two names")
    os.link(root / "first-name", root / "second-name")


def _modes(root: Path) -> None:
    for mode in (0o400, 0o444, 0o600, 0o640, 0o755, 0o777, 0o711):
        put(root, f"file-{mode:o}", f"{mode:o}").chmod(mode)
        put(root, f"dir-{mode | 0o500:o}/inside", f"{mode:o}")
    for mode in (0o500, 0o555, 0o700, 0o711, 0o1777, 0o2755):
        put(root, f"dir-{mode:o}/sub/inside", f"{mode:o}")
    for directory in list(root.iterdir()):
        if directory.is_dir():
            directory.chmod(int(directory.name.removeprefix("dir-"), 8))


def _marked(root: Path) -> None:
    put(root, "file", b"marked")
    put(root, "file-444", b"marked")
    put(root, "large", bytes(range(256)) * 1000)
    (root / "directory").mkdir()
    if hasattr(os, "setxattr"):
        for name in ("file", "file-444", "large", "directory"):
            os.setxattr(root / name, "user.empty", b"")
            os.setxattr(root / name, "user.any \xff bytes".encode(), b"\0\xff\n")
    (root / "file-444").chmod(0o444)


def _repositories(root: Path) -> None:
    """Repositories in every state: plain, a submodule's file, a worktree's, broken, dangling."""
    put(root, "nested/.git/HEAD", b"ref: refs/heads/main\n")
    put(root, "nested/.git/config", b"[core]\n\trepositoryformatversion = 0\n\tbare = false\n")
    put(root, "nested/.git/objects/ab/cdef", b"object")
    (root / "nested/.git/refs/heads").mkdir(parents=True)
    put(root, "nested/file.c", b"int main;\n")
    put(root, "submodule/.git", b"gitdir: ../.git/modules/submodule\n")
    put(root, "submodule/lib.c", b"int lib;\n")
    put(root, "worktree/.git", b"gitdir: /nowhere/.git/worktrees/one\n")
    put(root, "worktree/branch.c", b"int branch;\n")
    put(root, "broken/.git/HEAD", b"\0garbage")
    put(root, "broken/.git/index", b"DIRC not an index")
    put(root, "broken/data", b"kept as plain files")
    put(root, "dangling/data", b"kept as plain files")
    os.symlink("/nowhere/at/all", root / "dangling/.git")
    put(root, ".git/HEAD", b"ref: refs/heads/main\n")
    put(root, ".git/index.lock", b"")


REPOSITORIES = frozenset(
    {b".git", b"nested/.git", b"submodule/.git", b"worktree/.git", b"broken/.git", b"dangling/.git"}
)
"""What ``rich`` makes that no snapshot holds."""


def chain(root: Path, depth: int, name: str = "d", content: bytes = b"at the bottom") -> None:
    """Directories nested ``depth`` deep, a file at the bottom."""
    here = os.open(root, _DIRECTORY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        there = os.open(name, _DIRECTORY, dir_fd=here)
        os.close(here)
        here = there
    file = os.open("bottom", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=here)
    os.write(file, content)
    os.close(file)
    os.close(here)


def specials(root: Path) -> list[str]:
    """A FIFO, a socket and, for root, a device; their names."""
    os.mkfifo(root / "fifo")
    listening = socket.socket(socket.AF_UNIX)
    here = os.open(".", _DIRECTORY)
    try:
        os.chdir(root)  # a socket's path has 108 bytes at most
        listening.bind("socket")
    finally:
        os.fchdir(here)
        os.close(here)
        listening.close()
    made = ["fifo", "socket"]
    if os.geteuid() == 0:
        os.mknod(root / "device", 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero: has no end
        made.append("device")
    return made
