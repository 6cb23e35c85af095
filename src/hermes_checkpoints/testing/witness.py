"""An independent witness: what a directory tree holds, read with plain ``os`` calls.

It imports nothing of this package, so that a mistake in the code under test
cannot hide itself. It reads what stands still; a tree that changes meanwhile
makes it raise or tell a mixture. What it may not read raises ``OSError``.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple, TypeVar

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}

Record = TypeVar("Record", bound="Seen | Stamped")


class Seen(NamedTuple):
    """What a path is."""

    kind: str
    """``file``, ``directory``, ``link``, ``fifo``, ``socket``, ``character device`` or ``block device``."""
    mode: int
    """Permission bits, ``0o7777`` at most; 0 for a link."""
    content: bytes
    """sha256 of a file, target of a link, empty for the rest."""
    xattrs: tuple[tuple[str, bytes], ...]
    """The ``user.*`` extended attributes of a file or directory, sorted; empty where Python has no call for them."""


class Stamped(NamedTuple):
    """Which file a path is, and since when."""

    inode: int
    mtime_ns: int
    """Nanoseconds since the epoch."""


def picture(directory: str | os.PathLike[str], *, skip: Collection[bytes] = ()) -> dict[bytes, Seen]:
    """All that is at and below a directory, by path relative to it; the directory itself is ``b""``.

    ``skip`` names paths that are passed over with all that is below them. Links
    are never followed, and nothing but files and directories is opened. Takes
    any byte in a name and any depth, with at most three open descriptors.
    """
    return dict(_walk(directory, _seen, frozenset(skip)))


def stamps(directory: str | os.PathLike[str], *, skip: Collection[bytes] = ()) -> dict[bytes, Stamped]:
    """Inode and modification time of the same paths: equal where nothing was touched."""
    return dict(_walk(directory, _stamped, frozenset(skip)))


def difference(before: Mapping[bytes, Record], after: Mapping[bytes, Record]) -> list[str]:
    """One readable line for each path that differs, in path order; empty when nothing does."""
    lines = []
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old == new:
            continue
        if old is None or new is None:
            what = "gone" if new is None else "new"
        else:
            what = ", ".join(
                f"{field} {_value(old, field)} became {_value(new, field)}"
                for field in old._fields
                if getattr(old, field) != getattr(new, field)
            )
        lines.append(f"{_shortened(os.fsdecode(path) or '.')}: {what}")
    return lines


def _walk(
    directory: str | os.PathLike[str], record: Callable[[int, bytes, os.stat_result], Record], skip: Collection[bytes]
) -> Iterator[tuple[bytes, Record]]:
    """Every path below a directory; one descriptor, moved down by name and up by ``..``."""
    here = os.open(directory, _DIRECTORY)
    try:
        yield b"", record(here, b".", os.fstat(here))
        path = b""
        above: list[tuple[bytes, tuple[int, int], Iterator[bytes]]] = []
        names = iter(sorted(map(os.fsencode, os.listdir(here))))
        while True:
            for name in names:
                below = path + b"/" + name if path else name
                if below in skip:
                    continue
                status = os.stat(name, dir_fd=here, follow_symlinks=False)
                yield below, record(here, name, status)
                if stat.S_ISDIR(status.st_mode):
                    above.append((path, _identity(os.fstat(here)), names))
                    here = _moved(here, name)
                    path, names = below, iter(sorted(map(os.fsencode, os.listdir(here))))
                    break
            else:
                if not above:
                    return
                path, identity, names = above.pop()
                here = _moved(here, b"..")
                if _identity(os.fstat(here)) != identity:
                    raise RuntimeError(f"{_shortened(os.fsdecode(path))!r} was moved while it was looked at")
    finally:
        os.close(here)


def _moved(here: int, name: bytes) -> int:
    there = os.open(name, _DIRECTORY, dir_fd=here)
    os.close(here)
    return there


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _stamped(_here: int, _name: bytes, status: os.stat_result) -> Stamped:
    return Stamped(status.st_ino, status.st_mtime_ns)


def _seen(here: int, name: bytes, status: os.stat_result) -> Seen:
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), "unknown")
    mode = stat.S_IMODE(status.st_mode)
    if kind == "link":
        return Seen(kind, 0, os.readlink(name, dir_fd=here), ())
    if kind not in ("file", "directory"):
        return Seen(kind, mode, b"", ())
    opened = os.open(name, _FILE if kind == "file" else _DIRECTORY, dir_fd=here)
    try:
        return Seen(kind, mode, _digest(opened) if kind == "file" else b"", _xattrs(opened))
    finally:
        os.close(opened)


def _digest(opened: int) -> bytes:
    digest = hashlib.sha256()
    while block := os.read(opened, 1 << 20):
        digest.update(block)
    return digest.digest()


def _xattrs(opened: int) -> tuple[tuple[str, bytes], ...]:
    if not hasattr(os, "listxattr"):
        return ()
    names = sorted(name for name in os.listxattr(opened) if name.startswith("user."))
    return tuple((name, os.getxattr(opened, name)) for name in names)


def _value(record: "Seen | Stamped", field: str) -> str:
    value = getattr(record, field)
    if field == "mode":
        return f"{value:04o}"
    if isinstance(record, Seen) and record.kind == "file" and field == "content":
        return f"sha256 {value.hex()[:10]}"
    return repr(value)


def _shortened(path: str) -> str:
    """A path as one printable line of readable length, whatever its bytes."""
    told = repr(path)
    return told if len(told) <= 200 else f"{told[:90]}…{told[-90:]}"
