"""Changing a workspace: every name has the old thing or the new one at every moment."""
