"""A content that damage takes, and what a repair says it took."""

import os

from hermes_checkpoints.contract import Mending
from hermes_checkpoints.results import Taken
from hermes_checkpoints.testing.witness import picture

LOST = os.urandom(20_000)


def take(engine, workspace):
    taken = engine.snapshot(workspace)
    assert isinstance(taken, Taken)
    return taken.snapshot


def lost_by(done):
    return {(one.snapshot, one.mended.path) for one in done.done if one.mended.what is Mending.LEFT_OUT}


def exported(engine, there, snapshot, name):
    target = there.workspace.parent / name
    assert not engine.export(there.workspace, snapshot.id, target).failed
    return picture(target)
