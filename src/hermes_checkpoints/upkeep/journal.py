"""A log of what was forgotten for room, so that people can find out where a snapshot went."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from hermes_checkpoints.contract import StoreError
from hermes_checkpoints.kit.store.locks import locked
from hermes_checkpoints.kit.store.plain import read_plain
from hermes_checkpoints.kit.store.publish import publish
from hermes_checkpoints.results import Forgotten

_NAME = "forgotten.log"
_LONGEST = 256 * 1024  # bytes; then the older half goes


def note(store: Path, entries: Iterable[Forgotten]) -> None:
    """Add entries. Failing to is no failure of what was done."""
    lines = b"".join(json.dumps(_row(entry)).encode() + b"\n" for entry in entries)
    if not lines:
        return
    with suppress(OSError, StoreError), locked(store / "locks" / "forgotten"):
        fd = os.open(store / _NAME, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, lines)
            length = os.fstat(fd).st_size
            kept = os.pread(fd, _LONGEST // 2, length - _LONGEST // 2) if length > _LONGEST else b""
        finally:
            os.close(fd)
        if kept:
            publish(store / _NAME, kept.partition(b"\n")[2], scratch=store / "locks", durable=False)


def read(store: Path) -> Iterator[Forgotten]:
    """What was noted, oldest first; half lines are passed over."""
    try:
        lines = read_plain(store / _NAME).splitlines()
    except OSError:
        return
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            row = json.loads(line)
            snapshots = tuple(map(str, row["snapshots"]))
            yield Forgotten(float(row["when"]), str(row["subject"]), snapshots, str(row["reason"]), bool(row["loud"]))


def _row(entry: Forgotten) -> dict[str, object]:
    return {
        "when": entry.when,
        "subject": entry.subject,
        "snapshots": entry.snapshots,
        "reason": entry.reason,
        "loud": entry.loud,
    }
