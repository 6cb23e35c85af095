"""Digests of many contents, those of large ones made beside the walk that hands them in."""

from typing import TYPE_CHECKING

from hermes_checkpoints_cow.digests import digest_of

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

# From this size on a thread makes the digest. Handing over a smaller content, and waiting for the interpreter after
# each, takes as much of the processor as its digest does, for both threads.
_LARGE = 32 << 10
# Bytes that may wait: what bounds the memory.
_WAITING = 16 << 20


class Hashing:
    """Digests by number; of a number that is used again, the later one counts. No thread is started for small files."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._working: dict[int, tuple[int, Future[bytes]]] = {}
        self._working_bytes = 0
        self._done: dict[int, bytes] = {}

    def add(self, number: int, data: bytes | None) -> bytes:
        """Have the digest made: it, or nothing when ``digests`` will tell. ``None``: that number has none."""
        if number in self._working:
            self._working_bytes -= self._working.pop(number)[0]
        self._done.pop(number, None)
        if data is None or len(data) < _LARGE:
            return b"" if data is None else digest_of(data)
        while self._working and self._working_bytes + len(data) > _WAITING:
            self._collect()
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor  # 5 ms that a turn with a few small files does not need

            self._pool = ThreadPoolExecutor(1, "cow")
        self._working[number] = len(data), self._pool.submit(digest_of, data)
        self._working_bytes += len(data)
        return b""

    def _collect(self) -> None:
        number = next(iter(self._working))
        size, digest = self._working.pop(number)
        self._working_bytes -= size
        self._done[number] = digest.result()

    def digests(self) -> dict[int, bytes]:
        """All that ``add`` did not tell."""
        while self._working:
            self._collect()
        return self._done

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
