"""Safe restores, of newer Hermes: what the agent did is taken back, and what others did stays."""

import pytest

from hermes_checkpoints import hermes
from hermes_checkpoints.testing.witness import difference, picture
from trees import put


@pytest.fixture
def writes(manager, project):
    """``writes(path, content)``: the agent writes a file with a tool of Hermes, which says so."""

    def write(path, content):
        put(project, path, content)
        manager.record_agent_write(str(project / path))

    return write


def test_without_a_word_about_writes_everything_is_restored(manager, project, turn):
    """0.19.0 says nothing of what its agent writes."""
    first, before = turn(), picture(project)
    put(project, "src/main.py", b"anybody's")
    manager.new_turn()
    put(project, "new", b"anybody's")
    assert manager.restore(project, first)["skipped_user_edits"] == []
    assert difference(before, picture(project)) == []


def test_hand_edits_outlive_a_rollback_and_are_named(manager, project, turn, writes):
    """hermes 112882: they were lost."""
    put(project, "notes", b"then")
    first = turn("before write_file")
    writes("src/main.py", b"the agent's")
    writes("made/by/agent", b"the agent's")
    put(project, "notes", b"mine")
    put(project, "mine/too", b"mine")
    done = manager.restore(project, first)
    assert done["success"] is True
    assert sorted(done["skipped_user_edits"]) == ["mine", "mine/too", "notes"]
    assert done["conflicts"] == []
    assert "notes" in done["reason"]
    assert (project / "src/main.py").read_text() == "first\n"
    assert not (project / "made").exists()
    assert ((project / "notes").read_bytes(), (project / "mine/too").read_bytes()) == (b"mine", b"mine")


def test_an_edit_on_top_of_the_agents_is_a_conflict_and_stays(manager, project, turn, writes):
    first = turn()
    writes("src/main.py", b"the agent's")
    put(project, "src/main.py", b"the agent's, mended by me")
    done = manager.restore(project, first)
    assert (done["skipped_user_edits"], done["conflicts"]) == (["src/main.py"], ["src/main.py"])
    assert done["kept"][0]["reason"] == "it was edited after the agent wrote it"
    assert (project / "src/main.py").read_bytes() == b"the agent's, mended by me"


def test_all_of_it_is_overwritten_when_that_is_asked_for(manager, project, turn, writes):
    first, before = turn(), picture(project)
    writes("src/main.py", b"the agent's")
    put(project, "run.sh", b"mine")
    put(project, "mine", b"mine")
    assert manager.restore(project, first, safe=False)["skipped_user_edits"] == []
    assert difference(before, picture(project)) == []


def test_one_file_asked_for_by_name_is_restored_whoever_wrote_it(manager, project, turn, writes):
    first = turn()
    writes("src/main.py", b"the agent's")
    put(project, "run.sh", b"mine")
    assert manager.restore(project, first, "run.sh")["restored_files"] == ["run.sh"]


def test_what_the_agent_wrote_and_somebody_removed_comes_back_and_other_removals_stay(manager, project, turn, writes):
    put(project, "docs/old", b"then")
    first = turn()
    writes("src/main.py", b"the agent's")
    (project / "src/main.py").unlink()
    (project / "run.sh").unlink()
    (project / "docs/old").unlink()
    (project / "docs").rmdir()
    done = manager.restore(project, first)
    assert sorted(done["skipped_user_edits"]) == ["docs", "run.sh"]
    assert (project / "src/main.py").read_text() == "first\n"
    assert not (project / "run.sh").exists()
    assert not (project / "docs").exists()


def test_terminal_commands_are_the_agents_between_two_of_its_checkpoints(manager, project, turn, writes):
    """Hermes calls these changes the user's: it records only what its own tools write."""
    first, before = turn("before terminal: rm -rf src"), picture(project)
    (project / "src/main.py").unlink()
    (project / "src").rmdir()
    put(project, "generated/by/script", b"output")
    turn("before write_file")
    writes("readme", b"the agent's")
    done = manager.restore(project, first)
    assert done["skipped_user_edits"] == []
    assert difference(before, picture(project)) == []


def test_terminal_commands_of_the_last_turn_are_the_agents_when_it_has_ended(manager, project, turn, writes):
    put(project, "notes", b"then")
    first, before = turn(), picture(project)
    writes("readme", b"the agent's")
    turn("before terminal: rm -rf src")
    (project / "src/main.py").unlink()
    (project / "src").rmdir()
    (project / "link").symlink_to("generated")
    put(project, "generated/x", b"output")
    manager.new_turn()  # the model is asked what to do next
    put(project, "notes", b"mine, after the agent had finished")
    done = manager.restore(project, first)
    assert done["skipped_user_edits"] == ["notes"]
    put(project, "notes", b"then")
    assert difference(before, picture(project)) == []


def test_edits_between_two_requests_are_not_taken_for_the_agents(manager, project, turn, writes):
    first = turn()
    writes("src/main.py", b"the agent's")
    manager.new_turn()
    put(project, "run.sh", b"mine, between requests")
    turn()
    writes("more", b"the agent's")
    done = manager.restore(project, first)
    assert done["skipped_user_edits"] == ["run.sh"]
    assert (project / "run.sh").read_bytes() == b"mine, between requests"


def test_an_edit_of_what_a_terminal_command_left_is_a_conflict(manager, project, turn, writes):
    first = turn("before terminal: sed -i")
    put(project, "src/main.py", b"the script's")
    turn()
    writes("other", b"the agent's")
    put(project, "src/main.py", b"the script's, mended")
    done = manager.restore(project, first)
    assert done["conflicts"] == ["src/main.py"]
    assert (project / "src/main.py").read_bytes() == b"the script's, mended"


def test_a_second_rollback_does_not_take_the_first_one_for_the_users_work(manager, project, turn, writes):
    first, before = turn(), picture(project)
    writes("src/main.py", b"1")
    second = turn()
    writes("src/main.py", b"2")
    assert manager.restore(project, second)["skipped_user_edits"] == []
    assert manager.restore(project, first)["skipped_user_edits"] == []
    assert difference(before, picture(project)) == []


def test_a_file_made_by_the_agent_that_is_too_large_to_be_saved_stays_and_is_named(backend, project):
    small = hermes.CheckpointManager(enabled=True, max_file_size_mb=1)
    assert small.ensure_checkpoint(project)
    first = small.last_outcome["hash"]
    for name, size in (("large", (1 << 20) + 1), ("just-small-enough", 1 << 20)):
        put(project, name, b"x" * size)
        small.record_agent_write(project / name)
    put(project, "src/main.py", b"x" * ((1 << 20) + 1))  # stored small, and grown
    small.record_agent_write(project / "src/main.py")
    done = small.restore(project, first)
    assert (project / "src/main.py").read_text() == "first\n"
    assert not (project / "just-small-enough").exists()
    assert (project / "large").exists() == (done["skipped_oversize"] == ["large"])
    assert (project / "large").exists() or backend == "cow"  # it takes what can be cloned
    assert done["skipped_user_edits"] == []
    assert done["success"] is True


def test_a_write_through_a_symlink_is_the_agents_at_both_ends(manager, project, turn):
    (project / "alias").symlink_to("src/main.py")
    first, before = turn(), picture(project)
    (project / "alias").write_bytes(b"the agent's")
    manager.record_agent_write(project / "alias")
    assert manager.restore(project, first)["skipped_user_edits"] == []
    assert difference(before, picture(project)) == []
