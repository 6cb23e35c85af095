"""``python -m hermes_checkpoints.cli.demo [DIR]``: a tree is protected, half destroyed, and brought back.

Works on a copy of DIR (default: the project around the current directory) in a scratch directory
that also holds the store, so nothing of the person's is touched. The proof that everything is
back is made by the witness, which shares no code with the engine. Exit code 1 when it fails.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

from hermes_checkpoints.cli import codes
from hermes_checkpoints.cli.screen import Screen, fit, leave_stdout
from hermes_checkpoints.contract import DEFAULT_EXCLUDES, CheckpointError, LeftOut, Snapshot
from hermes_checkpoints.engine import Engine
from hermes_checkpoints.results import Taken, Unchanged
from hermes_checkpoints.testing.witness import difference, picture
from hermes_checkpoints.textdiff import BINARY_PROBE, is_binary
from hermes_checkpoints.wording import counted, harmless, shown, size

SHOWN = 14  # lines of a diff or list

Result = TypeVar("Result")


def main(words: Sequence[str] | None = None) -> int:
    """Run the demonstration; 0 when every byte came back, else 1."""
    parser = argparse.ArgumentParser(prog="hermes_checkpoints.cli.demo", description="Protect, destroy, bring back.")
    parser.add_argument("dir", nargs="?", metavar="DIR", help="the tree to work on a copy of")
    asked = parser.parse_args(words)
    source = Path(os.path.realpath(asked.dir)) if asked.dir else _project(Path.cwd())
    if not source.is_dir():
        parser.error(f"{source} is not a directory")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    # Clones of the demonstration belong to its own store, whatever the person has set.
    os.environ.pop("HERMES_CHECKPOINT_COW_DIR", None)
    try:
        with _scratch(source) as scratch:
            if scratch.is_relative_to(source):
                parser.error(f"{source} holds the scratch directory too; name a smaller tree")
            code = _Demo(source, scratch).run()
            sys.stdout.flush()
            return code
    except CheckpointError as error:
        print(f"the demonstration failed: {error}", file=sys.stderr)
        return codes.FAILED
    except BrokenPipeError:
        leave_stdout()
        return codes.BROKEN_PIPE
    except KeyboardInterrupt:
        print("\nthe demonstration was interrupted; its scratch directory is gone", file=sys.stderr)
        return codes.INTERRUPTED


class _Demo:
    """The steps, in order; each says what it took."""

    def __init__(self, source: Path, scratch: Path) -> None:
        self.source = source
        self.store = scratch / "store"
        self.tree = scratch / source.name if source.name not in ("", "store") else scratch / "tree"
        self.screen = Screen(json=False)
        self.left_out: Sequence[LeftOut] = ()

    def run(self) -> int:
        self.say(f"A copy of {shown(str(self.source))}", "bold")
        self.timed("copied", lambda: _copy(self.source, self.tree))
        with Engine(store=self.store) as engine:
            self.backends(engine)
            last = self.turns(engine)
            self.history(engine, last)
            return self.destruction(engine, last)

    def backends(self, engine: Engine) -> None:
        choice = engine.choose(self.tree)
        self.say("\nBackends for this filesystem", "bold")
        self.say(harmless(f"  {choice.name} is chosen: {choice.why}"), "green")
        for report in engine.backends(self.tree):
            if report.name == choice.name:
                continue
            self.say(harmless(f"  {report.name} instead: {' · '.join(fit(report))}"))

    def turns(self, engine: Engine) -> Snapshot:
        """A few turns of an agent, a snapshot after each; the last one."""
        self.say("\nTurns", "bold")
        self.snapshot(engine, "as it was found")
        for path in self.texts(3):
            with path.open("ab") as file:
                file.write(b"\na line that the agent added\n")
        self.snapshot(engine, "three files edited")
        (self.tree / "notes-of-the-agent.md").write_text("# Notes\n\nWhat the agent found out.\n")
        for path in islice(self.files(), 3, 4):
            path.unlink()
        self.snapshot(engine, "one file added, one deleted")
        return self.snapshot(engine, "nothing done")

    def snapshot(self, engine: Engine, reason: str) -> Snapshot:
        outcome = self.timed(f"snapshot: {reason}", lambda: engine.snapshot(self.tree, reason))
        if isinstance(outcome, Taken):
            self.left_out = outcome.left_out
            one, stats = outcome.snapshot, outcome.stats
            what = f"{counted(one.files, 'file')}, {size(one.size)}, {one.changed} changed, {stats.stored} stored"
            self.say(
                f"            {one.short_id}: {what}" + (f", {stats.cloned} cloned" if stats.cloned else ""), "dim"
            )
            return one
        if isinstance(outcome, Unchanged):
            self.say(
                f"            unchanged since {outcome.latest.short_id}, {outcome.stats.opened} files opened", "dim"
            )
            return outcome.latest
        raise CheckpointError(f"the copy was not protected: {outcome}")

    def history(self, engine: Engine, last: Snapshot) -> None:
        self.say("\nThe list", "bold")
        snapshots = self.timed("list", lambda: engine.list(self.tree))
        for number, one in enumerate(snapshots, 1):
            self.say(f"  {number}  {one.short_id}  {one.files:>6} files  {one.changed:>6} changed  {one.note.reason}")
        self.say("\nWhat happened since the first", "bold")
        pieces = self.timed("diff", lambda: list(engine.diff(self.tree, snapshots[-1].id)))
        lines = b"".join(piece.text for piece in pieces).splitlines()
        for line in lines[:SHOWN]:
            self.say("  " + harmless(line.decode("utf-8", "surrogateescape")))
        if len(lines) > SHOWN:
            self.say(f"  … and {len(lines) - SHOWN} more lines in {counted(len(pieces), 'file')}", "dim")
        assert snapshots[0].id == last.id

    def destruction(self, engine: Engine, last: Snapshot) -> int:
        before = picture(self.tree)
        self.say("\nHalf of it is destroyed", "bold")
        self.say(f"  {self.timed('destroyed', self.destroy)}", "red")
        damage = difference(before, picture(self.tree))
        self.say(f"  the witness sees {counted(len(damage), 'path')} that differ", "red")
        self.say("\nBack", "bold")
        done = self.timed("restored", lambda: engine.restore(self.tree, last.id))
        self.say(f"  {len(done.written)} written, {len(done.deleted)} deleted, {len(done.failed)} failed")
        self.say(f"  what was there before is {done.safety.short_id}, for undo")
        wrong = difference(before, self.timed("compared", lambda: picture(self.tree)))
        if wrong or done.failed or not damage:
            self.say("\nIt is NOT back as it was:", "bold red")
            for line in [*wrong, *(f"{one.path}: {one.reason}" for one in done.failed)][:SHOWN]:
                self.say("  " + harmless(line), "red")
            return codes.FAILED
        self.say(
            f"\nProved: all {len(before)} paths are as they were, byte for byte and with their modes.", "bold green"
        )
        return codes.DONE

    def destroy(self) -> str:
        """Every second file: deleted, overwritten, or turned into something else; and intruders come."""
        deleted = overwritten = 0
        for number, path in enumerate(list(self.files())[::2]):
            if not os.access(path.parent, os.W_OK):
                continue
            if number % 3 == 0 and not path.is_symlink() and os.access(path, os.W_OK):
                path.write_bytes(b"destroyed\n")
                overwritten += 1
                continue
            path.unlink()
            deleted += 1
            if not any(path.parent.iterdir()) and path.parent != self.tree:
                path.parent.rmdir()
        (self.tree / "intruder").mkdir()
        (self.tree / "intruder" / "file").write_text("was not there\n")
        return f"{deleted} deleted, {overwritten} overwritten, and a directory that was not there"

    def files(self) -> Iterator[Path]:
        """Files and links that snapshots hold, in path order; what they left out nobody could bring back."""
        spared = {left.path for left in self.left_out}
        for parent, directories, names in os.walk(self.tree):
            here = Path(parent)
            inside = os.path.relpath(parent, self.tree)
            prefix = "" if inside == "." else inside + "/"
            directories[:] = sorted(name for name in directories if prefix + name not in spared)
            links = [name for name in directories if (here / name).is_symlink()]
            for name in sorted([*names, *links]):
                if prefix + name not in spared:
                    yield here / name

    def texts(self, count: int) -> list[Path]:
        """Files to edit; hidden ones, such as ignore files, mean something to the engine."""
        texts = (path for path in self.files() if not path.name.startswith(".") and _is_text(path))
        return list(islice((path for path in texts if os.access(path, os.W_OK)), count))

    def timed(self, what: str, act: Callable[[], Result]) -> Result:
        began = time.perf_counter()
        result = act()
        self.say(f"  {(time.perf_counter() - began) * 1000:6.0f} ms {what}")
        return result

    def say(self, text: str, style: str = "") -> None:
        self.screen.line(text, style)


def _project(directory: Path) -> Path:
    """The nearest directory at or above that looks like the top of a project, else the directory itself."""
    tops = (
        one for one in (directory, *directory.parents) if (one / ".git").exists() or (one / "pyproject.toml").exists()
    )
    return next(tops, directory)


def _is_text(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return not is_binary(file.read(BINARY_PROBE))


@contextmanager
def _scratch(source: Path) -> Iterator[Path]:
    """A directory that goes away: beside the tree where that is allowed, to be on the filesystem it lives on."""
    parent = source.parent if os.access(source.parent, os.W_OK) else None
    directory = Path(tempfile.mkdtemp(prefix="hermes-checkpoints-demo-", dir=parent))
    try:
        yield Path(os.path.realpath(directory))
    finally:
        for inside, directories, _ in os.walk(directory):
            for name in directories:
                if not os.path.islink(os.path.join(inside, name)):
                    os.chmod(os.path.join(inside, name), 0o700)
        shutil.rmtree(directory, ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    """Copy what snapshots hold by default: no build products, caches or version control."""
    skipped = shutil.ignore_patterns(*(pattern.rstrip("/") for pattern in DEFAULT_EXCLUDES))
    try:
        shutil.copytree(source, target, symlinks=True, ignore=skipped)
    except shutil.Error as error:
        # Sockets, FIFOs, unreadable files: the rest was copied.
        print(f"  {counted(len(error.args[0]), 'path')} could not be copied", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
