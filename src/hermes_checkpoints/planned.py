"""What follows from a plan before it is carried out: the directories it changes, and names that may be one entry."""

from collections.abc import Iterable, Iterator

from hermes_checkpoints.contract import Entry, Kind
from hermes_checkpoints.kit.write.portion import BYTES, FILES
from hermes_checkpoints.kit.write.spelling import fold
from hermes_checkpoints.policy.plan import Action, Plan, Step


def scratch_directories(plan: Plan) -> tuple[str, ...]:
    """The directories (``""``: the root) in which ``apply``, when it is killed, may leave something beside a file."""
    changed = (step.path for step in plan.steps if step.action is not Action.KEEP and step.path)
    return tuple(sorted({path.rpartition("/")[0] for path in changed}))


def read_only_directories(plan: Plan) -> dict[str, int]:
    """The directories in a plan that have to be opened up for it, with their modes."""
    entries = ((step.path, step.before) for step in plan.steps)
    return {
        path: entry.mode for path, entry in entries if is_directory(entry) and entry and entry.mode & 0o300 != 0o300
    }


def together(steps: Iterable[Step]) -> Iterator[list[Step]]:
    """The steps, in order: what is made at once in one list.

    That is a directory that is not there yet with all that is to be in it, and
    files that are not there yet, of one directory and up to a portion of them. Others are alone.
    """
    found: list[Step] = []
    inside, beside, size = "", None, 0
    for step in steps:
        new = step.after if step.before is None else None
        above = step.path.rpartition("/")[0] if new is not None and new.kind is Kind.FILE else None
        size += new.size if new is not None else 0
        fits = len(found) < FILES and size < BYTES
        if (inside and step.path.startswith(inside)) or (fits and above is not None and above == beside):
            found.append(step)
            continue
        if found:
            yield found
        found, beside, size = [step], above, new.size if new is not None else 0
        inside = f"{step.path}/" if is_directory(new) else ""
    if found:
        yield found


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
