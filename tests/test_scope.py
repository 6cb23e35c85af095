"""What belongs to a snapshot, and what is left out, always with a reason."""

import os
import threading
from pathlib import Path

import pytest

from damages import delete_everything
from hermes_checkpoints import Engine
from hermes_checkpoints.contract import RestoreRefused, Scope
from hermes_checkpoints.results import Declined, Taken
from hermes_checkpoints.testing.witness import difference, picture
from trees import BACKENDS, Ground, ground, put, seconds, specials

LIMIT = 4096


@pytest.fixture(params=BACKENDS)
def here(request, on_filesystem):
    with ground(on_filesystem, request.param, scope=Scope(max_file_size=LIMIT)) as made:
        yield made


@pytest.fixture(params=BACKENDS)
def anywhere(request, fresh_directory):
    with ground(fresh_directory, request.param) as made:
        yield made


def left_out(taken: Taken) -> dict[str, str]:
    return {left.path: str(left.reason) for left in taken.left_out}


def held(at: Ground, taken: Taken) -> set[str]:
    """What a snapshot holds, told by laying it out in an empty directory."""
    target = at.workspace.parent / f"export-{taken.snapshot.short_id}"
    assert at.engine.export(at.workspace, taken.snapshot.id, target).failed == []
    return {os.fsdecode(path) for path, seen in picture(target).items() if seen.kind != "directory"}


def test_what_is_generated_is_left_out_by_default(anywhere):
    for directory in ("node_modules", "dist", "target", "__pycache__", ".venv", "sub/node_modules", ".git", "sub/.svn"):
        put(anywhere.workspace, f"{directory}/inside", b"")
    for name in ("a.pyc", "lib.so", "sub/x.o", "movie.mp4", "a.tar.gz", ".env", "sub/.env.local", "debug.log"):
        put(anywhere.workspace, name, b"")
    kept = {"main.py", "environment.py", "sub/distance/x", "log", "src/.envrc"}
    for name in kept:
        put(anywhere.workspace, name, b"")
    taken = anywhere.take()
    assert held(anywhere, taken) == kept
    reasons = left_out(taken)
    assert reasons[".git"] == reasons["sub/.svn"] == "version control"
    assert reasons["node_modules"] == reasons["sub/.env.local"] == "ignored"
    assert "node_modules/inside" not in reasons


def test_gitignore_holds_at_every_level_and_hermesignore_has_the_last_word(anywhere):
    put(anywhere.workspace, ".gitignore", b"*.tmp\n/only-here\nkept-for-snapshots\n")
    put(anywhere.workspace, "sub/.gitignore", b"!wanted.tmp\nlocal\n")
    put(anywhere.workspace, ".hermesignore", b"!kept-for-snapshots\nnot-in-snapshots\n!*.log\n")
    kept = {".gitignore", ".hermesignore", "sub/.gitignore"}
    kept |= {"kept-for-snapshots", "sub/kept-for-snapshots", "sub/wanted.tmp", "sub/only-here", "local", "a.log"}
    for name in kept | {"a.tmp", "only-here", "sub/a.tmp", "sub/deep/local", "not-in-snapshots", "wanted.tmp"}:
        if not name.endswith("ignore"):
            put(anywhere.workspace, name, b"")
    assert held(anywhere, anywhere.take()) == kept


def test_a_rule_that_changes_takes_effect_at_the_next_snapshot(anywhere):
    put(anywhere.workspace, "data/one", b"1")
    put(anywhere.workspace, "data/two", b"2")
    assert held(anywhere, anywhere.take()) == {"data/one", "data/two"}
    put(anywhere.workspace, ".hermesignore", b"two\n")
    assert held(anywhere, anywhere.take()) == {".hermesignore", "data/one"}
    put(anywhere.workspace, ".hermesignore", b"# nothing\n")
    assert held(anywhere, anywhere.take()) == {".hermesignore", "data/one", "data/two"}


def test_more_excludes_can_be_configured(anywhere):
    put(anywhere.store, "store/config.toml", b'exclude = ["*.secret"]\nmax_file_size_mb = 0.001\n')
    put(anywhere.workspace, "a.secret", b"")
    put(anywhere.workspace, "large", b"x" * 1049)
    put(anywhere.workspace, "b", b"x" * 1048)
    with Engine(store=anywhere.store, backend="shadow-git") as engine:
        taken = engine.snapshot(anywhere.workspace)
    assert left_out(taken) == {"a.secret": "ignored", "large": "larger than the limit"}


