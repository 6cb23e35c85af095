"""Putting files back: the one implementation, for every backend.

Writes come first and deletions last, so a disk that fills up costs nothing.
Each file is the old one or the new one at every moment, also after a power cut.
"""

from collections.abc import Callable
from pathlib import Path

from hermes_checkpoints.carrying import Applied, Carrying, Options
from hermes_checkpoints.contract import Backend, Stamp
from hermes_checkpoints.kit.store.publish import FEW, sync_filesystem
from hermes_checkpoints.kit.write.building import remove
from hermes_checkpoints.kit.write.portion import Portion
from hermes_checkpoints.kit.write.reaching import Opened, sync_directories, tell_nobody
from hermes_checkpoints.kit.write.writing import TreeWriter
from hermes_checkpoints.planned import is_directory, scratch_directories, spellings, together
from hermes_checkpoints.policy.plan import Action, Plan
from hermes_checkpoints.results import Failure


def apply(
    plan: Plan,
    root: Path,
    backend: Backend,
    stamp: Callable[[str], Stamp | None],
    options: Options = Options(),
    *,
    token: str = "",
    opened: Opened = tell_nobody,
) -> Applied:
    """Carry out a plan below ``root``.

    ``stamp`` gives each path's stat as the safety snapshot saw it; a path that
    has moved since is kept. Per-path failures are reported, not raised.
    ``token`` (eight hex digits) is in the name of whatever is written beside a
    file, and ``opened`` is told of each read-only directory and its mode before
    it is opened up for the while: what ``sweep`` needs after a kill.
    """
    done = Applied(kept=[Failure(step.path, step.reason) for step in plan.of(Action.KEEP)])
    many = len(plan.steps) > FEW
    with (
        TreeWriter(root, durable=not many, token=token, opened=opened) as writer,
        Portion(writer, root) as portion,
    ):
        carry = Carrying(writer, portion, backend, stamp, options, done, spellings(plan))
        writes = [step for step in plan.steps if step.action in (Action.WRITE, Action.ATTRIBUTES)]
        late = [step for step in writes if carry.waits(step)]
        for steps in together(writes):
            directory = is_directory(steps[0].after)
            if not (many and directory and carry.build(steps)):
                carry.write_all(steps, at_once=many and not directory)
        carry.put()
        for step in carry.again:
            carry.do(carry.write, step)
        carry.put()
        for step in reversed(plan.of(Action.DELETE)):
            carry.do(carry.delete, step)
        for step in late:
            carry.do(carry.write, step)
        carry.put()
        for scratch, path in list(writer.left.items()):
            if not remove(writer, path, scratch):
                done.failed.append(Failure(path, f"{scratch}, which was begun beside it, is left"))
                done.stopped = done.stopped or "what was begun beside a path could not be removed"  # the note stays
    for path, error in writer.troubles.items():
        carry.failed(path, error)
        done.written[:] = (written for written in done.written if written != path)
    try:
        if many:
            sync_filesystem(root)
        else:
            sync_directories(root, scratch_directories(plan))
    except OSError as error:
        done.failed.append(Failure(".", f"what was done may not be on the disk: {error.strerror}"))
    if many:
        order = {step.path: number for number, step in enumerate(plan.steps)}
        done.written.sort(key=order.__getitem__)
    return done
