"""Snapshots that are not there: every line of that part of ``harms.md`` but those about pruning.

A nested repository without commits: ``test_repositories.py``. A tree over a
limit, and a symlink judged by its target's size: ``test_scope.py``.
"""

import os
import shutil
import signal
import subprocess
import time

import pytest

from hermes_checkpoints.results import Taken, Unchanged
from hermes_checkpoints.testing.witness import difference, picture
from trees import BACKENDS, ground, put, seconds, specials


def test_edits_by_a_shell_in_a_folder_without_git_are_covered(here):
    """claude-code 93262, zed 61951, opencode 41384."""
    put(here.workspace, "a", b"1")
    taken = here.take()
    before = picture(here.workspace)
    subprocess.run(["sh", "-c", "echo 2 >> a; mkdir b; mv a b/; ln -s b/a c; rm -f d"], cwd=here.workspace, check=True)
    here.engine.restore(here.workspace, taken.snapshot.id)
    assert difference(before, picture(here.workspace)) == []


def test_one_unreadable_file_one_odd_name_and_one_fifo_do_not_end_the_snapshot(on_filesystem, as_user):
    """hermes 78888, 103995, intent 1125."""
    as_user.owns(on_filesystem)
    for backend in BACKENDS:
        (on_filesystem / backend).mkdir()
        as_user.owns(on_filesystem / backend)
        with seconds(60):
            told, held = as_user(_with_all_of_it, on_filesystem / backend, backend)
        assert told == {
            "fifo": "not a file, directory or symlink",
            "socket": "not a file, directory or symlink",
            "unreadable": "unreadable",
            "closed": "unreadable",
        }
        assert held == {"fine", "odd \udcff\n-name", "sub/fine"}


def _with_all_of_it(directory, backend):
    with ground(directory, backend) as at:
        for name in ("fine", "odd \udcff\n-name", "sub/fine", "unreadable", "closed/x"):
            put(at.workspace, name, b"x")
        specials(at.workspace)
        (at.workspace / "unreadable").chmod(0)
        (at.workspace / "closed").chmod(0)
        taken = at.take()
        at.engine.export(at.workspace, taken.snapshot.id, directory / "out")
        held = {os.fsdecode(path) for path, seen in picture(directory / "out").items() if seen.kind == "file"}
        (at.workspace / "closed").chmod(0o700)
        return {left.path: str(left.reason) for left in taken.left_out}, held


@pytest.mark.parametrize("pause", [0, 0.15], ids=["at once", "when the times prove something"])
def test_an_edit_of_the_same_size_with_its_time_put_back_is_not_missed(here, pause):
    """t3code 9661."""
    target = put(here.workspace, "a", b"one")
    time.sleep(pause)
    first = here.take()
    time.sleep(pause)
    status = target.stat()
    put(here.workspace, "a", b"two")
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = here.take()
    for taken, content in ((first, b"one"), (second, b"two")):
        with here.engine.read(here.workspace, taken.snapshot.id, "a") as read:
            assert read.read() == content


def test_an_edit_straight_after_a_snapshot_is_not_missed(here):
    """Times have ticks: two writes within one look alike."""
    target = put(here.workspace, "a", b"00")
    for number in range(1, 100):
        target.write_bytes(b"%02d" % number)
        assert isinstance(here.engine.snapshot(here.workspace), Taken), number


def test_an_id_that_was_shown_keeps_its_meaning(here):
    ids = {}
    for number in range(12):
        put(here.workspace, "a", f"{number}")
        ids[here.take().snapshot.id] = f"{number}".encode()
        for known, content in ids.items():
            for ref in (known, known[:10], known.upper()):
                with here.engine.read(here.workspace, ref, "a") as read:
                    assert read.read() == content
    here.engine.restore(here.workspace, "5")
    here.engine.undo(here.workspace)
    assert [found.id for found in reversed(here.engine.list(here.workspace))][: len(ids)] == list(ids)


