"""Counting what a store takes without walking it."""

import os
import signal

import pytest

from hermes_checkpoints.testing.processes import at_once
from hermes_checkpoints.upkeep.ledger import Count, Ledger
from hermes_checkpoints.upkeep.meter import Meter, OutOfRoom


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path)


def test_what_was_never_counted_is_unknown_and_adds_nothing(ledger):
    assert ledger.count("part") is None
    assert ledger.total() == Count()


def test_parts_are_counted_apart_and_together(ledger):
    ledger.add("one", 100)
    ledger.add("other", 5, turnover=2)
    ledger.add("one", -30)
    assert ledger.count("one") == Count(70, 0, 0)
    assert ledger.total() == Count(75, 0, 2)


def test_a_measurement_replaces_what_was_counted_before_it_and_keeps_what_came_since(ledger):
    ledger.add("part", 1000, turnover=3)
    before = ledger.count("part")
    ledger.add("part", 50, turnover=1)  # while it was being measured
    ledger.measured("part", before, 400)
    assert ledger.count("part") == Count(450, 400, 1)
    ledger.add("part", 7)
    assert ledger.count("part") == Count(457, 400, 1)


def test_processes_that_count_at_once_lose_nothing(tmp_path):
    def adding():
        mine = Ledger(tmp_path)
        for _ in range(200):
            mine.add("part", 10)

    def measuring():
        mine = Ledger(tmp_path)
        for _ in range(100):
            count = mine.count("part")
            if count is not None:
                mine.measured("part", count, count.size)

    at_once(adding, measuring, adding)
    assert Ledger(tmp_path).count("part").size == 4000


def test_a_line_that_a_kill_has_cut_does_not_spoil_the_next_ones(ledger, tmp_path):
    ledger.add("part", 100)
    with (tmp_path / "used" / "part").open("ab") as file:
        file.write(b"\n+12")
    ledger.add("part", 5)
    assert ledger.count("part").size in (105, 117)


def test_a_file_of_nonsense_counts_as_nothing(ledger, tmp_path):
    ledger.add("part", 1)
    (tmp_path / "used" / "part").write_bytes(os.urandom(500) + b"\n=\n+\n= 1 x\n+1 1 1\n")
    assert ledger.count("part") is not None
    ledger.measured("part", ledger.count("part"), 10)
    assert ledger.count("part").measured == 10


def test_the_file_does_not_grow_for_ever(ledger, tmp_path):
    for _ in range(5000):
        ledger.add("part", 1)
    assert ledger.count("part").size == 5000
    assert (tmp_path / "used" / "part").stat().st_size < 20_000


def test_a_save_is_counted_as_it_grows_and_stopped_where_the_budget_ends(ledger):
    limit = 6_400_000
    with pytest.raises(OutOfRoom) as stopped, Meter(ledger, "part", limit) as meter:
        for _ in range(100):
            meter(100_000)
    assert stopped.value.alone
    assert ledger.count("part").size == 0, "what was announced is taken back"


def test_saves_at_once_see_each_other(ledger):
    limit = 6_400_000
    with Meter(ledger, "part", limit) as mine, pytest.raises(OutOfRoom) as stopped:
        mine(4_000_000)
        with Meter(ledger, "part", limit) as theirs:
            for _ in range(30):
                theirs(100_000)
    assert not stopped.value.alone
    assert ledger.count("part").size == 4_000_000


def test_what_a_killed_save_announced_stays_counted_until_it_is_measured(tmp_path):
    child = os.fork()
    if child == 0:
        Meter(Ledger(tmp_path), "part", 0)(5_000_000)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    ledger = Ledger(tmp_path)
    assert ledger.count("part").size == 5_000_000
    ledger.measured("part", ledger.count("part"), 1000)
    assert ledger.count("part").size == 1000
