"""Names in the store that are not ours, and two reclaims over one file."""

import os
import select
import signal

import pytest

from cow_ground import ground_at
from hermes_checkpoints.contract import StoreRefused
from hermes_checkpoints.testing.processes import finish, start
from hermes_checkpoints.testing.witness import picture
from hermes_checkpoints_cow.holes import give_back


@pytest.fixture
def ground(tmp_path):
    with ground_at(tmp_path) as made:
        yield made


def test_a_store_whose_digests_were_made_another_way_is_refused_and_not_called_damaged(ground, tmp_path):
    ground.write("a", 10)
    ground.take()
    (ground.home / "hermes-checkpoints-format").write_text("1\n")
    before = picture(ground.home)
    with pytest.raises(StoreRefused, match="format '1'"), ground_at(tmp_path):
        pass
    assert picture(ground.home) == before


def test_reclaiming_removes_nothing_through_a_symlink_among_the_batches(ground, tmp_path):
    ground.write("a", 10)
    ground.take()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").write_bytes(b"precious")
    (ground.home / "batches" / "0123456789abcdef").symlink_to(tmp_path / "elsewhere")
    assert ground.backend.reclaim(thorough=True)
    assert (tmp_path / "elsewhere" / "precious").read_bytes() == b"precious"


def test_reclaiming_leaves_a_directory_alone_that_is_no_batch(ground):
    ground.write("a", 10)
    ground.take()
    (ground.home / "batches" / "cafe").mkdir()
    (ground.home / "batches" / "cafe" / "notes").write_bytes(b"notes")
    assert ground.backend.reclaim(thorough=True)
    assert (ground.home / "batches" / "cafe" / "notes").read_bytes() == b"notes"


def test_what_somebody_put_into_tmp_does_not_stay_in_the_trash(ground, tmp_path):
    ground.write("a", 10)
    ground.take()
    (tmp_path / "elsewhere").mkdir()
    (ground.home / "tmp" / "file").write_bytes(b"file")
    (ground.home / "tmp" / "link").symlink_to(tmp_path / "elsewhere")
    assert ground.backend.reclaim()
    assert os.listdir(ground.home / "trash") == []
    assert (tmp_path / "elsewhere").is_dir()


def test_a_reclaim_that_was_held_up_does_not_write_back_what_another_one_overwrote(tmp_path):
    """On Btrfs what is alive is written anew; to an older reclaim, what was forgotten since is still alive."""
    data = tmp_path / "data"
    data.write_bytes(b"secret" * 10_000)
    data.chmod(0o400)
    size = data.stat().st_size

    def rewrites_and_is_held_up():
        read = os.pread

        def held_up(*arguments):
            found = read(*arguments)
            os.kill(os.getpid(), signal.SIGSTOP)
            return found

        os.pread = held_up
        for _ in give_back(data, [(size, size)], thorough=False, whole_extents=True):
            os.pread = read

    def overwrites():
        list(give_back(data, [(0, size)], thorough=True, whole_extents=True))

    older = start(rewrites_and_is_held_up)
    os.waitpid(older.pid, os.WUNTRACED)
    newer = start(overwrites)
    select.select([newer.answer], [], [], 0.5)  # it waits for the older one, which would come too late otherwise
    os.kill(older.pid, signal.SIGCONT)
    finish(older)
    finish(newer)
    assert not data.read_bytes().strip(b"\0")
