"""What backends cost, measured side by side in one run: the same scenarios for each of them.

::

    from hermes_checkpoints.bench import SCENARIOS, Lane, make_tree, run, verdict

    results = run(scratch, ["cow", "shadow-git"], lambda tree: make_tree(tree, 5000), rounds=7)
    results.median("one-file", "cow")     # milliseconds
    results.ratio("one-file", "cow")      # to a bare walk of the same tree, taken just before each sample
    print(verdict(results).sentence)

A :class:`Lane` is one backend at work in a tree and a store of its own; a
:class:`Scenario` is something that is timed in it. Whoever has another clock
(pytest-benchmark, a profiler) does ``lane.begin()`` once, then again and again
``scenario.prepare(lane)``, untimed, and ``scenario.act(lane)``. No scenario
names a backend, so one that is installed as a plugin is measured like the rest;
``candidates(directory, scratch).usable`` are their names.
"""

from hermes_checkpoints.bench.candidates import Candidates, candidates
from hermes_checkpoints.bench.lane import Lane
from hermes_checkpoints.bench.race import run
from hermes_checkpoints.bench.results import Disk, Results, Sample
from hermes_checkpoints.bench.scenarios import SCENARIOS, Scenario
from hermes_checkpoints.bench.scratch import scratch
from hermes_checkpoints.bench.timing import bare_walk, timed
from hermes_checkpoints.bench.trees import make_tree
from hermes_checkpoints.bench.verdict import Verdict, verdict

__all__ = [
    "SCENARIOS",
    "Candidates",
    "Disk",
    "Lane",
    "Results",
    "Sample",
    "Scenario",
    "Verdict",
    "bare_walk",
    "candidates",
    "make_tree",
    "run",
    "scratch",
    "timed",
    "verdict",
]
