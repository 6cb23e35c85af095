"""Every byte of a store that matters is looked at."""

import shutil

import pytest

from damage_building import comes_back, flipped, offsets, small_store, store_files, write
from git_building import a_large_file, fsck, git
from hermes_checkpoints.contract import CheckpointError, Place
from hermes_checkpoints.testing.trees import contents, populate, take
from hermes_checkpoints_shadow_git.backend import ShadowGit
from reclaim_building import MIB, fill, turn, turns

# Locks are empty, a stat cache has a checksum and counts as lost, the rest is written anew at every opening.
_DERIVED = ("config", "HEAD", "attributes")
_FLIPS = 60
_CUTS = 6


def found_in(place):
    """What an examination finds; what the opening says counts, too."""
    try:
        with ShadowGit.open(place) as backend:
            return [*backend.examine()]
    except CheckpointError as error:
        return [error]


@pytest.fixture
def held(place, pictures):
    """What each snapshot of the small store has."""
    small_store(place, pictures)
    with ShadowGit.open(place) as backend:
        return {snapshot: contents(backend, snapshot) for snapshot in pictures}


def test_every_flipped_byte_is_found_and_never_handed_out(place, held):
    before = store_files(place)
    assert found_in(place) == []
    tried = 0
    for path, content in before.items():
        for offset in offsets(content, _FLIPS) if content else ():
            write(path, flipped(content, offset))
            tried += 1
            if path.name in _DERIVED:
                ShadowGit.open(place).close()
                assert path.read_bytes() == content
            elif path.parent.name != "seen":
                assert found_in(place), f"byte {offset} of {path}"
            with_damage(place, held, before)
    print(f"{tried} bytes flipped")


def with_damage(place, held, before):
    """What can be read is right; then the store is put back as it was."""
    try:
        with ShadowGit.open(place) as backend:
            comes_back(backend, held)
            cost = {damage.snapshot for damage in backend.examine()}
            assert set(comes_back(backend, held)) >= held.keys() - cost, "a snapshot is damaged that was not named"
    except CheckpointError:
        pass
    for path, content in before.items():
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            write(path, content)


@pytest.mark.parametrize("full", [True, False])
def test_a_file_that_was_cut_or_removed_is_found(place, held, full):
    before = store_files(place)
    for path, content in before.items():
        if path.suffix not in (".pack", ".idx") and "refs" not in path.parts:
            continue
        for length in {0, len(content) - 1, *offsets(content, _CUTS)}:
            write(path, content[:length])
            with ShadowGit.open(place) as backend:
                assert [*backend.examine(full=full)], f"{path} cut to {length} bytes"
            with_damage(place, held, before)
        if "refs" not in path.parts:  # without its ref, a snapshot is forgotten
            path.unlink()
            with ShadowGit.open(place) as backend:
                assert [*backend.examine(full=full)], f"{path} removed"
            with_damage(place, held, before)


def test_damage_names_the_snapshots_and_paths_that_it_costs_and_no_others(place, backend, pictures):
    populate(place.workspace)
    turn(backend, pictures)
    (place.workspace / "sub").mkdir()
    fill(place.workspace, "sub/noise", 5000, 1)
    turn(backend, pictures)
    fill(place.workspace, "other", 5000, 2)
    turn(backend, pictures)
    first, second, third = pictures
    packs = {
        snapshot: backend._indexes.find(backend.entry(snapshot, path).key)
        for snapshot, path in ((second, "sub/noise"), (third, "other"))
    }
    span = packs[second].span(backend.entry(second, "sub/noise").key)
    pack = backend._repository.packs / f"{packs[second].name}.pack"
    content = pack.read_bytes()
    write(pack, flipped(content, span[2] + 2500))
    assert {(one.snapshot, one.path) for one in backend.examine() if one.snapshot} == {
        (second, "sub/noise"),
        (third, "sub/noise"),
    }
    write(pack, content)
    meta = backend._indexes.find(backend.entry(second, "sub").key[20:40]).span(backend.entry(second, "sub").key[20:40])
    write(pack, flipped(content, meta[2] + 20))
    assert {(one.snapshot, one.path) for one in backend.examine() if one.snapshot} == {(second, "sub"), (third, "sub")}
    write(pack, content)
    commit = backend._indexes.find(bytes.fromhex(third))
    pack = backend._repository.packs / f"{commit.name}.pack"
    write(pack, flipped(pack.read_bytes(), commit.span(bytes.fromhex(third))[2] + 50))
    assert {(one.snapshot, one.path) for one in backend.examine() if one.snapshot} == {(third, "")}
    assert first in comes_back(backend, {first: contents(backend, first)})


