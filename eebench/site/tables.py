"""Tables as the pages show them: cells with what they are sorted by, and where they lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from itertools import groupby
from typing import Any

from eebench.reports.formats import percent


@dataclass(frozen=True)
class Header:
    """A column: its label, the group it stands in, and whether it holds numbers (the largest of which sort first)."""

    label: str
    group: str = ""
    numeric: bool = False
    sortable: bool = True
    name: str = ""
    """How the page's address calls it."""


@dataclass(frozen=True)
class Cell:
    """A cell.

    Attributes:
        sort: what its column is sorted by; None comes last.
        note: what stands below the text, smaller.
        href: the page it leads to, from the site's root.
        kind: `control` or `bound` where the cell says so.
        command: what a button in it copies.
    """

    text: str
    sort: float | str | None = None
    note: str = ""
    href: str = ""
    kind: str = ""
    command: str = ""

    def compact(self) -> dict[str, Any]:
        """What is not empty, for JSON."""
        return {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) not in ("", None)}


@dataclass(frozen=True)
class Row:
    """Cells under the headers; `kind` of its policy, if it is about one."""

    cells: Sequence[Cell]
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        id: names it within its page.
        named: the column whose cells name the rows.
        sorted_by: the column that the rows come sorted by, upwards; None if by nothing.
    """

    id: str
    caption: str
    headers: Sequence[Header]
    rows: Sequence[Row]
    named: int = 0
    sorted_by: int | None = None
    notes: Sequence[str] = field(default=())

    @property
    def groups(self) -> list[tuple[str, int]]:
        """The groups of columns, with how many each has; none where no column is in one."""
        if not any(header.group for header in self.headers):
            return []
        return [(group, len(list(some))) for group, some in groupby(self.headers, key=lambda header: header.group)]


def words(text: str, **more: Any) -> Cell:
    """A cell of words, sorted by them."""
    return Cell(text, sort=text.lower(), **more)


def number(value: float | None, shown: str, **more: Any) -> Cell:
    """A cell of a number, sorted by it; six digits, so that what differs by rounding alone is the same."""
    return Cell(shown, sort=None if value is None else float(f"{value:.6g}"), **more)


def share(value: float | None, **more: Any) -> Cell:
    """A cell of a fraction, shown as a percentage."""
    return number(value, percent(value), **more)
