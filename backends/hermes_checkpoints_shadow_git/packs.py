"""Storing many objects at once: hashed and deflated, large ones in threads, kept in memory, written as whole packs."""

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

# From this size on a content is hashed and deflated beside the walk. A smaller one is done before it is handed over:
# with all of 5,000 files of 10 kB in two threads, or in portions, waiting for the interpreter doubles the time on
# the processor and saves none; of source code this way saves a third (files of 32 kB and more are half its bytes).
_LARGE = 32 << 10
_IN_FLIGHT_BYTES = 16 << 20
_THREADS = 2  # one waits for the disk with a pack, the other goes on
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

    Memory: 16 MiB the newest blob, 32 MiB at the threads, two times 8 MiB of
    pack, when no blob has more than 16 MiB; larger ones belong to
    :meth:`add_stream`.
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
        self._last_blob: bytes | None = None
        self._working: deque[tuple[int, int, Future[Prepared]]] = deque()
        self._working_bytes = 0
        self._pack = MemoryPack()
        self._written: set[bytes] = set()
        self._being_written: deque[Future[FinishedPack]] = deque()
        self._finished: list[FinishedPack] = []
        indexes.list_now()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abandon()

    def add_blob(self, data: bytes) -> int:
        """Store a file's content; its running number, from 0."""
        self._settle()
        self._last_blob = data
        return self._number()

    def add_stream(self, fd: int, size: int) -> int:
        """Store the content of a large file, read from its beginning 1 MiB at a time; its running number.

        Raises ``Moved`` when it has not exactly ``size`` bytes, and ``OSError``
        when it cannot be read; nothing is kept of it then, and the writer goes on.
        """
        self._settle()
        with self._giving_up():
            self._last_stream = oid, _ = write_stream(fd, size, self._tmp, self._growing)
            if self._has(oid):
                self._drop_stream()
        return self._number(oid)

    def drop_last(self) -> None:
        """Take the newest ``add_blob`` or ``add_stream`` back, and its number; right after it only."""
        assert self._last is not None, "something else was asked of the writer since the last add"
        self._oids.pop()
        if self._last_stream is not None:
            self._drop_stream()
        self._last = self._last_blob = None

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
            if not self._has(oid):
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
        for writing in self._being_written:
            if not writing.cancelled() and writing.exception() is None:
                self._finished.append(writing.result())
        for finished in self._finished:
            finished.remove()
        if self._last_stream is not None:
            self._last_stream[1].remove()
        self._last_stream = self._last_blob = None
        self._being_written.clear()
        self._finished.clear()
        self._working.clear()
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
        elif self._last_blob is not None:
            data, self._last_blob = self._last_blob, None
            try:  # `_giving_up`, without what a context manager costs
                if len(data) < _LARGE:
                    self._take_in(len(self._oids) - 1, self._prepare(data))
                else:
                    self._submit(len(self._oids) - 1, data)
            except BaseException:
                self.abandon()
                raise

    # -- the threads

    def _threads(self) -> "ThreadPoolExecutor":
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor  # 5 ms that a turn with a few small files does not need

            self._pool = ThreadPoolExecutor(_THREADS, "shadow-git")
        return self._pool

    def _submit(self, number: int, data: bytes) -> None:
        while self._working and self._working_bytes + len(data) > _IN_FLIGHT_BYTES:
            self._collect()
        self._working.append((number, len(data), self._threads().submit(self._prepare, data)))
        self._working_bytes += len(data)
        while self._working[0][2].done() and len(self._working) > 1:
            self._collect()

    def _collect(self) -> None:
        number, size, task = self._working.popleft()
        self._working_bytes -= size
        self._take_in(number, task.result())

    def _drain(self) -> None:
        while self._working:
            self._collect()

    def _prepare(self, data: bytes) -> Prepared:
        """Also run in the threads. ``_written`` only grows, so a stale look at it costs work and nothing else."""
        oid = object_id(b"blob", data)
        if self._has(oid):
            return oid, None, 0
        return oid, *pack_object(b"blob", data)

    def _has(self, oid: bytes) -> bool:
        # As listed at first: nothing that is stored vanishes meanwhile, and to look each time is 2 us for each object.
        return oid in self._written or self._indexes.known(oid) is not None

    def _take_in(self, number: int, prepared: Prepared) -> None:
        oid, packed, crc = prepared
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
        if more := self._pack.add(oid, packed, crc):
            self._growing(more)
        if self._pack.size > _PACK_BYTES:
            self._collect_pack()
            self._being_written.append(self._threads().submit(self._pack.write_durably, self._tmp))
            self._pack = MemoryPack()

    def _collect_pack(self) -> None:
        while self._being_written:
            self._finished.append(self._being_written[0].result())
            self._being_written.popleft()

    def _publish(self) -> None:
        if self._pack.entries:
            self._finished.append(self._pack.write(self._tmp))
            self._pack = MemoryPack()
        self._collect_pack()
        self._stop()
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
