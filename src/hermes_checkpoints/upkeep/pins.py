"""Pins: snapshots that are never forgotten by themselves, each a file with its label in it.

A file is named by the snapshot's date, which is unique in a workspace and
outlasts a purge, though the id does not. A file for each, so that two processes
never rewrite each other's: one rename pins, one unlink unpins.
"""

import os
from collections.abc import Iterable

from hermes_checkpoints.contract import Place, Snapshot, StoreError
from hermes_checkpoints.kit.store.plain import read_plain
from hermes_checkpoints.kit.store.publish import private_directory, publish, sync_path
from hermes_checkpoints.underway import Journal


class Pins:
    """The pins of one workspace."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._all = place.store / "pins"
        self._directory = self._all / place.workspace_id

    def labels(self, snapshots: Iterable[Snapshot]) -> dict[str, str]:
        """Which of these are pinned, by id, with their labels. Raises ``StoreError``: unread pins must not be lost."""
        try:
            names = set(os.listdir(self._directory))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unreadable(error) from error
        found = {}
        for snapshot in snapshots:
            if _name(snapshot) in names:
                try:
                    label = read_plain(self._directory / _name(snapshot))
                    found[snapshot.id] = label.decode("utf-8", "surrogateescape")
                except FileNotFoundError:
                    continue  # unpinned meanwhile; the others are pinned still
                except OSError as error:
                    raise self._unreadable(error) from error
        return found

    def held(self, snapshots: Iterable[Snapshot]) -> frozenset[str]:
        """Which of these stay whatever the limits say: the pinned ones, and those that an interrupted restore needs."""
        snapshots = [*snapshots]
        underway = Journal(self._place).read()
        dates = underway.dates if underway is not None else ()
        return frozenset(self.labels(snapshots)) | {one.id for one in snapshots if one.created_ns in dates}

    def pin(self, snapshot: Snapshot, label: str = "") -> None:
        """Pin a snapshot, or give a pinned one another label. Raises ``StoreError``."""
        private_directory(self._all)
        directory = private_directory(self._directory)
        publish(directory / _name(snapshot), label.encode("utf-8", "surrogateescape"), scratch=directory)

    def unpin(self, snapshot: Snapshot) -> bool:
        """Let a snapshot go with the others; whether it was pinned. Raises ``StoreError``."""
        try:
            (self._directory / _name(snapshot)).unlink()
            sync_path(self._directory)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StoreError(f"cannot unpin {snapshot.short_id}: {error.strerror}. Nothing was changed.") from error
        return True

    def _unreadable(self, error: OSError) -> StoreError:
        return StoreError(f"cannot read the pins in {self._directory}: {error.strerror}. Nothing was changed.")


def _name(snapshot: Snapshot) -> str:
    return f"{snapshot.created_ns:016x}"
