"""What a tree is made of: entries, what was left out, and changes between two trees."""

import os
from collections.abc import Iterator
from enum import Enum, StrEnum
from typing import NamedTuple

from hermes_checkpoints.contract.errors import InvalidPath


class Kind(Enum):
    """The kind of an entry; the value is the letter that stored nodes use."""

    FILE = "f"
    DIR = "d"
    LINK = "l"
    LEFT_OUT = "x"


class Reason(StrEnum):
    """Why a path that exists in the workspace is not in the snapshot."""

    IGNORED = "ignored"  # a default exclude, .gitignore or .hermesignore says so
    VERSION_CONTROL = "version control"  # .git, .hg, .svn
    STORE = "snapshot store"  # our own store inside the workspace
    TOO_LARGE = "larger than the limit"
    SPECIAL = "not a file, directory or symlink"  # socket, FIFO, device
    UNREADABLE = "unreadable"
    UNSTABLE = "changed while it was read"
    PURGED = "purged"  # was held, and taken out for good on request
    DAMAGED = "lost to damage"  # was held; its bytes in the store were damaged and nobody had them any more


class Entry(NamedTuple):
    """One name in a directory, as a snapshot holds it.

    A tuple, not a dataclass: a walk makes tens of thousands of them.
    Names and paths are ``str`` as ``os.fsdecode`` gives them; undecodable
    bytes are lone surrogates, so ``os.fsencode`` gives the exact name back.
    """

    kind: Kind
    mode: int = 0
    """Permission bits, ``0o7777`` at most."""
    mtime_ns: int = 0
    """Modification time, nanoseconds since the epoch."""
    size: int = 0
    """Bytes of a file; 0 for every other kind."""
    key: bytes = b""
    """The backend's own name for the content (file), the node (directory);
    the text of a link; the reason's value for what was left out."""
    xattrs: tuple[tuple[str, bytes], ...] = ()
    """Extended attributes, sorted by name."""

    @property
    def held(self) -> bool:
        """Whether the snapshot has what this entry names."""
        return self.kind is not Kind.LEFT_OUT

    @property
    def target(self) -> bytes:
        """Where a link points to; only for ``Kind.LINK``."""
        return self.key

    @property
    def reason(self) -> Reason:
        """Why it was left out; only for ``Kind.LEFT_OUT``."""
        return Reason(self.key.decode())

    @classmethod
    def left_out(cls, reason: Reason) -> "Entry":
        return cls(Kind.LEFT_OUT, key=reason.value.encode())


def same(before: Entry | None, after: Entry | None) -> bool:
    """Whether a restore would find nothing to do between the two.

    Modification times are recorded but do not make a change: a directory's
    moves whenever a temporary file comes and goes.
    """
    if before is None or after is None:
        return not _held(before) and not _held(after)
    if before.kind is not after.kind:
        return False
    if before.kind is Kind.LEFT_OUT:
        return True
    alike = before.mode == after.mode and before.xattrs == after.xattrs
    if before.kind is Kind.DIR:
        return alike
    return alike and before.size == after.size and before.key == after.key


def _held(entry: Entry | None) -> bool:
    return entry is not None and entry.held


class Stamp(NamedTuple):
    """What ``lstat`` said of a file: while it stays equal, nobody has changed the file.

    No program can set ``ctime``, so an edit that puts size and mtime back still shows.
    """

    mode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, stat: os.stat_result) -> "Stamp":
        return cls(stat.st_mode, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


class NewFile(NamedTuple):
    """A file that is to be made, under a name that nobody else uses."""

    entry: Entry
    dir_fd: int
    """Valid until the next file is asked for."""
    name: str


class Change(NamedTuple):
    """A path that differs between two trees; ``None`` where a tree has nothing there.

    Of a directory that is only in one tree, the directory comes first and then
    everything below it. ``after.key`` of a file may be empty when ``after`` is
    the live workspace: its content differs, but has not been stored.
    """

    path: str
    before: Entry | None
    after: Entry | None


class LeftOut(NamedTuple):
    """A path inside the workspace that a snapshot does not hold."""

    path: str
    reason: Reason


def split_path(path: str) -> tuple[str, ...]:
    """The components of a path relative to a workspace.

    Raises ``InvalidPath`` for what is empty, absolute, or has an empty, ``.``
    or ``..`` component or a NUL: whoever holds the result need not check again.
    """
    parts = tuple(path.split("/"))
    if not path or "\0" in path:
        raise InvalidPath(f"{path!r} is not a path inside the workspace. Nothing was changed.")
    if path.startswith("/"):
        raise InvalidPath(f"{path!r} is absolute; give it relative to the workspace. Nothing was changed.")
    if any(part in ("", ".", "..") for part in parts):
        raise InvalidPath(f"{path!r} has an empty, '.' or '..' component. Nothing was changed.")
    return parts


def within(path: str, selection: tuple[str, ...]) -> bool:
    """Whether a path is one of the selected ones or lies below one; no selection means all."""
    return not selection or any(path == chosen or path.startswith(chosen + "/") for chosen in selection)


def ancestors(path: str) -> Iterator[str]:
    """The directories above a relative path, nearest first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
