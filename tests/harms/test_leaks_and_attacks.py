"""Leaking and being attacked: every line of that part of ``harms.md``.

Bytes changed by ``.gitattributes``: ``test_fidelity.py``. Paths that look like
options or patterns: ``test_reaching_too_far.py``; planted symlinks: ``test_while_restoring.py``.
"""

import os
import stat
import subprocess

import pytest

from damages import delete_everything
from hermes_checkpoints.contract import CheckpointError, PathNotFound, SnapshotNotFound, StoreRefused
from hermes_checkpoints.testing.witness import difference, picture, stamps
from trees import ATTRIBUTES, BACKENDS, REPOSITORIES, ground, put, rich


@pytest.fixture
def trap(tmp_path):
    """A program that leaves a trace when anybody runs it; ``trap.traces()`` tells."""
    return _Trap(tmp_path)


class _Trap:
    def __init__(self, directory) -> None:
        self._trace = directory / "trace"
        self.program = directory / "trap"
        self.program.write_text(f'#!/bin/sh\necho "$0 $*" >> {self._trace}\ncat\n')
        self.program.chmod(0o755)

    def traces(self) -> str:
        return self._trace.read_text() if self._trace.exists() else ""

    def settings(self) -> str:
        """Every setting by which git runs a program while it reads, writes or compares."""
        program = self.program
        return f"""
[core]
    fsmonitor = {program}
    hooksPath = {program.parent}
    sshCommand = {program}
    pager = {program}
    editor = {program}
    gitProxy = {program}
    attributesFile = {program.parent}/attributes
[commit]
    gpgsign = true
[gpg]
    program = {program}
[filter "upper"]
    clean = {program} clean
    smudge = {program} smudge
    process = {program} process
    required = true
[diff]
    external = {program}
[diff "upper"]
    textconv = {program}
    command = {program}
[merge "upper"]
    driver = {program}
[alias]
    repack = !{program}
    cat-file = !{program}
[credential]
    helper = {program}
"""


def _a_whole_session(here) -> None:
    first = here.take("first")
    put(here.workspace, "shout.filtered", b"LOUD\n")
    here.take("second")
    list(here.engine.diff(here.workspace, first.snapshot.id))
    here.engine.plan(here.workspace, first.snapshot.id)
    here.engine.restore(here.workspace, first.snapshot.id)
    here.engine.undo(here.workspace)
    here.engine.redo(here.workspace)
    here.engine.show(here.workspace, first.snapshot.id)
    here.engine.upkeep.status()
    assert (here.workspace / "shout.filtered").read_bytes() == b"quiet\n"


def test_no_program_that_a_repository_names_is_run(here, trap):
    """CVE-2026-19592, CVE-2026-45033: core.fsmonitor and filters of the workspace's repository ran code."""
    subprocess.run(["git", "init", "-q"], cwd=here.workspace, check=True)
    with (here.workspace / ".git/config").open("a") as config:
        config.write(trap.settings())
    for hook in ("pre-commit", "post-checkout", "reference-transaction", "fsmonitor-watchman", "post-index-change"):
        put(here.workspace, f".git/hooks/{hook}", trap.program.read_bytes()).chmod(0o755)
    put(here.workspace, ".gitattributes", ATTRIBUTES)
    put(here.workspace, "shout.filtered", b"quiet\n")
    repository = {b".git"}
    before = picture(here.workspace / ".git"), stamps(here.workspace / ".git")
    _a_whole_session(here)
    assert trap.traces() == ""
    assert (picture(here.workspace / ".git"), stamps(here.workspace / ".git")) == before
    assert set(picture(here.workspace, skip=repository)) == {b"", b".gitattributes", b"shout.filtered"}


def test_the_trap_is_one_that_git_falls_into(here, trap, monkeypatch, tmp_path):
    """Without this, the two tests beside it could not fail."""
    subprocess.run(["git", "init", "-q"], cwd=here.workspace, check=True)
    put(here.workspace, ".gitattributes", ATTRIBUTES)
    put(here.workspace, "shout.filtered", b"quiet\n")
    put(tmp_path, "settings", trap.settings())
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "settings"))
    subprocess.run(["git", "add", "."], cwd=here.workspace, check=False, capture_output=True)
    assert "process" in trap.traces() or "clean" in trap.traces()
    assert trap.traces().count(str(trap.program)) >= 2, "the monitor and the filter"


def test_settings_variables_and_signing_of_the_person_are_not_heard(here, trap, monkeypatch, tmp_path):
    """hermes 11261, roo 8811: GPG prompts, hooks, ``GIT_DIR`` inherited from the caller."""
    theirs = tmp_path / "theirs"
    subprocess.run(["git", "init", "-q", theirs], check=True)
    put(tmp_path, "settings", trap.settings())
    put(tmp_path, "attributes", ATTRIBUTES)
    for name, value in {
        "GIT_DIR": theirs / ".git",
        "GIT_WORK_TREE": theirs,
        "GIT_INDEX_FILE": theirs / ".git/index",
        "GIT_OBJECT_DIRECTORY": theirs / ".git/objects",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": theirs / ".git/objects",
        "GIT_NAMESPACE": "theirs",
        "GIT_CONFIG_GLOBAL": tmp_path / "settings",
        "GIT_CONFIG_SYSTEM": tmp_path / "settings",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.fsmonitor",
        "GIT_CONFIG_VALUE_0": trap.program,
        "GIT_EXTERNAL_DIFF": trap.program,
        "GIT_PAGER": trap.program,
        "GIT_EDITOR": trap.program,
        "GIT_TEMPLATE_DIR": tmp_path,
        "GIT_TRACE": tmp_path / "git-trace",
        "GIT_LITERAL_PATHSPECS": "0",
        "GIT_GLOB_PATHSPECS": "1",
    }.items():
        monkeypatch.setenv(name, str(value))
    before = picture(theirs)
    put(here.workspace, ".gitattributes", ATTRIBUTES)
    put(here.workspace, "shout.filtered", b"quiet\n")
    _a_whole_session(here)
    assert trap.traces() == ""
    assert difference(before, picture(theirs)) == []
    assert not (tmp_path / "git-trace").exists()


