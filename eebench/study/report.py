"""What a report is made of: sections of sentences, tables and figures, whoever shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Column:
    """A column of a table: where it is in the frame, what stands over it, and how its values are written."""

    key: str
    header: str
    spec: str = ""
    left: bool = False

    def text(self, value: Any) -> str:
        """A value as it is shown; what is not there is a dash."""
        if value is None or value != value:
            return "–"
        return format(value, self.spec) if self.spec else str(value)


@dataclass(frozen=True)
class Table:
    """A table; `name` is its file name as data, where it is written whole."""

    name: str
    title: str
    frame: pd.DataFrame
    columns: Sequence[Column]
    shown: pd.DataFrame | None = None

    def rows(self) -> list[list[str]]:
        """The cells as they are shown."""
        frame = self.frame if self.shown is None else self.shown
        keys = [column.key for column in self.columns]
        return [
            [column.text(value) for column, value in zip(self.columns, row, strict=True)]
            for row in frame[keys].itertuples(index=False)
        ]


@dataclass(frozen=True)
class Figure:
    """A chart of Altair's; `name` is its file name, `caption` says what is to be seen."""

    name: str
    chart: Any
    caption: str


@dataclass(frozen=True)
class Section:
    """A part of a report."""

    title: str
    sentences: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()


@dataclass(frozen=True)
class Report:
    """A study to be read.

    Attributes:
        command: what makes it again.
    """

    title: str
    command: str
    sections: Sequence[Section] = field(default_factory=list)
