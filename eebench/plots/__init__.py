"""Figures of what has been measured, as Vega-Lite charts: Altair makes them, vl-convert writes them to files."""
