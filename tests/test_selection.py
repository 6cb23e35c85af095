"""Which backend a workspace uses: asked for, else what its snapshots are in, else what its filesystem deserves."""

import pytest

from hermes_checkpoints import Engine
from hermes_checkpoints.contract import CheckpointError, UnknownBackend
from hermes_checkpoints.results import Taken
from hermes_checkpoints.testing.witness import difference, picture
from trees import put

OTHER = {"shadow-git": "cow", "cow": "shadow-git"}


@pytest.fixture
def workspace(on_filesystem):
    put(on_filesystem, "workspace/file", b"1")
    return on_filesystem / "workspace"


@pytest.fixture
def store(on_filesystem):
    return on_filesystem / "checkpoints"


def chosen(workspace, store, **options) -> str:
    """The backend that is announced, which must be the one that is used."""
    with Engine(store=store, **options) as engine:
        choice = engine.choose(workspace)
        taken = engine.snapshot(workspace)
        assert not isinstance(taken, Taken) or taken.snapshot.backend == choice.name
        return choice.name


def configure(store, text: str) -> None:
    put(store, "store/config.toml", text)


def test_each_level_is_heard_before_the_next(workspace, store, filesystem, monkeypatch):
    deserved = "cow" if filesystem.clones else "shadow-git"
    other = OTHER[deserved]
    assert chosen(workspace, store) == deserved  # probing

    with Engine(store=store, backend=other) as engine:  # now its snapshots are in the other one too
        put(workspace, "file", b"2")
        engine.snapshot(workspace)
    assert chosen(workspace, store) == other  # what its snapshots are in, the one used last

    configure(store, f'backend = "{deserved}"\n')
    assert chosen(workspace, store) == deserved  # configuration

    monkeypatch.setenv("HERMES_CHECKPOINT_BACKEND", other)
    assert chosen(workspace, store) == other  # environment

    assert chosen(workspace, store, backend=deserved) == deserved  # the caller


def test_auto_at_one_level_overrides_the_levels_below(workspace, store, filesystem, monkeypatch):
    deserved = "cow" if filesystem.clones else "shadow-git"
    configure(store, f'backend = "{OTHER[deserved]}"\n')
    monkeypatch.setenv("HERMES_CHECKPOINT_BACKEND", "auto")
    assert chosen(workspace, store) == deserved


def test_an_empty_variable_is_no_wish(workspace, store, filesystem, monkeypatch):
    configure(store, 'backend = "shadow-git"\n')
    monkeypatch.setenv("HERMES_CHECKPOINT_BACKEND", "")
    assert chosen(workspace, store) == "shadow-git"


def test_the_reason_for_the_choice_is_told(workspace, store, filesystem, monkeypatch):
    with Engine(store=store) as engine:
        assert ("clones work" if filesystem.clones else "every filesystem") in engine.choose(workspace).why
        engine.snapshot(workspace)
    with Engine(store=store) as engine:
        assert "snapshots are in it" in engine.choose(workspace).why
    monkeypatch.setenv("HERMES_CHECKPOINT_BACKEND", "cow")
    with Engine(store=store) as engine:
        assert "HERMES_CHECKPOINT_BACKEND" in engine.choose(workspace).why


def test_an_unknown_name_is_an_error_that_lists_what_is_installed_and_stores_nothing(workspace, store):
    with Engine(store=store, backend="shadowgit") as engine, pytest.raises(UnknownBackend) as error:
        engine.snapshot(workspace)
    for name in ("shadowgit", "shadow-git", "cow"):
        assert name in str(error.value)
    assert not store.exists()


def test_a_configuration_that_is_not_understood_is_an_error_and_not_a_default(workspace, store):
    configure(store, "backend = cow\n")
    with pytest.raises(CheckpointError, match=r"config\.toml"):
        Engine(store=store)


def test_cow_forced_where_nothing_can_be_cloned_copies_and_says_so_once(workspace, store, filesystem):
    with Engine(store=store, backend="cow") as engine:
        first = engine.snapshot(workspace)
        put(workspace, "file", b"2")
        second = engine.snapshot(workspace)
    put(workspace, "file", b"3")
    with Engine(store=store, backend="cow") as engine:
        third = engine.snapshot(workspace)
        assert engine.restore(workspace, first.snapshot.id).failed == []
    assert (workspace / "file").read_bytes() == b"1"
    assert (second.notice, third.notice) == ("", "")
    assert ("copied in full" in first.notice) is not filesystem.clones
    assert bool(first.stats.cloned) is filesystem.clones


