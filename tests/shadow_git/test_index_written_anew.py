"""A pack of one large content always has the same name: a damaged index of it is replaced by a good one."""

import os

from hermes_checkpoints.testing.trees import take
from hermes_checkpoints_shadow_git.backend import ShadowGit
from hermes_checkpoints_shadow_git.storing import STREAMED


def test_an_index_that_was_damaged_is_believed_once_it_was_written_anew(place, backend):
    (place.workspace / "large").write_bytes(os.urandom(STREAMED + 1))
    take(backend)
    (large,) = [one for one in backend._repository.packs.glob("*.pack") if one.stat().st_size > STREAMED]
    index = large.with_suffix(".idx")
    index.chmod(0o600)
    index.write_bytes(b"damaged")
    with ShadowGit.open(place) as other:
        os.utime(place.workspace / "large")
        (place.workspace / "small").write_bytes(b"small")
        snapshot = take(other)
        assert index.read_bytes() != b"damaged"
        assert list(other.verify(snapshot.id)) == []


def test_a_file_among_the_directories_of_refs_is_no_snapshot(place, backend):
    (place.workspace / "file").write_bytes(b"content")
    snapshot = take(backend)
    (backend._refs.parent / "stray").write_bytes(b"")
    assert [one.id for one in backend.all_snapshots()] == [snapshot.id]
