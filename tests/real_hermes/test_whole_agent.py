"""The real Hermes from end to end: its command line on a terminal, its tools, a model, and our snapshots below."""

import json
import os
import shutil
import signal
import subprocess

import pytest

from chat import Chat, settled
from hermes_checkpoints import Engine
from hermes_checkpoints.testing.witness import difference, picture
from model_server import UNASKED, Call, ModelServer
from stores import MB, stored
from trees import put

ON_BOTH = pytest.mark.parametrize(
    ("filesystem", "backend"), [("ext4", "shadow-git"), ("xfs", "cow")], indirect=["filesystem"]
)
"""Each backend where it is what probing finds."""


def write(path, content):
    return Call("write_file", {"path": path, "content": content})


def patch(path, old, new):
    return Call("patch", {"mode": "replace", "path": path, "old_string": old, "new_string": new})


def shell(command):
    return Call("terminal", {"command": command})


SCRIPT = {
    "Write the parser": [
        [write("src/parser/core.py", "def parse(text):\n    return text.split()\n")],
        [patch("src/main.py", "pass", "import parser.core")],
        "The parser is there.",
    ],
    "Tidy up": [
        [shell("rm -rf old link && echo made > notes.txt && mkdir made && touch made/empty && chmod 644 run")],
        [patch("vendor/lib/lib.c", "return 0", "return 1")],
        "All is tidy.",
    ],
    "Begin anew": [
        [shell("mv src/main.py main.py; rm -rf src empty large mixed.txt name-* vendor/lib/*; ln -s notes.txt link")],
        "Nothing is left.",
    ],
    "Go on": [[write("after.txt", "after\n")], "It goes on."],
}
PARSER, TIDY, ANEW, ON = (turns[-1] for turns in SCRIPT.values())


@pytest.fixture
def project(on_filesystem):
    """A workspace full of what tools trip over."""
    top = on_filesystem / "project"
    for name in ("src", "old/deep", "empty", "data", "vendor/lib"):
        (top / name).mkdir(parents=True)
    (top / "pyproject.toml").write_text("[project]\n")
    (top / ".gitattributes").write_text("* text=auto eol=crlf\n")
    (top / "mixed.txt").write_bytes(b"one\r\ntwo\nthree\r\n")
    (top / "src" / "main.py").write_text("def main():\n    pass\n")
    (top / "old" / "deep" / "file").write_text("old\n")
    (top / "run").write_text("#!/bin/sh\n")
    (top / "run").chmod(0o755)
    (top / "link").symlink_to("run")
    (top / os.fsdecode(b"name-\xff\xfe")).write_text("not UTF-8\n")
    (top / "data" / "large").write_bytes(os.urandom(1 << 20) * 11)  # beyond the limit of 10 MB
    (top / "large").symlink_to("data/large")
    (top / "vendor" / "lib" / "lib.c").write_text("int f(void) { return 0; }\n")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@y", "-C", top / "vendor" / "lib"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "first"]):
        subprocess.run([*git, *words], check=True)
    return top


@pytest.fixture
def home(on_filesystem):
    return on_filesystem / "home"


@ON_BOTH
def test_no_state_that_the_agent_went_through_is_lost_to_its_user(installation, home, project, backend):
    with ModelServer(SCRIPT, look=lambda: picture(project)) as model:
        with Chat(installation, project, settled(home, model)) as chat:
            chat.ask("Write the parser", PARSER)
            parsed = picture(project)
            chat.ask("Tidy up", TIDY)
            chat.ask("Begin anew", ANEW)
            anew, states = picture(project), model.seen[::-1]
            ids = chat.checkpoints()
            assert len(ids) == len(states) == 5
            assert difference(states[2], parsed) == []

            chat.rollback("diff 3", r"-old\n")
            chat.rollback("77", "Use 1-5")
            chat.rollback("fffffff", r"(?i)not found")
            assert difference(anew, picture(project)) == []

            chat.restore("3 src/main.py")
            wanted = anew | {path: states[2][path] for path in (b"src", b"src/main.py")}
            assert difference(wanted, picture(project)) == []
            chat.restore("1")
            assert difference(anew, picture(project)) == []

            for short, state in zip(ids, states, strict=True):
                shown = chat.restore(short)
                assert difference(state, picture(project)) == [], shown
                shown = chat.restore("1")
                assert difference(anew, picture(project)) == [], shown

            chat.restore(str(chat.checkpoints().index(ids[-1]) + 1))
            assert difference(states[-1], picture(project)) == []

            chat.ask("Go on", ON)
            assert (project / "after.txt").read_text() == "after\n"
            chat.restore("1")
            assert difference(states[-1], picture(project)) == []
        told = next(json.dumps(one) for one in model.requests if "Go on" in json.dumps(one["messages"]))
        assert "Begin anew" not in told  # what was rolled back is no longer in the model's mind
    log = (home / ".hermes" / "logs" / "agent.log").read_text().splitlines()
    told = [line for line in log if "takes the place of tools.checkpoint_manager" in line and " go to " in line]
    assert len(told) == 1, log
    assert f" go to {backend}: " in told[0], told  # and why


