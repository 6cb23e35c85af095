"""The real filesystems and the ordinary user that other tests stand on are what they claim to be."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from filesystems import KINDS, made_filesystem, public_directory, remove_tree

pytest_plugins = ["pytester"]

HERE = Path(__file__).parent
FICLONE = 0x40049409  # <linux/fs.h>
SUPERBLOCK_MAGIC = {"ext4": "ef53", "xfs": "58465342", "btrfs": "9123683e"}
SMALLEST = {"ext4": 16, "xfs": 300, "btrfs": 128}


def _clone_errno(directory: Path) -> int | None:
    """Clone real, synced, non-empty data within a directory; the error number, or ``None`` when it worked."""
    with (directory / "source").open("wb") as source:
        source.write(os.urandom(1 << 16))
        source.flush()
        os.fsync(source.fileno())
    with (directory / "source").open("rb") as source, (directory / "clone").open("wb") as clone:
        try:
            fcntl.ioctl(clone, FICLONE, source.fileno())
        except OSError as error:
            return error.errno
    assert (directory / "clone").read_bytes() == (directory / "source").read_bytes()
    return None


def _loop_devices(root: Path) -> list[str]:
    """The loop devices behind a filesystem, known by the directory that its (unlinked) image was in."""
    backing = Path("/sys/block").glob("loop*/loop/backing_file")
    return [file.parts[3] for file in backing if root.parent.name in file.read_text()]


def _gone(root: Path) -> bool:
    """Whether its loop device goes away; udev may look at it for a moment longer."""
    deadline = time.monotonic() + 5
    while _loop_devices(root):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_a_filesystem_is_of_the_kind_it_is_called(filesystem):
    told = subprocess.run(["stat", "-f", "-c", "%t", filesystem.root], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == SUPERBLOCK_MAGIC[filesystem.name]


def test_xfs_and_btrfs_clone_and_ext4_refuses(filesystem, on_filesystem):
    assert _clone_errno(on_filesystem) == (None if filesystem.clones else errno.EOPNOTSUPP)
    assert filesystem.clones == (filesystem.name != "ext4")


def test_a_directory_on_a_filesystem_is_empty_and_lies_there(filesystem, on_filesystem):
    assert on_filesystem.parent == filesystem.root
    assert list(on_filesystem.iterdir()) == []
    assert on_filesystem.stat().st_mode & 0o7777 == 0o755


def test_fifty_thousand_files_fit(filesystem):
    figures = os.statvfs(filesystem.root)
    assert figures.f_bavail * figures.f_frsize > 1 << 30
    assert figures.f_favail > 200_000 or filesystem.name == "btrfs"  # which has no table of inodes


def test_an_ordinary_user_reaches_a_directory_on_a_filesystem(on_filesystem, as_user):
    (on_filesystem / "file").write_text("hello")
    assert as_user((on_filesystem / "file").read_text) == "hello"


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_filesystem_fills_up(small_filesystem, kind):
    with small_filesystem(kind, SMALLEST[kind]) as filesystem:
        big = os.open(filesystem.root / "big", os.O_WRONLY | os.O_CREAT)
        with pytest.raises(OSError) as error:
            while True:
                os.write(big, bytes(1 << 20))
        os.close(big)
    assert error.value.errno == errno.ENOSPC


def test_a_size_that_mkfs_refuses_is_an_error_before_anything_is_made():
    with pytest.raises(ValueError, match="xfs needs 300 MB"), made_filesystem("xfs", 299):
        pass


def test_a_filesystem_leaves_no_mount_image_or_loop_device(small_filesystem):
    with small_filesystem("ext4", 16) as filesystem:
        assert len(_loop_devices(filesystem.root)) == 1
    assert not filesystem.root.parent.exists()
    assert _gone(filesystem.root)


def test_a_busy_filesystem_goes_with_the_last_descriptor(small_filesystem):
    with small_filesystem("ext4", 16) as filesystem:
        held = (filesystem.root / "held").open("wb")
    assert not filesystem.root.parent.exists()
    held.close()
    assert _gone(filesystem.root)


def test_kill_9_leaves_no_mount_image_or_loop_device(small_filesystem):
    with small_filesystem("ext4", 16):
        pass  # so that this test is skipped where the child could not do it either
    holding = [sys.executable, "-c", HOLD_A_FILESYSTEM]
    with subprocess.Popen(holding, cwd=HERE, stdout=subprocess.PIPE, text=True) as child:
        root = Path(child.stdout.readline().strip())
        assert _loop_devices(root)
        child.kill()
    assert child.returncode == -signal.SIGKILL
    assert _gone(root)
    assert not root.is_mount()
    assert list(root.parent.iterdir()) == [root]
    remove_tree(root.parent)


@pytest.mark.parametrize(
    ("options", "outcome"), [([], {"skipped": 3}), (["--require-filesystems"], {"errors": 3})], ids=["skip", "required"]
)
def test_a_missing_filesystem_is_a_skip_with_its_reason_and_a_failure_where_required(pytester, options, outcome):
    pytester.makeconftest((HERE / "conftest.py").read_text(encoding="utf-8"))
    broken = (HERE / "filesystems.py").read_text(encoding="utf-8")
    pytester.makepyfile(
        filesystems=f"{broken}\ndef _mkfs(command):\n    raise Unavailable('no such luck')\n",
        test_it="def test_it(filesystem):\n    pass\n",
    )
    result = pytester.runpytest_subprocess("-ra", *options)
    result.assert_outcomes(**outcome)
    result.stdout.fnmatch_lines("*xfs is * available: no such luck*")


def test_a_public_directory_is_public_and_a_closed_parent_is_passed_over(tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    directory = public_directory("hermes-checkpoints-test-")
    try:
        assert all(above.stat().st_mode & 0o001 for above in (directory, *directory.parents))
    finally:
        remove_tree(directory)


def test_a_read_only_tree_deeper_than_path_max_is_removed(fresh_directory):
    top = fresh_directory / "top"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(40):
        os.mkdir("x" * 200, dir_fd=here)
        here, above = os.open("x" * 200, os.O_RDONLY, dir_fd=here), here
        os.fchmod(above, 0o500)
        os.close(above)
    os.close(here)
    remove_tree(top)
    assert list(fresh_directory.iterdir()) == []


@pytest.fixture(scope="module")
def settings_of_a_person() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GIT_DIR", "HERMES_CHECKPOINT_BACKEND", "XDG_CONFIG_HOME"):
            patch.setenv(name, "theirs")
        yield


def test_no_setting_of_the_person_who_runs_the_tests_reaches_a_test(settings_of_a_person, clean_environment):
    left = {name: value for name, value in os.environ.items() if name.startswith(("HERMES_", "GIT_", "XDG_"))}
    ours = {"HERMES_HOME": str(clean_environment / ".hermes"), "HERMES_CHECKPOINT_BACKGROUND": "0"}
    assert left == ours
    assert Path.home() == clean_environment
    assert list(clean_environment.iterdir()) == []


def test_an_ordinary_user_is_refused_what_belongs_to_root(as_user, fresh_directory):
    if os.geteuid() != 0:
        pytest.skip("run by an ordinary user already")
    (fresh_directory / "secret").touch(0o600)
    with pytest.raises(PermissionError) as error:
        as_user((fresh_directory / "secret").read_bytes)
    assert "as the user 12345" in error.value.__notes__[0]
    assert as_user(os.getresuid) == (12345,) * 3
    assert as_user(os.getgroups) == []
    assert os.geteuid() == 0


def test_an_ordinary_user_has_a_home_of_their_own(as_user):
    def make() -> Path:
        Path("made").touch()
        return Path.home()

    assert as_user(make) == as_user.home
    assert (as_user.home / "made").stat().st_uid == as_user.uid


def test_what_an_ordinary_user_cannot_send_back_is_told_and_not_lost(as_user):
    class Local(Exception):
        pass

    def fail() -> None:
        raise Local("what happened")

    with pytest.raises(RuntimeError, match="what happened"):
        as_user(fail)
    with pytest.raises(ChildProcessError, match="-9"):
        as_user(lambda: os.kill(os.getpid(), signal.SIGKILL))


HOLD_A_FILESYSTEM = """
import time
from filesystems import made_filesystem
with made_filesystem("ext4", 16) as filesystem:
    print(filesystem.root, flush=True)
    time.sleep(60)
"""
