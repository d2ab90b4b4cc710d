"""`eebench compare`: two policies, settings, models or runs, paired document by document."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from eebench import strict_json
from eebench.cli.options import comma_separated, db_option, metric_option
from eebench.errors import EEBenchError
from eebench.records.results import KV_MODES, KvMode
from eebench.records.store import Store
from eebench.reports.formats import MISSING, decimal, percent

if TYPE_CHECKING:
    from eebench.ranking.comparison import Comparison

SHOWN = 12
"""Changed documents that are listed."""


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("--model", "-m", "models", multiple=True, callback=comma_separated, help="Only on these models.")
@click.option("--task", "-t", "tasks", multiple=True, callback=comma_separated, help="Only on these tasks.")
@click.option("--kv-mode", type=click.Choice(KV_MODES), default="full", show_default=True)
@metric_option
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option("--plot", is_flag=True, help="Draw the Pareto curves of both, and where they stop.")
@db_option
def compare(
    a: str,
    b: str,
    models: Sequence[str],
    tasks: Sequence[str],
    kv_mode: KvMode,
    metric: str | None,
    form: str,
    plot: bool,
    db: str | None,
) -> None:
    """Compare A with B: two policies, two settings, two models, or two runs (run:N).

    A policy stands for the setting picked at fidelity 99% on calibration documents, as measured on test documents, and
    its EE-scores are compared as well. Of two models or runs every policy's EE-score is compared. Every difference is
    B - A over the same documents, with its 95% interval by a paired bootstrap.

    \b
      eebench compare confidence entropy -m smollm2-135m
      eebench compare confidence:threshold=0.95 entropy:threshold=0.1 -t eebench_facts
      eebench compare smollm2-135m smollm2-135m-joint
      eebench compare run:3 run:7
    """
    from eebench.ranking import comparison
    from eebench.ranking.sides import side

    runs = a.startswith("run:") or b.startswith("run:")
    if runs and metric is not None:
        raise EEBenchError("runs are compared in the metrics they have: leave out --metric.")
    with Store.open(db, create=False) as store:
        if runs:
            results = store.all_results(models, tasks, kv_mode)
        else:
            results = store.newest(models, tasks, kv_mode, metric).results
        one, other = (side(name, results) for name in (a, b))
        found = comparison.compare(one, other, results, store)
    if form == "json":
        click.echo(strict_json.dumps(comparison.comparison_record(found), indent=2))
        return
    _show(found, Console())
    if plot:
        _plot(found)


def _show(found: Comparison, console: Console) -> None:

    a, b = found.a.name, found.b.name
    pairs = "1 pair" if found.pairs == 1 else f"{found.pairs} pairs"
    console.print(
        f"{a} (A) and {b} (B): {pairs} of results on {found.documents} documents\n", style="bold", markup=False
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for heading in ("A", "B", "B - A", "95%", "told apart"):
        table.add_column(heading, justify="right")
    for measure in (*found.scores, *found.measures):
        low, high = measure.difference.low, measure.difference.high
        told = "yes" if measure.difference.sign else "no"
        shown = decimal if measure.name.startswith("EE-score") else _plain if measure.name == "quality" else percent
        cells = (measure.a, measure.b, measure.difference.value)
        within = f"{shown(low)} to {shown(high)}" if isfinite(low) and isfinite(high) else MISSING
        table.add_row(measure.name, *map(shown, cells), within, told)
    console.print(table)
    if not any(measure.name == "quality" for measure in found.measures):
        console.print("\nQuality is in several metrics, or in none: name one --task to compare it.", style="dim")
    settings = sorted({s.result.setting for side in (found.a, found.b) for s in side.results.values()})
    if {found.a.what, found.b.what} <= {"policy", "setting"} and len(settings) <= 6:
        console.print(f"\nSettings: {', '.join(settings)}.", markup=False)
    for difference in found.apart:
        console.print(f"\nNot measured alike: {difference}.", markup=False, highlight=False)
    _show_changed(found, console)


def _show_changed(found: Comparison, console: Console) -> None:

    whose = "the full model's answer" if found.a.what == "model" else "the answer"
    counted = ", each setting's answers counted" if found.a.what == "run" else ""
    console.print(
        f"\nDocuments: {whose} scores the same on {found.same}, differently on {len(found.changed)}{counted}.",
        markup=False,
    )
    for task, metric in found.aggregate_only:
        console.print(f"  {task} is measured in {metric}, which no single document has.", markup=False, highlight=False)
    for one in found.changed[:SHOWN]:
        place = f"{one.task if found.a.what == 'model' else f'{one.model} on {one.task}'}, document {one.document}"
        console.print(f"  {place}: {one.a:.3g} under A, {one.b:.3g} under B", markup=False, highlight=False)
    if len(found.changed) > SHOWN:
        console.print(f"  ... and {len(found.changed) - SHOWN} more (--format json has them all)", markup=False)


def _plot(found: Comparison) -> None:
    from eebench.reports.plots import exit_plot, pareto_plot

    if not found.curves:
        click.echo("\nNo Pareto curves: documents could not be split into calibration and test documents.")
    for one in found.curves:
        where = " on ".join(one.where.values())
        curves = {found.a.name: one.a, found.b.name: one.b}
        if "task" in one.where:  # both on one evaluation, and so with one no-skill line
            curves["no skill"] = one.a[[0, -1]]
        click.echo(f"\n{pareto_plot(where, curves)}")
        key = tuple(one.where.values())
        chosen = {side.name: side.results[key].result for side in (found.a, found.b) if key in side.results}
        if chosen:
            click.echo(f"\n{exit_plot(where, {name: result.exit_histogram for name, result in chosen.items()})}")


def _plain(value: float) -> str:
    return decimal(value, 3)
