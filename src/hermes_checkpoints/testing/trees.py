"""Trees to take, edits to make, and a snapshot laid out as files for the witness to look at."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from hermes_checkpoints.contract import Backend, Change, Kind, LeftOut, Note, Scope, Snapshot
from hermes_checkpoints.kit.walk.attributes import write_xattrs
from hermes_checkpoints.kit.walk.descent import Descent
from hermes_checkpoints.testing.witness import Seen, picture

EVERYTHING = Scope(excludes=(), max_file_size=0)
"""Nothing is left out but for what can never be held."""


def populate(directory: Path) -> None:
    """A small tree with something of everything that a snapshot holds."""
    (directory / "src" / "deep" / "er").mkdir(parents=True)
    (directory / "empty directory").mkdir()
    (directory / "README.md").write_bytes(b"# Title\n\nText.\n")
    (directory / "empty").touch()
    (directory / "src" / "main.py").write_bytes(b"print('one')\n")
    (directory / "src" / "main copy.py").write_bytes(b"print('one')\n")
    (directory / "src" / "deep" / "windows.txt").write_bytes(b"one\r\ntwo\r\n\x1a")
    (directory / "src" / "deep" / "er" / "binary").write_bytes(bytes(range(256)) * 40)
    (directory / "tool").write_bytes(b"#!/bin/sh\nexit 0\n")
    (directory / "tool").chmod(0o755)
    (directory / "secret").write_bytes(b"for me only\n")
    (directory / "secret").chmod(0o600)
    (directory / "src" / "deep").chmod(0o750)
    (directory / "link").symlink_to("README.md")
    (directory / "dangling").symlink_to("nowhere/at all")
    (directory / "src" / "up").symlink_to("..")


def take(backend: Backend, reason: str = "", scope: Scope = EVERYTHING) -> Snapshot:
    """Save a workspace that has changed."""
    snapshot = backend.save(scope, Note(reason)).snapshot
    assert snapshot is not None, "the workspace had changed, and no snapshot was taken"
    return snapshot


def pictured(backend: Backend, snapshot: str, ground: Path) -> dict[bytes, Seen]:
    """What the witness sees of a snapshot that was laid out as files below ``ground``."""
    target = Path(tempfile.mkdtemp(prefix="laid out ", dir=ground))
    try:
        lay_out(backend, snapshot, target)
        return picture(target)
    finally:
        shutil.rmtree(target, ignore_errors=True)


def lay_out(backend: Backend, snapshot: str, target: Path) -> None:
    """Make an empty directory hold all that a snapshot holds, but for times and owners."""
    directories = []
    with Descent(str(target)) as descent:
        for path, entry in backend.entries(snapshot):
            *above, name = path.split("/")
            if not entry.held:
                continue
            descent.go(tuple(above))
            if entry.kind is Kind.DIR:
                directories.append((path, entry))
                if path:
                    os.mkdir(name, 0o700, dir_fd=descent.fd)
            elif entry.kind is Kind.LINK:
                os.symlink(entry.target, os.fsencode(name), dir_fd=descent.fd)
            else:
                backend.materialise(entry, descent.fd, name)
                fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=descent.fd)
                write_xattrs(fd, entry.xattrs)
                os.fchmod(fd, entry.mode)
                os.close(fd)
        for path, entry in reversed(directories):
            descent.go(tuple(path.split("/")) if path else ())
            write_xattrs(descent.fd, entry.xattrs)
            os.fchmod(descent.fd, entry.mode)


def contents(backend: Backend, snapshot: str) -> dict[str, bytes]:
    """Every file's bytes, as ``read`` gives them."""
    found = {}
    for path, entry in backend.entries(snapshot):
        if entry.kind is Kind.FILE:
            with backend.read(entry) as stream:
                found[path] = stream.read()
    return found


def told(left_out: Iterable[LeftOut]) -> dict[str, str]:
    """Paths and reasons; each path once."""
    found = [(one.path, one.reason.value) for one in left_out]
    assert len(found) == len(dict(found)), f"a path was named twice: {sorted(found)}"
    return dict(found)


