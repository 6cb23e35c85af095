"""What belongs to a snapshot, and what is told of the rest: promises 4 and 10."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hermes_checkpoints.contract import Backend, Capability, Kind, Note, Place, Restoring, Saved, Scope
from hermes_checkpoints.testing.fixtures import Fixtures
from hermes_checkpoints.testing.privileges import obeying_modes
from hermes_checkpoints.testing.trees import EVERYTHING, contents, pictured, populate, take, told
from hermes_checkpoints.testing.witness import difference, picture, stamps

_HUNG = 20  # seconds
_LIMIT = 100_000


def _named(backend: Backend, saved: Saved) -> dict[str, str]:
    """What a save says it left out, which must be what its snapshot says too."""
    held_out = {path: entry.reason.value for path, entry in backend.entries(saved.latest.id) if not entry.held}
    assert told(saved.left_out) == held_out
    return held_out


@contextmanager
def _not_hanging() -> Iterator[None]:
    def hung(_signal: int, _frame: object) -> None:
        raise AssertionError(f"it hung for {_HUNG} s")

    before = signal.signal(signal.SIGALRM, hung)
    signal.alarm(_HUNG)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Scoping(Fixtures):
    """What ``save`` leaves out, why, and that it says so."""

    def test_nothing_is_left_out_without_a_reason(self, backend: Backend, workspace: Path) -> None:
        populate(workspace)
        assert list(backend.save(Scope(), Note()).left_out) == []

    def test_what_the_rules_exclude_is_told(self, backend: Backend, workspace: Path) -> None:
        populate(workspace)
        (workspace / "node_modules").mkdir()
        (workspace / "node_modules" / "package").write_bytes(b"x")
        (workspace / "src" / "x.pyc").write_bytes(b"x")
        (workspace / ".gitignore").write_bytes(b"secret*\n!secret kept\n")
        (workspace / "secret kept").write_bytes(b"x")
        (workspace / "src" / ".hermesignore").write_bytes(b"/main.py\n")
        saved = backend.save(Scope(), Note())
        expected = {"node_modules", "src/x.pyc", "secret", "src/main.py"}
        assert _named(backend, saved) == dict.fromkeys(expected, "ignored")
        held = {path for path, entry in backend.entries(saved.latest.id) if entry.held}
        assert {".gitignore", "src/.hermesignore", "secret kept", "src/main copy.py"} <= held
        unchanged = backend.save(Scope(), Note())
        assert unchanged.snapshot is None
        assert told(unchanged.left_out) == told(saved.left_out)

    def test_a_rule_that_comes_or_goes_is_followed(self, backend: Backend, workspace: Path, ground: Path) -> None:
        populate(workspace)
        take(backend, scope=Scope())
        (workspace / ".gitignore").write_bytes(b"src/\n")
        ignoring = backend.save(Scope(), Note())
        assert _named(backend, ignoring) == {"src": "ignored"}
        (workspace / ".gitignore").write_bytes(b"")
        assert difference(picture(workspace), pictured(backend, take(backend, scope=Scope()).id, ground)) == []

    def test_a_repository_is_held_as_plain_files_and_its_own_is_not_touched(
        self, backend: Backend, workspace: Path, ground: Path
    ) -> None:
        for at in (workspace, workspace / "nested"):
            (at / ".git" / "hooks").mkdir(parents=True)
            (at / ".git" / "HEAD").write_bytes(b"ref: refs/heads/main\n")
            runs = b"touch '%s'" % os.fsencode(ground / "was run")
            config = b'[core]\n\tfsmonitor = "%s"\n\tsshCommand = "%s"\n[filter "x"]\n\tclean = "%s"\n\tsmudge = "%s"\n'
            (at / ".git" / "config").write_bytes(config % (runs, runs, runs, runs))
            for hook in ("pre-commit", "post-index-change", "reference-transaction", "pre-auto-gc"):
                (at / ".git" / "hooks" / hook).write_bytes(b"#!/bin/sh\n" + runs)
                (at / ".git" / "hooks" / hook).chmod(0o755)
            (at / ".gitattributes").write_bytes(b"* filter=x\n")
            (at / "file").write_bytes(b"plain")
        (workspace / "submodule").mkdir()
        (workspace / "submodule" / ".git").write_bytes(b"gitdir: ../.git/modules/submodule\n")
        (workspace / "submodule" / "file").write_bytes(b"plain")
        before, stamped = picture(workspace), stamps(workspace)
        saved = backend.save(EVERYTHING, Note())
        backend.save(EVERYTHING, Note())
        assert _named(backend, saved) == dict.fromkeys([".git", "nested/.git", "submodule/.git"], "version control")
        assert contents(backend, saved.latest.id)["nested/file"] == b"plain"
        assert contents(backend, saved.latest.id)["submodule/file"] == b"plain"
        assert difference(before, picture(workspace)) == []
        assert difference(stamped, stamps(workspace)) == []
        assert not (ground / "was run").exists()

    def test_a_file_beyond_the_limit_is_left_out_and_one_of_just_that_size_is_not(
        self, backend: Backend, workspace: Path
    ) -> None:
        data = {"just so": os.urandom(_LIMIT), "beyond": os.urandom(_LIMIT + 1)}
        for name, content in data.items():
            (workspace / name).write_bytes(content)
        (workspace / "link").symlink_to("beyond")
        scope = Scope(max_file_size=_LIMIT)
        saved = backend.save(scope, Note())
        left_out = _named(backend, saved)
        if left_out or Capability.STORES_LARGE_FILES_FREELY not in self.backend_class.capabilities:
            assert left_out == {"beyond": "larger than the limit"}
            del data["beyond"]
        assert contents(backend, saved.latest.id) == data
        assert backend.entry(saved.latest.id, "link").kind is Kind.LINK
        without_limit = backend.save(EVERYTHING, Note()).latest
        assert backend.entry(without_limit.id, "beyond").size == _LIMIT + 1

    def test_a_path_that_is_to_be_held_anyway_is_held_and_others_of_its_size_are_not(
        self, backend: Backend, workspace: Path
    ) -> None:
        (workspace / "dir").mkdir()
        for name in ("dir/wanted", "dir/other", "wanted"):
            (workspace / name).write_bytes(os.urandom(_LIMIT + 1))
        scope = Scope(max_file_size=_LIMIT)
        left_out = _named(backend, backend.save(scope, Note()))
        anyway = backend.save(scope._replace(anyway=frozenset({"dir/wanted"})), Note(restoring=Restoring("0" * 40)))
        assert backend.entry(anyway.latest.id, "dir/wanted").size == _LIMIT + 1
        assert _named(backend, anyway) == {path: why for path, why in left_out.items() if path != "dir/wanted"}
        again = _named(backend, backend.save(scope, Note(restoring=Restoring("0" * 40))))
        if Capability.STORES_LARGE_FILES_FREELY not in self.backend_class.capabilities:  # else it costs nothing now
            assert again == left_out

    def test_what_is_no_file_is_left_out_and_does_not_hang(self, backend: Backend, workspace: Path) -> None:
        populate(workspace)
        os.mkfifo(workspace / "fifo")
        os.mkfifo(workspace / ".gitignore")
        with socket.socket(socket.AF_UNIX) as listening:
            here = os.open(workspace, os.O_RDONLY)
            before = os.open(".", os.O_RDONLY)
            os.fchdir(here)  # a socket's path may have 100 bytes only
            try:
                listening.bind("socket")
            finally:
                os.fchdir(before)
                os.close(here)
                os.close(before)
            with _not_hanging():
                saved = backend.save(EVERYTHING, Note())
                list(backend.changes(saved.latest.id, scope=EVERYTHING))
        special = "not a file, directory or symlink"
        assert _named(backend, saved) == dict.fromkeys(["fifo", ".gitignore", "socket"], special)
        assert contents(backend, saved.latest.id)["README.md"] == (workspace / "README.md").read_bytes()

    def test_what_may_not_be_read_costs_nothing_else(self, backend: Backend, workspace: Path) -> None:
        populate(workspace)
        (workspace / "src" / "main.py").chmod(0o000)
        (workspace / "closed").mkdir()
        (workspace / "closed" / "file").write_bytes(b"unreachable")
        (workspace / "closed").chmod(0o000)
        try:
            with obeying_modes():
                saved = backend.save(EVERYTHING, Note())
                again = backend.save(EVERYTHING, Note())
            assert _named(backend, saved) == {"src/main.py": "unreadable", "closed": "unreadable"}
            assert again.snapshot is None
            assert told(again.left_out) == told(saved.left_out)
            assert contents(backend, saved.latest.id)["src/main copy.py"] == b"print('one')\n"
        finally:
            (workspace / "closed").chmod(0o700)
            (workspace / "src" / "main.py").chmod(0o644)
        assert contents(backend, take(backend).id)["closed/file"] == b"unreachable"

    def test_a_directory_that_may_be_listed_and_not_entered_costs_nothing_else(
        self, backend: Backend, workspace: Path
    ) -> None:
        populate(workspace)
        (workspace / "listed").mkdir()
        (workspace / "listed" / "file").write_bytes(b"unreachable")
        (workspace / "listed").chmod(0o400)
        try:
            with obeying_modes():
                saved = backend.save(EVERYTHING, Note())
        finally:
            (workspace / "listed").chmod(0o700)
        assert _named(backend, saved) in ({"listed": "unreadable"}, {"listed/file": "unreadable"})
        assert contents(backend, saved.latest.id)["src/main.py"] == b"print('one')\n"

    def test_a_file_that_is_being_written_comes_back_as_recorded_or_is_left_out(
        self, backend: Backend, workspace: Path
    ) -> None:
        populate(workspace)
        stop = threading.Event()

        def write() -> None:
            with (workspace / "growing").open("ab", buffering=0) as file:
                while not stop.is_set():
                    for _ in range(100):
                        file.write(b"more and more " * 50)
                    file.truncate(0)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            saved = [backend.save(Scope(), Note()) for _ in range(3)]
        finally:
            stop.set()
            writer.join()
        for one in saved:
            assert told(one.left_out) in ({}, {"growing": "changed while it was read"})
            found = contents(backend, one.latest.id)
            assert found["src/main.py"] == b"print('one')\n"
            if "growing" in found:
                assert len(found["growing"]) == backend.entry(one.latest.id, "growing").size

    def test_links_are_never_followed(self, backend: Backend, workspace: Path, ground: Path) -> None:
        outside = ground / "outside"
        outside.mkdir()
        (outside / "secret").write_bytes(b"not yours")
        (outside / "rules").write_bytes(b"*\n")
        populate(workspace)
        (workspace / "to directory").symlink_to(outside)
        (workspace / "to file").symlink_to(outside / "secret")
        (workspace / "to itself").symlink_to("to itself")
        (workspace / ".gitignore").symlink_to(outside / "rules")
        saved = backend.save(EVERYTHING, Note())
        assert list(saved.left_out) == []
        assert difference(picture(workspace), pictured(backend, saved.latest.id, ground)) == []
        assert b"not yours" not in contents(backend, saved.latest.id).values()
        (outside / "secret").write_bytes(b"changed outside")
        assert backend.save(EVERYTHING, Note()).snapshot is None

    def test_a_store_inside_the_workspace_is_not_captured(self, workspace: Path) -> None:
        populate(workspace)
        place = Place(workspace / "src" / "store", workspace)
        place.store.mkdir()
        with self.open(place) as backend:
            for number in range(3):
                (workspace / "turn").write_text(str(number))
                saved = backend.save(EVERYTHING, Note())
                assert saved.snapshot is not None
                assert _named(backend, saved) == {"src/store": "snapshot store"}
                assert not any(path.startswith("src/store/") for path, _ in backend.entries(saved.latest.id))
            assert backend.save(EVERYTHING, Note()).snapshot is None

    def test_nothing_is_written_outside_the_store(self, place: Place, ground: Path) -> None:
        def elsewhere() -> set[bytes]:
            return {path for path in picture(ground) if not path.startswith((b"store", b"workspace"))}

        populate(place.workspace)
        before = elsewhere()
        with self.open(place) as backend:
            snapshot = take(backend)
            list(backend.changes(snapshot.id))
            backend.forget([snapshot.id])
            backend.reclaim()
        assert elsewhere() == before
        with suppress(FileNotFoundError):  # a backend may have written nothing at all
            assert {path.name for path in place.store.iterdir()} <= {self.backend_class.name}
