"""`eebench site`: the leaderboard as a web site of plain files."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eebench.cli.options import comma_separated, db_option

if TYPE_CHECKING:
    from eebench.records.store import Store
    from eebench.submission.checks import Checks

OUT = click.Path(path_type=Path)


@click.group()
def site() -> None:
    """Build the leaderboard as a web site, or look at one."""


@site.command()
@click.argument("out", type=OUT)
@db_option
@click.option(
    "--leaderboard",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Of a leaderboard's bundles, in place of a database: says which results are verified.",
)
@click.option("--model", "-m", "models", multiple=True, callback=comma_separated, help="Only these models.")
@click.option("--task", "-t", "tasks", multiple=True, callback=comma_separated, help="Only these tasks.")
def build(out: Path, db: str | None, leaderboard: Path | None, models: Sequence[str], tasks: Sequence[str]) -> None:
    """Build the site in the folder OUT, in the place of an older one.

    It is plain files: open OUT/index.html, or put the folder on any web server. Nothing is fetched from elsewhere.
    """
    from eebench.plots.style import check_installed

    check_installed()
    from eebench.records.store import Store
    from eebench.site.build import build as build_site

    if leaderboard:
        with tempfile.TemporaryDirectory() as temporary, Store.open(f"{temporary}/loaded.db") as store:
            count = build_site(store, out, models, tasks, _load(leaderboard, store))
    else:
        with Store.open(db, create=False) as store:
            count = build_site(store, out, models, tasks)
    click.echo(f"{count} files in {out}: open {out / 'index.html'}, or eebench site serve {shlex.quote(str(out))}")


def _load(folder: Path, store: Store) -> Checks:
    """Put a leaderboard's bundles into a database, and return what was found of them."""
    from eebench.submission.checks import read_checks
    from eebench.submission.loading import load
    from eebench.submission.submissions import find_leaderboard

    board = find_leaderboard(folder)
    return read_checks(board.folder, load(board.bundles(), store))


@site.command()
@click.argument("out", type=OUT)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any that is free.")
def serve(out: Path, port: int) -> None:
    """Serve the site in OUT to this machine until Ctrl+C."""
    from eebench.site.server import server

    with server(out, port) as serving:
        click.echo(f"Serving {out} at http://127.0.0.1:{serving.server_port}/ until Ctrl+C.")
        try:
            serving.serve_forever()
        except KeyboardInterrupt:
            click.echo("Stopped.")
