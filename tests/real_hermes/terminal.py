"""A person at a terminal: types, reads what is shown, and does not wait for ever."""

import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path

_ESCAPES = re.compile(
    rb"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # titles, links, questions about colours
    rb"|\x1b\[[0-?]*[ -/]*[@-~]"  # colours, moves
    rb"|\x1b[ -/]*[0-~]"
    rb"|\r(?=\n)"
)
_WHERE_IS_THE_CURSOR = b"\x1b[6n"


class Terminal:
    """A program on a pseudo-terminal of 200 columns and 50 lines; killed with its children when it is left."""

    def __init__(self, *command: str | Path, env: dict[str, str], cwd: Path) -> None:
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (50, 200))
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=env | {"TERM": "xterm-256color"},
            cwd=cwd,
            start_new_session=True,
        )
        os.close(slave)
        self._got = b""
        self._answered = 0
        self._read = 0  # characters of the text that were waited for

    @property
    def text(self) -> str:
        """All that was ever shown, in order, without colours and moves."""
        return _ESCAPES.sub(b"", self._got).decode(errors="replace")

    def type(self, line: str) -> None:
        """Type a line and Enter, as a person does: what is shown before the line stands there is not waited for."""
        os.write(self._master, line.encode())
        self.wait_for(re.escape(line))
        os.write(self._master, b"\r")

    def wait_for(self, pattern: str, seconds: float = 30) -> str:
        """Wait until a regular expression matches what is shown from here on; everything up to the end of the match."""
        end = time.monotonic() + seconds
        while not (match := re.compile(pattern).search(self.text, self._read)):
            if not self._listen(end - time.monotonic()):
                raise AssertionError(f"{pattern!r} is not shown after {seconds} s at most; last was:\n{self._last()}")
        shown = self.text[self._read : match.end()]
        self._read = match.end()
        return shown

    def wait_until(self, happened: Callable[[], bool], what: str, seconds: float = 60) -> None:
        """Wait for something that is not seen on the screen, looking for it all the time."""
        end = time.monotonic() + seconds
        while not happened():
            self._listen(0.002)
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"no {what} within {seconds} s; last was:\n{self._last()}")

    def wait_for_the_end(self, seconds: float = 30) -> None:
        """Wait until the program has ended by itself."""
        end = time.monotonic() + seconds
        while self._listen(end - time.monotonic()):
            pass
        try:
            self.process.wait(timeout=max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"still there after {seconds} s; last was:\n{self._last()}") from error

    def kill(self) -> None:
        """End it as the machine's power does: it is not asked."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def _listen(self, seconds: float) -> bool:
        """Read what comes; false when the time is up or nobody is left at the other end."""
        if seconds <= 0 or not select.select([self._master], [], [], seconds)[0]:
            return False
        try:
            piece = os.read(self._master, 65536)
        except OSError:  # EIO: the other end is closed
            return False
        self._got += piece
        while self._got.count(_WHERE_IS_THE_CURSOR) > self._answered:
            self._answered += 1
            os.write(self._master, b"\x1b[1;1R")
        return bool(piece)

    def _last(self) -> str:
        return "\n".join([line for line in self.text.splitlines() if line.strip()][-40:])

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        os.close(self._master)
