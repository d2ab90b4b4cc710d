"""Show a report: on the terminal, as Markdown, as a page, and as data."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from eebench.errors import EEBenchError
from eebench.study.report import Column, Figure, Report, Section, Table
from eebench.trace_cache import write_whole

if TYPE_CHECKING:
    from rich.console import Console

CSS = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --line: #d0d0d0; --soft: #f4f4f4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #161616; --line: #444; --soft: #222; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 62rem; padding: 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9rem; }
caption { text-align: left; font-weight: 600; padding: 0.4rem 0; }
th, td { padding: 0.2rem 0.6rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th.left, td.left { text-align: left; }
thead th { background: var(--soft); }
.wide { overflow-x: auto; }
figure { margin: 1.5rem 0; } figure svg { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
figcaption { font-size: 0.9rem; }
code { background: var(--soft); padding: 0.1rem 0.3rem; }
"""


def write(report: Report, folder: Path) -> list[Path]:
    """Write `study.md`, `study.html`, the figures as SVG and the tables as CSV; returns what was written.

    Raises:
        EEBenchError: the folder cannot be written.
    """
    drawn = {figure.name: svg(figure) for section in report.sections for figure in section.figures}
    files: dict[str, str] = {f"{name}.svg": content for name, content in drawn.items()}
    files |= {
        f"data/{table.name}.csv": table.frame.to_csv(index=False, lineterminator="\n", float_format="%.6g")
        for section in report.sections
        for table in section.tables
    }
    files |= {"study.md": markdown(report), "study.html": page(report, drawn)}
    try:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            write_whole(folder / name, content.encode())
    except OSError as error:
        raise EEBenchError(
            f"the study cannot be written to {folder} ({error.strerror or error}): give another --output."
        ) from error
    return [folder / name for name in files]


def svg(figure: Figure) -> str:
    """A figure as SVG."""
    import vl_convert

    drawn: str = vl_convert.vegalite_to_svg(figure.chart.to_dict())
    return drawn


# --- Markdown ----------------------------------------------------------------------------------------------------


def markdown(report: Report) -> str:
    """The report as Markdown, its figures beside it."""
    lines = [f"# {report.title}", "", f"Made by `{report.command}`.", ""]
    for section in report.sections:
        lines += [f"## {section.title}", ""]
        for sentence in section.sentences:
            lines += [sentence, ""]
        for table in section.tables:
            lines += [f"**{table.title}** ([data](data/{table.name}.csv))", "", *_markdown_table(table), ""]
        for figure in section.figures:
            lines += [f"![{figure.caption}]({figure.name}.svg)", "", f"*{figure.caption}*", ""]
    return "\n".join(lines)


def _markdown_table(table: Table) -> Iterator[str]:
    yield "| " + " | ".join(column.header for column in table.columns) + " |"
    yield "|" + "|".join("---" if column.left else "--:" for column in table.columns) + "|"
    for row in table.rows():
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"


# --- HTML --------------------------------------------------------------------------------------------------------


def page(report: Report, drawn: dict[str, str]) -> str:
    """The report as one page that needs nothing else.

    Args:
        drawn: figures as SVG, by name.
    """
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(report.title)}</title><style>{CSS}</style></head><body><main>",
        f"<h1>{html.escape(report.title)}</h1>",
        f"<p>Made by <code>{html.escape(report.command)}</code>.</p>",
    ]
    for section in report.sections:
        parts += _section_html(section, drawn)
    return "\n".join([*parts, "</main></body></html>", ""])


def _section_html(section: Section, drawn: dict[str, str]) -> Iterator[str]:
    yield f"<section><h2>{html.escape(section.title)}</h2>"
    for sentence in section.sentences:
        yield f"<p>{html.escape(sentence)}</p>"
    for table in section.tables:
        yield '<div class="wide"><table>'
        yield f"<caption>{html.escape(table.title)}</caption><thead><tr>"
        yield "".join(f"<th{_class(column)} scope=col>{html.escape(column.header)}</th>" for column in table.columns)
        yield "</tr></thead><tbody>"
        for row in table.rows():
            cells = zip(table.columns, row, strict=True)
            yield "<tr>" + "".join(f"<td{_class(column)}>{html.escape(cell)}</td>" for column, cell in cells) + "</tr>"
        yield "</tbody></table></div>"
    for figure in section.figures:
        described = f'<svg role="img" aria-label="{html.escape(figure.caption)}"'
        yield f"<figure>{drawn[figure.name].replace('<svg', described, 1)}"
        yield f"<figcaption>{html.escape(figure.caption)}</figcaption></figure>"
    yield "</section>"


def _class(column: Column) -> str:
    return " class=left" if column.left else ""


# --- terminal ----------------------------------------------------------------------------------------------------

MOST_ROWS = 16
"""Rows of a table that the terminal shows; the files have them all."""


def show(report: Report, console: Console) -> None:
    """Print the report; long tables are cut, figures are left to the files."""
    from rich.table import Table as Grid

    console.print(report.title, style="bold", markup=False)
    for section in report.sections:
        console.print(f"\n{section.title}", style="bold", markup=False)
        for sentence in section.sentences:
            console.print(sentence, markup=False)
        for table in section.tables:
            grid = Grid(title=table.title, title_justify="left", title_style="italic", box=None, pad_edge=False)
            for column in table.columns:
                grid.add_column(column.header, justify="left" if column.left else "right")
            rows = table.rows()
            for row in rows[:MOST_ROWS]:
                grid.add_row(*row)
            console.print()
            console.print(grid)
            if len(rows) > MOST_ROWS:
                console.print(f"... and {len(rows) - MOST_ROWS} rows more (--output has them)", markup=False)
