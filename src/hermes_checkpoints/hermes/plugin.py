"""The Hermes plugin: puts this package in the place of ``tools.checkpoint_manager``."""
