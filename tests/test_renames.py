"""The renames that exchange names, or take none away: Linux's own, and macOS's against ``renames_stand_in.c``.

Proved for macOS: names and flags arrive where renameatx_np(2) expects them, and errors come back. Not proved: APFS.
"""

import ctypes
import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hermes_checkpoints.kit.write.swapping import Renames, renames
from trees import put

COMPILER = shutil.which("cc")
ODD_NAME = os.fsdecode(b"-\xff\n")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if COMPILER is None:
        pytest.skip("the stand-in for libSystem is compiled with cc: none found")
    made = tmp_path_factory.mktemp("stand-in") / "stand_in.so"
    source = Path(__file__).with_name("renames_stand_in.c")
    subprocess.run([COMPILER, "-shared", "-fPIC", "-Wall", "-Werror", "-o", made, source], check=True)
    return ctypes.CDLL(str(made), use_errno=True)


@pytest.fixture(params=["linux", "darwin", "without the call"])
def calls(request):
    if request.param == "linux":
        return renames()
    if request.param == "darwin":
        library = request.getfixturevalue("library")
        ctypes.c_int.in_dll(library, "fail_with").value = 0
        return Renames(library, "darwin")
    return Renames(ctypes.CDLL(None, use_errno=True), "darwin")  # no C library of Linux has macOS's


@pytest.fixture
def there(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_two_names_are_exchanged_whatever_they_name(calls, there, tmp_path):
    put(tmp_path, "directory/inside", b"1")
    put(tmp_path, ODD_NAME, b"2")
    if calls.exchange(there, "directory", ODD_NAME):
        assert (tmp_path / "directory").read_bytes() == b"2"
        assert (tmp_path / ODD_NAME / "inside").read_bytes() == b"1"
    else:
        assert not hasattr(ctypes.CDLL(None), "renameatx_np")
        assert (tmp_path / "directory/inside").read_bytes() == b"1"


def test_a_name_that_is_taken_stays_what_it_is(calls, there, tmp_path):
    put(tmp_path, "new", b"new")
    put(tmp_path, "theirs", b"theirs")
    (tmp_path / "dangling").symlink_to("nowhere")
    for taken in ("theirs", "dangling"):
        with pytest.raises(FileExistsError):
            calls.rename_new(there, "new", taken)
    assert (tmp_path / "theirs").read_bytes() == b"theirs"
    assert os.readlink(tmp_path / "dangling") == "nowhere"
    calls.rename_new(there, "new", ODD_NAME)
    assert (tmp_path / ODD_NAME).read_bytes() == b"new"


def test_macos_gets_its_own_flags(library, there, tmp_path):
    calls = Renames(library, "darwin")
    ctypes.c_int.in_dll(library, "fail_with").value = 0
    flags = ctypes.c_int.in_dll(library, "last_flags")
    put(tmp_path, "a", b"a")
    put(tmp_path, "b", b"b")
    calls.exchange(there, "a", "b")
    assert flags.value == 0x2
    calls.rename_new(there, "a", "c")
    assert flags.value == 0x4


@pytest.mark.parametrize("number", [errno.ENOTSUP, errno.EINVAL, errno.ENOSYS], ids=errno.errorcode.get)
def test_only_what_means_not_here_is_done_another_way(library, there, tmp_path, number):
    calls, failing = Renames(library, "darwin"), ctypes.c_int.in_dll(library, "fail_with")
    put(tmp_path, "a", b"a")
    put(tmp_path, "b", b"b")
    failing.value = number
    assert not calls.exchange(there, "a", "b")
    calls.rename_new(there, "b", "c")
    for number in (errno.EIO, errno.ENOSPC, errno.EACCES):
        failing.value = number
        with pytest.raises(OSError) as failed:
            calls.exchange(there, "a", "c")
        assert (failed.value.errno, failed.value.filename, failed.value.filename2) == (number, "a", "c")
        with pytest.raises(OSError) as failed:
            calls.rename_new(there, "a", "new")
        assert failed.value.errno == number
    assert sorted(os.listdir(tmp_path)) == ["a", "c"]
    assert (tmp_path / "a").read_bytes() == b"a"
