"""The macOS clone, run on Linux against ``clonefile_stand_in.c``.

No real APFS was available. Proved here: each argument and flag arrives where clonefile(2) expects it, each errno comes
back as the right exception, EINTR is tried again, modes are set without following links, failures leave nothing.
Not proved: that APFS shares the blocks, what attributes a clone really carries, which errno the kernel chooses.
"""

import ctypes
import errno
import os
import shutil
import stat
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from hermes_checkpoints_cow import clone_darwin, cloning
from hermes_checkpoints_cow.clone_darwin import CLONE_ACL, CLONE_NOFOLLOW, CLONE_NOOWNERCOPY, Clonefile, clone_file

COMPILER = shutil.which("cc")
CONTENT = bytes(range(256)) * 1000
ODD_NAME = os.fsdecode(b"-\xff\n")

pytestmark = pytest.mark.skipif(COMPILER is None, reason="the stand-in for libSystem is compiled with cc: none found")


def compiled(directory, *options):
    library = directory / "stand_in.so"
    source = Path(__file__).with_name("clonefile_stand_in.c")
    subprocess.run([COMPILER, "-shared", "-fPIC", "-Wall", "-Werror", *options, "-o", library, source], check=True)
    return ctypes.CDLL(str(library), use_errno=True)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("stand-in"))


@pytest.fixture
def calls(library):
    library.fail_next(0, 0)
    return Clonefile(library)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(CONTENT)
    path.chmod(0o755)
    return path


@pytest.fixture
def source_fd(source):
    fd = os.open(source, os.O_RDONLY)
    yield fd
    os.close(fd)


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "store"
    path.mkdir()
    return path


