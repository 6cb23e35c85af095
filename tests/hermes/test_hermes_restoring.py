"""Going back, as Hermes asks for it: exactly, of the right workspace, and told as it was."""

import os
import shutil

import pytest

from hermes_checkpoints import hermes
from hermes_checkpoints.contract import WorkspaceError
from hermes_checkpoints.testing.witness import difference, picture
from trees import put


def test_a_whole_restore_brings_everything_back_and_takes_away_what_came_later(manager, project, turn):
    """hermes 64477: files made later stayed."""
    for path in ("deep/er/x", "links/y", os.fsdecode(b"odd \xff\n name"), "empty.py"):
        put(project, path, os.fsencode(path))
    (project / "links/z").symlink_to("y")
    (project / "bare").mkdir(0o700)
    first, before = turn(), picture(project)
    shutil.rmtree(project / "deep")
    (project / "bare").rmdir()
    (project / "run.sh").chmod(0o600)
    (project / "links/z").unlink()
    put(project, "links/z", b"a file now")
    put(project, "src/main.py", b"edited")
    put(project, "src/new/file", b"later")
    put(project, "other.txt", b"later")
    done = manager.restore(str(project), first)
    assert difference(before, picture(project)) == []
    assert (done["success"], done["restored_to"], done["directory"]) == (True, first[:8], str(project))
    assert {"src/new/file", "other.txt"} <= set(done["restored_files"])
    assert (done["kept"], done["skipped_user_edits"], done["skipped_oversize"]) == ([], [], [])
    assert "failed_deletes" not in done


def test_the_oldest_checkpoint_at_the_limit_is_not_lost_by_restoring_it(backend, project):
    """Hermes: saving the present first pruned the very one that was asked for."""
    few = hermes.CheckpointManager(enabled=True, max_snapshots=3)
    pictures = []
    for number in range(3):
        few.new_turn()
        put(project, "a", f"{number}")
        assert few.ensure_checkpoint(project, f"{number}")
        pictures.append(picture(project))
    oldest = few.list_checkpoints(project)[-1]["hash"]
    put(project, "a", b"now")
    assert few.restore(project, oldest)["success"]
    assert difference(pictures[0], picture(project)) == []
    assert few.restore(project, oldest)["success"]


def test_a_rollback_is_taken_back_by_restoring_the_newest_checkpoint(manager, project, turn):
    first = turn("before write_file")
    put(project, "src/main.py", b"second\n")
    put(project, "new", b"new\n")
    now = picture(project)
    assert manager.restore(project, first)["reason"] == "before write_file"
    newest = manager.list_checkpoints(project)[0]
    assert newest["reason"] == f"pre-rollback snapshot (restoring to {first[:8]})"
    assert manager.restore(project, newest["hash"])["success"]
    assert difference(now, picture(project)) == []


def test_ids_dates_and_reasons_stay_whatever_happens(manager, project, turn):
    """Hermes: every prune gives all of them new ones."""
    turn("before patch")
    known = manager.list_checkpoints(project)[0]
    for number in range(3):
        put(project, "a", f"{number}")
        turn()
    manager.restore(project, known["hash"])
    hermes.prune_checkpoints()
    assert known in manager.list_checkpoints(project)


def test_one_file_is_restored_and_nothing_else(manager, project, turn):
    first = turn()
    put(project, "src/main.py", b"edited")
    put(project, "run.sh", b"edited")
    done = manager.restore(project, first, file_path="./src/../src/main.py")
    assert (done["success"], done["file"]) == (True, "./src/../src/main.py")
    assert ((project / "src/main.py").read_text(), (project / "run.sh").read_text()) == ("first\n", "edited")


def test_a_file_path_is_no_pattern(manager, project, turn):
    """Hermes: ``*.py`` restored every match."""
    put(project, "a.py", b"then")
    put(project, "*.py", b"then")
    first = turn()
    put(project, "a.py", b"now")
    put(project, "*.py", b"now")
    assert manager.restore(project, first, file_path="*.py")["success"]
    assert ((project / "*.py").read_bytes(), (project / "a.py").read_bytes()) == (b"then", b"now")
    assert not manager.restore(project, first, file_path=":(glob)**")["success"]


@pytest.mark.parametrize(
    ("commit_hash", "said"),
    [
        ("", "Empty commit hash"),
        ("  ", "Empty commit hash"),
        ("--patch", "must not start with '-'"),
        ("abc", "expected 4-64 hex characters"),
        ("HEAD~1", "expected 4-64 hex characters"),
        ("a" * 65, "expected 4-64 hex characters"),
        ("abcd\n", "expected 4-64 hex characters"),
        ("0001", "Checkpoint '0001' not found"),
        ("deadbeef", "Checkpoint 'deadbeef' not found"),
    ],
)
def test_what_is_no_hash_of_a_checkpoint_is_refused_in_hermes_words(manager, project, turn, commit_hash, said):
    turn()
    before = picture(project)
    for answer in (manager.restore(project, commit_hash), manager.diff(project, commit_hash)):
        assert answer["success"] is False
        assert said in answer["error"]
    assert difference(before, picture(project)) == []
    assert len(manager.list_checkpoints(project)) == 1


