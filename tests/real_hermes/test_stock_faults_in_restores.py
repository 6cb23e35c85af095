"""What a restore of stock Hermes 0.19.0 gets wrong. `--stock` shows it on Hermes's own module."""

import os
import subprocess

import pytest

from faults import contents
from stores import MB
from trees import put


def test_restoring_the_oldest_snapshot_does_not_destroy_it(agent, workspace):
    """The snapshot before the restore is one too many, and the one to be restored is the first to go."""
    hermes = agent(max_snapshots=3)
    for number in range(3):
        put(workspace, "a", f"{number}")
        assert hermes.take(workspace)
    put(workspace, "a", "now")
    oldest = hermes.ids(workspace)[-1]
    answer = hermes.restore(workspace, oldest)
    assert answer["success"], answer
    assert (workspace / "a").read_text() == "0"


def test_files_made_after_a_snapshot_do_not_stay_after_a_restore(agent, workspace):
    """hermes 64477: a mixture of two states is what comes out."""
    hermes = agent()
    put(workspace, "a", "1")
    assert hermes.take(workspace)
    before = contents(workspace)
    put(workspace, "a", "2")
    put(workspace, "made/later.py", "import nothing")
    assert hermes.restore(workspace, hermes.ids(workspace)[0])["success"]
    assert contents(workspace) == before


def test_an_id_of_another_workspace_restores_nothing_here(agent, workspace, fresh_directory):
    """hermes 20768: another project's files are laid over this one."""
    hermes = agent()
    other = fresh_directory / "other"
    put(workspace, "a", "of this project")
    put(other, "a", "of the other project")
    assert hermes.take(workspace)
    assert hermes.take(other)
    answer = hermes.restore(workspace, hermes.ids(other)[0])
    assert (workspace / "a").read_text() == "of this project"
    assert not answer["success"]


def test_a_nested_repository_does_not_stay_as_it_is_while_success_is_told(agent, workspace):
    hermes = agent()
    put(workspace, "library/main.c", "int before;\n")
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for words in (["init", "--quiet"], ["add", "-A"], [*who, "commit", "--quiet", "-m", "first"]):
        subprocess.run(["git", *words], cwd=workspace / "library", check=True)
    assert hermes.take(workspace)
    put(workspace, "library/main.c", "int after;\n")
    put(workspace, "beside", "so that there is something to restore")
    assert hermes.take(workspace)
    assert hermes.restore(workspace, hermes.ids(workspace)[-1])["success"]
    assert (workspace / "library/main.c").read_text() == "int before;\n"


def test_line_ends_come_back_as_they_were(agent, workspace):
    hermes = agent()
    put(workspace, ".gitattributes", "* text=auto\n")
    put(workspace, "windows.bat", b"@echo off\r\npause\r\n")
    assert hermes.take(workspace)
    put(workspace, "windows.bat", b"overwritten")
    assert hermes.restore(workspace, hermes.ids(workspace)[0])["success"]
    assert (workspace / "windows.bat").read_bytes() == b"@echo off\r\npause\r\n"


@pytest.mark.parametrize(("named", "other"), [("*.py", "main.py"), ("[id].tsx", "d.tsx")])
def test_restoring_one_file_leaves_those_alone_that_its_name_would_match_as_a_pattern(agent, workspace, named, other):
    """``[id].tsx`` is what a page of a Next.js project is called; here it is newer than the snapshot."""
    hermes = agent()
    put(workspace, other, "1")
    assert hermes.take(workspace)
    for name in (named, other):
        put(workspace, name, "2")
    hermes.restore(workspace, hermes.ids(workspace)[0], named)
    assert (workspace / other).read_text() == "2"


def test_a_link_to_a_large_file_is_not_lost(agent, workspace, fresh_directory):
    """Its target was weighed, and no snapshot has the link."""
    hermes = agent(max_file_size_mb=1)
    put(fresh_directory, "model.bin", os.urandom(2 * MB))
    (workspace / "link").symlink_to("../model.bin")
    put(workspace, "a", "1")
    assert hermes.take(workspace)
    (workspace / "link").unlink()
    assert hermes.restore(workspace, hermes.ids(workspace)[0])["success"]
    assert (workspace / "link").is_symlink()


def test_a_file_that_outgrew_the_limit_is_not_overwritten_for_good(agent, workspace):
    """The snapshot before the restore does not hold it, and the restore writes over it."""
    hermes = agent(max_file_size_mb=1)
    put(workspace, "data.bin", "small")
    put(workspace, "a", "1")
    assert hermes.take(workspace)
    put(workspace, "data.bin", os.urandom(2 * MB))
    put(workspace, "a", "2")
    before = contents(workspace)
    assert hermes.restore(workspace, hermes.ids(workspace)[0])["success"]
    assert hermes.restore(workspace, hermes.ids(workspace)[0])["success"]  # the state before the first restore
    assert contents(workspace) == before


def test_a_file_that_a_person_edited_last_survives_the_restore_of_what_the_agent_wrote(agent, workspace):
    """hermes 112882. 0.19.0 has no call to tell what the agent wrote, and overwrites everything."""
    hermes = agent()
    for name in ("by-the-agent", "by-hand"):
        put(workspace, name, "1")
    assert hermes.take(workspace)
    for name in ("by-the-agent", "by-hand"):
        put(workspace, name, "the agent's")
        if hermes.has("record_agent_write"):
            hermes.call("record_agent_write", path=str(workspace / name))
    put(workspace, "by-hand", "hours of work")
    assert hermes.restore(workspace, hermes.ids(workspace)[0])["success"]
    assert (workspace / "by-the-agent").read_text() == "1"
    assert (workspace / "by-hand").read_text() == "hours of work"


def test_a_restore_that_was_killed_can_be_done_again(agent, workspace):
    """Half of the files are old by then, and no later restore gets by the lock that was left."""
    first, before = _killed_in_a_restore(agent, workspace)
    answer = agent().restore(workspace, first)
    assert answer["success"], answer
    after = contents(workspace)
    assert {name: after.get(name) for name in before} == before


def _killed_in_a_restore(start, workspace):
    """Kill an agent when some files are restored and some are not; what it was to restore, and what that holds."""
    for files in (1000, 2000, 4000, 8000):
        hermes, seen = start(), []
        for turn in ("first", "second"):
            for number in range(files):
                put(workspace, f"{number:04}", f"{turn} {number} of {files}\n" * 100)
            assert hermes.take(workspace, turn)
            seen.append(contents(workspace))
        first = hermes.ids(workspace)[1]
        untouched = _inode(workspace / "0000")
        hermes.begin("restore", working_dir=str(workspace), commit_hash=first)
        try:
            hermes.kill_when(lambda untouched=untouched: _inode(workspace / "0000") != untouched)
        except TimeoutError:  # a fast machine
            hermes.end()
            continue
        if seen[1].items() & contents(workspace).items():
            return first, seen[0]
    pytest.fail("8000 files were restored before anybody could be killed")


def _inode(path):
    try:
        return path.stat().st_ino
    except FileNotFoundError:  # between its removal and its coming back
        return None
