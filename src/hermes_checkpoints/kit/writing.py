"""Changing a tree safely: beside and renamed over, through directory descriptors only."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from hermes_checkpoints.contract import Stamp, WorkspaceError, split_path
from hermes_checkpoints.kit.store.publish import sync
from hermes_checkpoints.kit.walk.attributes import Xattrs, copy_acl, read_xattrs, write_xattrs
from hermes_checkpoints.kit.walk.descent import Descent
from hermes_checkpoints.kit.walk.reading import SCRATCH_PREFIX, Changed, open_regular, status_of

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_BLOCK = 1 << 20


class Moved(Exception):
    """A path is not any more what the safety snapshot saw; it was left as it is."""


def write_new_file(dir_fd: int, name: str, content: BinaryIO, mode: int = 0o600) -> None:
    """Create a file with this content; on failure nothing is left under its name."""
    fd = os.open(name, _NEW, mode, dir_fd=dir_fd)
    try:
        with os.fdopen(fd, "wb", 0) as file:
            while block := content.read(_BLOCK):
                view = memoryview(block)
                while view:
                    view = view[file.write(view) :]
    except BaseException:
        os.unlink(name, dir_fd=dir_fd)
        raise


@contextmanager
def workspace_errors(what: str) -> Iterator[None]:
    """Foreign errors of writing to a workspace cross into our tree here; a taken name stays what it is."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise WorkspaceError(f"cannot write {what}: {error.strerror}") from error


def scratch_name() -> str:
    return SCRATCH_PREFIX + secrets.token_hex(8)


