"""The private size on macOS, run on Linux against ``getattrlist_stand_in.c``.

No real APFS was available. Proved here: the question arrives as getattrlist(2) has it, the answer is read where it
is, each errno becomes an answer or an exception. Not proved: what APFS says of clones.
"""

import ctypes
import errno
import shutil
import subprocess
from pathlib import Path

import pytest

from hermes_checkpoints_cow.private_darwin import private_size

COMPILER = shutil.which("cc")

pytestmark = pytest.mark.skipif(COMPILER is None, reason="the stand-in for libSystem is compiled with cc: none found")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    library = tmp_path_factory.mktemp("stand-in") / "stand_in.so"
    source = Path(__file__).with_name("getattrlist_stand_in.c")
    subprocess.run([COMPILER, "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, source], check=True)
    return ctypes.CDLL(str(library), use_errno=True)


@pytest.fixture
def library(compiled):
    for name in ("fail_errno", "fail_times", "unknown", "calls"):
        ctypes.c_int.in_dll(compiled, name).value = 0
    return compiled


def told(library, **values):
    for name, value in values.items():
        (ctypes.c_int64 if name == "private_size" else ctypes.c_int).in_dll(library, name).value = value


@pytest.mark.parametrize("size", [0, 4096, (1 << 40) + 8192])
def test_the_private_size_is_what_the_filesystem_says(library, size):
    told(library, private_size=size)
    assert private_size(7, library) == size
    assert ctypes.c_int.in_dll(library, "last_fd").value == 7


def test_a_filesystem_that_does_not_know_is_no_answer(library):
    told(library, private_size=4096, unknown=1)
    assert private_size(7, library) is None


@pytest.mark.parametrize("failed", [errno.ENOTSUP, errno.EINVAL, errno.ENOSYS])
def test_an_errno_that_means_not_here_is_no_answer(library, failed):
    told(library, fail_errno=failed, fail_times=1)
    assert private_size(7, library) is None


@pytest.mark.parametrize("failed", [errno.EIO, errno.EBADF])
def test_a_failing_medium_is_told(library, failed):
    told(library, fail_errno=failed, fail_times=1)
    with pytest.raises(OSError) as raised:
        private_size(7, library)
    assert raised.value.errno == failed


def test_an_interrupted_call_is_made_again(library):
    told(library, private_size=12, fail_errno=errno.EINTR, fail_times=3)
    assert private_size(7, library) == 12
    assert ctypes.c_int.in_dll(library, "calls").value == 4


@pytest.mark.skipif(hasattr(ctypes.CDLL(None), "fgetattrlist"), reason="this system has the call")
def test_a_system_without_the_call_is_no_answer():
    assert private_size(0) is None
