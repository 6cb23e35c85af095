"""A byte that is flipped, cut off or missing in a copy-on-write store is found, is not restored, and comes back."""

import io
import os

import pytest

from cow_ground import MB, data_files, ground_at
from hermes_checkpoints import Engine
from hermes_checkpoints.contract import Kind, Mending, NewFile, StoreDamaged
from hermes_checkpoints.testing.processes import killed_at, steps_of

LARGE = 5 * MB
"""Of a clone of this size nobody knows a digest before it was read once."""


def flip(path, at):
    """Change one byte where it lies, as a failing disk would; nothing is renamed."""
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(1)
        file.seek(at)
        file.write(bytes([old[0] ^ 0x10]))


def own_files(home):
    return sorted(path for path in home.glob("batches/*/*") if path.name.isdecimal())


def filled(ground):
    """A first snapshot (clones, where the filesystem has them) and a second one (packed, cloned and copied)."""
    (ground.workspace / "below").mkdir()
    for name, size in {"below/small": 300, "medium": 70_000, "empty": 0}.items():
        ground.write(name, size)
    first = ground.take()
    for name, size in {"below/packed": 500, "other": 90_000}.items():
        ground.write(name, size)
    return first, ground.take()


def found(ground, *, full=True):
    damages = list(ground.backend.examine(full=full))
    ground.backend.examined()
    return damages


def test_a_store_without_damage_has_none(ground):
    filled(ground)
    ground.write("large", LARGE)
    ground.take()
    assert found(ground, full=False) == []
    assert found(ground) == []
    assert found(ground) == []


