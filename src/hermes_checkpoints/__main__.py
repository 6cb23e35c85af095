"""``python -m hermes_checkpoints`` is the command ``hermes-checkpoints``."""

from hermes_checkpoints.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
