"""Reading many stored contents one after another, in few calls, each checked against its digest."""

import errno
import os
from contextlib import suppress

from hermes_checkpoints.kit.store.plain import open_plain
from hermes_checkpoints_cow.copying import BLOCK
from hermes_checkpoints_cow.keys import Own, Packed
from hermes_checkpoints_cow.opening import unreadable
from hermes_checkpoints_cow.vault import DATA, Vault

# Files that the disk is asked for at once: the numbers of those of one directory are near each other.
_AHEAD = 64
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Reading:
    """Contents of a vault; the batch of the last one stays open, as the next one is mostly in the same."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._batch = b""
        self._directory = -1
        self._data = -1
        self._waiting: dict[int, int] = {}
        """Descriptors of files that the disk was asked for, by number."""
        self._asked: set[int] = set()
        self._buffer = memoryview(bytearray(BLOCK + 1))

    def packed(self, where: Packed) -> bytes:
        """As ``Vault.packed``."""
        try:
            self._enter(where.batch)
            if self._data < 0:
                self._data = open_plain(DATA, dir_fd=self._directory)
            data = os.pread(self._data, where.length, where.offset)
        except OSError as error:
            raise unreadable(self._vault.path(where), error) from error
        self._vault.check(where, data, where.length)
        return data

    def opened(self, where: Own, size: int) -> tuple[int, memoryview]:
        """A descriptor, to be closed, of the file of a content with a digest, and its bytes.

        They are at most ``BLOCK``, and good until the next question. Linux only. Raises like ``Vault.opened``.
        """
        fd = -1
        try:
            try:
                self._enter(where.batch)
                asked = self._waiting.pop(where.number, -1)
                fd = asked if asked >= 0 else open_plain(str(where.number), dir_fd=self._directory)
                data = self._read(fd, where.number, size)
            except OSError as error:
                raise unreadable(self._vault.path(where), error) from error
            self._vault.check(where, data, size)
        except BaseException:
            if fd >= 0:
                os.close(fd)
            raise
        return fd, data

    def _read(self, fd: int, number: int, size: int) -> memoryview:
        buffer = self._buffer[: size + 1]
        with suppress(OSError):
            # As many bytes as are wanted may be in memory of a file that has become longer.
            if os.preadv(fd, [buffer], 0, os.RWF_NOWAIT) == size == os.fstat(fd).st_size:
                return buffer[:size]
        self._ask_for(number)
        return buffer[: os.preadv(fd, [buffer], 0)]

    def _ask_for(self, number: int) -> None:
        """Have the disk begin to read what is near: a clone's content is in memory only once somebody has read it."""
        group = number // _AHEAD
        if group in self._asked:
            return
        self._asked.add(group)
        self._let_go()
        for near in range(group * _AHEAD, (group + 1) * _AHEAD):
            if near == number:
                continue
            try:
                self._waiting[near] = fd = open_plain(str(near), dir_fd=self._directory)
                os.posix_fadvise(fd, 0, BLOCK, os.POSIX_FADV_WILLNEED)
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):  # others need them, too
                    self._let_go()
                    return

    def _enter(self, batch: bytes) -> None:
        if batch != self._batch:
            self.close()
            self._directory = os.open(self._vault.batches / batch.hex(), _DIRECTORY)
            self._batch = batch

    def _let_go(self) -> None:
        for fd in self._waiting.values():
            os.close(fd)
        self._waiting.clear()

    def close(self) -> None:
        self._let_go()
        for fd in (self._data, self._directory):
            if fd >= 0:
                os.close(fd)
        self._data = self._directory = -1
        self._batch = b""
        self._asked.clear()
