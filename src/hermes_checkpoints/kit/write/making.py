"""New files of a workspace, and the errors of writing to it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from hermes_checkpoints.contract import WorkspaceError

_NEW = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 1 << 20


def write_new_file(dir_fd: int, name: str, content: BinaryIO, mode: int = 0o600) -> None:
    """Create a file with this content; on failure nothing is left under its name."""
    fd = os.open(name, os.O_WRONLY | _NEW, mode, dir_fd=dir_fd)
    try:
        with os.fdopen(fd, "wb", 0) as file:
            while block := content.read(_BLOCK):
                view = memoryview(block)
                while view:
                    view = view[file.write(view) :]
    except BaseException:
        os.unlink(name, dir_fd=dir_fd)
        raise


def _by_writing(fd: int) -> bool:
    """Nothing else was done."""
    return False


def make_file(
    dir_fd: int, name: str, data: bytes | memoryview, mode: int, fill: Callable[[int], bool] = _by_writing
) -> int:
    """Create a file with these bytes; a descriptor of it, open for reading and writing.

    Its mode is ``mode`` or fewer bits. ``fill`` may give it the same bytes in
    another way, and answers whether it did. On failure nothing is left under
    its name. Raises like ``workspace_errors``.
    """
    try:  # not `workspace_errors`: it is 2 us for each of many files
        fd = os.open(name, os.O_RDWR | _NEW, mode, dir_fd=dir_fd)
        try:
            if not fill(fd):
                written = 0
                while written < len(data):
                    written += os.pwrite(fd, memoryview(data)[written:], written)
        except BaseException:
            os.close(fd)
            with suppress(OSError):  # the first failure is the one to tell
                os.unlink(name, dir_fd=dir_fd)
            raise
    except FileExistsError:
        raise
    except OSError as error:
        raise WorkspaceError(f"cannot write {name}: {error.strerror}") from error
    return fd


@contextmanager
def workspace_errors(what: str) -> Iterator[None]:
    """Foreign errors of writing to a workspace cross into our tree here; a taken name stays what it is."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise WorkspaceError(f"cannot write {what}: {error.strerror}") from error
