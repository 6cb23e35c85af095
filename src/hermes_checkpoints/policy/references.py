"""What a person means by a number or the beginning of an id."""

from collections.abc import Sequence

from hermes_checkpoints.contract import AmbiguousId, Snapshot, SnapshotNotFound

# Git's own least length for an abbreviation.
SHORTEST = 4


def resolve(ref: str, snapshots: Sequence[Snapshot]) -> Snapshot:
    """The snapshot that ``ref`` means: an id, the beginning of one, or a number from the list (1 is the newest).

    ``snapshots`` is that list. Four characters and more are the beginning of
    an id when there is one. Raises ``SnapshotNotFound`` or ``AmbiguousId``.
    """
    wanted = ref.lower()
    if len(wanted) >= SHORTEST:
        fitting = [snapshot for snapshot in snapshots if snapshot.id.startswith(wanted)]
        if len(fitting) > 1:
            ids = ", ".join(snapshot.id[: len(wanted) + 6] for snapshot in fitting)
            raise AmbiguousId(f"{ref!r} is the beginning of {len(fitting)} ids: {ids}. Give more of it.")
        if fitting:
            return fitting[0]
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 10 and 1 <= int(wanted) <= len(snapshots):
        return snapshots[int(wanted) - 1]
    raise SnapshotNotFound(f"no snapshot {ref!r}; the list has {len(snapshots)}, see `list`. Nothing was changed.")
