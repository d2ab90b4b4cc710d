"""Tables as text that people and other programs read: columns of records, in Markdown, CSV and LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from eebench import strict_json

Record = Mapping[str, Any]
"""A row of a table under the names of the JSON report."""

MISSING = "–"


@dataclass(frozen=True)
class Column:
    """A column of a table: a heading, the group of columns it stands in, and its cell in a record's row.

    `spared` columns are left out, the first of them first, of a terminal that is too narrow for all.
    """

    heading: str
    group: str
    cell: Callable[[Record], str]
    is_text: bool = False
    spared: bool = False


@dataclass(frozen=True)
class Sheet:
    """A table, and sentences on what it means."""

    columns: Sequence[Column]
    records: Sequence[Record]
    sentences: Sequence[str] = ()


# --- cells -------------------------------------------------------------------------------------------------------


def percent(value: float | None) -> str:
    """A fraction as a percentage with one decimal."""
    return MISSING if value is None else f"{round(value, 3) + 0.0:.1%}"  # + 0.0: no "-0.0%"


def decimal(value: float | None, digits: int = 1) -> str:
    """A number with a fixed number of decimals."""
    return MISSING if value is None else f"{round(value, digits) + 0.0:.{digits}f}"


def quality(value: float | None) -> str:
    """A metric's value: three decimals, or four digits where it is large, as perplexities may be."""
    return MISSING if value is None else f"{value:.3f}" if abs(value) < 100 else f"{value:.4g}"


def signed(shown: str) -> str:
    """A difference, its sign shown whatever it is."""
    return shown if shown == MISSING or shown.startswith("-") or not shown.strip("0.%") else f"+{shown}"


# --- formats -----------------------------------------------------------------------------------------------------


def csv_text(records: Sequence[Record]) -> str:
    """A line per record under its names; lists and mappings are JSON in a cell."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    if records:
        writer.writerow(records[0])
    writer.writerows([_csv_cell(value) for value in record.values()] for record in records)
    return sink.getvalue()


def _csv_cell(value: Any) -> Any:
    if isinstance(value, Mapping | list | tuple | bool):
        return strict_json.dumps(value, separators=(",", ":"))
    return value


def markdown_text(sheet: Sheet) -> str:
    """A table as GitHub renders it, with its sentences underneath."""
    lines = [
        _markdown_row(_long_heading(column) for column in sheet.columns),
        _markdown_row("---" if column.is_text else "---:" for column in sheet.columns),
        *(_markdown_row(_markdown(column.cell(record)) for column in sheet.columns) for record in sheet.records),
    ]
    return "\n".join(lines) + "\n" + markdown_paragraphs(sheet.sentences)


def markdown_paragraphs(sentences: Iterable[str]) -> str:
    """Each sentence as a paragraph of its own."""
    return "".join(f"\n{_markdown(sentence)}\n" for sentence in sentences)


def _long_heading(column: Column) -> str:
    return f"{column.group}: {column.heading}" if column.group else column.heading


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown(text: str) -> str:
    html = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # An underscore inside a word stands for itself, and most names have one.
    return re.sub(r"([\\`*|\[\]~]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", " ".join(html.split()))


def latex_text(sheet: Sheet, block: Callable[[Record], Any] = lambda _record: None) -> str:
    """A booktabs `tabular`, with its sentences as comments above, and a rule wherever `block` changes."""
    columns = sheet.columns
    blocks = [list(records) for _, records in groupby(sheet.records, key=block)]
    body = [[_latex_row(_latex(column.cell(record)) for column in columns) for record in records] for records in blocks]
    lines = [
        *(f"% {' '.join(sentence.split())}" for sentence in sheet.sentences),
        rf"\begin{{tabular}}{{{''.join('l' if column.is_text else 'r' for column in columns)}}}",
        r"\toprule",
        *_latex_groups(columns),
        _latex_row(_latex(column.heading) for column in columns),
        *(line for records in body for line in (r"\midrule", *records)),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _latex_groups(columns: Sequence[Column]) -> list[str]:
    """The line of group headings, and the rules under it."""
    cells, rules, first = [], [], 1
    for group, members in groupby(columns, key=lambda column: column.group):
        width = len(list(members))
        cells.append(rf"\multicolumn{{{width}}}{{c}}{{{_latex(group)}}}")
        if group:
            rules.append(rf"\cmidrule(lr){{{first}-{first + width - 1}}}")
        first += width
    return [_latex_row(cells), " ".join(rules)]


def _latex_row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


_LATEX = {
    **{character: rf"\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    MISSING: "--",
}


def _latex(text: str) -> str:
    escaped = "".join(_LATEX.get(character, character) for character in " ".join(text.split()))
    return re.sub(r"^-(?=[\d.])", "$-$", escaped)
