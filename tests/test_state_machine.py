"""An agent's life at random, against a model: pictures of the workspace by snapshot id.

Each backend runs on a filesystem that suits it. The default profile takes about
a minute; one with more examples (``--hypothesis-profile``) takes longer.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from filesystems import remove_tree
from hermes_checkpoints import Engine
from hermes_checkpoints.contract import Backend, Kind, PathNotFound, Place, RestoreRefused
from hermes_checkpoints.plugins import load
from hermes_checkpoints.policy.plan import Action, Plan
from hermes_checkpoints.results import Restored, Taken, Unchanged
from hermes_checkpoints.testing.witness import Seen, difference, picture, stamps
from random_edits import ASIDE, PICK, Edits, Picture, ancestors, below, selected

Step = tuple[str, str, str, bytes | None]
"""A restore: the safety snapshot, the target, the action, the selection."""


class Life(Edits):
    """Edits through plain ``os`` calls, snapshots through the engine."""

    backend_name: str

    def __init__(self) -> None:
        super().__init__()
        self.store = self.home / "store"
        self.engine = Engine(store=self.store, backend=self.backend_name)
        self.pictures: dict[str, Picture] = {}
        self.listed: list[tuple[str, int]] = []  # id and date, oldest first
        self.restores: list[Step] = []
        self.steps = 0

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
        """Opened as the engine does it, for what the engine has no call for yet."""
        return load(self.backend_name).open(Place(self.engine.settings.store, self.workspace))

    # Snapshots.

    @rule()
    def take(self) -> None:
        before, times = self.now(), stamps(self.root)
        outcome = self.engine.snapshot(self.workspace, reason=f"step {self.steps}")
        assert stamps(self.root) == times, "taking a snapshot changed the workspace"
        newest = self.pictures[self.listed[-1][0]] if self.listed else None
        if before == newest:
            assert isinstance(outcome, Unchanged), "a snapshot of nothing new was taken"
            assert outcome.latest.id == self.listed[-1][0]
        else:
            changes = difference(newest or {}, before)
            assert isinstance(outcome, Taken), f"nothing was taken although there are changes: {changes}"
            self._learn(outcome.snapshot.id, outcome.snapshot.created_ns, before)

    @rule()
    def take_again_when_nothing_changed(self) -> None:
        self.take()
        assert isinstance(self.engine.snapshot(self.workspace), Unchanged)

    def _learn(self, snapshot: str, created_ns: int, held: Picture) -> None:
        assert snapshot not in self.pictures, "an id was used twice"
        self.pictures[snapshot] = held
        self.listed.append((snapshot, created_ns))

    @precondition(lambda self: self.listed)
    @rule(which=PICK)
    def restore(self, which: int) -> None:
        target = self._chosen(which)
        self._restore(target, None)
        assert not difference(self.pictures[target], self.now()), "a restore did not bring the snapshot back"

    @precondition(lambda self: self.listed)
    @rule(which=PICK, what=PICK)
    def restore_path(self, which: int, what: int) -> None:
        target, before = self._chosen(which), self.now()
        wanted = self.pictures[target]
        paths = sorted((wanted.keys() | before.keys()) - {b""})
        if not paths:
            return
        path = paths[what % len(paths)]
        done = self._restore(target, path)
        after = self.now()
        above = [part for part in ancestors(path) if part in wanted]
        if path in wanted and any(part in before and before[part].kind != "directory" for part in above):
            assert done.failed or done.kept, "a path below what is no directory now cannot come back in silence"
            assert not difference(before, after), "what was not selected was changed"
            return
        expected = {at: seen for at, seen in before.items() if not below(at, path)} | selected(wanted, path)
        if path in wanted:
            expected |= {part: wanted[part] for part in above if part not in before}
        assert not difference(expected, after), f"restoring {path!r} did something else"

    @precondition(lambda self: self.listed)
    @rule(which=PICK)
    def restore_a_path_that_never_was(self, which: int) -> None:
        before = self.now()
        with pytest.raises(PathNotFound):
            self.engine.restore(self.workspace, self._chosen(which), ["never/was"])
        assert not difference(before, self.now())

    @precondition(lambda self: self.listed)
    @rule(which=PICK)
    def remove_the_workspace_and_restore(self, which: int) -> None:
        target = self._chosen(which)
        remove_tree(self.workspace)
        self.aside = {}
        done = self.engine.restore(self.workspace, target)
        left = picture(self.root)
        assert not done.failed and not difference(self.pictures[target], left)
        # The safety snapshot holds a new, empty directory; its mode is the umask's.
        with self.backend() as backend:
            self._learn(done.safety.id, done.safety.created_ns, _stored(backend, done.safety.id))
        assert self.pictures[done.safety.id].keys() == {b""}
        self.restores.append((done.safety.id, target, "restore", None))

    @rule()
    def undo(self) -> None:
        self._take_back("undo")

    @rule()
    def redo(self) -> None:
        self._take_back("redo")

    def _chosen(self, which: int) -> str:
        return self.listed[which % len(self.listed)][0]

    def _restore(self, target: str, path: bytes | None) -> Restored:
        paths = [os.fsdecode(path)] if path is not None else []
        plan = self.engine.plan(self.workspace, target, paths)
        with self._promised(target, "restore", path, plan) as results:
            results.append(self.engine.restore(self.workspace, target, paths))
        return results[0]

    def _take_back(self, action: str) -> None:
        last = self._last(action)
        act = self.engine.undo if action == "undo" else self.engine.redo
        if last is None or all(last[1] != snapshot for snapshot, _ in self.listed):
            before = self.now()
            with pytest.raises(RestoreRefused):
                act(self.workspace)
            assert not difference(before, self.now())
            return
        safety, reference, _, path = last
        plan = (self.engine.plan_undo if action == "undo" else self.engine.plan_redo)(self.workspace)
        selection = path or b""
        before, then, wanted = (
            selected(held, selection) for held in (self.now(), self.pictures[reference], self.pictures[safety])
        )
        with self._promised(safety, action, path, plan) as results:
            results.append(act(self.workspace))
        after = selected(self.now(), selection)
        edited = {at for at in before.keys() | then.keys() if before.get(at) != then.get(at)}
        if not edited:
            assert not difference(wanted, after), f"{action} did not bring back what was there"
        lost = [at for at in edited if after.get(at) != before.get(at)]
        assert not lost, f"{action} changed what was edited since: {lost}"

    def _last(self, action: str) -> Step | None:
        """The restore that is to be taken back, by the definition of undo and redo."""
        there = {snapshot for snapshot, _ in self.listed}
        done: list[Step] = []
        undone: list[Step] = []
        for step in self.restores:
            if step[0] not in there:
                continue
            if step[2] == "undo":
                undone.append(step)
                del done[-1:]
                continue
            if step[2] == "redo":
                del undone[-1:]
            else:
                undone.clear()
            done.append(step)
        stack = done if action == "undo" else undone
        return stack[-1] if stack else None

    @contextmanager
    def _promised(self, target: str, action: str, path: bytes | None, plan: Plan) -> Iterator[list[Restored]]:
        """What every restore promises, whatever was selected; the block puts its result into the list."""
        before, times = self.now(), stamps(self.root, skip=ASIDE)
        results: list[Restored] = []
        yield results
        done = results[0]
        self._learn(done.safety.id, done.safety.created_ns, before)
        self.restores.append((done.safety.id, target, action, path))
        assert self.what_is_aside() == self.aside, "what no snapshot holds was touched"
        after, times_after = self.now(), stamps(self.root, skip=ASIDE)
        same = [at for at, seen in before.items() if seen.kind != "directory" and after.get(at) == seen]
        rewritten = [at for at in same if times_after[at] != times[at]]
        assert not rewritten, f"files that were right already were written again: {rewritten}"
        if not done.failed:
            writes = plan.of(Action.WRITE) + plan.of(Action.ATTRIBUTES)
            assert sorted(step.path for step in writes) == sorted(done.written), "the preview was another plan"
            assert sorted(step.path for step in plan.of(Action.DELETE)) == sorted(done.deleted)

    # The store.

    @precondition(lambda self: self.listed)
    @rule(which=PICK)
    def forget(self, which: int) -> None:
        snapshot = self.listed.pop(which % len(self.listed))[0]
        with self.backend() as backend:
            backend.forget([snapshot])

    @rule()
    def reclaim(self) -> None:
        with self.backend() as backend:
            backend.reclaim()

    @rule()
    def open_anew(self) -> None:
        self.engine.close()
        self.engine = Engine(store=self.store, backend=self.backend_name)

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

    @invariant()
    def a_snapshot_holds_what_was_there(self) -> None:
        if self.listed:
            snapshot = self.listed[self.steps % len(self.listed)][0]
            with self.backend() as backend:
                assert not difference(self.pictures[snapshot], _stored(backend, snapshot))


_KINDS = {Kind.FILE: "file", Kind.DIR: "directory", Kind.LINK: "link"}


def _stored(backend: Backend, snapshot: str) -> Picture:
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


@pytest.mark.parametrize(("backend", "kind"), [("shadow-git", "ext4"), ("cow", "xfs")])
def test_no_order_of_edits_and_restores_loses_or_invents_anything(backend, kind, small_filesystem):
    with small_filesystem(kind, 1024) as mounted:

        class Here(Life):
            backend_name = backend
            filesystem = mounted.root

        limits = settings(stateful_step_count=40, suppress_health_check=list(HealthCheck))
        run_state_machine_as_test(Here, settings=limits)
