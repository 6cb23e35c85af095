"""An agent's life at random, against a model: pictures of the workspace by snapshot id.

Each backend runs on a filesystem that suits it. ``--hypothesis-profile`` (or
``settings.default.max_examples``) makes the run longer; the default takes about
a minute.
"""

import hashlib
import os
import random
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from filesystems import remove_tree
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hermes_checkpoints import Engine
from hermes_checkpoints.contract import Backend, Kind, PathNotFound, Place, RestoreRefused
from hermes_checkpoints.plugins import load
from hermes_checkpoints.policy.plan import Action, Plan
from hermes_checkpoints.results import Restored, Taken, Unchanged
from hermes_checkpoints.testing.witness import Seen, difference, picture, stamps

Picture = dict[bytes, Seen]

# Left out by the default excludes or by kind; no restore may ever touch them.
ASIDE = (b"noise.log", b"pipe", b".git", b"node_modules")
NAMES = st.sampled_from(
    [
        *(b"a", b"b", b"c", b"a.txt"),
        *(b"-rf", b"new\nline", b"not utf-8 \xff\xfe", b"|", b"*", b"[ab]", b" ", b"tab\t", b"\xc3\xa9", b"e\xcc\x81"),
        *(b"n" * 255, b".gitattributes", b"git~1", b"HEAD", b"data", b"0", b".hermes-checkpoints-0", b"\\", b'"', b"~"),
    ]
)
# Around the sizes at which the backends choose another way; the seed makes the bytes.
CONTENTS = st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 7, 4096, 65_536, 65_537, (1 << 20) + 1]))
TARGETS = st.sampled_from([b"a", b"b", b"../..", b"/", b".", b"nowhere", b"\xff", b"loop/" * 100])
FILE_MODES = st.sampled_from([0o400, 0o444, 0o600, 0o644, 0o700, 0o755, 0o777])
DIRECTORY_MODES = st.sampled_from([0o700, 0o750, 0o755, 0o777, 0o1777])
PICK = st.integers(0, 1 << 16)


def bytes_of(content: tuple[int, int]) -> bytes:
    seed, size = content
    return random.Random(seed).randbytes(size)


def below(path: bytes, above: bytes) -> bool:
    return not above or path == above or path.startswith(above + b"/")


