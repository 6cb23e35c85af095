"""``/rollback`` in the command line, from a messenger and in the terminal interface: Hermes's own code, our engine."""

import json
import os
from datetime import datetime

import pytest

from callers import HERE, Conversation
from hermes_checkpoints import Engine
from hermes_checkpoints.testing.witness import difference, picture
from installation import configure, environment
from trees import put, rich


@pytest.fixture
def hermes(installation, workspace, backend):
    """The command line and the gateway, with the plugin switched on."""
    configure(backend=backend)
    with Conversation(installation.python, HERE, workspace, environment()) as conversation:
        conversation.ask("load_plugins")
        assert conversation.ask("serving") == "hermes_checkpoints.hermes"
        yield conversation


@pytest.fixture
def interface(installation, workspace, backend):
    """The terminal interface: the process that its screen talks to. What a session is comes with the first question."""
    configure(backend=backend)
    env = environment({"HERMES_TUI_CHECKPOINTS": "1"})
    with Conversation(installation.python, "tui_gateway.entry", workspace, env) as conversation:
        yield conversation


def damage(workspace):
    """What an agent may do to a tree between two snapshots."""
    put(workspace, "src/package/deep/er/module.py", "broken\n")
    (workspace / "large.bin").unlink()
    (workspace / "empty").rmdir()
    put(workspace, "later/made.txt", "made later\n")


def test_a_rollback_in_the_command_line_leaves_no_byte_as_the_agent_left_it(hermes, workspace):
    rich(workspace)
    before = picture(workspace)
    assert hermes.ask("take", reason="before write_file")
    damage(workspace)
    (target,) = hermes.ask("hashes")
    assert "1. " + target[:7] in (listed := hermes.ask("typed", command="/rollback"))
    assert "before write_file" in listed
    shown = hermes.ask("typed", command="/rollback 1")
    assert difference(before, picture(workspace)) == []
    assert f"Restored to checkpoint {target[:8]}: before write_file\n" in shown
    assert hermes.ask("chat") == 0


def test_a_rollback_from_a_messenger_can_itself_be_rolled_back(hermes, workspace):
    rich(workspace)
    before = picture(workspace)
    assert hermes.ask("take", reason="before patch")
    damage(workspace)
    after = picture(workspace)
    assert "before patch" in hermes.ask("sent", message="/rollback")
    (target,) = hermes.ask("hashes")
    assert f"{target[:8]}: before patch\n" in hermes.ask("sent", message="/rollback 1")
    assert difference(before, picture(workspace)) == []
    assert "Restored" in hermes.ask("sent", message="/rollback 1")  # the state before the first one
    assert difference(after, picture(workspace)) == []


def test_a_rollback_of_one_file_changes_no_other(hermes, workspace):
    for name in ("*.py", "main.py", "later.py"):
        put(workspace, name, "old\n")
    assert hermes.ask("take", reason="before patch")
    for name in ("*.py", "main.py", "later.py"):
        put(workspace, name, "new\n")
    assert "Restored *.py from checkpoint" in hermes.ask("typed", command="/rollback 1 *.py")
    assert {path.name: path.read_text() for path in workspace.iterdir()} == {
        "*.py": "old\n",
        "main.py": "new\n",
        "later.py": "new\n",
    }


def test_what_a_rollback_leaves_as_it_is_is_said_on_the_screen(hermes, workspace):
    put(workspace, "data", "lines\n")
    assert hermes.ask("take", reason="before terminal: make")
    (workspace / "data").unlink()
    os.mkfifo(workspace / "data")  # no snapshot holds one, so nothing could bring it back
    shown = hermes.ask("typed", command="/rollback 1")
    assert (workspace / "data").is_fifo()
    assert "Restored to checkpoint" in shown
    assert "data" in shown
    assert "data" in hermes.ask("sent", message="/rollback 2")


def test_a_wrong_reference_is_told_and_changes_nothing(hermes, workspace):
    put(workspace, "main.py", "old\n")
    assert hermes.ask("take", reason="before patch")
    put(workspace, "main.py", "new\n")
    before, listed = picture(workspace), hermes.ask("hashes")
    for words, told in {
        "0": "Use 1-1",
        "2": "Use 1-1",
        "-1": "Use 1-1",
        "abcdefabcdef": "Checkpoint 'abcdefabcdef' not found",
        "main": "expected 4-64 hex characters",
        "--patch": "must not start with '-'",
        "diff 2": "Use 1-1",
        "diff abcdefabcdef": "Checkpoint 'abcdefabcdef' not found",
        "diff -p": "must not start with '-'",
        "1 /etc/hostname": "got absolute path",
        "1 ../project": "escapes the working directory",
    }.items():
        assert told in hermes.ask("typed", command=f"/rollback {words}"), words
    for words, told in {"2": "1-1", "main": "expected 4-64 hex", "abcdefabcdef": "not found"}.items():
        assert told in hermes.ask("sent", message=f"/rollback {words}"), words
    assert difference(before, picture(workspace)) == []
    assert hermes.ask("hashes") == listed
    assert hermes.ask("chat") == 2


