"""What reviewers broke: strings, damage, size, removal of everything, requests that broke off."""

import os
import shutil
import subprocess
import threading

import pytest

from hermes_checkpoints import Engine, hermes
from hermes_checkpoints.contract import StoreDamaged
from hermes_checkpoints.hermes import listing
from hermes_checkpoints.hermes.requests import begin_request, end_request
from hermes_checkpoints.testing.witness import difference, picture
from trees import put

LIMIT = 1 << 20


@pytest.fixture
def small(backend):
    """A manager with a limit of 1 MB a file."""
    made = hermes.CheckpointManager(enabled=True, max_file_size_mb=1)
    yield made
    made.close()


@pytest.mark.parametrize("reason", ["echo \ud83d", "\ud800", "nul \0", "x" * 100_000])
def test_no_reason_that_a_model_can_come_up_with_hides_the_checkpoints(manager, project, turn, reason):
    """Half a surrogate pair, for one, which JSON carries and no encoding takes."""
    first = turn(reason)
    put(project, "a", b"1")
    assert manager.restore(project, first)["success"]
    listed = manager.list_checkpoints(project)
    assert [one["hash"] for one in listed][-1] == first
    assert len(listed[-1]["reason"]) <= 500
    assert hermes.format_checkpoint_list(listed, str(project)).encode()


@pytest.mark.parametrize("reason", ["\ud800", "\udcff"])
def test_a_directory_that_is_no_text_is_refused_without_an_exception(manager, reason):
    off = hermes.CheckpointManager()
    assert not off.ensure_checkpoint(reason, reason)
    assert not manager.ensure_checkpoint(reason, reason)


def test_one_snapshot_that_cannot_be_compared_hides_no_other(manager, project, turn, monkeypatch):
    """It was forgotten by another process meanwhile, or is damaged."""
    hashes = []
    for number in range(3):
        put(project, "a", f"{number}\n")
        hashes.append(turn())

    def broken(self, before, after):
        if hashes[1] in (before.id, after.id):
            raise StoreDamaged("a byte is wrong")
        return 1, (1, 1)

    monkeypatch.setattr(listing._Counting, "figures", broken)
    assert [one["hash"] for one in manager.list_checkpoints(project)] == hashes[::-1]
    assert len(manager.list_all_checkpoints()) == 3


def test_a_file_that_outgrew_the_limit_brings_no_other_large_file_into_the_store(small, project, base):
    put(project, "log", b"then")
    assert small.ensure_checkpoint(project)
    for number in range(5):
        put(project, f"data/{number}.bin", os.urandom(LIMIT + 1))
    put(project, "log", os.urandom(LIMIT + 1))
    done = small.restore(project, small.last_outcome["hash"], "log")
    assert done["success"]
    assert (done["skipped_oversize"], done["reason"]) == ([], "auto")  # the others were not asked for
    assert (project / "log").read_bytes() == b"then"
    used = int(subprocess.run(["du", "-sk", base], capture_output=True, check=True).stdout.split()[0])
    assert used < 3 * 1024


def test_a_file_that_outgrew_the_limit_does_not_keep_the_rest_from_coming_back(small_filesystem, project, backend):
    """Its present state does not fit on the store's disk."""
    with small_filesystem("ext4", 32) as disk:
        hermes.CHECKPOINT_BASE = disk.root / "checkpoints"
        tight = hermes.CheckpointManager(enabled=True, max_file_size_mb=1)
        put(project, "output", b"then")
        assert tight.ensure_checkpoint(project), tight.last_outcome
        first = tight.last_outcome["hash"]
        put(project, "src/main.py", b"broken")
        put(project, "output", os.urandom(48 << 20))
        done = tight.restore(project, first)
        assert done["success"], done
        assert (project / "src/main.py").read_text() == "first\n"
        assert (project / "output").stat().st_size == 48 << 20
        assert "output" in [one["path"] for one in done["kept"]]
        assert "output" in done["reason"]
        tight.close()


def test_what_is_only_left_out_now_is_not_called_deleted(small, project):
    put(project, "grows", b"then\n")
    put(project, "ignored", b"then\n")
    assert small.ensure_checkpoint(project)
    put(project, "grows", b"x" * (LIMIT + 1))
    put(project, ".gitignore", b"ignored\n")
    told = small.diff(project, small.last_outcome["hash"])
    assert "deleted file" not in told["diff"]
    assert "# ignored is not compared: now it is ignored" in told["diff"]


def test_a_workspace_that_the_agent_removed_altogether_comes_back_in_a_safe_restore(manager, project, turn):
    first, before = turn(), picture(project)
    put(project, "a", b"the agent's")
    manager.record_agent_write(project / "a")
    turn("before terminal: rm -rf")
    shutil.rmtree(project)
    manager.new_turn()
    done = manager.restore(project, first)
    assert (done["success"], done["skipped_user_edits"]) == (True, [])
    assert difference(before, picture(project)) == []