@pytest.fixture
def store_fd(store):
    fd = os.open(store, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def seen(library):
    """The last call, as the C side saw it."""
    text = [(ctypes.c_char * size).in_dll(library, name).value for name, size in (("last_call", 16),)]
    text += [(ctypes.c_char * 4096).in_dll(library, name).value for name in ("last_source", "last_target")]
    numbers = [ctypes.c_int.in_dll(library, name).value for name in ("last_source_fd", "last_target_dir_fd")]
    return (*text, *numbers, ctypes.c_uint32.in_dll(library, "last_flags").value)


def how_often(library):
    return ctypes.c_int.in_dll(library, "calls").value


def test_each_argument_and_flag_arrives_in_its_place(library, calls, source, source_fd, tmp_path, store, store_fd):
    a, b = str(source), str(store / "a")
    calls.clonefile(a, b, CLONE_ACL)
    assert seen(library) == (b"clonefile", os.fsencode(a), os.fsencode(b), -1, -1, CLONE_ACL)

    tree_fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    calls.clonefileat(tree_fd, b"source", store_fd, ODD_NAME, CLONE_NOFOLLOW | CLONE_ACL)
    assert seen(library) == (b"clonefileat", b"source", b"-\xff\n", tree_fd, store_fd, CLONE_NOFOLLOW | CLONE_ACL)
    os.close(tree_fd)

    calls.fclonefileat(source_fd, store_fd, "c")
    assert seen(library) == (b"fclonefileat", b"", b"c", source_fd, store_fd, 0)

    assert sorted(os.listdir(os.fsencode(store))) == [b"-\xff\n", b"a", b"c"]
    assert {path.read_bytes() for path in store.iterdir()} == {CONTENT}


def test_a_symlink_is_cloned_as_a_symlink_only_when_asked(calls, source, tmp_path, store):
    link = tmp_path / "link"
    link.symlink_to(source)
    calls.clonefile(str(link), str(store / "link"), CLONE_NOFOLLOW)
    calls.clonefile(str(link), str(store / "file"))
    assert os.readlink(store / "link") == str(source)
    assert not (store / "file").is_symlink()


def test_the_store_gets_a_private_clone_with_its_own_mode_and_owner(library, calls, source_fd, store, store_fd):
    clone_file(source_fd, store_fd, ODD_NAME, mode=0o400, calls=calls)
    call, _, target, fd, dir_fd, flags = seen(library)
    assert (call, target, fd, dir_fd) == (b"fclonefileat", os.fsencode(ODD_NAME), source_fd, store_fd)
    assert flags == CLONE_NOOWNERCOPY  # without it, root's store would hold files that their old owner may change
    held = store / ODD_NAME
    assert held.read_bytes() == CONTENT
    assert stat.S_IMODE(held.lstat().st_mode) == 0o400


@pytest.mark.parametrize(
    ("number", "exception"),
    [
        (errno.EEXIST, FileExistsError),
        (errno.EACCES, PermissionError),
        (errno.ENOTSUP, OSError),
        (errno.EXDEV, OSError),
        (errno.ENOSPC, OSError),
    ],
    ids=errno.errorcode.get,
)
def test_a_failed_clone_says_which_errno_and_which_file(library, calls, source, source_fd, store_fd, number, exception):
    library.fail_next(number, 3)
    with pytest.raises(exception) as failed:
        clone_file(source_fd, store_fd, "held", mode=0o400, calls=calls)
    assert (failed.value.errno, failed.value.filename) == (number, "held")
    with pytest.raises(exception) as failed:
        calls.clonefile(str(source), "there")
    assert (failed.value.errno, failed.value.filename, failed.value.filename2) == (number, str(source), "there")
    with pytest.raises(exception) as failed:
        calls.clonefileat(store_fd, "here", store_fd, "there")
    assert (failed.value.errno, failed.value.filename, failed.value.filename2) == (number, "here", "there")
    assert os.listdir(store_fd) == []


def test_an_interrupted_clone_is_tried_again(library, calls, source_fd, store, store_fd):
    library.fail_next(errno.EINTR, 3)
    before = how_often(library)
    clone_file(source_fd, store_fd, "held", mode=0o400, calls=calls)
    assert how_often(library) - before == 4
    assert (store / "held").read_bytes() == CONTENT


def test_a_symlink_planted_under_the_target_name_is_not_followed(calls, source_fd, tmp_path, store, store_fd):
    victim = tmp_path / "victim"
    (store / "held").symlink_to(victim)
    with pytest.raises(FileExistsError):
        clone_file(source_fd, store_fd, "held", mode=0o400, calls=calls)
    assert not victim.exists()
    assert os.readlink(store / "held") == str(victim)


def test_a_symlink_swapped_in_after_the_clone_is_not_followed_either(
    calls, source_fd, tmp_path, store, store_fd, monkeypatch
):
    victim = tmp_path / "victim"
    victim.touch(0o755)
    mode = victim.stat().st_mode
    really = calls.fclonefileat

    def clone_and_swap(*arguments):
        really(*arguments)
        (store / "held").unlink()
        (store / "held").symlink_to(victim)

    monkeypatch.setattr(calls, "fclonefileat", clone_and_swap)
    with pytest.raises(OSError) as failed:
        clone_file(source_fd, store_fd, "held", mode=0o400, calls=calls)
    assert failed.value.errno == errno.ELOOP
    assert victim.stat().st_mode == mode


def test_a_clone_whose_mode_cannot_be_set_is_not_left_behind(calls, source_fd, store_fd, monkeypatch):
    def full(fd, mode):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(OSError, match="no space"):
        clone_file(source_fd, store_fd, "held", mode=0o400, calls=calls)
    assert os.listdir(store_fd) == []


@pytest.mark.parametrize("flag", [stat.UF_IMMUTABLE, stat.UF_APPEND, stat.SF_IMMUTABLE, stat.SF_APPEND])
def test_a_locked_file_is_not_cloned_into_something_nobody_can_remove(
    library, calls, source_fd, store_fd, monkeypatch, flag
):
    before = how_often(library)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", lambda fd: SimpleNamespace(st_flags=flag | stat.UF_HIDDEN))
        with pytest.raises(PermissionError) as failed:
            clone_file(source_fd, store_fd, "held", mode=0o400, calls=calls)
    assert failed.value.errno in cloning.NOT_HERE  # so it is copied
    assert how_often(library) == before


def test_a_nul_in_a_name_does_not_cut_it_short(library, calls, source_fd, store_fd):
    before = how_often(library)
    with pytest.raises(ValueError, match="null"):
        calls.fclonefileat(source_fd, store_fd, "a\0b")
    assert how_often(library) == before


def test_a_system_without_the_call_answers_not_here(tmp_path, source_fd, store_fd):
    old = Clonefile(compiled(tmp_path, "-DWITHOUT_FCLONEFILEAT"))
    with pytest.raises(OSError) as failed:
        clone_file(source_fd, store_fd, "held", mode=0o400, calls=old)
    assert failed.value.errno == errno.ENOSYS
    assert failed.value.errno in cloning.NOT_HERE


def test_a_failure_without_a_number_is_still_a_failure(library, source_fd, store_fd):
    quiet = ctypes.CDLL(library._name)  # without use_errno, ctypes hands no errno back
    library.fail_next(errno.ENOTSUP, 1)
    ctypes.set_errno(0)
    with pytest.raises(OSError) as failed:
        Clonefile(quiet).fclonefileat(source_fd, store_fd, "held")
    assert failed.value.errno == errno.EIO


@pytest.mark.parametrize(
    ("number", "placed"), [(0, cloning.Placed.CLONED), (errno.ENOTSUP, cloning.Placed.COPIED)], ids=["apfs", "hfs+"]
)
def test_on_macos_the_ladder_uses_clonefile_first(
    library, calls, source_fd, store, store_fd, monkeypatch, number, placed
):
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr(clone_darwin, "_system", lambda: calls)
    cloning.platform_clone.cache_clear()
    try:
        library.fail_next(number, 1 if number else 0)
        before = how_often(library)
        assert cloning.place_content(source_fd, store_fd, "held", mode=0o400) is placed
    finally:
        cloning.platform_clone.cache_clear()
    assert how_often(library) == before + 1
    assert (store / "held").read_bytes() == CONTENT
    assert stat.S_IMODE((store / "held").stat().st_mode) == 0o400