def test_a_hash_may_be_abbreviated_and_typed_in_capitals(hermes, workspace):
    put(workspace, "main.py", "old\n")
    assert hermes.ask("take", reason="before patch")
    (target,) = hermes.ask("hashes")
    for caller, given in (("typed", "command"), ("sent", "message")):
        put(workspace, "main.py", "new\n")
        assert target[:8] in hermes.ask(caller, **{given: f"/rollback {target[:10].upper()}"})
        assert (workspace / "main.py").read_text() == "old\n"


def test_a_diff_shows_what_changed_since_and_nothing_else(hermes, workspace):
    put(workspace, "main.py", "old\n")
    put(workspace, "other.py", "same\n")
    assert hermes.ask("take", reason="before patch")
    assert "No changes since this checkpoint" in hermes.ask("typed", command="/rollback diff 1")
    put(workspace, "main.py", "new\n")
    shown = hermes.ask("typed", command="/rollback diff 1")
    assert "-old\n+new\n" in shown
    assert "1 file changed, 1 insertion(+), 1 deletion(-)" in shown
    assert "other.py" not in shown
    assert (workspace / "main.py").read_text() == "new\n"


def test_nothing_is_taken_or_shown_while_checkpoints_are_switched_off(installation, workspace, clean_environment):
    put(workspace, "main.py", "old\n")
    configure(enabled=False)
    with Conversation(installation.python, HERE, workspace, environment()) as hermes:
        hermes.ask("load_plugins")
        assert "not enabled" in hermes.ask("typed_while_disabled", command="/rollback")
        assert "not enabled" in hermes.ask("sent", message="/rollback")
    assert not (clean_environment / ".hermes" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("configured", "in_environment", "used"),
    [("cow", "shadow-git", "cow"), ("shadow-git", "cow", "shadow-git"), (None, "cow", "cow")],
)
def test_the_backend_that_was_asked_for_is_used(installation, workspace, configured, in_environment, used):
    put(workspace, "main.py", "old\n")
    configure(**({"backend": configured} if configured else {}))
    env = environment({"HERMES_CHECKPOINT_BACKEND": in_environment})
    with Conversation(installation.python, HERE, workspace, env) as hermes:
        hermes.ask("load_plugins")
        assert hermes.ask("take", reason="before patch")
    with Engine() as engine:
        assert [snapshot.backend for snapshot in engine.list(workspace)] == [used]


def test_the_terminal_interface_lists_compares_and_rolls_back(interface, workspace, backend):
    rich(workspace)
    put(workspace, "main.py", "old\n")
    before = picture(workspace)
    with Engine(backend=backend) as engine:
        target = engine.snapshot(workspace, "before write_file").snapshot
    damage(workspace)
    put(workspace, "main.py", "new\n")
    chat = [{"role": "user", "content": "please"}, {"role": "assistant", "content": "done"}]
    session = interface.ask("session.create", cwd=str(workspace), messages=chat)["session_id"]
    listed = interface.ask("rollback.list", session_id=session)
    assert listed["enabled"]
    (row,) = listed["checkpoints"]
    assert (row["hash"], row["message"]) == (target.id, "before write_file")
    assert datetime.fromisoformat(row["timestamp"]).timestamp() == pytest.approx(target.created_ns / 1e9, abs=1)
    shown = interface.ask("rollback.diff", session_id=session, hash="1")
    assert "main.py" in shown["stat"]
    assert "later/made.txt" in shown["diff"]

    one = interface.ask("rollback.restore", session_id=session, hash="1", file_path="main.py")
    assert one["success"], one
    assert (one["file"], one["restored_to"]) == ("main.py", target.id[:8])
    assert (workspace / "main.py").read_text() == "old\n"
    assert (workspace / "later" / "made.txt").exists()

    whole = interface.ask("rollback.restore", session_id=session, hash=target.id[:12])
    assert whole["success"], whole
    assert whole["history_removed"] == 2
    assert whole["directory"] == str(workspace)
    assert difference(before, picture(workspace)) == []
    rows = interface.ask("rollback.list", session_id=session)["checkpoints"]
    assert [row["hash"] for row in rows][-1] == target.id
    assert all(row["message"].strip() for row in rows)

    wrong = interface.answer("rollback.restore", session_id=session, hash="99")
    assert "Use 1-" in wrong["error"]["message"]
    unknown = interface.ask("rollback.restore", session_id=session, hash="abcdefabcdef")
    assert unknown["error"] == "Checkpoint 'abcdefabcdef' not found"
    assert difference(before, picture(workspace)) == []


def test_names_that_are_no_text_do_not_silence_the_terminal_interface(interface, workspace, backend):
    odd = os.fsencode(workspace) + b"/caf\xe9 \x1b[31m\n"
    with open(odd, "wb") as file:
        file.write(b"old\n")
    with Engine(backend=backend) as engine:
        engine.snapshot(workspace, "caf\udce9 \x1b[31m\nnew line")
    with open(odd, "wb") as file:
        file.write(b"new\xe9\n")
    session = interface.ask("session.create", cwd=str(workspace))["session_id"]
    (row,) = interface.ask("rollback.list", session_id=session)["checkpoints"]
    assert row["message"].isprintable()
    assert "+new" in interface.ask("rollback.diff", session_id=session, hash="1")["diff"]
    os.unlink(odd)
    os.mkfifo(odd)  # no snapshot holds one, so it is kept, and named
    done = interface.ask("rollback.restore", session_id=session, hash="1")
    assert "caf" in json.dumps(done["kept"])
    assert done["reason"].isprintable()
