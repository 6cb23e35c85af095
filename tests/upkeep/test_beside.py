"""What a store keeps beside its snapshots: found when it is damaged, and made anew."""

import json
import os

import pytest

from hermes_checkpoints import Engine
from hermes_checkpoints.contract import Place
from hermes_checkpoints.policy.budget import Standing
from hermes_checkpoints.records import read_record
from hermes_checkpoints.results import Taken
from hermes_checkpoints.testing.privileges import obeying_modes
from spoiling import cut, opened_anew, remove, replace, store_of, turn_into_a_directory
from trees import BACKENDS, ground, put, seconds


@pytest.fixture(params=BACKENDS)
def there(request, tmp_path):
    """A workspace with three snapshots."""
    with ground(tmp_path, request.param, wait=0.1) as made:
        for turn in ("first", "second", "third"):
            put(made.workspace, "notes", turn)
            made.take(turn)
        yield made


def take(engine, workspace):
    taken = engine.snapshot(workspace)
    assert isinstance(taken, Taken)
    return taken.snapshot


def misnamed(record):
    record.write_text(json.dumps(json.loads(record.read_bytes()) | {"backends": ["bow"]}))


ALL = "all records"


@pytest.mark.parametrize("damage", [cut, remove, replace, turn_into_a_directory, misnamed, ALL])
def test_a_record_that_was_damaged_is_made_anew_from_the_snapshots(there, damage):
    listed = there.engine.list(there.workspace)
    (record,) = (store_of(there) / "projects").iterdir()
    remove(record.parent) if damage is ALL else damage(record)
    with opened_anew(there) as engine:
        found = engine.upkeep.verify().damaged
        assert {one.part for one in found} == {"projects"}
        assert there.workspace in {one.workspace for one in found}
        assert engine.upkeep.repair().after.damaged == []
        assert engine.workspaces() == [there.workspace]
        assert engine.list(there.workspace) == listed
    aside = [path.name for path in (store_of(there) / "quarantine").glob("*")]
    assert len(aside) == (damage in (cut, replace, turn_into_a_directory))


def test_a_file_in_the_place_of_all_records_is_put_aside(there):
    replace(store_of(there) / "projects")
    with opened_anew(there) as engine:
        assert engine.upkeep.repair().after.damaged == []
        assert engine.workspaces() == [there.workspace]
    (aside,) = (store_of(there) / "quarantine").iterdir()
    assert aside.read_bytes() == b"garbage"


def test_snapshots_that_a_record_does_not_lead_to_are_listed_again(tmp_path):
    with ground(tmp_path, "cow") as one:
        put(one.workspace, "a", b"1")
        older = one.take().snapshot
        (record,) = (store_of(one) / "projects").iterdir()
        kept = record.read_bytes()
        put(one.workspace, "a", b"2")
        with Engine(store=one.store, backend="shadow-git") as engine:
            newer = take(engine, one.workspace)
        record.write_bytes(kept)
        with Engine(store=one.store) as engine:
            assert engine.list(one.workspace) == [older]
            assert [found.workspace for found in engine.upkeep.verify().damaged] == [one.workspace]
            assert engine.upkeep.repair().after.damaged == []
            assert engine.list(one.workspace) == [newer, older]
            assert engine.choose(one.workspace).name == "shadow-git"


def test_no_record_that_is_made_anew_says_that_an_absent_workspace_is_gone(there):
    """Its volume may only not be mounted; a record with today's directory in it would be evidence for prune."""
    (record,) = (store_of(there) / "projects").iterdir()
    there.workspace.rename(there.workspace.with_name("unmounted"))
    replace(record)
    with opened_anew(there) as engine:
        assert engine.upkeep.repair().after.damaged == []
        (known,) = engine.upkeep.status().workspaces
        assert known.standing is Standing.AWAY
        assert len(engine.list(there.workspace)) == 3
        there.workspace.with_name("unmounted").rename(there.workspace)
        put(there.workspace, "back", b"again")
        take(engine, there.workspace)
    assert read_record(store_of(there), record.stem).workspace == there.workspace


