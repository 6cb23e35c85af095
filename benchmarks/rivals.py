"""Other people's programs that save and restore a directory, each at work in a tree and a place of its own.

What a rival is asked: ``save`` the tree, ``put_back`` what changed since, ``rebuild`` the tree that was emptied.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

from installation import Installation, install
from yardsticks import Absent, git_environment, run

_HERMES = """
import json, sys
if sys.argv[1] == "ours":
    from hermes_checkpoints.hermes.plugin import install
    install()
from tools.checkpoint_manager import CheckpointManager
manager = CheckpointManager(enabled=True, max_snapshots=int(sys.argv[2]))
for line in sys.stdin:
    name, arguments = json.loads(line)
    manager.new_turn()
    print(json.dumps(getattr(manager, name)(*arguments)), flush=True)
"""


class Rival:
    """What all have in common."""

    what: ClassVar[str]
    """What is run, for readers."""
    spares: ClassVar[str] = ""
    """The name in the tree that is the rival's own."""

    def __init__(self, kept: Path, tree: Path, place: Path) -> None:
        """``kept``: where it is installed; ``place``: a directory for what it stores."""
        self.tree = tree
        self.place = place
        place.mkdir(exist_ok=True)
        self.open(kept)

    def open(self, kept: Path) -> None:
        """Raises ``Absent``."""

    def save(self) -> None:
        raise NotImplementedError

    def put_back(self, edited: str) -> None:
        """Undo the edit of one file since the last ``save``, finding it where the program can."""
        self.rebuild()

    def rebuild(self) -> None:
        """Bring everything back as the last ``save`` saw it."""
        raise NotImplementedError

    def close(self) -> None: ...


class Git(Rival):
    what = "git with an index that is kept: `add --all`, `write-tree`; `read-tree --reset -u`"

    def open(self, kept: Path) -> None:
        self._store = self.place / "git"
        run("git", "init", "--quiet", "--bare", self._store)
        self._environ = git_environment(self._store, self.tree)

    def save(self) -> None:
        run("git", "add", "--all", cwd=self.tree, env=self._environ)
        written = subprocess.check_output(["git", "write-tree"], cwd=self.tree, env=self._environ, text=True)
        self._saved = written.strip()

    def rebuild(self) -> None:
        run("git", "read-tree", "--reset", "-u", self._saved, cwd=self.tree, env=self._environ)


class Copy(Rival):
    what = "`cp -a --reflink=auto` of all of it, each time; it does not find what changed, but is told"

    _number = 0

    @property
    def _saved(self) -> Path:
        return self.place / f"copy{self._number}"

    def save(self) -> None:
        self._number += 1
        run("cp", "-a", "--reflink=auto", self.tree, self._saved)

    def put_back(self, edited: str) -> None:
        run("cp", "-a", "--reflink=auto", self._saved / edited, self.tree / edited)

    def rebuild(self) -> None:
        run("cp", "-a", "--reflink=auto", f"{self._saved}/.", self.tree)


class Rsync(Copy):
    what = "`rsync -a --link-dest=` the copy before; back with `rsync -a --delete`"

    def open(self, kept: Path) -> None:
        if shutil.which("rsync") is None:
            raise Absent("rsync is not installed")

    def save(self) -> None:
        before = self._saved
        self._number += 1
        run("rsync", "-a", f"--link-dest={before}", f"{self.tree}/", f"{self._saved}/", stderr=subprocess.DEVNULL)

    def put_back(self, edited: str) -> None:
        self.rebuild()

    def rebuild(self) -> None:
        run("rsync", "-a", "--delete", f"{self._saved}/", f"{self.tree}/")


class Restic(Rival):
    what = "`restic backup .`; `restic restore latest` (with `--include` for one file)"

    def open(self, kept: Path) -> None:
        if shutil.which("restic") is None:
            raise Absent("restic is not installed")
        store, cache = self.place / "restic", self.place / "cache"
        self._environ = {
            **os.environ,
            "RESTIC_REPOSITORY": str(store),
            "RESTIC_PASSWORD": "none",
            "RESTIC_CACHE_DIR": str(cache),
        }
        self._restic("init")

    def _restic(self, *words: object) -> None:
        run("restic", "--quiet", *words, cwd=self.tree, env=self._environ)

    def save(self) -> None:
        self._restic("backup", ".")

    def put_back(self, edited: str) -> None:
        self._restic("restore", "latest", "--target", self.tree, "--include", f"/{edited}")

    def rebuild(self) -> None:
        self._restic("restore", "latest", "--target", self.tree)


class Unedit(Rival):
    what = "`unedit save`; `unedit back --yes --hard`, which saves first"
    spares = ".unedit"
    version = "0.1.5"

    def open(self, kept: Path) -> None:
        venv = kept / f"unedit-{self.version}"
        self._program = venv / "bin" / "unedit"
        if not self._program.exists():
            run(sys.executable, "-m", "venv", "--clear", venv)
            run(venv / "bin" / "pip", "install", "--quiet", f"unedit=={self.version}")

    def save(self) -> None:
        run(self._program, "save", "--force", cwd=self.tree)

    def rebuild(self) -> None:
        run(self._program, "back", "--yes", "--hard", "--force", cwd=self.tree)

    def close(self) -> None:
        shutil.rmtree(self.tree / self.spares)


class Hermes(Rival):
    what = (
        "Hermes Agent's module in a process: `ensure_checkpoint`; `list_checkpoints` and `restore`, which saves first"
    )

    def __init__(self, kept: Path, tree: Path, place: Path, backend: str | None = None, limit: int = 20) -> None:
        """With a ``backend`` it is our module in the place of Hermes's own."""
        self._backend, self._limit = backend, limit
        super().__init__(kept, tree, place)

    def open(self, kept: Path) -> None:
        (kept / "hermes").mkdir(parents=True, exist_ok=True)
        installation: Installation = install(kept / "hermes")
        environ = {
            **os.environ,
            "HERMES_HOME": str(self.place / "home"),
            "HERMES_CHECKPOINT_BACKEND": self._backend or "",
        }
        command = [installation.python, "-c", _HERMES, "ours" if self._backend else "stock", str(self._limit)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, env=environ, stdin=pipe, stdout=pipe, text=True)

    def _call(self, name: str, *arguments: str) -> Any:
        assert self._process.stdin and self._process.stdout
        print(json.dumps([name, [str(self.tree), *arguments]]), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def save(self) -> None:
        self.saved = self._call("ensure_checkpoint", "before write_file")

    def list(self) -> Any:
        return self._call("list_checkpoints")

    def diff(self, snapshot: str) -> None:
        self._call("diff", snapshot)

    def restore(self, snapshot: str) -> None:
        answer = self._call("restore", snapshot)
        assert answer["success"], answer

    def rebuild(self) -> None:
        self.restore(self.list()[0]["hash"])

    def close(self) -> None:
        self._process.communicate()
