"""`eebench run`: measure policies on models and tasks, into the database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eebench.cli.options import (
    comma_separated,
    db_option,
    half_layers_option,
    kv_modes,
    load_options,
    models_option,
    prompt_options,
    quiet_option,
)
from eebench.cli.recording import db_option_of, recorded
from eebench.errors import EEBenchError

if TYPE_CHECKING:
    from eebench.progress import Terminal
    from eebench.records.results import KvMode
    from eebench.run import RunPlan


@click.command()
@click.option(
    "-p",
    "--policy",
    "policies",
    multiple=True,
    default=("all",),
    show_default=True,
    metavar="SPEC",
    help="Policies: NAME, NAME:param=value, sweeps (0.1..2.0/20, 1..8, [0.1,0.5]), a file, or all.",
)
@models_option
@click.option(
    "-t",
    "--tasks",
    multiple=True,
    metavar="NAME",
    callback=comma_separated,
    help="lm-eval tasks, tags, groups or YAML files.  [default: EEBench's own likelihood tasks]",
)
@click.option("--limit", type=click.IntRange(min=1), help="Score only the first N documents of each task.")
@click.option(
    "--max-gen-toks", type=click.IntRange(min=1), help="Longest answer of generation tasks.  [default: the task's]"
)
@prompt_options
@load_options
@half_layers_option
@click.option("--batch-size", default="auto", show_default=True, metavar="N|auto", help="Sequences per forward pass.")
@click.option("--execute", is_flag=True, help="Generation: decode by really skipping blocks, a setting at a time.")
@click.option(
    "--kv-mode",
    "kv_modes",
    multiple=True,
    metavar="MODE",
    callback=kv_modes,
    help="Generation: full, propagate, copy, truncate, verify; all but full are executed.  [default: full]",
)
@click.option(
    "--metric", metavar="NAME", help="Measure quality in this metric of the tasks.  [default: each task's main one]"
)
@click.option("--apply-chat-template", is_flag=True, help="Wrap prompts in the model's chat template.")
@db_option
@click.option("--no-cache", is_flag=True, help="Make traces anew and keep none.")
@click.option("--dry-run", is_flag=True, help="Print the plan and what it would cost; run nothing.")
@quiet_option
def run(
    policies: tuple[str, ...],
    models: tuple[str, ...],
    tasks: tuple[str, ...],
    limit: int | None,
    num_fewshot: int | None,
    max_gen_toks: int | None,
    seed: int,
    batch_size: str,
    execute: bool,
    kv_modes: tuple[KvMode, ...],
    metric: str | None,
    apply_chat_template: bool,
    db: str | None,
    datasets_dir: Path | None,
    no_cache: bool,
    dry_run: bool,
    quiet: bool,
    **loading: Any,
) -> None:
    """Measure exit policies: trace each model once per task, replay every setting, keep the results.

    \b
      eebench run                                        all policies, EEBench's own likelihood tasks
      eebench run -p entropy -m llama2-7b,opt-6.7b
      eebench run -p confidence,patience:patience=1..8 -p ./my_policy.py -t arc_easy,piqa --limit 200
    """
    from eebench.own_tasks import GENERATION_TASKS, LIKELIHOOD_TASKS
    from eebench.progress import Terminal
    from eebench.spec import parse_policies

    parse_policies(policies)  # a misspelt policy is told before anything heavy is imported
    sequences = _batch_size(batch_size)
    progress = Terminal(quiet=quiet)
    if loading["offline"]:
        from eebench.models.hub import go_offline

        go_offline()
    with progress.stage("Starting"):
        from eebench.harness import TaskOptions
        from eebench.models.loading import LoadOptions
        from eebench.run import KvOptions, plan

    own = GENERATION_TASKS if execute or kv_modes not in ((), ("full",)) else LIKELIHOOD_TASKS
    kv = KvOptions(kv_modes or ("full",), execute)
    task_options = TaskOptions(limit, num_fewshot, apply_chat_template, seed, datasets_dir, max_gen_toks)
    options = LoadOptions(**loading)
    with progress.stage("Loading tasks"):
        planned = plan(policies, models, tasks or own, task_options, options, sequences, not no_cache, kv, metric)
    if dry_run:
        from rich.console import Console

        from eebench.dry_run import show

        show(planned, Console())
        return
    _run_into(planned, db, seed, progress)


def _batch_size(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise EEBenchError(f"--batch-size {text}: give a number of sequences, 1 or more, or auto.")
    return int(text)


def _run_into(plan: RunPlan, db: str | None, seed: int, progress: Terminal) -> None:
    from eebench.run import run

    if_stopped = "stopped; what was finished is kept, and the same command goes on from there."
    with recorded(db, seed, plan.load_options.device, progress, if_stopped) as (store, run_id):
        done = run(plan, store, run_id, progress)
    progress.note(f"{done} results kept; rank them with: eebench report{db_option_of(db)}")
