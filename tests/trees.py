"""Workspaces for tests: trees with every kind of entry in them, and ways to damage them. Plain ``os`` calls only."""

import os
import shutil
import signal
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from filesystems import remove_tree

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
    b'"quoted\'',
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
    workspace.mkdir(exist_ok=True)
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


def write(root: Path, **files: bytes | str) -> None:
    """``write(root, a="text")``; two underscores stand for a slash, one for a dot."""
    for name, content in files.items():
        put(root, name.replace("__", "/").replace("_", "."), content)


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


def _links(root: Path) -> None:
    root.mkdir()
    targets = ["nowhere", "/etc/hostname", "../src", ".", "itself", "../../..", "x" * 1000, "../large.bin", "a\nb", b"\xff"]
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


def walked(root: Path) -> Iterator[tuple[bytes, os.stat_result]]:
    """Every path below a directory (none deeper than PATH_MAX) but repositories; a directory after what is in it."""
    for directory, names, files in os.walk(os.fsencode(root), topdown=False):
        for name in (*files, *names):
            path = directory + b"/" + name
            if b"/.git" not in path.removeprefix(os.fsencode(root)) or b".git" not in path.split(b"/"):
                yield path, os.lstat(path)


def _opened_up(root: Path) -> None:
    """Lets an ordinary user damage what is in read-only directories."""
    for path, status in walked(root):
        if stat.S_ISDIR(status.st_mode) and status.st_mode & 0o300 != 0o300:
            os.chmod(path, status.st_mode | 0o700)


def delete_everything(root: Path) -> None:
    for child in list(root.iterdir()):
        _remove(child)


def remove_the_workspace_itself(root: Path) -> None:
    remove_tree(root)


def truncate_every_file(root: Path) -> None:
    for path, status in walked(root):
        if stat.S_ISREG(status.st_mode):
            os.chmod(path, status.st_mode | 0o200)
            os.truncate(path, status.st_size // 2)
            os.chmod(path, status.st_mode)


def change_every_mode(root: Path) -> None:
    for path, status in walked(root):
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(path, 0o750 if stat.S_IMODE(status.st_mode) != 0o750 else 0o700)


def turn_everything_into_something_else(root: Path) -> None:
    """A file becomes a directory, a link a file, a directory a link to somewhere else."""
    elsewhere = root.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    put(elsewhere, "theirs", b"not to be touched")
    _opened_up(root)
    for path, status in walked(root):
        if b"/.git" in path:
            continue
        if stat.S_ISREG(status.st_mode):
            os.unlink(path)
            os.mkdir(path)
            with open(path + b"/new", "wb") as file:
                file.write(b"new")
        elif stat.S_ISLNK(status.st_mode):
            os.unlink(path)
            with open(path, "wb") as file:
                file.write(b"was a link")
    for child in sorted(root.iterdir()):
        if child.name in ("links", "marked", "modes", "names") and not child.is_symlink():
            _remove(child)
            child.symlink_to(elsewhere)


def rename_everything(root: Path) -> None:
    _opened_up(root)
    for child in list(root.iterdir()):
        if child.name != ".git":
            child.rename(root / f"renamed {child.name}")


def rotate_contents(root: Path) -> None:
    """Each file gets another's place: same names, other bytes."""
    _opened_up(root)
    files = sorted(path for path, status in walked(root) if stat.S_ISREG(status.st_mode))
    spare = os.fsencode(root / "spare")
    os.rename(files[0], spare)
    for path, following in zip(files, files[1:], strict=False):
        os.rename(following, path)
    os.rename(spare, files[-1])


def overwrite_keeping_size_and_time(root: Path) -> None:
    for path, status in walked(root):
        if stat.S_ISREG(status.st_mode) and status.st_size and status.st_nlink == 1:
            os.chmod(path, 0o600)
            with open(path, "r+b") as file:
                first = file.read(1)
                file.seek(0)
                file.write(bytes([first[0] ^ 1]))
            os.chmod(path, status.st_mode & 0o7777)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def write_through_hard_links_and_links(root: Path) -> None:
    (root / "links/second-name").write_bytes(b"written through the other name")
    (root / "links/link7").write_bytes(b"written through a link")  # to large.bin


def add_files_and_directories_everywhere(root: Path) -> None:
    _opened_up(root)
    for path, status in list(walked(root)):
        if stat.S_ISDIR(status.st_mode):
            os.makedirs(path + b"/added/empty")
            with open(path + b"/added/file", "wb") as file:
                file.write(b"added")
            os.symlink(b"/etc", path + b"/added/link")


def retarget_every_link(root: Path) -> None:
    for path, status in walked(root):
        if stat.S_ISLNK(status.st_mode):
            os.unlink(path)
            os.symlink("/retargeted", path)


def change_attributes(root: Path) -> None:
    if not hasattr(os, "setxattr"):
        return
    for name in ("file", "file-444", "large", "directory"):
        path = root / "marked" / name
        mode = path.stat().st_mode
        path.chmod(mode | 0o200)
        os.removexattr(path, "user.empty")
        os.setxattr(path, "user.added", b"1")
        path.chmod(mode & 0o7777)
    for directory in ("dir-555", "dir-500"):
        path = root / "modes" / directory
        mode = path.stat().st_mode
        path.chmod(0o700)
        os.setxattr(path, "user.added", b"1")
        (path / "sub/inside").unlink()
        path.chmod(mode & 0o7777)


def close_directories_after_damage(root: Path) -> None:
    """Files go, then their directories are made read-only."""
    for name in ("src/package", "attributed", "names"):
        for file in (root / name).iterdir():
            if file.is_file():
                file.unlink()
        (root / name).chmod(0o555)


def _remove(child: Path) -> None:
    if child.is_symlink() or not child.is_dir():
        child.unlink()
    elif os.geteuid() == 0:
        shutil.rmtree(child)
    else:
        remove_tree(child)


DAMAGES: tuple[Callable[[Path], None], ...] = (
    delete_everything,
    remove_the_workspace_itself,
    truncate_every_file,
    change_every_mode,
    turn_everything_into_something_else,
    rename_everything,
    rotate_contents,
    overwrite_keeping_size_and_time,
    write_through_hard_links_and_links,
    add_files_and_directories_everywhere,
    retarget_every_link,
    change_attributes,
    close_directories_after_damage,
)