class Life(RuleBasedStateMachine):
    """Edits through plain ``os`` calls, snapshots through the engine."""

    backend_name: str
    filesystem: Path

    def __init__(self) -> None:
        super().__init__()
        self.home = self.filesystem / f"life-{os.urandom(4).hex()}"
        self.workspace = self.home / "workspace"
        self.root = os.fsencode(self.workspace)
        self.store = self.home / "store"
        self.home.mkdir(mode=0o755)
        self.engine = Engine(store=self.store, backend=self.backend_name)
        self.pictures: dict[str, Picture] = {}
        self.listed: list[tuple[str, int]] = []  # id and date, oldest first
        self.restores: list[tuple[str, str, str, bytes | None]] = []  # safety, target, action, selection
        self.steps = 0

    def teardown(self) -> None:
        try:
            for number, (snapshot, _) in enumerate(self.listed):
                target = self.home / f"export-{number}"
                assert not self.engine.export(self.workspace, snapshot, target).failed
                assert not difference(self.pictures[snapshot], picture(target)), "an export is not what was saved"
                remove_tree(target)
        finally:
            self.engine.close()
            remove_tree(self.home)

    # What is there.

    def now(self) -> Picture:
        return picture(self.root, skip=ASIDE)

    def paths(self, kind: str | None = None) -> list[bytes]:
        """Every path but the workspace itself, or those of one kind."""
        found = self._walk(b"")
        return sorted(path for path, mode in found if kind is None or _KIND[stat.S_IFMT(mode)] == kind)

    def _walk(self, path: bytes) -> Iterator[tuple[bytes, int]]:
        for name in os.listdir(os.path.join(self.root, path)):
            child = os.path.join(path, name)
            if child in ASIDE:
                continue
            mode = os.lstat(os.path.join(self.root, child)).st_mode
            yield child, mode
            if stat.S_ISDIR(mode):
                yield from self._walk(child)

    def pick(self, number: int, kind: str | None = None) -> bytes | None:
        """The full path of something that exists."""
        paths = self.paths(kind)
        return os.path.join(self.root, paths[number % len(paths)]) if paths else None

    def free(self, number: int, name: bytes) -> bytes | None:
        """A full path in some directory at which nothing stands."""
        directories = [b"", *self.paths("directory")]
        path = os.path.join(self.root, directories[number % len(directories)], name)
        return None if os.path.lexists(path) else path

    def backend(self) -> Backend:
        """Opened as the engine does it, for what the engine has no call for yet."""
        return load(self.backend_name).open(Place(self.engine.settings.store, self.workspace))

    # Edits.

    @initialize(first=st.lists(st.tuples(PICK, NAMES, CONTENTS), max_size=6))
    def begin(self, first: list[tuple[int, bytes, tuple[int, int]]]) -> None:
        os.mkdir(self.root)
        self._put_aside()
        for where, name, content in first:
            self.create(where, name, content)

    def _put_aside(self) -> None:
        os.mkfifo(os.path.join(self.root, b"pipe"))
        for path in (b"noise.log", b".git/HEAD", b"node_modules/module"):
            os.makedirs(os.path.join(self.root, os.path.dirname(path)), exist_ok=True)
            _write(os.path.join(self.root, path), b"left out")
        self.aside = self._aside()

    def _aside(self) -> dict[bytes, object]:
        return {
            path: (seen, stamp)
            for (path, seen), stamp in zip(picture(self.root).items(), stamps(self.root).values(), strict=True)
            if any(below(path, aside) for aside in ASIDE)
        }

    @rule(where=PICK, name=NAMES, content=CONTENTS)
    def create(self, where: int, name: bytes, content: tuple[int, int]) -> None:
        if path := self.free(where, name):
            _write(path, bytes_of(content))

    @rule(which=PICK, content=CONTENTS)
    def write_over(self, which: int, content: tuple[int, int]) -> None:
        if path := self.pick(which, "file"):
            _write(path, bytes_of(content))

    @rule(which=PICK)
    def edit_same_size_and_put_the_time_back(self, which: int) -> None:
        if (path := self.pick(which, "file")) and (before := os.stat(path)).st_size:
            with open(path, "r+b") as file:
                byte = file.read(1)
                file.seek(0)
                file.write(bytes([byte[0] ^ 1]))
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    @rule(which=PICK, content=CONTENTS)
    def append(self, which: int, content: tuple[int, int]) -> None:
        if path := self.pick(which, "file"):
            with open(path, "ab") as file:
                file.write(bytes_of(content))

    @rule(which=PICK)
    def delete(self, which: int) -> None:
        path = self.pick(which)
        if path is not None:
            _remove(path)

    @rule(where=PICK, name=NAMES)
    def make_directory(self, where: int, name: bytes) -> None:
        if path := self.free(where, name):
            os.mkdir(path)

    @rule(which=PICK, where=PICK, name=NAMES)
    def rename(self, which: int, where: int, name: bytes) -> None:
        source, target = self.pick(which), self.free(where, name)
        if source and target and not below(target, source):
            os.rename(source, target)

    @rule(which=PICK, over=PICK)
    def rename_over(self, which: int, over: int) -> None:
        source, target = self.pick(which, "file"), self.pick(over, "file")
        if source and target and source != target:
            os.rename(source, target)

    @rule(which=PICK, mode=FILE_MODES)
    def change_mode(self, which: int, mode: int) -> None:
        if path := self.pick(which, "file"):
            os.chmod(path, mode)

    @rule(which=PICK, mode=DIRECTORY_MODES)
    def change_mode_of_directory(self, which: int, mode: int) -> None:
        directories = [b"", *self.paths("directory")]
        os.chmod(os.path.join(self.root, directories[which % len(directories)]), mode)

    @rule(where=PICK, name=NAMES, to=TARGETS)
    def link(self, where: int, name: bytes, to: bytes) -> None:
        if path := self.free(where, name):
            os.symlink(to, path)

    @rule(which=PICK, where=PICK, name=NAMES)
    def hard_link(self, which: int, where: int, name: bytes) -> None:
        source, target = self.pick(which, "file"), self.free(where, name)
        if source and target:
            os.link(source, target)

    @rule(which=PICK, value=st.sampled_from([b"", b"x", b"\0" * 100]))
    def set_attribute(self, which: int, value: bytes) -> None:
        path = self.pick(which)
        if path and not os.path.islink(path):
            os.setxattr(path, "user.colour", value)

    @rule(which=PICK, into=st.sampled_from(["file", "directory", "link"]))
    def swap_kind(self, which: int, into: str) -> None:
        path = self.pick(which)
        if path is None:
            return
        _remove(path)
        if into == "file":
            _write(path, b"was something else")
        elif into == "directory":
            os.mkdir(path)
            _write(os.path.join(path, b"inside"), b"in what was something else")
        else:
            os.symlink(b"a", path)

    @rule(which=PICK)
    def touch(self, which: int) -> None:
        if path := self.pick(which):
            os.utime(path, follow_symlinks=False)

    # Snapshots.

    @rule()
    def take(self) -> None:
        before, times = self.now(), stamps(self.root)
        outcome = self.engine.snapshot(self.workspace, reason=f"step {self.steps}")
        assert stamps(self.root) == times, "taking a snapshot changed the workspace"
        newest = self.pictures[self.listed[-1][0]] if self.listed else None
        if before == newest:
            assert isinstance(outcome, Unchanged), "a snapshot of nothing new was taken"
            assert outcome.latest.id == self.listed[-1][0]
        else:
            changes = difference(newest or {}, before)
            assert isinstance(outcome, Taken), f"nothing was taken although there are changes: {changes}"
            self._learn(outcome.snapshot.id, outcome.snapshot.created_ns, before)

    @rule()
    def take_again_when_nothing_changed(self) -> None:
        self.take()
        assert isinstance(self.engine.snapshot(self.workspace), Unchanged)

    def _learn(self, snapshot: str, created_ns: int, held: Picture) -> None:
        assert snapshot not in self.pictures, "an id was used twice"
        self.pictures[snapshot] = held
        self.listed.append((snapshot, created_ns))

    @precondition(lambda self: self.listed)
    @rule(which=PICK)
    def restore(self, which: int) -> None:
        target = self._chosen(which)
        self._restore(target, None)
        assert not difference(self.pictures[target], self.now()), "a restore did not bring the snapshot back"

    @precondition(lambda self: self.listed)
    @rule(which=PICK, what=PICK)
    def restore_path(self, which: int, what: int) -> None:
        target, before = self._chosen(which), self.now()
        wanted = self.pictures[target]
        paths = sorted((wanted.keys() | before.keys()) - {b""})
        if not paths:
            return
        path = paths[what % len(paths)]
        done = self._restore(target, path)
        after = self.now()
        above = [part for part in _ancestors(path) if part in wanted]
        if path in wanted and any(part in before and before[part].kind != "directory" for part in above):
            assert done.failed or done.kept, "a path below what is no directory now cannot come back in silence"
            assert not difference(before, after), "what was not selected was changed"
            return
        expected = {at: seen for at, seen in before.items() if not below(at, path)}
        expected |= {at: seen for at, seen in wanted.items() if below(at, path)}
        if path in wanted:
            expected |= {part: wanted[part] for part in above if part not in before}
        assert not difference(expected, after), f"restoring {path!r} did something else"

    @precondition(lambda self: self.listed)
    @rule(which=PICK)
    def restore_a_path_that_never_was(self, which: int) -> None:
        before = self.now()
        with pytest.raises(PathNotFound):
            self.engine.restore(self.workspace, self._chosen(which), ["never/was"])
        assert not difference(before, self.now())

    @precondition(lambda self: self.listed)
    @rule(which=PICK)
    def remove_the_workspace_and_restore(self, which: int) -> None:
        target = self._chosen(which)
        remove_tree(self.workspace)
        self.aside = {}
        done = self.engine.restore(self.workspace, target)
        left = picture(self.root)
        assert not done.failed and not difference(self.pictures[target], left)
        # The safety snapshot holds a new, empty directory; its mode is the umask's.
        with self.backend() as backend:
            entry = next(iter(backend.entries(done.safety.id)))[1]
        empty = {b"": Seen("directory", entry.mode, b"", ())}
        self._learn(done.safety.id, done.safety.created_ns, empty)
        self.restores.append((done.safety.id, target, "restore", None))

    @rule()
    def undo(self) -> None:
        self._take_back("undo")

    @rule()
    def redo(self) -> None:
        self._take_back("redo")

    def _chosen(self, which: int) -> str:
        return self.listed[which % len(self.listed)][0]

    def _restore(self, target: str, path: bytes | None) -> Restored:
        paths = [os.fsdecode(path)] if path is not None else []
        plan = self.engine.plan(self.workspace, target, paths)
        with self._checked(target, "restore", path, plan) as held:
            held.done = self.engine.restore(self.workspace, target, paths)
        return held.done

    def _take_back(self, action: str) -> None:
        last = self._last(action)
        act = self.engine.undo if action == "undo" else self.engine.redo
        if last is None or all(last[1] != snapshot for snapshot, _ in self.listed):
            before = self.now()
            with pytest.raises(RestoreRefused):
                act(self.workspace)
            assert not difference(before, self.now())
            return
        safety, reference, _, path = last
        plan = (self.engine.plan_undo if action == "undo" else self.engine.plan_redo)(self.workspace)
        selection = path or b""
        before = {at: seen for at, seen in self.now().items() if below(at, selection)}
        then = {at: seen for at, seen in self.pictures[reference].items() if below(at, selection)}
        wanted = {at: seen for at, seen in self.pictures[safety].items() if below(at, selection)}
        with self._checked(safety, action, path, plan) as held:
            held.done = act(self.workspace)
        after = {at: seen for at, seen in self.now().items() if below(at, selection)}
        edited = {at for at in before.keys() | then.keys() if before.get(at) != then.get(at)}
        if not edited:
            assert not difference(wanted, after), f"{action} did not bring back what was there"
        kept = [at for at in edited if at in before and after.get(at) != before[at]]
        assert not kept, f"{action} changed what was edited since: {kept}"

    def _last(self, action: str) -> tuple[str, str, str, bytes | None] | None:
        """The restore that is to be taken back, by the definition of undo and redo."""
        there = {snapshot for snapshot, _ in self.listed}
        done: list[tuple[str, str, str, bytes | None]] = []
        undone: list[tuple[str, str, str, bytes | None]] = []
        for step in self.restores:
            if step[0] not in there:
                continue
            if step[2] == "undo":
                undone.append(step)
                del done[-1:]
                continue
            if step[2] == "redo":
                del undone[-1:]
            else:
                undone.clear()
            done.append(step)
        stack = done if action == "undo" else undone
        return stack[-1] if stack else None

    def _checked(self, target: str, action: str, path: bytes | None, plan: Plan) -> "_Restoring":
        return _Restoring(self, target, action, path, plan)

    # The store.

    @precondition(lambda self: self.listed)
    @rule(which=PICK)
    def forget(self, which: int) -> None:
        snapshot = self.listed.pop(which % len(self.listed))[0]
        with self.backend() as backend:
            backend.forget([snapshot])

    @rule()
    def reclaim(self) -> None:
        with self.backend() as backend:
            backend.reclaim()

    @rule()
    def open_anew(self) -> None:
        self.engine.close()
        self.engine = Engine(store=self.store, backend=self.backend_name)

    @rule(lost=st.booleans())
    def lose_the_stat_cache(self, lost: bool) -> None:
        cache = self.engine.settings.store / self.backend_name / "seen"
        for file in cache.glob("*"):
            if lost:
                file.unlink()
            else:
                file.write_bytes(file.read_bytes()[:-1] + b"?")
        shutil.rmtree(self.engine.settings.store / "projects", ignore_errors=True)

    # What always holds.

    @invariant()
    def the_list_is_the_one_we_know(self) -> None:
        self.steps += 1
        if os.path.isdir(self.root):
            found = [(snapshot.id, snapshot.created_ns) for snapshot in self.engine.list(self.workspace)]
            assert found == self.listed[::-1], "ids, dates or order changed"

    @invariant()
    def a_snapshot_holds_what_was_there(self) -> None:
        if self.listed:
            snapshot = self.listed[self.steps % len(self.listed)][0]
            with self.backend() as backend:
                assert not difference(self.pictures[snapshot], _stored(backend, snapshot))


