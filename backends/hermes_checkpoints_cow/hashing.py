"""Digests of many small contents, made beside the walk that hands them in."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from hermes_checkpoints_cow.digests import digest_of

# Bytes handed to a thread at once: handing over costs as much as the digest of 10 kB.
_PORTION = 512 * 1024
_THREADS = 2
# Portions that may wait: what bounds the memory.
_WAITING = 4
_Portion = list[tuple[int, bytes | None]]


class Hashing:
    """Digests by number; of a number that is used again, the later one counts. No thread is started for a few files."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._portion: _Portion = []
        self._size = 0
        self._waiting: deque[Future[dict[int, bytes]]] = deque()
        self._done: dict[int, bytes] = {}

    def add(self, number: int, data: bytes | None) -> None:
        """Have the digest made; ``None`` when there is none to that number."""
        self._portion.append((number, data))
        self._size += len(data or b"")
        if self._size < _PORTION:
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(_THREADS)
        if len(self._waiting) == _WAITING:
            self._done.update(self._waiting.popleft().result())
        self._waiting.append(self._pool.submit(_digests, self._portion))
        self._portion, self._size = [], 0

    def digests(self) -> dict[int, bytes]:
        """All of them; empty where there is none."""
        while self._waiting:
            self._done.update(self._waiting.popleft().result())
        self._done.update(_digests(self._portion))
        self._portion, self._size = [], 0
        return self._done

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _digests(portion: _Portion) -> dict[int, bytes]:
    return {number: b"" if data is None else digest_of(data) for number, data in portion}
