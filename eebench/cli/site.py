"""`eebench site`: the leaderboard as a web site of plain files."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from eebench.cli.options import comma_separated, db_option

OUT = click.Path(path_type=Path)


@click.group()
def site() -> None:
    """Build the leaderboard as a web site, or look at one."""


@site.command()
@click.argument("out", type=OUT)
@db_option
@click.option("--model", "-m", "models", multiple=True, callback=comma_separated, help="Only these models.")
@click.option("--task", "-t", "tasks", multiple=True, callback=comma_separated, help="Only these tasks.")
def build(out: Path, db: str | None, models: Sequence[str], tasks: Sequence[str]) -> None:
    """Build the site in the folder OUT, in the place of an older one.

    It is plain files: open OUT/index.html, or put the folder on any web server. Nothing is fetched from elsewhere.
    """
    from eebench.plots.style import check_installed

    check_installed()
    from eebench.site.build import build as build_site
    from eebench.store import Store

    with Store.open(db, create=False) as store:
        count = build_site(store, out, models, tasks)
    click.echo(f"{count} files in {out}: open {out / 'index.html'}, or eebench site serve {shlex.quote(str(out))}")


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
