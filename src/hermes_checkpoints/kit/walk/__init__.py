"""Looking at a workspace: the walk, and the stat cache that saves most of it."""
