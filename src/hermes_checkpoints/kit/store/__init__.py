"""Keeping things: batches and nodes, publication, locks, names."""
