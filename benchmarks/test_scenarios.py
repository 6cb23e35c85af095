"""The same scenarios for every installed backend; run with ``make bench``."""

import itertools
import shutil

import pytest

from hermes_checkpoints import Engine, plugins
from workload import change_one, make_tree, source_text

FILES = 1000


@pytest.fixture(params=sorted(plugins.offers()))
def engine(request, tmp_path):
    with Engine(store=tmp_path / "base", backend=request.param) as engine:
        yield engine


@pytest.fixture
def tree(tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    make_tree(tree, FILES)
    return tree


def test_first_snapshot(benchmark, engine, tree, tmp_path):
    numbers = itertools.count()

    def another_workspace():
        copy = tmp_path / f"copy{next(numbers)}"
        shutil.copytree(tree, copy)
        return (copy,), {}

    benchmark.pedantic(engine.snapshot, setup=another_workspace, rounds=5)


def test_nothing_changed(benchmark, engine, tree):
    engine.snapshot(tree)
    benchmark(engine.snapshot, tree)


def test_one_file_changed(benchmark, engine, tree):
    engine.snapshot(tree)
    turns = itertools.count()

    def change():
        change_one(tree, next(turns))
        return (tree,), {}

    benchmark.pedantic(engine.snapshot, setup=change, rounds=20)


def test_a_hundred_files_changed(benchmark, engine, tree):
    engine.snapshot(tree)
    turns = itertools.count()

    def change():
        turn = next(turns)
        for number, path in enumerate(sorted(tree.rglob("*.py"))[:100]):
            path.write_bytes(source_text(10_000 * (turn + 1) + number))
        return (tree,), {}

    benchmark.pedantic(engine.snapshot, setup=change, rounds=10)


def test_one_file_restored(benchmark, engine, tree):
    engine.snapshot(tree)
    turns = itertools.count()
    target = engine.list(tree)[0].id

    def change():
        change_one(tree, next(turns))
        return (tree, target), {}

    benchmark.pedantic(engine.restore, setup=change, rounds=10)


def test_everything_restored(benchmark, engine, tree):
    engine.snapshot(tree)
    target = engine.list(tree)[0].id

    def destroy():
        shutil.rmtree(tree)
        return (tree, target), {}

    benchmark.pedantic(engine.restore, setup=destroy, rounds=3)


def test_list(benchmark, engine, tree):
    for turn in range(20):
        change_one(tree, turn)
        engine.snapshot(tree)
    assert len(benchmark(engine.list, tree)) == 20
