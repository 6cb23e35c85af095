"""Whatever an agent may do to a workspace, at random, through plain ``os`` calls."""

import os
import random
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from hermes_checkpoints.kit.walk.reading import is_scratch
from hermes_checkpoints.testing.witness import Seen, picture, stamps

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


def selected(held: Picture, path: bytes) -> Picture:
    return {at: seen for at, seen in held.items() if below(at, path)}


def ancestors(path: bytes) -> Iterator[bytes]:
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path


class Edits(RuleBasedStateMachine):
    """A workspace below ``filesystem``, and the rules that change it."""

    filesystem: Path

    def __init__(self) -> None:
        super().__init__()
        self.home = self.filesystem / f"life-{os.urandom(4).hex()}"
        self.home.mkdir(mode=0o755)
        self.workspace = self.home / "workspace"
        self.root = os.fsencode(self.workspace)
        self.aside: dict[bytes, object] = {}
        """What is left out, with inodes and times."""

    # What is there.

    def now(self) -> Picture:
        """The picture of it, without what a restore that was killed has left beside files."""
        found = picture(self.root, skip=ASIDE)
        return {path: seen for path, seen in found.items() if not _is_left(path)}

    def left_beside(self) -> list[bytes]:
        """What restores that were killed have left beside files."""
        return [path for path in picture(self.root) if _is_left(path)]

    def paths(self, kind: str | None = None) -> list[bytes]:
        """Every path but the workspace itself, or those of one kind."""
        found = self._walk(b"")
        return sorted(path for path, mode in found if kind is None or _KIND[stat.S_IFMT(mode)] == kind)

    def _walk(self, path: bytes) -> Iterator[tuple[bytes, int]]:
        for name in os.listdir(os.path.join(self.root, path)):
            child = os.path.join(path, name)
            if child in ASIDE or is_scratch(os.fsdecode(name)):
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
        self.aside = self.what_is_aside()

    def what_is_aside(self) -> dict[bytes, object]:
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


_KIND = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}


def _write(path: bytes, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def _remove(path: bytes) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _is_left(path: bytes) -> bool:
    """Whether it is, or is in, what a restore has left."""
    return any(is_scratch(os.fsdecode(name)) for name in path.split(b"/"))
