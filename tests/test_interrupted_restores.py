"""Restores that are killed: each file is the old or the new one, and the restore can be finished or taken back."""

import shutil
from pathlib import Path

import pytest

from hermes_checkpoints import Engine
from hermes_checkpoints.contract import RestoreRefused
from hermes_checkpoints.results import Taken
from hermes_checkpoints.testing.processes import killed_at, steps_of
from hermes_checkpoints.testing.witness import Seen, difference, picture
from trees import BACKENDS, put

POINTS = 24
FILES = 3
"""Edited ones: with what else changes few enough that each is written and renamed before the next."""


class Ground:
    """A workspace with two states, the earlier one saved; made again as often as it is wanted."""

    def __init__(self, directory: Path, backend: str, files: int = FILES) -> None:
        self.backend, self.files, self.halfway = backend, files, 0
        self.workspace, self.store = directory / "workspace", directory / "store"
        self._kept = directory / "kept"
        self._fill()
        with self.engine() as engine:
            taken = engine.snapshot(self.workspace)
            assert isinstance(taken, Taken)
            self.target = taken.snapshot.id
        self.then = picture(self.workspace)
        self._edit()
        self.now = picture(self.workspace)
        shutil.copytree(directory / "workspace", self._kept / "workspace", symlinks=True)
        shutil.copytree(directory / "store", self._kept / "store", symlinks=True)

    def _fill(self) -> None:
        for number in range(self.files):
            put(self.workspace, f"edited/{number}", b"then %d" % number * 50)
        put(self.workspace, "gone/file", b"gone")
        put(self.workspace, "a file", b"becomes a directory")
        put(self.workspace, "a directory/file", b"becomes a file")
        put(self.workspace, "closed/file", b"then").parent.chmod(0o700)
        put(self.workspace, "mode", b"same").chmod(0o644)
        (self.workspace / "link").symlink_to("edited")

    def _edit(self) -> None:
        for number in range(self.files):
            put(self.workspace, f"edited/{number}", b"now %d" % number * 70)
        shutil.rmtree(self.workspace / "gone")
        (self.workspace / "a file").unlink()
        put(self.workspace, "a file/below", b"new")
        shutil.rmtree(self.workspace / "a directory")
        put(self.workspace, "a directory", b"now a file")
        put(self.workspace, "closed/file", b"now").parent.chmod(0o500)
        (self.workspace / "mode").chmod(0o600)
        (self.workspace / "link").unlink()
        put(self.workspace, "link", b"now a file")
        put(self.workspace, "new/file", b"new")

    def engine(self) -> Engine:
        return Engine(store=self.store, backend=self.backend)

    def again(self) -> None:
        for name in ("workspace", "store"):
            shutil.rmtree(self.workspace.parent / name)
            shutil.copytree(self._kept / name, self.workspace.parent / name, symlinks=True)

    def restore(self) -> None:
        with self.engine() as engine:
            engine.restore(self.workspace, self.target)

    def killed(self, step: int) -> bool:
        """Begin anew, and a restore that is killed at that step; whether it came to that."""
        self.again()
        return killed_at(step, self.restore)

    def steps(self) -> list[int]:
        every = steps_of(self.restore)
        self.again()
        return list(range(1, every + 1, max(1, every // POINTS)))


@pytest.fixture(params=BACKENDS)
def ground(request, fresh_directory):
    return Ground(fresh_directory, request.param)


@pytest.fixture(params=[FILES, 20])
def any_ground(request, ground, fresh_directory):
    """Also one in which so much changes that files are written in portions."""
    return ground if request.param == FILES else Ground(fresh_directory / "many", ground.backend, request.param)


def kinds_without_modes(seen: dict[bytes, Seen]) -> dict[bytes, tuple[str, bytes]]:
    """A directory has its mode only when a restore is done."""
    return {path: (one.kind, one.content) for path, one in seen.items() if one.kind != "directory"}


def assert_old_or_new(ground: Ground) -> None:
    here = kinds_without_modes(picture(ground.workspace))
    then, now = kinds_without_modes(ground.then), kinds_without_modes(ground.now)
    for path in then.keys() & now.keys():
        assert here.get(path) in (then[path], now[path]), path
    for path in here.keys() - then.keys() - now.keys():
        assert path.rpartition(b"/")[2].startswith(b".hermes-checkpoints-"), path


def test_a_restore_killed_at_any_step_can_be_finished(any_ground):
    ground, interrupted = any_ground, 0
    for step in ground.steps():
        assert ground.killed(step)
        assert_old_or_new(ground)
        with ground.engine() as engine:
            before = {one.id for one in engine.list(ground.workspace)}
            assert ground.target in before
            if engine.interrupted(ground.workspace) is None:
                assert picture(ground.workspace) in (ground.now, ground.then)
                continue
            interrupted += 1
            done = engine.finish_restore(ground.workspace)
            assert not done.failed and not done.kept
            assert difference(ground.then, picture(ground.workspace)) == []
            assert engine.interrupted(ground.workspace) is None
            engine.undo(ground.workspace)
            assert difference(ground.now, picture(ground.workspace)) == [], "undo takes all of the restore back"
    assert interrupted > POINTS // 4


def test_a_restore_killed_at_any_step_can_be_taken_back(any_ground):
    ground, interrupted = any_ground, 0
    for step in ground.steps():
        assert ground.killed(step)
        with ground.engine() as engine:
            if engine.interrupted(ground.workspace) is None:
                continue
            interrupted += 1
            done = engine.abort_restore(ground.workspace)
            assert not done.failed and not done.kept
            assert difference(ground.now, picture(ground.workspace)) == []
            assert engine.interrupted(ground.workspace) is None
            with pytest.raises(RestoreRefused):
                engine.undo(ground.workspace)
    assert interrupted > POINTS // 4


def half_done(ground: Ground) -> None:
    """A restore that was killed with some files written and others not."""
    ground.again()
    for step in [ground.halfway] if ground.halfway else reversed(range(1, steps_of(ground.restore) + 1)):
        assert ground.killed(step)
        here = picture(ground.workspace)
        names = [b"edited/%d" % number for number in range(ground.files)]
        if 0 < sum(here[name] == ground.then[name] for name in names) < ground.files:
            ground.halfway = step
            return
    raise AssertionError("a restore cannot be cut in the middle")


def test_snapshots_go_on_after_an_interrupted_restore_and_sweep_what_it_left(ground, caplog):
    half_done(ground)
    put(ground.workspace, "edited since", b"mine")
    with ground.engine() as engine:
        taken = engine.snapshot(ground.workspace)
        assert isinstance(taken, Taken)
        assert "restore --continue" in caplog.text
        assert not list(ground.workspace.rglob(".hermes-checkpoints-*"))
        assert engine.interrupted(ground.workspace) is not None


def test_what_was_edited_after_the_kill_is_kept_when_it_is_finished_or_taken_back(ground):
    for act in ("finish_restore", "abort_restore"):
        half_done(ground)
        for name in ("edited/0", "edited/2", "gone/file", "mine"):
            put(ground.workspace, name, b"edited since")
        with ground.engine() as engine:
            done = getattr(engine, act)(ground.workspace)
        assert {one.path for one in done.kept} >= {"edited/0", "edited/2", "mine"}
        there = picture(ground.workspace)
        mine = {b"edited/0", b"edited/2", b"gone/file", b"mine"}
        assert all((ground.workspace / name.decode()).read_bytes() == b"edited since" for name in mine)
        wanted = ground.then if act == "finish_restore" else ground.now
        others = {path: one for path, one in wanted.items() if path not in mine and one.kind != "directory"}
        assert difference(others, {path: there[path] for path in others}) == []


def test_a_kill_while_it_is_finished_can_be_finished_or_taken_back_too(ground):
    def finish() -> None:
        with ground.engine() as engine:
            engine.finish_restore(ground.workspace)

    half_done(ground)
    every = steps_of(finish)
    for number, step in enumerate(range(every // 3, every, max(1, every // 8))):
        half_done(ground)
        assert killed_at(step, finish)
        assert_old_or_new(ground)
        with ground.engine() as engine:
            if engine.interrupted(ground.workspace) is None:
                continue
            wanted = ground.now if number % 2 else ground.then
            (engine.abort_restore if number % 2 else engine.finish_restore)(ground.workspace)
            assert difference(wanted, picture(ground.workspace)) == []


def test_another_restore_takes_the_place_of_an_interrupted_one(ground):
    half_done(ground)
    with ground.engine() as engine:
        engine.restore(ground.workspace, ground.target)
        assert engine.interrupted(ground.workspace) is None
        assert difference(ground.then, picture(ground.workspace)) == []


def test_undo_after_an_interrupted_restore_brings_the_state_before_back(ground):
    half_done(ground)
    with ground.engine() as engine:
        engine.undo(ground.workspace)
        here = picture(ground.workspace)
    assert difference(kinds(ground.now), kinds(here)) == []


def kinds(seen: dict[bytes, Seen]) -> dict[bytes, Seen]:
    return {path: one for path, one in seen.items() if one.kind != "directory"}


def test_only_an_interrupted_restore_can_be_finished_or_taken_back(ground):
    with ground.engine() as engine:
        for act in (engine.finish_restore, engine.abort_restore, engine.plan_finish, engine.plan_abort):
            with pytest.raises(RestoreRefused, match=r"no restore of .* was interrupted"):
                act(ground.workspace)
        engine.restore(ground.workspace, ground.target)
        with pytest.raises(RestoreRefused):
            engine.finish_restore(ground.workspace)


def test_a_snapshot_that_is_gone_is_told_when_a_restore_is_to_be_finished(ground):
    half_done(ground)
    with ground.engine() as engine:
        engine.upkeep.forget([engine.find(ground.workspace, ground.target)])
        with pytest.raises(RestoreRefused, match="is gone"):
            engine.finish_restore(ground.workspace)
        assert engine.interrupted(ground.workspace) is not None


def test_an_interrupted_restore_can_be_finished_after_a_purge_gave_its_snapshots_new_ids(ground):
    half_done(ground)
    with ground.engine() as engine:
        assert engine.upkeep.purge(ground.workspace, "mode").replaced
        done = engine.finish_restore(ground.workspace)
        assert not done.failed
    wanted = {path: one for path, one in ground.then.items() if path != b"mode"}
    there = picture(ground.workspace)
    assert difference(wanted, {path: one for path, one in there.items() if path != b"mode"}) == []


def test_a_damaged_journal_does_not_keep_anybody_from_working(ground):
    half_done(ground)
    (journal,) = (ground.store / "store" / "restoring").glob("*.json")
    journal.write_bytes(b"{}")
    with ground.engine() as engine:
        assert engine.interrupted(ground.workspace) is None
        assert isinstance(engine.snapshot(ground.workspace), Taken)
        engine.restore(ground.workspace, ground.target)
        assert not journal.exists()
