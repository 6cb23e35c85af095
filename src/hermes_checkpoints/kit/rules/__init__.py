"""Which names belong to a snapshot: ignore files and patterns."""
