"""Processes killed at a random step of what they do; the model learns from what is listed then."""

import os
from collections.abc import Callable, Collection
from typing import NamedTuple

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from hermes_checkpoints import Engine
from hermes_checkpoints.contract import RestoreRefused
from hermes_checkpoints.testing.processes import killed_at, steps_of
from hermes_checkpoints.testing.witness import Seen, difference
from random_edits import PICK, Picture
from random_restores import Restores, Step, put_back

# What a command does to a few files, after it has found its way to the store, is about 100 steps.
MOMENT = st.integers(0, 120)
# A restore changes nothing before it has saved what is there.
LATE = st.integers(55, 130)
AFTERWARDS = st.sampled_from(["", "take", "continue", "abort"])
DAMAGE = st.lists(st.tuples(PICK, st.sampled_from(["file", "directory", "link"])), min_size=3, max_size=8)


class Crashed(NamedTuple):
    """What is left of a process that was to do something."""

    killed: bool
    """Not when it had finished by then."""
    new: str | None
    """The snapshot that it took."""


class Crashes(Restores):
    """Rules that kill, and what no kill may cost."""

    @rule(moment=MOMENT)
    def crash_while_taking(self, moment: int) -> None:
        newest = self.pictures[self.listed[-1][0]] if self.listed else None
        with self.only_looking():
            crashed = self._crashes(moment, lambda engine: engine.snapshot(self.workspace, reason="crash"))
        if not crashed.killed:
            assert (crashed.new is not None) == (self.now() != newest)

    @precondition(lambda self: self.listed)
    @rule(damage=DAMAGE, which=PICK, moment=LATE, then=AFTERWARDS)
    def crash_while_restoring(self, damage: list[tuple[int, str]], which: int, moment: int, then: str) -> None:
        for one in damage:
            self.swap_kind(*one)
        target = self.chosen(which)
        self._crashes_restoring(moment, target, None, self.pictures[target], then)

    @precondition(lambda self: self.listed)
    @rule(which=PICK, what=PICK, moment=LATE, then=AFTERWARDS)
    def crash_while_restoring_a_path(self, which: int, what: int, moment: int, then: str) -> None:
        target = self.chosen(which)
        wanted = self.pictures[target]
        path = self.some_path(wanted, what)
        if path is not None:
            self._crashes_restoring(moment, target, path, put_back(self.now(), wanted, path), then)

    @precondition(lambda self: self.engine.interrupted(self.workspace))
    @rule(how=st.sampled_from(["continue", "abort"]))
    def resume(self, how: str) -> None:
        found = self.engine.interrupted(self.workspace)
        assert found is not None
        before, path = self.now(), os.fsencode(found.paths[0]) if found.paths else None
        act, plan = self.engine.finish_restore, self.engine.plan_finish
        if how == "abort":
            act, plan = self.engine.abort_restore, self.engine.plan_abort
        if not {found.safety, found.target} <= {snapshot for snapshot, _ in self.listed}:
            with pytest.raises(RestoreRefused):
                act(self.workspace)
            assert not difference(before, self.now())
            return
        target = found.target if how == "continue" else found.safety
        with self.promised(target, how, path, plan(self.workspace)) as results:
            results.append(act(self.workspace))
        ends = [self.pictures[found.safety], self.pictures[found.target]]
        self.went_back(before, ends, self.pictures[target], path, results[0], unfinished=True)
        assert self.engine.interrupted(self.workspace) is None, "what was ended is said to be under way"

    @precondition(lambda self: self.listed)
    @rule(which=PICK, more=st.sets(PICK, max_size=3), moment=MOMENT)
    def crash_while_forgetting(self, which: int, more: set[int], moment: int) -> None:
        going = {self.chosen(number) for number in (which, *more)} - self.pinned
        snapshots = [self.engine.find(self.workspace, snapshot) for snapshot in going]
        crashed = self._crashes(moment, lambda engine: engine.upkeep.forget(snapshots), going)
        left = going & {snapshot for snapshot, _ in self.listed}
        assert crashed.killed or not left, "what was to be forgotten is still there"

    @rule(moment=MOMENT)
    def crash_while_reclaiming(self, moment: int) -> None:
        self._crashes(moment, lambda engine: engine.upkeep.maintain())

    def _crashes(self, moment: int, act: Callable[[Engine], object], going: Collection[str] = ()) -> Crashed:
        """Kill a process at some moment of what it does. Of what was listed, only ``going`` may be gone."""
        before = self.now()

        def anew() -> None:
            with self.new_engine() as engine:
                act(engine)

        killed = killed_at(self._steps_to_begin_with() + moment, anew)
        found = {snapshot.id: snapshot.created_ns for snapshot in self.engine.list(self.workspace)}
        known = {snapshot for snapshot, _ in self.listed}
        assert known - found.keys() <= {*going}, "a snapshot was lost"
        new = [snapshot for snapshot in found if snapshot not in known]
        assert len(new) <= 1
        self.listed = [one for one in self.listed if one[0] in found]
        for snapshot in new:
            self.learn(snapshot, found[snapshot], before)
        assert self.what_is_aside() == self.aside, "what no snapshot holds was touched"
        return Crashed(killed, new[0] if new else None)

    def _steps_to_begin_with(self) -> int:
        def look() -> None:
            with self.new_engine() as engine:
                engine.list(self.workspace)

        return steps_of(look)

    def _crashes_restoring(self, moment: int, target: str, path: bytes | None, wanted: Picture, then: str) -> None:
        before, paths = self.now(), [os.fsdecode(path)] if path is not None else []
        crashed = self._crashes(moment, lambda engine: engine.restore(self.workspace, target, paths))
        after = self.now()
        if crashed.new is None:
            assert crashed.killed and after == before, "something was changed that no safety snapshot holds"
            return
        self.restores.append(Step(crashed.new, target, "restore", path))
        torn = [at for at in {*before, *wanted, *after} if not _either(before.get(at), wanted.get(at), after.get(at))]
        assert not torn, f"neither old nor new: {torn}"
        if crashed.killed and after not in (before, wanted):
            assert self.engine.interrupted(self.workspace), "nobody is told that the restore was interrupted"
        if then in ("continue", "abort") and self.engine.interrupted(self.workspace):
            self.resume(then)
        if then:
            self.take()
            assert not self.left_beside(), "what a restore made beside its targets was left there"


def _either(old: Seen | None, new: Seen | None, now: Seen | None) -> bool:
    """Whether a path is as it was or as it was to be; attributes may be on their way from the one to the other."""
    if now is None:
        # A directory goes before the file that takes its place can have its name.
        return old is None or new is None or (old.kind == "directory" != new.kind)
    if now.kind == "directory":
        return any(one is not None and one.kind == "directory" for one in (old, new))
    return any(one is not None and (one.kind, one.content) == (now.kind, now.content) for one in (old, new))
