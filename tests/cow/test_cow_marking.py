"""What is live is found out whole, or nothing is deleted."""

import pytest

from cow_ground import data_files, half_dead
from hermes_checkpoints.contract import StoreDamaged
from hermes_checkpoints_cow.marking import Live, Marks


@pytest.mark.parametrize("damage", ["header", "node", "no list at all"])
def test_a_damaged_store_is_not_reclaimed_at_all(ground, damage):
    half_dead(ground)
    if damage == "header":
        next((ground.home / "snapshots").glob("*/*")).write_bytes(b"{")
    elif damage == "node":
        for data in data_files(ground.home):
            data.chmod(0o600)
            data.write_bytes(bytes(data.stat().st_size))
    else:
        (ground.home / "snapshots").rename(ground.home / "gone")
    before = {path: path.stat().st_blocks for path in (ground.home / "batches").rglob("*")}
    with pytest.raises(StoreDamaged):
        ground.backend.reclaim(thorough=True)
    assert {path: path.stat().st_blocks for path in (ground.home / "batches").rglob("*")} == before


def test_a_snapshot_forgotten_while_it_is_marked_is_passed_over_and_hides_nothing_of_the_others(ground):
    """Another reclaim may have removed half of what it held; what the next snapshot shares with it is live."""
    (ground.workspace / "shared").mkdir()
    held = {f"shared/{number}": ground.write(f"shared/{number}", 100_000) for number in range(3)}
    ground.take()
    ground.write("other", 10)
    ground.take()
    newest, oldest = ground.backend.snapshots()
    headers = {path.name[-40:]: path for path in (ground.home / "snapshots").glob("*/*")}
    for doomed, kept in ((newest, oldest), (oldest, newest)):
        told = []

        def load(key, doomed=doomed, told=told):
            told.append(key)
            if len(told) == 2:  # the root was read, and what is below it is gone
                headers[doomed.id].rename(ground.home / "aside")
                raise StoreDamaged("gone")
            return ground.backend._load_node(key)

        class OneFirst(Marks):
            first = doomed.id

            def mark(self):
                for snapshot in (self.first, None):
                    moved = [path for name, path in headers.items() if snapshot and name != snapshot]
                    for path in moved:
                        path.rename(ground.home / path.name)
                    super().mark()
                    for path in moved:
                        (ground.home / path.name).rename(path)

        marks = OneFirst(ground.home, load, lambda: None)
        marks.mark()
        live = sum(len(batch.numbers) for batch in marks.batches.values())
        assert live >= len(held), f"{kept.id} leans on all of them"
        (ground.home / "aside").rename(headers[doomed.id])


@pytest.mark.parametrize(
    ("ranges", "size", "expected"),
    [
        (set(), 10, [(0, 10)]),
        ({(0, 10)}, 10, []),
        ({(2, 4), (6, 8)}, 10, [(0, 2), (4, 6), (8, 10)]),
        ({(0, 6), (2, 4)}, 10, [(6, 10)]),
        ({(4, 6), (0, 5)}, 6, []),
        ({(0, 20)}, 10, []),
    ],
)
def test_dead_is_what_no_live_range_covers(ranges, size, expected):
    assert list(Live(ranges=ranges).dead(size)) == expected
