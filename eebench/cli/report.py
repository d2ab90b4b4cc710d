"""`eebench report`: the leaderboard, from the database."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path

import click
from rich.console import Console

from eebench.board import Board, RankBy
from eebench.cli.options import comma_separated, db_option
from eebench.errors import EEBenchError
from eebench.report import FORMATS
from eebench.store import Store
from eebench.terminal import show

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
@click.option("--results", is_flag=True, help="Every setting in place of the ranking.")
def report(
    db: str | None,
    models: Sequence[str],
    tasks: Sequence[str],
    policies: Sequence[str],
    form: str,
    output: Path | None,
    by: RankBy,
    results: bool,
) -> None:
    """Rank the policies that have been measured.

    Shows the newest results that can be compared with each other; older ones stay in the database.
    """
    board = _board(db, models, tasks, policies, by)
    if form == "table" and output is None:
        show(board, Console(), results)
        return
    text = _plain_table(board, results) if form == "table" else FORMATS[form](board, results)
    if form in ("csv", "json"):  # these two have no place for sentences
        for note in board.notes:
            click.echo(note, err=True)
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(output, text)
        click.echo(f"Written to {output}.", err=True)


def _board(db: str | None, models: Sequence[str], tasks: Sequence[str], policies: Sequence[str], by: RankBy) -> Board:
    """The board of the newest results of these models and tasks; policies are ranked among all, and then picked."""
    from eebench.ranking import rank

    with Store.open(db, create=False) as store:
        newest = store.newest(models, tasks)
    board = rank(newest.results, by)
    board = replace(board, notes=[*board.notes, *map(str, newest.left_out)])
    return board.only(policies) if policies else board


def _plain_table(board: Board, results: bool) -> str:
    console = Console(width=_FILE_WIDTH, file=StringIO(), color_system=None)
    with console.capture() as printed:
        show(board, console, results)
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
