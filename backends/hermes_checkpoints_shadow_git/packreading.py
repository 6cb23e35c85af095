"""Reading objects straight from packs, without a process."""

import contextlib
import hashlib
import io
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeVar, cast

from isal import isal_zlib

from hermes_checkpoints.contract import StoreDamaged, StoreError
from hermes_checkpoints.kit.git import Objects
from hermes_checkpoints.kit.store.plain import is_damage, open_plain
from hermes_checkpoints_shadow_git.objects import object_prefix, split_prefix
from hermes_checkpoints_shadow_git.packindex import Index
from hermes_checkpoints_shadow_git.packindexes import PackIndexes
from hermes_checkpoints_shadow_git.repository import Repository

_T = TypeVar("_T")
_BAD_DEFLATE = cast(type[Exception], isal_zlib.error)  # its type stub takes the class for an instance
_HEAD = 8 << 10  # bytes read at once of an object whose size is not known yet; most are smaller
_SMALL = 64 << 10  # bytes of a content that may be in them as a whole
_BLOCK = 1 << 20
_OPEN = 16  # packs kept open
_TRIES = 5  # a pack that vanished was rewritten into another; more often than that in one question is another matter


class OpenPack:
    """A pack's descriptor, closed when nobody reads from it any more; it outlives the pack's name."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.fd = open_plain(path)

    def __del__(self) -> None:
        if hasattr(self, "fd"):
            os.close(self.fd)

    def contents(self, oid: bytes, offset: int) -> "tuple[bytes, Iterator[bytes]] | None":
        """An object's kind, and its content block by block; ``None`` when git must read it.

        The bytes are checked against the id when all of them were taken. Raises
        ``StoreDamaged``, also while the blocks are taken.
        """
        try:
            head = os.pread(self.fd, _HEAD, offset)
            kind, size, length = split_prefix(head)
        except (OSError, ValueError) as error:
            raise self._damage(oid, error) from error
        return None if kind is None else (kind, self._blocks(oid, kind, size, head[length:], offset + len(head)))

    def whole(self, oid: bytes, offset: int) -> tuple[bytes, bytes] | None:
        """An object's kind and content, checked against the id; ``None`` when git must read it. Raises likewise."""
        try:
            head = os.pread(self.fd, _HEAD, offset)
            kind, size, length = split_prefix(head)
            if kind is None:
                return None
            inflate = isal_zlib.decompressobj()
            data = inflate.decompress(memoryview(head)[length:], size + 1) if size < _SMALL else b""
        except (OSError, ValueError, _BAD_DEFLATE) as error:
            raise self._damage(oid, error) from error
        if len(data) != size or not inflate.eof:  # it goes on after what was read
            return kind, b"".join(self._blocks(oid, kind, size, head[length:], offset + len(head)))
        digest = hashlib.sha1(object_prefix(kind, size), usedforsecurity=False)
        digest.update(data)
        self._compare(oid, digest)
        return kind, data

    def _blocks(self, oid: bytes, kind: bytes, size: int, packed: bytes, offset: int) -> Iterator[bytes]:
        digest = hashlib.sha1(object_prefix(kind, size), usedforsecurity=False)
        try:
            for block in _inflated(self.fd, packed, offset, size):
                digest.update(block)
                yield block
        except (OSError, ValueError, _BAD_DEFLATE) as error:
            raise self._damage(oid, error) from error
        self._compare(oid, digest)

    def _compare(self, oid: bytes, digest: "hashlib._Hash") -> None:
        if digest.digest() != oid:
            raise StoreDamaged(f"Object {oid.hex()} in {self.path} has other bytes than were stored.")

    def _damage(self, oid: bytes, error: Exception) -> StoreDamaged:
        return StoreDamaged(f"Object {oid.hex()} in {self.path} cannot be read: {error}. Nothing was changed.")


def _inflated(fd: int, packed: bytes, offset: int, size: int) -> Iterator[bytes]:
    """``size`` bytes from ``packed`` and what follows it in the file, at ``offset``. Raises ``ValueError``."""
    inflate = isal_zlib.decompressobj()
    left = size
    while not inflate.eof:
        if not packed:
            packed = os.pread(fd, min(_BLOCK, left + _HEAD), offset)
            offset += len(packed)
        if not packed:
            raise ValueError("it is cut short")
        block = inflate.decompress(packed, _BLOCK)
        packed = inflate.unconsumed_tail
        left -= len(block)
        if left < 0:
            break
        yield block
    if left:
        raise ValueError("it has not the size that it says")