@pytest.mark.parametrize("earlier", [False, True], ids=["first", "later"])
def test_a_file_at_the_limit_is_kept_and_one_byte_more_is_not_unless_it_is_cloned(here, filesystem, earlier):
    put(here.workspace, "small", b"")
    if earlier:
        here.take()
    put(here.workspace, "at-the-limit", b"x" * LIMIT)
    put(here.workspace, "over", b"x" * (LIMIT + 1))
    put(here.workspace, "far-over", b"x" * 200_000)
    os.sync()
    taken = here.take()
    everything = {"small", "at-the-limit", "over", "far-over"}
    if filesystem.clones and taken.snapshot.backend == "cow":
        assert (held(here, taken), left_out(taken)) == (everything, {})
    else:
        assert held(here, taken) == {"small", "at-the-limit"}
        assert left_out(taken) == dict.fromkeys(["over", "far-over"], "larger than the limit")


def test_another_limit_is_applied_to_files_that_have_not_changed(anywhere):
    put(anywhere.workspace, "file", b"x" * 100_000)
    with Engine(store=anywhere.store, backend="shadow-git", scope=Scope(max_file_size=10)) as engine:
        assert left_out(engine.snapshot(anywhere.workspace)) == {"file": "larger than the limit"}
    with Engine(store=anywhere.store, backend="shadow-git", scope=Scope(max_file_size=0)) as engine:
        taken = engine.snapshot(anywhere.workspace)
        assert (left_out(taken), taken.snapshot.files) == ({}, 1)


def test_a_symlink_to_a_big_file_is_judged_as_a_symlink(here):
    big = put(here.workspace.parent, "big", b"x" * 10 * LIMIT)
    (here.workspace / "link").symlink_to(big)
    assert held(here, here.take()) == {"link"}


def test_sixty_thousand_files_are_no_reason_to_drop_a_workspace(small_filesystem):
    with small_filesystem("ext4", 600) as filesystem:
        workspace = filesystem.root / "workspace"
        for number in range(60):
            directory = workspace / f"{number:02}"
            directory.mkdir(parents=True)
            fd = os.open(directory, os.O_RDONLY)
            for name in range(1000):
                os.close(os.open(f"{name:03}", os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=fd))
            os.close(fd)
        for backend in BACKENDS:
            with ground(filesystem.root, backend, store=filesystem.root / backend) as at, seconds(60):
                assert at.take().snapshot.files == 60_000
                (workspace / "30/500").write_bytes(b"edited")
                assert at.take().stats.changed == 1
                done = at.engine.restore(workspace, "2")
                assert (done.written, (workspace / "30/500").read_bytes()) == (["30/500"], b"")


@pytest.mark.parametrize("backend", BACKENDS)
def test_root_home_and_its_ancestors_are_declined_with_the_reason(backend, clean_environment, tmp_path):
    home = clean_environment
    with Engine(backend=backend) as engine:
        for directory, word in ((Path("/"), "root"), (home, "home"), (home.parent, "home"), (Path("/tmp"), "home")):
            outcome = engine.snapshot(directory)
            assert isinstance(outcome, Declined)
            assert word in outcome.reason
            with pytest.raises(Exception, match="no snapshots"):
                engine.restore(directory, "1")
        (tmp_path / "to-home").symlink_to(home)
        assert isinstance(engine.snapshot(tmp_path / "to-home"), Declined)
        assert isinstance(engine.snapshot(home / "missing"), Declined)
        file = put(home, "file", b"")
        assert "not a directory" in engine.snapshot(file).reason
        assert isinstance(engine.snapshot(put(home, "project/x").parent), Taken)
    assert not (home / "missing").exists()


def test_the_store_itself_is_declined(anywhere):
    put(anywhere.workspace, "x", b"")
    anywhere.take()
    for inside in (anywhere.store, anywhere.store / "store", anywhere.store / "store" / "projects"):
        outcome = anywhere.engine.snapshot(inside)
        assert isinstance(outcome, Declined)
        assert "store" in outcome.reason


def test_a_restore_into_what_became_home_is_refused(anywhere, monkeypatch):
    put(anywhere.workspace, "x", b"then")
    anywhere.take()
    put(anywhere.workspace, "x", b"now")
    monkeypatch.setenv("HOME", str(anywhere.workspace))
    with pytest.raises(RestoreRefused, match="home"):
        anywhere.engine.restore(anywhere.workspace, "1")
    assert (anywhere.workspace / "x").read_bytes() == b"now"


