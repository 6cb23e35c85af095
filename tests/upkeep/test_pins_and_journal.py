"""What people say is to be kept, and where a snapshot went."""

import time

import pytest

from hermes_checkpoints.contract import Place
from hermes_checkpoints.results import Forgotten
from hermes_checkpoints.testing.processes import at_once
from hermes_checkpoints.upkeep import journal
from hermes_checkpoints.upkeep.pins import Pins
from made import snapshot

ONE, OTHER = snapshot(1), snapshot(2)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path, tmp_path / "workspace")


def test_a_pin_keeps_its_label_until_it_is_taken_out(place):
    pins = Pins(place)
    assert pins.labels([ONE, OTHER]) == {}
    pins.pin(ONE, "before the refactoring \udcff\n")
    pins.pin(OTHER)
    assert pins.labels([ONE, OTHER]) == {ONE.id: "before the refactoring \udcff\n", OTHER.id: ""}
    pins.pin(ONE, "another")
    assert pins.labels([ONE]) == {ONE.id: "another"}
    assert pins.unpin(ONE)
    assert not pins.unpin(ONE)
    assert Pins(place).labels([ONE, OTHER]) == {OTHER.id: ""}


def test_processes_that_pin_at_once_lose_no_pin(place):
    all_of_them = [snapshot(number) for number in range(60)]
    shares = (all_of_them[start::3] for start in range(3))
    at_once(*(lambda mine=mine: [Pins(place).pin(one) for one in mine] for mine in shares))
    assert Pins(place).labels(all_of_them).keys() == {one.id for one in all_of_them}


def test_a_pin_outlasts_a_new_id(place):
    """A purge gives snapshots new ids and leaves their dates."""
    Pins(place).pin(ONE, "label")
    purged = ONE._replace(id="c" * 40)
    assert Pins(place).labels([purged]) == {purged.id: "label"}


def test_the_log_says_what_went_and_why_and_stays_small(tmp_path):
    first = Forgotten(time.time(), "/w", (ONE.id,), "the workspace is gone")
    journal.note(tmp_path, [first])
    with (tmp_path / "forgotten.log").open("ab") as file:
        file.write(b'{"when": 1, "subj')  # killed here
    for number in range(3000):
        journal.note(tmp_path, [Forgotten(number, f"/w{number}", (OTHER.id,), "r" * 100, loud=True)])
    entries = list(journal.read(tmp_path))
    assert entries[-1] == Forgotten(2999, "/w2999", (OTHER.id,), "r" * 100, loud=True)
    assert (tmp_path / "forgotten.log").stat().st_size < 300_000
    assert len(entries) > 300


def test_half_a_line_costs_no_other(tmp_path):
    entries = [Forgotten(float(number), "/w", (ONE.id,), "why") for number in range(3)]
    journal.note(tmp_path, entries[:1])
    with (tmp_path / "forgotten.log").open("ab") as file:
        file.write(b"{nonsense\n[]\n{}\n")
    journal.note(tmp_path, entries[1:])
    assert list(journal.read(tmp_path)) == entries
