"""``python -m hermes_checkpoints.cli`` is the command ``hermes-checkpoints``."""

from hermes_checkpoints.cli import run

if __name__ == "__main__":
    run()
