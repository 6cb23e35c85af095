"""How the space of a store divides between snapshots, and what forgetting gives back. Pure."""

from collections.abc import Iterable, Mapping


class Space:
    """Bytes by the set of snapshots that lean on them; snapshots are forgotten one after another.

    What several snapshots share comes back with the last of them.
    """

    def __init__(self, shares: Mapping[frozenset[str], int]) -> None:
        self._left = [set(holders) for holders in shares]
        self._bytes = list(shares.values())
        self._of: dict[str, list[int]] = {}
        for number, holders in enumerate(self._left):
            for snapshot in holders:
                self._of.setdefault(snapshot, []).append(number)

    def gives_back(self, snapshots: Iterable[str]) -> int:
        """What forgetting all of these would give back."""
        going = set(snapshots)
        touched = {number for snapshot in going for number in self._of.get(snapshot, ())}
        return sum(self._bytes[number] for number in touched if self._left[number] <= going)

    def forget(self, snapshots: Iterable[str]) -> int:
        """Forget these; what came back."""
        freed = 0
        for snapshot in snapshots:
            for number in self._of.pop(snapshot, ()):
                self._left[number].discard(snapshot)
                freed += 0 if self._left[number] else self._bytes[number]
        return freed