@ON_BOTH
def test_what_one_session_saved_is_there_for_the_next(installation, home, project, backend):
    with ModelServer(SCRIPT, look=lambda: picture(project)) as model:
        env = settled(home, model)
        with Chat(installation, project, env) as chat:
            chat.ask("Write the parser", PARSER)
            chat.ask("Tidy up", TIDY)
            ids, states = chat.checkpoints(), model.seen[::-1]
            chat.leave()
        with Chat(installation, project, env, "--continue") as chat:
            chat.ask("What was that?", UNASKED)  # Hermes has no agent before, and so no rollback
            assert chat.checkpoints() == ids
            for short, state in zip(ids, states, strict=True):
                shown = chat.restore(short)
                assert difference(state, picture(project)) == [], shown


@ON_BOTH
def test_a_killed_agent_leaves_a_store_that_the_next_one_goes_on_with(installation, home, project, backend):
    shell_id = home / "shell"
    script = {
        "Begin": [[write("first.txt", "first\n")], "Never said."],
        "Work": [
            [shell(f"rm -rf old src && echo $$ > {shell_id}.new && mv {shell_id}.new {shell_id} && exec sleep 300")]
        ],
        "Go on": SCRIPT["Go on"],
    }
    with ModelServer(script) as model:
        env = settled(home, model)
        start = kill_in_the_first_snapshot(installation, home, project, env)
        with Chat(installation, project, env) as chat:
            chat.type("Work")
            chat.wait_until(shell_id.exists, "command at work")
            chat.kill()
            os.kill(int(shell_id.read_text()), signal.SIGKILL)
            left = picture(project)
        with Chat(installation, project, env) as chat:
            chat.ask("Go on", ON)
            newest, *_, oldest = chat.checkpoints()
            chat.restore(newest)
            assert difference(left, picture(project)) == []
            chat.restore(oldest)
            assert difference(start, picture(project)) == []


def kill_in_the_first_snapshot(installation, home, project, env):
    """Kill an agent amid the snapshot before its first write; a picture of the project."""
    store = home / ".hermes" / "checkpoints" / "store"
    for files in (3000, 6000, 12000):
        for number in range(files):
            put(project, f"data/{number}", os.urandom(4096))
        start = picture(project)
        with Chat(installation, project, env) as chat:
            chat.type("Begin")
            chat.wait_until(lambda: stored(store) > MB, "snapshot in the making")
            chat.kill()
        if difference(start, picture(project)) == []:
            return start
        shutil.rmtree(store)  # it was complete: a fast machine
        (project / "first.txt").unlink()
    pytest.fail("12000 files were saved before anybody could kill it")


@pytest.mark.parametrize("filesystem", ["ext4"], indirect=True)
def test_what_a_rollback_could_not_take_back_is_told_where_the_user_looks(installation, home, project):
    script = {"Make it large": [[shell("echo small > small; cp data/large second")], "It is large."]}
    with ModelServer(script) as model, Chat(installation, project, settled(home, model)) as chat:
        chat.ask("Make it large", "It is large.")
        shown = chat.restore("1")
        assert not (project / "small").exists()
        assert (project / "second").exists(), "the safety snapshot does not hold it"
        assert "second" in shown.partition("Restored to checkpoint")[2]


@pytest.mark.parametrize("filesystem", ["ext4"], indirect=True)
def test_the_checkpoints_of_one_request_are_told_from_those_of_the_next(installation, home, project):
    with ModelServer(SCRIPT) as model, Chat(installation, project, settled(home, model)) as chat:
        chat.ask("Write the parser", PARSER)
        chat.ask("Tidy up", TIDY)
    with Engine(store=home / ".hermes" / "checkpoints") as engine:
        tidy, tidy_first, parser, parser_first = (one.note.request for one in engine.list(project))
    assert tidy_first == tidy != parser == parser_first
    assert tidy and parser
