"""Settings of the machine and the caller that must not change a byte: promises 8 and 9."""

import os
import shutil
from pathlib import Path

import pytest

from hermes_checkpoints.contract import Backend, Note, Place
from hermes_checkpoints.testing.fixtures import Fixtures
from hermes_checkpoints.testing.trees import EVERYTHING, contents, pictured, populate, take
from hermes_checkpoints.testing.witness import difference, picture

_CONFIG = """\
[core]
	autocrlf = true
	eol = crlf
	safecrlf = true
	fileMode = false
	symlinks = false
	ignoreCase = true
	bare = false
	attributesFile = {there}/attributes
	excludesFile = {there}/excludes
	hooksPath = {there}/hooks
	fsmonitor = {there}/run
	pager = {there}/run
	compression = 0
[commit]
	gpgSign = true
[gpg]
	program = {there}/run
[init]
	defaultObjectFormat = sha256
	templateDir = {there}
[extensions]
	objectFormat = sha256
[filter "x"]
	clean = {there}/run
	smudge = {there}/run
	required = true
[gc]
	auto = 1
	pruneExpire = now
[pack]
	packSizeLimit = 1
"""
_ATTRIBUTES = (
    b"* text=auto eol=crlf ident filter=x working-tree-encoding=UTF-16 export-subst diff=x merge=x\n[attr]x -text\n"
)
_FILES = {
    "unix": b"one\ntwo\n$Id$\n",
    "windows": b"one\r\ntwo\r\n$Id: 0$\r\n",
    "mixed": b"one\ntwo\r\nthree\r",
    "subst": b"$Format:%H$\n",
    "wide": "zwei\r\n".encode("utf-16"),
}


def _write_files(workspace: Path) -> None:
    for name, data in _FILES.items():
        (workspace / name).write_bytes(data)


