"""Traces as data sets: exported, imported, and replayed without weights."""
