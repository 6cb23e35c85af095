"""The command line: the only place that prints."""

from hermes_checkpoints.cli.program import main

__all__ = ["main"]
