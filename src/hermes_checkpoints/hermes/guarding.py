"""The one place where exceptions end: Hermes is told in the answer, and people in the log."""

import functools
import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from hermes_checkpoints.contract import CheckpointError

PLACE = "tools.checkpoint_manager"
"""Where Hermes looks for its checkpoints, and the name by which its log knows them."""
log = logging.getLogger(PLACE)
P = ParamSpec("P")
T = TypeVar("T")

Answer = dict[str, Any]


def refused(error: str) -> Answer:
    """The answer when nothing was done, with the reason."""
    return {"success": False, "error": error}


def never_raises(doing: str, otherwise: Callable[[str], T]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Have a function answer with ``otherwise(message)`` where it would raise, and the log say so."""

    def guard(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def guarded(*arguments: P.args, **named: P.kwargs) -> T:
            try:
                return function(*arguments, **named)
            except CheckpointError as error:
                log.log(logging.INFO if otherwise is refused else logging.WARNING, "%s: %s", doing, error)
                return otherwise(str(error))
            except Exception as error:
                log.exception("%s failed unexpectedly", doing)
                return otherwise(str(error) or repr(error))

        return guarded

    return guard
