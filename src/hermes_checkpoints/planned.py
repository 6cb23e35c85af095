"""What follows from a plan before it is carried out: the directories it changes, and names that may be one entry."""

from collections.abc import Iterator

from hermes_checkpoints.contract import Entry, Kind
from hermes_checkpoints.kit.write.spelling import fold
from hermes_checkpoints.policy.plan import Action, Plan, Step


def scratch_directories(plan: Plan) -> tuple[str, ...]:
    """The directories (``""``: the root) in which ``apply``, when it is killed, may leave something beside a file."""
    changed = (step.path for step in plan.steps if step.action in (Action.WRITE, Action.ATTRIBUTES) and step.path)
    return tuple(sorted({path.rpartition("/")[0] for path in changed}))


def emptied_directories(plan: Plan) -> Iterator[str]:
    """The directories in which names go away."""
    return (step.path.rpartition("/")[0] for step in plan.of(Action.DELETE))


def spellings(plan: Plan) -> dict[str, Step]:
    """By the path that is created: what is there under another spelling of it, to be deleted (or a directory, kept).

    Where a filesystem does not tell the two apart, they are one entry.
    """
    created = {step.path: fold(step.path) for step in plan.of(Action.WRITE) if step.before is None}
    goes = [*plan.of(Action.DELETE), *(step for step in plan.of(Action.KEEP) if is_directory(step.before))]
    if not created or not goes:
        return {}
    wanted = set(created.values())
    there = {key: step for step in goes if (key := fold(step.path)) in wanted}
    return {path: there[key] for path, key in created.items() if key in there}


def is_directory(entry: Entry | None) -> bool:
    return entry is not None and entry.kind is Kind.DIR