class _Restoring:
    """Before and after one restore: what every one of them promises, whatever was selected."""

    done: Restored

    def __init__(self, life: Life, target: str, action: str, path: bytes | None, plan: Plan) -> None:
        self.life, self.target, self.action, self.path, self.plan = life, target, action, path, plan

    def __enter__(self) -> "_Restoring":
        self.before, self.times = self.life.now(), stamps(self.life.root, skip=ASIDE)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            return
        life, done = self.life, self.done
        life._learn(done.safety.id, done.safety.created_ns, self.before)
        life.restores.append((done.safety.id, self.target, self.action, self.path))
        assert life._aside() == life.aside, "what no snapshot holds was touched"
        after, times = life.now(), stamps(life.root, skip=ASIDE)
        moved = [
            path
            for path, seen in self.before.items()
            if seen.kind != "directory" and after.get(path) == seen and times[path] != self.times[path]
        ]
        assert not moved, f"files that were right already were written again: {moved}"
        writes = self.plan.of(Action.WRITE) + self.plan.of(Action.ATTRIBUTES)
        if not done.failed:
            assert sorted(step.path for step in writes) == sorted(done.written), "the preview was another plan"
            assert sorted(step.path for step in self.plan.of(Action.DELETE)) == sorted(done.deleted)


_KIND = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}


