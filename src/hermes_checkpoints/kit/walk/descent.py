"""Going down and up a directory tree by file descriptors, never through a symlink."""

import os
from types import TracebackType
from typing import Self

from hermes_checkpoints.contract import WorkspaceError

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Open descriptors kept; deeper trees are climbed back through "..", as fts(3) does.
KEPT_OPEN = 64


def open_directory(name: str, dir_fd: int | None = None) -> int:
    """A descriptor of a directory; ``OSError`` when it is a symlink or anything else."""
    return os.open(name, DIRECTORY, dir_fd=dir_fd)


class Descent:
    """A position in a tree: the root, and the directories entered below it.

    Works for paths of any length, because each step names one component only,
    and for any depth with a bounded number of descriptors.
    """

    def __init__(self, root: str) -> None:
        """Raises ``OSError`` when the root is not a directory that can be opened."""
        # The root's own path is the caller's and may go through symlinks; what is below may not.
        self._fds: list[int | None] = [os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
        self._identities = [self._identity(self.fd)]
        self.names: list[str] = []

    @property
    def fd(self) -> int:
        """The current directory; valid until the next step."""
        fd = self._fds[-1]
        assert fd is not None
        return fd

    def enter(self, name: str) -> os.stat_result:
        """Step into a child and return its status; ``OSError`` and no step when it is not a directory."""
        fd = open_directory(name, self.fd)
        status = os.fstat(fd)
        self._fds.append(fd)
        self._identities.append((status.st_dev, status.st_ino))
        self.names.append(name)
        far = len(self._fds) - 1 - KEPT_OPEN
        if far > 0:
            above = self._fds[far]
            if above is not None:
                os.close(above)
                self._fds[far] = None
        return status

    def leave(self) -> None:
        """Step back up. Raises ``WorkspaceError`` when the tree was moved meanwhile."""
        if self._fds[-2] is None:
            above = os.open("..", DIRECTORY, dir_fd=self.fd)
            if self._identity(above) != self._identities[-2]:
                os.close(above)
                raise WorkspaceError(
                    f"{'/'.join(self.names)} was moved while it was read. Nothing was stored; try again."
                )
            self._fds[-2] = above
        os.close(self.fd)
        self._fds.pop()
        self._identities.pop()
        self.names.pop()

    def go(self, parts: tuple[str, ...]) -> None:
        """Move to another directory, by the shortest way. ``OSError`` leaves the position at the last one reached."""
        shared = 0
        for here, there in zip(self.names, parts, strict=False):
            if here != there:
                break
            shared += 1
        while len(self.names) > shared:
            self.leave()
        for name in parts[shared:]:
            self.enter(name)

    @staticmethod
    def _identity(fd: int) -> tuple[int, int]:
        status = os.fstat(fd)
        return status.st_dev, status.st_ino

    def close(self) -> None:
        while self._fds:
            fd = self._fds.pop()
            if fd is not None:
                os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
