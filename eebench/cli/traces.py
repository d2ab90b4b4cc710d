"""`eebench traces`: what is in the trace cache."""

from __future__ import annotations

import shutil

import click
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from eebench.cache import traces_dir
from eebench.errors import EEBenchError, unknown
from eebench.trace_cache import CachedTrace, TraceCache


@click.group(invoke_without_command=True)
@click.pass_context
def traces(ctx: click.Context) -> None:
    """List cached traces; `rm` removes them."""
    if not ctx.invoked_subcommand:
        ctx.invoke(list_traces)


@traces.command("list")
def list_traces() -> None:
    """List cached traces by model and task, with their size."""
    found = TraceCache(traces_dir()).traces()
    if not found:
        click.echo(f"No traces yet in {traces_dir()}: `eebench run` makes them.")
        return
    table = Table("id", "model", "revision", "dtype", "task", "version", "shards", "size", box=None, pad_edge=False)
    for trace in found:
        table.add_row(*map(escape, _row(trace)))
    Console(width=max(120, shutil.get_terminal_size().columns)).print(table)
    click.echo(f"{decimal(sum(trace.bytes for trace in found))} in {traces_dir()}")


def _row(trace: CachedTrace) -> tuple[str, ...]:
    key = trace.key
    what = (
        (key.model_id, key.revision[:12], key.dtype, key.task, key.task_version)
        if key
        else ("unreadable: its trace.json is damaged", "", "", "", "")
    )
    return (trace.digest[:12], *what, str(trace.shards), decimal(trace.bytes))


@traces.command("rm")
@click.argument("ids", nargs=-1, metavar="ID...")
@click.option("--all", "everything", is_flag=True, help="Remove all traces.")
def remove(ids: tuple[str, ...], everything: bool) -> None:
    """Remove traces by id (its beginning is enough), or all of them."""
    cache = TraceCache(traces_dir())
    found = cache.traces()
    if not ids and not everything:
        raise EEBenchError("name the traces to remove by id (`eebench traces` lists them), or give --all.")
    chosen = found if everything else list({_find(found, beginning) for beginning in ids})
    for trace in chosen:
        cache.remove(trace.digest)
    freed = decimal(sum(trace.bytes for trace in chosen))
    click.echo(f"Removed {len(chosen)} trace{'' if len(chosen) == 1 else 's'} ({freed}).")


def _find(found: list[CachedTrace], beginning: str) -> CachedTrace:
    matching = [trace for trace in found if beginning and trace.digest.startswith(beginning)]
    if not matching:
        raise unknown("trace", beginning, [trace.digest[:12] for trace in found], "`eebench traces` lists them.")
    if len(matching) > 1:
        raise EEBenchError(f"{len(matching)} traces begin with '{beginning}': give more of the id.")
    return matching[0]
