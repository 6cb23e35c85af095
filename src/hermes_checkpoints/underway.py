"""A restore that is under way: what is needed to finish it, or to take it back, when it was interrupted.

One small file a workspace, written before a restore's first change and removed
after its last. It only says what was begun: the states before and after are
snapshots. It is written and removed under the workspace's lock.
"""

import json
import logging
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace

from hermes_checkpoints.contract import Place, Restoring, StoreError
from hermes_checkpoints.kit.store.publish import private_directory, publish, sync_filesystem, sync_path
from hermes_checkpoints.kit.write.sweeping import sweep

log = logging.getLogger("hermes_checkpoints")


@dataclass(frozen=True, slots=True)
class Underway:
    """A restore that was begun."""

    safety: str
    """Id of the snapshot that holds the state before."""
    restoring: Restoring
    times: bool = False
    setuid: bool = False
    kept: Mapping[str, str] = field(default_factory=dict)
    """Paths that were to stay as they are, with the reason."""
    token: str = field(default_factory=lambda: secrets.token_hex(4))
    """Names of files that are made beside their targets carry it."""
    directories: tuple[str, ...] = ()
    """Where such files may be left, relative to the workspace."""
    opened: Mapping[str, int] = field(default_factory=dict)
    """Directories that were made writable for the while, with the modes that they had."""
    begun: float = field(default_factory=time.time)
    """Seconds since the epoch."""
    stopped: str = ""
    """Why it ended before it was done; empty when it was killed."""


class Journal:
    """The note of one workspace's restore."""

    def __init__(self, place: Place) -> None:
        self._directory = place.store / "restoring"
        self._path = self._directory / f"{place.workspace_id}.json"

    def read(self) -> Underway | None:
        """What was begun and has not ended; ``None`` when nothing was, or nobody can tell."""
        try:
            row = json.loads(self._path.read_bytes())
            asked = row["restoring"]
            row["restoring"] = Restoring(asked["target"], tuple(asked["paths"]), asked["action"])
            row["directories"] = tuple(row["directories"])
            return Underway(**row)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("%s cannot be read, so an interrupted restore cannot be told: %s", self._path, error)
            return None

    def write(self, underway: Underway) -> None:
        """Note what is begun, durably. Raises ``StoreError``."""
        private_directory(self._directory)
        publish(self._path, json.dumps(asdict(underway)).encode(), scratch=self._directory)

    def opened(self, directory: str, mode: int) -> None:
        """Note the mode of a directory that is going to be made writable."""
        underway = self.read()
        if underway is not None and directory not in underway.opened:
            self.write(replace(underway, opened={**underway.opened, directory: mode}))

    def rename(self, new_ids: Mapping[str, str]) -> None:
        """Let an interrupted restore still find its snapshots, which were replaced. Raises ``StoreError``."""
        underway = self.read()
        if underway is None or not new_ids.keys() & {underway.safety, underway.restoring.target}:
            return
        target = underway.restoring.target
        restoring = replace(underway.restoring, target=new_ids.get(target, target))
        self.write(replace(underway, safety=new_ids.get(underway.safety, underway.safety), restoring=restoring))

    def end(self) -> None:
        """The restore is done, or another one takes its place."""
        with suppress(OSError):  # it is told once more; finishing it then finds nothing to do
            self._path.unlink(missing_ok=True)
            sync_path(self._directory)  # or a power cut brings it back, many edits later


def sweep_left(place: Place) -> None:
    """Remove what a killed restore left in a workspace, whose lock is held, and close what it had opened up."""
    journal = Journal(place)
    underway = journal.read()
    if underway is not None and (underway.directories or underway.opened):
        sweep(place.workspace, underway.token, underway.directories, underway.opened)
        with suppress(StoreError, OSError):  # a full disk: it is done again next time
            sync_filesystem(place.workspace)
            journal.write(replace(underway, directories=(), opened={}))
