"""Backends that are wrong in what they capture, and in what they listen to."""

import os
from pathlib import Path

from hermes_checkpoints.contract import Entry, Kind, WorkspaceError
from hermes_checkpoints.testing import MemoryBackend
from mutants import must_fail


@must_fail("test_what_the_rules_exclude_is_told")
class TellsNoReasons(MemoryBackend):
    def save(self, scope, note, *more):
        return super().save(scope, note, *more)._replace(left_out=())


@must_fail("test_a_store_inside_the_workspace_is_not_captured")
class CapturesTheStore(MemoryBackend):
    def _stores(self):
        return ()


@must_fail("test_links_are_never_followed")
class FollowsLinks(MemoryBackend):
    def entries(self, snapshot):
        for path, entry in super().entries(snapshot):
            live = self.place.workspace / path
            if entry.kind is Kind.LINK and os.path.isfile(live):
                data = live.read_bytes()
                self._shelf.things[data] = data
                self._shelf.issued.add(data)
                entry = Entry(Kind.FILE, 0o644, entry.mtime_ns, len(data), data)
            yield path, entry


@must_fail("test_a_repository_is_held_as_plain_files_and_its_own_is_not_touched")
class MovesTheRepositoryAside(MemoryBackend):
    def save(self, scope, note, *more):
        git = self.place.workspace / ".git"
        disabled = git.with_name(".git_disabled")
        if git.is_dir():
            git.rename(disabled)
        try:
            return super().save(scope, note, *more)
        finally:
            if disabled.is_dir():
                disabled.rename(git)


@must_fail("test_what_may_not_be_read_costs_nothing_else")
class GivesUpAtOneFile(MemoryBackend):
    def save(self, scope, note, *more):
        saved = super().save(scope, note, *more)
        if "unreadable" in {one.reason.value for one in saved.left_out}:
            raise WorkspaceError("a file cannot be read")
        return saved


@must_fail("test_nothing_is_written_outside_the_store")
class WritesBesideTheWorkspace(MemoryBackend):
    def reclaim(self, *arguments, **named):
        super().reclaim(*arguments, **named)
        (self.place.workspace.parent / "reclaimed.log").write_bytes(b"done")


@must_fail("test_git_settings_of_the_caller_change_nothing_and_are_not_used")
class ObeysGitDir(MemoryBackend):
    def reclaim(self, *arguments, **named):
        super().reclaim(*arguments, **named)
        if "GIT_DIR" in os.environ:
            Path(os.environ["GIT_DIR"], "packed-refs").write_bytes(b"")


@must_fail("test_the_umask_changes_nothing_and_opens_nothing")
class OpenToAll(MemoryBackend):
    @classmethod
    def open(cls, place):
        backend = super().open(place)
        backend.home.chmod(0o755)
        return backend


@must_fail("test_a_current_directory_that_was_removed_changes_nothing")
class AsksWhereItIs(MemoryBackend):
    @classmethod
    def open(cls, place):
        os.getcwd()
        return super().open(place)
