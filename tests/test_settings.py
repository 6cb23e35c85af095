"""What an owner says in ``store/config.toml``."""

import pytest

from hermes_checkpoints import Limits
from hermes_checkpoints.contract import CheckpointError
from hermes_checkpoints.settings import read_settings


@pytest.fixture
def configured(tmp_path):
    """``configured(text)`` reads the settings of a store with that configuration."""

    def configured(text):
        (tmp_path / "store").mkdir(exist_ok=True)
        (tmp_path / "store" / "config.toml").write_text(text)
        return read_settings(tmp_path, environ={})

    return configured


def test_limits_come_from_the_configuration_in_its_units(configured):
    told = configured(
        "max_snapshots = 5\nkeep_daily = 7\nmax_total_size_mb = 1.5\nmin_free_disk = 0\nretention_days = 30\n"
    )
    assert told.limits == Limits(5, keep_daily=7, max_total_size=3 << 19, min_free_disk=0, retention_days=30)


def test_a_budget_of_less_than_a_byte_is_not_taken_for_none(configured):
    assert configured("max_total_size_mb = 0.0000001").limits.max_total_size == 1
    assert configured("max_total_size_mb = 0").limits.max_total_size == 0


@pytest.mark.parametrize(
    "line",
    ["max_snapshots = 0", "max_snapshots = true", 'keep_hourly = "3"', "min_free_disk = 2", "retention_days = -1"],
)
def test_what_cannot_be_meant_is_refused_by_name(configured, line):
    with pytest.raises(CheckpointError, match=line.split()[0]):
        configured(line)


def test_a_key_that_means_nothing_is_told(configured, caplog):
    configured("max_total_size = 5\nmax_snapshots = 3\n")
    (told,) = caplog.messages
    assert "config.toml: max_total_size means nothing here" in told
    assert "max_total_size_mb" in told
