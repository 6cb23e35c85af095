"""What snapshots say of themselves, as it was last read: a list of thousands need not open thousands of files.

Names say which snapshots there are; this only saves reading their headers, of
which none ever changes. Lost, old or damaged, the list is the same.
"""

import marshal
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from hermes_checkpoints.contract import Entry, Kind, Note, Restoring, Snapshot, StoreError
from hermes_checkpoints.kit.store.plain import read_plain
from hermes_checkpoints.kit.store.publish import private_directory, publish

MANY = 64
"""With fewer headers to read (3 ms) nothing is kept: an ordinary workspace has no such file."""
# marshal's format belongs to one Python version.
_MARK = f"hermes-checkpoints headers 1 {sys.implementation.cache_tag} {sys.hexversion:x}\n".encode()
Described = tuple[Snapshot, Entry]
"""A snapshot, and the entry of its top directory."""


def remembered(path: Path, workspace: Path, backend: str, listed: Mapping[str, int]) -> Iterator[Described]:
    """What is kept in the file of those of a workspace's snapshots that are ``listed``, by id, under the same date."""
    with suppress(OSError, ValueError, EOFError, TypeError):
        data = read_plain(path)
        head = len(_MARK) + 4
        if data[: len(_MARK)] != _MARK or zlib.crc32(data[head:]) != int.from_bytes(data[len(_MARK) : head], "big"):
            return
        for snapshot, created_ns, said, figures, root in marshal.loads(memoryview(data)[head:]):  # noqa: S302  (ours)
            if listed.get(snapshot) == created_ns:
                reason, request, restoring = said
                note = Note(reason, request, Restoring(*restoring) if restoring else None)
                one = Snapshot(snapshot, workspace, backend, created_ns, note, *figures)
                yield one, Entry(Kind.DIR, *root)


def remember(path: Path, found: Mapping[str, Described]) -> None:
    """Keep them for the next list. Failing to is no failure."""
    rows = [_row(one, root) for one, root in found.values()]
    payload = marshal.dumps(rows)
    with suppress(StoreError, OSError):
        directory = private_directory(path.parent)
        data = _MARK + zlib.crc32(payload).to_bytes(4, "big") + payload
        publish(path, data, scratch=directory, durable=False)


def _row(one: Snapshot, root: Entry) -> tuple[Any, ...]:
    note, restoring = one.note, one.note.restoring
    again = restoring and (restoring.target, restoring.paths, restoring.action, restoring.resumes)
    said = note.reason, note.request, again
    return one.id, one.created_ns, said, (one.files, one.size, one.changed), tuple(root)[1:]
