"""How things are shown: with colour on a terminal, as plain columns in a pipe, or as JSON.

rich is imported only when something is drawn on a terminal, json only with ``--json``.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hermes_checkpoints.cli.arguments import PROGRAM
from hermes_checkpoints.wording import harmless

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from hermes_checkpoints.results import BackendReport

LINES = 40  # of a long list, on a terminal


def fit(report: "BackendReport") -> tuple[str, str]:
    """In a word and in a sentence: how well a backend can serve a directory."""
    if report.fitness is None:
        return "broken", harmless(report.error or "it does not load")
    return report.fitness.suitability.name.lower().replace("_", " "), harmless(report.fitness.why)


def leave_stdout() -> None:
    """Let the interpreter's last flush go nowhere, instead of into a pipe that is gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    finally:
        os.close(nowhere)


class Screen:
    """Standard output and standard error, for one command."""

    def __init__(self, *, json: bool) -> None:
        self.json = json
        self.terminal = not json and sys.stdout.isatty()
        """Whether a person reads standard output."""
        self._warned: set[str] = set()
        self._console: Console | None = None
        self._status: Status | None = None
        self._doing = self._counting = ""

    def document(self, document: Mapping[str, object]) -> None:
        """Print one JSON document, in ASCII."""
        import json

        print(json.dumps(document, indent=2))

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line; ``style`` is rich's, and only for a terminal."""
        if self.terminal:
            from rich.text import Text

            self.console.print(Text(text, style=style), soft_wrap=True)
        else:
            print(text)

    def columns(self, *cells: object) -> None:
        """Print a line for programs: cells with tabs between them."""
        print(*cells, sep="\t")

    def table(self, headings: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> None:
        """Draw a table on the terminal; the columns named in ``right`` are figures."""
        from rich.table import Table
        from rich.text import Text

        drawn = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for heading in headings:
            drawn.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
        for row in rows:
            drawn.add_row(*map(Text, row))
        self.console.print(drawn)

    def some(self, lines: Sequence[tuple[str, str]]) -> None:
        """Print (text, style) lines on a terminal, cut when there are many."""
        for text, style in lines[:LINES]:
            self.line(text, style)
        if len(lines) > LINES:
            self.line(f"  … and {len(lines) - LINES} more (all of them in a pipe, or with --json)", "dim")

    def raw(self, content: bytes) -> None:
        """Write bytes as they are."""
        sys.stdout.flush()
        sys.stdout.buffer.write(content)

    def note(self, text: str) -> None:
        """Tell a person something that is not the result, on standard error."""
        print(text, file=sys.stderr)

    def warn(self, text: str) -> None:
        """Likewise; what was said already, in the log perhaps, is not said again."""
        if text not in self._warned:
            self._warned.add(text)
            self.note(f"{PROGRAM}: {harmless(text)}")

    @contextmanager
    def working(self, text: str, counting: str = "files") -> Iterator[None]:
        """Show that something is under way, on standard error and only where a person looks at it.

        ``counting``: what ``progress`` is told the number of.
        """
        if self.json or not sys.stderr.isatty():
            yield
            return
        from rich.console import Console

        self._doing, self._counting = text, counting
        try:
            with Console(stderr=True).status(text) as self._status:
                yield
        finally:
            self._status = None

    def progress(self, done: int) -> None:
        """Told by the engine now and then how far it is; shown beside what is under way."""
        if self._status is not None:
            self._status.update(f"{self._doing}: {done} {self._counting}")

    def confirmed(self, question: str, without: str) -> bool:
        """Whether a person says yes to a question; if not, tell that nothing was changed.

        ``without`` is the option that answers it where nobody can be asked.
        """
        if self.can_ask and self.agrees(question):
            return True
        self.note("Nothing was changed" + ("." if self.can_ask else f"; {without} does it without asking."))
        return False

    def agrees(self, question: str) -> bool:
        """Ask; anything but y or yes is no. Only for a terminal."""
        try:
            return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
        except EOFError:
            print()
            return False

    @property
    def can_ask(self) -> bool:
        """Whether there is a person to ask."""
        return self.terminal and sys.stdin is not None and sys.stdin.isatty()

    @property
    def console(self) -> "Console":
        """rich's console on standard output."""
        if self._console is None:
            from rich.console import Console

            self._console = Console(highlight=False, markup=False, emoji=False)
        return self._console
