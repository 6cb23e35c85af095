"""Real filesystems for tests: ext4, XFS and Btrfs on loop images that the suite makes itself.

Nothing outlives the test process, not even after ``kill -9``: the mounts are in
a mount namespace of its own, an image is unlinked as soon as it is mounted, and
its loop device clears itself with the last unmount. What may stay behind then
is an empty directory.
"""

import ctypes
import fcntl
import functools
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

KINDS = ("ext4", "xfs", "btrfs")

_MEGABYTES = 1536  # sparse; room for a tree of 50,000 files and two stores of it
_CLONE_NEWNS = 0x00020000  # <linux/sched.h>
_LOOP_CTL_GET_FREE = 0x4C82  # <linux/loop.h>
_LOOP_MAJOR = 7
_SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


@dataclass(frozen=True, slots=True)
class Filesystem:
    """A mounted filesystem, empty but for what mkfs puts there."""

    name: str
    """``ext4``, ``xfs``, ``btrfs`` or ``casefold``."""
    root: Path
    """Its top directory, mode 0755; every user can reach it."""
    clones: bool
    """Whether files on it can share blocks (``FICLONE``)."""


@dataclass(frozen=True, slots=True)
class _Recipe:
    make: tuple[str, ...]
    smallest: int  # megabytes, below which mkfs refuses
    clones: bool


_RECIPES = {
    # One inode for 4 KiB: the default of 16 KiB runs out before 100,000 small files.
    "ext4": _Recipe(("mkfs.ext4", "-q", "-F", "-m", "0", "-i", "4096"), 8, clones=False),
    "xfs": _Recipe(("mkfs.xfs", "-q", "-m", "reflink=1"), 300, clones=True),
    # Metadata once: small files live in it, and twice would fill the image.
    "btrfs": _Recipe(("mkfs.btrfs", "-q", "-m", "single"), 128, clones=True),
    # ext4 whose directories may ignore case (chattr +F on an empty one); not every kernel is built with it.
    "casefold": _Recipe(("mkfs.ext4", "-q", "-F", "-m", "0", "-O", "casefold"), 8, clones=False),
}


class Unavailable(Exception):
    """This machine cannot provide the filesystem; the message says why."""


@contextmanager
def made_filesystem(kind: str, megabytes: int = _MEGABYTES) -> Iterator[Filesystem]:
    """A new filesystem of that kind and size, gone at the end with all that is on it.

    Raises ``Unavailable`` where it cannot be made (no root, no mkfs, mounting
    forbidden), ``ValueError`` for less than its mkfs accepts.
    """
    recipe = _RECIPES[kind]
    if megabytes < recipe.smallest:
        raise ValueError(f"{kind} needs {recipe.smallest} MB, not {megabytes}")
    make = _mkfs(recipe.make[0])
    _own_mount_namespace()
    with ExitStack() as undo:
        directory = public_directory(f"hermes-checkpoints-{kind}-")
        undo.callback(remove_tree, directory)
        image, root = directory / "image", directory / "root"
        root.mkdir()
        image.touch()
        os.truncate(image, megabytes << 20)
        _run(make, *recipe.make[1:], str(image))
        undo.callback(_unmount, root)
        _mount(image, root)
        image.unlink()
        root.chmod(0o755)
        yield Filesystem(kind, root, recipe.clones)


def public_directory(prefix: str) -> Path:
    """A new directory, mode 0755, that other users can reach too (pytest's ``tmp_path`` is closed to them)."""
    for parent in map(Path, (tempfile.gettempdir(), "/tmp", "/var/tmp")):
        if all(above.stat().st_mode & stat.S_IXOTH for above in (parent, *parent.resolve().parents)):
            directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            directory.chmod(0o755)
            return directory
    raise Unavailable("no temporary directory is reachable for other users; set TMPDIR to one that is")


def remove_tree(directory: Path) -> None:
    """Remove a directory and all below it, deeper than PATH_MAX and read-only directories too."""
    # shutil.rmtree recurses, one frame and one descriptor a level; rm does not.
    if os.geteuid() != 0:
        subprocess.run(["chmod", "-R", "u+rwx", "--", directory], check=False, stderr=subprocess.DEVNULL)
    subprocess.run(["rm", "-rf", "--", directory], check=True)


def _mkfs(command: str) -> str:
    if sys.platform != "linux":
        raise Unavailable("loop images need Linux")
    if os.geteuid() != 0:
        raise Unavailable("mounting a loop image needs root")
    found = shutil.which(command, path=_SEARCH_PATH)
    if found is None:
        raise Unavailable(f"{command} is not installed")
    return found


@functools.cache
def _own_mount_namespace() -> None:
    """Move this process, and what it starts from now on, to where its mounts are seen by nobody else."""
    libc = ctypes.CDLL(None, use_errno=True)  # os.unshare came with Python 3.12
    if libc.unshare(_CLONE_NEWNS) != 0:
        raise Unavailable(f"no mount namespace of our own: {os.strerror(ctypes.get_errno())}")
    _run("mount", "--make-rslave", "/")


def _mount(image: Path, root: Path) -> None:
    for attempt in range(3):
        _provide_loop_node()
        try:
            _run("mount", "-o", "loop", str(image), str(root))
        except Unavailable:
            # Somebody else may have taken the loop device that was free a moment ago.
            if attempt == 2:
                raise
        else:
            return


def _provide_loop_node() -> None:
    """Create the node of the next free loop device where no devtmpfs does it, as in a container."""
    try:
        if not Path("/dev/loop-control").exists():
            os.mknod("/dev/loop-control", 0o600 | stat.S_IFCHR, os.makedev(10, 237))
        control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
        try:
            number = fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
        finally:
            os.close(control)
        if not Path(f"/dev/loop{number}").exists():
            os.mknod(f"/dev/loop{number}", 0o600 | stat.S_IFBLK, os.makedev(_LOOP_MAJOR, number))
    except OSError as error:
        raise Unavailable(f"no loop device: {error}") from error


def _unmount(root: Path) -> None:
    if root.is_mount() and subprocess.run(["umount", root], capture_output=True).returncode != 0:
        # Busy: a failed test's traceback may still hold a descriptor. Detach; the kernel does the rest.
        subprocess.run(["umount", "--lazy", root], check=True)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": _SEARCH_PATH})
    if done.returncode != 0:
        raise Unavailable(f"{' '.join(command)}: {done.stderr.strip()}")