class _Content(io.RawIOBase):
    """Blocks as a file."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        while not self._rest and (block := next(self._blocks, None)) is not None:
            self._rest = memoryview(block)
        taken = self._rest[: len(buffer)]
        buffer[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)


class PackReader:
    """Reads objects, each checked against its id. Threads may share it, and forked children.

    What we never write ourselves (differences from other objects, objects in
    files of their own, both made by a git that somebody ran by hand) is left to
    ``others``.
    """

    def __init__(self, repository: Repository, indexes: PackIndexes, others: Objects) -> None:
        self._repository = repository
        self._indexes = indexes
        self._others = others
        self._lock = threading.Lock()
        self._packs: OrderedDict[str, OpenPack] = OrderedDict()

    def read(self, oid: bytes, *, as_listed: bool = False) -> tuple[str, bytes]:
        """An object's kind and content. Raises ``StoreDamaged`` when it is missing or has other bytes.

        ``as_listed``: from where it was last known to be, also when that has been removed since.
        """

        def whole(pack: OpenPack, offset: int) -> tuple[str, bytes] | None:
            found = pack.whole(oid, offset)
            return found and (found[0].decode(), found[1])

        return self._from_any_pack(oid, whole, as_listed=as_listed) or self._others.read(oid)

    def stream(self, oid: bytes) -> BinaryIO:
        """An object's content, at its beginning, never in memory as a whole. Raises like ``read``.

        It is inflated twice: all of it is checked before a byte is handed out.
        """

        def checked(pack: OpenPack, offset: int) -> BinaryIO | None:
            found, again = pack.contents(oid, offset), pack.contents(oid, offset)
            if found is None or again is None:
                return None
            for _ in found[1]:
                pass
            return cast(BinaryIO, io.BufferedReader(_Content(again[1]), _BLOCK))

        return self._from_any_pack(oid, checked) or self._others.stream(oid)

    def close(self) -> None:
        """Let go of the packs. Safe to call twice; a later question opens them again."""
        with self._lock:
            self._packs.clear()

    def let_go_of_removed(self) -> None:
        """Close the packs that somebody's reclaim has removed: as long as they are open they keep their space."""
        with self._lock:
            for path in [path for path, pack in self._packs.items() if not os.fstat(pack.fd).st_nlink]:
                del self._packs[path]

    def _from_any_pack(
        self, oid: bytes, ask: Callable[[OpenPack, int], _T | None], *, as_listed: bool = False
    ) -> _T | None:
        """What ``ask`` makes of an object; of another copy where one is damaged. ``None``: git must read it."""
        try:
            found = self._find(oid, as_listed=as_listed)
            return found and ask(found[1], _offset(found[0], oid))
        except StoreDamaged:
            self._indexes.reread()  # somebody may have mended it
            self.close()
            for index in self._indexes.all():
                if oid in index:
                    with contextlib.suppress(StoreDamaged, FileNotFoundError):
                        return ask(self._opened(index.pack), _offset(index, oid))
            raise

    def _find(self, oid: bytes, *, as_listed: bool) -> tuple[Index, OpenPack] | None:
        for attempt in range(_TRIES):
            known = self._indexes.known(oid) if as_listed and not attempt else None
            index = known or self._indexes.find(oid)
            if index is not None:
                with contextlib.suppress(FileNotFoundError):
                    return index, self._opened(index.pack)
            self._indexes.refresh()
        if (self._repository.path / "objects" / oid.hex()[:2] / oid.hex()[2:]).exists():
            return None
        raise StoreDamaged(f"Object {oid.hex()} is missing from {self._repository.path}. Nothing was changed.")

    def _opened(self, path: str) -> OpenPack:
        with self._lock:
            try:
                pack = self._packs.pop(path, None) or OpenPack(path)
            except FileNotFoundError:
                raise
            except OSError as error:
                kind = StoreDamaged if is_damage(error) else StoreError
                raise kind(f"{path} cannot be opened: {error.strerror}. Nothing was changed.") from error
            self._packs[path] = pack
            if len(self._packs) > _OPEN:
                self._packs.popitem(last=False)
            return pack


def _offset(index: Index, oid: bytes) -> int:
    try:
        offset = index.offset(oid)
    except ValueError as error:
        raise StoreDamaged(f"Object {oid.hex()} cannot be found: {error}. Nothing was changed.") from error
    if offset is None:  # it was listed there, and cannot be looked up
        raise StoreDamaged(f"Object {oid.hex()} cannot be found: the index of {index.pack} is damaged.")
    return offset
