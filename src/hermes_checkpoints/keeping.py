"""What a restore leaves as it is, although it differs: what its target cannot judge, and what was edited since."""

from collections.abc import Collection, Iterator

from hermes_checkpoints import across
from hermes_checkpoints.across import Held, is_foreign
from hermes_checkpoints.carrying import SET_ID
from hermes_checkpoints.contract import Backend, Change, Kind, Scope, Snapshot, same
from hermes_checkpoints.evidence import HermesThen, RulesOfThen
from hermes_checkpoints.policy.plan import Keep


def unknown_then(backend: Backend, target: Snapshot, scope: Scope, changes: list[Change]) -> Keep:
    """Keeps what came later and what the target's own rules would have left out: its absence is no evidence."""
    if is_foreign(backend):
        then = HermesThen(backend, target.id, scope.max_file_size, changes)
        return lambda change: then.why(change.path, change.before) if change.before and change.after is None else None
    rules = RulesOfThen(backend, target.id, scope.excludes)

    def keep(change: Change) -> str | None:
        gone = change.before is not None and change.after is None
        if gone and change.before is not None and rules.ignore(change.path, change.before):
            return "the snapshot's own rules would have left it out"
        return None

    return keep


def edited_since(references: Collection[Held], scope: Scope, present: Held | None, *, unfinished: bool) -> Keep:
    """Keeps the paths that are as none of the references has them: somebody changed them since.

    ``present`` is ``None`` for the live workspace. ``unfinished``: a restore was
    interrupted, which leaves directories with modes that no state had.
    """
    found = [_edited(across.changes(one, present, scope)) for one in references]
    edited = set.intersection(*(set(one) for one in found))

    def keep(change: Change) -> str | None:
        if change.path not in edited:
            return None
        if any(one[change.path] for one in found) and unfinished:
            return None
        return "it was edited after the restore"

    return keep


def _edited(changes: Iterator[Change]) -> dict[str, bool]:
    """The paths that somebody changed, and of each whether it was and is a directory, with other attributes."""
    return {
        change.path: all(entry is not None and entry.kind is Kind.DIR for entry in (change.before, change.after))
        for change in changes
        if not _lost_set_id_only(change)
    }


def _lost_set_id_only(change: Change) -> bool:
    """Whether the restore itself made the difference: it drops setuid and setgid of files."""
    before, after = change.before, change.after
    if before is None or after is None or before.kind is not Kind.FILE:
        return False
    return same(before._replace(mode=before.mode & ~SET_ID), after)
