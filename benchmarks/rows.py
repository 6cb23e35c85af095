"""What is measured for each row of the table of targets; each measurement in a process of its own.

``python rows.py ROW BACKEND PLACE OPTIONS`` prints samples by name, as JSON; ``targets.py`` starts it.
What is compared alternates within one run, so that a machine whose speed drifts does so for both.
"""

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "tests"), str(ROOT / "tests" / "real_hermes")]

from hermes_checkpoints import Engine, Limits
from hermes_checkpoints.kit.store.space import space_of
from measurement import ROWS, Measurement, row
from rivals import Hermes, Unedit
from workload import change_one, trees
from yardsticks import Absent, copy_all, git_add, run, timed, used

BIG = 1 << 30


def _turns(at: Measurement, name: str) -> None:
    tree = at.tree(name)
    edited = trees(None)[name].edited
    with at.engine() as engine:
        engine.snapshot(tree)
        for turn in range(at.rounds):
            at.walked(tree)
            at.time("unchanged", lambda: engine.snapshot(tree))
            change_one(tree, turn, edited)
            at.time("turn", lambda: engine.snapshot(tree))


@row("small")
def turn(at: Measurement) -> None:
    """Turns on 5,000 files, nothing changed and one file changed."""
    _turns(at, "small")


@row("linux")
def linux_turn(at: Measurement) -> None:
    """Turns on the Linux source, and the most memory that this process, which took the first snapshot too, ever had."""
    _turns(at, "linux")
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    at.note("peak MB", int(peak.split()[1]) * 1024 / 1e6)


@row("linux")
def watched_turn(at: Measurement) -> None:
    """Turns on the Linux source by an engine that is told which directories may have changed."""
    if importlib.util.find_spec("inotify_simple") is None:
        raise Absent("the extra `watch` is not installed")
    tree = at.tree("linux")
    with at.engine(watch=True) as engine:
        for turn in range(at.rounds + 2):
            change_one(tree, turn, trees(None)["linux"].edited)
            spent = timed(lambda: engine.snapshot(tree))
            if turn >= 2:  # the first stores everything, the second is the first that knows the tree
                at.note("turn", spent)


@row("small", "twin")
def held(at: Measurement) -> None:
    """A turn where 20 snapshots are held and one is forgotten, beside one in an equal tree where none is."""
    full, free = at.tree("small"), at.tree("twin")
    with at.engine("full", Limits()) as keeping, at.engine("free") as adding:
        for turn in range(Limits().max_snapshots):
            change_one(full, turn)
            keeping.snapshot(full)
        adding.snapshot(free)
        for turn in range(at.rounds):
            change_one(free, 100 + turn)
            at.time("turn", lambda: adding.snapshot(free))
            change_one(full, 100 + turn)
            at.time("at the limit", lambda: keeping.snapshot(full))


def _first(at: Measurement, name: str, rounds: int) -> None:
    tree = at.tree(name)
    for number in range(rounds):
        if at.backend == "cow":
            with at.fresh("copy") as target:
                at.note("cp", copy_all(tree, target, "always" if at.clones else "auto"))
        else:
            with at.fresh("plain.git") as store:
                at.note("git add", git_add(tree, store))
        with at.fresh(f"base{number}") as store, at.engine(store.name) as engine:
            at.time("first", lambda engine=engine: engine.snapshot(tree))
            at.note("tree MB", space_of(tree).apparent / 1e6)
            at.note("store MB", space_of(store).real / 1e6)


