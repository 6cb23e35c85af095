"""Changing a tree safely: beside and renamed over, through directory descriptors only."""

import errno
import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hermes_checkpoints.contract import CheckpointError, Stamp, WorkspaceError
from hermes_checkpoints.kit.store.publish import sync
from hermes_checkpoints.kit.walk.attributes import Xattrs, copy_acl, read_xattrs, write_xattrs
from hermes_checkpoints.kit.walk.reading import Changed, open_regular, scratch_name, status_of
from hermes_checkpoints.kit.write.reaching import Opened, ReachedTree, tell_nobody
from hermes_checkpoints.kit.write.replacing import CHANGED, FILLED, NOT_OURS, Moved, alike, take_away, take_place
from hermes_checkpoints.kit.write.spelling import other_spelling, respell
from hermes_checkpoints.kit.write.swapping import renames
from hermes_checkpoints.kit.write.sweeping import building_name

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_BLOCK = 1 << 20


class TreeWriter(ReachedTree):
    """Writes below one directory.

    What is new is written beside its place, under a name of ``scratch``. What
    takes the place of something is exchanged for it, so no name is ever missing.
    """

    def __init__(self, root: Path, *, durable: bool = True, token: str = "", opened: Opened = tell_nobody) -> None:
        super().__init__(root, opened)
        self.durable = durable
        """Whether each file is on the medium before it takes its name; else the caller sees to that."""
        self._token = token or os.urandom(4).hex()
        self._numbers = itertools.count()
        self.left: dict[str, str] = {}
        """Directories that were built and could not be removed, by their scratch names: what each was built beside."""
        self._relinked: dict[int, tuple[Stamp, Stamp]] = {}

    def scratch(self) -> str:
        """A name that nothing of ours has, for what is written beside its target."""
        return scratch_name(self._token, next(self._numbers))

    def scratch_directory(self) -> str:
        """Likewise, for a directory of which all that is in it is ours."""
        return building_name(self._token, next(self._numbers))

    def make_directory(self, path: str, expected: Stamp | None) -> None:
        """Create a directory, in the place of what stood there (a file or link, as expected).

        ``set_directory`` gives it its mode; until then it is the owner's alone.
        """
        fd, name = self.parent(path)
        present = status_of(fd, name)
        if present is not None and stat.S_ISDIR(present.st_mode):
            self._refuse_other_spelling(fd, name)
            return
        self._check(fd, name, present, expected)
        if present is None:
            os.mkdir(name, 0o700, dir_fd=fd)
        else:
            beside = self.scratch()
            os.mkdir(beside, 0o700, dir_fd=fd)
            try:
                with self._losing_a_name(fd, name, present, expected):
                    take_place(fd, beside, name, self.scratch(), present)
            except BaseException:
                with suppress(OSError):
                    os.rmdir(beside, dir_fd=fd)
                raise
        self._last[path] = (0o700, None)

    def finish(self, path: str, scratch: str, mode: int, xattrs: Xattrs, mtime_ns: int | None) -> Stamp:
        """Give a file written beside ``path`` its attributes, and the owner that its place suggests."""
        fd, name = self.parent(path)
        file = os.open(scratch, _LOOK, dir_fd=fd)
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                raise Moved(NOT_OURS)  # or another file would get the attributes
            write_xattrs(file, xattrs)
            self._adopt(fd, name, file)
            os.fchmod(file, mode)
            if mtime_ns is not None:
                os.utime(file, ns=(mtime_ns, mtime_ns))
            if self.durable:
                sync(file)
            return Stamp.of(os.fstat(file))
        finally:
            os.close(file)

    @staticmethod
    def _adopt(fd: int, name: str, file: int) -> None:
        """Give a new file what its forerunner had and no snapshot keeps: the ACL and, from root, the owner."""
        owner = os.fstat(fd)
        try:
            with open_regular(fd, name) as model:
                copy_acl(model, file)
                owner = os.fstat(model)
        except (OSError, Changed):
            pass  # nothing there: as its directory, and without an ACL
        if os.geteuid() == 0:
            os.fchown(file, owner.st_uid, owner.st_gid)

    def put(self, path: str, scratch: str, made: Stamp, expected: Stamp | None) -> Stamp | None:
        """Give a finished file or link, written beside under ``scratch``, its name.

        What had the name goes: a file or link as expected, or an empty
        directory. Raises ``Moved``, with nothing changed, when something else
        has it, or when the finished file is not as it was ``made``. The answer
        is ``None`` when it was changed as soon as it had its name.
        """
        fd, name = self.parent(path)
        if not alike(Stamp.of(os.stat(scratch, dir_fd=fd, follow_symlinks=False)), made):
            raise Moved(NOT_OURS)
        if expected is not None or not _given(fd, scratch, name):
            self._replace(fd, scratch, name, expected)
        now = Stamp.of(os.stat(name, dir_fd=fd, follow_symlinks=False))
        return now if alike(now, made) else None

    def _replace(self, fd: int, scratch: str, name: str, expected: Stamp | None) -> None:
        present = status_of(fd, name)
        if present is None or not stat.S_ISDIR(present.st_mode):
            self._check(fd, name, present, expected)
        if present is None:
            if not _given(fd, scratch, name):
                raise Moved(CHANGED)
        else:
            with self._losing_a_name(fd, name, present, expected):
                take_place(fd, scratch, name, self.scratch(), present)

    def discard(self, path: str, scratch: str, made: Stamp | None = None) -> None:
        """Remove what was written beside a path and is not wanted any more, unless it is not what was made."""
        with suppress(OSError, CheckpointError):
            fd, _ = self.parent(path)
            present = os.stat(scratch, dir_fd=fd, follow_symlinks=False)
            if made is None or present.st_ino == made.inode:
                os.unlink(scratch, dir_fd=fd)

    def delete(self, path: str, expected: Stamp | None) -> None:
        """Remove a file or link that is as expected; one that is gone already is fine."""
        fd, name = self.parent(path)
        present = status_of(fd, name)
        if present is None:
            return
        if expected is None:
            raise Moved("it appeared meanwhile")
        self._check(fd, name, present, expected)
        with self._losing_a_name(fd, name, present, expected):
            take_away(fd, name, self.scratch(), present)

    def delete_directory(self, path: str) -> None:
        """Remove an empty directory. Raises ``Moved`` when it is not empty."""
        fd, name = self.parent(path)
        try:
            os.rmdir(name, dir_fd=fd)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno in FILLED or error.errno == errno.ENOTDIR:
                raise Moved("it is not empty: it holds paths no snapshot has") from error
            raise
        self._last.pop(path, None)

    def set_attributes(self, path: str, mode: int, xattrs: Xattrs, expected: Stamp | None) -> Stamp | None:
        """Change a file's mode, or one attribute; ``None``, with nothing changed, when it must be replaced.

        That is when it has other names, when it is read-only, and when more than
        one thing differs: killed in between, it would be half old and half new.
        """
        fd, name = self.parent(path)
        file = os.open(name, _LOOK, dir_fd=fd)
        try:
            status = os.fstat(file)
            self._check(fd, name, status, expected)
            attributes = {name for name, _ in {*read_xattrs(file)} ^ {*xattrs}}
            read_only = status.st_mode & 0o200 == 0 and attributes
            if status.st_nlink > 1 or read_only or len(attributes) + (stat.S_IMODE(status.st_mode) != mode) > 1:
                return None
            write_xattrs(file, xattrs)
            os.fchmod(file, mode)
            return Stamp.of(os.fstat(file))
        finally:
            os.close(file)

    def same_entry(self, one: str, other: str) -> bool:
        """Whether two paths are spellings of one entry, where the filesystem does not tell them apart.

        A file with two names is not meant: its names are both listed.
        """
        identities = []
        for path in (one, other):
            try:
                fd, name = self.parent(path)
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except OSError:
                return False
            identities.append((os.fstat(fd).st_ino, status.st_dev, status.st_ino))
        if identities[0] != identities[1]:
            return False
        return one.rpartition("/")[2] == name or other_spelling(fd, name) is not None

    def respell(self, old: str, new: str, expected: Stamp | None) -> None:
        """Give an entry that is as expected (``None``: a directory) the last name of another path that means it."""
        fd, name = self.parent(new)
        before = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if not stat.S_ISDIR(before.st_mode):
            self._check(fd, name, before, expected)
        last = old.rpartition("/")[2]
        if last != name:
            respell(fd, last, name, note=self.scratch(), aside=self.scratch())
        after = Stamp.of(os.stat(name, dir_fd=fd, follow_symlinks=False))
        if expected is not None and alike(after, Stamp.of(before)):
            self._relinked[before.st_ino] = (expected, after)

    def _check(self, fd: int, name: str, present: os.stat_result | None, expected: Stamp | None) -> None:
        if present is None and expected is not None:
            raise Moved("it was removed meanwhile")
        if present is None or Stamp.of(present) == expected:
            return
        if expected is None:
            self._refuse_other_spelling(fd, name)
        if expected is None or self._relinked.get(present.st_ino) != (expected, Stamp.of(present)):
            raise Moved(CHANGED)

    @staticmethod
    def _refuse_other_spelling(fd: int, name: str) -> None:
        other = other_spelling(fd, name)
        if other is not None:
            raise WorkspaceError(f"this filesystem does not tell it from {other!r}, which stands there")

    @contextmanager
    def _losing_a_name(self, fd: int, name: str, present: os.stat_result, expected: Stamp | None) -> Iterator[None]:
        """A file with several names gets a new ctime when we take one away; its other names are still as expected."""
        if expected is None or present.st_nlink < 2 or not stat.S_ISREG(present.st_mode):
            yield
            return
        file = os.open(name, _LOOK, dir_fd=fd)
        try:
            yield
            before, after = Stamp.of(present), Stamp.of(os.fstat(file))
            if alike(before, after):
                self._relinked[present.st_ino] = (expected, after)
        finally:
            os.close(file)


def _given(fd: int, scratch: str, name: str) -> bool:
    """Give something a name; whether that was free."""
    try:
        renames().rename_new(fd, scratch, name)
    except FileExistsError:
        return False
    return True
