"""`eebench study`: is early exit natural in a model, can policies locate the layer, and what does training buy?"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from eebench.cli.options import comma_separated, load_options, prompt_options, quiet_option
from eebench.errors import EEBenchError

NONE = "none"


@click.command()
@click.argument("model")
@click.option("--against", metavar="MODEL", help="A second model of the same tokenizer, as one that was tuned.")
@click.option(
    "-t",
    "--tasks",
    multiple=True,
    metavar="NAME",
    callback=comma_separated,
    help="Likelihood tasks to look at.  [default: EEBench's own]",
)
@click.option(
    "--kv-tasks",
    multiple=True,
    metavar="NAME",
    callback=comma_separated,
    help=f"Generation tasks to decode with copied K/V, or {NONE}.  [default: EEBench's own]",
)
@click.option("--limit", type=click.IntRange(min=2), help="Documents of each likelihood task.  [default: all]")
@click.option(
    "--kv-limit", type=click.IntRange(min=2), default=20, show_default=True, help="Documents of each KV task."
)
@click.option("--max-gen-toks", type=click.IntRange(min=1), help="Longest answer of KV tasks.  [default: the task's]")
@click.option("--half-layers/--no-half-layers", default=True, show_default=True, help="Exits after attention as well.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for study.md, study.html, figures (SVG) and data (CSV).  [default: print only]",
)
@prompt_options
@load_options
@click.option("--no-cache", is_flag=True, help="Make traces anew and keep none.")
@quiet_option
def study(
    model: str,
    against: str | None,
    tasks: tuple[str, ...],
    kv_tasks: tuple[str, ...],
    limit: int | None,
    kv_limit: int,
    max_gen_toks: int | None,
    half_layers: bool,
    output: Path | None,
    num_fewshot: int | None,
    seed: int,
    datasets_dir: Path | None,
    no_cache: bool,
    quiet: bool,
    **loading: Any,
) -> None:
    """Study how early MODEL could stop, where policies stop it, and, against a second one, what training changes.

    \b
      eebench study smollm2-135m
      eebench study smollm2-135m --against smollm2-135m-joint -o my_study
      eebench study gemma3-270m -t eebench_passages --kv-tasks none --limit 50
    """
    from importlib.util import find_spec

    from eebench.own_tasks import GENERATION_TASKS, LIKELIHOOD_TASKS
    from eebench.progress import Terminal

    if output and not all(map(find_spec, ("altair", "vl_convert", "jinja2"))):
        raise EEBenchError(
            "figures and pages need altair, vl-convert and jinja2: pip install 'eebench[plots]', or leave --output out."
        )
    progress = Terminal(quiet=quiet)
    if loading["offline"]:
        from eebench.models.hub import go_offline

        go_offline()
    with progress.stage("Starting"):
        from rich.console import Console

        from eebench.harness import TaskOptions
        from eebench.models.loading import LoadOptions, resolve
        from eebench.study.measure import check_pair, plan_study
        from eebench.study.measure import study as measure
        from eebench.study.render import show, write
        from eebench.study.sections import report

        for name in filter(None, (model, against)):
            resolve(name, allow_pickle=loading["allow_pickle"])
    decoded = () if kv_tasks == (NONE,) else kv_tasks or GENERATION_TASKS
    options = TaskOptions(limit, num_fewshot, False, seed, datasets_dir)
    kv_options = TaskOptions(kv_limit, num_fewshot, False, seed, datasets_dir, max_gen_toks)
    with progress.stage("Loading tasks"):
        plan = plan_study(
            tasks or LIKELIHOOD_TASKS,
            decoded,
            options,
            kv_options,
            LoadOptions(**loading),
            half_layers=half_layers,
            use_cache=not no_cache,
        )
        if against:
            check_pair(model, against, plan)
    try:
        first = measure(model, plan, progress)
        second = measure(against, plan, progress) if against else None
    except KeyboardInterrupt:
        progress.warn("stopped; traces that were finished are kept, and the same command uses them.")
        raise SystemExit(130) from None
    command = shlex.join(["eebench", *sys.argv[1:]])
    made = report(first, second, command)
    if output:
        write(made, output)
    show(made, Console())
    if output:
        progress.note(f"Written to {output}: study.html, study.md, figures and data")