def test_a_pin_whose_file_was_damaged_keeps_its_snapshot(there):
    newest, second, first = there.engine.list(there.workspace)
    there.engine.upkeep.pin(second, "second")
    there.engine.upkeep.pin(first, "first")
    pins = store_of(there) / "pins" / Place(store_of(there), there.workspace).workspace_id
    turn_into_a_directory(pins / f"{first.created_ns:016x}")
    with opened_anew(there) as engine:
        assert [one.part for one in engine.upkeep.verify().damaged] == ["pins"]
        assert engine.upkeep.repair().after.damaged == []
        assert engine.upkeep.pins(there.workspace) == {second.id: "second", first.id: ""}
    replace(pins)
    with opened_anew(there) as engine:
        assert engine.upkeep.repair().after.damaged == []
        assert engine.upkeep.pins(there.workspace) == {}
        engine.upkeep.pin(newest, "new")


@pytest.mark.parametrize("damage", [replace, turn_into_a_directory])
@pytest.mark.parametrize("damaged", BACKENDS)
def test_a_part_that_cannot_be_opened_is_told_and_hides_no_other(tmp_path, damaged, damage):
    with ground(tmp_path, "cow") as one:
        put(one.workspace, "a", b"1")
        one.take()
        put(one.workspace, "a", b"2")
        with Engine(store=one.store, backend="shadow-git") as engine:
            take(engine, one.workspace)
    damage(store_of(one) / damaged / "hermes-checkpoints-format")
    with Engine(store=one.store) as engine:
        found = engine.upkeep.verify()
        assert found.snapshots == 1
        assert [one.path for one in found.unseen] + [one.part for one in found.damaged] == [damaged]
        assert not engine.upkeep.repair().done
        again = engine.upkeep.verify()
        assert (again.damaged, again.unseen) == (found.damaged, found.unseen), "nothing was touched"


def test_a_configuration_that_cannot_be_understood_is_damage_and_is_left_to_its_owner(there):
    config = store_of(there) / "config.toml"
    config.write_text("][")
    assert [one.part for one in there.engine.upkeep.verify().damaged] == ["config.toml"]
    done = there.engine.upkeep.repair()
    assert [one.part for one in done.after.damaged] == ["config.toml"]
    assert config.read_text() == "]["


@pytest.mark.parametrize("part", ["projects", "pins"])
def test_a_fifo_in_the_place_of_a_record_keeps_nobody_waiting(there, part):
    (newest, *_) = listed = there.engine.list(there.workspace)
    there.engine.upkeep.pin(newest, "kept")
    (path,) = (path for path in (store_of(there) / part).rglob("*") if path.is_file())
    remove(path)
    os.mkfifo(path)
    with seconds(30), opened_anew(there) as engine:
        assert engine.upkeep.repair().done
        assert engine.upkeep.verify().damaged == []
        assert engine.list(there.workspace) == listed


def test_a_link_in_the_place_of_a_pin_is_put_aside_and_the_snapshot_stays_pinned(there, tmp_path):
    newest = there.engine.list(there.workspace)[0]
    there.engine.upkeep.pin(newest, "kept")
    (pin,) = (path for path in (store_of(there) / "pins").rglob("*") if path.is_file())
    pin.rename(tmp_path / "elsewhere")
    pin.symlink_to(tmp_path / "elsewhere")
    with opened_anew(there) as engine:
        assert [one.part for one in engine.upkeep.verify().damaged] == ["pins"]
        assert engine.upkeep.repair().after.damaged == []
        assert engine.upkeep.pins(there.workspace) == {newest.id: ""}


def test_fifos_in_the_place_of_counts_and_of_the_log_keep_nobody_waiting(there):
    paths = [path for path in (store_of(there) / "used").iterdir() if path.is_file() and path.stat().st_size]
    for path in paths:
        remove(path)
    for path in [*paths, store_of(there) / "forgotten.log"]:
        os.mkfifo(path)
    put(there.workspace, "notes", "fourth")
    with seconds(30), opened_anew(there) as engine:
        take(engine, there.workspace)
        engine.upkeep.forget(engine.list(there.workspace)[1:])
        engine.upkeep.status()
        assert engine.upkeep.verify().damaged == []
    assert paths


def test_a_record_that_may_not_be_read_now_is_not_put_aside(there):
    """It is evidence, perhaps, that a workspace is gone; one that is made anew has only what there is today."""
    (record,) = (store_of(there) / "projects").iterdir()
    before = record.read_bytes()
    record.chmod(0)
    with obeying_modes(), opened_anew(there) as engine:
        assert engine.upkeep.repair().done == ()
    assert record.read_bytes() == before
