"""Storing one snapshot's contents: cloned where that is worth it, packed where it is not."""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from hermes_checkpoints.contract import Entry, Kind, Reason, StoreError
from hermes_checkpoints.kit import Batch, LeaveOut, encode_node, publish, sync_all, sync_path
from hermes_checkpoints.kit.store.names import created_name
from hermes_checkpoints.kit.store.nodes import id_of
from hermes_checkpoints.kit.store.scratch import clean_scratch, empty_scratch
from hermes_checkpoints_cow.cloning import Placed, TooLargeToCopy, place_content
from hermes_checkpoints_cow.digests import Digest, digest_of
from hermes_checkpoints_cow.extents import share_all_blocks
from hermes_checkpoints_cow.hashing import Hashing
from hermes_checkpoints_cow.keys import Own, Packed, parse
from hermes_checkpoints_cow.opening import opened
from hermes_checkpoints_cow.sharing import BLOCK, LARGE, held_by, hurry, rounded
from hermes_checkpoints_cow.vault import DATA, Vault

# Cloning a just-written file waits for its write-back (120 us against 8 for a copy of 4 kB, 142 against 14
# for 64 kB), so a small changed file is copied. In a first snapshot most files are clean, and clones cost no space.
SMALL = 64 * 1024
# Up to here two contents of one size are compared byte by byte, and a clone is read for its digest; beyond, they are
# compared by asking whether they share their blocks.
COMPARED = 4 << 20
_CANNOT_STORE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EMFILE, errno.ENFILE})


