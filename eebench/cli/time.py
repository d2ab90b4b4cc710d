"""`eebench time`: measured time of settings that really skip blocks, beside what the cost model predicts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eebench.cli.options import (
    comma_separated,
    db_option,
    kv_modes,
    load_options,
    models_option,
    prompt_options,
    quiet_option,
)
from eebench.cli.recording import db_option_of, recorded
from eebench.own_tasks import DEFAULT_GENERATION_TASK
from eebench.records.results import KV_MODES, KvMode

if TYPE_CHECKING:
    from eebench.progress import Terminal
    from eebench.timing import TimingPlan


@click.command()
@click.option(
    "-p",
    "--policy",
    "policies",
    multiple=True,
    metavar="SPEC",
    help="Policies, as `eebench run` takes them.  [default: a few that tell: static at half depth, cut there; "
    "schedule; state; confidence]",
)
@models_option
@click.option(
    "-t",
    "--tasks",
    multiple=True,
    default=(DEFAULT_GENERATION_TASK,),
    show_default=True,
    metavar="NAME",
    callback=comma_separated,
    help="Generation tasks that the prompts come from.",
)
@click.option(
    "--kv-mode",
    "modes",
    multiple=True,
    metavar="MODE",
    callback=kv_modes,
    help=f"KV modes: {', '.join(KV_MODES)}.  [default: full]",
)
@click.option(
    "--draft-length",
    type=click.IntRange(min=1),
    default=4,
    show_default=True,
    help="Most tokens drafted before a check, under KV mode verify.",
)
@click.option("--limit", type=click.IntRange(min=1), default=4, show_default=True, help="Prompts of each task.")
@click.option(
    "--new-tokens",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Tokens decoded after each prompt, whatever they are.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=2),
    default=5,
    show_default=True,
    help="Rounds of all settings in turns; one more comes first, to warm up.",
)
@prompt_options
@load_options
@db_option
@quiet_option
def time(
    policies: tuple[str, ...],
    models: tuple[str, ...],
    tasks: tuple[str, ...],
    modes: tuple[KvMode, ...],
    draft_length: int,
    limit: int,
    new_tokens: int,
    rounds: int,
    num_fewshot: int | None,
    seed: int,
    db: str | None,
    datasets_dir: Path | None,
    quiet: bool,
    **loading: Any,
) -> None:
    """Measure time: decode with the full model and with each setting in turns, really skipping blocks.

    \b
      eebench time                                             a telling few, on smollm2-135m
      eebench time -p static:layer=15 --kv-mode full,truncate,copy
      eebench time -p confidence:threshold=0.9 --kv-mode verify --draft-length 6 --device cuda
    """
    from eebench.progress import Terminal
    from eebench.timing import choose

    chosen = choose(policies, modes)  # what cannot be is told before anything heavy is imported
    progress = Terminal(quiet=quiet)
    for warning in chosen.warnings:
        progress.warn(warning)
    if loading["offline"]:
        from eebench.models.hub import go_offline

        go_offline()
    with progress.stage("Starting"):
        from eebench import run, timing
        from eebench.harness import TaskOptions
        from eebench.models.loading import LoadOptions

    options = TaskOptions(limit, num_fewshot, False, seed, datasets_dir, new_tokens)
    with progress.stage("Loading tasks"):
        base = run.plan(("full",), models, tasks, options, LoadOptions(**loading))
    _time_into(timing.plan(base, chosen, new_tokens, rounds, draft_length), db, seed, progress)


def _time_into(plan: TimingPlan, db: str | None, seed: int, progress: Terminal) -> None:
    from rich.console import Console

    from eebench.records.results import StoredTiming
    from eebench.reports.terminal import show_timings
    from eebench.timing import measure

    if_stopped = "stopped; models and tasks whose rounds were all done are kept, and nothing of the others."
    with recorded(db, seed, plan.base.load_options.device, progress, if_stopped) as (store, run_id):
        for timings in measure(plan, progress):
            ids = store.add_timings(run_id, timings)
            kept = [StoredTiming(run_id, id, "", timing) for id, timing in zip(ids, timings, strict=True)]
            show_timings(kept, Console())
    given = db_option_of(db)
    progress.note(f"Kept; show it with: eebench report --by time{given} (`eebench report` has it under the ranking)")
