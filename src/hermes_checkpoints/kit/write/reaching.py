"""Reaching the directories of a tree that is being changed, whatever their modes are."""

import os
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from hermes_checkpoints.contract import WorkspaceError, split_path
from hermes_checkpoints.kit.store.publish import sync
from hermes_checkpoints.kit.walk.attributes import Xattrs, write_xattrs
from hermes_checkpoints.kit.walk.descent import Descent
from hermes_checkpoints.kit.walk.taking import GONE

Opened = Callable[[str, int], None]
"""Told of a directory and its mode before it is opened up."""


def tell_nobody(directory: str, mode: int) -> None:
    """For who does not want to know."""


def sync_directories(root: Path, directories: Iterable[str]) -> None:
    """Return when the names in these directories below a root are on the medium; those that are gone are passed over.

    Raises ``OSError`` when the medium fails.
    """
    with Descent(str(root)) as descent:
        for directory in directories:
            try:
                descent.go(split_path(directory) if directory else ())
            except WorkspaceError:
                continue
            except OSError as error:
                if error.errno in GONE:
                    continue
                raise
            sync(descent.fd)


class ReachedTree:
    """A tree whose paths are reached component by component without following symlinks.

    A directory that its owner may not write to is opened up for the while, and
    gets its mode back in ``close``, deepest first.
    """

    def __init__(self, root: Path, opened: Opened = tell_nobody) -> None:
        """``opened`` is told of each directory that is opened up, before it is."""
        self._descent = Descent(str(root))
        self._opened = opened
        self._last: dict[str, tuple[int, int | None]] = {}
        """The mode and time that directories get in the end."""
        self.troubles: dict[str, OSError] = {}
        """After ``close``: the directories that did not get them, and why."""

    def parent(self, path: str) -> tuple[int, str]:
        """The descriptor of the directory that holds a path, made writable, and the path's last name."""
        return self.descent_to(path).fd, path.rpartition("/")[2]

    def descent_to(self, path: str) -> Descent:
        """At the directory that holds a path, made writable; valid until the next path."""
        parts = split_path(path)
        self._descent.go(parts[:-1])
        self._open_up("/".join(parts[:-1]))
        return self._descent

    def _open_up(self, directory: str) -> None:
        mode = stat.S_IMODE(os.fstat(self._descent.fd).st_mode)
        if mode & 0o300 != 0o300:
            self._opened(directory, mode)
            with suppress(PermissionError):  # not ours: the write itself will say so
                os.fchmod(self._descent.fd, mode | 0o700)
                self._last.setdefault(directory, (mode, None))

    def set_directory(self, path: str, mode: int, xattrs: Xattrs, mtime_ns: int | None = None) -> None:
        """Give a directory attributes now, and mode and time when the writer is closed."""
        parts = split_path(path) if path else ()
        self._descent.go(parts)
        self._open_up(path)
        write_xattrs(self._descent.fd, xattrs)
        self.set_last(path, mode, mtime_ns)

    def set_last(self, path: str, mode: int, mtime_ns: int | None = None) -> None:
        """Give a directory its mode and time when the writer is closed."""
        self._last[path] = (mode, mtime_ns)

    def close(self) -> None:
        """Give the directories their modes and times, deepest first."""
        try:
            for path in sorted(self._last, key=lambda path: (path != "", path.count("/")), reverse=True):
                mode, mtime_ns = self._last[path]
                try:
                    self._descent.go(split_path(path) if path else ())
                    if mtime_ns is not None:
                        os.utime(self._descent.fd, ns=(mtime_ns, mtime_ns))
                    os.fchmod(self._descent.fd, mode)
                except WorkspaceError:
                    continue  # somebody moved it: it is not ours to change any more
                except OSError as error:
                    if error.errno not in GONE:
                        self.troubles[path] = error
            self._last.clear()
        finally:
            self._descent.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
