"""Ways to damage the tree that ``trees.rich`` makes. Repositories inside it are left alone: no snapshot holds them."""

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from filesystems import remove_tree
from trees import put


def walked(root: Path) -> Iterator[tuple[bytes, os.stat_result]]:
    """Every path below a directory (none deeper than PATH_MAX) but repositories; a directory after what is in it."""
    for directory, names, files in os.walk(os.fsencode(root), topdown=False):
        for name in (*files, *names):
            path = directory + b"/" + name
            if b"/.git" not in path.removeprefix(os.fsencode(root)) or b".git" not in path.split(b"/"):
                yield path, os.lstat(path)


def _opened_up(root: Path) -> None:
    """Lets an ordinary user damage what is in read-only directories."""
    for path, status in walked(root):
        if stat.S_ISDIR(status.st_mode) and status.st_mode & 0o300 != 0o300:
            os.chmod(path, status.st_mode | 0o700)


def delete_everything(root: Path) -> None:
    for child in list(root.iterdir()):
        _remove(child)


def remove_the_workspace_itself(root: Path) -> None:
    remove_tree(root)


def truncate_every_file(root: Path) -> None:
    for path, status in walked(root):
        if stat.S_ISREG(status.st_mode):
            os.chmod(path, status.st_mode | 0o200)
            os.truncate(path, status.st_size // 2)
            os.chmod(path, status.st_mode)


def change_every_mode(root: Path) -> None:
    for path, status in walked(root):
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(path, 0o750 if stat.S_IMODE(status.st_mode) != 0o750 else 0o700)


def turn_everything_into_something_else(root: Path) -> None:
    """A file becomes a directory, a link a file, a directory a link to somewhere else."""
    elsewhere = root.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    put(elsewhere, "theirs", b"not to be touched")
    _opened_up(root)
    for path, status in walked(root):
        if b"/.git" in path:
            continue
        if stat.S_ISREG(status.st_mode):
            os.unlink(path)
            os.mkdir(path)
            with open(path + b"/new", "wb") as file:
                file.write(b"new")
        elif stat.S_ISLNK(status.st_mode):
            os.unlink(path)
            with open(path, "wb") as file:
                file.write(b"was a link")
    for child in sorted(root.iterdir()):
        if child.name in ("links", "marked", "modes", "names") and not child.is_symlink():
            _remove(child)
            child.symlink_to(elsewhere)


def rename_everything(root: Path) -> None:
    _opened_up(root)
    for child in list(root.iterdir()):
        if child.name != ".git":
            child.rename(root / f"renamed {child.name}")


def rotate_contents(root: Path) -> None:
    """Each file gets another's place: same names, other bytes."""
    _opened_up(root)
    files = sorted(path for path, status in walked(root) if stat.S_ISREG(status.st_mode))
    spare = os.fsencode(root / "spare")
    os.rename(files[0], spare)
    for path, following in pairwise(files):
        os.rename(following, path)
    os.rename(spare, files[-1])


def overwrite_keeping_size_and_time(root: Path) -> None:
    for path, status in walked(root):
        if stat.S_ISREG(status.st_mode) and status.st_size and status.st_nlink == 1:
            os.chmod(path, 0o600)
            with open(path, "r+b") as file:
                first = file.read(1)
                file.seek(0)
                file.write(bytes([first[0] ^ 1]))
            os.chmod(path, status.st_mode & 0o7777)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def write_through_hard_links_and_links(root: Path) -> None:
    (root / "links/second-name").write_bytes(b"written through the other name")
    (root / "links/link7").write_bytes(b"written through a link")  # to large.bin


def add_files_and_directories_everywhere(root: Path) -> None:
    _opened_up(root)
    for path, status in list(walked(root)):
        if stat.S_ISDIR(status.st_mode):
            os.makedirs(path + b"/added/empty")
            with open(path + b"/added/file", "wb") as file:
                file.write(b"added")
            os.symlink(b"/etc", path + b"/added/link")


def retarget_every_link(root: Path) -> None:
    for path, status in walked(root):
        if stat.S_ISLNK(status.st_mode):
            os.unlink(path)
            os.symlink("/retargeted", path)


def change_attributes(root: Path) -> None:
    if not hasattr(os, "setxattr"):
        return
    for name in ("file", "file-444", "large", "directory"):
        path = root / "marked" / name
        mode = path.stat().st_mode
        path.chmod(mode | 0o200)
        os.removexattr(path, "user.empty")
        os.setxattr(path, "user.added", b"1")
        path.chmod(mode & 0o7777)
    for directory in ("dir-555", "dir-500"):
        path = root / "modes" / directory
        mode = path.stat().st_mode
        path.chmod(0o700)
        os.setxattr(path, "user.added", b"1")
        (path / "sub/inside").unlink()
        path.chmod(mode & 0o7777)


def close_directories_after_damage(root: Path) -> None:
    """Files go, then their directories are made read-only."""
    for name in ("src/package", "attributed", "names"):
        for file in (root / name).iterdir():
            if file.is_file():
                file.unlink()
        (root / name).chmod(0o555)


def _remove(child: Path) -> None:
    if child.is_symlink() or not child.is_dir():
        child.unlink()
    elif os.geteuid() == 0:
        shutil.rmtree(child)
    else:
        remove_tree(child)


DAMAGES: tuple[Callable[[Path], None], ...] = (
    delete_everything,
    remove_the_workspace_itself,
    truncate_every_file,
    change_every_mode,
    turn_everything_into_something_else,
    rename_everything,
    rotate_contents,
    overwrite_keeping_size_and_time,
    write_through_hard_links_and_links,
    add_files_and_directories_everywhere,
    retarget_every_link,
    change_attributes,
    close_directories_after_damage,
)
