"""The leaderboard as text that other programs read: Markdown, CSV, JSON and LaTeX. `eebench.terminal` prints it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from eebench import strict_json
from eebench.board import Board
from eebench.results import Evaluation, MetricValue, Result, StoredResult

Record = Mapping[str, Any]
"""A row of the ranking or a result, as the JSON report has it."""

MISSING = "–"


# --- records -----------------------------------------------------------------------------------------------------


def ranking_records(board: Board) -> list[Record]:
    """The ranking, a record per policy."""
    return [asdict(row) for row in board.ranking]


def result_records(board: Board) -> list[Record]:
    """The results, a record per (model, task, setting), over all documents."""
    return [_result_record(stored) for stored in board.results]


def _result_record(stored: StoredResult) -> Record:
    evaluation, result = stored.evaluation, stored.result
    figures, main = result.summaries["all"], _main_metric(evaluation, result)
    return {
        "model": evaluation.model,
        "task": evaluation.task,
        "policy": result.policy,
        "kind": result.kind,
        "bound": result.kind == "bound",
        "setting": result.setting,
        "params": result.params,
        "kv_mode": evaluation.kv_mode,
        "metric": evaluation.metric,
        "quality": figures.quality,
        "quality_stderr": main and main.stderr,
        "quality_full": result.quality_full,
        "chance": evaluation.chance,
        "informative": evaluation.informative,
        "retention": figures.retention,
        "num_layers": evaluation.num_layers,
        "mean_exit_layer": figures.mean_exit_layer,
        "layers_saved": figures.layers_saved,
        "compute_saved": figures.compute_saved,
        "lens_reads": figures.lens_reads,
        "fidelity": figures.fidelity,
        "n_docs": figures.n_docs,
        "n_positions": figures.n_positions,
        "selection": result.selection,
        "exit_histogram": result.exit_histogram,
        "metrics": {name: asdict(metric) for name, metric in result.metrics.items()},
        "model_id": evaluation.model_id,
        "revision": evaluation.revision,
        "dtype": evaluation.dtype,
        "task_version": evaluation.task_version,
        "num_fewshot": evaluation.num_fewshot,
        "chat_template": evaluation.chat_template,
        "builtin": result.builtin,
        "policy_hash": result.policy_hash,
        "run": stored.run_id,
        "finished": stored.finished,
    }


def _main_metric(evaluation: Evaluation, result: Result) -> MetricValue | None:
    """The metric that quality is measured in, whichever filter it is under."""
    under = (name for name in result.metrics if name.partition(",")[0] == evaluation.metric)
    return result.metrics.get(evaluation.metric) or result.metrics.get(next(under, ""))


# --- columns: what people see ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """A column of a table: a heading, the group of columns it stands in, and its cell in a record's row."""

    heading: str
    group: str
    cell: Callable[[Record], str]
    is_text: bool = False


def percent(value: float | None) -> str:
    """A fraction as a percentage with one decimal."""
    return MISSING if value is None else f"{round(value, 3) + 0.0:.1%}"  # + 0.0: no "-0.0%"


def decimal(value: float | None, digits: int = 1) -> str:
    """A number with a fixed number of decimals."""
    return MISSING if value is None else f"{round(value, digits) + 0.0:.{digits}f}"


def quality(value: float | None) -> str:
    """A metric's value: three decimals, or four digits where it is large, as perplexities may be."""
    return MISSING if value is None else f"{value:.3f}" if abs(value) < 100 else f"{value:.4g}"


def _place(record: Record) -> str:
    return record["kind"] if record["kind"] != "policy" else str(record["rank"] or MISSING)


def _quality_with_error(record: Record) -> str:
    error = record["quality_stderr"]
    return quality(record["quality"]) + (f" ± {error:.3f}" if error is not None else "")


RANKING_COLUMNS = (
    Column("rank", "", _place, is_text=True),
    Column("policy", "", lambda r: r["policy"], is_text=True),
    Column("layers", "EE-score by", lambda r: decimal(r["ee_score_layers"])),
    Column("compute", "EE-score by", lambda r: decimal(r["ee_score_compute"])),
    Column("quality", "EE-score by", lambda r: decimal(r["ee_score_quality"])),
    Column("layers", "saved at 99%", lambda r: percent(r["layers_saved_99"])),
    Column("compute", "saved at 99%", lambda r: percent(r["compute_saved_99"])),
    Column("fidelity", "kept at 99%", lambda r: percent(r["fidelity_99"])),
    Column("retention", "kept at 99%", lambda r: percent(r["retention_99"])),
)