class Storing(Batch):
    """One batch: a directory in ``scratch``, moved into the vault when it is complete and on the medium."""

    takes_any_size = True

    def __init__(self, vault: Vault, snapshots: Path, scratch: Path, limit: int, *, first: bool) -> None:
        self._vault = vault
        self._snapshots = snapshots
        self._scratch = scratch
        self._limit = limit
        self._clone_small = first
        self._batch = os.urandom(8)
        self._home = scratch / self._batch.hex()
        self._opened = -1
        self._data = -1
        self._end = 0
        self._began = 0
        self._hashing = Hashing()
        self._keys: list[bytes | Own] = []
        self._undo: Own | Packed | None = None
        self._announced = 0  # of the copy that ``_undo`` names
        self._replaced: dict[Own, int] = {}
        """Clones that the workspace does not have any more, with their sizes."""

    def _open(self) -> int:
        """The batch's directory, made when there is something to store: an unchanged turn writes nothing."""
        if self._opened < 0:
            with self._storing():
                clean_scratch(self._scratch)
                self._home.mkdir(mode=0o700)
                self._opened = os.open(self._home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                self._began = os.fstat(self._opened).st_mtime_ns
        return self._opened

    @contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"cannot store in {self._scratch}: {error.strerror}. Earlier snapshots are untouched."
            ) from error

    def add(self, fd: int, size: int, before: Entry | None) -> None:
        self._undo = None
        self._announced = 0
        if before is not None and before.kind is Kind.FILE and before.size == size and self._same(fd, size, before.key):
            self._keys.append(before.key)
            return
        packed = size <= SMALL and not self._clone_small and self._may_copy(size)
        where = self._pack(_read(fd, size)) if packed else self._place(fd, size)
        self._undo = where
        self._keys.append(where if isinstance(where, Own) and not where.digest else where.key())
        self.stored += 1
        self.cloned += isinstance(where, Own) and where.cloned

    def _same(self, fd: int, size: int, key: bytes) -> bool:
        stored = parse(key)
        if isinstance(stored, Packed):
            return digest_of(_read(fd, size)) == stored.digest
        try:
            with self._vault.opened(stored) as other:
                if size <= COMPARED or not stored.cloned:
                    return _equal(fd, other)
                return share_all_blocks(fd, other)
        except StoreError:
            return False  # stored anew

    def _place(self, fd: int, size: int) -> Own:
        number = len(self._keys)
        copied = Digest()
        try:
            placed = place_content(
                fd, self._open(), str(number), mode=0o400, may_copy=self._room_to_copy, copied=copied.update
            )
        except TooLargeToCopy as error:
            raise LeaveOut(Reason.TOO_LARGE) from error
        except OSError as error:
            self.growing(-self._announced)
            if error.errno in _CANNOT_STORE:
                with self._storing():
                    raise
            raise
        if placed is Placed.COPIED and size <= SMALL:
            self._clone_small = False  # no clones here: packing small files is faster than a file for each
        if placed is Placed.COPIED:
            return Own(self._batch, number, cloned=False, digest=copied.digest())
        digest = self._hashing.add(number, self._cloned(fd, size, str(number)))
        return Own(self._batch, number, cloned=True, digest=digest)

    def _cloned(self, fd: int, size: int, name: str) -> bytes | None:
        """What was cloned from an open file a moment ago; ``None`` for a large one."""
        if size > COMPARED:
            return None
        source = os.fstat(fd)
        if max(source.st_mtime_ns, source.st_ctime_ns) < self._began:
            # From the source, which is in memory more often. Whoever writes to it after the clone gives it another
            # time (the clock of the filesystem has moved on since), which the kit sees when it looks again.
            return _read(fd, size)
        with opened(self._home / name) as stored:
            return _read(stored, size)

    def _room_to_copy(self, size: int) -> bool:
        """Asked when a clone is not possible, before anything of the copy is written."""
        if self._may_copy(size):
            self._announced = rounded(size)
            self.growing(self._announced)
            return True
        return False

    def _may_copy(self, size: int) -> bool:
        return self.any_size or not self._limit or size <= self._limit

    def _pack(self, data: bytes) -> Packed:
        where = Packed(self._batch, self._end, len(data), digest_of(data))
        self.growing(len(data))
        with self._storing():
            if self._data < 0:
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                self._data = os.open(DATA, flags, 0o400, dir_fd=self._open())
            view = memoryview(data)
            while view:
                written = os.pwrite(self._data, view, self._end)
                self._end += written
                view = view[written:]
        return where

    def drop(self) -> None:
        self._keys.pop()
        if isinstance(self._undo, Own):
            os.unlink(str(self._undo.number), dir_fd=self._open())
            self.growing(-self._announced)
        elif isinstance(self._undo, Packed):
            self._end = self._undo.offset
            self.growing(-self._undo.length)
        if self._undo is not None:
            self.stored -= 1
            self.cloned -= isinstance(self._undo, Own) and self._undo.cloned

    def replaced(self, before: Entry) -> None:
        where = parse(before.key)
        if isinstance(where, Own) and where.cloned:
            if not self._replaced:
                hurry(self._vault.batches)
            self._replaced[where] = before.size

    def _no_longer_shared(self) -> int:
        """Bytes of clones that the workspace had as well until now. Asked last: see ``hurry``."""
        total = 0
        for where, size in self._replaced.items():
            if size < LARGE:  # nothing to open: after `rm -rf` there are thousands
                total += rounded(size)
                continue
            with suppress(StoreError), self._vault.opened(where) as fd, self._storing():
                total += held_by(fd).own
        return total

    def keys(self) -> list[bytes]:
        digests = self._hashing.digests()
        return [key if isinstance(key, bytes) else _with_digest(key, digests).key() for key in self._keys]

    def node(self, entries: Mapping[str, Entry]) -> bytes:
        return self._pack(encode_node(entries)).key()

    def publish(self, header: bytes, created_ns: int, root: bytes) -> str | None:
        snapshot = id_of(header)
        if snapshot is None:
            return None
        self.growing(rounded(self._end) - self._end + BLOCK + self._no_longer_shared())
        self._open()
        with self._storing():
            if self._data >= 0:
                os.ftruncate(self._data, self._end)
            # By path: Btrfs lists through an open descriptor only what was there when it was opened.
            if names := os.listdir(self._home):
                sync_all(names, self._home)
                self._home.rename(self._vault.batches / self._home.name)
                sync_path(self._vault.batches)
            if not self._snapshots.is_dir():
                self._snapshots.mkdir(mode=0o700, exist_ok=True)
                sync_path(self._snapshots.parent)
        publish(self._snapshots / created_name(created_ns, snapshot), header, scratch=self._scratch)
        return snapshot

    def abandon(self) -> None:
        self._hashing.close()
        if self._opened < 0:
            return
        for fd in (self._data, self._opened):
            if fd >= 0:
                os.close(fd)
        self._data = self._opened = -1
        empty_scratch(self._scratch)


def _with_digest(where: Own, digests: Mapping[int, bytes]) -> Own:
    return Own(where.batch, where.number, where.cloned, digests.get(where.number, b""))


def _equal(one: int, other: int) -> bool:
    offset = 0
    while block := os.pread(one, COMPARED, offset):
        if _stored(other, len(block), offset) != block:
            return False
        offset += len(block)
    return _stored(other, 1, offset) == b""


def _stored(fd: int, size: int, offset: int) -> bytes | None:
    """Stored bytes; ``None`` when the medium does not give them back: the file is then stored anew, not left out."""
    try:
        return os.pread(fd, size, offset)
    except OSError:
        return None


def _read(fd: int, size: int) -> bytes:
    """A small file from its beginning to its end, whatever its size has become."""
    data = os.pread(fd, size + 1, 0)
    while len(data) != size and (more := os.pread(fd, COMPARED, len(data))):
        data += more
    return data
