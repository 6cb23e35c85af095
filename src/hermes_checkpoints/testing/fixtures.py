"""What every part of the suite stands on: a workspace, a store, a backend. All of it may be overridden."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest

from hermes_checkpoints.contract import Backend, Place
from hermes_checkpoints.kit import TreeBackend
from hermes_checkpoints.testing.memory import MemoryBackend


class Fixtures:
    """Settings and fixtures of the suite."""

    backend_class: ClassVar[type[Backend]]
    expected_failures: ClassVar[Mapping[str, str]] = {}
    """Name of a test and why this backend fails it. Strict: one that passes after all is a failure."""
    shared_between_processes: ClassVar[bool] = True
    """``False`` for a backend whose snapshots only the process that took them sees; skips what needs another."""

    @pytest.fixture
    def ground(self, tmp_path: Path) -> Path:
        """An empty directory for workspace and store. Override it to test on another filesystem."""
        return tmp_path

    @pytest.fixture
    def workspace(self, ground: Path) -> Path:
        """The directory to protect; empty."""
        directory = ground / "workspace"
        directory.mkdir()
        return directory

    @pytest.fixture
    def store(self, ground: Path) -> Path:
        """The directory that holds every backend's part; empty, and open to all, as a careless caller leaves it."""
        directory = ground / "store"
        directory.mkdir()
        directory.chmod(0o755)
        return directory

    @pytest.fixture
    def place(self, workspace: Path, store: Path) -> Place:
        return Place(store.resolve(), workspace.resolve())

    @pytest.fixture
    def backend(self, place: Place) -> Iterator[Backend]:
        """The backend under test, opened on an empty store."""
        with self.open(place) as backend:
            yield backend

    @pytest.fixture
    def processes(self) -> None:
        """Asked for by every test that forks."""
        if not self.shared_between_processes:
            pytest.skip(f"{self.backend_class.name} is not shared between processes")

    def open(self, place: Place) -> Backend:
        return self.backend_class.open(place)

    def caches(self, backend: Backend) -> list[Path]:
        """Files that only save work: the suite removes and damages them, and expects the same outcome.

        Override it for a backend that has others than the kit's stat cache.
        """
        if not isinstance(backend, TreeBackend):
            return []
        return sorted(path for path in (backend.home / "seen").rglob("*") if path.is_file())

    def spoil(self, backend: Backend, content: bytes) -> None:
        """Change one stored byte of a content that is random, and so no backend can store in fewer bytes.

        Override it for a backend that has it neither as it is nor in a file of its home.
        """
        if isinstance(backend, MemoryBackend):
            backend.spoil(content)
            return
        spoilt = 0
        sample = content[len(content) // 2 :][:64]
        for path in backend.home.rglob("*"):
            if path.is_file() and (at := (data := path.read_bytes()).find(sample)) >= 0:
                path.chmod(0o600)
                with path.open("r+b") as file:
                    file.seek(at)
                    file.write(bytes([data[at] ^ 1]))
                spoilt += 1
        if not spoilt:
            pytest.skip(f"{backend.name} does not store contents as they are")

    @pytest.fixture(autouse=True)
    def _expected_failure(self, request: pytest.FixtureRequest) -> None:
        reason = self.expected_failures.get(request.function.__name__)
        if reason is not None:
            request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
