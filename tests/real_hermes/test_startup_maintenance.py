"""What Hermes does about old checkpoints when it starts: its command line and its gateway, over our engine."""

import os
import shutil
import time

import pytest

from callers import HERE, Conversation
from hermes_checkpoints.testing.witness import difference, picture
from installation import configure, environment
from stores import DAY, age, ids, protect
from trees import put


@pytest.fixture(params=["load_plugins start_cli", "start_gateway"])
def start(request, installation, tmp_path):
    """Start a new Hermes; what it logs about checkpoints."""

    def started(**checkpoints):
        configure(**checkpoints)
        with Conversation(installation.python, HERE, tmp_path, environment()) as hermes:
            *_, said = [hermes.ask(method) for method in request.param.split()]
            assert hermes.ask("serving") == "hermes_checkpoints.hermes"
        assert not [line for line in said if "skipped" in line], said  # Hermes caught what we raised
        return said

    return started


def test_a_start_forgets_what_is_gone_and_nothing_that_lives(engine, base, start, tmp_path):
    live, gone, idle = (tmp_path / name for name in ("live", "gone", "idle"))
    held = {workspace: protect(engine, workspace).ids for workspace in (live, gone, idle)}
    before = picture(live)
    shutil.rmtree(gone)
    age(base, 30, idle)
    start()
    assert ids(engine, live) == held[live]
    assert ids(engine, gone) == []
    assert ids(engine, idle)[:1] == held[idle][:1]  # nobody has worked in it for long; it can still be gone back to
    put(live, "src/main.py", "broken\n")
    engine.restore(live, held[live][0])
    assert difference(before, picture(live)) == []


def test_hermes_own_settings_say_what_a_start_forgets(engine, base, start, tmp_path):
    gone, idle = tmp_path / "gone", tmp_path / "idle"
    held = {workspace: protect(engine, workspace).ids for workspace in (gone, idle)}
    shutil.rmtree(gone)
    age(base, 30, idle)
    start(auto_prune=False)
    assert not (base / ".last_prune").exists()
    start(delete_orphans=False, retention_days=60)
    assert (base / ".last_prune").exists()
    assert {workspace: ids(engine, workspace) for workspace in (gone, idle)} == held


def test_one_start_a_day_looks_after_the_store_and_a_broken_marker_is_none(engine, base, start, tmp_path):
    marker = base / ".last_prune"
    for said in (None, "not a number", f"{time.time() - 2 * DAY}"):
        gone = tmp_path / "gone"
        protect(engine, gone, turns=1)
        shutil.rmtree(gone)
        if said is not None:
            marker.write_text(said)
        start()
        assert ids(engine, gone) == [], said
        assert abs(time.time() - float(marker.read_text())) < DAY, said
    held = protect(engine, tmp_path / "gone").ids
    shutil.rmtree(tmp_path / "gone")
    start()
    assert ids(engine, tmp_path / "gone") == held
    start(min_interval_hours=0)
    assert ids(engine, tmp_path / "gone") == []


def test_a_store_that_cannot_be_used_does_not_keep_hermes_from_starting(engine, base, start, tmp_path):
    held = protect(engine, tmp_path / "live").ids
    config = put(base, "store/config.toml", "max_snapshots = [\n")
    before = picture(base / "store")
    assert start()  # something is logged
    config.unlink()
    before.pop(b"config.toml")
    now = picture(base / "store")
    assert [line for line in difference(before, now) if "locks" not in line] == []
    assert ids(engine, tmp_path / "live") == held
    shutil.rmtree(base)
    base.write_text("not a directory\n")
    start()
    assert base.read_text() == "not a directory\n"


def test_a_first_start_makes_no_store(base, start):
    start()
    assert not os.path.lexists(base)