class TreeWriter:
    """Writes below one directory.

    A path is reached component by component without following symlinks. A
    directory that its owner may not write to is opened up for the while, and
    gets its mode back in ``close``, deepest first.
    """

    def __init__(self, root: Path, *, durable: bool = True) -> None:
        self.durable = durable
        """Whether each file is on the medium before it takes its name; else the caller syncs once at the end."""
        self._descent = Descent(str(root))
        self._last: dict[str, tuple[int, int | None]] = {}
        self._relinked: dict[int, tuple[Stamp, Stamp]] = {}

    def parent(self, path: str) -> tuple[int, str]:
        """The descriptor of the directory that holds a path, made writable, and the path's last name."""
        parts = split_path(path)
        self._descent.go(parts[:-1])
        self._open_up("/".join(parts[:-1]))
        return self._descent.fd, parts[-1]

    def _open_up(self, directory: str) -> None:
        mode = stat.S_IMODE(os.fstat(self._descent.fd).st_mode)
        if mode & 0o300 != 0o300:
            with suppress(PermissionError):  # not ours: the write itself will say so
                os.fchmod(self._descent.fd, mode | 0o700)
                self._last.setdefault(directory, (mode, None))

    def make_directory(self, path: str, expected: Stamp | None) -> None:
        """Create a directory; what stood there (a file or link, as expected) goes only after.

        ``set_directory`` gives it its mode; until then it is the owner's alone.
        """
        fd, name = self.parent(path)
        present = status_of(fd, name)
        if present is not None and stat.S_ISDIR(present.st_mode):
            return
        self._check(present, expected)
        aside = scratch_name()
        if present is not None:
            os.rename(name, aside, src_dir_fd=fd, dst_dir_fd=fd)
        try:
            os.mkdir(name, 0o700, dir_fd=fd)
        except BaseException:
            if present is not None:
                os.rename(aside, name, src_dir_fd=fd, dst_dir_fd=fd)
            raise
        if present is not None:
            with self._losing_a_name(fd, aside, expected):
                os.unlink(aside, dir_fd=fd)
        self._last[path] = (0o700, None)

    def finish(self, path: str, scratch: str, mode: int, xattrs: Xattrs, mtime_ns: int | None) -> None:
        """Give a file written beside ``path`` its attributes, and the owner that its place suggests."""
        fd, name = self.parent(path)
        file = os.open(scratch, _LOOK, dir_fd=fd)
        try:
            write_xattrs(file, xattrs)
            self._adopt(fd, name, file)
            os.fchmod(file, mode)
            if mtime_ns is not None:
                os.utime(file, ns=(mtime_ns, mtime_ns))
            if self.durable:
                sync(file)
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

    def put(self, path: str, scratch: str, expected: Stamp | None) -> Stamp:
        """Rename a finished file or link, written beside under ``scratch``, over its target.

        Raises ``Moved`` when the target is not what was expected (``None``:
        nothing). An empty directory in its place is removed first.
        """
        fd, name = self.parent(path)
        present = status_of(fd, name)
        if present is not None and stat.S_ISDIR(present.st_mode):
            try:
                os.rmdir(name, dir_fd=fd)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    raise Moved("a directory stands there that holds paths no snapshot has") from error
                raise
        else:
            self._check(present, expected)
        with self._losing_a_name(fd, name, expected):
            os.rename(scratch, name, src_dir_fd=fd, dst_dir_fd=fd)
        return Stamp.of(os.stat(name, dir_fd=fd, follow_symlinks=False))

    def discard(self, path: str, scratch: str) -> None:
        """Remove what was written beside a path and is not wanted any more."""
        with suppress(OSError):
            fd, _ = self.parent(path)
            os.unlink(scratch, dir_fd=fd)

    def delete(self, path: str, expected: Stamp | None) -> None:
        """Remove a file or link that is as expected; one that is gone already is fine."""
        fd, name = self.parent(path)
        present = status_of(fd, name)
        if present is None:
            return
        if expected is None:
            raise Moved("it appeared meanwhile")
        self._check(present, expected)
        with self._losing_a_name(fd, name, expected):
            os.unlink(name, dir_fd=fd)

    def delete_directory(self, path: str) -> None:
        """Remove an empty directory. Raises ``Moved`` when it is not empty."""
        fd, name = self.parent(path)
        try:
            os.rmdir(name, dir_fd=fd)
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise Moved("it is not empty: it holds paths no snapshot has") from error
            raise
        self._last.pop(path, None)

    def set_attributes(self, path: str, mode: int, xattrs: Xattrs, expected: Stamp | None) -> Stamp | None:
        """Give a file mode and attributes; ``None`` when it must be replaced: it has other names, or is read-only."""
        fd, name = self.parent(path)
        file = os.open(name, _LOOK, dir_fd=fd)
        try:
            status = os.fstat(file)
            self._check(status, expected)
            if status.st_nlink > 1 or (status.st_mode & 0o200 == 0 and read_xattrs(file) != xattrs):
                return None
            write_xattrs(file, xattrs)
            os.fchmod(file, mode)
            return Stamp.of(os.fstat(file))
        finally:
            os.close(file)

    def set_directory(self, path: str, mode: int, xattrs: Xattrs, mtime_ns: int | None = None) -> None:
        """Give a directory attributes now, and mode and time when the writer is closed."""
        parts = split_path(path) if path else ()
        self._descent.go(parts)
        self._open_up(path)
        write_xattrs(self._descent.fd, xattrs)
        self._last[path] = (mode, mtime_ns)

    def _check(self, present: os.stat_result | None, expected: Stamp | None) -> None:
        if present is None and expected is not None:
            raise Moved("it was removed meanwhile")
        if present is None or Stamp.of(present) == expected:
            return
        if expected is None or self._relinked.get(present.st_ino) != (expected, Stamp.of(present)):
            raise Moved("it changed after the safety snapshot was taken")

    @contextmanager
    def _losing_a_name(self, fd: int, name: str, expected: Stamp | None) -> Iterator[None]:
        """A file with several names gets a new ctime when we take one away; its other names are still as expected."""
        present = status_of(fd, name)
        if expected is None or present is None or present.st_nlink < 2 or not stat.S_ISREG(present.st_mode):
            yield
            return
        file = os.open(name, _LOOK, dir_fd=fd)
        try:
            yield
            before, after = Stamp.of(present), Stamp.of(os.fstat(file))
            if before == after._replace(ctime_ns=before.ctime_ns):
                self._relinked[present.st_ino] = (expected, after)
        finally:
            os.close(file)

    def close(self) -> None:
        """Give the directories their modes and times, deepest first."""
        try:
            for path in sorted(self._last, key=lambda path: (path != "", path.count("/")), reverse=True):
                mode, mtime_ns = self._last[path]
                with suppress(OSError):
                    self._descent.go(split_path(path) if path else ())
                    if mtime_ns is not None:
                        os.utime(self._descent.fd, ns=(mtime_ns, mtime_ns))
                    os.fchmod(self._descent.fd, mode)
            self._last.clear()
        finally:
            self._descent.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
