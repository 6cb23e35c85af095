"""``python -m hermes_checkpoints`` is the command ``hermes-checkpoints``."""

from hermes_checkpoints.cli import run

if __name__ == "__main__":
    run()
