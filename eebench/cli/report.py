"""`eebench report`: the leaderboard, from the database."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Literal, get_args

import click
from rich.console import Console

from eebench.cli.options import comma_separated, db_option, metric_option
from eebench.errors import EEBenchError, unknown
from eebench.ranking.board import Board, RankBy
from eebench.records.comparable import sentences
from eebench.records.results import KV_MODES, KvMode
from eebench.records.store import Store
from eebench.reports.terminal import show, show_kv_modes, show_sheet, show_timings
from eebench.reports.text import FORMATS, SHEET_FORMATS

By = Literal["policy", "model", "family", "level", "kv-mode", "time"]

_FILE_WIDTH = 100
"""Characters in a line of a table that goes to a file."""


@click.command()
@db_option
@click.option("--model", "-m", "models", multiple=True, callback=comma_separated, help="Only these models.")
@click.option("--task", "-t", "tasks", multiple=True, callback=comma_separated, help="Only these tasks.")
@click.option("--policy", "-p", "policies", multiple=True, callback=comma_separated, help="Show these policies only.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", *FORMATS]),
    default="table",
    show_default=True,
    help="A table for the terminal, or text for other programs.",
)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
@click.option(
    "--rank-by",
    "by",
    type=click.Choice(["layers", "compute", "quality"]),
    default="layers",
    show_default=True,
    help="Layers saved or compute saved against fidelity, or layers saved against retained quality.",
)
@click.option(
    "--kv-mode",
    type=click.Choice(KV_MODES),
    default="full",
    show_default=True,
    help="Rank what was measured under this KV mode.",
)
@metric_option
@click.option(
    "--by",
    "view",
    type=click.Choice(get_args(By)),
    default="policy",
    show_default=True,
    help="A ranking of policies, models or families of models by what could be saved, what policies save where 99, 95 "
    "or 90% is kept, settings under several KV modes side by side, or measured time alone.",
)
@click.option("--top", type=click.IntRange(min=1), help="Only the first N policies of the ranking.")
@click.option("--results", is_flag=True, help="Every setting in place of the ranking.")
def report(
    db: str | None,
    models: Sequence[str],
    tasks: Sequence[str],
    policies: Sequence[str],
    form: str,
    output: Path | None,
    by: RankBy,
    kv_mode: KvMode,
    metric: str | None,
    view: By,
    top: int | None,
    results: bool,
) -> None:
    """Rank the policies that have been measured.

    Shows the newest results that can be compared with each other; older ones stay in the database.
    """
    if results and view != "policy":
        raise EEBenchError(f"--results goes with the ranking of policies, not with --by {view}.")
    if top is not None and view != "policy":
        raise EEBenchError(f"--top goes with the ranking of policies, not with --by {view}.")
    if view in ("model", "family") and (policies or by != "layers"):
        raise EEBenchError(
            f"--by {view} shows the best policy by layers: leave out {'--policy' if policies else '--rank-by'}."
        )
    if metric is not None and view == "time":
        raise EEBenchError("--metric says what quality is measured in, and --by time shows none.")
    with Store.open(db, create=False) as store:
        if view == "policy":
            shown = _ranking(store, models, tasks, policies, by, kv_mode, metric, results, top)
        elif view in ("model", "family"):
            shown = _by_model(store, models, tasks, kv_mode, metric, view == "family")
        elif view == "level":
            shown = _by_level(store, models, tasks, policies, by, kv_mode, metric)
        elif view == "kv-mode":
            shown = _by_kv_mode(store, models, tasks, policies, metric)
        else:
            shown = _by_time(store, models, tasks, policies)
    if form == "table" and output is None:
        shown.show(Console())
        return
    text = _plain_table(shown) if form == "table" else shown.write(form)
    if form in ("csv", "json"):  # these two have no place for sentences
        for note in shown.notes:
            click.echo(note, err=True)
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(output, text)
        click.echo(f"Written to {output}.", err=True)


# --- what is shown -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Shown:
    """A report: how it is printed, how it is written in a format for other programs, and what was left out."""

    show: Callable[[Console], None]
    write: Callable[[str], str]
    notes: Sequence[str]


def _ranking(
    store: Store,
    models: Sequence[str],
    tasks: Sequence[str],
    policies: Sequence[str],
    by: RankBy,
    kv_mode: KvMode,
    metric: str | None,
    results: bool,
    top: int | None,
) -> _Shown:
    board = _board(store, models, tasks, policies, by, kv_mode, metric, top)
    return _Shown(
        lambda console: show(board, console, results), lambda form: FORMATS[form](board, results), board.notes
    )


def _board(
    store: Store,
    models: Sequence[str],
    tasks: Sequence[str],
    policies: Sequence[str],
    by: RankBy,
    kv_mode: KvMode,
    metric: str | None,
    top: int | None = None,
) -> Board:
    """The board of the newest results of these models and tasks; policies are ranked among all, and then picked.

    Raises:
        EEBenchError: nothing was measured of a policy, or none of them is ranked and the first are asked for.
    """
    from eebench.ranking.rank import rank

    newest = store.newest(models, tasks, kv_mode, metric)
    timed = store.newest_timings({stored.evaluation.model for stored in newest.results})
    timed = replace(timed, timings=[stored for stored in timed.timings if not tasks or stored.timing.task in tasks])
    notes = sentences([*newest.left_out, *timed.left_out])
    if newest.other_modes:
        notes.append(
            f"Also measured under other KV modes: {', '.join(newest.other_modes)} "
            f"(eebench report --kv-mode {newest.other_modes[0]})."
        )
    board = rank(newest.results, by, store)
    board = replace(board, notes=[*board.notes, *notes], timings=timed.timings)
    chosen = board.only(policies) if policies else board
    if top is None:
        return chosen
    first = [row.policy for row in chosen.ranking if row.kind == "policy"][:top]
    if not first:
        raise EEBenchError("--top shows the first of the ranked policies, and none of these is ranked: leave it out.")
    return board.only(first)


def _by_model(
    store: Store, models: Sequence[str], tasks: Sequence[str], kv_mode: KvMode, metric: str | None, by_family: bool
) -> _Shown:
    from eebench.reports.by_model import family_records, model_records, sheet

    newest = store.newest(models, tasks, kv_mode, metric)
    records = (family_records if by_family else model_records)(newest.results, store)
    table = sheet(records, by_family)
    notes = sentences(newest.left_out)
    return _Shown(
        lambda console: show_sheet(replace(table, sentences=[*table.sentences, *notes]), console),
        lambda form: SHEET_FORMATS[form]("families" if by_family else "models", table),
        notes,
    )


def _by_level(
    store: Store,
    models: Sequence[str],
    tasks: Sequence[str],
    policies: Sequence[str],
    by: RankBy,
    kv_mode: KvMode,
    metric: str | None,
) -> _Shown:
    from eebench.reports.by_level import level_records, level_sheet

    board = _board(store, models, tasks, policies, by, kv_mode, metric)
    records = level_records(board)

    def show_table(console: Console) -> None:
        table = level_sheet(records, console.width)
        show_sheet(replace(table, sentences=[f"{board.scope}.", *table.sentences, *board.notes]), console)

    return _Shown(show_table, lambda form: SHEET_FORMATS[form]("levels", level_sheet(records)), board.notes)


def _by_kv_mode(
    store: Store, models: Sequence[str], tasks: Sequence[str], policies: Sequence[str], metric: str | None
) -> _Shown:
    from eebench.reports.by_kv_mode import kv_mode_records, kv_mode_sheet

    records = kv_mode_records(store.newest_by_mode(models, tasks, metric))
    _check_policies(policies, {record["policy"] for record in records}, "Under several KV modes")
    chosen = [record for record in records if not policies or record["policy"] in policies]
    return _Shown(
        lambda console: show_kv_modes(chosen, console),
        lambda form: SHEET_FORMATS[form]("kv_modes", kv_mode_sheet(chosen)),
        [],
    )


def _by_time(store: Store, models: Sequence[str], tasks: Sequence[str], policies: Sequence[str]) -> _Shown:
    from eebench.reports.of_time import timing_sheet

    newest = store.newest_timings(models)
    chosen = [stored for stored in newest.timings if not tasks or stored.timing.task in tasks]
    if not chosen:
        raise EEBenchError("nothing has been timed here yet: `eebench time` does.")
    _check_policies(policies, {stored.timing.policy for stored in chosen}, "Timed")
    chosen = [stored for stored in chosen if not policies or stored.timing.policy in policies]
    notes = sentences(newest.left_out)

    def show_all(console: Console) -> None:
        show_timings(chosen, console)
        for note in notes:
            console.print(note, style="dim", markup=False, highlight=False)

    sheet = timing_sheet(chosen)
    noted = replace(sheet, sentences=[*sheet.sentences, *notes])
    return _Shown(show_all, lambda form: SHEET_FORMATS[form]("timings", noted), notes)


def _check_policies(names: Sequence[str], known: set[str], where: str) -> None:
    for name in names:
        if name not in known:
            raise unknown("policy", name, known, f"{where}: {', '.join(sorted(known))}.")


# --- where it goes -----------------------------------------------------------------------------------------------


def _plain_table(shown: _Shown) -> str:
    console = Console(width=_FILE_WIDTH, file=StringIO(), color_system=None)
    with console.capture() as printed:
        shown.show(console)
    return "".join(f"{line.rstrip()}\n" for line in printed.get().splitlines())


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        EEBenchError: its folder is missing, or it cannot be written.
    """
    if not path.parent.is_dir():
        raise EEBenchError(f"{path} cannot be written: there is no folder {path.parent}")
    try:
        if path.exists() and not path.is_file():  # a pipe or a device, which nothing may take the place of
            path.write_text(text, encoding="utf-8")
        else:
            _replace(path.resolve(), text)
    except OSError as error:
        raise EEBenchError(f"{path} cannot be written: {error.strerror}") from None


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
