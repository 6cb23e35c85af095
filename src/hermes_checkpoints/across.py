"""Comparing what two backends hold, and what a backend that knows less than others holds.

Another program's snapshots (``Capability.FOREIGN``) know of attributes only
whether a file may be executed. What they do not know is no difference: it is
taken over from the other side, so that no restore opens a private file to others.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

from hermes_checkpoints.contract import Backend, Capability, Change, Entry, Kind, Scope, ancestors, same

_BLOCK = 1 << 20
_OWNER_EXECUTES = 0o100


class Held(NamedTuple):
    """A snapshot, and the backend that holds it."""

    backend: Backend
    snapshot: str

    @property
    def foreign(self) -> bool:
        return is_foreign(self.backend)


def is_foreign(backend: Backend | type[Backend]) -> bool:
    """Whether a backend reads what another program saved, and takes no snapshots."""
    return Capability.FOREIGN in backend.capabilities


def changes(since: Held, until: Held | None, scope: Scope = Scope()) -> Iterator[Change]:
    """As ``Backend.changes``, with snapshots of any two backends, or the live workspace (``None``).

    In a workspace that was removed there is nothing.
    """
    if until is None and not since.backend.place.workspace.exists():
        held = ((path, entry) for path, entry in since.backend.entries(since.snapshot) if path and entry.held)
        yield from (Change(path, entry, None) for path, entry in held)
        return
    if until is None:
        found = since.backend.changes(since.snapshot, scope=scope)
    elif until.backend is since.backend:
        yield from since.backend.changes(since.snapshot, until.snapshot)
        return
    else:
        found = _compared(since, until)
    for change in found:
        before, after = change.before, change.after
        if before is not None and after is not None:
            if since.foreign:
                before = _completed(before, after)
            elif until is not None and until.foreign:
                after = _completed(after, before)
            if same(before, after):
                continue
        yield Change(change.path, before, after)


def _completed(foreign: Entry, other: Entry) -> Entry:
    """An entry that lacks attributes, with those of the same path elsewhere; nobody may do more than there."""
    if foreign.kind is not other.kind or foreign.kind is Kind.LEFT_OUT:
        return foreign
    mode = other.mode
    if foreign.kind is Kind.FILE and (foreign.mode ^ mode) & _OWNER_EXECUTES:
        # Who may read may execute, or nobody.
        mode = mode | (mode & 0o444) >> 2 if foreign.mode & _OWNER_EXECUTES else mode & ~0o111
    return foreign._replace(mode=mode, xattrs=other.xattrs)


def _compared(since: Held, until: Held) -> Iterator[Change]:
    """Slow but right: every path of both, and the content of every file whose size is the same."""
    olds = dict(since.backend.entries(since.snapshot))
    news = dict(until.backend.entries(until.snapshot))
    for path in sorted(olds.keys() | news.keys(), key=_in_path_order):
        before, after = olds.get(path), news.get(path)
        if before is not None and after is not None:
            if before.kind is after.kind is Kind.FILE:
                alike = before.size == after.size and _same_content(since.backend, before, until.backend, after)
                before = before._replace(key=after.key if alike else b"")  # keys of two backends mean nothing together
            elif before.kind is after.kind is Kind.DIR:
                before = before._replace(key=after.key)
            if same(before, after):
                continue
        yield Change(path, before, after)


def _in_path_order(path: str) -> list[bytes]:
    return [os.fsencode(part) for part in path.split("/")]


def _same_content(one: Backend, before: Entry, other: Backend, after: Entry) -> bool:
    with one.read(before) as first, other.read(after) as second:
        while block := first.read(_BLOCK):
            rest = memoryview(block)
            while rest:
                piece = second.read(len(rest))
                if not piece or piece != rest[: len(piece)]:
                    return False
                rest = rest[len(piece) :]
        return not second.read(1)


def without_empty_directories(found: list[Change]) -> list[Change]:
    """Changes towards a snapshot that knows no empty directories: an empty one may have been there then.

    One that lies in a directory that goes, goes with it.
    """
    filled = {
        above
        for change in found
        if change.before is not None and change.before.kind in (Kind.FILE, Kind.LINK)
        for above in ancestors(change.path)
    }
    gone = {c.path for c in found if c.after is None and c.before is not None and c.before.kind is Kind.DIR}
    empty = {path for path in gone - filled if path.rpartition("/")[0] not in gone}
    return [change for change in found if not empty.intersection((change.path, *ancestors(change.path)))]
