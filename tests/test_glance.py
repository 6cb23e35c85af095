"""From the third turn of a process on, files are only glanced at: whatever happened to one is seen all the same."""

import os
import sys

import pytest

from hermes_checkpoints import Engine
from hermes_checkpoints.contract import Place
from hermes_checkpoints.kit.walk.glance import Glances, glances
from hermes_checkpoints.plugins import load
from hermes_checkpoints.results import Taken, Unchanged
from hermes_checkpoints.testing.witness import difference, picture
from random_store import stored
from trees import BACKENDS, put

pytestmark = pytest.mark.skipif(glances() is None, reason=f"there is no statx on {sys.platform}")
MANY = 600
"""More than are asked about at once."""


def edit_and_put_size_and_time_back(file):
    before = file.stat()
    file.write_bytes(bytes(byte ^ 1 for byte in file.read_bytes()))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_with_one_of_the_same_size_and_time(file):
    before = file.stat()
    other = put(file.parent, "other", bytes(byte ^ 1 for byte in file.read_bytes()))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(file)


def become_a_directory(file):
    file.unlink()
    put(file, "below", b"below")


def become_a_link(file):
    file.unlink()
    file.symlink_to("elsewhere")


CHANGES = [
    edit_and_put_size_and_time_back,
    replace_with_one_of_the_same_size_and_time,
    become_a_directory,
    become_a_link,
    lambda file: file.chmod(0o600),
    lambda file: os.truncate(file, 1),
    lambda file: file.unlink(),
    lambda file: file.rename(file.with_name("renamed")),
    lambda file: put(file.parent, "another", b"another"),
    lambda file: (file.parent / "directory").mkdir(),
    lambda file: os.setxattr(file, "user.note", b"set"),
    lambda file: file.parent.chmod(0o700),
    lambda file: put(file.parent, ".gitignore", f"{file.name}\n".encode()),
]


@pytest.fixture(params=BACKENDS)
def seen(request, fresh_directory, monkeypatch):
    """An engine that knows a workspace well, the workspace, what glances answer, and what the newest snapshot holds."""
    workspace = fresh_directory / "workspace"
    for number in range(MANY):
        put(workspace, f"many/{number}", b"number %d" % number).chmod(0o644)
    put(workspace, "few/file", b"content").chmod(0o644)
    (workspace / "few" / "link").symlink_to("file")
    answers, ask = [], Glances.unchanged

    def noted(self, fd, glance):
        answers.append(ask(self, fd, glance))
        return answers[-1]

    monkeypatch.setattr(Glances, "unchanged", noted)

    def held():
        latest = engine.list(workspace)[0]
        with load(request.param).open(Place(engine.settings.store, workspace)) as backend:
            return stored(backend, latest.id)

    with Engine(store=fresh_directory / "store", backend=request.param) as engine:
        for _ in range(3):
            engine.snapshot(workspace)
        assert answers == [True] * 3, "each directory was glanced at, and nothing else"
        answers.clear()
        yield engine, workspace, answers, held


@pytest.mark.parametrize("name", ["few/file", "many/0", "many/599"])
@pytest.mark.parametrize("change", CHANGES)
def test_whatever_happened_to_a_file_or_its_directory_is_in_the_next_snapshot(seen, change, name):
    engine, workspace, answers, held = seen
    change(workspace / name)
    assert isinstance(engine.snapshot(workspace), Taken)
    rules = workspace / name.split("/", maxsplit=1)[0] / ".gitignore"
    expected = picture(workspace)
    if rules.exists():
        del expected[os.fsencode(name)]
    assert difference(expected, held()) == []
    assert True in answers, "the other directory was only glanced at"


def test_what_was_only_read_costs_no_second_look(seen):
    engine, workspace, answers, _ = seen
    for file in (workspace / "many").iterdir():
        file.read_bytes()
    assert isinstance(engine.snapshot(workspace), Unchanged)
    assert answers == [True] * 3


def test_times_from_before_1970_and_of_the_far_future_are_times(seen):
    engine, workspace, answers, held = seen
    os.utime(workspace / "few" / "file", ns=(-1, -1))
    os.utime(workspace / "many" / "7", ns=(1 << 33, 15_000_000_000_000_000_001))
    for _ in range(4):
        engine.snapshot(workspace)
    assert answers[-3:] == [True] * 3
    (workspace / "few" / "file").write_bytes(b"edited")
    assert isinstance(engine.snapshot(workspace), Taken)
    assert difference(picture(workspace), held()) == []


def test_a_system_that_refuses_to_answer_costs_only_time(seen, monkeypatch):
    engine, workspace, _, held = seen
    monkeypatch.setattr("hermes_checkpoints.kit.walk.glance._statx", lambda: lambda *_: -1)
    (workspace / "few" / "file").write_bytes(b"edited")
    assert isinstance(engine.snapshot(workspace), Taken)
    assert difference(picture(workspace), held()) == []
    assert isinstance(engine.snapshot(workspace), Unchanged)
