"""What the last line of a bench says, from figures."""

import pytest

from hermes_checkpoints.bench import SCENARIOS, Disk, Results, Sample, verdict
from hermes_checkpoints.bench.scenarios import BIG_EDIT

MB = 1 << 20


def measured(scatter=0.02, failed=(), **backends):
    """Results of backends, each given as (milliseconds of everything, megabytes, milliseconds of the big edit)."""
    samples = {
        one.name: {
            name: [Sample(spent * (1 + way * scatter), 1.0) for way in (-1, 0, 1) for spent in [_spent(one, *figures)]]
            for name, figures in backends.items()
        }
        for one in SCENARIOS
    }
    disk = {name: Disk(figures[1] * MB // 2, figures[1] * MB, 20, 4096) for name, figures in backends.items()}
    return Results(5000, 50_000_000, 100, 64_000_000, samples, disk, dict(failed))


def _spent(scenario, everything, _megabytes, big=1.0):
    return big if scenario.name == BIG_EDIT else everything


@pytest.mark.parametrize(
    ("cow", "git", "default", "used", "said"),
    [
        ((10, 100), (30, 100), "git", "cow", "use cow"),  # clearly faster
        ((30, 100), (10, 100), "cow", "git", "use git"),
        ((10, 100), (11, 100), "cow", "cow", "does not matter"),  # hardly faster
        ((10, 100), (11, 100), "git", "git", "does not matter"),
        ((10, 100), (10, 100), "git", "git", "keep git, the default"),
        ((10, 400), (11, 100), "cow", "git", "that of cow"),  # as fast, and clearly smaller
        ((10, 1), (11, 30), "git", "git", "does not matter"),  # thirty times as large, and still nothing
        ((10, 400), (15, 100), "cow", "git", "not worth the disk"),  # faster, at too high a price
        ((10, 400), (15, 100), "git", "git", "not worth the disk"),
        ((10, 400), (20, 100), "git", "cow", "although its store takes"),  # at half the cost disk is well spent
        ((10, 400), (20, 100), "cow", "cow", "although its store takes"),
        ((10, 100), (30, 400), "git", "cow", "use cow"),
    ],
)
def test_nobody_is_sent_to_a_backend_that_is_slower_or_larger_for_nothing(cow, git, default, used, said):
    told = verdict(measured(cow=cow, git=git), default, "xfs")
    assert told.backend == used
    assert said in told.sentence
    assert told.sentence.startswith("On this filesystem (xfs), for this tree (5,000 files, 50.0 MB), ")
    assert told.sentence.endswith(".")


def test_the_order_of_the_backends_decides_nothing():
    one = verdict(measured(cow=(10, 400), git=(15, 100)), "cow").sentence
    assert one == verdict(measured(git=(15, 100), cow=(10, 400)), "cow").sentence


def test_noise_is_not_called_a_difference():
    figures = {"cow": (10, 100), "git": (13, 100)}
    assert verdict(measured(scatter=0.02, **figures), "git").backend == "cow"
    told = verdict(measured(scatter=0.5, **figures), "git")
    assert told.backend == "git"
    assert "less than the samples scatter" in told.sentence


def test_a_single_sample_decides_nothing():
    results = measured(cow=(10, 100), git=(30, 100))
    for measurements in results.samples.values():
        for samples in measurements.values():
            del samples[1:]
    assert verdict(results, "git").backend == "git"


def test_the_reason_is_what_makes_the_difference_and_nothing_else():
    results = measured(cow=(10, 100), git=(10, 100))
    results.samples["first"]["git"][:] = [Sample(9000.0, 1.0)] * 3
    sentence = verdict(results, "git").sentence
    assert "because first snapshot takes 10.0 ms instead of 9.0 s." in sentence
    assert "one file changed" not in sentence


def test_big_files_are_spoken_of_where_they_make_a_difference():
    assert "files of 64.0 MB" not in verdict(measured(cow=(10, 100, 20), git=(30, 100, 30)), "git").sentence
    told = verdict(measured(cow=(10, 100, 12), git=(10, 100, 1900)), "git").sentence
    assert "where files of 64.0 MB are edited, a turn costs 1.9 s with git and 12.0 ms with cow" in told


def test_what_could_not_be_measured_is_named_with_the_reason():
    results = measured(cow=(10, 100), failed={"mine": "it broke."})
    told = verdict(results, "git", unusable={"git": "git is not installed."})
    assert told.backend == "cow"
    assert "nothing else could be measured" in told.sentence
    assert told.sentence.endswith(
        "; git cannot be used here: git is not installed; mine cannot be used here: it broke."
    )


def test_three_backends_have_one_winner():
    told = verdict(measured(cow=(30, 100), git=(20, 100), mine=(10, 100)), "cow")
    assert told.backend == "mine"
    assert "with git" in told.sentence  # the next best one is what it is held against


def test_nothing_measured_is_no_verdict():
    with pytest.raises(ValueError, match="nothing was measured"):
        verdict(measured(), "cow")
