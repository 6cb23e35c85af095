"""Taking, forgetting, pinning and reclaiming at random, against a model: pictures of the workspace by snapshot id."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from filesystems import remove_tree
from hermes_checkpoints import Engine, Limits
from hermes_checkpoints.contract import Backend, CheckpointError, Kind, Place, Snapshot
from hermes_checkpoints.plugins import load
from hermes_checkpoints.results import Taken, Unchanged
from hermes_checkpoints.testing.processes import at_once
from hermes_checkpoints.testing.witness import Seen, difference, picture, stamps
from random_edits import PICK, Edits, Picture

# Nothing goes but what a rule forgets.
LIMITS = Limits(max_snapshots=1000, max_total_size=0)


class Store(Edits):
    """Edits through plain ``os`` calls, snapshots through the engine."""

    backend_name: str

    def __init__(self) -> None:
        super().__init__()
        self.engine = self.new_engine()
        self.pictures: dict[str, Picture] = {}
        self.listed: list[tuple[str, int]] = []  # id and date, oldest first
        self.pinned: set[str] = set()
        self.steps = 0

    def new_engine(self) -> Engine:
        return Engine(store=self.home / "store", backend=self.backend_name, limits=LIMITS)

    def teardown(self) -> None:
        try:
            for number, (snapshot, _) in enumerate(self.listed):
                target = self.home / f"export-{number}"
                assert not self.engine.export(self.workspace, snapshot, target).failed
                assert not difference(self.pictures[snapshot], picture(target)), "an export is not what was saved"
                remove_tree(target)
        finally:
            self.engine.close()
            remove_tree(self.home)

    def backend(self) -> Backend:
        """Opened as the engine does it, for what the engine has no call for."""
        return load(self.backend_name).open(Place(self.engine.settings.store, self.workspace))

    def chosen(self, which: int) -> str:
        return self.listed[which % len(self.listed)][0]

    def learn(self, snapshot: str, created_ns: int, held: Picture) -> None:
        assert snapshot not in self.pictures, "an id was used twice"
        self.pictures[snapshot] = held
        self.listed.append((snapshot, created_ns))

    def elsewhere(self, *acts: Callable[[Engine], object]) -> list[object]:
        """What each act answers in a process, and with an engine, of its own, all at once."""

        def anew(act: Callable[[Engine], object]) -> object:
            with self.new_engine() as engine:
                return act(engine)

        return at_once(*(lambda act=act: anew(act) for act in acts))

    # Taking.

    @contextmanager
    def only_looking(self) -> Iterator[None]:
        """Nothing in the workspace changes, but for what a killed restore left beside files: that may go."""
        left, times = self.left_beside(), stamps(self.root)
        yield
        assert left or stamps(self.root) == times, "taking a snapshot changed the workspace"

    @rule()
    def take(self) -> None:
        before = self.now()
        with self.only_looking():
            outcome = self.engine.snapshot(self.workspace, reason=f"step {self.steps}")
        newest = self.pictures[self.listed[-1][0]] if self.listed else None
        if before == newest:
            assert isinstance(outcome, Unchanged), "a snapshot of nothing new was taken"
            assert outcome.latest.id == self.listed[-1][0]
        else:
            changes = difference(newest or {}, before)
            assert isinstance(outcome, Taken), f"nothing was taken although there are changes: {changes}"
            self.learn(outcome.snapshot.id, outcome.snapshot.created_ns, before)

    @rule()
    def take_again_when_nothing_changed(self) -> None:
        self.take()
        assert isinstance(self.engine.snapshot(self.workspace), Unchanged)

    @rule()
    def take_in_two_processes_while_a_third_lists(self) -> None:
        before = self.now()
        newest = self.pictures[self.listed[-1][0]] if self.listed else None
        *outcomes, found = self.elsewhere(
            lambda engine: engine.snapshot(self.workspace, reason="one"),
            lambda engine: engine.snapshot(self.workspace, reason="other"),
            lambda engine: [(snapshot.id, snapshot.created_ns) for snapshot in engine.list(self.workspace)],
        )
        taken = [outcome.snapshot for outcome in outcomes if isinstance(outcome, Taken)]
        assert len(taken) == (before != newest), "what changed was not saved once"
        known = self.listed[::-1]
        for snapshot in taken:
            self.learn(snapshot.id, snapshot.created_ns, before)
        assert found in (known, self.listed[::-1]), "somebody else saw a list that never was"

    # Keeping and forgetting.

    @precondition(lambda self: self.listed)
    @rule(which=PICK)
    def pin(self, which: int) -> None:
        snapshot = self._found(self.chosen(which))
        self.engine.upkeep.pin(snapshot, "keep")
        self.pinned.add(snapshot.id)

    @precondition(lambda self: self.pinned)
    @rule(which=PICK)
    def unpin(self, which: int) -> None:
        snapshot = sorted(self.pinned)[which % len(self.pinned)]
        assert self.engine.upkeep.unpin(self._found(snapshot))
        self.pinned.remove(snapshot)

    @precondition(lambda self: self.listed)
    @rule(which=PICK, more=st.sets(PICK, max_size=3))
    def forget(self, which: int, more: set[int]) -> None:
        going = {self.chosen(number) for number in (which, *more)}
        snapshots = [self._found(snapshot) for snapshot in going]
        if going & self.pinned:
            with pytest.raises(CheckpointError, match="pinned"):
                self.engine.upkeep.forget(snapshots)
        else:
            self.engine.upkeep.forget(snapshots)
            self.listed = [one for one in self.listed if one[0] not in going]

    @rule()
    def reclaim(self) -> None:
        assert not self.engine.upkeep.maintain().troubles

    def _found(self, snapshot: str) -> Snapshot:
        return self.engine.find(self.workspace, snapshot)

    # Beginning again.

    @rule()
    def open_anew(self) -> None:
        self.engine.close()
        self.engine = self.new_engine()

    @rule(lost=st.booleans())
    def lose_the_stat_cache(self, lost: bool) -> None:
        cache = self.engine.settings.store / self.backend_name / "seen"
        for file in cache.glob("*"):
            if lost:
                file.unlink()
            else:
                file.write_bytes(file.read_bytes()[:-1] + b"?")
        shutil.rmtree(self.engine.settings.store / "projects", ignore_errors=True)

    # What always holds.

    @invariant()
    def the_list_is_the_one_we_know(self) -> None:
        self.steps += 1
        if os.path.isdir(self.root):
            found = [(snapshot.id, snapshot.created_ns) for snapshot in self.engine.list(self.workspace)]
            assert found == self.listed[::-1], "ids, dates or order changed"
            assert self.engine.upkeep.pins(self.workspace).keys() == self.pinned

    @invariant()
    def a_snapshot_holds_what_was_there(self) -> None:
        if self.listed:
            snapshot = self.chosen(self.steps)
            with self.backend() as backend:
                assert not difference(self.pictures[snapshot], stored(backend, snapshot))


_KINDS = {Kind.FILE: "file", Kind.DIR: "directory", Kind.LINK: "link"}


def stored(backend: Backend, snapshot: str) -> Picture:
    """The picture of a snapshot, through the interface."""
    found: Picture = {}
    for path, entry in backend.entries(snapshot):
        if not entry.held:
            continue
        content = b""
        if entry.kind is Kind.FILE:
            with backend.read(entry) as file:
                content = hashlib.sha256(file.read()).digest()
        elif entry.kind is Kind.LINK:
            content = entry.target
        xattrs = tuple((name, value) for name, value in entry.xattrs if name.startswith("user."))
        mode = 0 if entry.kind is Kind.LINK else entry.mode
        found[os.fsencode(path)] = Seen(_KINDS[entry.kind], mode, content, xattrs)
    return found
