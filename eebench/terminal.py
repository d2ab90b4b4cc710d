"""The leaderboard in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from eebench.board import Board
from eebench.report import RANKING_COLUMNS, RESULT_COLUMNS, Column, Record, quality, ranking_records, result_records

_RANKING_LEGEND = (
    "EE-score: 0 is a coin tossed at every position, 100 is the oracle; by layers saved, by compute saved, and by the "
    "quality that is retained.",
    "at 99%: for the setting picked at a fidelity of 99% on calibration documents, as measured on test documents.",
    "saved: share of the layers, and of the compute with lens reads included, that the full model would have used.",
    "fidelity: share of positions at which the exit layer's top-1 is the full model's.",
    "retention: quality above chance, as a share of the full model's.",
)
_UNRANKED_LEGEND = "control, bound: shown for comparison and never ranked; a bound sees the layers to come."
_RESULTS_LEGEND = (
    "All documents. quality: the task's metric ± its standard error. retention: quality above chance, as a share of "
    "the full model's.",
    "fidelity: share of positions at which the exit layer's top-1 is the full model's.",
    "saved: share of the layers, and of the compute with lens reads included, that the full model would have used.",
    "exit, reads: the layer a position stops at, counted from 1, and how often it reads the head, on average.",
)

_NARROWEST = 8
"""Below this a column is of no use, and lines run over the edge instead."""


def show(board: Board, console: Console, results: bool = False) -> None:
    """Print the ranking; or the results, a table per (model, task); or both where there is one (model, task) only."""
    if results or board.single:
        _show_results(board, console)
    if not results:
        _show_ranking(board, console)
    for note in board.notes:
        console.print(Text(note, "dim"))


def _show_ranking(board: Board, console: Console) -> None:
    records = ranking_records(board)
    ranked = [record for record in records if record["kind"] == "policy"]
    others = [record for record in records if record["kind"] != "policy"]
    console.print(Text(f"Exit policies ranked by {_BY[board.by]}, {_scope(board)}", "bold"), end="\n\n")
    grid = _Grid(RANKING_COLUMNS, console.width, flexible="policy", records=records, main=("EE-score by", board.by))
    grid.add(ranked)
    if others:
        grid.blank()
        grid.add(others, style="dim")
    grid.print(console)
    _paragraphs(console, _RANKING_LEGEND + ((_UNRANKED_LEGEND,) if others else ()), "dim")
    picked = [record["setting_99"] for record in ranked if record["setting_99"]]
    if picked:
        _paragraphs(console, [f"Settings picked at 99%: {', '.join(picked)}."], "dim")
    _paragraphs(console, board.summary, "")


_BY = {"layers": "layers saved", "compute": "compute saved", "quality": "retained quality"}


def _scope(board: Board) -> str:
    models = {stored.evaluation.model for stored in board.results}
    tasks = {stored.evaluation.task for stored in board.results}
    return f"{_some(models, 'models')} on {_some(tasks, 'tasks')}"


def _some(names: set[str], plural: str) -> str:
    return next(iter(names)) if len(names) == 1 else f"{len(names)} {plural}"


def _show_results(board: Board, console: Console) -> None:
    place = {row.policy: number for number, row in enumerate(board.ranking)}
    records = sorted(
        result_records(board),
        key=lambda r: (r["model"], r["task"], place[r["policy"]], r["layers_saved"], r["setting"]),
    )
    for _, settings in groupby(records, key=lambda r: (r["model"], r["task"])):
        _show_settings(list(settings), console)
    _paragraphs(console, _RESULTS_LEGEND, "dim")


def _show_settings(records: Sequence[Record], console: Console) -> None:
    """One (model, task): its settings under the names of their policies."""
    console.print(Text(_headline(records[0]), "bold"), end="\n\n")
    shown = [{**record, "setting": _parameters(record)} for record in records]
    grid = _Grid(RESULT_COLUMNS, console.width, flexible="setting", records=shown, indent=2)
    for policy, settings in groupby(shown, key=lambda r: r["policy"]):
        rows = list(settings)
        kind, style = rows[0]["kind"], "dim" if rows[0]["kind"] != "policy" else ""
        grid.title(policy + (f" ({kind})" if kind != "policy" else ""), style)
        grid.add(rows, style)
    grid.print(console)


def _headline(record: Record) -> str:
    full, chance = quality(record["quality_full"]), quality(record["chance"])
    metric = record["metric"].removesuffix(",none")  # the harness's word for unfiltered
    return (
        f"{record['model']} on {record['task']}: {metric} {full} for the full model, {chance} for guessing; "
        f"{record['num_layers']} layers, {record['n_docs']} documents, {record['n_positions']} positions"
    )


def _parameters(record: Record) -> str:
    """A setting without its policy's name, with room to break between parameters."""
    return record["setting"].partition(":")[2].replace(",", ", ") or "(no parameters)"


def _paragraphs(console: Console, sentences: Iterable[str], style: str) -> None:
    for sentence in sentences:
        console.print(Text(sentence, style))
    console.print()


class _Grid:
    """A table whose columns stand in groups, with a line of group headings above; one text column takes what is left.

    The width of every column is decided here, since rich has no headings over several columns.

    Args:
        width: of the terminal, in characters.
        flexible: heading of the column that gives way where the terminal is narrow.
        main: group and heading of the column to be set in bold.
        indent: how far the cells of the flexible column are set in from its titles.
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
        self._columns, self._flexible, self._indent = columns, flexible, indent
        self._widths = [max(len(text) for text in self._texts(column, records)) for column in columns]
        gaps = len(columns) - 1
        self._gap = 2 if sum(self._widths) + 2 * gaps <= width else 1
        missing = max(0, sum(self._widths) + self._gap * gaps - width)
        gives_way = [column.heading for column in columns].index(flexible)
        self._widths[gives_way] = max(_NARROWEST, self._widths[gives_way] - missing)
        self._table = Table(box=None, pad_edge=False, padding=(0, self._gap, 0, 0), header_style="bold")
        for column, cells in zip(columns, self._widths, strict=True):
            self._table.add_column(
                column.heading,
                width=cells,
                justify="left" if column.is_text else "right",
                overflow="fold",
                style="bold" if (column.group, column.heading) == main else "",
            )

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
        self._table.add_row(Text(text, "bold"), style=style)

    def blank(self) -> None:
        self._table.add_row()

    def print(self, console: Console) -> None:
        console.print(Text(self._groups(), "bold"))
        console.print(self._table)
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
    """The text centred on a rule, where there is room for one on both sides."""
    return f" {text} ".center(width, "─") if len(text) + 4 <= width else text.center(width)
