"""What Hermes's ``config.yaml`` says about checkpoints, as Hermes itself reads it."""

import logging
from collections.abc import Mapping

log = logging.getLogger("tools.checkpoint_manager")


def checkpoints_section() -> Mapping[str, object]:
    """``checkpoints`` of ``config.yaml`` with Hermes's defaults; empty where there is no Hermes, or it cannot read it.

    ``checkpoints: true`` is short for ``enabled``, as in Hermes's gateway.
    """
    try:
        from hermes_cli.config import load_config

        section = load_config().get("checkpoints")
    except ImportError:
        return {}
    except Exception as error:  # somebody else's code, and a file that people edit
        log.warning("Hermes's config.yaml could not be read (%s); checkpoints go by their defaults", error)
        return {}
    if isinstance(section, bool):
        return {"enabled": section}
    return section if isinstance(section, Mapping) else {}


def backend_asked_for() -> str | None:
    """``checkpoints.backend``, when it says something. It goes before ``HERMES_CHECKPOINT_BACKEND``."""
    name = checkpoints_section().get("backend")
    return str(name) if name else None