def test_no_other_user_can_look_into_the_store_whatever_the_umask_is(here):
    old = os.umask(0)
    try:
        rich(here.workspace)
        taken = here.take()
        delete_everything(here.workspace)
        here.engine.restore(here.workspace, taken.snapshot.id)
    finally:
        os.umask(old)
    found = [here.store / "store", *(here.store / "store").rglob("*")]
    assert [str(path) for path in found if path.lstat().st_mode & 0o077] == []
    assert len(found) > 10


def test_a_store_that_was_open_to_others_is_closed_before_it_is_used(here):
    ours = here.store / "store"
    ours.mkdir(parents=True)
    ours.chmod(0o755)
    put(here.workspace, "a", b"")
    here.take()
    assert stat.S_IMODE(ours.stat().st_mode) == 0o700


def test_the_directory_that_a_person_names_for_the_store_is_not_closed_to_others(here):
    """``--store`` may name a directory that holds other things too."""
    here.store.mkdir()
    here.store.chmod(0o755)
    put(here.workspace, "a", b"")
    here.take()
    assert stat.S_IMODE(here.store.stat().st_mode) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a directory to somebody else needs root")
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_store_of_somebody_else_is_refused_and_not_touched(fresh_directory, backend):
    with ground(fresh_directory, backend) as at:
        put(at.workspace, "a", b"")
        ours = at.store / "store"
        ours.mkdir(parents=True)
        os.chown(ours, 12345, 12345)
        with pytest.raises(StoreRefused, match="another user"):
            at.engine.snapshot(at.workspace)
        assert list(ours.iterdir()) == []


def test_what_a_stored_clone_holds_is_not_the_workspaces_own_file(here):
    """A hard link would let an edit in place change history, and a mode change open the store."""
    target = put(here.workspace, "a", b"x" * 300_000)
    here.take()
    assert target.stat().st_nlink == 1
    inodes = {path.stat().st_ino for path in here.store.rglob("*") if path.is_file()}
    assert target.stat().st_ino not in inodes


def test_secrets_in_the_usual_places_are_not_stored(here):
    """claude-code 50429: private keys in a tool's history."""
    secret = os.urandom(100_000)
    for name in (".env", ".env.local", "sub/.env.production", ".git/credentials", "keys/id_ed25519"):
        put(here.workspace, name, secret)
    put(here.workspace, ".hermesignore", b"keys/\n")
    put(here.workspace, "a", b"public")
    taken = here.take()
    told = {left.path for left in taken.left_out}
    assert told == {".env", ".env.local", "sub/.env.production", ".git", "keys"}
    # Random bytes do not compress: stored in whatever form, they would show by their size.
    assert sum(path.stat().st_size for path in here.store.rglob("*") if path.is_file()) < len(secret)
    with pytest.raises(PathNotFound):
        here.engine.read(here.workspace, taken.snapshot.id, ".env")


def test_nothing_is_read_through_a_symlink(here, on_filesystem):
    put(on_filesystem, "outside/secret", b"secret" * 50_000)
    (here.workspace / "directory").symlink_to(on_filesystem / "outside")
    (here.workspace / "file").symlink_to(on_filesystem / "outside/secret")
    taken = here.take()
    assert (taken.snapshot.files, taken.snapshot.size) == (2, 0)
    for path in ("directory/secret", "file"):
        with pytest.raises(PathNotFound):
            here.engine.read(here.workspace, taken.snapshot.id, path)


def test_a_symlink_to_a_rule_file_is_not_followed(here, on_filesystem):
    outside = put(on_filesystem, "rules", b"*\n")
    (here.workspace / ".gitignore").symlink_to(outside)
    put(here.workspace, "a", b"")
    assert here.take().snapshot.files == 2


@pytest.mark.parametrize(
    "ref", ["--all", "-1", "--upload-pack=x", "HEAD", "@", "refs/heads/main", "^1", ":/x", "..", "", "0"]
)
def test_an_id_is_never_an_option_nor_a_revision(anywhere, ref):
    put(anywhere.workspace, "a", b"")
    anywhere.take()
    before = picture(anywhere.workspace)
    for attempt in (anywhere.engine.restore, anywhere.engine.show, anywhere.engine.plan):
        with pytest.raises(SnapshotNotFound):
            attempt(anywhere.workspace, ref)
    assert difference(before, picture(anywhere.workspace)) == []


def test_an_export_overwrites_nothing_and_goes_through_no_symlink(here, on_filesystem):
    rich(here.workspace)
    taken = here.take()
    theirs = put(on_filesystem, "theirs/file", b"theirs").parent
    with pytest.raises(CheckpointError):
        here.engine.export(here.workspace, taken.snapshot.id, theirs)
    assert set(picture(theirs)) == {b"", b"file"}
    assert here.engine.export(here.workspace, taken.snapshot.id, on_filesystem / "out").failed == []
    wanted = picture(here.workspace, skip=REPOSITORIES)
    assert difference(wanted, picture(on_filesystem / "out")) == []