def paths_of(changes: Iterable[Change]) -> set[bytes]:
    """The paths at which something that is held changed."""
    return {
        os.fsencode(change.path)
        for change in changes
        if (change.before is not None and change.before.held) or (change.after is not None and change.after.held)
    }


def differing(before: dict[bytes, Seen], after: dict[bytes, Seen]) -> set[bytes]:
    """The paths at which two pictures differ."""
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


def in_path_order(paths: list[str]) -> bool:
    """Whether each directory comes before what is in it, and names in the order of their bytes."""
    keys = [tuple(map(os.fsencode, path.split("/"))) if path else () for path in paths]
    return keys == sorted(keys)


def _rewrite(path: Path, data: bytes) -> None:
    """Other bytes of the same length, with the modification time put back."""
    status = path.stat()
    assert len(data) == status.st_size
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _replace(path: Path, make: Callable[[Path], object]) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    make(path)


def _come_and_go(path: Path) -> None:
    path.touch()
    path.unlink()


def _make_tree(path: Path) -> None:
    (path / "a" / "b").mkdir(parents=True)
    (path / "a" / "file").write_bytes(b"in a")
    (path / "a" / "b" / "file").write_bytes(b"in b")


EDITS: dict[str, Callable[[Path], object]] = {
    "other bytes, size and time put back": lambda w: _rewrite(w / "src/main.py", b"print('two')\n"),
    "a file grew": lambda w: (w / "README.md").write_bytes(b"# Title\n\nText.\n\nMore.\n"),
    "a file was emptied": lambda w: os.truncate(w / "src/deep/er/binary", 0),
    "an empty file was filled": lambda w: (w / "empty").write_bytes(b"x"),
    "a file appeared": lambda w: (w / "src/deep/new").write_bytes(b"new"),
    "a file went": lambda w: (w / "secret").unlink(),
    "a file was renamed": lambda w: (w / "README.md").rename(w / "src/READ ME"),
    "two files changed places": lambda w: (
        (w / "secret").rename(w / "aside"),
        (w / "README.md").rename(w / "secret"),
        (w / "aside").rename(w / "README.md"),
    ),
    "a file became executable": lambda w: (w / "src/main.py").chmod(0o755),
    "a directory was opened to all": lambda w: (w / "src/deep").chmod(0o777),
    "the workspace itself was closed": lambda w: w.chmod(0o700),
    "a link points elsewhere": lambda w: _replace(w / "link", lambda path: path.symlink_to("tool")),
    "a dangling link came to point": lambda w: _make_tree(w / "nowhere"),
    "a file became a link": lambda w: _replace(w / "tool", lambda path: path.symlink_to("README.md")),
    "a link became what it pointed to": lambda w: _replace(w / "link", lambda p: p.write_bytes(b"# Title\n\nText.\n")),
    "a file became a directory": lambda w: _replace(w / "tool", _make_tree),
    "a directory became a file": lambda w: _replace(w / "src", lambda path: path.write_bytes(b"flat")),
    "a directory became a link": lambda w: _replace(w / "src/deep", lambda path: path.symlink_to("..")),
    "an empty directory appeared": lambda w: (w / "src/new").mkdir(),
    "an empty directory went": lambda w: (w / "empty directory").rmdir(),
    "a tree appeared": lambda w: _make_tree(w / "src/tree"),
    "a tree went": lambda w: shutil.rmtree(w / "src"),
    "a tree was renamed": lambda w: (w / "src").rename(w / "lib"),
}
"""Each changes what :func:`populate` made, and is to be seen by every later look."""

NO_EDITS: dict[str, Callable[[Path], object]] = {
    "nothing": lambda w: None,
    "a file was touched": lambda w: os.utime(w / "README.md", ns=(1, 1)),
    "a file was rewritten with the same bytes": lambda w: _replace(
        w / "src/main.py", lambda path: path.write_bytes(b"print('one')\n")
    ),
    "a file came and went": lambda w: _come_and_go(w / "src/x"),
}
"""Each moves a time or an inode, and changes nothing that a restore would put back."""
