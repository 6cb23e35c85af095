"""Losing work where a filesystem takes two names for one: ext4 with casefold, as APFS on macOS."""

import os
import subprocess
from contextlib import ExitStack

import pytest

from filesystems import Unavailable, made_filesystem
from hermes_checkpoints import rollback
from trees import BACKENDS, ground, put

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


@pytest.fixture(params=BACKENDS)
def here(request, fresh_directory):
    """A workspace whose names' case and compositions do not count; the store is elsewhere."""
    with ExitStack() as stack:
        try:
            filesystem = stack.enter_context(made_filesystem("casefold", 64))
        except Unavailable:  # also with --require-filesystems: no mkfs makes up for what a kernel was built without
            pytest.skip("ext4 with casefold cannot be mounted here (CONFIG_UNICODE)")
        workspace = filesystem.root / "workspace"
        workspace.mkdir()
        subprocess.run(["chattr", "+F", workspace], check=True)
        yield stack.enter_context(ground(filesystem.root, request.param, store=fresh_directory / "store"))


def tree(root) -> dict[str, bytes | None]:
    """Every path as it is spelled, with its content; ``None`` for a directory."""
    found = {}
    for directory, names, files in os.walk(root):
        below = os.path.relpath(directory, root)
        prefix = "" if below == "." else below + "/"
        found |= {prefix + name: None for name in names}
        for name in files:
            with open(os.path.join(directory, name), "rb") as file:
                found[prefix + name] = file.read()
    return found


def respell(root, old: str, new: str) -> None:
    """As a person has to do it on Linux."""
    (root / old).rename(root / "in between")
    (root / "in between").rename(root / new)


def there_and_back(here, then: dict[str, bytes | None]) -> None:
    """Restore the newest snapshot, and undo and redo that: each time the tree is what it was, spelling included."""
    now = tree(here.workspace)
    target = here.engine.list(here.workspace)[0].id
    for act, expected in (
        (lambda: here.engine.restore(here.workspace, target), then),
        (lambda: here.engine.undo(here.workspace), now),
        (lambda: here.engine.redo(here.workspace), then),
    ):
        done = act()
        assert (done.failed, done.kept) == ([], [])
        assert tree(here.workspace) == expected


@pytest.mark.parametrize("pair", [("README", "Readme"), (COMPOSED, DECOMPOSED), ("a.TXT", "A.txt")], ids=ascii)
@pytest.mark.parametrize("content", [b"then", b"now"], ids=["same content", "other content"])
def test_a_file_whose_spelling_changed_is_not_lost_by_a_restore(here, pair, content):
    put(here.workspace, pair[0], b"then")
    put(here.workspace, "other", b"then")
    here.take()
    respell(here.workspace, *pair)
    put(here.workspace, pair[1], content)
    put(here.workspace, "new", b"to be deleted")
    there_and_back(here, {pair[0]: b"then", "other": b"then"})


def test_the_mode_of_a_file_whose_spelling_changed_comes_back_too(here):
    put(here.workspace, "README", b"same").chmod(0o600)
    here.take()
    respell(here.workspace, "README", "Readme")
    (here.workspace / "Readme").chmod(0o640)
    assert here.engine.restore(here.workspace, "1").failed == []
    assert tree(here.workspace) == {"README": b"same"}
    assert (here.workspace / "README").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("many", [0, 40])
def test_a_directory_whose_spelling_changed_keeps_all_that_is_in_it(here, many):
    put(here.workspace, "Dir/same", b"same")
    put(here.workspace, "Dir/Sub/changed", b"then")
    put(here.workspace, "Dir/Sub/removed", b"then")
    put(here.workspace, "Dir/README", b"then")
    for number in range(many):
        put(here.workspace, f"Dir/many/{number}", b"then")
    then = tree(here.workspace)
    here.take()
    respell(here.workspace, "Dir", "dir")
    respell(here.workspace, "dir/Sub", "dir/sub")
    respell(here.workspace, "dir/README", "dir/Readme")
    put(here.workspace, "dir/sub/changed", b"now")
    (here.workspace / "dir/sub/removed").unlink()
    put(here.workspace, "dir/sub/added", b"now")
    for number in range(many):
        put(here.workspace, f"dir/many/{number}", b"now")
    there_and_back(here, then)


def test_what_no_snapshot_holds_stays_in_a_directory_whose_spelling_changed(here):
    put(here.workspace, ".gitignore", b"*.log\n")
    put(here.workspace, "Dir/file", b"then")
    here.take()
    respell(here.workspace, "Dir", "dir")
    put(here.workspace, "dir/file", b"now")
    put(here.workspace, "dir/ignored.log", b"in no snapshot")
    done = here.engine.restore(here.workspace, "1")
    assert done.failed == []
    assert (here.workspace / "Dir/file").read_bytes() == b"then"
    assert (here.workspace / "Dir/ignored.log").read_bytes() == b"in no snapshot"


@pytest.mark.parametrize("then", ["file", "directory"])
def test_a_file_and_a_directory_that_are_spelled_alike_take_each_others_place(here, then):
    def make(as_file: bool, name: str) -> None:
        put(here.workspace, name if as_file else f"{name}/inside", b"content")

    make(then == "file", "Name")
    target = tree(here.workspace)
    here.take()
    subprocess.run(["rm", "-r", here.workspace / "Name"], check=True)
    make(then != "file", "name")
    there_and_back(here, target)


def test_an_edit_after_the_safety_snapshot_keeps_its_spelling_and_its_bytes(here, monkeypatch):
    put(here.workspace, "README", b"then")
    here.take()
    respell(here.workspace, "README", "Readme")
    really = rollback.apply

    def edited(*arguments, **named):
        put(here.workspace, "Readme", b"last!!")
        return really(*arguments, **named)

    monkeypatch.setattr(rollback, "apply", edited)
    done = here.engine.restore(here.workspace, "1")
    assert tree(here.workspace) == {"Readme": b"last!!"}
    assert {failure.path for failure in done.kept} == {"README", "Readme"}


def test_one_spelling_alone_cannot_be_restored_over_the_other(here):
    """Its undo would remove the entry and bring back nothing: the other spelling was not selected."""
    put(here.workspace, "README", b"then")
    taken = here.take().snapshot.id
    respell(here.workspace, "README", "Readme")
    put(here.workspace, "Readme", b"now")
    done = here.engine.restore(here.workspace, taken, ["README"])
    assert tree(here.workspace) == {"Readme": b"now"}
    assert ["does not tell it from 'Readme'" in failure.reason for failure in done.failed] == [True]
    done = here.engine.restore(here.workspace, taken, ["README", "Readme"])
    assert (tree(here.workspace), done.failed) == ({"README": b"then"}, [])


def test_of_two_names_that_the_snapshot_tells_apart_the_second_fails_and_replaces_nothing(here, fresh_directory):
    elsewhere = fresh_directory / "elsewhere"
    put(elsewhere, "README", b"one")
    put(elsewhere, "Readme", b"two")
    put(elsewhere, "Dir/a", b"one")
    put(elsewhere, "dir/a", b"two")
    here.engine.snapshot(elsewhere)
    laid = here.workspace / "laid"
    done = here.engine.export(elsewhere, "1", laid)
    assert tree(laid) == {"README": b"one", "Dir": None, "Dir/a": b"one"}
    assert {failure.path for failure in done.failed} == {"Readme", "dir", "dir/a"}
    reasons = {failure.path: failure.reason for failure in done.failed}
    assert all("does not tell it from" in reasons[path] for path in ("Readme", "dir"))
