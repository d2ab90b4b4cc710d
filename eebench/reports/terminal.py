"""The leaderboard in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.console import Console
from rich.text import Text

from eebench.ranking.board import Board
from eebench.records.results import StoredTiming
from eebench.reports.by_kv_mode import KV_MODE_COLUMNS
from eebench.reports.by_kv_mode import sentences as kv_mode_sentences
from eebench.reports.formats import Record, Sheet, quality
from eebench.reports.grid import Grid
from eebench.reports.of_time import TIMING_COLUMNS, headline, timing_records, verdicts
from eebench.reports.of_time import legend as timing_legend
from eebench.reports.text import ranking_columns, ranking_records, result_columns, result_records

_RANKING_LEGEND = (
    "EE-score: 0 is a coin tossed at every position, 100 is the oracle; by layers saved, by compute saved, and by the "
    "quality that is retained.",
    "at 99%: for the setting picked at a fidelity of 99% on calibration documents, as measured on test documents.",
    "saved: share of the layers, and of the compute with lens reads included, that the full model would have used.",
    "retention: quality above chance, as a share of the full model's.",
)
_INTERVAL_LEGEND = (
    "95%: where the score would lie were the test documents drawn again. rank: shared as long as its first is not "
    "surely better, by the 95% interval of the difference."
)
_BATCH_LEGEND = (
    "of 8, of 32: layers saved by a batch of so many sequences, which leaves a layer only when all of them may; over "
    "all documents."
)
_UNRANKED_LEGEND = "control, bound: shown for comparison and never ranked; a bound sees the layers to come."
_RESULTS_LEGEND = (
    "All documents. quality: the task's metric ± its standard error. retention: quality above chance, as a share of "
    "the full model's.",
    "saved: share of the layers, and of the compute with lens reads included, that the full model would have used.",
    "exit, reads: the layer a position stops at, counted from 1, and how often it reads the head, on average.",
)

_ANSWERS_LEGEND = (
    "answers: their mean length in tokens, the share of them that depart from the full model's, and the share of their "
    "4-grams that stood before.",
)


def show(board: Board, console: Console, results: bool = False) -> None:
    """Print the ranking; or the results, a table per (model, task); or both where there is one (model, task) only."""
    if results or board.single:
        _show_results(board, console)
    if not results:
        _show_ranking(board, console)
        show_timings(board.timings, console)
    for note in board.notes:
        console.print(Text(note, "dim"))


def _show_ranking(board: Board, console: Console) -> None:
    records = ranking_records(board)
    ranked = [record for record in records if record["kind"] == "policy"]
    others = [record for record in records if record["kind"] != "policy"]
    console.print(Text(f"{_title(board)}, {board.scope}", "bold"), end="\n\n")
    columns = ranking_columns(board)
    grid = Grid(columns, console.width, flexible="policy", records=records, main=("EE-score by", board.by))
    grid.add(ranked)
    if others:
        grid.blank()
        grid.add(others, style="dim")
    grid.print(console)
    if grid.spared:
        _paragraphs(console, [f"No room here for {', '.join(grid.spared)}: --format markdown has all."], "dim")
    headings = {column.heading for column in columns} - set(grid.spared)
    wrote = any(stored.result.summaries["all"].answer_length is not None for stored in board.results)
    legend = [
        *_RANKING_LEGEND[:1],
        *([_INTERVAL_LEGEND] if "95%" in headings else []),
        *_RANKING_LEGEND[1:3],
        *([_BATCH_LEGEND] if "of 8" in headings else []),
        _fidelity_legend(wrote),
        *_RANKING_LEGEND[3:],
        *([_UNRANKED_LEGEND] if others else []),
    ]
    _paragraphs(console, legend, "dim")
    picked = [record["setting_99"] for record in ranked if record["setting_99"]]
    if picked:
        _paragraphs(console, [f"Settings picked at 99%: {', '.join(picked)}."], "dim")
    _paragraphs(console, board.summary, "")


def _fidelity_legend(wrote: bool) -> str:
    """What fidelity is, where the model wrote answers or did not."""
    answers = "; where the model writes its answer, the share of it before it departs from the full model's"
    return (
        f"fidelity: share of positions at which the exit layer's top-1 is the full model's{answers if wrote else ''}."
    )


_BY = {"layers": "layers saved", "compute": "compute saved", "quality": "retained quality"}


def _title(board: Board) -> str:
    if board.kv_mode == "full":
        return f"Exit policies ranked by {_BY[board.by]}"
    ranked = any(row.rank is not None for row in board.ranking)
    return f"Exit policies {f'ranked by {_BY[board.by]} ' if ranked else ''}under KV mode {board.kv_mode}"


def _show_results(board: Board, console: Console) -> None:
    place = {row.policy: number for number, row in enumerate(board.ranking)}
    records = sorted(
        result_records(board),
        key=lambda r: (r["model"], r["task"], place[r["policy"]], r["layers_saved"], r["setting"]),
    )
    spared: dict[str, None] = {}
    for _, settings in groupby(records, key=lambda r: (r["model"], r["task"])):
        spared |= dict.fromkeys(_show_settings(list(settings), console))
    if spared:
        _paragraphs(console, [f"No room here for {', '.join(spared)}: --results --format csv has them."], "dim")
    wrote = any(record["answer_length"] is not None for record in records)
    legend = (*_RESULTS_LEGEND[:1], _fidelity_legend(wrote), *_RESULTS_LEGEND[1:], *(_ANSWERS_LEGEND if wrote else ()))
    _paragraphs(console, legend, "dim")


def _show_settings(records: Sequence[Record], console: Console) -> list[str]:
    """One (model, task): its settings under the names of their policies; returns the columns there was no room for."""
    console.print(Text(_headline(records[0]), "bold"), end="\n\n")
    shown = [{**record, "setting": _parameters(record)} for record in records]
    grid = Grid(result_columns(shown), console.width, flexible="setting", records=shown, indent=2)
    for policy, settings in groupby(shown, key=lambda r: r["policy"]):
        rows = list(settings)
        kind, style = rows[0]["kind"], "dim" if rows[0]["kind"] != "policy" else ""
        grid.title(policy + (f" ({kind})" if kind != "policy" else ""), style)
        grid.add(rows, style)
    grid.print(console)
    return grid.spared


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


# --- measured time -----------------------------------------------------------------------------------------------


def show_timings(timings: Sequence[StoredTiming], console: Console) -> None:
    """Print measured time, a table per (model, task, device)."""
    if not timings:
        return
    ordered = sorted(timings, key=_place_measured)
    for _, same_place in groupby(ordered, key=_place_measured):
        here = list(same_place)
        records = timing_records(here)
        console.print(Text(headline(records), "bold"), end="\n\n")
        grid = Grid(TIMING_COLUMNS, console.width, flexible="KV mode", records=records, indent=2)
        _by_setting(grid, records)
        grid.print(console)
        _paragraphs(console, verdicts(here), "")
    _paragraphs(console, timing_legend(timings), "dim")


def _place_measured(stored: StoredTiming) -> tuple[str, str, str]:
    return stored.timing.model, stored.timing.task, stored.timing.device_name


def _by_setting(grid: Grid, records: Sequence[Record]) -> None:
    """Rows under the names of their settings."""
    for setting, rows in groupby(records, key=lambda r: r["setting"]):
        under_it = list(rows)
        style = "dim" if under_it[0]["kind"] != "policy" else ""
        grid.wide_title(setting, style)
        grid.add(under_it, style)


# --- KV modes ----------------------------------------------------------------------------------------------------


def show_kv_modes(records: Sequence[Record], console: Console) -> None:
    """Print settings under several KV modes, a table per (model, task)."""
    for (model, task), rows in groupby(records, key=lambda r: (r["model"], r["task"])):
        here = list(rows)
        title = f"KV modes, {model} on {task}: {here[0]['num_layers']} layers, {here[0]['n_docs']} documents"
        console.print(Text(title, "bold"), end="\n\n")
        grid = Grid(KV_MODE_COLUMNS, console.width, flexible="KV mode", records=here, indent=2)
        _by_setting(grid, here)
        grid.print(console)
    _paragraphs(console, kv_mode_sentences(records), "")


def show_sheet(sheet: Sheet, console: Console) -> None:
    """Print any table with its sentences; its first column gives way where the terminal is narrow."""
    grid = Grid(sheet.columns, console.width, flexible=sheet.columns[0].heading, records=sheet.records)
    grid.add(sheet.records)
    grid.print(console)
    _paragraphs(console, sheet.sentences, "dim")


def _paragraphs(console: Console, sentences: Iterable[str], style: str) -> None:
    for sentence in sentences:
        console.print(Text(sentence, style))
    console.print()