@pytest.mark.parametrize("place", ["checkpoints", ".hermes/checkpoints", "node_modules/deep/store"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_store_inside_the_workspace_is_never_captured_and_survives_restores(fresh_directory, backend, place):
    workspace = fresh_directory / "workspace"
    with ground(fresh_directory, backend, store=workspace / place) as at:
        put(workspace, "file", b"1")
        first = at.take()
        put(workspace, "file", b"2")
        put(workspace, "dir/more", b"2")
        second = at.take()
        assert held(at, first) == {"file"}
        assert held(at, second) == {"file", "dir/more"}
        assert second.snapshot.size < 10
        assert at.engine.restore(workspace, first.snapshot.id).failed == []
        assert (workspace / "file").read_bytes() == b"1"
        assert at.engine.undo(workspace).failed == []
        assert (workspace / "dir/more").read_bytes() == b"2"
        assert len(at.engine.list(workspace)) == 4


@pytest.mark.parametrize("then", BACKENDS)
def test_clones_kept_inside_the_workspace_are_never_captured(on_filesystem, monkeypatch, then):
    workspace = on_filesystem / "workspace"
    monkeypatch.setenv("HERMES_CHECKPOINT_COW_DIR", str(workspace / ".clones"))
    with ground(on_filesystem, "cow") as at:
        put(workspace, "file", b"x" * 100_000)
        at.take()
    with ground(on_filesystem, then) as at:
        put(workspace, "file", b"y" * 100_000)
        assert held(at, at.take()) == {"file"}


def test_special_files_are_left_out_and_nothing_hangs_on_them(here):
    with seconds(20):
        put(here.workspace, "file", b"1")
        names = specials(here.workspace)
        first = here.take()
        assert left_out(first) == dict.fromkeys(names, "not a file, directory or symlink")
        assert held(here, first) == {"file"}
        put(here.workspace, "file", b"2")
        before = picture(here.workspace, skip={b"file"})
        assert here.engine.restore(here.workspace, first.snapshot.id).failed == []
        assert difference(before, picture(here.workspace, skip={b"file"})) == []
        assert list(here.engine.diff(here.workspace, first.snapshot.id)) == []


def test_a_fifo_in_the_place_of_a_file_is_kept_and_named_and_nothing_hangs_on_it(here):
    put(here.workspace, "a", b"1")
    put(here.workspace, "d/b", b"1")
    put(here.workspace, ".gitignore", b"nothing\n")
    taken = here.take()
    delete_everything(here.workspace)
    for name in ("a", "d", ".gitignore"):
        os.mkfifo(here.workspace / name)
    with seconds(20):
        done = here.engine.restore(here.workspace, taken.snapshot.id)
    assert {kept.path for kept in done.kept} == {"a", "d", ".gitignore"}
    assert done.failed == []


def test_a_file_that_is_rewritten_all_the_time_costs_only_itself(here):
    put(here.workspace, "calm", b"calm")
    content = bytes(4 * LIMIT)
    restless = put(here.workspace, "restless", content[:LIMIT])
    stop = threading.Event()

    def rewrite() -> None:
        fd = os.open(restless, os.O_WRONLY)
        while not stop.is_set():
            os.pwrite(fd, b"x", 0)
        os.close(fd)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        with seconds(30):
            taken = here.take()
    finally:
        stop.set()
        writer.join()
    assert "calm" in held(here, taken)
    assert left_out(taken) in ({}, {"restless": "changed while it was read"})
    after = here.engine.snapshot(here.workspace)
    assert left_out(after) == {}, "once it is calm it is looked at again"
    with here.engine.read(here.workspace, "1", "restless") as read:
        assert read.read() == restless.read_bytes()


def test_a_file_that_moves_at_every_look_is_left_out_as_unstable(anywhere, monkeypatch):
    restless = put(anywhere.workspace, "restless", b"0")
    put(anywhere.workspace, "calm", b"calm")
    fstat = os.fstat

    def moving(fd: int) -> os.stat_result:
        status = fstat(fd)
        if status.st_ino == inode:
            with restless.open("ab") as file:
                file.write(b"+")
        return status

    inode = restless.stat().st_ino
    with monkeypatch.context() as patched, seconds(20):
        patched.setattr(os, "fstat", moving)
        taken = anywhere.take()
    assert left_out(taken) == {"restless": "changed while it was read"}
    assert held(anywhere, taken) == {"calm"}
    assert held(anywhere, anywhere.take()) == {"calm", "restless"}


def test_everything_left_out_is_told_again_when_the_snapshot_is_shown(anywhere):
    put(anywhere.workspace, "file", b"")
    put(anywhere.workspace, "sub/a.log", b"")
    put(anywhere.workspace, "node_modules/x", b"")
    put(anywhere.workspace, ".git/HEAD", b"")
    specials(anywhere.workspace)
    taken = anywhere.take()
    shown = anywhere.engine.show(anywhere.workspace, taken.snapshot.id)
    assert {left.path: str(left.reason) for left in shown.left_out} == left_out(taken)
    assert (shown.files, shown.directories) == (1, 1)
