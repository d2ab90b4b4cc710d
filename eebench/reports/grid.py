"""A table in a terminal whose columns stand in groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from eebench.reports.formats import Column, Record

_NARROWEST = 8
"""Below this a column is of no use, and lines run over the edge instead."""


class Grid:
    """A table whose columns stand in groups, with a line of group headings above; one text column takes what is left.

    The width of every column is decided here, since rich has no headings over several columns.

    Args:
        width: of the terminal, in characters.
        flexible: heading of the column that gives way where the terminal is narrow.
        main: group and heading of the column to be set in bold.
        indent: how far the cells of the flexible column are set in from its titles.

    Attributes:
        spared: headings of the columns that there was no room for.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        width: int,
        flexible: str,
        records: Sequence[Record],
        main: tuple[str, str] | None = None,
        indent: int = 0,
    ) -> None:
        self._flexible, self._indent, self._main = flexible, indent, main
        self.spared: list[str] = []
        while (spared := [column for column in columns if column.spared]) and self._least(columns, records) > width:
            self.spared.append(spared[0].heading)
            columns = [column for column in columns if column is not spared[0]]
        self._columns = columns
        self._widths = [max(len(text) for text in self._texts(column, records)) for column in columns]
        gaps = len(columns) - 1
        self._gap = 2 if sum(self._widths) + 2 * gaps <= width else 1
        missing = max(0, sum(self._widths) + self._gap * gaps - width)
        gives_way = [column.heading for column in columns].index(flexible)
        if missing:
            self._widths[gives_way] = max(_NARROWEST, self._widths[gives_way] - missing)
        self._parts: list[RenderableType] = []
        self._table = self._new_table(show_header=True)

    def _new_table(self, show_header: bool) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, self._gap, 0, 0), header_style="bold")
        table.show_header = show_header
        for column, cells in zip(self._columns, self._widths, strict=True):
            table.add_column(
                column.heading,
                width=cells,
                justify="left" if column.is_text else "right",
                overflow="fold",
                style="bold" if (column.group, column.heading) == self._main else "",
            )
        self._parts.append(table)
        return table

    def _least(self, columns: Sequence[Column], records: Sequence[Record]) -> int:
        """Characters that the columns take if no word is broken."""
        total = len(columns) - 1
        for column in columns:
            texts = self._texts(column, records)
            if column.heading == self._flexible:
                total += self._indent + max(len(word) for text in texts for word in text.split())
            else:
                total += max(map(len, texts))
        return total

    def _texts(self, column: Column, records: Sequence[Record]) -> list[str]:
        indent = " " * self._indent if column.heading == self._flexible else ""
        return [column.heading, *(indent + column.cell(record) for record in records)]

    def add(self, records: Iterable[Record], style: str = "") -> None:
        for record in records:
            self._table.add_row(*(self._cell(column, record) for column in self._columns), style=style)

    def _cell(self, column: Column, record: Record) -> RenderableType:
        text = Text(column.cell(record))
        return Padding(text, (0, 0, 0, self._indent)) if column.heading == self._flexible else text

    def title(self, text: str, style: str = "") -> None:
        """A heading of rows in the first column."""
        self._table.add_row(Text(text, "bold"), style=style)

    def wide_title(self, text: str, style: str = "") -> None:
        """A heading of rows over all columns."""
        self._parts.append(Text(text, f"bold {style}".strip()))
        self._table = self._new_table(show_header=False)

    def blank(self) -> None:
        self._table.add_row()

    def print(self, console: Console) -> None:
        groups = self._groups()
        if groups.strip():
            console.print(Text(groups, "bold"))
        for part in self._parts:
            console.print(part)
        console.print()

    def _groups(self) -> str:
        """The group headings, each centred on a rule over its columns."""
        cells = []
        for group, members in groupby(zip(self._columns, self._widths, strict=True), key=lambda pair: pair[0].group):
            widths = [width for _column, width in members]
            width = sum(widths) + self._gap * (len(widths) - 1)
            cells.append(_ruled(group, width) if group else " " * width)
        return (" " * self._gap).join(cells)


def _ruled(text: str, width: int) -> str:
    """The text centred on a rule, where there is room for one on both sides; else as many of its words as fit."""
    while len(text) > width and " " in text:
        text = text.rpartition(" ")[0]
    return f" {text} ".center(width, "─") if len(text) + 4 <= width else text.center(width)
