"""What a walk hands to a backend: contents, then nodes, then one publication."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping

from hermes_checkpoints.contract import Entry, Growing, Reason, StoreDamaged, unbounded
from hermes_checkpoints.kit.store.nodes import encode_node


class LeaveOut(Exception):
    """Raised by ``Batch.add``: this file does not belong in the snapshot."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Batch(ABC):
    """Everything that one snapshot stores. Nothing of it is visible before ``publish``."""

    takes_any_size = False
    """Whether ``add`` decides about the size limit itself."""
    any_size = False
    """Set by the walk: whether the next content belongs in the snapshot whatever its size."""
    stored = 0
    """Contents stored so far that were not there before."""
    cloned = 0
    """Of those, the ones that share blocks with the workspace's file."""
    growing: Growing = staticmethod(unbounded)
    """To be told, before anything is written, how many bytes it will take in the store."""

    @abstractmethod
    def add(self, fd: int, size: int, before: Entry | None) -> None:
        """Store the content of an open file, from its beginning.

        ``before`` is what the newest snapshot has under the same path: where
        the content is the same, the same key shall come back. Raises
        ``LeaveOut``; ``OSError`` when the file cannot be read; ``StoreError``.
        """

    @abstractmethod
    def drop(self) -> None:
        """Take the most recent ``add`` back: the file changed while it was read."""

    def replaced(self, before: Entry) -> None:
        """Told of a file's content that the newest snapshot has and the workspace no longer does.

        For stores that share blocks with the workspace: what was shared now
        takes space of its own.
        """
        return

    @abstractmethod
    def keys(self) -> list[bytes]:
        """The content keys of what was added and not dropped, in order."""

    @abstractmethod
    def node(self, entries: Mapping[str, Entry]) -> bytes:
        """Store a directory, children before parents, and return its key.

        An equal directory may get an equal key; only then is it compared for free.
        """

    @abstractmethod
    def publish(self, header: bytes, created_ns: int, root: bytes) -> str | None:
        """Make everything durable, then visible under the id it returns.

        ``None``: the id came out all digits, nothing was published; call again
        with another header.
        """

    @abstractmethod
    def abandon(self) -> None:
        """Let go of what was not published. Harmless after ``publish``."""


def key_of(data: bytes) -> bytes:
    """The key under which ``BytesBatch`` puts these bytes."""
    return hashlib.sha256(data).digest()


def checked(key: bytes, data: bytes) -> bytes:
    """Bytes that ``BytesBatch`` put under that key, unchanged. Raises ``StoreDamaged`` when they are others."""
    if key_of(data) != key:
        raise StoreDamaged(f"{key.hex()[:10]} has other bytes than were stored. Nothing was changed.")
    return data


class BytesBatch(Batch):
    """For a store that keeps bytes under a key: contents and directories under their sha256.

    A subclass supplies ``put``, ``publish`` and ``abandon``. Each content goes
    through memory as a whole; what was dropped may stay behind as garbage.
    """

    def __init__(self) -> None:
        self._added: list[tuple[bytes, bool]] = []

    @abstractmethod
    def put(self, key: bytes, data: bytes) -> bool:
        """Keep these bytes, unless something is kept under that key already; whether they were new. ``StoreError``."""

    def add(self, fd: int, size: int, before: Entry | None) -> None:
        with os.fdopen(os.dup(fd), "rb") as file:
            data = file.read()
        key = key_of(data)
        self.growing(len(data))
        new = self.put(key, data)
        if not new:
            self.growing(-len(data))
        self._added.append((key, new))
        self.stored += new

    def drop(self) -> None:
        self.stored -= self._added.pop()[1]

    def keys(self) -> list[bytes]:
        return [key for key, _ in self._added]

    def node(self, entries: Mapping[str, Entry]) -> bytes:
        data = encode_node(entries)
        key = key_of(data)
        self.growing(len(data))
        self.put(key, data)
        return key


class Unstored(Batch):
    """Looks without storing: for comparing the live workspace with a snapshot."""

    def __init__(self, *, takes_any_size: bool) -> None:
        self.takes_any_size = takes_any_size
        self._count = 0

    def add(self, fd: int, size: int, before: Entry | None) -> None:
        self._count += 1

    def drop(self) -> None:
        self._count -= 1

    def keys(self) -> list[bytes]:
        return [b""] * self._count

    def node(self, entries: Mapping[str, Entry]) -> bytes:
        raise AssertionError("nothing is stored")

    def publish(self, header: bytes, created_ns: int, root: bytes) -> str | None:
        raise AssertionError("nothing is stored")

    def abandon(self) -> None:
        pass
