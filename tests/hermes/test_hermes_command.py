"""``/checkpoints``: how the working directory is protected, and the way back from a rollback."""

import asyncio

from hermes_checkpoints import Engine
from hermes_checkpoints.hermes import command, requests
from hermes_checkpoints.testing.processes import killed_at, steps_of
from hermes_checkpoints.testing.witness import difference, picture
from hermes_stand_in import Agent


def ask(words=""):
    return asyncio.run(command.answer(words))


def test_the_status_names_backend_newest_snapshot_and_store(config, base, workspace):
    with Engine(store=base) as engine:
        taken = engine.snapshot(workspace, "before write_file").snapshot
    told = ask()
    assert f"Checkpoints of {workspace}\n" in told
    assert f"go to {taken.backend}: " in told
    assert f"1 of them, the newest {taken.short_id} of " in told
    assert "before write_file" in told
    assert f"in {base}" in told
    assert "✗" not in told


def test_the_status_says_when_the_protection_is_off_and_how_to_switch_it_on(config, base, workspace):
    config["enabled"] = False
    told = ask("status")
    assert "✗ checkpoints: switched off" in told
    assert "hermes-checkpoints hermes enable" in told


def test_what_hermes_was_started_with_counts_and_not_what_is_configured(config, workspace):
    """`hermes chat --checkpoints` switches them on where they are off."""
    agent = Agent()
    requests.join(agent)
    for agent.enabled, told in ((True, "✓ checkpoints: switched on in this session"), (False, "✗ checkpoints: ")):
        config["enabled"] = not agent.enabled
        assert told in ask("status")


def test_the_status_tells_of_a_save_that_failed(config, base, workspace):
    agent = Agent()
    agent.last_outcome = {"taken": False, "why": "failed", "message": "the disk is full", "directory": "/there"}
    requests.join(agent)
    assert "✗ /there could not be saved when it was tried last: the disk is full" in ask()


def test_undo_and_redo_say_what_they_wrote_deleted_and_kept(config, base, workspace):
    with Engine(store=base) as engine:
        first = engine.snapshot(workspace, "first").snapshot
        (workspace / "notes").write_text("second\n")
        (workspace / "new").write_text("new\n")
        after = picture(workspace)
        engine.restore(workspace, first.id)
    (workspace / "mine").write_text("edited since\n")
    told = ask("undo")
    assert "again as it was before the last rollback" in told
    assert "written: new, notes" in told or "written: notes, new" in told
    assert "/checkpoints redo" in told
    assert "kept as it is: mine" in told
    (workspace / "mine").unlink()
    assert difference(after, picture(workspace)) == []
    assert "deleted: new" in ask("redo")
    assert (workspace / "notes").read_text() == "first\n"


def test_an_interrupted_rollback_is_told_and_can_be_finished_and_taken_back(config, base, workspace):
    with Engine(store=base) as engine:
        first = engine.snapshot(workspace, "first").snapshot
    for number in range(8):
        (workspace / f"new-{number}").write_text("new\n")
    before = picture(workspace)

    def rollback():
        with Engine(store=base) as engine:
            engine.restore(workspace, first.id)

    assert "no restore of" in ask("continue")
    for word, halfway in (("continue", "new-0"), ("abort", None)):
        every = steps_of(rollback)
        ask("undo")
        assert difference(before, picture(workspace)) == []
        steps = iter(range(every, 0, -1))
        while not killed_at(next(steps), rollback) or "✗ a rollback to " + first.short_id not in ask():
            ask("undo")
        assert len(picture(workspace)) < len(before)
        told = ask(word)
        assert ("as the interrupted rollback was to make it" in told) == (halfway is not None)
        assert sorted(path.name for path in workspace.glob("new-*")) == (
            [] if halfway else sorted(f"new-{n}" for n in range(8))
        )
        assert "✗ a rollback to " not in ask()
        ask("undo")


def test_what_cannot_be_undone_is_said_and_nothing_is_changed(config, base, workspace):
    before = picture(workspace)
    assert "has nothing to undo" in ask("undo")
    assert difference(before, picture(workspace)) == []


def test_a_word_that_is_not_understood_restores_nothing_and_gets_help(config, base, workspace):
    assert ask("undo everything") == ask("help")
    assert "/checkpoints undo" in ask("help")


def test_names_and_reasons_in_the_answers_cannot_act_on_a_terminal(config, base, workspace, monkeypatch):
    hostile = workspace / "\x1b[2Jdirectory"
    hostile.mkdir()
    monkeypatch.setenv("TERMINAL_CWD", str(hostile))
    with Engine(store=base) as engine:
        (hostile / "x").write_text("x")
        first = engine.snapshot(hostile, "\x1b]0;title\x07").snapshot
        told = [ask("status")]
        (hostile / "\x1b[31mred").write_text("red")
        engine.restore(hostile, first.id)
    told += [ask(word) for word in ("status", "check", "undo", "redo")]
    assert "\x1b" not in "".join(told)
    assert [word for word in told if "failed" in word] == []
