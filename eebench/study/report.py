"""What a report is made of: sections of sentences, tables and figures, whoever shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
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
    """A table.

    Attributes:
        name: its file name as data, where it is written whole.
        shown: the rows that a reader sees, if not all.
        named: the column whose cells name the rows.
    """

    name: str
    title: str
    frame: pd.DataFrame
    columns: Sequence[Column]
    shown: pd.DataFrame | None = None
    named: int = 0

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
    """A chart of Altair's, which is asked for only where it is drawn.

    Attributes:
        name: its file name.
        chart: makes it.
        caption: what is to be seen, for everyone.
        alt: what is drawn, for who does not see it.
    """

    name: str
    chart: Callable[[], Any]
    caption: str
    alt: str


@dataclass(frozen=True)
class Section:
    """A part of a report; `model` is the one it is about, where there are two."""

    title: str
    sentences: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    model: str = ""

    @property
    def heading(self) -> str:
        """What stands over it."""
        first, rest = self.title[:1], self.title[1:]
        title = f"{first.lower()}{rest}" if rest[:1].islower() else self.title  # K/V stays K/V
        return f"{self.model}: {title}" if self.model else self.title


@dataclass(frozen=True)
class Report:
    """A study to be read.

    Attributes:
        command: what makes it again.
    """

    title: str
    command: str
    sections: Sequence[Section] = field(default_factory=list)

    def contents(self) -> list[tuple[str, list[tuple[int, Section]]]]:
        """The sections with their numbers from 1, one after another under the model they are about."""
        numbered = enumerate(self.sections, start=1)
        return [(model, list(some)) for model, some in groupby(numbered, key=lambda one: one[1].model)]
