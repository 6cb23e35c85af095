"""What a file does not share with its clones on macOS: ``fgetattrlist`` of libSystem, through ctypes.

No Mac was at hand when this was written. Its test runs it on Linux against a
small C library with the signature, constants and layout of the manual page
getattrlist(2). That proves how the question is put and how the answer is read,
and nothing about what APFS answers.
"""

import ctypes
import errno
import os
import struct
from functools import cache

# struct attrlist: bitmapcount, reserved; common, volume, directory, file and fork attributes.
_REQUEST = struct.Struct("=HHIIIII")
_BIT_MAP_COUNT = 5
_FSOPT_ATTR_CMN_EXTENDED = 0x20
"""The place of the fork attributes asks for extended common ones."""
_CMNEXT_PRIVATESIZE = 0x8
# The length of the whole answer, then an off_t; attributes are aligned to four bytes.
_ANSWER = struct.Struct("=Iq")
_NOT_HERE = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


def private_size(fd: int, library: ctypes.CDLL | None = None) -> int | None:
    """Bytes that would come back if this open file were removed; ``None`` where the filesystem does not tell.

    ``library`` was loaded with ``use_errno=True``. Raises ``OSError``.
    """
    try:
        call = (library or _system())["fgetattrlist"]
    except AttributeError:
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_ulong)
    call.restype = ctypes.c_int
    request = _REQUEST.pack(_BIT_MAP_COUNT, 0, 0, 0, 0, 0, _CMNEXT_PRIVATESIZE)
    answer = ctypes.create_string_buffer(_ANSWER.size)
    while call(fd, request, answer, _ANSWER.size, _FSOPT_ATTR_CMN_EXTENDED) != 0:
        failed = ctypes.get_errno() or errno.EIO
        if failed in _NOT_HERE:
            return None
        if failed != errno.EINTR:
            raise OSError(failed, os.strerror(failed))
    length, size = _ANSWER.unpack(answer.raw)
    # A filesystem may leave out what it does not know: then the answer is shorter.
    return int(size) if length >= _ANSWER.size else None


@cache
def _system() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
