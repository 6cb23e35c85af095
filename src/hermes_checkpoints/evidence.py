"""What a snapshot would not have held, whatever was there: its own ignore rules."""

from hermes_checkpoints.contract import Backend, Entry, Kind, PathNotFound, split_path
from hermes_checkpoints.kit.ignore import RULE_FILES, Rules
from hermes_checkpoints.kit.reading import MAX_RULE_FILE


class RulesOfThen:
    """The ignore rules inside a snapshot.

    A file that came later and that these rules would have left out is not
    deleted by a restore of the snapshot: had it been there, the snapshot would
    not have held it either.
    """

    def __init__(self, backend: Backend, snapshot: str, excludes: tuple[str, ...]) -> None:
        self._backend = backend
        self._snapshot = snapshot
        top = Rules.root(excludes)
        self._inside: dict[tuple[str, ...], Rules] = {(): top.inside("", self._texts(()))}

    def ignore(self, path: str, entry: Entry) -> bool:
        """Whether a path, or a directory above it, is ignored by the snapshot's rules."""
        parts = split_path(path)
        for depth in range(len(parts)):
            is_dir = depth < len(parts) - 1 or entry.kind is Kind.DIR
            if self._rules(parts[:depth]).ignores(parts[depth], is_dir):
                return True
        return False

    def _rules(self, parts: tuple[str, ...]) -> Rules:
        if parts not in self._inside:
            self._inside[parts] = self._rules(parts[:-1]).inside(parts[-1], self._texts(parts))
        return self._inside[parts]

    def _texts(self, parts: tuple[str, ...]) -> tuple[bytes | None, bytes | None]:
        first, second = (self._text("/".join((*parts, name))) for name in RULE_FILES)
        return first, second

    def _text(self, path: str) -> bytes | None:
        try:
            entry = self._backend.entry(self._snapshot, path)
        except PathNotFound:
            return None
        if entry.kind is not Kind.FILE or entry.size > MAX_RULE_FILE:
            return None
        with self._backend.read(entry) as content:
            return content.read()
