"""Show a report: on the terminal, as Markdown, as a page, and as data."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from eebench.errors import EEBenchError
from eebench.files import write_whole
from eebench.study.report import Report, Table
from eebench.templates import environment

if TYPE_CHECKING:
    from rich.console import Console


def write(report: Report, folder: Path) -> list[Path]:
    """Write `study.md`, `study.html`, the figures as SVG and the tables as CSV; returns what was written.

    Raises:
        EEBenchError: the folder cannot be written.
    """
    drawn = {figure.name: svg(figure.chart()) for section in report.sections for figure in section.figures}
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


def svg(chart: Any) -> str:
    """A chart of Altair's as SVG."""
    import vl_convert

    drawn: str = vl_convert.vegalite_to_svg(chart.to_dict())
    return drawn


# --- Markdown ----------------------------------------------------------------------------------------------------


def markdown(report: Report) -> str:
    """The report as Markdown, its figures beside it."""
    lines = [f"# {report.title}", "", f"Made by `{report.command}`.", ""]
    for section in report.sections:
        lines += [f"## {section.heading}", ""]
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


@dataclass(frozen=True)
class Picture:
    """A figure inside the page: its SVG as a data address, where a name in it can be no markup; sizes in pixels."""

    address: str
    width: int
    height: int


def page(report: Report, drawn: Mapping[str, str]) -> str:
    """The report as one page that needs nothing else.

    Args:
        drawn: figures as SVG, by name.
    """
    template = environment("eebench.study").get_template("study.html")
    return template.render(report=report, pictures={name: _picture(content) for name, content in drawn.items()})


def _picture(content: str) -> Picture:
    root = ElementTree.fromstring(content)
    width, height = (round(float(root.attrib[side])) for side in ("width", "height"))
    return Picture(f"data:image/svg+xml;base64,{b64encode(content.encode()).decode()}", width, height)


# --- terminal ----------------------------------------------------------------------------------------------------

MOST_ROWS = 16
"""Rows of a table that the terminal shows; the files have them all."""


def show(report: Report, console: Console) -> None:
    """Print the report; long tables are cut, figures are left to the files."""
    from rich.table import Table as Grid

    console.print(report.title, style="bold", markup=False)
    for section in report.sections:
        console.print(f"\n{section.heading}", style="bold", markup=False)
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
