"""A restore of one of Hermes's own snapshots loses nothing, and can be taken back."""

import subprocess

import pytest

from hermes_checkpoints.contract import DEFAULT_MAX_FILE_SIZE, RestoreRefused
from hermes_checkpoints.policy.plan import Action
from hermes_checkpoints.testing.witness import picture


def content(workspace):
    return {
        str(path.relative_to(workspace)): path.read_bytes()
        for path in sorted(workspace.rglob("*"))
        if path.is_file() and ".git" not in path.parts
    }


@pytest.fixture
def changed(hermes, project):
    """Taken by Hermes, then edited: one file differs, one is gone, one is new."""
    hermes.take(project, "before the edits")
    (project / "src" / "main.py").write_text("second\n")
    (project / "run.sh").unlink()
    (project / "src" / "new").mkdir()
    (project / "src" / "new" / "file.py").write_text("new\n")
    return project


def test_a_restore_gives_back_what_hermes_saved_and_undo_and_redo_go_both_ways(engine, changed, taking):
    before = picture(changed)
    done = engine.restore(changed, "1")
    assert done.safety.backend == taking
    assert content(changed) == {"src/main.py": b"first\n", "run.sh": b"#!/bin/sh\n", "link": b"first\n"}
    assert (changed / "run.sh").stat().st_mode & 0o777 == 0o755
    assert not (changed / "src" / "new").exists()
    engine.undo(changed)
    assert picture(changed) == before
    engine.redo(changed)
    assert content(changed)["src/main.py"] == b"first\n"
    assert (changed / "run.sh").exists()


def test_undo_keeps_what_was_edited_after_the_restore(engine, changed):
    engine.restore(changed, "1")
    (changed / "run.sh").write_text("edited\n")
    planned = engine.plan_undo(changed)
    assert [step.path for step in planned.of(Action.KEEP)] == ["run.sh"]
    assert [(failure.path, failure.reason) for failure in engine.undo(changed).kept] == [
        ("run.sh", "it was edited after the restore")
    ]
    assert (changed / "run.sh").read_text() == "edited\n"
    assert (changed / "src" / "main.py").read_text() == "second\n"


def test_undo_says_so_when_hermes_has_pruned_what_was_restored(engine, hermes, changed):
    safety = engine.restore(changed, "1").safety
    for number in range(2):
        (changed / "run.sh").write_text(f"{number}\n")
        hermes.take(changed, max_snapshots=1)
    with pytest.raises(RestoreRefused, match="is gone"):
        engine.undo(changed)
    engine.restore(changed, safety.id)
    assert (changed / "src" / "main.py").read_text() == "second\n"


def test_a_preview_is_what_the_restore_then_does_and_stores_nothing(engine, changed):
    planned = engine.plan(changed, "1")
    assert [snapshot.backend for snapshot in engine.list(changed)] == ["hermes-v2"]
    done = engine.restore(changed, planned.target.id)
    assert sorted(done.written) == sorted(step.path for step in planned.of(Action.WRITE))
    assert sorted(done.deleted) == sorted(step.path for step in planned.of(Action.DELETE))
    assert engine.plan(changed, planned.target.id).empty


def test_only_the_selected_path_is_restored(engine, changed):
    engine.restore(changed, "1", ["src/main.py"])
    assert (changed / "src" / "main.py").read_text() == "first\n"
    assert (changed / "src" / "new" / "file.py").exists()
    assert not (changed / "run.sh").exists()


def test_a_private_file_stays_private(engine, hermes, project):
    secret, folder = project / "secret", project / "folder"
    folder.mkdir(mode=0o700)
    secret.write_text("one")
    (folder / "tool").write_text("one")
    for path in (secret, folder / "tool"):
        path.chmod(0o600)
    hermes.take(project)
    secret.write_text("two")
    (folder / "tool").chmod(0o700)
    engine.restore(project, "1")
    assert secret.read_text() == "one"
    assert secret.stat().st_mode & 0o777 == 0o600
    assert (folder / "tool").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_mode_that_hermes_does_not_know_is_no_difference(engine, hermes, project):
    (project / "src" / "main.py").chmod(0o640)
    hermes.take(project)
    (project / "src").chmod(0o750)
    (project / "src" / "main.py").chmod(0o600)
    assert engine.plan(project, "1").steps == ()
    assert list(engine.diff(project, "1")) == []
    done = engine.restore(project, "1")
    assert (done.written, done.deleted, done.kept, done.failed) == ([], [], [], [])


def test_what_hermes_leaves_out_without_a_word_is_not_taken_for_new(engine, hermes, project, clean_environment):
    (clean_environment / ".config" / "git").mkdir(parents=True)
    (clean_environment / ".config" / "git" / "ignore").write_text("*.private\n")
    (project / ".gitignore").write_text("*.tmp\n")
    (project / "notes.private").write_text("mine")
    (project / "scratch.tmp").write_text("mine")
    (project / "large").write_bytes(bytes(DEFAULT_MAX_FILE_SIZE + 1))
    (project / "to-large").symlink_to("large")
    (project / "empty").mkdir()
    hermes.take(project)
    (project / ".gitignore").unlink()
    (project / "later").write_text("new")
    (project / "at-the-limit").write_bytes(bytes(DEFAULT_MAX_FILE_SIZE))
    engine.restore(project, "1")
    assert {path.name for path in project.iterdir()} == {
        *("src", "run.sh", "link", ".gitignore", "notes.private", "scratch.tmp", "large", "to-large", "empty")
    }


def test_a_repository_inside_the_workspace_is_not_touched(engine, hermes, project):
    inner = project / "inner"
    inner.mkdir()
    (inner / "file").write_text("committed\n")
    git = ["git", "-C", inner, "-c", "user.name=x", "-c", "user.email=x@x"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "file"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "one"], check=True)
    hermes.take(project)
    (inner / "file").write_text("edited\n")
    later = project / "later"
    later.mkdir()
    subprocess.run(["git", "init", "-q", later], check=True)
    (later / "work").write_text("hours of it\n")
    shown = engine.show(project, "1")
    assert [left.path for left in shown.left_out] == ["inner"]
    done = engine.restore(project, "1")
    assert (inner / "file").read_text() == "edited\n"
    assert (later / "work").read_text() == "hours of it\n"
    assert {"inner", "later/work"} <= {kept.path for kept in done.kept}


def test_a_workspace_that_is_gone_comes_back(engine, hermes, project):
    hermes.take(project)
    for path in sorted(project.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    project.rmdir()
    engine.restore(project, "1")
    assert content(project)["src/main.py"] == b"first\n"
    assert (project / "link").is_symlink()
