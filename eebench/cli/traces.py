"""`eebench traces`: what is in the trace cache, and how it gets out of it and into it."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
from rich.console import Console
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from eebench.cache import traces_dir
from eebench.errors import EEBenchError, unknown
from eebench.traces.cache import CachedTrace, TraceCache


@click.group(invoke_without_command=True)
@click.pass_context
def traces(ctx: click.Context) -> None:
    """List cached traces; `export` publishes them, `import` takes published ones in, `rm` removes them."""
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


@traces.command("export")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A folder that is not there yet, or a file that ends in .tar.gz.",
)
@click.option(
    "--documents",
    metavar="HASH",
    help="The documents, by the beginning of their hash, where a trace has several sets.  [default: the most]",
)
def export(ids: tuple[str, ...], output: Path, documents: str | None) -> None:
    """Write traces, by id (its beginning is enough), for others to replay without weights or a GPU."""
    from eebench.published.kept_traces import of_cached
    from eebench.published.published_traces import export_traces, pick

    cache = TraceCache(traces_dir())
    found = cache.traces()
    chosen = []
    for cached in dict.fromkeys(_find(found, beginning) for beginning in ids):
        sets = list(of_cached(cache, cached))
        if not sets:
            raise EEBenchError(
                f"trace {cached.digest[:12]} does not say what it is of, or is not whole: `eebench run` the same model "
                f"and task once more, which takes seconds where the trace is there."
            )
        chosen.append(pick(sets, documents))
    export_traces(chosen, output)
    for kept in chosen:
        click.echo(
            f"{kept}: {kept.manifest.num_layers} layers, {len(kept.files)} file{'' if len(kept.files) == 1 else 's'}"
        )
    click.echo(f"Written to {output}.")


@traces.command("import")
@click.argument("path", type=click.Path(path_type=Path))
def import_(path: Path) -> None:
    """Take published traces into the cache: a folder, or a .tar.gz. What is damaged or foreign is refused."""
    from eebench.published.published_traces import import_traces

    for imported in import_traces(path, TraceCache(traces_dir())):
        kept = imported.trace
        click.echo(f"{kept}: {imported.new} of {len(kept.files)} files are new")
        if imported.foreign:
            click.echo(
                "  made with other statistics than this EEBench's: `eebench rank --trace` reads it, a run does not.",
                err=True,
            )


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
