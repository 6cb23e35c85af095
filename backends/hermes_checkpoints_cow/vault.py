"""The files of the store: batches of contents, each in a directory of its own.

``batches/<batch>/data`` holds small contents and directories one after another;
``batches/<batch>/<number>`` a larger content, mode 0400, never a hard link.
"""

import io
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hermes_checkpoints.contract import Entry, StoreDamaged, StoreError
from hermes_checkpoints_cow.digests import digest_of, digest_of_file, recorded
from hermes_checkpoints_cow.keys import Own, Packed, parse
from hermes_checkpoints_cow.opening import opened, unreadable

DATA = "data"


class Vault:
    """Reads contents by their keys. No byte that a snapshot leans on is ever changed, but to put back what it was."""

    def __init__(self, home: Path) -> None:
        self.batches = home / "batches"

    def batch(self, where: Own | Packed) -> Path:
        return self.batches / where.batch.hex()

    def path(self, where: Own | Packed) -> Path:
        return self.batch(where) / (DATA if isinstance(where, Packed) else str(where.number))

    @contextmanager
    def opened(self, where: Own | Packed) -> Iterator[int]:
        """A descriptor of the file that holds a content.

        Raises ``StoreDamaged``; ``StoreError`` where it may only be us who cannot read it now.
        """
        with ExitStack() as stack:
            with self._reading(where):
                fd = stack.enter_context(opened(self.path(where)))
            yield fd

    def packed(self, where: Packed) -> bytes:
        """Bytes of a ``data`` file, checked. Raises ``StoreDamaged``."""
        with self.opened(where) as fd, self._reading(where):
            data = os.pread(fd, where.length, where.offset)
        if digest_of(data) != where.digest:
            raise self._altered(where)
        return data

    def present(self, entry: Entry) -> None:
        """Raise ``StoreDamaged`` unless a content is there with its size; it is not read."""
        where = parse(entry.key)
        with self.opened(where) as fd:
            self._check_size(where, fd, entry.size)

    @contextmanager
    def intact(self, entry: Entry) -> Iterator[int]:
        """A descriptor, at its beginning, of the file of a content that was found to be what was stored.

        Read for that as a whole. Of a large clone that nobody has read yet only
        the size is known. Raises ``StoreDamaged``.
        """
        where = parse(entry.key)
        assert isinstance(where, Own)
        with self.opened(where) as fd:
            self._check_size(where, fd, entry.size)
            known = self.known(where)
            if known and self.digest(where, fd) != known:
                raise self._altered(where)
            yield fd

    def check(self, where: Own | Packed, data: bytes | memoryview, size: int) -> None:
        """Raise ``StoreDamaged`` unless these are the bytes, ``size`` of them, that were stored with a digest."""
        if len(data) != size:
            raise self._cut(where)
        if digest_of(data) != where.digest:
            raise self._altered(where)

    def known(self, where: Own) -> bytes:
        """The digest of what was stored, or was there when it was first read; empty where nobody knows."""
        if where.digest:
            return where.digest
        with suppress(StoreError):  # which costs no content anything
            return recorded(self.batch(where)).get(where.number, b"")
        return b""

    def digest(self, where: Own, fd: int) -> bytes:
        """The digest of what is there. Raises ``StoreDamaged`` when it cannot be read."""
        with self._reading(where):
            return digest_of_file(fd)

    def stream(self, entry: Entry) -> BinaryIO:
        """A content to read. Raises ``StoreDamaged``, and so does reading it."""
        where = parse(entry.key)
        if isinstance(where, Packed):
            return io.BytesIO(self.packed(where))
        with self.intact(entry) as fd:
            return io.BufferedReader(_Stored(os.dup(fd)))

    def _check_size(self, where: Own | Packed, fd: int, size: int) -> None:
        status = os.fstat(fd)
        whole = status.st_size == size if isinstance(where, Own) else status.st_size >= where.offset + where.length
        if not whole:
            raise self._cut(where)

    def _cut(self, where: Own | Packed) -> StoreDamaged:
        return StoreDamaged(f"{self.path(where)} has another size than was stored. Nothing was changed.")

    def _altered(self, where: Own | Packed) -> StoreDamaged:
        return StoreDamaged(f"{self.path(where)} has other bytes than were stored. Nothing was changed.")

    @contextmanager
    def _reading(self, where: Own | Packed) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unreadable(self.path(where), error) from error


class _Stored(io.FileIO):
    """A stored file whose errors are those of a damaged store."""

    def readinto(self, buffer: "bytearray | memoryview", /) -> int | None:  # type: ignore[override]
        with _as_damage():
            return super().readinto(buffer)

    def readall(self) -> bytes:
        with _as_damage():
            return super().readall()


@contextmanager
def _as_damage() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unreadable("a stored content", error) from error
