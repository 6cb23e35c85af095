"""Looking for damage among contents, and in what is beside them."""

import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hermes_checkpoints.contract import Entry, Progress, StoreDamaged, StoreError
from hermes_checkpoints_cow.digests import record, recorded
from hermes_checkpoints_cow.keys import Own, Packed, parse
from hermes_checkpoints_cow.listing import strangers
from hermes_checkpoints_cow.vault import Vault

log = logging.getLogger("hermes_checkpoints")


class Examination:
    """Content by content, and then the files that no snapshot leans on."""

    def __init__(self, home: Path, vault: Vault) -> None:
        self._trash = home / "trash"
        self._snapshots = home / "snapshots"
        self._vault = vault
        self._first_read: dict[bytes, dict[int, bytes]] = {}
        """By batch: digests of large clones that had none yet."""

    def check(self, entry: Entry, *, full: bool) -> None:
        """Raise ``StoreDamaged`` unless a file's content is there as it was stored. Changes nothing."""
        where = parse(entry.key)
        if not full:
            self._vault.present(entry)
        elif isinstance(where, Packed):
            self._vault.packed(where)
        else:
            with self._vault.intact(entry) as fd:
                if not self._vault.known(where):
                    self._first_read.setdefault(where.batch, {})[where.number] = self._vault.digest(where, fd)

    def files(self, progress: Progress) -> Iterator[str]:
        """What is damaged and costs no snapshot anything that could be named. Changes nothing.

        That nothing vouches for contents that were read for the first time is said in a warning, once for all of them.
        """
        for path, what in strangers(self._snapshots):
            yield f"{path} {what}"
        for number, name in enumerate(sorted(os.listdir(self._vault.batches))):
            progress(number)
            try:
                recorded(self._vault.batches / name)
            except StoreDamaged as damage:
                yield str(damage)
        if self._first_read:
            count = sum(map(len, self._first_read.values()))
            log.warning("%d large contents were read for the first time, and taken as they are", count)

    def record(self) -> None:
        """Record the digests of what was read for the first time."""
        found, self._first_read = self._first_read, {}
        for batch, digests in found.items():
            directory = self._vault.batch(Own(batch, 0, cloned=True))
            with suppress(StoreError, OSError):  # they are read for the first time again the next time
                record(directory, {**digests, **recorded(directory)}, self._trash)
