"""Getting content back: promise 9."""

import os
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from hermes_checkpoints.contract import (
    Backend,
    CheckpointError,
    InvalidPath,
    Kind,
    NewFile,
    PathNotFound,
    Place,
)
from hermes_checkpoints.testing.fixtures import Fixtures
from hermes_checkpoints.testing.privileges import writing_at_most
from hermes_checkpoints.testing.trees import contents, in_path_order, pictured, populate, take
from hermes_checkpoints.testing.witness import difference, picture

_SIZES = (1, 511, 4095, 4096, 4097, 65_535, 65_536, 65_537, (1 << 20) + 1)
_BYTES = {
    "line ends": b"unix\nwindows\r\nold mac\rend\x1a",
    "nothing but NUL": bytes(5000),
    "UTF-16": "Zeichen ä\r\n".encode("utf-16"),
    "an ident": b"$Id$ $Id: 0123 $ $Format:%H$\n",
    "a large file's pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "a conflict": b"<<<<<<< ours\n=======\n>>>>>>> theirs\n",
    "looks like an object": b"blob 3\0abc",
    "looks compressed": bytes.fromhex("789c4bcac94f5230660e00") + b"\x1f\x8b\x08",
}


def _names() -> list[bytes]:
    """Names with every byte that a name may have, and those that mean something to some tool."""
    alone = [bytes([byte]) for byte in range(1, 256) if byte not in b"/."]
    inside = [b"n" + bytes([byte]) + b"n" for byte in range(1, 256) if byte != ord("/")]
    meant = [
        *(b"-", b"--", b"-rf", b"--help", b"*", b"[a-z]", b"**", b":(top)", b":/", b"!x", b"#x", b"~", b"...", b". ."),
        *(b"HEAD", b"git~1", b".gitmodules", b".gitattributes", b".mailmap", b"=", b"+x", b"@{-1}", b"a|b", b"$(x)"),
        *(b"con", b"nul.txt", b" lead", b"trail ", b"trail.", b'"quoted"', "ä".encode(), "a\u0308".encode()),
        *(b"n" * 255, b"\xff" * 255, "漢".encode() * 85),
    ]
    return [*alone, *inside, *meant]


