"""`eebench rank`: a policy ranked among the built-in ones on traces that are there, without model, task or GPU."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from eebench.cli.options import comma_separated, quiet_option
from eebench.errors import EEBenchError
from eebench.ranking.board import Board, RankBy

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
    help="Published traces: a folder, or a .tar.gz.  [default: what `eebench run` has left in the trace cache, else "
    "those that come with EEBench]",
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
    from eebench.progress import Terminal
    from eebench.published.standing import standing

    with ExitStack() as stack:
        traces = _chosen(_traces(folders, stack), models, tasks)
        print_standing(standing(policy, traces, among, by, Terminal(quiet=quiet)))


def print_standing(board: Board) -> None:
    """A policy's place on traces, and what they do not tell."""
    from eebench.published.replaying import NOT_MEASURED
    from eebench.reports.terminal import show

    show(board, Console())
    click.echo(f"EE-scores by quality are left open: {NOT_MEASURED}")


def _traces(folders: Sequence[Path], stack: ExitStack) -> list[KeptTrace]:
    """The traces in these folders; else those in the cache, or where it has none, those that come with EEBench."""
    from eebench.archives import opened
    from eebench.cache import traces_dir
    from eebench.published.kept_traces import in_cache, published_in
    from eebench.published.published_traces import LIMITS
    from eebench.published.standing import shipped_traces
    from eebench.statistics import fingerprint
    from eebench.traces.cache import TraceCache

    if folders:
        return [kept for folder in folders for kept in published_in(stack.enter_context(opened(folder, LIMITS)))]
    statistics = fingerprint()  # a policy may have registered some of its own
    found = [kept for kept in in_cache(TraceCache(traces_dir())) if kept.key.statistics == statistics]
    return found or shipped_traces()


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
