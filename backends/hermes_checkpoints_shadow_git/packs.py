"""Storing many objects at once: hashed and deflated by two threads, kept in memory, written as whole packs."""

import contextlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from hermes_checkpoints.contract import Growing, StoreError, unbounded
from hermes_checkpoints_shadow_git.objects import object_id
from hermes_checkpoints_shadow_git.packfile import (
    FinishedPack,
    MemoryPack,
    Moved,
    pack_object,
    publish_packs,
    write_stream,
)
from hermes_checkpoints_shadow_git.packindexes import PackIndexes
from hermes_checkpoints_shadow_git.repository import Repository

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

__all__ = ["Moved", "PackWriter"]

_THREADS = 2
_BATCH = 64  # blobs a task; one at a time costs more in handing over than in hashing
_BATCH_BYTES = 4 << 20
_INLINE_BYTES = 256 << 10  # less than this is done before two threads have started
_IN_FLIGHT_BYTES = 16 << 20
_PACK_BYTES = 8 << 20  # what is rewritten as a whole when some of it is garbage, and needs that much room again

Prepared = tuple[bytes, bytes | None, int]
"""An object's id, its bytes in a pack (``None``: the store has it) and their crc32."""


class PackWriter:
    """Stores objects, each once, and makes them visible all together.

    Used by one thread, under the lock of the workspace that ``tmp_dir`` belongs
    to; temporary files lie only there. Whatever fails in the store raises
    ``StoreError``, and everything not yet published is given up: asking more of
    the writer raises ``StoreError``, too. Leaving the ``with`` block gives up
    what was not published.

    ``growing`` is told of what the packs take on the disk before they are
    written, file by file while they are filled; it may raise.

    Memory: 20 MiB waiting, 16 MiB at the two threads, 8 MiB of pack, when no
    blob has more than 16 MiB; larger ones belong to :meth:`add_stream`.
    """

    def __init__(
        self, repository: Repository, indexes: PackIndexes, tmp_dir: Path, growing: Growing = unbounded
    ) -> None:
        self._target = repository.packs
        self._growing = growing
        self._indexes = indexes
        self._tmp = tmp_dir
        self._abandoned = False
        self._pool: ThreadPoolExecutor | None = None
        self.new_blobs = 0
        """Contents stored that the repository did not have; right after ``oids``."""
        self._oids: list[bytes] = []  # by running number; b"" until it is known
        # The newest add can be taken back: it is held here until the next one comes.
        self._last: int | None = None
        self._last_stream: tuple[bytes, FinishedPack] | None = None
        self._waiting: list[tuple[int, bytes]] = []
        self._waiting_bytes = 0
        self._working: deque[tuple[list[int], int, Future[list[Prepared]]]] = deque()
        self._pack = MemoryPack()
        self._written: set[bytes] = set()
        self._finished: list[FinishedPack] = []
        indexes.refresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abandon()

    def add_blob(self, data: bytes) -> int:
        """Store a file's content; its running number, from 0."""
        self._settle()
        self._waiting.append((self._number(), data))
        self._waiting_bytes += len(data)
        return len(self._oids) - 1

    def add_stream(self, fd: int, size: int) -> int:
        """Store the content of a large file, read from its beginning 1 MiB at a time; its running number.

        Raises ``Moved`` when it has not exactly ``size`` bytes, and ``OSError``
        when it cannot be read; nothing is kept of it then, and the writer goes on.
        """
        self._settle()
        with self._giving_up():
            self._last_stream = oid, _ = write_stream(fd, size, self._tmp, self._growing)
            if oid in self._written or oid in self._indexes:
                self._drop_stream()
        self._number(oid)
        return len(self._oids) - 1

    def drop_last(self) -> None:
        """Take the newest ``add_blob`` or ``add_stream`` back, and its number; right after it only."""
        assert self._last is not None, "something else was asked of the writer since the last add"
        self._oids.pop()
        if self._last_stream is not None:
            self._drop_stream()
        elif self._waiting and self._waiting[-1][0] == self._last:
            self._waiting_bytes -= len(self._waiting.pop()[1])
        self._last = None

    def _drop_stream(self) -> None:
        assert self._last_stream is not None
        pack = self._last_stream[1]
        pack.remove()
        self._last_stream = None
        self._growing(-pack.size)

    def oids(self) -> list[bytes]:
        """The ids of everything added so far, in the order of the running numbers. Waits for the threads."""
        self._settle()
        with self._giving_up():
            self._drain()
        return self._oids[:]

    def add_object(self, kind: bytes, data: bytes) -> bytes:
        """Store a tree, a commit or a small blob now; its id. Takes no running number."""
        self._settle()
        oid = object_id(kind, data)
        with self._giving_up():
            if oid not in self._written and oid not in self._indexes:
                self._keep(oid, *pack_object(kind, data))
        return oid

    def publish(self) -> None:
        """Make everything added so far durable, and then visible to git and every other reader.

        Killed before it returns, it may have made some of the packs visible:
        whole ones, of objects that nothing names yet.
        """
        self._settle()
        with self._giving_up():
            self._drain()
            self._publish()

    def abandon(self) -> None:
        """Remove what was not published. Safe to call twice."""
        self._abandoned = True
        self._stop()
        for finished in self._finished:
            finished.remove()
        if self._last_stream is not None:
            self._last_stream[1].remove()
        self._last_stream = None
        self._finished.clear()
        self._working.clear()
        self._waiting.clear()
        self._pack = MemoryPack()

    # -- running numbers and the newest add

    def _number(self, oid: bytes = b"") -> int:
        self._last = len(self._oids)
        self._oids.append(oid)
        return self._last

    def _settle(self) -> None:
        """The newest add can no longer be taken back."""
        if self._abandoned:
            raise StoreError("The objects of this snapshot were given up after an earlier failure. None was changed.")
        self._last = None
        if self._last_stream is not None:
            oid, finished = self._last_stream
            self._last_stream = None
            self.new_blobs += 1
            self._written.add(oid)
            self._finished.append(finished)
        if len(self._waiting) >= _BATCH or self._waiting_bytes >= _BATCH_BYTES:
            with self._giving_up():
                self._submit()

    # -- the two threads

    def _submit(self) -> None:
        size = self._waiting_bytes
        while self._working and sum(busy for _, busy, _ in self._working) + size > _IN_FLIGHT_BYTES:
            self._collect()
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor  # 5 ms that a turn with a few small files does not need

            self._pool = ThreadPoolExecutor(_THREADS, "shadow-git")
        numbers = [number for number, _ in self._waiting]
        task = self._pool.submit(self._prepare, [data for _, data in self._waiting])
        self._waiting, self._waiting_bytes = [], 0
        self._working.append((numbers, size, task))
        while self._working[0][2].done() and len(self._working) > 1:
            self._collect()

    def _collect(self) -> None:
        numbers, _, task = self._working.popleft()
        self._take_in(numbers, task.result())

    def _drain(self) -> None:
        if self._waiting and (self._working or self._waiting_bytes > _INLINE_BYTES):
            self._submit()
        while self._working:
            self._collect()
        numbers = [number for number, _ in self._waiting]
        blobs = [data for _, data in self._waiting]
        self._waiting, self._waiting_bytes = [], 0
        self._take_in(numbers, self._prepare(blobs))

    def _prepare(self, blobs: list[bytes]) -> list[Prepared]:
        """Run in the threads. ``_written`` only grows, so a stale look at it costs work and nothing else."""
        return [self._prepare_one(data) for data in blobs]

    def _prepare_one(self, data: bytes) -> Prepared:
        oid = object_id(b"blob", data)
        if oid in self._written or oid in self._indexes:
            return oid, None, 0
        return oid, *pack_object(b"blob", data)

    def _take_in(self, numbers: list[int], objects: list[Prepared]) -> None:
        for number, (oid, packed, crc) in zip(numbers, objects, strict=True):
            self._oids[number] = oid
            if packed is not None and oid not in self._written:
                self.new_blobs += 1
                self._keep(oid, packed, crc)

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    # -- packs

    def _keep(self, oid: bytes, packed: bytes, crc: int) -> None:
        self._written.add(oid)
        before = self._pack.disk_size
        self._pack.add(oid, packed, crc)
        if (more := self._pack.disk_size - before) > 0:
            self._growing(more)
        if self._pack.size > _PACK_BYTES:
            self._finish()

    def _finish(self) -> None:
        """Write the pack in memory to temporary files."""
        pack, self._pack = self._pack, MemoryPack()
        if pack.entries:
            self._finished.append(pack.write(self._tmp))

    def _publish(self) -> None:
        self._stop()
        self._finish()
        if not self._finished:
            return
        publish_packs(self._finished, self._target)
        self._finished.clear()
        self._indexes.refresh()

    @contextlib.contextmanager
    def _giving_up(self) -> Iterator[None]:
        """After a failure, objects that were promised are missing: none of the rest may be published."""
        try:
            yield
        except (Moved, OSError):
            raise  # the caller's file is the matter; what fails in the store is a StoreError
        except BaseException:
            self.abandon()
            raise
