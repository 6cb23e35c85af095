"""Names under which snapshots stand in a directory: sorted as bytes, the newest comes last."""

import errno
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from hermes_checkpoints.contract import StoreDamaged, StoreError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def created_name(created_ns: int, snapshot: str) -> str:
    """The name of what stands for a snapshot."""
    return f"{created_ns:016x}-{snapshot}"


def plain_names(directory: Path) -> list[str]:
    """The names in a directory of the store; none when it is not there.

    Raises ``StoreDamaged`` for anything else in its place, or its parent's: a
    link to a directory lists what nobody marks as alive. ``StoreError`` where
    the disk does not answer.
    """
    try:
        above = os.open(directory.parent, _DIRECTORY)
        try:
            fd = os.open(directory.name, _DIRECTORY, dir_fd=above)
        finally:
            os.close(above)
        try:
            return os.listdir(fd)
        finally:
            os.close(fd)
    except FileNotFoundError:
        return []
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise StoreDamaged(
                f"{directory} is no directory of the store. Nothing was changed; if it is a link, put in its place "
                "what it names."
            ) from error
        raise StoreError(f"cannot read {directory}: {error.strerror}. Nothing was changed.") from error


class Listing:
    """The snapshots that a directory lists; a turn asks several times, and there may be thousands."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: tuple[list[str], dict[str, int]] = ([], {})

    def ids(self) -> dict[str, int]:
        """By id, with ``created_ns``; not to be changed. Names of something else are passed over.

        Raises like ``plain_names``: what cannot be listed is not the same as no snapshots.
        """
        names = plain_names(self._directory)
        if names != self._known[0]:
            self._known = names, dict(_parsed(names))
        return self._known[1]


def _parsed(names: Iterable[str]) -> Iterator[tuple[str, int]]:
    for name in names:
        created, _, snapshot = name.partition("-")
        if len(created) == 16 and len(snapshot) == 40:
            try:
                int(snapshot, 16)
                yield snapshot, int(created, 16)
            except ValueError:
                continue


def listed(directory: Path) -> dict[str, int]:
    """The snapshots that a directory lists, by id, with ``created_ns``."""
    return Listing(directory).ids()


def remove_names(directory: Path, snapshots: Collection[str]) -> None:
    """Take snapshots off a directory's list; those that are gone already are passed over.

    Not synced: it costs nothing in a turn, and after a power cut they are
    listed again, whole, as long as ``reclaim`` syncs the directory before it
    removes anything.
    """
    found = listed(directory)
    gone = found.keys() & set(snapshots)
    try:
        for snapshot in gone:
            (directory / created_name(found[snapshot], snapshot)).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"cannot remove a snapshot from {directory}: {error.strerror}.") from error
