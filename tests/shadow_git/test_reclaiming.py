"""Giving space back."""

import fcntl
import os
from itertools import islice

import pytest

from git_building import git
from hermes_checkpoints.contract import Place
from hermes_checkpoints_shadow_git import reclaiming
from hermes_checkpoints_shadow_git.backend import ShadowGit
from reclaim_building import MIB, fill, forget, half_dead, leftovers, pack_names, packed, turn, turns, whole


def test_packs_in_which_nothing_is_alive_go(place, backend, pictures, tmp_path):
    fill(place.workspace, "large", 3 * MIB, 1)
    turn(backend, pictures)
    (place.workspace / "large").unlink()
    turn(backend, pictures)
    assert backend.reclaim()
    assert packed(backend) > 3 * MIB
    forget(backend, pictures, islice(pictures, 1))
    assert backend.reclaim()
    assert packed(backend) < 10_000
    assert leftovers(backend) == []
    whole(backend, pictures, tmp_path)


def test_a_pack_that_is_half_garbage_is_rewritten(backend, pictures, tmp_path):
    half_dead(backend, pictures)
    before = packed(backend)
    assert backend.reclaim()
    assert before / 2 < packed(backend) < before * 0.51
    assert leftovers(backend) == []
    whole(backend, pictures, tmp_path)
    settled = pack_names(backend)
    assert backend.reclaim()
    assert pack_names(backend) == settled


def test_a_little_garbage_stays_unless_asked_to_be_thorough(place, backend, pictures, tmp_path):
    for number in range(20):
        fill(place.workspace, f"file {number}", 100_000, number)
    turn(backend, pictures)
    (place.workspace / "file 0").unlink()
    turn(backend, pictures)
    forget(backend, pictures, islice(pictures, 1))
    before = packed(backend)
    assert backend.reclaim()
    assert packed(backend) == before
    assert backend.reclaim(thorough=True)
    assert before - 110_000 < packed(backend) < before - 100_000
    whole(backend, pictures, tmp_path)


def test_thoroughly_reclaimed_content_is_in_no_file_of_the_store(place, backend, pictures, tmp_path):
    fill(place.workspace, "other", 500_000, 1)
    fill(place.workspace, "secret", 3000, 2)
    secret = (place.workspace / "secret").read_bytes()
    turn(backend, pictures)
    packs = [path.read_bytes() for path in backend._repository.packs.glob("*.pack")]
    assert any(secret[:1000] in pack for pack in packs), "noise is stored as it is"
    assert backend.purge("secret")
    assert backend.reclaim(thorough=True)
    files = [path.read_bytes() for path in place.store.rglob("*") if path.is_file()]
    assert not any(secret[at : at + 50] in file for file in files for at in range(0, 2900, 50))


def test_many_packs_of_a_turn_become_few_and_each_object_moves_seldom(backend, pictures, tmp_path, monkeypatch):
    copied = 0
    real = reclaiming.rewrite

    def counting(sources, *rest):
        nonlocal copied
        copied += sum(len(source.spans) for source in sources)
        return real(sources, *rest)

    monkeypatch.setattr(reclaiming, "rewrite", counting)
    for _ in range(30):
        turns(backend, pictures, 10)
        assert backend.reclaim()
        assert len(pack_names(backend)) <= 45
    objects = sum(index.count for index in backend._indexes.all())
    assert copied < 3 * objects
    forget(backend, pictures, list(pictures)[:-5])
    assert backend.reclaim()
    assert len(pack_names(backend)) <= 16
    whole(backend, pictures, tmp_path)


def test_reclaiming_needs_little_room_beyond_what_is_stored(place, backend, pictures, tmp_path):
    for part in range(6):
        for number in range(8):
            fill(place.workspace, f"file {part} {number}", MIB, f"{part} {number}")
        turn(backend, pictures)
    for part in range(6):
        for number in range(4):
            (place.workspace / f"file {part} {number}").unlink()
    turn(backend, pictures)
    forget(backend, pictures, list(pictures)[:-1])
    sizes = [backend.usage().real]

    def sample(_):
        sizes.append(backend.usage().real)

    real = backend._repository.packs
    assert backend.reclaim(progress=sample)
    sizes.append(backend.usage().real)
    assert real.is_dir()
    assert sizes[-1] < sizes[0] * 0.52
    assert max(sizes) - sizes[0] < 9 * MIB
    whole(backend, pictures, tmp_path)


