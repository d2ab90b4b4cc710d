"""The leaderboard as text that other programs read: Markdown, CSV, JSON and LaTeX; `terminal` prints it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from eebench import strict_json
from eebench.ranking.board import Board, Interval
from eebench.records.results import Evaluation, MetricValue, Result, StoredResult
from eebench.reports.formats import (
    MISSING,
    Column,
    Record,
    Sheet,
    csv_text,
    decimal,
    latex_text,
    markdown_paragraphs,
    markdown_text,
    percent,
    quality,
)
from eebench.reports.of_time import timing_records, timing_sheet

# --- records -----------------------------------------------------------------------------------------------------


def ranking_records(board: Board) -> list[Record]:
    """The ranking, a record per policy."""
    return [asdict(row) for row in board.ranking]


def result_records(board: Board) -> list[Record]:
    """The results, a record per (model, task, setting), over all documents.

    `fidelity` is a share of positions, and `kept` the share of the answer before it departs from the full model's: in
    generation that is what tables show under fidelity and what scores go by.
    """
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
        "kept": figures.kept,
        "answer_length": figures.answer_length,
        "common_prefix": figures.common_prefix,
        "departs": figures.departs,
        "repetition": figures.repetition,
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
    Column("retention", "kept at 99%", lambda r: percent(r["retention_99"]), spared=True),
)


def _interval(of: str) -> Callable[[Record], str]:
    """The interval of an EE-score, in as few characters as it takes."""
    return lambda record: interval_text(record[f"interval_{of}"])


def interval_text(found: Interval | None) -> str:
    """From and to, in whole numbers where these say on which side of 0 they are."""
    if found is None:
        return MISSING
    return " to ".join(decimal(end, 1 if round(end) == 0 and round(end, 1) != 0 else 0) for end in found)


BATCH_COLUMNS = (
    Column("of 8", "saved at 99%", lambda r: percent(r["layers_saved_99_batch_8"]), spared=True),
    Column("of 32", "saved at 99%", lambda r: percent(r["layers_saved_99_batch_32"]), spared=True),
)


def ranking_columns(board: Board) -> Sequence[Column]:
    """The columns of a ranking; beside the score that decides it stands its interval, and beside the layers saved what
    a batch would save, where there are any."""
    columns = list(RANKING_COLUMNS)
    if any(getattr(row, f"interval_{board.by}") is not None for row in board.ranking):
        columns.insert(
            _place_of(columns, "EE-score by", board.by) + 1, Column("95%", "EE-score by", _interval(board.by))
        )
    if any(row.layers_saved_99_batch_8 is not None for row in board.ranking):
        place = _place_of(columns, "saved at 99%", "layers") + 1
        columns[place:place] = BATCH_COLUMNS
    return columns


def _place_of(columns: Sequence[Column], group: str, heading: str) -> int:
    return [(column.group, column.heading) for column in columns].index((group, heading))


RESULT_COLUMNS = (
    Column("setting", "", lambda r: r["setting"], is_text=True),
    Column("quality", "", _quality_with_error),
    Column("retention", "kept", lambda r: percent(r["retention"]), spared=True),
    Column("fidelity", "kept", lambda r: percent(r["fidelity"] if r["kept"] is None else r["kept"])),
    Column("layers", "saved", lambda r: percent(r["layers_saved"])),
    Column("compute", "saved", lambda r: percent(r["compute_saved"])),
    Column("exit", "mean", lambda r: decimal(r["mean_exit_layer"])),
    Column("reads", "mean", lambda r: decimal(r["lens_reads"]), spared=True),
)

ANSWER_COLUMNS = (
    Column("tokens", "answers", lambda r: decimal(r["answer_length"])),
    Column("depart", "answers", lambda r: percent(r["departs"])),
    Column("repeat", "answers", lambda r: percent(r["repetition"]), spared=True),
)
"""What there is to say of a setting's answers in generation."""

_WHERE_COLUMNS = (
    Column("model", "", lambda r: r["model"], is_text=True),
    Column("task", "", lambda r: r["task"], is_text=True),
    Column("metric", "", lambda r: r["metric"], is_text=True),
)


def result_columns(records: Sequence[Record]) -> Sequence[Column]:
    """The columns of results: those on answers where any of them wrote some."""
    wrote = any(record["answer_length"] is not None for record in records)
    return (*RESULT_COLUMNS, *ANSWER_COLUMNS) if wrote else RESULT_COLUMNS


def _sheet(board: Board, results: bool) -> Sheet:
    """What a report shows: its ranking or its results."""
    if results:
        records = result_records(board)
        return Sheet((*_WHERE_COLUMNS, *result_columns(records)), records)
    return Sheet(ranking_columns(board), ranking_records(board), board.summary)


# --- formats -----------------------------------------------------------------------------------------------------


def to_json(board: Board, results: bool = False) -> str:
    """`{"ranking": [...], "results": [...], "timings": [...]}` whatever `results` says; what is not finite is null."""
    report = {
        "ranking": ranking_records(board),
        "results": result_records(board),
        "timings": timing_records(board.timings),
    }
    return strict_json.dumps(report, indent=2) + "\n"


def to_csv(board: Board, results: bool = False) -> str:
    """A line per policy, or per result, under the names of the JSON report; lists and mappings are JSON in a cell."""
    return csv_text(_sheet(board, results).records)


def to_markdown(board: Board, results: bool = False) -> str:
    """Tables as GitHub renders them, with what they mean and what was left out underneath."""
    text = markdown_text(_sheet(board, results))
    if board.timings and not results:
        text += f"\n### Measured time\n\n{markdown_text(timing_sheet(board.timings))}"
    return text + markdown_paragraphs(board.notes)


def to_latex(board: Board, results: bool = False) -> str:
    """A booktabs `tabular`, with what it means and what was left out as comments above."""
    sheet = _sheet(board, results)
    noted = Sheet(sheet.columns, sheet.records, [*sheet.sentences, *board.notes])
    return latex_text(noted, lambda record: results or record["kind"] == "policy")


FORMATS: Mapping[str, Callable[[Board, bool], str]] = {
    "markdown": to_markdown,
    "csv": to_csv,
    "json": to_json,
    "latex": to_latex,
}
"""Formats for other programs, each a function of the board and of whether to show results in place of the ranking."""

SHEET_FORMATS: Mapping[str, Callable[[str, Sheet], str]] = {
    "markdown": lambda _name, sheet: markdown_text(sheet),
    "csv": lambda _name, sheet: csv_text(sheet.records),
    "json": lambda name, sheet: strict_json.dumps({name: list(sheet.records)}, indent=2) + "\n",
    "latex": lambda _name, sheet: latex_text(sheet, lambda record: (record.get("model"), record.get("task"))),
}
"""The same formats for any other sheet, under the name it has in JSON."""
