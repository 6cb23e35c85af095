"""Snapshots that Hermes itself made are listed, shown and compared where they are."""

import os
import time
from pathlib import Path

import pytest

from hermes_checkpoints import Engine
from hermes_checkpoints.contract import BackendUnusable, CheckpointError, Note, Place, Scope, StoreError
from hermes_checkpoints.records import read_record
from hermes_checkpoints_hermes_v2.backend import HermesV2


def opened(hermes, workspace):
    return HermesV2.open(Place(Path(os.path.realpath(hermes.base)) / "store", Path(os.path.realpath(workspace))))


def everything_below(directory):
    return {
        path: (path.read_bytes() if path.is_file() else None, path.stat().st_mtime_ns)
        for path in directory.rglob("*")
        if "locks" not in path.parts
    }


@pytest.fixture
def three(hermes, project):
    """Three snapshots, most of them within one second."""
    for number in range(3):
        (project / "src" / "main.py").write_text(f"{number}\n")
        hermes.take(project, f"turn {number}")
    return project


def test_hermes_snapshots_are_listed_newest_first_with_their_reasons(hermes, three):
    with Engine() as engine:
        found = engine.list(three)
        assert [snapshot.id for snapshot in found] == hermes.ids(three)
        assert [snapshot.note.reason for snapshot in found] == ["turn 2", "turn 1", "turn 0"]
        assert [snapshot.changed for snapshot in found] == [1, 1, 4]
        assert [(snapshot.files, snapshot.size) for snapshot in found] == [(3, 12)] * 3
        dates = [snapshot.created_ns for snapshot in found]
        assert len(set(dates)) == 3
        assert dates == sorted(dates, reverse=True)
        (three / "more").write_text("more")
        hermes.take(three, "turn 3")
        assert [snapshot.created_ns for snapshot in engine.list(three)][1:] == dates


def test_reading_writes_nothing_into_the_store(hermes, three):
    before = everything_below(hermes.base / "store")
    with opened(hermes, three) as backend:
        for snapshot in backend.snapshots():
            assert [*backend.verify(snapshot.id)] == []
            assert [*backend.changes(snapshot.id)] or snapshot.note.reason == "turn 2"
    assert everything_below(hermes.base / "store") == before


def test_opening_makes_nothing_where_there_is_no_store(tmp_path):
    with HermesV2.open(Place(tmp_path / "store", tmp_path)) as backend:
        assert [*backend.snapshots()] == []
        assert backend.reclaim()
        assert backend.usage().real == 0
    assert [*tmp_path.iterdir()] == []


def test_contents_diffs_and_exports_come_from_hermes_objects(hermes, three, tmp_path):
    (three / "src" / "main.py").write_text("now\n")
    with Engine() as engine:
        with engine.read(three, "3", "src/main.py") as stored:
            assert stored.read() == b"0\n"
        (difference,) = engine.diff(three, "3")
        assert (difference.path, difference.added, difference.removed) == ("src/main.py", 1, 1)
        assert engine.export(three, "2", tmp_path / "laid-out").files == 3
    assert (tmp_path / "laid-out" / "src" / "main.py").read_text() == "1\n"
    assert os.readlink(tmp_path / "laid-out" / "link") == "src/main.py"


def test_both_kinds_of_snapshots_stand_in_one_list_and_hermes_still_finds_its_own(hermes, three):
    ids = hermes.ids(three)
    with Engine() as engine:
        (three / "src" / "main.py").write_text("ours\n")
        ours = engine.snapshot(three, "ours").snapshot
        assert engine.choose(three).name == ours.backend != "hermes-v2"
        place = Place(engine.settings.store, Path(os.path.realpath(three)))
        assert read_record(place.store, place.workspace_id).backends == ("hermes-v2", ours.backend)
        assert [snapshot.id for snapshot in engine.list(three)] == [ours.id, *ids]
        assert engine.find(three, "4").id == ids[-1]
        assert hermes.ids(three) == ids
        engine.restore(three, ids[-1])
        assert hermes.ids(three) == ids
    hermes.restore(three, ids[0])
    assert (three / "src" / "main.py").read_text() == "2\n"
    with Engine() as engine:
        held = [snapshot.backend for snapshot in engine.list(three)]
        assert held.count("hermes-v2") == len(hermes.ids(three)) == 4  # with the one before Hermes's restore


def test_what_hermes_takes_after_us_is_listed_too(hermes, project):
    with Engine() as engine:
        engine.snapshot(project, "ours first")
        (project / "src" / "main.py").write_text("then Hermes\n")
        time.sleep(1)  # Hermes's dates have whole seconds
        hermes.take(project, "Hermes")
        assert [snapshot.note.reason for snapshot in engine.list(project)] == ["Hermes", "ours first"]


def test_new_snapshots_never_go_where_hermes_keeps_its_own(hermes, three):
    with Engine() as engine:
        assert engine.choose(three).name in ("cow", "shadow-git")
    for chosen in ("hermes-v2", HermesV2):
        with Engine(backend=chosen) as engine, pytest.raises(BackendUnusable, match="takes none"):
            engine.snapshot(three)
    with opened(hermes, three) as backend:
        with pytest.raises(BackendUnusable):
            backend.save(Scope(), Note())
        with pytest.raises(CheckpointError, match="forget all"):
            backend.purge("run.sh")


def test_damage_is_named_by_path_and_costs_nothing_else(hermes, three):
    with opened(hermes, three) as backend:
        newest = next(backend.snapshots())
        key = backend.entry(newest.id, "run.sh").key.hex()
    damaged = hermes.base / "store" / "objects" / key[:2] / key[2:]
    damaged.chmod(0o600)
    damaged.write_bytes(b"no object at all")
    with opened(hermes, three) as backend:
        assert [damage.path for damage in backend.verify(newest.id)] == ["run.sh"]
        with backend.read(backend.entry(newest.id, "src/main.py")) as content:
            assert content.read() == b"2\n"


def test_without_git_ours_can_still_be_listed(hermes, three, monkeypatch, tmp_path, caplog):
    with Engine(backend="shadow-git") as engine:
        ours = engine.snapshot(three, "ours").snapshot
    monkeypatch.setenv("PATH", str(tmp_path))
    with Engine() as engine:
        assert [snapshot.id for snapshot in engine.list(three)] == [ours.id]
        assert "git" in caplog.text


def test_packed_refs_and_packs_are_read_as_well(hermes, three):
    ids = hermes.ids(three)
    hermes.call("prune_checkpoints")  # gc packs everything, refs included
    assert not (hermes.base / "store" / "refs" / "hermes").is_dir() or not any(
        (hermes.base / "store" / "refs" / "hermes").iterdir()
    )
    with opened(hermes, three) as backend:
        assert [snapshot.id for snapshot in backend.snapshots()] == ids
        assert all([*backend.verify(snapshot)] == [] for snapshot in ids)


def test_a_part_of_a_history_cannot_be_forgotten(hermes, three):
    ids = hermes.ids(three)
    with opened(hermes, three) as backend, pytest.raises(StoreError, match="all together"):
        backend.forget(ids[:1])
    assert hermes.ids(three) == ids
