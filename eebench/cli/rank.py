"""`eebench rank`: a policy ranked among the built-in ones on traces that are there, without model, task or GPU."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from eebench.board import Board, RankBy
from eebench.cli.options import comma_separated, quiet_option
from eebench.errors import EEBenchError

if TYPE_CHECKING:
    from eebench.published.kept_traces import KeptTrace


@click.command()
@click.argument("policy", metavar="FILE")
@click.option(
    "--trace",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Published traces: a folder, or a .tar.gz.  [default: what `eebench run` has left in the trace cache]",
)
@click.option("--model", "-m", "models", multiple=True, callback=comma_separated, help="Only traces of these models.")
@click.option("--task", "-t", "tasks", multiple=True, callback=comma_separated, help="Only traces of these tasks.")
@click.option("--among", multiple=True, default=("all",), show_default=True, metavar="SPEC", help="The other policies.")
@click.option("--rank-by", "by", type=click.Choice(["layers", "compute"]), default="layers", show_default=True)
@quiet_option
def rank(
    policy: str,
    folders: Sequence[Path],
    models: Sequence[str],
    tasks: Sequence[str],
    among: Sequence[str],
    by: RankBy,
    quiet: bool,
) -> None:
    """Rank the policy in FILE among the built-in ones, in seconds: settings are replayed on traces of likelihood tasks.

    FILE is a policy as `eebench run -p` takes it. Layers and compute saved and fidelity follow from a trace; quality
    does not, and is left open.

    \b
      eebench rank ./my_policy.py
      eebench rank ./my_policy.py:threshold=0.1..0.9/9 --trace traces/smollm2-135m-eebench-facts-0123456789ab
    """
    from eebench import ranking
    from eebench.progress import Terminal
    from eebench.published.replaying import NOT_MEASURED, DocumentRows, replay_kept
    from eebench.spec import parse_policies
    from eebench.terminal import show

    specs = parse_policies([policy, *among])
    own = {spec.policy.name for spec in parse_policies([policy])}
    with ExitStack() as stack:
        traces = _chosen(_traces(folders, stack), models, tasks)
        results = replay_kept(traces, specs, Terminal(quiet=quiet))
    board = ranking.rank(results, by, DocumentRows(results))
    notes = [note for note in board.notes if NOT_MEASURED not in note]
    own_results = [stored for stored in board.results if stored.result.policy in own]
    show(replace(board, results=own_results, summary=[*_places(board, own), *board.summary], notes=notes), Console())
    click.echo(f"EE-scores by quality are left open: {NOT_MEASURED}")


def _places(board: Board, own: Collection[str]) -> list[str]:
    ranked = sum(row.rank is not None for row in board.ranking)
    return [f"{row.policy}: rank {row.rank} of {ranked}." for row in board.ranking if row.policy in own and row.rank]


def _traces(folders: Sequence[Path], stack: ExitStack) -> list[KeptTrace]:
    """The traces in these folders, or in the cache."""
    from eebench.cache import traces_dir
    from eebench.published.kept_traces import in_cache, published_in
    from eebench.published.published_traces import LIMITS
    from eebench.statistics import fingerprint
    from eebench.submission.archives import opened
    from eebench.trace_cache import TraceCache

    if folders:
        return [kept for folder in folders for kept in published_in(stack.enter_context(opened(folder, LIMITS)))]
    statistics = fingerprint()  # a policy may have registered some of its own
    found = [kept for kept in in_cache(TraceCache(traces_dir())) if kept.key.statistics == statistics]
    if not found:
        raise EEBenchError(
            f"no traces of these statistics yet in {traces_dir()}: `eebench run` makes them, or name a published one "
            f"with --trace."
        )
    return found


def _chosen(traces: Sequence[KeptTrace], models: Sequence[str], tasks: Sequence[str]) -> list[KeptTrace]:
    """Traces of these models and likelihood tasks: of each (model, task), the one of most documents."""
    from eebench.published.replaying import of_likelihood_tasks

    named = [
        kept
        for kept in traces
        if (not models or kept.manifest.model in models) and (not tasks or kept.key.task in tasks)
    ]
    if not named:
        known = ", ".join(dict.fromkeys(f"{kept.manifest.model} on {kept.key.task}" for kept in traces))
        raise EEBenchError(f"no trace is of a model and a task that are named: there are {known}.")
    largest: dict[tuple[str, str], KeptTrace] = {}
    for kept in of_likelihood_tasks(named):
        place = (kept.manifest.model, kept.key.task)
        other = largest.setdefault(place, kept)
        if len(kept.manifest.prompt_hashes) > len(other.manifest.prompt_hashes):
            largest[place] = kept
    return list(largest.values())