def test_a_large_file_is_looked_at_whole(place, backend):
    a_large_file(place.workspace / "large", 17 * MIB)
    only = take(backend)
    assert [*backend.examine()] == []
    index = backend._indexes.find(backend.entry(only.id, "large").key)
    pack = backend._repository.packs / f"{index.name}.pack"
    content = pack.read_bytes()
    write(pack, flipped(content, len(content) - 5000))
    assert (only.id, "large") in {(one.snapshot, one.path) for one in backend.examine()}
    write(pack, content[:-5000])
    assert (only.id, "large") in {(one.snapshot, one.path) for one in backend.examine(full=False)}


def test_what_only_git_reads_is_found_and_costs_no_snapshot_anything(place, backend):
    populate(place.workspace)
    only = take(backend)
    tree = backend.entry(only.id, "src").key[:20]
    index = backend._indexes.find(tree)
    pack = backend._repository.packs / f"{index.name}.pack"
    write(pack, flipped(pack.read_bytes(), index.span(tree)[2] + 15))
    found = [*backend.examine()]
    assert {one.snapshot for one in found} == {""}
    assert any(tree.hex() in one.what for one in found)
    assert fsck(backend._repository)[0] != 0


def test_what_a_killed_save_leaves_is_no_damage(place, backend):
    populate(place.workspace)
    take(backend)
    name = next(backend._repository.packs.glob("*.pack"))
    shutil.copy(name, name.with_stem("pack-" + "0" * 40))
    fill(place.workspace, "later", 500, "later")
    take(backend)
    assert [*backend.examine()] == []


def test_a_store_in_which_git_was_run_by_hand_is_no_damage(place, backend, pictures):
    populate(place.workspace)
    turn(backend, pictures)
    turns(backend, pictures, 3)
    git(backend._repository, "-c", "pack.window=10", "-c", "pack.depth=10", "repack", "-a", "-d", "-q")
    assert [*backend.examine()] == []
    assert [*backend.examine(full=False)] == []


def test_examining_while_others_reclaim_finds_no_damage_that_is_none(place, backend, pictures):
    populate(place.workspace)
    turn(backend, pictures)
    turns(backend, pictures, 5)
    with ShadowGit.open(place) as other:
        looking = other.examine(progress=lambda done: reclaimed_once(backend, pictures))
        assert [*looking] == []


def reclaimed_once(backend, pictures):
    if len(pictures) > 1:
        gone = list(pictures)[:-1]
        backend.forget(gone)
        for snapshot in gone:
            del pictures[snapshot]
        backend.reclaim(thorough=True)


def test_damage_in_another_workspace_is_found_from_here(place, backend, tmp_path):
    theirs = Place(place.store, tmp_path / "theirs")
    theirs.workspace.mkdir()
    fill(theirs.workspace, "noise", 3000, 3)
    with ShadowGit.open(theirs) as other:
        snapshot = take(other)
        index = other._indexes.find(other.entry(snapshot.id, "noise").key)
    pack = backend._repository.packs / f"{index.name}.pack"
    write(pack, flipped(pack.read_bytes(), 1500))
    assert (snapshot.id, "noise") in {(one.snapshot, one.path) for one in backend.examine()}
