"""Fixtures that every test may use: a clean environment, real filesystems, an ordinary user."""

import concurrent.futures.thread  # noqa: F401  (see _import_everything)
import functools
import importlib
import itertools
import os
import pickle
import pkgutil
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import settings

import hermes_checkpoints
import hermes_checkpoints_cow
import hermes_checkpoints_shadow_git
from filesystems import KINDS, Filesystem, Unavailable, made_filesystem, public_directory, remove_tree

# No deadlines: a loaded machine is not a bug. CI keeps no database, and prints what repeats a failure.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=False, database=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

_ORDINARY = 12345  # an id that nobody else's files carry, unlike 65534


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-filesystems",
        action="store_true",
        help="fail, rather than skip, where ext4, XFS or Btrfs cannot be mounted",
    )
    parser.addoption(
        "--faults",
        choices=("some", "all"),
        default="some",
        help="how many of the points at which an operation can be struck are tried (tests/faults)",
    )


_TRIED = pytest.StashKey[Counter[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_TRIED] = Counter()


@pytest.fixture
def tried(request: pytest.FixtureRequest) -> Callable[..., None]:
    """``tried(what, number=1)`` counts what was tried; the totals are told at the end of the run."""

    def tried(what: str, number: int = 1) -> None:
        request.config.stash[_TRIED][what] += number

    return tried


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # one of several processes (pytest-xdist): the first one tells
        session.config.workeroutput["tried"] = dict(session.config.stash[_TRIED])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[_TRIED].update(getattr(node, "workeroutput", {}).get("tried", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    counts = config.stash[_TRIED]
    if not counts:
        return
    terminalreporter.section("what was tried")
    for what, number in sorted(counts.items()):
        terminalreporter.write_line(f"{number:7} {what}")
    kinds = Counter[str]()
    for what, number in counts.items():
        kinds[what.partition(":")[0]] += number
    for kind, number in sorted(kinds.items()):
        terminalreporter.write_line(f"{number:7} {kind} in all")


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    parent = tmp_path_factory.mktemp("homes")
    return (parent / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, _homes: Iterator[Path]) -> Path:
    """Keep the person's own home and settings away from every test; the home it has instead."""
    for name in [*os.environ]:
        if name.startswith(("HERMES_", "GIT_", "XDG_")):
            monkeypatch.delenv(name)
    home = next(_homes)
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HERMES_HOME", str(home / ".hermes"))
    monkeypatch.setenv("HERMES_CHECKPOINT_BACKGROUND", "0")  # no process outlives its test; those about it ask for it
    return home


@pytest.fixture(scope="session")
def _mounted(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Filesystem]]:
    with ExitStack() as stack:

        @functools.cache
        def mounted(kind: str) -> Filesystem:
            try:
                return stack.enter_context(made_filesystem(kind))
            except Unavailable as error:
                _not_here(request.config, kind, error)

        yield mounted


@pytest.fixture(scope="session", params=KINDS)
def filesystem(request: pytest.FixtureRequest, _mounted: Callable[[str], Filesystem]) -> Filesystem:
    """Each real filesystem in turn, mounted when the first test asks for it and kept for the session."""
    return _mounted(request.param)


@pytest.fixture
def on_filesystem(filesystem: Filesystem) -> Iterator[Path]:
    """An empty directory (0755, reachable for every user) on each real filesystem in turn."""
    directory = filesystem.root / f"test-{os.urandom(4).hex()}"
    directory.mkdir()
    directory.chmod(0o755)
    yield directory
    remove_tree(directory)


@pytest.fixture
def small_filesystem(
    request: pytest.FixtureRequest,
) -> Callable[[str, int], AbstractContextManager[Filesystem]]:
    """``with small_filesystem(kind, megabytes) as filesystem:`` for tests that fill a disk."""

    @contextmanager
    def made(kind: str, megabytes: int) -> Iterator[Filesystem]:
        with ExitStack() as stack:
            try:
                filesystem = stack.enter_context(made_filesystem(kind, megabytes))
            except Unavailable as error:
                _not_here(request.config, kind, error)
            yield filesystem

    return made


def _not_here(config: pytest.Config, kind: str, error: Unavailable) -> NoReturn:
    if config.getoption("--require-filesystems"):
        pytest.fail(f"{kind} is required and not available: {error}", pytrace=False)
    pytest.skip(f"{kind} is not available: {error}")


@pytest.fixture
def fresh_directory() -> Iterator[Path]:
    """An empty directory (0755, reachable for every user) wherever temporary files go."""
    directory = public_directory("hermes-checkpoints-test-")
    yield directory
    remove_tree(directory)


class Volume:
    """Something that can be mounted on a directory and unmounted again, in the tests' own mount namespace."""

    def __init__(self) -> None:
        self.mounted: list[Path] = []

    def mount(self, directory: Path) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "none", directory], check=True)
        self.mounted.append(directory)

    def unmount(self, directory: Path) -> None:
        subprocess.run(["umount", directory], check=True)
        self.mounted.remove(directory)