def _take_until_killed(directory, backend) -> None:
    def kill(files: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with ground(directory, backend, progress=kill) as at:
        at.engine.snapshot(at.workspace)


def _in_a_child(function, *arguments) -> int:
    """Run a function in a forked child; its exit status as ``waitstatus_to_exitcode`` tells it."""
    child = os.fork()
    if child == 0:
        try:
            function(*arguments)
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_interrupted_command_leaves_nothing_that_stops_the_next_one(fresh_directory, backend):
    """hermes 107149: a lock file that was left made 1,666 snapshots fail in five weeks."""
    for number in range(600):
        put(fresh_directory, f"workspace/{number}", f"{number}")
    assert _in_a_child(_take_until_killed, fresh_directory, backend) == -signal.SIGKILL
    with ground(fresh_directory, backend, wait=1) as at:
        assert at.engine.list(at.workspace) == []
        assert at.take().snapshot.files == 600


@pytest.mark.parametrize(
    "name", ["index.lock", "HEAD.lock", "packed-refs.lock", "config.lock", "gc.pid", "shallow.lock"]
)
def test_a_stale_lock_file_of_git_stops_nothing(fresh_directory, name):
    with ground(fresh_directory, "shadow-git", wait=1) as at:
        put(at.workspace, "a", b"1")
        first = at.take()
        put(at.store, f"store/shadow-git/{name}", b"")
        put(at.workspace, "a", b"2")
        at.take()
        assert at.engine.restore(at.workspace, first.snapshot.id).failed == []


def _take_five(directory, backend, name) -> None:
    with ground(directory / name, backend, store=directory / "store") as at:
        for number in range(5):
            put(at.workspace, f"only-{name}", f"{number}")
            put(at.workspace, "shared", b"the same everywhere" * 1000 + b"%d" % number)
            at.take(f"{number}")


@pytest.mark.parametrize("backend", BACKENDS)
def test_eight_processes_on_one_store_all_take_their_snapshots(fresh_directory, backend):
    """opencode 48848: 56 of 64 adds failed."""
    children = []
    for number in range(8):
        (fresh_directory / f"{number}").mkdir()
        child = os.fork()
        if child == 0:
            try:
                _take_five(fresh_directory, backend, f"{number}")
                os._exit(0)
            except BaseException:
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    for number in range(8):
        with ground(fresh_directory / f"{number}", backend, store=fresh_directory / "store") as at:
            assert [found.note.reason for found in at.engine.list(at.workspace)] == list("43210")
            assert at.engine.restore(at.workspace, "4").failed == []
            assert (at.workspace / f"only-{number}").read_bytes() == b"1"


def _take_while_others_do(directory, backend, number) -> None:
    with ground(directory, backend) as at:
        for turn in range(5):
            put(at.workspace, f"of-{number}", f"{turn}")
            outcome = at.engine.snapshot(at.workspace)
            assert isinstance(outcome, Taken | Unchanged)


@pytest.mark.parametrize("backend", BACKENDS)
def test_four_agents_in_one_workspace_lose_no_state(fresh_directory, backend):
    put(fresh_directory, "workspace/a", b"")
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            try:
                _take_while_others_do(fresh_directory, backend, number)
                os._exit(0)
            except BaseException:
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    with ground(fresh_directory, backend) as at:
        before = picture(at.workspace)
        at.engine.snapshot(at.workspace)
        newest = at.engine.list(at.workspace)[0]
        shutil.rmtree(at.workspace)
        at.engine.restore(at.workspace, newest.id)
        assert difference(before, picture(at.workspace)) == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_empty_directories_that_vanish_from_the_store_cost_nothing(fresh_directory, backend):
    """hermes 110392: an emptied ref directory made the store "not a git repository" for days."""
    with ground(fresh_directory, backend) as at:
        put(at.workspace, "a", b"1")
        first = at.take()
    for path, directories, files in os.walk(fresh_directory / "checkpoints/store" / backend, topdown=False):
        if not directories and not files:
            os.rmdir(path)
    with ground(fresh_directory, backend) as at:
        put(at.workspace, "a", b"2")
        at.take()
        assert len(at.engine.list(at.workspace)) == 2
        at.engine.restore(at.workspace, first.snapshot.id)
        assert (at.workspace / "a").read_bytes() == b"1"


def test_a_gc_in_the_users_repository_takes_no_snapshot_with_it(here):
    """opencode 46034: the store leaned on the user's objects through alternates."""

    def git(*words: str) -> None:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words]
        subprocess.run(command, cwd=here.workspace, check=True, capture_output=True)

    git("init", "-q")
    put(here.workspace, "a", b"committed")
    git("add", "a")
    taken = here.take()
    put(here.workspace, "a", b"other")
    git("add", "a")
    git("gc", "-q", "--prune=now")
    shutil.rmtree(here.workspace / ".git")
    assert here.engine.restore(here.workspace, taken.snapshot.id).failed == []
    assert (here.workspace / "a").read_bytes() == b"committed"
    assert [path for path in here.store.rglob("*alternates*") if path.read_bytes()] == []
