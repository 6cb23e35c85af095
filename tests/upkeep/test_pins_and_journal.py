"""What people say is to be kept, and where a snapshot went."""

import time

from hermes_checkpoints.results import Forgotten
from hermes_checkpoints.testing.processes import at_once
from hermes_checkpoints.upkeep import journal
from hermes_checkpoints.upkeep.pins import move_pins, pin, pins, unpin

ID, OTHER = "a" * 40, "b" * 40
WORKSPACE = "0" * 16


def test_a_pin_keeps_its_label_until_it_is_taken_out(tmp_path):
    assert pins(tmp_path, WORKSPACE) == {}
    pin(tmp_path, WORKSPACE, ID, "before the refactoring \udcff\n")
    pin(tmp_path, WORKSPACE, OTHER)
    assert pins(tmp_path, WORKSPACE) == {ID: "before the refactoring \udcff\n", OTHER: ""}
    pin(tmp_path, WORKSPACE, ID, "another")
    assert unpin(tmp_path, WORKSPACE, ID)
    assert not unpin(tmp_path, WORKSPACE, ID)
    assert pins(tmp_path, WORKSPACE) == {OTHER: ""}


def test_processes_that_pin_at_once_lose_no_pin(tmp_path):
    ids = [f"{number:040x}" for number in range(60)]
    at_once(*(lambda mine=ids[start::3]: [pin(tmp_path, WORKSPACE, one) for one in mine] for start in range(3)))
    assert pins(tmp_path, WORKSPACE).keys() == set(ids)


def test_a_pin_moves_with_its_snapshot(tmp_path):
    pin(tmp_path, WORKSPACE, ID, "label")
    move_pins(tmp_path, WORKSPACE, {ID: OTHER, "c" * 40: "d" * 40})
    assert pins(tmp_path, WORKSPACE) == {OTHER: "label"}


def test_the_log_says_what_went_and_why_and_stays_small(tmp_path):
    first = Forgotten(time.time(), "/w", (ID,), "the workspace is gone")
    journal.note(tmp_path, [first])
    with (tmp_path / "forgotten.log").open("ab") as file:
        file.write(b'{"when": 1, "subj')  # killed here
    for number in range(3000):
        journal.note(tmp_path, [Forgotten(number, f"/w{number}", (OTHER,), "r" * 100, loud=True)])
    entries = list(journal.read(tmp_path))
    assert entries[-1] == Forgotten(2999, "/w2999", (OTHER,), "r" * 100, loud=True)
    assert (tmp_path / "forgotten.log").stat().st_size < 300_000
    assert len(entries) > 300


def test_half_a_line_costs_no_other(tmp_path):
    entries = [Forgotten(float(number), "/w", (ID,), "why") for number in range(3)]
    journal.note(tmp_path, entries[:1])
    with (tmp_path / "forgotten.log").open("ab") as file:
        file.write(b"{nonsense\n[]\n{}\n")
    journal.note(tmp_path, entries[1:])
    assert list(journal.read(tmp_path)) == entries