def _stored(backend: Backend, snapshot: str) -> Picture:
    """The picture of a snapshot, through the interface."""
    found: Picture = {}
    for path, entry in backend.entries(snapshot):
        if not entry.held:
            continue
        content = b""
        if entry.kind is Kind.FILE:
            with backend.read(entry) as file:
                content = hashlib.sha256(file.read()).digest()
        elif entry.kind is Kind.LINK:
            content = entry.target
        xattrs = tuple((name, value) for name, value in entry.xattrs if name.startswith("user."))
        kind = {Kind.FILE: "file", Kind.DIR: "directory", Kind.LINK: "link"}[entry.kind]
        found[os.fsencode(path)] = Seen(kind, 0 if kind == "link" else entry.mode, content, xattrs)
    return found


def _write(path: bytes, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def _remove(path: bytes) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _ancestors(path: bytes) -> Iterator[bytes]:
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


@pytest.mark.parametrize(("backend", "kind"), [("shadow-git", "ext4"), ("cow", "xfs")])
def test_no_order_of_edits_and_restores_loses_or_invents_anything(backend, kind, small_filesystem):
    with small_filesystem(kind, 1024) as mounted:

        class Here(Life):
            backend_name = backend
            filesystem = mounted.root

        run_state_machine_as_test(
            Here,
            settings=settings(
                max_examples=max(1, settings.default.max_examples // 4),
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
