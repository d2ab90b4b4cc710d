"""Measured time as a table."""

from __future__ import annotations

from collections.abc import Sequence

from eebench.records.results import StoredTiming
from eebench.reports.of_time import timing_sheet
from eebench.site.tables import Cell, Header, Row, Table, words


def timing_table(timings: Sequence[StoredTiming]) -> Table:
    """The timings, with what they mean."""
    sheet = timing_sheet(timings)
    headers = [Header(c.heading, c.group, numeric=not c.is_text, sortable=False) for c in sheet.columns]
    rows = [
        Row([words(c.cell(record)) if c.is_text else Cell(c.cell(record)) for c in sheet.columns])
        for record in sheet.records
    ]
    return Table("time", "Measured time", headers, rows, notes=sheet.sentences)