@pytest.mark.parametrize(
    ("file_path", "said"),
    [
        ("", "Empty file path"),
        (" ", "Empty file path"),
        ("/etc/passwd", "got absolute path"),
        ("../outside", "escapes the working directory"),
        ("src/../../outside", "escapes the working directory"),
        ("way-out/passwd", "escapes the working directory"),
    ],
)
def test_a_path_outside_is_refused_in_hermes_words(manager, project, turn, file_path, said):
    (project / "way-out").symlink_to("/etc")
    first = turn()
    answer = manager.restore(project, first, file_path=file_path)
    assert said in answer["error"]
    assert len(manager.list_checkpoints(project)) == 1


def test_a_hash_belongs_to_its_workspace(manager, project, turn, tmp_path):
    """hermes 20768: a hash of one workspace was restored into another."""
    first = turn()
    other = tmp_path / "other"
    put(other, "a", b"1")
    assert "No checkpoints exist for this directory" in manager.restore(other, first)["error"]
    assert manager.ensure_checkpoint(other)
    before = picture(other)
    assert f"Checkpoint '{first}' not found" in manager.restore(other, first)["error"]
    assert f"Checkpoint '{first}' not found" in manager.diff(other, first)["error"]
    assert difference(before, picture(other)) == []


def test_abbreviations_of_any_case_work_and_no_hash_looks_like_a_number(manager, project, turn):
    first = turn()
    for ref in (first, first[:4], first[:10].upper()):
        assert manager.restore(project, ref)["success"]
    for _ in range(30):
        put(project, "a", os.urandom(4).hex())
        assert not turn()[:10].isdigit()


def test_when_the_present_cannot_be_saved_nothing_is_restored(manager, project, turn, monkeypatch):
    """The tool went on, and said that it had a safety snapshot."""
    first = turn()
    put(project, "src/main.py", b"now")
    before = picture(project)
    engine = manager._engine()
    kind = type(engine._opener.open(engine.choose(project).name, engine._opener.place(project)))

    def full(*_arguments, **_named):
        raise WorkspaceError("the disk is full")

    monkeypatch.setattr(kind, "save", full)
    answer = manager.restore(project, first)
    assert answer["success"] is False
    assert "nothing was restored or changed" in answer["error"]
    assert difference(before, picture(project)) == []


def test_a_restore_that_could_not_do_everything_is_no_success(manager, project, turn, as_user):
    """Neither a success that is none, nor silence about what did happen."""
    as_user.owns(project.parent)
    for above in project.parents:
        above.chmod(above.stat().st_mode | 0o055)
    as_user(_take_and_edit, project)
    os.chown(project / "closed", 0, 0)
    answer = as_user(_restore_oldest, project)
    assert answer["success"] is False
    assert "closed/" in answer["error"]
    assert sorted(answer["failed_deletes"]) == ["closed/new"]
    assert answer["restored_files"] == ["open"]
    assert answer["safety"][:10] in answer["error"]


def _manager_of_theirs():
    hermes.CHECKPOINT_BASE = os.path.join(os.environ["HERMES_HOME"], "checkpoints")
    return hermes.CheckpointManager(enabled=True)


def _take_and_edit(project):
    made = _manager_of_theirs()
    put(project, "closed/old", b"then")
    put(project, "open", b"then")
    assert made.ensure_checkpoint(project), made.last_outcome
    put(project, "open", b"now")
    put(project, "closed/new", b"now")
    put(project, "closed/old", b"now")


def _restore_oldest(project):
    made = _manager_of_theirs()
    return made.restore(project, made.list_checkpoints(project)[-1]["hash"])


def test_what_is_kept_is_named_where_hermes_shows_it(manager, project, turn):
    """0.19.0 shows ``reason``, and nothing else that could tell."""
    put(project, ".gitignore", b"data/\n")
    put(project, "data/a", b"then")
    first = turn("before patch")
    put(project, ".gitignore", b"")
    put(project, "data/a", b"now")
    done = manager.restore(project, first)
    assert done["success"] is True
    assert [one["path"] for one in done["kept"]] == ["data"]
    assert done["reason"] == "before patch (kept as they are: data)"


def test_a_file_that_grew_over_the_limit_comes_back_and_can_be_had_again(backend, project):
    small = hermes.CheckpointManager(enabled=True, max_file_size_mb=1)
    put(project, "grows", b"x" * (1 << 20))  # exactly at the limit: stored
    assert small.ensure_checkpoint(project)
    first = small.last_outcome["hash"]
    put(project, "grows", b"y" * ((1 << 20) + 1))
    now = picture(project)
    done = small.restore(project, first)
    assert (done["success"], done["restored_files"], done["skipped_oversize"]) == (True, ["grows"], [])
    assert (project / "grows").read_bytes() == b"x" * (1 << 20)
    assert small.restore(project, done["safety"])["success"]
    assert difference(now, picture(project)) == []


def test_a_workspace_that_was_removed_altogether_comes_back(manager, project, turn):
    first, before = turn(), picture(project)
    shutil.rmtree(project)
    assert manager.restore(project, first)["success"]
    assert difference(before, picture(project)) == []