@row("small")
def first(at: Measurement) -> None:
    """First snapshots of 5,000 files, each into a store of its own, beside what would copy or pack them."""
    _first(at, "small", max(3, at.rounds // 3))


@row("linux")
def linux_first(at: Measurement) -> None:
    """The same of the Linux source."""
    _first(at, "linux", 1)  # git takes half a minute of it


@row("small", "twin")
def big_file(at: Measurement) -> None:
    """Turns with 1 GB in the tree of which 4 kB change, beside the same turns of an equal tree without it."""
    if not at.clones:
        raise Absent("no clones on this filesystem: a file over the size limit is left out")
    with_it, without = at.tree("twin"), at.tree("small")
    big = with_it / "big"
    with big.open("wb") as file:
        for _ in range(BIG >> 20):
            file.write(os.urandom(1 << 20))
    try:
        with at.engine("with") as heavy, at.engine("without") as light, big.open("r+b", buffering=0) as file:
            heavy.snapshot(with_it)
            light.snapshot(without)
            before = used(at.place)
            for turn in range(at.rounds):
                change_one(without, turn)
                at.time("without", lambda: light.snapshot(without))
                change_one(with_it, turn)
                file.seek((turn * 7_919 * 4096) % BIG)
                file.write(os.urandom(4096))
                at.time("with", lambda: heavy.snapshot(with_it))
            at.note("grown MB", (used(at.place) - before) / 1e6 / at.rounds)
    finally:
        big.unlink()


def _after_an_edit(at: Measurement, name: str, act: Callable[[Engine, Path], object]) -> None:
    """What something costs when one file differs from the newest snapshot, beside the walk."""
    tree = at.tree("small")
    with at.engine() as engine:
        for turn in range(at.rounds):
            engine.snapshot(tree)
            change_one(tree, turn)
            at.walked(tree)
            at.time(name, lambda: act(engine, tree))


@row("small")
def restore_one(at: Measurement) -> None:
    """Restores of all that changed, which is one file, the safety snapshot included."""
    _after_an_edit(at, "restore", lambda engine, tree: engine.restore(tree, "1"))


@row("small")
def restore_all(at: Measurement) -> None:
    """Restores of the whole tree after it was removed, beside a copy of the same tree."""
    tree = at.tree("small")
    with at.engine() as engine:
        target = engine.snapshot(tree).snapshot.id
        for _ in range(max(3, at.rounds // 3)):
            with at.fresh("copy") as copy:
                at.note("cp", copy_all(tree, copy, "auto"))
            shutil.rmtree(tree)
            os.sync()
            at.time("restore", lambda: engine.restore(tree, target))


@row("tiny")
def listing(at: Measurement) -> None:
    """Lists of 20 and of 2,000 snapshots, by an engine that has just been made."""
    tree = at.tree("tiny")
    with at.engine() as engine:
        for number in range(2_000):
            change_one(tree, number)
            engine.snapshot(tree, f"turn {number}")
            if number + 1 in (20, 2_000):
                for _ in range(at.rounds):
                    with at.engine() as another:
                        at.time(f"list {number + 1}", lambda another=another: another.list(tree))


@row("small")
def diff(at: Measurement) -> None:
    """Diffs of the tree against its newest snapshot, one file changed since."""
    _after_an_edit(at, "diff", lambda engine, tree: [*engine.diff(tree, "1")])


@row("small", "twin")
def process(at: Measurement) -> None:
    """The command as a whole process, one file changed, beside unedit's; each has a tree of its own."""
    tree, other = at.tree("small"), at.tree("twin")
    command = [Path(sys.executable).with_name("hermes-checkpoints"), "--store", at.place / "base"]
    command += ["snapshot", "--backend", at.backend]
    unedit = Unedit(at.kept, other, at.place)
    for turn in range(at.rounds):
        for directory in (tree, other):
            change_one(directory, turn)
        spent = timed(unedit.save), timed(lambda: run(*command, cwd=tree))
        if turn:  # the first ones store everything
            at.note("unedit", spent[0])
            at.note("command", spent[1])
    unedit.close()


@row("library")
def library_first(at: Measurement) -> None:
    """The same of the standard library of Python: source text that is always there."""
    _first(at, "library", 1)


@row("few", "many")
def growth(at: Measurement) -> None:
    """Turns on 5,000 and on 100,000 files of 1 kB."""
    few, many = at.tree("few"), at.tree("many")
    with at.engine() as engine:
        for tree in (few, many):
            engine.snapshot(tree)
        for turn in range(at.rounds):
            for tree, name, files in ((few, "5,000 µs a file", 5_000), (many, "100,000 µs a file", 100_000)):
                change_one(tree, turn)
                at.note(name, timed(lambda tree=tree: engine.snapshot(tree)) * 1000 / files)


@row("small", "twin")
def hermes(at: Measurement) -> None:
    """Both modules as Hermes Agent calls them, in processes of its own that take turns."""
    limit = Limits().max_snapshots
    stock = Hermes(at.kept, at.tree("small"), at.place / "stock", None, limit)
    ours = Hermes(at.kept, at.tree("twin"), at.place / "ours", at.backend, limit)
    for turn in range(limit + max(3, at.rounds // 3)):
        for prefix, module in (("hermes ", stock), ("", ours)):
            change_one(module.tree, turn)
            work = "first" if not turn else "turn" if turn < limit else "at the limit"
            at.time(prefix + work, module.save)
            assert module.saved, "nothing was taken"
            if limit // 2 <= turn < limit // 2 + limit // 4:  # at the limit its list is out of date at once
                listed: list[dict[str, str]] = []
                at.time(prefix + "list", lambda module=module, listed=listed: listed.extend(module.list()))
                before = listed[1]["hash"]
                at.time(prefix + "diff", lambda module=module, before=before: module.diff(before))
                at.time(prefix + "restore", lambda module=module, before=before: module.restore(before))
    for module in (stock, ours):
        module.close()


def main() -> None:
    name, backend, place, options = sys.argv[1:]
    asked = json.loads(options)
    paths = {key: Path(asked[key]) for key in ("trees", "walk", "kept")}
    at = Measurement(backend, Path(place), clones=asked["clones"], rounds=asked["rounds"], **paths)
    _, measure = ROWS[name]
    try:
        measure(at)
    except Absent as why:
        print(json.dumps({"skipped": str(why)}))
    else:
        print(
            json.dumps({"samples": {name: [round(value, 4) for value in found] for name, found in at.samples.items()}})
        )


if __name__ == "__main__":
    main()