def test_every_flipped_byte_that_a_snapshot_leans_on_is_found_also_by_a_process_that_read_it_before(ground):
    filled(ground)
    assert found(ground) == []
    tried = 0
    for path in [*data_files(ground.home), *own_files(ground.home), *sorted(ground.home.glob("snapshots/*/*"))]:
        size = path.stat().st_size
        for at in {*range(0, size, max(1, size // 40)), size - 1} if size else ():
            flip(path, at)
            damages = found(ground)
            assert damages, f"byte {at} of {path.relative_to(ground.home)}"
            assert all(damage.snapshot for damage in damages)
            flip(path, at)
            tried += 1
    print(f"{tried} bytes flipped")
    assert tried > 200
    assert found(ground) == []


def test_a_flipped_byte_costs_the_paths_that_it_costs_and_no_other(ground):
    first, second = filled(ground)
    (path,) = [path for path in own_files(ground.home) if path.stat().st_size == 70_000]
    flip(path, 69_999)
    assert {(damage.snapshot, damage.path) for damage in found(ground)} == {
        (first.id, "medium"),
        (second.id, "medium"),
    }


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("how", ["cut", "missing", "grown"])
def test_a_file_that_is_cut_or_missing_is_found_without_being_read(ground, how, full):
    filled(ground)
    for path in [*own_files(ground.home), *data_files(ground.home)]:
        if how == "grown" and path.name == "data":
            continue  # nothing leans on what is behind its end
        aside = ground.root / "aside"
        path.rename(aside)
        if how != "missing":
            path.write_bytes((aside.read_bytes() + b"more")[: aside.stat().st_size + (1 if how == "grown" else -1)])
        if how != "cut" or aside.stat().st_size:
            assert found(ground, full=full), path.relative_to(ground.home)
        path.unlink(missing_ok=True)
        aside.rename(path)
    assert found(ground, full=full) == []


def test_what_is_damaged_is_never_given_out(ground):
    _, second = filled(ground)
    for path in own_files(ground.home):
        if path.stat().st_size:
            flip(path, path.stat().st_size // 2)
    entry = ground.backend.entry(second.id, "medium")
    with pytest.raises(StoreDamaged), ground.backend.read(entry) as content:
        content.read()
    target = ground.root / "target"
    target.mkdir()
    directory = os.open(target, os.O_RDONLY)
    try:
        with pytest.raises(StoreDamaged):
            ground.backend.materialise(entry, directory, "medium")
    finally:
        os.close(directory)
    assert os.listdir(target) == []


def test_a_damaged_content_is_stored_anew_and_not_taken_for_unchanged(ground):
    """The workspace still has the good bytes: a snapshot must not lean on the bad ones because they were the same."""
    first, second = filled(ground)
    (path,) = [path for path in own_files(ground.home) if path.stat().st_size == 70_000]
    flip(path, 5)
    (ground.workspace / "medium").write_bytes((ground.workspace / "medium").read_bytes())
    third = ground.take()
    assert {damage.snapshot for damage in found(ground)} == {first.id, second.id}
    assert ground.read(third, "medium") == (ground.workspace / "medium").read_bytes()


@pytest.mark.parametrize("how", ["flipped", "missing", "batch missing"])
def test_every_content_and_directory_comes_back_from_its_own_bytes_and_from_no_others(ground, how):
    _, second = filled(ground)
    for path, entry in ground.backend.entries(second.id):
        if entry.kind is Kind.DIR:
            good = ground.backend._load_node(entry.key)
        elif entry.size:
            good = ground.read(second, path)
        else:
            continue
        batch, name = _place(ground, entry)
        stored = batch / name
        before = stored.read_bytes()
        _break(ground, stored, how, before, good)
        with pytest.raises(StoreDamaged):
            ground.backend._check(entry, full=True)
        assert not ground.backend._put_back(entry, io.BytesIO(good[:-1] + bytes([good[-1] ^ 1])))
        assert ground.backend._put_back(entry, io.BytesIO(good), dry_run=True)
        with pytest.raises(StoreDamaged):
            ground.backend._check(entry, full=True)
        assert ground.backend._put_back(entry, io.BytesIO(good))
        ground.backend._check(entry, full=True)
        assert stored.stat().st_mode & 0o777 == 0o400
        if how == "flipped":
            assert stored.read_bytes() == before
        _restore(ground, batch)
    assert found(ground) == []


def _place(ground, entry):
    batch = ground.home / "batches" / entry.key[:8].hex()
    return batch, "data" if entry.key[8:9] == b"d" else str(int.from_bytes(entry.key[9:13]))


def _break(ground, stored, how, before, good):
    if how == "flipped":
        flip(stored, before.index(good) + len(good) // 2)
    elif how == "missing":
        (ground.root / "kept").mkdir()
        stored.rename(ground.root / "kept" / stored.name)
    else:
        stored.parent.rename(ground.root / "kept")


def _restore(ground, batch):
    """What else lay in a file or a batch that was taken away."""
    if (ground.root / "kept").exists():
        batch.mkdir(exist_ok=True)
        for path in (ground.root / "kept").iterdir():
            path.replace(batch / path.name)
        (ground.root / "kept").rmdir()


def test_a_content_comes_back_as_a_clone_where_there_are_clones(filesystem, ground):
    _, second = filled(ground)
    entry = ground.backend.entry(second.id, "medium")
    batch, name = _place(ground, entry)
    flip(batch / name, 10)
    with (ground.workspace / "medium").open("rb") as content:
        assert ground.backend._put_back(entry, content)
    ground.backend._check(entry, full=True)
    assert (ground.backend._stored_size(entry) < 70_000) == filesystem.clones


@pytest.mark.parametrize("path", ["below/packed", "medium"])
def test_putting_back_that_is_killed_at_any_step_can_be_repeated(on_filesystem, path):
    with ground_at(on_filesystem) as ground:
        _, second = filled(ground)
        good = ground.read(second, path)
        entry = ground.backend.entry(second.id, path)
        batch, name = _place(ground, entry)

    def put_back():
        with ground_at(on_filesystem) as again:
            assert again.backend._put_back(entry, io.BytesIO(good))

    stored = batch / name
    steps = steps_of(put_back)
    for step in range(1, steps, max(1, steps // 12)):
        flip(stored, stored.read_bytes().index(good))
        killed_at(step, put_back)
        put_back()
        with ground_at(on_filesystem) as ground:
            assert found(ground) == []


def test_a_damaged_header_is_put_aside_and_the_others_stay(ground):
    first, second = filled(ground)
    (path,) = ground.home.glob(f"snapshots/*/*-{first.id}")
    flip(path, 30)
    damaged = path.read_bytes()
    assert [(damage.snapshot, damage.path) for damage in found(ground)] == [(first.id, "")]
    mended = list(ground.backend.mend(give_up=True))
    assert [(one.what, one.snapshot) for one in mended] == [(Mending.QUARANTINED, first.id)]
    assert [one.read_bytes() for one in ground.home.glob(f"quarantine/*/*-{first.id}-*")] == [damaged]
    assert [snapshot.id for snapshot in ground.backend.snapshots()] == [second.id]
    assert found(ground) == []
    assert ground.backend.reclaim()
    ground.verify()


def test_what_the_workspace_still_has_is_mended_and_the_rest_is_said_to_be_lost(ground):
    _, second = filled(ground)
    gone = ground.workspace / "other"
    gone.unlink()
    newest = ground.take()
    for path in own_files(ground.home):
        if path.stat().st_size:
            flip(path, 1)
    mended = {(one.what, one.path) for one in ground.backend.mend(give_up=True)}
    assert (Mending.HEALED, "medium") in mended
    assert (Mending.LEFT_OUT, "other") in mended
    assert found(ground) == []
    assert newest.id in {snapshot.id for snapshot in ground.backend.snapshots()}
    assert second.id not in {snapshot.id for snapshot in ground.backend.snapshots()}
    ground.verify()


def test_a_restore_goes_on_after_a_damaged_content_and_says_which_path_failed(on_filesystem):
    (on_filesystem / "workspace").mkdir()
    contents = {name: os.urandom(size) for name, size in {"a": 70_000, "b": 80_000, "c": 90_000}.items()}
    for name, content in contents.items():
        (on_filesystem / "workspace" / name).write_bytes(content)
    with Engine(store=on_filesystem / "base", backend="cow") as engine:
        taken = engine.snapshot(on_filesystem / "workspace")
        (path,) = (path for path in own_files(on_filesystem / "base/store/cow") if path.stat().st_size == 80_000)
        flip(path, 79_999)
        for name in contents:
            (on_filesystem / "workspace" / name).write_bytes(b"later")
        done = engine.restore(on_filesystem / "workspace", taken.snapshot.id)
    assert [failure.path for failure in done.failed] == ["b"]
    assert (on_filesystem / "workspace/b").read_bytes() == b"later"
    for name in ("a", "c"):
        assert (on_filesystem / "workspace" / name).read_bytes() == contents[name]


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="what is in memory cannot be chosen here")
def test_a_clone_that_became_longer_is_not_put_back_though_its_beginning_is_as_it_was(ground):
    ground.write("cloned", 8192)
    snapshot = ground.take()
    (stored,) = own_files(ground.home) or [None]
    if stored is None:
        pytest.skip("no clones on this filesystem")
    with stored.open("ab") as file:
        file.write(b"appended" * 512)
        os.fsync(file.fileno())
    with stored.open("rb") as file:  # only the beginning is in memory: a reader that does not wait gets no more
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        os.pread(file.fileno(), 8192, 0)
        os.posix_fadvise(file.fileno(), 8192, 0, os.POSIX_FADV_DONTNEED)
    directory = os.open(ground.workspace, os.O_RDONLY)
    try:
        wanted = NewFile(ground.backend.entry(snapshot.id, "cloned"), directory, "back")
        with pytest.raises(StoreDamaged):
            list(ground.backend.materialise_all([wanted]))
    finally:
        os.close(directory)
    assert not (ground.workspace / "back").exists()