def test_a_pack_that_somebody_keeps_is_left_alone(backend, pictures, tmp_path):
    half_dead(backend, pictures)
    kept = pack_names(backend)
    for name in kept:
        (backend._repository.packs / f"{name}.keep").touch()
    assert not backend.reclaim(thorough=True), "something is left that could not be removed"
    assert kept <= pack_names(backend)
    whole(backend, pictures, tmp_path)


def test_what_git_made_by_hand_is_reclaimed_and_fsck_stays_silent(backend, pictures, tmp_path):
    turns(backend, pictures, 5, size=50_000)
    git(backend._repository, "repack", "-a", "-d", "-q", "--write-midx")
    git(backend._repository, "commit-graph", "write", "--reachable")
    forget(backend, pictures, list(pictures)[:-2])
    git(backend._repository, "repack", "-A", "-d", "-q")
    assert list(backend._repository.path.glob("objects/[0-9a-f][0-9a-f]/*")), "git did not make loose objects"
    assert backend.reclaim()
    assert not list(backend._repository.path.glob("objects/[0-9a-f][0-9a-f]/*"))
    assert packed(backend) < 120_000
    whole(backend, pictures, tmp_path)


@pytest.mark.parametrize("way", ["branch", "packed"])
def test_what_a_ref_made_by_hand_names_is_kept(backend, pictures, tmp_path, way):
    turns(backend, pictures, 2, size=50_000)
    first = next(iter(pictures))
    git(backend._repository, "update-ref", "refs/heads/mine", first)
    if way == "packed":
        git(backend._repository, "pack-refs", "--all", "--no-prune")
        (backend._repository.path / "refs" / "heads" / "mine").unlink()
    forget(backend, pictures, [first])
    assert backend.reclaim(thorough=True)
    assert git(backend._repository, "rev-list", "--objects", "refs/heads/mine").count(b"\n") > 3
    assert packed(backend) > 100_000
    whole(backend, pictures, tmp_path)


def test_what_killed_processes_left_is_swept_and_what_may_be_in_use_is_not(place, backend, pictures, tmp_path):
    turns(backend, pictures, 2)
    repo = backend._repository
    (repo.tmp / "somebody").mkdir(exist_ok=True)
    (repo.tmp / "somebody" / "pack-x").write_bytes(b"half a pack")
    (repo.tmp / "reclaiming").mkdir(exist_ok=True)
    (repo.tmp / "reclaiming" / "pack-y").write_bytes(b"of a killed reclaim")
    (repo.packs / "pack-00.pack").write_bytes(b"no index")
    (repo.packs / "pack-01.idx").write_bytes(b"no pack")
    (repo.packs / "tmp_pack_1").write_bytes(b"now")
    (repo.packs / "tmp_pack_1-old").write_bytes(b"long ago")
    os.utime(repo.packs / "tmp_pack_1-old", (1, 1))
    (repo.tmp / f"{1:016x}.new").write_bytes(b"of somebody who was killed as the store was opened")
    being_made = repo.tmp / f"{2:016x}.new"
    being_made.touch()
    other = Place(place.store, tmp_path / "gone")
    other.workspace.mkdir()
    with ShadowGit.open(other) as theirs:
        theirs.forget([turn(theirs, {})])
        assert theirs._refs.is_dir()
    with being_made.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as whoever is at work on it
        assert backend.reclaim()
    assert leftovers(backend) == [being_made.name]
    assert [path.name for path in repo.packs.glob("tmp_*")] == ["tmp_pack_1"]
    assert not list(repo.packs.glob("pack-0[01].*"))
    assert not theirs._refs.exists()
    assert not (repo.path / "seen" / other.workspace_id).exists()
    (repo.packs / "tmp_pack_1").unlink()
    whole(backend, pictures, tmp_path)
