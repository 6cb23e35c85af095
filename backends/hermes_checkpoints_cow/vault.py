"""The files of the store: batches of contents, each in a directory of its own.

``batches/<batch>/data`` holds small contents and directories one after another;
``batches/<batch>/<number>`` a larger content, mode 0400, never a hard link.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from hermes_checkpoints.contract import StoreDamaged
from hermes_checkpoints_cow.keys import DIGEST_SIZE, Own, Packed, parse

DATA = "data"


def digest_of(data: bytes) -> bytes:
    return blake2b(data, digest_size=DIGEST_SIZE).digest()


class Vault:
    """Reads contents by their keys. No byte that a snapshot leans on is ever changed."""

    def __init__(self, home: Path) -> None:
        self.batches = home / "batches"

    def path(self, where: Own | Packed) -> Path:
        name = DATA if isinstance(where, Packed) else str(where.number)
        return self.batches / where.batch.hex() / name

    @contextmanager
    def opened(self, where: Own | Packed) -> Iterator[int]:
        """A descriptor of the file that holds a content. Raises ``StoreDamaged``."""
        try:
            fd = os.open(self.path(where), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise StoreDamaged(f"{self.path(where)} cannot be read: {error.strerror}. Nothing was changed.") from error
        try:
            yield fd
        finally:
            os.close(fd)

    def packed(self, where: Packed) -> bytes:
        """Bytes of a ``data`` file, checked. Raises ``StoreDamaged``."""
        with self.opened(where) as fd:
            data = os.pread(fd, where.length, where.offset)
        if digest_of(data) != where.digest:
            raise StoreDamaged(f"{self.path(where)} has other bytes than were stored. Nothing was changed.")
        return data

    def stream(self, key: bytes) -> BinaryIO:
        """A content to read. Raises ``StoreDamaged``."""
        where = parse(key)
        if isinstance(where, Packed):
            return BytesIO(self.packed(where))
        with self.opened(where) as fd:
            return os.fdopen(os.dup(fd), "rb")
