"""Traces: one pass over a model that keeps a few numbers per layer and scored position."""