def test_snapshots_taken_by_another_backend_stay_listed_and_restorable_and_can_be_undone(workspace, store):
    with Engine(store=store, backend="shadow-git") as engine:
        git = engine.snapshot(workspace, "git")
    put(workspace, "file", b"2")
    put(workspace, "dir/new", b"2")
    with Engine(store=store, backend="cow") as engine:
        cow = engine.snapshot(workspace, "cow")
    put(workspace, "file", b"3")

    with Engine(store=store) as engine:
        assert [(found.id, found.backend) for found in engine.list(workspace)] == [
            (cow.snapshot.id, "cow"),
            (git.snapshot.id, "shadow-git"),
        ]
        before = picture(workspace)
        engine.restore(workspace, git.snapshot.id)
        restored = picture(workspace)
        assert ((workspace / "file").read_bytes(), (workspace / "dir").exists()) == (b"1", False)
        engine.restore(workspace, cow.snapshot.id)
        assert (workspace / "file").read_bytes() == (workspace / "dir/new").read_bytes() == b"2"
        engine.undo(workspace)
        assert difference(restored, picture(workspace)) == []
        engine.undo(workspace)
        assert difference(before, picture(workspace)) == []
        engine.redo(workspace)
        engine.redo(workspace)
        assert (workspace / "file").read_bytes() == (workspace / "dir/new").read_bytes() == b"2"


def test_a_restore_from_another_backend_does_not_change_where_new_snapshots_go(workspace, store):
    with Engine(store=store, backend="shadow-git") as engine:
        git = engine.snapshot(workspace)
    put(workspace, "file", b"2")
    configure(store, 'backend = "cow"\n')
    with Engine(store=store) as engine:
        engine.snapshot(workspace)
        engine.restore(workspace, git.snapshot.id)
        put(workspace, "file", b"3")
        assert engine.snapshot(workspace).snapshot.backend == "cow"


def test_a_lost_record_is_made_anew_from_the_snapshots(workspace, store):
    for number, backend in enumerate(("shadow-git", "cow")):
        put(workspace, "file", f"{number}")
        with Engine(store=store, backend=backend) as engine:
            engine.snapshot(workspace)
    for record in (store / "store" / "projects").iterdir():
        record.unlink()
    with Engine(store=store) as engine:
        assert {found.backend for found in engine.list(workspace)} == {"shadow-git", "cow"}
        assert engine.choose(workspace).name == "cow"
        put(workspace, "file", b"2")
        engine.snapshot(workspace)
        assert len(engine.list(workspace)) == 3


def test_clones_can_be_kept_elsewhere_and_are_found_when_the_variable_is_gone(
    on_filesystem, fresh_directory, filesystem, monkeypatch
):
    workspace = put(on_filesystem, "workspace/file", b"x" * 200_000).parent
    with Engine(store=fresh_directory / "checkpoints") as engine:
        assert engine.choose(workspace).name == "shadow-git"  # no clones from one filesystem to another

    monkeypatch.setenv("HERMES_CHECKPOINT_COW_DIR", str(on_filesystem / "clones"))
    with Engine(store=fresh_directory / "checkpoints") as engine:
        assert engine.choose(workspace).name == ("cow" if filesystem.clones else "shadow-git")
    with Engine(store=fresh_directory / "checkpoints", backend="cow") as engine:
        taken = engine.snapshot(workspace)
        assert bool(taken.stats.cloned) is filesystem.clones
    assert (on_filesystem / "clones/cow").is_dir()

    monkeypatch.delenv("HERMES_CHECKPOINT_COW_DIR")
    put(workspace, "file", b"y")
    with Engine(store=fresh_directory / "checkpoints") as engine:
        assert [found.id for found in engine.list(workspace)] == [taken.snapshot.id]
        assert engine.restore(workspace, taken.snapshot.id).failed == []
        assert engine.snapshot(workspace).snapshot.backend == "cow"
    assert (workspace / "file").read_bytes() == b"x" * 200_000
