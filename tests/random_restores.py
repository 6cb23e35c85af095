"""Restores, undo and redo at random, against the same model."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest
from hypothesis.stateful import precondition, rule

from filesystems import remove_tree
from hermes_checkpoints.contract import PathNotFound, RestoreRefused
from hermes_checkpoints.policy.plan import Action, Plan
from hermes_checkpoints.results import Restored
from hermes_checkpoints.testing.witness import Seen, difference, picture, stamps
from random_edits import ASIDE, PICK, Picture, ancestors, below, selected
from random_store import Store, stored


class Step(NamedTuple):
    """A restore that was begun."""

    safety: str
    target: str
    action: str
    path: bytes | None
    """The selection; ``None`` for everything."""


class _Stacks(NamedTuple):
    """Restores, the last one at the end."""

    done: tuple[Step, ...]
    undone: tuple[Step, ...]


class Restores(Store):
    """Rules that put the workspace back, and what each restore promises."""

    def __init__(self) -> None:
        super().__init__()
        self.restores: list[Step] = []

    @precondition(lambda self: self.listed)
    @rule(which=PICK)
    def restore(self, which: int) -> None:
        target = self.chosen(which)
        self._restore(target, None)
        assert not difference(self.pictures[target], self.now()), "a restore did not bring the snapshot back"

    @precondition(lambda self: self.listed)
    @rule(which=PICK, what=PICK)
    def restore_path(self, which: int, what: int) -> None:
        target, before = self.chosen(which), self.now()
        wanted = self.pictures[target]
        path = self.some_path(wanted, what)
        if path is None:
            return
        done = self._restore(target, path)
        after = self.now()
        if path in wanted and blocked(before, path):
            assert done.failed or done.kept, "a path below what is no directory now cannot come back in silence"
            assert not difference(before, after), "what was not selected was changed"
            return
        assert not difference(put_back(before, wanted, path), after), f"restoring {path!r} did something else"

    @precondition(lambda self: self.listed)
    @rule(which=PICK)
    def restore_a_path_that_never_was(self, which: int) -> None:
        before = self.now()
        with pytest.raises(PathNotFound):
            self.engine.restore(self.workspace, self.chosen(which), ["never/was"])
        assert not difference(before, self.now())

    @precondition(lambda self: self.listed)
    @rule(which=PICK)
    def remove_the_workspace_and_restore(self, which: int) -> None:
        target = self.chosen(which)
        remove_tree(self.workspace)
        self.aside = {}
        done = self.engine.restore(self.workspace, target)
        left = picture(self.root)
        assert not done.failed and not difference(self.pictures[target], left)
        # The safety snapshot holds a new, empty directory; its mode is the umask's.
        with self.backend() as backend:
            self.learn(done.safety.id, done.safety.created_ns, stored(backend, done.safety.id))
        assert self.pictures[done.safety.id].keys() == {b""}
        self.restores.append(Step(done.safety.id, target, "restore", None))

    @rule()
    def undo(self) -> None:
        self._take_back("undo")

    @rule()
    def redo(self) -> None:
        self._take_back("redo")

    def some_path(self, wanted: Picture, what: int) -> bytes | None:
        """A path that is there or in the snapshot; not the workspace itself."""
        paths = sorted((wanted.keys() | self.now().keys()) - {b""})
        return paths[what % len(paths)] if paths else None

    def _restore(self, target: str, path: bytes | None) -> Restored:
        paths = [os.fsdecode(path)] if path is not None else []
        plan = self.engine.plan(self.workspace, target, paths)
        with self.promised(target, "restore", path, plan) as results:
            results.append(self.engine.restore(self.workspace, target, paths))
        return results[0]

    def _take_back(self, action: str) -> None:
        last = self.last(action)
        act = self.engine.undo if action == "undo" else self.engine.redo
        if last is None or all(last.target != snapshot for snapshot, _ in self.listed):
            before = self.now()
            with pytest.raises(RestoreRefused):
                act(self.workspace)
            assert not difference(before, self.now())
            return
        plan = (self.engine.plan_undo if action == "undo" else self.engine.plan_redo)(self.workspace)
        found = self.engine.interrupted(self.workspace)
        unfinished = found is not None and found.safety == last.safety
        before, then, wanted = self.now(), self.pictures[last.target], self.pictures[last.safety]
        with self.promised(last.safety, action, last.path, plan) as results:
            results.append(act(self.workspace))
        self.went_back(before, [then], wanted, last.path, results[0], unfinished=unfinished)

    def went_back(
        self,
        before: Picture,
        references: list[Picture],
        wanted: Picture,
        path: bytes | None,
        done: Restored,
        *,
        unfinished: bool,
    ) -> None:
        """The selection is as wanted, but for what is as in none of the references: that was edited since.

        Of a restore that is ``unfinished`` a directory's attributes are no evidence
        of an edit: it has its own only when the restore ends.
        """
        selection = path or b""
        if path in wanted and blocked(before, selection):
            assert done.failed or done.kept, "a path below what is no directory now cannot come back in silence"
            assert not difference(before, self.now()), "what was edited since was changed"
            return
        before, wanted, after = (selected(held, selection) for held in (before, wanted, self.now()))
        thens = [selected(held, selection) for held in references]
        there = set(before).union(*thens)
        edited = {at for at in there if all(not _alike(before.get(at), then.get(at), unfinished) for then in thens)}
        if not edited:
            assert not difference(wanted, after), "what was there did not come back"
        lost = [at for at in edited if after.get(at) != before.get(at)]
        assert not lost, f"what was edited since was changed: {lost}"

    def last(self, action: str) -> Step | None:
        """The restore that is to be taken back, by the definition of undo and redo."""
        there = {snapshot for snapshot, _ in self.listed}
        before = now = after = _Stacks((), ())  # of the last restore that was neither finished nor taken back later
        for step in self.restores:
            if step.safety not in there:
                continue
            if step.action in ("continue", "abort"):
                now = after if step.action == "continue" else before
                continue
            before = now
            if step.action == "undo":
                now = _Stacks(now.done[:-1], (*now.undone, step))
            else:
                now = _Stacks((*now.done, step), now.undone[:-1] if step.action == "redo" else ())
            after = now
        stack = now.done if action == "undo" else now.undone
        return stack[-1] if stack else None

    @contextmanager
    def promised(self, target: str, action: str, path: bytes | None, plan: Plan) -> Iterator[list[Restored]]:
        """What every restore promises, whatever was selected; the block puts its result into the list."""
        before, times = self.now(), stamps(self.root, skip=ASIDE)
        results: list[Restored] = []
        yield results
        done = results[0]
        self.learn(done.safety.id, done.safety.created_ns, before)
        self.restores.append(Step(done.safety.id, target, action, path))
        assert self.what_is_aside() == self.aside, "what no snapshot holds was touched"
        after, times_after = self.now(), stamps(self.root, skip=ASIDE)
        same = [at for at, seen in before.items() if seen.kind != "directory" and after.get(at) == seen]
        rewritten = [at for at in same if times_after[at] != times[at]]
        assert not rewritten, f"files that were right already were written again: {rewritten}"
        if not done.failed:
            writes = plan.of(Action.WRITE) + plan.of(Action.ATTRIBUTES)
            assert sorted(step.path for step in writes) == sorted(done.written), "the preview was another plan"
            assert sorted(step.path for step in plan.of(Action.DELETE)) == sorted(done.deleted)


def _alike(now: Seen | None, then: Seen | None, unfinished: bool) -> bool:
    directories = now is not None and then is not None and now.kind == then.kind == "directory"
    return now == then or (directories and unfinished)


def blocked(held: Picture, path: bytes) -> bool:
    """Whether something that is no directory stands where one above the path would have to be."""
    return any(part in held and held[part].kind != "directory" for part in ancestors(path))


def put_back(before: Picture, wanted: Picture, path: bytes) -> Picture:
    """What is there when one path was restored: it, and directories above it that were missing."""
    expected = {at: seen for at, seen in before.items() if not below(at, path)} | selected(wanted, path)
    if path in wanted:
        expected |= {part: wanted[part] for part in ancestors(path) if part not in before and part in wanted}
    return expected
