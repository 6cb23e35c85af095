"""Every backend through the same scenarios, in turn, so that a machine whose speed drifts drifts for all of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from hermes_checkpoints.bench.lane import Lane, Unmeasurable
from hermes_checkpoints.bench.results import Disk, Results, Sample
from hermes_checkpoints.bench.scenarios import SCENARIOS, Scenario
from hermes_checkpoints.bench.timing import bare_walk, timed
from hermes_checkpoints.bench.trees import LayOut
from hermes_checkpoints.contract import Backend, CheckpointError, Progress, Scope, silent

ROUNDS = 7
# Of scenarios whose cost is the tree's size.
SLOW_ROUNDS = 3
_BIG = 64_000_000
_FIRST, *_BETWEEN, _BIG_EDIT = SCENARIOS


def run(
    directory: Path,
    backends: Sequence[str | type[Backend]],
    lay_out: LayOut,
    *,
    rounds: int = ROUNDS,
    big: int = _BIG,
    scope: Scope = Scope(),
    progress: Progress = silent,
) -> Results:
    """Measure each backend in a lane of its own below ``directory``, which is empty and stays the caller's.

    ``lay_out`` fills the tree of each. ``big``: bytes of the big file, 0 for
    none. ``progress`` is told the number of samples taken, of ``steps(...)``.
    A backend that fails is left out of the rest and told in ``Results.failed``.
    """
    with ExitStack() as stack:
        race = _Race(rounds, progress)
        for backend in backends:
            name = backend if isinstance(backend, str) else backend.name
            (directory / name).mkdir()
            lane = stack.enter_context(Lane(backend, directory / name, scope=scope, big=big))
            lay_out(lane.tree)
            lane.begin()
            race.lanes.append(lane)
        tree = race.lanes[0].held
        disk = race.run(with_big=big > 0)
        kept = {name: {b: s for b, s in of.items() if b in disk} for name, of in race.samples.items()}
        return Results(
            tree.files,
            tree.size,
            len(tree.edited),
            big,
            {name: of for name, of in kept.items() if of},
            disk,
            race.failed,
            race.unmeasured,
        )


def steps(backends: int, *, rounds: int = ROUNDS, big: int = _BIG) -> int:
    """How many samples ``run`` takes when nothing fails."""
    return backends * sum(_rounds(one, rounds) for one in SCENARIOS if big or one is not _BIG_EDIT)


def _rounds(scenario: Scenario, rounds: int) -> int:
    return min(rounds, SLOW_ROUNDS) if scenario.slow else rounds


class _Race:
    """One run: the lanes that are still in it, and the samples so far."""

    def __init__(self, rounds: int, progress: Progress) -> None:
        self.lanes: list[Lane] = []
        self.samples: dict[str, dict[str, list[Sample]]] = {}
        self.failed: dict[str, str] = {}
        self.unmeasured: dict[str, str] = {}
        self._rounds = rounds
        self._progress = progress
        self._taken = 0

    def run(self, *, with_big: bool) -> Mapping[str, Disk]:
        """Every scenario; what the stores then take, by backend."""
        self._measure(_FIRST)
        first = self._each(Lane.stored)
        self._measure(*(one for one in _BETWEEN if not one.slow))
        self._measure(*(one for one in _BETWEEN if one.slow))
        turns = self._each(Lane.stored)
        snapshots = self._each(lambda lane: len(lane.engine.list(lane.tree)))
        grown: dict[str, int] = {}
        if with_big:
            grown = self._big()
        return {
            name: Disk(first[name], turns[name], snapshots[name], grown.get(name))
            for name in first
            if name not in self.failed
        }

    def _big(self) -> dict[str, int]:
        try:
            for lane in [*self.lanes]:
                with self._blaming(lane):
                    lane.add_big()
        except Unmeasurable as error:
            self.unmeasured[_BIG_EDIT.name] = str(error)
            return {}
        before = self._each(Lane.stored)
        self._measure(_BIG_EDIT)
        edits = _rounds(_BIG_EDIT, self._rounds)
        return {name: (after - before[name]) // edits for name, after in self._each(Lane.stored).items()}

    def _measure(self, *scenarios: Scenario) -> None:
        for turn in range(max((_rounds(one, self._rounds) for one in scenarios), default=0)):
            for scenario in scenarios:
                for lane in self._rotated(turn):
                    with self._blaming(lane):
                        sample = _sample(lane, scenario)
                        self.samples.setdefault(scenario.name, {}).setdefault(lane.backend, []).append(sample)
                    self._taken += 1
                    self._progress(self._taken)

    def _each(self, ask: Callable[[Lane], int]) -> dict[str, int]:
        """Something asked of every lane, by backend."""
        answers = {}
        for lane in [*self.lanes]:
            with self._blaming(lane):
                answers[lane.backend] = ask(lane)
        return answers

    def _rotated(self, turn: int) -> list[Lane]:
        first = turn % max(1, len(self.lanes))
        return [*self.lanes[first:], *self.lanes[:first]]

    @contextmanager
    def _blaming(self, lane: Lane) -> Iterator[None]:
        """What a backend cannot do costs nobody but itself."""
        try:
            yield
        except CheckpointError as error:
            self.failed[lane.backend] = str(error)
            self.lanes.remove(lane)


def _sample(lane: Lane, scenario: Scenario) -> Sample:
    bare_walk(lane.tree)  # what went before may have thrown out of the caches what a tree in use has there
    walk = timed(lambda: bare_walk(lane.tree))
    scenario.prepare(lane)
    return Sample(timed(lambda: scenario.act(lane)), walk)
