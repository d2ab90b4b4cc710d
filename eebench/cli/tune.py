"""`eebench tune`: joint optimisation, so that a model can be stopped at every layer."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from eebench.cli.options import load_options, quiet_option
from eebench.tuning.recipe import CURRICULA, METHODS, OBJECTIVES, WEIGHTINGS, Recipe


def _default(name: str) -> Any:
    return Recipe.__dataclass_fields__[name].default


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _number(flag: str, name: str, kind: Any, text: str) -> Decorator:
    return click.option(flag, name, type=kind, default=_default(name), show_default=True, help=text)


def _choice(flag: str, name: str, of: tuple[str, ...], text: str) -> Decorator:
    return click.option(flag, name, type=click.Choice(of), default=_default(name), show_default=True, help=text)


COUNT = click.IntRange(min=1)


@click.command()
@click.argument("model")
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="SOURCE",
    help="Text: a .txt, .jsonl, .json, .csv or .parquet file, a folder in the hub's layout, or a hub id; repeatable.",
)
@click.option("--field", help="Field that holds the text.  [default: text, page, content or document]")
@click.option("--split", default="train", show_default=True, help="Split of a folder or hub data set.")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to make.")
@_choice("--method", "method", METHODS, "A LoRA adapter, or all weights.")
@click.option("--rank", type=COUNT, help="Rank of the adapter.  [default: 16, or that of an adapter trained on]")
@_number("--steps", "steps", COUNT, "Optimiser steps.")
@_number("--batch-size", "batch", COUNT, "Sequences in a step.")
@_number("--length", "length", click.IntRange(min=8), "Tokens of a sequence.")
@_number("--learning-rate", "learning_rate", click.FloatRange(min=0, min_open=True), "Peak; it falls as a cosine.")
@_number("--warmup", "warmup", click.IntRange(min=0), "Steps until the peak.")
@_choice("--objective", "objective", OBJECTIVES, "What earlier layers are asked for.")
@_number("--early-weight", "early_weight", click.FloatRange(min=0), "Weight of the earlier layers' loss, lambda.")
@_number(
    "--temperature",
    "temperature",
    click.FloatRange(min=0.05, max=20),
    "Of the final distribution they are drawn towards; below 1 sharpens it.",
)
@_number("--anchor", "anchor", click.FloatRange(0, 1), "How much of the full model's loss keeps it what it was.")
@_choice("--layer-weights", "weighting", WEIGHTINGS, "How much each earlier layer counts.")
@_choice("--curriculum", "curriculum", CURRICULA, "Which layers have a loss at a step.")
@_number("--layers", "layers", COUNT, "Layers before the last in a step, where the curriculum draws some.")
@_number("--positions", "positions", COUNT, "Positions of a batch that have a loss.")
@click.option(
    "--precision",
    type=click.Choice(["bfloat16", "float32"]),
    default="bfloat16",
    show_default=True,
    help="Of the matrix products while training; weights are trained in float32.",
)
@_number("--seed", "seed", click.INT, "Seed of data, layers, positions and first weights.")
@click.option("--save-every", type=COUNT, default=50, show_default=True, help="Steps between checkpoints.")
@click.option("--measure-every", type=COUNT, default=50, show_default=True, help="Steps between points of the curve.")
@click.option("--fresh", is_flag=True, help="Begin anew, over what the folder holds.")
@load_options
@quiet_option
def tune(
    model: str,
    data: tuple[str, ...],
    output: Path,
    save_every: int,
    measure_every: int,
    fresh: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Train MODEL so that every layer can be stopped at: a LoRA adapter, or all weights with --method full.

    Stopped, the same command goes on from the last checkpoint. The result is a model like any other, MODEL+OUTPUT,
    and may be trained on, as on longer texts:

    \b
      eebench tune smollm2-135m --data my_text.jsonl -o joint --steps 200
      eebench tune smollm2-135m+joint --data my_text.jsonl -o longer --length 1024
      eebench run -m smollm2-135m,smollm2-135m+joint
    """
    from eebench.progress import Terminal

    of_recipe = {name: given.pop(name) for name in list(given) if name in Recipe.__dataclass_fields__}
    recipe = Recipe(model=model, data=data, **of_recipe)
    progress = Terminal(quiet=quiet)
    with progress.stage("Starting"):
        from eebench.models.loading import LoadOptions
        from eebench.tuning import train as tuning

    options = LoadOptions(**given)
    every = {"save_every": save_every, "measure_every": measure_every}
    try:
        tuned = tuning.tune(recipe, output, options=options, fresh=fresh, progress=progress, **every)
    except KeyboardInterrupt:
        progress.warn("stopped; the same command goes on from the last checkpoint.")
        raise SystemExit(130) from None
    if find_spec("altair") and find_spec("vl_convert"):
        from eebench.study.training import draw_curve

        draw_curve(tuned.folder)
    first, last = tuned.first, tuned.last
    click.echo(f"{tuned.name}: on held-out text, before and after {recipe.steps} steps")
    click.echo(f"  loss of the full model   {first.full_loss:.3f} -> {last.full_loss:.3f} nats per token")
    click.echo(f"  layers an oracle saves   {first.oracle_saving:.1%} -> {last.oracle_saving:.1%}")
    click.echo(f"Measure it: eebench run -m {model},{tuned.name}")
