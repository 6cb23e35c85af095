"""Measuring a directory that others change."""

import os

from hermes_checkpoints.kit.store.space import space_of


def test_a_file_that_is_removed_meanwhile_costs_the_count_of_no_other(tmp_path, monkeypatch):
    for number in range(20):
        (tmp_path / str(number)).write_bytes(b"x" * 1000)
    scan = os.scandir

    class Removing:
        """Lists a directory and removes each second file before it is looked at."""

        def __init__(self, directory):
            self._entries = scan(directory)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self._entries.close()

        def __iter__(self):
            for number, entry in enumerate(list(self._entries)):
                if number % 2:
                    os.unlink(entry.path)
                yield entry

    monkeypatch.setattr(os, "scandir", Removing)
    assert space_of(tmp_path).apparent == 10 * 1000


def test_what_a_symlink_leads_to_does_not_count(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "large").write_bytes(b"x" * 1_000_000)
    (tmp_path / "store" / "link").symlink_to(tmp_path / "elsewhere")
    assert space_of(tmp_path / "store").real < 100_000
