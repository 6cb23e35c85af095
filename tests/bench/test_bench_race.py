"""Backends side by side in one run."""

import os

import pytest

from hermes_checkpoints import plugins
from hermes_checkpoints.bench import SCENARIOS, Lane, bare_walk, make_tree, run
from hermes_checkpoints.bench.race import steps
from hermes_checkpoints.bench.timing import listings
from hermes_checkpoints.bench.trees import Source, survey
from hermes_checkpoints.contract import CheckpointError, Saved, Scope, StoreError
from hermes_checkpoints.testing.witness import difference, picture

Sound = plugins.load("shadow-git")
NAMES = [one.name for one in SCENARIOS]


def backend(backend_name, saving=lambda save: save()):
    """A backend of that name that saves by way of ``saving``."""

    class Made(Sound):
        name = backend_name

        def save(self, *arguments):
            return saving(lambda: super(Made, self).save(*arguments))

    return Made


def raced(directory, *backends, rounds=2, lay_out=lambda tree: make_tree(tree, 30), big=100_000, **more):
    return run(directory, backends, lay_out, rounds=rounds, big=big, **more)


def test_backends_take_turns_so_that_a_machine_that_slows_down_slows_all(tmp_path):
    order = []
    both = [backend(name, lambda save, name=name: order.append(name) or save()) for name in ("one", "two")]
    told = []
    results = raced(tmp_path, *both, progress=told.append)
    assert order[:4] == ["one", "two", "two", "one"]  # two rounds of first snapshots
    assert told == list(range(1, steps(2, rounds=2) + 1))
    assert results.backends == ["one", "two"]
    assert [*results.samples] == NAMES
    assert all(len(samples) == 2 for of in results.samples.values() for samples in of.values())
    assert (results.files, results.size, results.edited, results.failed) == (30, 300_000, 30, {})


def test_a_backend_that_fails_half_way_costs_nobody_else_anything(tmp_path):
    saves = []

    def failing(save):
        saves.append(1)
        if len(saves) == 6:
            raise StoreError("the disk of this one is gone")
        return save()

    results = raced(tmp_path, Sound, backend("failing", failing))
    assert results.failed == {"failing": "the disk of this one is gone"}
    assert results.backends == [Sound.name]
    assert [*results.samples] == NAMES
    assert all([*measured] == [Sound.name] for measured in results.samples.values())


def test_a_backend_that_only_claims_to_save_is_not_called_fast(tmp_path):
    latest = []

    def blind(save):
        if not latest:
            latest.append(save().latest)
        return Saved(None, latest[0])

    told = raced(tmp_path, Sound, backend("blind", blind)).failed["blind"]
    assert "an edit was not noticed" in told


def test_a_tree_whose_rules_leave_the_big_file_out_is_measured_without_it(tmp_path):
    def lay_out(tree):
        make_tree(tree, 30)
        (tree / ".gitignore").write_text("*\n!*/\n!*.py\n!.gitignore\n")

    results = raced(tmp_path, Sound, lay_out=lay_out)
    assert [*results.samples] == NAMES[:-1]
    assert "ignore rules" in results.unmeasured[NAMES[-1]]
    assert results.disk[Sound.name].big_edit is None


def test_a_big_file_beyond_the_size_limit_is_measured_as_if_the_limit_were_higher(tmp_path):
    results = raced(tmp_path, Sound, big=300_000, scope=Scope(max_file_size=20_000))
    assert results.disk[Sound.name].big_edit > 290_000


def test_nothing_is_forgotten_meanwhile_so_the_disk_figures_say_what_they_hold(tmp_path):
    disk = raced(tmp_path, Sound, rounds=8).disk[Sound.name]
    assert disk.snapshots > 40
    assert disk.turns > disk.first


def test_each_edit_is_a_new_one_and_of_nothing_else(tmp_path):
    with Lane(Sound, tmp_path) as lane:
        make_tree(lane.tree, 30)
        lane.begin()
        seen = [picture(lane.tree)]
        for _ in range(3):
            lane.edit(2)
            seen.append(picture(lane.tree))
        edited = {os.fsencode(path) for path in lane.held.edited[:2]}
        for number, before in enumerate(seen):
            for after in seen[number + 1 :]:
                assert {path for path in before if before[path] != after[path]} == edited
        assert (lane.tree / lane.held.edited[0]).stat().st_size < 10_100  # lines do not pile up


def test_what_means_something_to_the_engine_or_to_others_is_not_edited(tmp_path):
    make_tree(tmp_path, 300)
    (tmp_path / ".gitignore").write_text("x\n")
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github" / "workflow.yml").write_text("x\n")
    (tmp_path / "linked").write_text("x\n")
    os.link(tmp_path / "linked", tmp_path / "linked too")
    (tmp_path / "read only").write_text("x\n")
    (tmp_path / "read only").chmod(0o444)
    (tmp_path / "link").symlink_to("linked")
    (tmp_path / "empty").touch()
    found = survey(tmp_path)
    assert found.files == 307
    assert len(set(found.edited)) == len(found.edited) == 100
    assert all(path.startswith("package") for path in found.edited)
    assert len({path.split("/")[0] for path in found.edited}) == 6


def test_the_yardstick_sees_every_name_at_any_depth_and_follows_no_link(tmp_path):
    here = tmp_path / "deep"
    here.mkdir()
    (here / "up").symlink_to("..")
    fd = os.open(here, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("a directory of some length", dir_fd=fd)
        below = os.open("a directory of some length", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    assert sum(len(entries) for _, entries in listings(tmp_path)) == 302
    bare_walk(tmp_path)


def test_a_copy_of_a_directory_is_what_a_snapshot_holds(tmp_path):
    project, copy = tmp_path / "project", tmp_path / "copy"
    project.mkdir()
    copy.mkdir()
    make_tree(project, 60)
    (project / "link").symlink_to("package0")
    before = picture(project)
    (project / ".venv").mkdir()
    source = Source.taken(project, tmp_path / "store", Sound, Scope(), room=10_000_000)
    source.lay_out(copy)
    source.close()
    assert difference(before, picture(copy)) == []


def test_a_copy_that_would_fill_the_disk_is_not_begun(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    (project / "file").write_bytes(os.urandom(1_000_000))
    with pytest.raises(CheckpointError, match="no room"):
        Source.taken(project, tmp_path / "store", Sound, Scope(), room=500_000)
