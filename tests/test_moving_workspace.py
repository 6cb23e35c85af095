"""A workspace that is written, renamed, removed, cut and swapped for symlinks while snapshots are taken of it.

Every block of a moving file says of which round of its writer it is, so a
content that was never there shows. What is written block by block is, at any
moment, some blocks of one round and then blocks of the round before.
"""

import itertools
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hermes_checkpoints import Engine, Limits
from hermes_checkpoints.contract import Reason
from hermes_checkpoints.results import Taken, Unchanged
from hermes_checkpoints.testing.processes import Child, finish, start
from hermes_checkpoints.testing.witness import difference, picture

BACKENDS = ("shadow-git", "cow")
TAKES = 24
BLOCK = 4096
SECRET = b"what lies outside"
STILL = {f"still/{number}": b"%d\n" % number * 1000 for number in range(20)}


def block(number: int) -> bytes:
    return b"%015d\n" % number * (BLOCK // 16)


def rounds() -> Iterator[int]:
    """Counts for ever, with a pause now and then, so that some rounds are seen whole."""
    chance = random.Random(1)
    for number in itertools.count(1):
        yield number
        time.sleep(chance.choice((0, 0, 0, 0.002, 0.01)))


def writes_in_place(directory: Path, blocks: int) -> None:
    """A few blocks of many, so that it is faster through the file than whoever reads it."""
    fd = os.open(directory / "file", os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, block(0) * blocks, 0)
    for number in rounds():
        data = block(number)
        for at in range(0, blocks, max(1, blocks // 8)):
            os.pwrite(fd, data, at * BLOCK)


def writes_all_at_once(directory: Path, blocks: int) -> None:
    fd = os.open(directory / "file", os.O_RDWR | os.O_CREAT)
    for number in rounds():
        os.pwrite(fd, block(number) * blocks, 0)


def cuts_and_appends(directory: Path, blocks: int) -> None:
    fd = os.open(directory / "file", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    for number in rounds():
        os.ftruncate(fd, 0)
        for _ in range(blocks):
            os.write(fd, block(number))


def replaces(directory: Path, blocks: int) -> None:
    """By rename, and by removing first, in turn."""
    beside, file = directory / "beside", directory / "file"
    for number in rounds():
        beside.write_bytes(block(number) * blocks)
        if number % 3 == 0:
            file.unlink(missing_ok=True)
        beside.rename(file)


def swaps_for_links(directory: Path, blocks: int) -> None:
    """Many files, each in turn for a symlink to a file outside, a FIFO, and back."""
    beside, outside = directory / "beside", directory.parents[1] / "outside" / "secret"
    for number in rounds():
        for other in range(30):
            kind = (number + other) % 5
            if kind == 0:
                os.mkfifo(beside)
            elif kind % 2:
                beside.symlink_to(outside)
            else:
                beside.write_bytes(block(number) * blocks)
            beside.rename(directory / f"file {other}")


def swaps_directories_for_links(directory: Path, blocks: int) -> None:
    """Many directories, each for a symlink to one outside that has a file of the same name, and back."""
    places = [(directory / f"in place {number}", directory / f"aside {number}") for number in range(20)]
    for place, _ in places:
        place.mkdir()
    for number in rounds():
        for place, aside in places:
            if place.is_symlink():
                place.unlink()
                aside.rename(place)
                (place / "secret").write_bytes(block(number) * blocks)
            else:
                place.rename(aside)
                place.symlink_to(directory.parents[1] / "outside")


WRITERS: dict[str, tuple[Callable[[Path, int], None], int]] = {
    "small in place": (writes_in_place, 16),
    "large in place": (writes_in_place, 512),
    "all at once": (writes_all_at_once, 256),
    "cut": (cuts_and_appends, 64),
    "replaced": (replaces, 32),
    "links": (swaps_for_links, 4),
    "directories": (swaps_directories_for_links, 4),
}


class Writers:
    """Every writer at work, each in a process and a directory of its own."""

    def __init__(self, children: list[Child]) -> None:
        self._children = children

    def _all(self, number: signal.Signals) -> None:
        for child in self._children:
            os.kill(child.pid, number)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """No writer does anything meanwhile; each has ended the call that it was in."""
        self._all(signal.SIGSTOP)
        for child in self._children:
            os.waitid(os.P_PID, child.pid, os.WSTOPPED)
        yield
        self._all(signal.SIGCONT)

    def end(self) -> None:
        self._all(signal.SIGKILL)
        assert {finish(child)[0] for child in self._children} == {-signal.SIGKILL}, "a writer failed"


@contextmanager
def restless(workspace: Path) -> Iterator[Writers]:
    """A workspace full of writers, beside files that stand still."""
    for path, data in STILL.items():
        (workspace / path).parent.mkdir(exist_ok=True)
        (workspace / path).write_bytes(data)
    children = []
    for name, (writer, blocks) in WRITERS.items():
        (workspace / name).mkdir()
        children.append(start(lambda writer=writer, name=name, blocks=blocks: writer(workspace / name, blocks)))
    writers = Writers(children)
    try:
        yield writers
    finally:
        writers.end()


def mixed(data: bytes, *, block_by_block: bool) -> str:
    """Why a content was never there at any moment; empty when it may have been."""
    numbers = []
    for at in range(0, len(data), BLOCK):
        numbers.append(int(data[at : at + 15]))
        if data[at : at + BLOCK] != block(numbers[-1]):
            return f"block {at // BLOCK} is of two rounds"
    numbers = [number for number in numbers if number]  # 0: a block that the writer passes over
    steps = [(one, other) for one, other in itertools.pairwise(numbers) if one != other]
    half_written = len(steps) == 1 and steps[0][0] == steps[0][1] + 1
    return "" if not steps or (half_written and block_by_block) else f"blocks of the rounds {numbers}"


def judged(tree: Path) -> dict[str, bytes]:
    """The contents of the moving files in an exported snapshot. Raises ``AssertionError``."""
    held = {os.fspath(file.relative_to(tree)): file for file in tree.rglob("*") if file.is_file()}
    held = {path: file.read_bytes() for path, file in held.items() if not file.is_symlink()}
    assert {path: held.pop(path, None) for path in STILL} == STILL
    for path, data in held.items():
        assert SECRET not in data, f"{path} was read outside the workspace"
        writer = path.partition("/")[0]
        wrong = mixed(data, block_by_block=WRITERS[writer][0] is writes_in_place)
        assert not wrong, f"{path} was never so: {wrong}"
    return held


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_snapshot_of_a_moving_workspace_holds_what_was_never_there(backend, on_filesystem, request):
    workspace, outside, export = (on_filesystem / name for name in ("workspace", "outside", "export"))
    workspace.mkdir()
    outside.mkdir()
    (outside / "secret").write_bytes(SECRET.ljust(4 * BLOCK))
    takes = TAKES * (20 if request.config.getoption("--faults") == "all" else 1)
    seen: set[tuple[str, bytes]] = set()
    reasons: Counter[str] = Counter()
    limits = Limits(max_snapshots=10 * takes, max_total_size=0)
    with Engine(store=on_filesystem / "store", backend=backend, limits=limits) as engine:

        def take() -> str:
            outcome = engine.snapshot(workspace)
            assert isinstance(outcome, Taken | Unchanged)
            for left in outcome.left_out:
                assert left.path.partition("/")[0] in WRITERS
                assert left.reason is Reason.UNSTABLE or (left.reason is Reason.SPECIAL and "links" in left.path), left
                reasons[left.path.partition("/")[0]] += 1
            return (outcome.snapshot if isinstance(outcome, Taken) else outcome.latest).id

        with restless(workspace) as writers:
            for number in range(takes):
                there = {}
                if number % 4:
                    snapshot = take()
                else:
                    with writers.standing_still():
                        snapshot, there = take(), picture(workspace)
                assert not engine.export(workspace, snapshot, export).failed
                seen.update(judged(export).items())
                if there:
                    there = {path: one for path, one in there.items() if one.kind != "fifo"}
                    assert not difference(there, picture(export)), "what stood still by then was not looked at again"
                shutil.rmtree(export)
    rounds_seen = Counter(path.partition("/")[0] for path, _ in seen)
    print(f"\n{backend}: {takes} takes, {rounds_seen.total()} contents, left out: {dict(reasons)}")
    assert rounds_seen.keys() == WRITERS.keys()
    assert min(rounds_seen.values()) > takes // 4, "hardly anything moved"


def test_a_file_that_is_being_written_in_one_piece_is_waited_for(on_filesystem):
    """It has its new times before it has its new content, so no later look at it would tell."""
    workspace, export = on_filesystem / "workspace", on_filesystem / "export"
    workspace.mkdir()
    child = start(lambda: writes_all_at_once(workspace, 1024))
    held = 0
    try:
        with Engine(store=on_filesystem / "store", backend="shadow-git") as engine:
            for _ in range(40):
                assert isinstance(engine.snapshot(workspace), Taken | Unchanged)
                assert not engine.export(workspace, "1", export).failed
                for file in export.iterdir():
                    wrong = mixed(file.read_bytes(), block_by_block=False)
                    assert not wrong, f"it was never so: {wrong}"
                    held += 1
                shutil.rmtree(export)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        finish(child)
    assert held > 10, "it was hardly ever held, so nothing was tried"
