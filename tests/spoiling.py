"""Ways to damage a store, as disks, people and other programs do it."""

import shutil
from pathlib import Path

from hermes_checkpoints import Engine
from trees import Ground


def spoil(store: Path, content: bytes) -> None:
    """Change one byte of a random content wherever a store holds it: nobody can store it in fewer bytes."""
    sample = content[len(content) // 2 :][:64]
    spoilt = 0
    for path in store.rglob("*"):
        if path.is_file() and (at := (data := path.read_bytes()).find(sample)) >= 0:
            path.chmod(0o600)
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            spoilt += 1
    assert spoilt, "the store does not hold it"


def flip(path: Path) -> None:
    """Change a byte in the middle of a file; an empty one gets one."""
    data = path.read_bytes() or b"\0"
    at = len(data) // 2
    replace(path, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])


def cut(path: Path) -> None:
    replace(path, path.read_bytes()[: path.stat().st_size // 2])


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def replace(path: Path, content: bytes = b"garbage") -> None:
    """Put a file in the place of whatever is there."""
    remove(path)
    path.write_bytes(content)


def turn_into_a_directory(path: Path) -> None:
    remove(path)
    path.mkdir()
    (path / "something").write_bytes(b"in it")


DAMAGES = (flip, cut, remove, replace, turn_into_a_directory)


def store_of(there: Ground) -> Path:
    """The directory below the store's own that is all ours."""
    return there.store / "store"


def opened_anew(there: Ground) -> Engine:
    """The store as the next command finds it."""
    return Engine(store=there.store, backend=there.engine.settings.backend, wait=0.1)
