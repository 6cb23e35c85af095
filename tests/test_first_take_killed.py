"""A first take that is killed leaves nothing that keeps anybody from taking, listing or maintaining."""

import pytest

from hermes_checkpoints import Engine
from hermes_checkpoints.results import Taken
from hermes_checkpoints.testing.processes import killed_at, steps_of
from hermes_checkpoints_cow import fitness
from hermes_checkpoints_cow.cloning import platform_clone
from trees import BACKENDS, put


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_first_take_killed_anywhere_and_maintained_is_a_store_still(backend, fresh_directory):
    workspace = put(fresh_directory / "workspace", "file", b"content").parent

    def take(store):
        with Engine(store=store, backend=backend) as engine:
            engine.snapshot(workspace)

    steps_of(lambda: take(fresh_directory / "first"))  # it also writes what Python has compiled
    every = steps_of(lambda: take(fresh_directory / "second"))
    for step in range(1, every, max(1, every // 20)):
        store = fresh_directory / f"killed-at-{step}"
        killed_at(step, lambda store=store: take(store))
        with Engine(store=store, backend=backend) as engine:
            for _ in range(2):
                assert not engine.upkeep.maintain().troubles
                engine.list(workspace)
            put(workspace, "file", b"edited %d" % step)
            assert isinstance(engine.snapshot(workspace), Taken)


def test_a_first_take_begins_while_another_tries_for_clones(fresh_directory, monkeypatch):
    """And so it does after one that was killed there."""
    workspace = put(fresh_directory / "workspace", "file", b"content" * 1000).parent
    outcomes = []

    store = fresh_directory / "store" / "store"

    def cloned_slowly(source, directory, name, **named):
        monkeypatch.undo()
        (store / name).touch()
        with Engine(store=store.parent, backend="shadow-git") as engine:
            outcomes.append(engine.snapshot(workspace))
        (store / name).unlink()
        platform_clone()(source, directory, name, **named)

    store.mkdir(parents=True)
    monkeypatch.setattr(fitness, "platform_clone", lambda: cloned_slowly)
    with Engine(store=store.parent, backend="cow") as engine:
        outcomes.append(engine.snapshot(workspace))
    assert [type(outcome) for outcome in outcomes] == [Taken, Taken]
