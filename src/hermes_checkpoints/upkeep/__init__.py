"""Keeping a store small: counting, forgetting, reclaiming."""
