"""A restore that is under way: what is needed to finish it, or to take it back, when it was interrupted.

One small file a workspace, written before a restore's first change and removed
after its last. It only says what was begun: the states before and after are
snapshots. It is written and removed under the workspace's lock.
"""

import json
import logging
import os
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from hermes_checkpoints.contract import Place, Restoring, StoreError
from hermes_checkpoints.kit.store.publish import private_directory, publish, sync_filesystem, sync_path

log = logging.getLogger("hermes_checkpoints")


@dataclass(frozen=True, slots=True)
class Underway:
    """A restore that was begun."""

    safety: str
    """Id of the snapshot that holds the state before."""
    restoring: Restoring
    dates: tuple[int, int]
    """``created_ns`` of the safety snapshot and of the target: they outlast a purge or a repair, and ids do not."""
    times: bool = False
    setuid: bool = False
    kept: Mapping[str, str] = field(default_factory=dict)
    """Paths that were to stay as they are, with the reason."""
    token: str = field(default_factory=lambda: fresh_token())
    """Names of files that are made beside their targets carry it."""
    directories: tuple[str, ...] = ()
    """Where such files may be left, relative to the workspace."""
    opened: Mapping[str, int] = field(default_factory=dict)
    """Directories that were made writable for the while, with the modes that they had."""
    begun: float = field(default_factory=time.time)
    """Seconds since the epoch."""
    stopped: str = ""
    """Why it ended before it was done; empty when it was killed."""


def fresh_token() -> str:
    """What the names of one restore's unfinished files have in common."""
    return os.urandom(4).hex()


class Journal:
    """The note of one workspace's restore."""

    def __init__(self, place: Place) -> None:
        self._directory = place.store / "restoring"
        self._path = self._directory / f"{place.workspace_id}.json"

    def read(self) -> Underway | None:
        """What was begun and has not ended; ``None`` when nothing was, or nobody can tell."""
        try:
            return _understood(_opened(_read(self._path)))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            log.warning("%s cannot be read, so an interrupted restore cannot be told: %s", self._path, error)
            return None

    def write(self, underway: Underway) -> None:
        """Note what is begun, durably. Raises ``StoreError``."""
        private_directory(self._directory)
        document = asdict(underway) | {"restoring": underway.restoring._asdict()}
        publish(self._path, _sealed(document), scratch=self._directory)

    def opened(self, directory: str, mode: int) -> None:
        """Note the mode of a directory that is going to be made writable."""
        underway = self.read()
        if underway is not None and directory not in underway.opened:
            self.write(replace(underway, opened={**underway.opened, directory: mode}))

    def end(self) -> None:
        """The restore is done, or another one takes its place. Raises ``StoreError``."""
        try:
            self._path.unlink()
            sync_path(self._directory)  # or a power cut brings it back, many edits later
        except FileNotFoundError:
            pass
        except OSError as error:
            raise StoreError(f"cannot remove {self._path}: {error.strerror}") from error


def _sealed(row: Mapping[str, Any]) -> bytes:
    """A row and its digest: what is restored must not follow from a byte that somebody changed."""
    body = json.dumps(row).encode()
    return _digest(body) + b"\n" + body + b"\n"


def _opened(data: bytes) -> dict[str, Any]:
    digest, _, body = data.rstrip(b"\n").partition(b"\n")
    if digest != _digest(body):
        raise ValueError("it has other bytes than were written")
    row = json.loads(body)
    return dict(row)


def _read(path: Path) -> bytes:
    # NONBLOCK: a FIFO put in its place must not hang every command.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError("it is not a file")
        return file.read()


def _understood(row: Mapping[str, Any]) -> Underway:
    """What a row says. Raises what ``read`` takes for damage when it says something else than one of ours."""
    asked = row["restoring"]
    restoring = Restoring(str(asked["target"]), tuple(map(str, asked["paths"])), str(asked["action"]))
    before, after = map(int, row["dates"])
    return Underway(
        str(row["safety"]),
        restoring,
        (before, after),
        bool(row["times"]),
        bool(row["setuid"]),
        {str(path): str(why) for path, why in row["kept"].items()},
        bytes.fromhex(row["token"]).hex(),
        tuple(map(str, row["directories"])),
        {str(path): int(mode) & 0o7777 for path, mode in row["opened"].items()},
        float(row["begun"]),
        str(row["stopped"]),
    )


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=16).hexdigest().encode()


def sweep_left(place: Place) -> None:
    """Remove what a killed restore left in a workspace, whose lock is held, and close what it had opened up."""
    journal = Journal(place)
    underway = journal.read()
    if underway is not None and (underway.directories or underway.opened):
        from hermes_checkpoints.kit.write.sweeping import sweep

        again = sweep(place.workspace, underway.token, underway.directories, underway.opened)
        with suppress(StoreError, OSError):  # a full disk: it is done again next time
            sync_filesystem(place.workspace)
            journal.write(replace(underway, directories=again, opened={}))
