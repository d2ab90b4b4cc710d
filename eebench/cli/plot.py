"""`eebench plot`: figures of what has been measured, for papers and slides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from eebench.cli.options import comma_separated, db_option, metric_option
from eebench.records.results import KV_MODES, KvMode

if TYPE_CHECKING:
    from eebench.plots.points import X, Y


@click.command()
@click.argument("figure", type=click.Choice(["pareto", "histogram", "lens", "heatmap"]))
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The file: .svg, .png or .pdf.",
)
@db_option
@click.option("--model", "-m", "models", multiple=True, callback=comma_separated, help="Only these models.")
@click.option("--task", "-t", "tasks", multiple=True, callback=comma_separated, help="Only these tasks.")
@click.option(
    "--policy", "-p", "policies", multiple=True, metavar="NAME", help="Only this policy or setting; repeatable."
)
@click.option("--kv-mode", type=click.Choice(KV_MODES), default="full", show_default=True, help="Measured under this.")
@metric_option
@click.option(
    "--x",
    type=click.Choice(["layers", "compute"]),
    default="layers",
    show_default=True,
    help="pareto, heatmap: the saving.",
)
@click.option(
    "--y",
    type=click.Choice(["fidelity", "quality"]),
    default="fidelity",
    show_default=True,
    help="pareto, heatmap: what is kept.",
)
@click.option("--per-task", is_flag=True, help="lens: a line for each task, in place of a model's mean over them.")
def plot(
    figure: str,
    output: Path,
    db: str | None,
    models: Sequence[str],
    tasks: Sequence[str],
    policies: Sequence[str],
    kv_mode: KvMode,
    metric: str | None,
    x: X,
    y: Y,
    per_task: bool,
) -> None:
    """Draw a FIGURE of what has been measured.

    \b
      pareto     settings by what they save and what they keep, one model
      histogram  the layers that settings stop at, one model
      lens       how often each layer says what the full model says, means over tasks
      heatmap    EE-scores, policies by tasks

    \b
      eebench plot pareto -o pareto.pdf -m smollm2-135m
      eebench plot histogram -o exits.svg -m smollm2-135m -p entropy:threshold=0.5
    """
    from eebench.plots.style import check_installed

    check_installed()
    from eebench.plots.figures import FIGURES, Chosen
    from eebench.plots.output import check_output, write
    from eebench.records.store import Store

    check_output(output)
    with Store.open(db, create=False) as store:
        chart = FIGURES[figure](store, Chosen(models, tasks, policies, kv_mode, metric, x, y, per_task))
    write(chart, output)
    click.echo(f"Written to {output}.", err=True)