RESULT_COLUMNS = (
    Column("setting", "", lambda r: r["setting"], is_text=True),
    Column("quality", "", _quality_with_error),
    Column("retention", "kept", lambda r: percent(r["retention"])),
    Column("fidelity", "kept", lambda r: percent(r["fidelity"])),
    Column("layers", "saved", lambda r: percent(r["layers_saved"])),
    Column("compute", "saved", lambda r: percent(r["compute_saved"])),
    Column("exit", "mean", lambda r: decimal(r["mean_exit_layer"])),
    Column("reads", "mean", lambda r: decimal(r["lens_reads"])),
)

_WHERE_COLUMNS = (
    Column("model", "", lambda r: r["model"], is_text=True),
    Column("task", "", lambda r: r["task"], is_text=True),
    Column("metric", "", lambda r: r["metric"], is_text=True),
)


def _table(board: Board, results: bool) -> tuple[Sequence[Column], list[Record]]:
    """The columns and the rows of what a report shows: its ranking or its results."""
    if results:
        return (*_WHERE_COLUMNS, *RESULT_COLUMNS), result_records(board)
    return RANKING_COLUMNS, ranking_records(board)


# --- formats -----------------------------------------------------------------------------------------------------


def to_json(board: Board, results: bool = False) -> str:
    """`{"ranking": [...], "results": [...]}`, both whatever `results` says; what is not a finite number is null."""
    report = {"ranking": ranking_records(board), "results": result_records(board)}
    return strict_json.dumps(report, indent=2) + "\n"


def to_csv(board: Board, results: bool = False) -> str:
    """A line per policy, or per result, under the names of the JSON report; lists and mappings are JSON in a cell."""
    records = result_records(board) if results else ranking_records(board)
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    if records:
        writer.writerow(records[0])
    writer.writerows([_csv_cell(value) for value in record.values()] for record in records)
    return sink.getvalue()


def _csv_cell(value: Any) -> Any:
    if isinstance(value, Mapping | list | bool):
        return strict_json.dumps(value, separators=(",", ":"))
    return value


def to_markdown(board: Board, results: bool = False) -> str:
    """A table as GitHub renders it, with what it means and what was left out underneath."""
    columns, records = _table(board, results)
    lines = [
        _markdown_row(_long_heading(column) for column in columns),
        _markdown_row("---" if column.is_text else "---:" for column in columns),
        *(_markdown_row(_markdown(column.cell(record)) for column in columns) for record in records),
    ]
    sentences = [*([] if results else board.summary), *board.notes]
    return "\n".join(lines) + "\n" + "".join(f"\n{_markdown(sentence)}\n" for sentence in sentences)


def _long_heading(column: Column) -> str:
    return f"{column.group}: {column.heading}" if column.group else column.heading


def _markdown_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown(text: str) -> str:
    html = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # An underscore inside a word stands for itself, and most names have one.
    return re.sub(r"([\\`*|\[\]~]|(?<![^\W_])_|_(?![^\W_]))", r"\\\1", " ".join(html.split()))


def to_latex(board: Board, results: bool = False) -> str:
    """A booktabs `tabular`, with what it means and what was left out as comments above."""
    columns, records = _table(board, results)
    sentences = [*([] if results else board.summary), *board.notes]
    blocks = [list(block) for _, block in groupby(records, key=lambda record: results or record["kind"] == "policy")]
    body = [[_latex_row(_latex(column.cell(record)) for column in columns) for record in block] for block in blocks]
    lines = [
        *(f"% {' '.join(sentence.split())}" for sentence in sentences),
        rf"\begin{{tabular}}{{{''.join('l' if column.is_text else 'r' for column in columns)}}}",
        r"\toprule",
        *_latex_groups(columns),
        _latex_row(_latex(column.heading) for column in columns),
        *(line for block in body for line in (r"\midrule", *block)),
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


FORMATS: Mapping[str, Callable[[Board, bool], str]] = {
    "markdown": to_markdown,
    "csv": to_csv,
    "json": to_json,
    "latex": to_latex,
}
"""Formats for other programs, each a function of the board and of whether to show results in place of the ranking."""
