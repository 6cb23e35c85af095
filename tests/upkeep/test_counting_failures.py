"""Counts of saves that fail, are interrupted, or are measured while they go on: rather too high than too low."""

import pytest

from hermes_checkpoints.contract import CheckpointError
from hermes_checkpoints.upkeep.ledger import Ledger
from hermes_checkpoints.upkeep.meter import Meter

MB = 1 << 20


def test_what_could_not_be_announced_is_not_taken_back(tmp_path):
    ledger = Ledger(tmp_path / "store")
    ledger.add("part", 1000)
    used = tmp_path / "store" / "used"
    used.rename(used.with_name("away"))
    used.write_text("no directory")
    with pytest.raises(CheckpointError), Meter(ledger, "part", 0) as meter:
        meter(5 * MB)
        used.unlink()
        used.with_name("away").rename(used)
        raise CheckpointError("the disk is full")
    assert ledger.count("part").size == 1000


def test_what_may_have_been_stored_when_it_was_interrupted_stays_counted(tmp_path):
    ledger = Ledger(tmp_path)
    with pytest.raises(KeyboardInterrupt), Meter(ledger, "part", 0) as meter:
        meter(5 * MB)
        raise KeyboardInterrupt
    assert ledger.count("part").size == 5 * MB


def test_a_measurement_during_a_save_does_not_make_the_count_too_low(tmp_path):
    ledger = Ledger(tmp_path)
    with Meter(ledger, "part", 0) as meter:
        meter(50 * MB)
        ledger.measured("part", ledger.count("part"), 0)  # nothing of it was written yet
    assert ledger.count("part").size == 50 * MB
    with pytest.raises(CheckpointError), Meter(ledger, "part", 0) as meter:
        meter(30 * MB)
        ledger.measured("part", ledger.count("part"), 50 * MB)
        raise CheckpointError("the disk is full")
    assert ledger.count("part").size == 50 * MB