class Reading(Fixtures):
    """What ``entry``, ``entries``, ``read``, ``materialise`` and ``verify`` give."""

    def test_content_comes_back_byte_for_byte(self, backend: Backend, workspace: Path) -> None:
        source = random.Random(1)
        written = {f"size {size}": source.randbytes(size) for size in _SIZES} | _BYTES | {"empty": b""}
        for name, data in written.items():
            (workspace / name).write_bytes(data)
        snapshot = take(backend)
        found = contents(backend, snapshot.id)
        assert [name for name in written.keys() | found.keys() if written.get(name) != found.get(name)] == []
        assert list(backend.verify(snapshot.id)) == []

    def test_a_large_file_comes_back_byte_for_byte(self, backend: Backend, workspace: Path, ground: Path) -> None:
        data = random.Random(2).randbytes(5 << 20) + bytes(13 << 20)
        (workspace / "large").write_bytes(data)
        first = take(backend)
        with (workspace / "large").open("r+b") as file:
            file.seek(9 << 20)
            file.write(b"changed in the middle")
        second = take(backend)
        with backend.read(backend.entry(first.id, "large")) as stream:
            # Compared first: pytest would explain megabytes of difference byte by byte.
            alike = stream.read(1 << 20) == data[: 1 << 20] and stream.read() == data[1 << 20 :]
        assert alike, "a large file came back with other bytes"
        assert difference(picture(workspace), pictured(backend, second.id, ground)) == []
        assert list(backend.verify(first.id)) == []

    def test_names_of_every_byte_come_back(self, backend: Backend, workspace: Path, ground: Path) -> None:
        for name in _names():
            with suppress(OSError):  # a filesystem may refuse some names, or fold two into one
                (workspace / os.fsdecode(name)).write_bytes(name)
        directory = os.fsencode(workspace / "d") + b"\n\xff -*"
        with suppress(OSError):
            os.mkdir(directory)
            os.symlink(b"\xfe\n", directory + b"/l")
        seen = picture(workspace)
        assert len(seen) > 200
        snapshot = take(backend)
        assert difference(seen, pictured(backend, snapshot.id, ground)) == []
        for path in seen:
            if path:
                assert backend.entry(snapshot.id, os.fsdecode(path)).held

    def test_entries_tell_what_the_witness_sees(self, backend: Backend, place: Place) -> None:
        populate(place.workspace)
        (place.workspace / "README.md").chmod(0o4755)
        (place.workspace / "src").chmod(0o1777)
        seen = picture(place.workspace)
        snapshot = take(backend)
        entries = list(backend.entries(snapshot.id))
        with self.open(place) as again:
            assert list(again.entries(snapshot.id)) == entries
        assert entries[0][0] == ""
        assert in_path_order([path for path, _ in entries])
        assert [os.fsencode(path) for path, _ in entries] == sorted(seen, key=lambda path: path.split(b"/"))
        kinds = {Kind.FILE: "file", Kind.DIR: "directory", Kind.LINK: "link"}
        for path, entry in entries:
            status = (place.workspace / path).lstat()
            one = seen[os.fsencode(path)]
            assert kinds[entry.kind] == one.kind
            assert entry.mtime_ns == status.st_mtime_ns
            assert entry.size == (status.st_size if entry.kind is Kind.FILE else 0)
            if entry.kind is Kind.LINK:
                assert entry.target == one.content
            else:
                assert entry.mode == one.mode
            if path:
                assert backend.entry(snapshot.id, path) == entry

    @pytest.mark.parametrize("path", ["nowhere", "src/nowhere", "README.md/below", "link/src", "src/up/README.md"])
    def test_a_path_that_is_not_held_is_not_found(self, backend: Backend, workspace: Path, path: str) -> None:
        populate(workspace)
        snapshot = take(backend)
        with pytest.raises(PathNotFound):
            backend.entry(snapshot.id, path)

    @pytest.mark.parametrize(
        "path", ["", "/", "/etc/passwd", "..", "../x", "src/../README.md", "src//up", "./x", "a\0"]
    )
    def test_a_path_that_leads_elsewhere_is_refused(self, backend: Backend, workspace: Path, path: str) -> None:
        populate(workspace)
        snapshot = take(backend)
        with pytest.raises(InvalidPath):
            backend.entry(snapshot.id, path)

    @pytest.mark.parametrize("taken", ["file", "dangling link", "directory", "fifo"])
    def test_materialising_over_something_is_refused(
        self, backend: Backend, workspace: Path, ground: Path, taken: str
    ) -> None:
        (workspace / "small").write_bytes(b"content")
        (workspace / "large").write_bytes(os.urandom(300_000))
        snapshot = take(backend)
        target = ground / "target"
        target.mkdir()
        make: dict[str, Callable[[Path], Any]] = {
            "file": lambda path: path.write_bytes(b"precious"),
            "dangling link": lambda path: path.symlink_to(ground / "written through"),
            "directory": lambda path: path.mkdir(),
            "fifo": os.mkfifo,
        }
        make[taken](target / "name")
        before = picture(target)
        for path in ("small", "large"):
            self._materialise(backend, snapshot.id, path, target, raises=FileExistsError)
        assert difference(before, picture(target)) == []
        assert not (ground / "written through").exists()

    @pytest.mark.parametrize("umask", [0o000, 0o077])
    def test_a_materialised_file_is_private_and_nobody_elses(
        self, backend: Backend, workspace: Path, ground: Path, umask: int
    ) -> None:
        data = {"small": b"content", "large": os.urandom(300_000)}
        for path, content in data.items():
            (workspace / path).write_bytes(content)
            (workspace / path).chmod(0o4777)
        snapshot = take(backend)
        before = os.umask(umask)
        try:
            for path, content in data.items():
                target = ground / path
                target.mkdir()
                self._materialise(backend, snapshot.id, path, target)
                status = (target / "name").lstat()
                assert status.st_mode & 0o7177 == 0
                assert status.st_nlink == 1
                assert (target / "name").read_bytes() == content
                (target / "name").chmod(0o600)
                (target / "name").write_bytes(b"overwritten")
        finally:
            os.umask(before)
        assert contents(backend, snapshot.id) == data

    def test_many_files_made_together_are_what_they_are_by_themselves(
        self, backend: Backend, workspace: Path, ground: Path
    ) -> None:
        data = {f"{number}": os.urandom(number * 997) for number in range(120)} | {"large": os.urandom(5_000_000)}
        for name, content in data.items():
            (workspace / name).write_bytes(content)
            (workspace / name).chmod(0o4440 | random.choice((0, 0o200)))
        snapshot = take(backend)
        target = ground / "target"
        target.mkdir()
        directory = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
        before = os.umask(0)
        try:
            asked = (NewFile(backend.entry(snapshot.id, name), directory, name) for name in data)
            for name, made in zip(data, backend.materialise_all(asked), strict=True):
                status, there = os.fstat(made), (target / name).lstat()
                os.close(made)
                assert (status.st_ino, status.st_nlink) == (there.st_ino, 1)
                assert status.st_mode & 0o7137 == 0
                assert (target / name).read_bytes() == data[name]
            taken = (NewFile(backend.entry(snapshot.id, name), directory, name) for name in ("0", "large"))
            with pytest.raises(FileExistsError):
                next(iter(backend.materialise_all(taken)))
        finally:
            os.umask(before)
            os.close(directory)
        assert {path.name: path.read_bytes() for path in target.iterdir()} == data

    def test_a_full_disk_leaves_no_half_of_a_file(self, backend: Backend, workspace: Path, ground: Path) -> None:
        data = {"medium": os.urandom(50_000), "large": os.urandom(2_000_000)}
        for path, content in data.items():
            (workspace / path).write_bytes(content)
        snapshot = take(backend)
        contents(backend, snapshot.id)  # whatever the backend starts for reading has been started
        target = ground / "target"
        target.mkdir()
        for path, content in data.items():
            with writing_at_most(4096), suppress(CheckpointError):
                self._materialise(backend, snapshot.id, path, target)
            if (target / "name").exists():  # a clone needs no room
                assert (target / "name").read_bytes() == content
                (target / "name").unlink()
            assert os.listdir(target) == []

    @staticmethod
    def _materialise(
        backend: Backend, snapshot: str, path: str, target: Path, raises: type[Exception] | None = None
    ) -> None:
        fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if raises is None:
                backend.materialise(backend.entry(snapshot, path), fd, "name")
            else:
                with pytest.raises(raises):
                    backend.materialise(backend.entry(snapshot, path), fd, "name")
        finally:
            os.close(fd)

    @pytest.mark.parametrize("damage", ["cut", "emptied", "gone"])
    def test_damage_to_the_store_is_found_and_is_one_of_our_errors(self, place: Place, damage: str) -> None:
        populate(place.workspace)
        (place.workspace / "large").write_bytes(os.urandom(300_000))
        with self.open(place) as backend:
            snapshot = take(backend)
            caches = self.caches(backend)
        files = [path for path in place.store.rglob("*") if path.is_file() and path.stat().st_size]
        files = [path for path in files if path not in caches]
        if not files:
            pytest.skip("this backend keeps nothing in files")
        for path in files:
            path.chmod(0o600)
            if damage == "gone":
                path.unlink()
            else:
                os.truncate(path, path.stat().st_size // 2 if damage == "cut" else 0)
        try:
            with self.open(place) as backend:
                found = list(backend.verify(snapshot.id))
        except CheckpointError:
            return
        assert found
