"""A backend whose storing fails when told to, for tests of what stands above it."""

import errno
import os
from collections.abc import Mapping
from typing import ClassVar

from hermes_checkpoints.contract import Entry, Scope, StoreError
from hermes_checkpoints.kit import Batch, TreeBackend


class FaultyBackend(TreeBackend):
    """To stand before a backend class: its storing calls can be made to fail as on a full disk.

    ::

        faulty = FaultyBackend.around(MemoryBackend)
        with Engine(backend=faulty, ...) as engine:
            faulty.fail_at = faulty.calls + 3      # the third storing call from now
            ...

    The storing calls are ``Batch.add``, ``node`` and ``publish``. A batch that
    has failed once fails at every later call, as a full disk does.
    """

    fail_at: ClassVar[int] = 0
    """Which call fails, counted from 1 over all batches; 0: none."""
    calls: ClassVar[int] = 0
    """Storing calls so far."""
    code: ClassVar[int] = errno.ENOSPC
    """The errno of the ``OSError`` that the ``StoreError`` has as its cause."""

    @classmethod
    def around(cls, backend_class: type[TreeBackend]) -> "type[FaultyBackend]":
        """A new class: that backend, with a ``fail_at`` and counts of its own."""
        return type(f"Faulty{backend_class.__name__}", (cls, backend_class), {})

    def _begin(self, scope: Scope) -> Batch:
        return _FaultyBatch(super()._begin(scope), type(self))  # type: ignore[safe-super]

    @classmethod
    def count(cls) -> None:
        """One storing call. Raises ``StoreError`` when it is the one that fails."""
        cls.calls += 1
        if cls.calls == cls.fail_at:
            error = OSError(cls.code, os.strerror(cls.code))
            raise StoreError(f"storing failed as it was told to: {error.strerror}. No snapshot was taken.") from error


class _FaultyBatch(Batch):
    def __init__(self, batch: Batch, faulty: type[FaultyBackend]) -> None:
        self._batch = batch
        self._faulty = faulty
        self._failure: StoreError | None = None
        self.takes_any_size = batch.takes_any_size

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if name == "growing":
            self._batch.growing = self.growing

    def _count(self) -> None:
        if self._failure is not None:
            raise self._failure
        try:
            self._faulty.count()
        except StoreError as failure:
            self._failure = failure
            raise

    def add(self, fd: int, size: int, before: Entry | None) -> None:
        self._count()
        self._batch.any_size = self.any_size
        self._batch.add(fd, size, before)
        self.stored, self.cloned = self._batch.stored, self._batch.cloned

    def drop(self) -> None:
        self._batch.drop()
        self.stored, self.cloned = self._batch.stored, self._batch.cloned

    def replaced(self, before: Entry) -> None:
        self._batch.replaced(before)

    def keys(self) -> list[bytes]:
        return self._batch.keys()

    def node(self, entries: Mapping[str, Entry]) -> bytes:
        self._count()
        return self._batch.node(entries)

    def publish(self, header: bytes, created_ns: int, root: bytes) -> str | None:
        self._count()
        return self._batch.publish(header, created_ns, root)

    def abandon(self) -> None:
        self._batch.abandon()
