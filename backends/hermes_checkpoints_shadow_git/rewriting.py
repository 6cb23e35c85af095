"""Copying what is alive into new packs, as it lies in the old ones: nothing is inflated."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from isal import isal_zlib

from hermes_checkpoints_shadow_git.objects import pack_header
from hermes_checkpoints_shadow_git.packfile import FinishedPack, pack_object
from hermes_checkpoints_shadow_git.packindex import PackEntry, Span
from hermes_checkpoints_shadow_git.packreading import OpenPack
from hermes_checkpoints_shadow_git.repository import TemporaryFile

_BLOCK = 1 << 20
_DELTAS = (6, 7)  # the kinds of object that are differences from another one


class LeaveAlone(Exception):
    """A pack whose objects cannot be copied as they are."""

    def __init__(self, pack: str, why: str) -> None:
        super().__init__(f"{pack}: {why}")
        self.pack = pack


@dataclass(frozen=True, slots=True)
class Source:
    """The objects to take over from one pack."""

    name: str
    path: str
    spans: Sequence[Span]


Undelta = Callable[[bytes], tuple[str, bytes]]
"""Gives the kind and content of an object that is stored as a difference."""


def intact(pack: OpenPack, span: Span) -> bool:
    """Whether an object's bytes in the pack are those that were written."""
    _, crc, start, end = span
    found = 0
    try:
        for block in _blocks(pack.fd, start, end):
            found = isal_zlib.crc32(block, found)
    except (OSError, ValueError):
        return False
    return found == crc


def is_difference(pack: OpenPack, span: Span) -> bool:
    """Whether an object is stored as what makes it different from another one. Raises ``IndexError`` past the end."""
    return os.pread(pack.fd, 1, span[2])[0] >> 4 & 7 in _DELTAS


def rewrite(sources: Sequence[Source], limit: int, directory: Path, undelta: Undelta | None) -> list[FinishedPack]:
    """New packs of the sources' objects, each once, synced, under temporary names.

    Each has at most ``limit`` bytes, or one object. Raises ``LeaveAlone`` for a
    damaged source, and for one with differences unless ``undelta`` says what
    they stand for; ``StoreError`` when they cannot be written. Nothing stays then.
    """
    spans = {span[0]: (source, span) for source in sources for span in source.spans}
    finished: list[FinishedPack] = []
    try:
        for part in _parts(spans, limit):
            finished.append(_write(part, directory, undelta))
            finished[-1].sync()
    except BaseException:
        for pack in finished:
            pack.remove()
        raise
    return finished


Part = list[tuple[Source, Span]]


def _parts(spans: Mapping[bytes, tuple[Source, Span]], limit: int) -> Iterator[Part]:
    part: Part = []
    size = 0
    for source, span in spans.values():
        length = span[3] - span[2]
        if part and size + length > limit:
            yield part
            part, size = [], 0
        part.append((source, span))
        size += length
    if part:
        yield part


def _write(part: Part, directory: Path, undelta: Undelta | None) -> FinishedPack:
    packs = {source.name: _opened(source) for source, _ in part}
    file = TemporaryFile(directory, "pack-")
    try:
        checksum = hashlib.sha1(usedforsecurity=False)
        size = 0
        entries: list[PackEntry] = []

        def put(packed: bytes) -> None:
            nonlocal size
            checksum.update(packed)
            file.write(packed)
            size += len(packed)

        put(pack_header(len(part)))
        for source, span in part:
            start = size
            entries.append((span[0], _copy(source, packs[source.name], span, put, undelta), start))
        return FinishedPack.close(file, entries, checksum.digest(), size)
    except BaseException:
        file.remove()
        raise


def _copy(source: Source, pack: OpenPack, span: Span, put: Callable[[bytes], None], undelta: Undelta | None) -> int:
    """Hand on an object's packed bytes; their crc32."""
    oid, crc, start, end = span
    found = 0
    try:
        if is_difference(pack, span):
            packed, crc = _whole(oid, source, undelta)
            put(packed)
            return crc
        for block in _blocks(pack.fd, start, end):
            found = isal_zlib.crc32(block, found)
            put(block)
    except (OSError, IndexError, ValueError) as error:
        raise LeaveAlone(source.name, str(error)) from error
    if found != crc:
        raise LeaveAlone(source.name, f"object {oid.hex()} has other bytes than were stored")
    return crc


def _opened(source: Source) -> OpenPack:
    try:
        return OpenPack(source.path)
    except OSError as error:
        raise LeaveAlone(source.name, str(error)) from error


def _whole(oid: bytes, source: Source, undelta: Undelta | None) -> tuple[bytes, int]:
    if undelta is None:
        raise LeaveAlone(source.name, "git wrote differences into it")
    kind, content = undelta(oid)
    return pack_object(kind.encode(), content)


def _blocks(fd: int, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        block = os.pread(fd, min(_BLOCK, end - start), start)
        if not block:
            raise ValueError("it is cut short")
        yield block
        start += len(block)
