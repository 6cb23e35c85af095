"""Where foreign errors cross into our tree if nothing nearer has met them: a disk may fail at any call."""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType, GeneratorType
from typing import Protocol, TypeVar

from hermes_checkpoints.contract import StoreError, WorkspaceError

_Class = TypeVar("_Class", bound=type[object])


def only_our_errors(doors: _Class) -> _Class:
    """A class of which no public method raises ``OSError``; its instances have ``base``, the store's directory."""
    for name, method in list(vars(doors).items()):
        if isinstance(method, FunctionType) and not name.startswith("_"):
            setattr(doors, name, _crossing(method))
    return doors


class _Doors(Protocol):
    @property
    def base(self) -> Path: ...


def _crossing(method: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(method)
    def crossed(self: _Doors, *arguments: object, **named: object) -> object:
        with _crossed(self.base):
            answer = method(self, *arguments, **named)
        return _items(answer, self.base) if isinstance(answer, GeneratorType) else answer

    return crossed


def _items(answer: Iterator[object], base: Path) -> Iterator[object]:
    with _crossed(base):
        yield from answer


@contextmanager
def _crossed(base: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        path = error.filename if isinstance(error.filename, str) and os.path.isabs(error.filename) else ""
        ours = not path or Path(path).is_relative_to(base)
        said = f"{path or base}: {error.strerror or error}. Every snapshot is as it was."
        raise (StoreError if ours else WorkspaceError)(said) from error
