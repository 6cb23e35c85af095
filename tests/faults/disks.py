"""Disks for tests to ruin: images that outlive their mount, so that they can be cut off, damaged and mounted again.

An image lies on an XFS of its own, where a copy of it takes no time. It goes
with that, and so leaves nothing behind either (see ``filesystems``).
"""

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filesystems import _RECIPES, _mkfs, _mount, _run, made_filesystem, remove_tree

_SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN of <linux/fs.h>
_LOSING_THE_LOG = 2
_KEEPING_THE_LOG = 1
_FICLONE = 0x40049409  # <linux/fs.h>
_SHELF_MEGABYTES = 2048  # sparse
_BLOCK = 1 << 20
_SMALL = 256  # megabytes


class Disk:
    """A filesystem on an image, mounted at ``root``."""

    def __init__(self, kind: str, image: Path, root: Path) -> None:
        self.kind = kind
        self.image = image
        self.root = root
        self._after_the_cut = image.with_suffix(".cut")

    def mount(self) -> None:
        if self.kind == "btrfs":  # copies have the same id, and the kernel remembers where it saw it last
            subprocess.run(["btrfs", "device", "scan", "--forget"], check=True, capture_output=True)
        _mount(self.image, self.root)

    def unmount(self) -> None:
        """Raises when something on it is still open: whoever used it has not let go."""
        subprocess.run(["umount", self.root], check=True, capture_output=True)

    def again(self) -> None:
        """Mount it as it is after a cut, or just once more."""
        self.unmount()
        with suppress(FileNotFoundError):
            self._after_the_cut.rename(self.image)
        self.mount()

    def handle(self) -> int:
        """A descriptor for ``cut``: opened beforehand, so that the cut itself needs nothing of the disk."""
        return os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def cut(self, handle: int, *, keep_log: bool = False) -> None:
        """Switch the power off: what is not on the medium by now never will be.

        ``keep_log`` writes the log of XFS or ext4 first: names get there before
        their contents do. Btrfs cannot be switched off. Its image is copied in one
        instant, and ``again`` mounts the copy: all that Btrfs had written by then,
        in the order in which it wrote, without what it still held in memory. What
        a drive may do to that order in a cache of its own is not tried.
        """
        if self.kind == "btrfs":
            copy_image(self.image, self._after_the_cut)
        else:
            how = _KEEPING_THE_LOG if keep_log else _LOSING_THE_LOG
            fcntl.ioctl(handle, _SHUTDOWN, how.to_bytes(4, "little"))

    def flip(self, content: bytes) -> int:
        """Change a bit in the middle of each place of the image that holds ``content``; how many there are.

        Mounted again, Btrfs finds that a checksum is wrong and answers EIO.
        """
        self.unmount()
        found = [*_places(self.image, content)]
        with self.image.open("r+b") as image:
            for place in found:
                image.seek(place + len(content) // 2)
                byte = image.read(1)[0]
                image.seek(-1, os.SEEK_CUR)
                image.write(bytes([byte ^ 1]))
        self.mount()
        return len(found)

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Nothing can be written to it meanwhile."""
        self._remount("ro")
        try:
            yield
        finally:
            self._remount("rw")

    def _remount(self, how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", self.root], check=True, capture_output=True)

    @contextmanager
    def full(self) -> Iterator[None]:
        """Not one more byte fits on it meanwhile."""
        ballast = self.root / "ballast"
        fill(ballast)
        try:
            yield
        finally:
            remove_tree(ballast)
            os.sync()  # Btrfs gives the room back then

    @contextmanager
    def over_quota(self, subvolume: Path) -> Iterator[None]:
        """Btrfs lets not one more byte into a subvolume meanwhile, whatever is free."""
        self._btrfs("quota", "enable", self.root)
        self._btrfs("quota", "rescan", "-w", self.root)
        os.sync()
        self._btrfs("qgroup", "limit", str(_used(subvolume) + (8 << 20)), subvolume)
        ballast = subvolume / "ballast"
        fill(ballast)
        try:
            yield
        finally:
            remove_tree(ballast)
            os.sync()
            self._btrfs("qgroup", "limit", "none", subvolume)

    def subvolume(self, name: str) -> Path:
        """A new subvolume of a Btrfs."""
        self._btrfs("subvolume", "create", self.root / name)
        return self.root / name

    @staticmethod
    def _btrfs(*words: str | Path) -> None:
        subprocess.run(["btrfs", *words], check=True, capture_output=True)


@contextmanager
def made_disk(kind: str, megabytes: int) -> Iterator[Disk]:
    """A new disk of that kind and size, gone at the end. Raises ``filesystems.Unavailable``."""
    recipe = _RECIPES[kind]
    make = _mkfs(recipe.make[0])
    with made_filesystem("xfs", _SHELF_MEGABYTES) as shelf:
        disk = Disk(kind, shelf.root / "image", shelf.root / "disk")
        disk.root.mkdir()
        disk.image.touch()
        os.truncate(disk.image, megabytes << 20)
        # A small Btrfs that was filled would have no room for names until it noticed which of its chunks are empty.
        small = ("--mixed",) if kind == "btrfs" and megabytes < _SMALL else ()
        _run(make, *recipe.make[1:], *small, str(disk.image))
        disk.mount()
        try:
            disk.root.chmod(0o755)
            yield disk
        finally:
            subprocess.run(["umount", "--lazy", disk.root], check=True)


def copy_image(image: Path, target: Path) -> None:
    """A copy of what the image holds at one instant: cloned, so no write comes in between."""
    beside = target.with_suffix(".new")
    with image.open("rb") as source, beside.open("wb") as copy:
        fcntl.ioctl(copy, _FICLONE, source.fileno())
    beside.rename(target)


def fill(ballast: Path) -> None:
    """Write files into a new directory until not one more byte fits on its disk.

    Several: what a filesystem allocated ahead for one comes back when it is closed.
    """
    ballast.mkdir()
    for number in range(3):
        os.sync()
        with suppress(OSError):
            _fill(ballast / f"{number}")


def _fill(path: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        size = _BLOCK
        while size:
            try:
                os.write(fd, os.urandom(size))
                os.fsync(fd)
            except OSError:
                size //= 2
    finally:
        os.close(fd)


def _used(directory: Path) -> int:
    return sum(path.lstat().st_blocks * 512 for path in directory.rglob("*"))


def _places(image: Path, content: bytes) -> Iterator[int]:
    """Where an image holds some bytes."""
    with image.open("rb") as file:
        before, kept = 0, b""
        while block := file.read(_BLOCK):
            window = kept + block
            at = window.find(content)
            while at >= 0:
                yield before - len(kept) + at
                at = window.find(content, at + 1)
            before += len(block)
            kept = window[-(len(content) - 1) :]