@pytest.fixture
def volume(small_filesystem: Callable[[str, int], AbstractContextManager[Filesystem]]) -> Iterator[Volume]:
    """A volume; skips where nothing can be mounted."""
    with small_filesystem("ext4", 16):
        made = Volume()
        yield made
        for directory in [*made.mounted]:
            made.unmount(directory)


def _import_everything() -> None:
    """Import what is else imported when it is asked for."""
    for package in (hermes_checkpoints, hermes_checkpoints_shadow_git, hermes_checkpoints_cow):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                importlib.import_module(found.name)


class OrdinaryUser:
    """Somebody whom the kernel refuses things. When the suite is not run by root, that is oneself."""

    def __init__(self, home: Path) -> None:
        as_root = os.geteuid() == 0
        _import_everything()
        self.uid = _ORDINARY if as_root else os.geteuid()
        self.gid = _ORDINARY if as_root else os.getegid()
        self.home = home
        """A directory of theirs; their ``HOME`` while they run."""
        if as_root:
            os.chown(home, self.uid, self.gid)

    def owns(self, top: Path) -> None:
        """Give them a tree (no deeper than PATH_MAX)."""
        for directory, names, files in os.walk(top):
            os.chown(directory, self.uid, self.gid)
            for name in (*names, *files):
                os.chown(Path(directory, name), self.uid, self.gid, follow_symlinks=False)

    def __call__(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call a function as them, in a forked child; its result or its exception comes back pickled.

        Modules were imported beforehand: they may be unable to read ours.
        """
        reading, writing = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            os.close(reading)
            with os.fdopen(writing, "wb") as answer:
                answer.write(self._answer(function, arguments, named))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as answer:
            pickled = answer.read()
        _, status = os.waitpid(child, 0)
        if status != 0 or not pickled:
            raise ChildProcessError(f"the child ended with status {os.waitstatus_to_exitcode(status)}")
        result, error = pickle.loads(pickled)
        if error is not None:
            raise error
        return result

    def _answer(self, function: Callable[..., Any], arguments: Any, named: Any) -> bytes:
        try:
            self._become()
            pickled = pickle.dumps((function(*arguments, **named), None))
        except BaseException as error:
            told = "".join(traceback.format_exception(error))
            error.add_note(f"as the user {self.uid}:\n{told}")
            try:
                pickled = pickle.dumps((None, error))
                pickle.loads(pickled)  # some exceptions go in and do not come out
            except Exception:
                pickled = pickle.dumps((None, RuntimeError(told)))
        return pickled

    def _become(self) -> None:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(self.gid)
            os.setuid(self.uid)
        os.chdir(self.home)
        os.environ["HOME"] = str(self.home)
        os.environ["HERMES_HOME"] = str(self.home / ".hermes")


@pytest.fixture
def as_user() -> Iterator[OrdinaryUser]:
    """``as_user(function, ...)`` calls it as an ordinary user, even when the suite is run by root."""
    home = public_directory("hermes-checkpoints-user-")
    yield OrdinaryUser(home)
    remove_tree(home)
