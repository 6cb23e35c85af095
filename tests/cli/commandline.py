"""Ways to run the command outside this process."""

import os
import pty
import subprocess
import sys
import time

COMMAND = [sys.executable, "-m", "hermes_checkpoints"]


def damage(workspace):
    (workspace / "notes.txt").write_text("second\n")
    (workspace / "src" / "main.py").unlink()
    (workspace / "new").write_text("new\n")


def in_a_process(*words, **options):
    return subprocess.run([*COMMAND, *map(os.fspath, words)], capture_output=True, timeout=60, **options)


def add_snapshots(run, workspace, count, size=200_000):
    """Take so many snapshots, each of which adds a file that does not compress; their ids, the oldest first."""
    taken = []
    for number in range(count):
        (workspace / f"file-{number}-{os.urandom(4).hex()}").write_bytes(os.urandom(size))
        taken.append(run("snapshot", workspace, "-m", f"turn {number}", "--json").json["id"])
    return taken


def ids(run, *words):
    return [one["id"] for one in run("list", *words, "--json").json["snapshots"]]


def on_a_terminal(*words, typed=b"", interrupt=None, env=None, meanwhile=lambda: None):
    """Run the command on a pseudo-terminal; the exit code and all that the terminal got.

    ``typed`` is sent when a question stands there, after ``meanwhile`` was called; ``interrupt`` is the signal
    sent instead.
    """
    master, slave = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120"} | (env or {})
    process = subprocess.Popen(
        [*COMMAND, *map(os.fspath, words)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=environment,
        start_new_session=True,
    )
    os.close(slave)
    got, answered = b"", False
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # EIO: the other end is closed
            break
        if not piece:
            break
        got += piece
        if b"[y/N]" in got and not answered:
            answered = True
            meanwhile()
            if interrupt:
                time.sleep(0.2)
                process.send_signal(interrupt)
            else:
                os.write(master, typed)
    os.close(master)
    return process.wait(timeout=60), got