class Hostile(Fixtures):
    """The bytes are the same whatever the surroundings say."""

    @pytest.fixture
    def decoy(self, ground: Path) -> Path:
        """Everything that a caller's settings may point to: configuration, hooks, and a program that leaves a trace."""
        there = ground / "decoy"
        (there / "hooks").mkdir(parents=True)
        (there / "objects").mkdir()
        (there / "refs").mkdir()
        (there / "HEAD").write_bytes(b"ref: refs/heads/main\n")
        (there / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
        (there / "attributes").write_bytes(_ATTRIBUTES)
        (there / "excludes").write_bytes(b"*\n")
        (there / "index").write_bytes(b"")
        (there / ".gitconfig").write_text(_CONFIG.format(there=there))
        (there / "git").mkdir()
        (there / "git" / "config").write_text(_CONFIG.format(there=there))
        (there / "git" / "attributes").write_bytes(_ATTRIBUTES)
        program = f"#!/bin/sh\ntouch '{there}/was run'\nexit 1\n"
        hooks = ("pre-auto-gc", "reference-transaction", "post-index-change", "pre-commit", "post-checkout")
        for path in (there / "run", *(there / "hooks" / hook for hook in hooks)):
            path.write_text(program)
            path.chmod(0o755)
        return there

    def test_attributes_do_not_change_bytes(self, backend: Backend, workspace: Path, ground: Path) -> None:
        _write_files(workspace)
        (workspace / ".gitattributes").write_bytes(_ATTRIBUTES)
        (workspace / "sub").mkdir()
        (workspace / "sub" / ".gitattributes").write_bytes(b"* binary working-tree-encoding=no-such -diff")
        _write_files(workspace / "sub")
        snapshot = take(backend)
        assert difference(picture(workspace), pictured(backend, snapshot.id, ground)) == []
        found = contents(backend, snapshot.id)
        assert {name: found[name] for name in _FILES} == _FILES
        backend.reclaim()
        assert contents(backend, snapshot.id) == found

    @pytest.mark.parametrize("through", ["variables", "files"])
    def test_git_settings_of_the_caller_change_nothing_and_are_not_used(
        self, place: Place, ground: Path, decoy: Path, monkeypatch: pytest.MonkeyPatch, through: str
    ) -> None:
        if through == "files":
            monkeypatch.setenv("HOME", str(decoy))
            monkeypatch.setenv("XDG_CONFIG_HOME", str(decoy))
            monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(decoy / ".gitconfig"))
            monkeypatch.setenv("GIT_CONFIG_SYSTEM", str(decoy / ".gitconfig"))
        else:
            for name, value in {
                "DIR": decoy,
                "COMMON_DIR": decoy,
                "WORK_TREE": decoy,
                "INDEX_FILE": decoy / "index",
                "OBJECT_DIRECTORY": decoy / "objects",
                "ALTERNATE_OBJECT_DIRECTORIES": decoy / "objects",
                "NAMESPACE": "elsewhere",
                "CONFIG_COUNT": 2,
                "CONFIG_KEY_0": "core.autocrlf",
                "CONFIG_VALUE_0": "true",
                "CONFIG_KEY_1": "core.hooksPath",
                "CONFIG_VALUE_1": decoy / "hooks",
                "CONFIG_PARAMETERS": "'core.autocrlf=true'",
                "ATTR_SOURCE": "HEAD",
                "TRACE": decoy / "trace",
                "TRACE2": decoy / "trace2",
                "EXTERNAL_DIFF": decoy / "run",
                "PAGER": decoy / "run",
                "SSH_COMMAND": decoy / "run",
                "DEFAULT_HASH": "sha256",
                "LITERAL_PATHSPECS": 1,
                "REPLACE_REF_BASE": "refs/elsewhere",
                "AUTHOR_DATE": "nonsense",
                "COMMITTER_DATE": "nonsense",
            }.items():
                monkeypatch.setenv(f"GIT_{name}", str(value))
        self._as_ever(place, ground, decoy)

    @pytest.mark.parametrize("umask", [0o000, 0o077, 0o177])
    def test_the_umask_changes_nothing_and_opens_nothing(self, place: Place, ground: Path, umask: int) -> None:
        populate(place.workspace)
        before = os.umask(umask)
        try:
            with self.open(place) as backend:
                snapshot = take(backend)
                (place.workspace / "README.md").write_bytes(b"more")
                take(backend)
                backend.forget([snapshot.id])
                backend.reclaim()
        finally:
            os.umask(before)
        for part in place.store.iterdir():
            assert part.stat().st_mode & 0o077 == 0, f"{part.name} is open to others"
        with self.open(place) as backend:
            kept = next(backend.snapshots())
            assert difference(picture(place.workspace), pictured(backend, kept.id, ground)) == []

    @pytest.mark.parametrize("locale", ["C", "POSIX", "tr_TR.UTF-8", "ja_JP.eucJP", "no-such"])
    def test_the_locale_changes_nothing(
        self, place: Place, ground: Path, decoy: Path, monkeypatch: pytest.MonkeyPatch, locale: str
    ) -> None:
        for name in ("LC_ALL", "LANG", "LANGUAGE", "LC_CTYPE", "LC_COLLATE", "LC_MESSAGES"):
            monkeypatch.setenv(name, locale)
        monkeypatch.setenv("TZ", "Pacific/Apia")
        (place.workspace / "Iıİi ß ſ").write_bytes(b"x")
        self._as_ever(place, ground, decoy)

    def test_a_current_directory_that_was_removed_changes_nothing(
        self, place: Place, ground: Path, decoy: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(ground)
        gone = ground / "gone"
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()
        self._as_ever(place, ground, decoy)

    def test_programs_in_the_workspace_are_not_run(
        self, place: Place, ground: Path, decoy: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("git", "cp", "sh", "python3", "sqlite3"):
            shutil.copy2(decoy / "run", place.workspace / name)
        monkeypatch.chdir(place.workspace)
        monkeypatch.setenv("PATH", f".{os.pathsep}{os.environ['PATH']}")
        self._as_ever(place, ground, decoy)

    def _as_ever(self, place: Place, ground: Path, decoy: Path) -> None:
        """Take, compare, forget, reclaim and read: the bytes are those of the files, and the decoy is as it was."""
        populate(place.workspace)
        _write_files(place.workspace)
        (place.workspace / ".gitattributes").write_bytes(_ATTRIBUTES)
        before = picture(decoy)
        with self.open(place) as backend:
            first = take(backend)
            (place.workspace / "README.md").write_bytes(b"two\r\nlines\n")
            assert len(list(backend.changes(first.id, scope=EVERYTHING))) == 1
            second = take(backend)
            backend.forget([first.id])
            backend.reclaim()
            assert backend.save(EVERYTHING, Note()).snapshot is None
        with self.open(place) as backend:
            assert [snapshot.id for snapshot in backend.snapshots()] == [second.id]
            assert difference(picture(place.workspace), pictured(backend, second.id, ground)) == []
            assert list(backend.verify(second.id)) == []
            assert list(backend.workspaces()) == [place.workspace]
        assert difference(before, picture(decoy)) == []
