"""Which backend a workspace uses, and opening it."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from hermes_checkpoints import plugins
from hermes_checkpoints.across import is_foreign
from hermes_checkpoints.contract import (
    Backend,
    BackendError,
    BackendUnusable,
    BrokenBackend,
    CheckpointError,
    Fitness,
    InvalidPath,
    Place,
    StoreError,
    StoreRefused,
    Suitability,
)
from hermes_checkpoints.kit.store.format import FORMAT_FILE
from hermes_checkpoints.kit.store.publish import private_directory
from hermes_checkpoints.kit.walk.reading import SCRATCH_PREFIX
from hermes_checkpoints.legacy import move_pre_v2
from hermes_checkpoints.records import read_record, touch_record
from hermes_checkpoints.results import BackendReport, Choice
from hermes_checkpoints.settings import AUTO, Settings

log = logging.getLogger("hermes_checkpoints")
# A backend may hold a process and a few descriptors; `status` goes through every workspace of the store.
_KEPT_OPEN = 32
# What may be where no store is: whoever only asks for one leaves locks. A clear lets them be.
STAYS = frozenset({"config.toml", "locks"})
# What may be there before the first snapshot is: a first take that was killed, and a `maintain` after it, leave these.
_BESIDE = frozenset({"used", "pins", "restoring", "quarantine", "forgotten.log"})
ASIDE = re.compile("cleared-[0-9a-f]{8}")
"""What a clear has moved aside."""


class Opener:
    """Opens backends for workspaces and keeps them open."""

    def __init__(self, settings: Settings, given: type[Backend] | None = None) -> None:
        self.settings = settings
        self._given = given
        self._classes: dict[str, type[Backend]] = {given.name: given} if given is not None else {}
        self._open: dict[tuple[str, Path], Backend] = {}
        self._identities: dict[tuple[str, Path], tuple[int, int, int] | None] = {}
        self._choices: dict[Path, Choice] = {}
        self._foreigners: list[str] | None = None

    def place(self, workspace: str | os.PathLike[str]) -> Place:
        try:
            return Place(self.settings.store, Path(os.path.realpath(workspace)))
        except (OSError, ValueError) as error:  # a NUL, a surrogate, a loop of symlinks
            raise InvalidPath(
                f"{os.fspath(workspace)!r} is not a directory's path: {error}. Nothing was changed."
            ) from error

    def backend_class(self, name: str) -> type[Backend]:
        if name not in self._classes:
            self._classes[name] = plugins.load(name)
        return self._classes[name]

    def choose(self, place: Place) -> Choice:
        """Where new snapshots go: what was asked for, else where the workspace's snapshots are, else what fits best.

        Raises ``UnknownBackend``, ``BrokenBackend``, or ``BackendUnusable``
        when what was asked for, or everything, cannot serve the place.
        """
        if place.workspace not in self._choices:
            self._choices[place.workspace] = self._choose(place)
        return self._choices[place.workspace]

    def _choose(self, place: Place) -> Choice:
        asked = self._given.name if self._given is not None else self.settings.backend
        if asked != AUTO and is_foreign(self.backend_class(asked)):
            why = self.backend_class(asked).probe(place).why
            raise BackendUnusable(f"{asked} cannot protect {place.workspace}: {why}. Nothing was stored.")
        if self._given is not None:
            return Choice(self._given.name, "given by the caller")
        if self.settings.backend != AUTO:
            return self._asked(place)
        held = [name for name in self.holding(place) if not self._foreign(name)]
        if held:
            return Choice(held[-1], "the workspace's snapshots are in it")
        fitting = [
            (report.fitness, report.name)
            for report in self.reports(place)
            if report.fitness is not None and report.fitness.usable
        ]
        if not fitting:
            whys = "; ".join(f"{report.name}: {_why_not(report)}" for report in self.reports(place))
            raise BackendUnusable(f"no backend can protect {place.workspace} ({whys or 'none is installed'}).")
        fitness, name = max(fitting, key=lambda found: found[0].suitability.value)
        return Choice(name, fitness.why, _shortfall(fitness))

    def _asked(self, place: Place) -> Choice:
        name = self.settings.backend
        record = read_record(place.store, place.workspace_id)
        if record is not None and name in record.backends:  # it has served here; probing opens files of the workspace
            return Choice(name, self.settings.asked_by)
        fitness = self.backend_class(name).probe(place)
        if not fitness.usable:
            raise BackendUnusable(f"{name} cannot protect {place.workspace}: {fitness.why}. Nothing was stored.")
        return Choice(name, self.settings.asked_by, _shortfall(fitness))

    def holding(self, place: Place) -> tuple[str, ...]:
        """The backends that hold snapshots of a workspace, the one used last at the end. Raises ``StoreError``."""
        try:
            return self._holding(place)
        except OSError as error:  # the disk does not answer, which is not the same as no snapshots
            raise StoreError(f"cannot read {place.store}: {error.strerror}. Nothing was changed.") from error

    def _holding(self, place: Place) -> tuple[str, ...]:
        record = read_record(place.store, place.workspace_id)
        if record is not None and record.backends:  # Hermes itself writes records without ours in them
            if not (place.store / "HEAD").is_file():  # Hermes's mark in a store; without it nothing need be loaded
                return record.backends
            return (*self._foreign_holders(place), *(name for name in record.backends if not self._foreign(name)))
        if not place.store.is_dir():
            return ()
        newest: dict[str, int] = {}
        for name in self.names():
            if not (self._foreign(name) or (place.store / name).is_dir()):
                continue  # looking makes no parts
            try:
                created = max((snapshot.created_ns for snapshot in self.open(name, place).snapshots()), default=None)
            except CheckpointError:
                continue  # a backend that cannot be used here holds nothing that could be listed
            if created is not None:
                newest[name] = created
        return tuple(sorted(newest, key=lambda name: (not self._foreign(name), newest[name])))

    def _foreign(self, name: str) -> bool:
        try:
            return is_foreign(self.backend_class(name))
        except BackendError:
            return False  # opening it will say what is the matter

    def _foreign_holders(self, place: Place) -> Iterator[str]:
        """Another program may have taken snapshots since the record was written, and did not say so in it."""
        if self._foreigners is None:
            self._foreigners = [name for name in self.names() if self._foreign(name)]
        for name in self._foreigners:
            try:
                holds = place.workspace in self.open(name, place).workspaces()
            except BackendError:
                holds = True  # it cannot be opened: whoever wants what it holds hears why
            except CheckpointError:
                holds = False
            if holds:
                yield name

    def saving(self, place: Place, backend: Backend) -> Backend:
        """Where the safety snapshot goes before one of ``backend``'s is restored; put on record, or it is not found."""
        saving = self.open(self.choose(place).name, place) if is_foreign(backend) else backend
        if saving.name not in (held := self.holding(place)):
            touch_record(place, saving.name, held)
        return saving

    def saves(self, place: Place, backend: Backend) -> type[Backend]:
        """The class of ``saving``; nothing is opened."""
        return self.backend_class(self.choose(place).name) if is_foreign(backend) else type(backend)

    def names(self) -> list[str]:
        """Every backend that is installed or was given."""
        return sorted({*plugins.offers(), *self._classes})

    def open(self, name: str, place: Place) -> Backend:
        """The backend of that name at the place; the same one every time. Its part of the store is made if absent."""
        key = (name, place.workspace)
        backend = self._open.pop(key, None)
        if backend is not None and _identity(backend.home) != self._identities.get(key):
            backend.close()  # the store was removed under us, and perhaps made anew by somebody else
            backend = None
        if backend is None:
            self._claim_store()
            backend = self.backend_class(name).open(place)
            self._identities[key] = _identity(backend.home)
        self._open[key] = backend
        while len(self._open) > _KEPT_OPEN:
            self._open.pop(next(iter(self._open))).close()
        return backend

    def refuse_others(self) -> None:
        """Raise ``StoreRefused`` for somebody else's directory of the store's name, with nothing touched."""
        store = self.settings.store
        try:
            names = {name for name in os.listdir(store) if not _says_nothing(name)}
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"cannot read {store}: {error.strerror}. Nothing was changed.") from error
        if "projects" in names:
            return
        if names and names.isdisjoint(self.names()) and not (store / "refs" / "hermes").is_dir():
            raise StoreRefused(
                f"{store} exists and is not a snapshot store. Nothing was touched; name another directory (--store)."
            )

    def _claim_store(self) -> None:
        """The store as a private directory of ours."""
        self.refuse_others()
        store = self.settings.store
        try:
            new = not store.is_dir()
        except OSError as error:
            raise StoreError(f"cannot read {store}: {error.strerror}. Nothing was changed.") from error
        if new:
            move_pre_v2(self.settings.base)
        private_directory(store)
        private_directory(store / "locks")

    def holders(self, place: Place) -> Iterator[Backend]:
        """The backends that hold snapshots of a workspace, open."""
        for name in self.holding(place):
            try:
                backend = self.open(name, place)
            except BackendError as error:  # what the others hold can still be listed and restored
                log.warning("snapshots of %s in %s are not shown: %s", place.workspace, name, error)
                continue
            yield backend

    def reports(self, place: Place | None) -> list[BackendReport]:
        """Every backend found, where it comes from, and whether it can serve the place."""
        offers = plugins.offers()
        found = []
        for name, loaded in {**plugins.load_all(), **self._classes}.items():
            origin = " and ".join(offers[name].distributions) if name in offers else "given by the caller"
            if isinstance(loaded, BrokenBackend):
                found.append(BackendReport(name, origin, error=str(loaded)))
            else:
                found.append(BackendReport(name, origin, fitness=loaded.probe(place) if place is not None else None))
        return found

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()


def _says_nothing(name: str) -> bool:
    """Whether a directory with this in it, and no more, may still become a store; a backend may be trying it out."""
    return name in STAYS | _BESIDE or name.startswith(SCRATCH_PREFIX) or ASIDE.fullmatch(name) is not None


def _identity(home: Path) -> tuple[int, int, int] | None:
    """What tells a backend's home from another one of its name; inodes alone are used again."""
    try:
        status = home.stat()
    except OSError:
        return None
    made = 0
    with suppress(OSError):  # another program's has no such file
        made = (home / FORMAT_FILE).stat().st_mtime_ns
    return status.st_dev, status.st_ino, made


def _shortfall(fitness: Fitness) -> str:
    return fitness.why if fitness.suitability is Suitability.ON_REQUEST else ""


def _why_not(report: BackendReport) -> str:
    return report.error or (report.fitness.why if report.fitness is not None else "not asked")
