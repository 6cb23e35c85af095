"""A damaged store is made whole again, as far as anybody has the bytes, and says what is lost."""

import random
import shutil

import pytest

from damage_building import comes_back, flipped, offsets, small_store, store_files, write
from git_building import a_large_file, git
from hermes_checkpoints.contract import Mending, Note, Place, Reason, Restoring
from hermes_checkpoints.testing.processes import killed_at, steps_of
from hermes_checkpoints.testing.trees import EVERYTHING, contents, pictured, populate, take
from hermes_checkpoints.testing.witness import difference, picture
from hermes_checkpoints_shadow_git.backend import ShadowGit
from reclaim_building import MIB, fill, forget, half_dead, turn, whole

_FLIPS = 25


def repair(place, *, give_up=True):
    with ShadowGit.open(place) as backend:
        return [*backend.rebuild(), *backend.mend(give_up=give_up)]


def packs_of(place):
    return sorted((place.store / "shadow-git" / "objects" / "pack").glob("*"))


def pack_of(backend, oid):
    """The pack that has an object, and where it is in there."""
    index = backend._indexes.find(oid)
    return backend._repository.packs / f"{index.name}.pack", index.span(oid)


def spoil(backend, oid):
    pack, (_, _, start, end) = pack_of(backend, oid)
    write(pack, flipped(pack.read_bytes(), (start + end) // 2))


def test_after_any_flipped_byte_the_store_is_whole_again_or_says_what_is_lost(place, pictures, tmp_path):
    small_store(place, pictures)
    first, second = pictures
    kept = tmp_path / "kept"
    shutil.copytree(place.store, kept)
    with ShadowGit.open(place) as backend:
        held = {snapshot: contents(backend, snapshot) for snapshot in pictures}
        dates = {one.id: one.created_ns for one in backend.snapshots()}
    for path, content in store_files(place).items():
        for offset in offsets(content, _FLIPS) if path.suffix in (".pack", ".idx") else ():
            write(path, flipped(content, offset))
            mended = repair(place)
            new_ids = {one.snapshot: one.new_id for one in mended if one.new_id}
            aside = {one.snapshot for one in mended if one.what is Mending.QUARANTINED}
            with ShadowGit.open(place) as backend:
                assert [*backend.examine()] == [], f"byte {offset} of {path}"
                listed = {one.id: one.created_ns for one in backend.snapshots()}
                assert listed == {new_ids.get(old, old): dates[old] for old in dates.keys() - aside}
                assert set(comes_back(backend, held)) == held.keys() & listed.keys()
                backend.reclaim(thorough=True)
                if second in listed:
                    assert difference(pictures[second], pictured(backend, second, tmp_path)) == []
                for replaced in listed.keys() - held.keys():
                    assert contents(backend, replaced).items() <= held[first].items() | held[second].items()
            shutil.rmtree(place.store)
            shutil.copytree(kept, place.store)


@pytest.mark.parametrize("harm", ["flipped", "cut", "removed"])
def test_every_index_can_be_made_anew(place, pictures, tmp_path, harm):
    small_store(place, pictures)
    indexes = [path for path in packs_of(place) if path.suffix == ".idx"]
    before = {path: path.read_bytes() for path in indexes}
    for path, content in before.items():
        if harm == "removed":
            path.unlink()
        else:
            write(path, content[:-30] if harm == "cut" else flipped(content, 1100))
    assert {one.what for one in repair(place)} == {Mending.REBUILT}
    assert {path: path.read_bytes() for path in indexes} == before
    with ShadowGit.open(place) as backend:
        assert [*backend.examine()] == []
        whole(backend, pictures, tmp_path)


def test_a_lost_index_does_not_cost_its_pack_when_space_is_given_back(place, backend, pictures, tmp_path):
    populate(place.workspace)
    turn(backend, pictures)
    a_large_file(place.workspace / "large", 17 * MIB)
    turn(backend, pictures)
    only = next(backend.snapshots()).id
    pack, _ = pack_of(backend, backend.entry(only, "large").key)
    pack.with_suffix(".idx").unlink()
    (place.workspace / "large").unlink()
    with ShadowGit.open(place) as again:
        again.reclaim(thorough=True)
        assert pack.exists()
        repair(place)
        whole(again, pictures, tmp_path)


def test_all_but_the_damaged_objects_of_a_pack_without_an_index_are_saved(place, backend, pictures):
    populate(place.workspace)
    for number in range(30):
        fill(place.workspace, f"noise {number}", 3000, number)
    turn(backend, pictures)
    (only,) = pictures
    held = contents(backend, only)
    for number in (4, 5, 17):
        pack, (_, _, start, _) = pack_of(backend, backend.entry(only, f"noise {number}").key)
        write(pack, flipped(pack.read_bytes(), start + 1000 if number != 5 else start))
    pack.with_suffix(".idx").unlink()
    for path in place.workspace.glob("noise*"):
        path.unlink()
    mended = repair(place)
    assert {one.path for one in mended if one.what is Mending.LEFT_OUT} == {"noise 4", "noise 5", "noise 17"}
    with ShadowGit.open(place) as again:
        (left,) = again.snapshots()
        assert contents(again, left.id) == {
            path: data for path, data in held.items() if path not in ("noise 4", "noise 5", "noise 17")
        }
        assert [*again.examine()] == []
    assert [path.suffix for path in (place.store / "shadow-git" / "quarantine").iterdir()] == [".pack"]


def test_a_damaged_pack_with_differences_by_a_git_run_by_hand_is_saved_too(place, backend, pictures, tmp_path):
    base = random.Random(1).randbytes(20_000)
    for number in range(6):
        (place.workspace / "growing").write_bytes(base + b"%d" % number * 50)
        fill(place.workspace, "noise", 4000, number)
        turn(backend, pictures)
    git(backend._repository, "-c", "pack.window=10", "-c", "pack.depth=10", "repack", "-a", "-d", "-q", "-f")
    newest = list(pictures)[-1]
    backend._indexes.refresh()
    spoil(backend, backend.entry(newest, "noise").key)
    assert Mending.HEALED in {one.what for one in repair(place)}
    with ShadowGit.open(place) as again:
        assert [*again.examine()] == []
        whole(again, pictures, tmp_path)


def test_a_lost_directory_is_made_again_from_what_was_last_seen(place, backend, pictures, tmp_path):
    populate(place.workspace)
    turn(backend, pictures)
    (newest,) = pictures
    for key in [backend.entry(newest, path).key for path in ("src", "src/deep")]:
        spoil(backend, key[20:40])
    assert [(one.what, one.path) for one in repair(place) if one.snapshot] == [
        (Mending.HEALED, "src"),
        (Mending.HEALED, "src/deep"),
    ]
    with ShadowGit.open(place) as again:
        assert [*again.examine()] == []
        whole(again, pictures, tmp_path)


def test_a_large_file_is_healed_in_blocks(place, backend, pictures, tmp_path):
    a_large_file(place.workspace / "large", 17 * MIB)
    turn(backend, pictures)
    spoil(backend, backend.entry(next(iter(pictures)), "large").key)
    (place.workspace / "large").rename(place.workspace / "renamed")
    assert Mending.HEALED in {one.what for one in repair(place)}
    with ShadowGit.open(place) as again:
        assert [*again.examine()] == []
        whole(again, pictures, tmp_path)


def test_a_snapshot_of_which_nothing_can_be_read_is_put_aside_and_the_others_stay(place, backend, pictures, tmp_path):
    populate(place.workspace)
    for number in range(3):
        fill(place.workspace, "noise", 300, number)
        turn(backend, pictures)
    first, second, third = pictures
    spoil(backend, bytes.fromhex(second))
    mended = {one.snapshot: one.what for one in repair(place) if one.snapshot}
    assert mended == {second: Mending.QUARANTINED}
    del pictures[second]
    with ShadowGit.open(place) as again:
        assert [one.id for one in again.snapshots()] == [third, first]
        assert [*again.examine()] == []
        again.reclaim(thorough=True)
        whole(again, pictures, tmp_path)


def test_a_live_engine_goes_on_after_another_process_has_mended_its_store(place, backend, pictures, tmp_path):
    populate(place.workspace)
    fill(place.workspace, "noise", 3000, 1)
    turn(backend, pictures)
    contents(backend, next(iter(pictures)))
    spoil(backend, backend.entry(next(iter(pictures)), "noise").key)
    repair(place)
    whole(backend, pictures, tmp_path)
    fill(place.workspace, "noise", 3000, 2)
    turn(backend, pictures)
    whole(backend, pictures, tmp_path)


def test_space_can_be_given_back_again_after_a_damaged_object_stood_in_its_way(place, backend, pictures, tmp_path):
    half_dead(backend, pictures)
    (only,) = pictures
    (place.workspace / "sub").mkdir()
    fill(place.workspace, "sub/file", 100, 1)
    newest = turn(backend, pictures)
    spoil(backend, backend.entry(newest, "sub").key[20:40])
    shutil.rmtree(place.workspace / "sub")
    (place.store / "shadow-git" / "seen" / place.workspace_id).unlink()
    repair(place)
    forget(backend, pictures, [newest])
    with ShadowGit.open(place) as again:
        lost, kept = again.snapshots()
        assert kept.id == only
        assert again.entry(lost.id, "sub").reason is Reason.DAMAGED
        before = again.usage().apparent
        quarantine = sum(path.stat().st_size for path in again._repository.quarantine.iterdir())
        assert again.reclaim(thorough=True)
        assert again.usage().apparent < before - 1_500_000, quarantine
        assert [*again.examine()] == []
        assert difference(pictures[only], pictured(again, only, tmp_path)) == []


@pytest.fixture
def damaged(place, pictures, tmp_path):
    """A store in which a file that is still there, one that is not, and an index are damaged; a copy of it."""
    with ShadowGit.open(place) as backend:
        populate(place.workspace)
        fill(place.workspace, "lost", 2000, 1)
        fill(place.workspace, "here", 2000, 2)
        target = turn(backend, pictures)
        (place.workspace / "lost").unlink()
        pictures[backend.save(EVERYTHING, Note("before", restoring=Restoring(target))).snapshot.id] = None
        fill(place.workspace, "later", 2000, 3)
        later = turn(backend, pictures)
        for name in ("lost", "here"):
            spoil(backend, backend.entry(target, name).key)
        index = pack_of(backend, bytes.fromhex(later))[0].with_suffix(".idx")
        write(index, flipped(index.read_bytes(), 1100))
    shutil.copytree(place.store, tmp_path / "kept")
    return tmp_path / "kept"


def test_a_mending_killed_at_any_step_can_be_repeated_and_loses_nothing(place, pictures, damaged, tmp_path):
    old = dict(zip(pictures, ("target", "safety", "later"), strict=True))
    steps = steps_of(lambda: repair(place))
    tried = 0
    for step in range(1, steps + 1, 7):
        shutil.rmtree(place.store)
        shutil.copytree(damaged, place.store)
        tried += killed_at(step, lambda: repair(place))
        repair(place)
        with ShadowGit.open(place) as backend:
            assert [*backend.examine()] == [], step
            later, safety, target = backend.snapshots()
            assert old.get(later.id) == "later", step
            assert safety.note.restoring.target == target.id
            assert backend.entry(target.id, "lost").reason is Reason.DAMAGED
            assert "here" in contents(backend, target.id)
            assert difference(picture(place.workspace), pictured(backend, later.id, tmp_path)) == []
            backend.reclaim(thorough=True)
            assert take_one_more(backend)
    print(f"killed at {tried} of {steps} steps")


def take_one_more(backend):
    return backend.save(EVERYTHING, Note(restoring=Restoring(next(backend.snapshots()).id))).snapshot


def test_a_dry_run_changes_no_byte(place, damaged):
    before = store_files(place)
    with ShadowGit.open(place) as backend:
        said = [*backend.rebuild(dry_run=True), *backend.mend(give_up=True, dry_run=True)]
    assert {one.what for one in said} >= {Mending.HEALED, Mending.LEFT_OUT, Mending.QUARANTINED}
    assert store_files(place) == before


def test_what_one_workspace_lost_is_healed_from_another_that_shares_it(place, backend, pictures, tmp_path):
    theirs = Place(place.store, tmp_path / "theirs")
    theirs.workspace.mkdir()
    for workspace in (place.workspace, theirs.workspace):
        fill(workspace, "shared", 3000, 1)
    turn(backend, pictures)
    with ShadowGit.open(theirs) as other:
        take(other)
        spoil(other, other.entry(next(other.snapshots()).id, "shared").key)
    (place.workspace / "shared").unlink()
    assert Mending.HEALED in {one.what for one in repair(theirs, give_up=False)}
    assert repair(place) == []
    with ShadowGit.open(place) as again:
        whole_one = next(again.snapshots())
        assert difference(pictures[whole_one.id], pictured(again, whole_one.id, tmp_path)) == []