def test_edits_after_a_request_that_broke_off_are_not_taken_for_the_agents(manager, project, turn):
    put(project, "notes", b"then")
    begin_request("session", "first")
    first = turn()
    put(project, "a", b"the agent's")
    manager.record_agent_write(project / "a")
    put(project, "notes", b"mine, after Hermes had crashed")  # nobody said that the request had ended
    begin_request("session", "second")
    manager.new_turn()
    done = manager.restore(project, first)
    end_request()
    assert done["skipped_user_edits"] == ["notes"]
    assert not (project / "a").exists()


def test_edits_after_a_thread_died_are_not_taken_for_the_agents(manager, project, turn):
    """Hermes works at each request in a thread of its own."""
    put(project, "notes", b"then")

    def request(work):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    def dies():
        begin_request("session", "first")
        turn()
        put(project, "a", b"the agent's")
        manager.record_agent_write(project / "a")

    def goes_on():
        begin_request("session", "second")
        turn()
        end_request()

    request(dies)
    put(project, "notes", b"mine, after the thread had died")
    request(goes_on)
    first = manager.list_checkpoints(project)[-1]["hash"]
    assert manager.restore(project, first)["skipped_user_edits"] == ["notes"]


def test_what_an_undo_brings_back_is_still_the_agents(manager, project, turn):
    first, before = turn(), picture(project)
    put(project, "src/main.py", b"the agent's")
    manager.record_agent_write(project / "src/main.py")
    manager.new_turn()
    assert manager.restore(project, first)["success"]
    with Engine(store=hermes.CHECKPOINT_BASE) as engine:
        engine.undo(project)
    assert (project / "src/main.py").read_bytes() == b"the agent's"
    assert manager.restore(project, first)["skipped_user_edits"] == []
    assert difference(before, picture(project)) == []


def test_a_file_over_the_limit_that_an_undo_brought_back_is_left_out_again(small, project, base):
    put(project, "grows", b"then")
    assert small.ensure_checkpoint(project)
    first = small.last_outcome["hash"]
    put(project, "grows", os.urandom(LIMIT + 1))
    assert small.restore(project, first)["success"]
    with Engine(store=base) as engine:
        engine.undo(project)
    small.new_turn()
    put(project, "other", b"1")
    assert small.ensure_checkpoint(project)
    shared = small.last_outcome["left_out"]
    for cache in base.rglob("seen"):
        shutil.rmtree(cache)
    put(project, "other", b"2")
    cold = hermes.CheckpointManager(enabled=True, max_file_size_mb=1)
    assert cold.ensure_checkpoint(project)
    assert cold.last_outcome["left_out"] == shared


def test_a_mode_that_somebody_changed_by_hand_stays_in_a_safe_restore(manager, project, turn):
    first = turn()
    put(project, "src/main.py", b"the agent's")
    manager.record_agent_write(project / "src/main.py")
    (project / "src").chmod(0o700)
    done = manager.restore(project, first)
    assert done["skipped_user_edits"] == ["src"]
    assert (project / "src").stat().st_mode & 0o777 == 0o700
    assert (project / "src/main.py").read_text() == "first\n"


def test_a_session_that_outlives_its_first_checkpoint_is_compared_with_the_next_one(backend, project):
    few = hermes.CheckpointManager(enabled=True, max_snapshots=2)
    for number in range(4):
        few.new_turn()
        put(project, "a", f"{number}")
        assert few.ensure_checkpoint(project)
    kept = [one["hash"] for one in few.list_checkpoints(project)]
    assert few.session_diff(project)["baseline"] == kept[-1]


def test_the_figures_of_one_list_do_not_add_up_to_a_long_wait(manager, project, turn, monkeypatch):
    monkeypatch.setattr(listing, "_MOST_FILES", 3)
    for number in range(4):
        for name in "ab":
            put(project, name, f"{number}\n")
        turn()
    figures = [(one["files_changed"], one["insertions"]) for one in manager.list_checkpoints(project)]
    assert figures == [(2, 2), (2, 0), (2, 0), (0, 0)]
    again = [(one["files_changed"], one["insertions"]) for one in manager.list_checkpoints(project)]
    assert again == [(2, 2), (2, 2), (2, 0), (0, 0)]  # what was counted is remembered, and the next list goes on


def test_paths_are_told_as_they_are_where_they_are_text(manager, project, turn):
    first = turn()
    names = ["👨\u200d👩.txt", "tab\there", "café"]
    for name in names:
        put(project, name, b"1")
    assert sorted(manager.restore(project, first)["restored_files"]) == sorted(names)
