"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from eebench.errors import unknown
from eebench.models.catalogue import DEFAULT_MODEL
from eebench.records.results import KV_MODES, KvMode

Command = TypeVar("Command", bound=Callable[..., Any])


def comma_separated(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """An option that is repeatable and comma-separated, without empty names and repeats."""
    names = (name.strip() for value in values for name in value.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


def kv_modes(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[KvMode, ...]:
    """KV modes, repeatable and comma-separated.

    Raises:
        EEBenchError: there is no such mode.
    """
    modes = comma_separated(ctx, param, values)
    for mode in modes:
        if mode not in KV_MODES:
            raise unknown("KV mode", mode, KV_MODES, f"There are {', '.join(KV_MODES)}.")
    return cast("tuple[KvMode, ...]", modes)


def models_option(command: Command) -> Command:
    """`-m/--models NAME,NAME`."""
    return click.option(
        "-m",
        "--models",
        multiple=True,
        default=(DEFAULT_MODEL,),
        show_default=True,
        metavar="NAME",
        callback=comma_separated,
    )(command)


def metric_option(command: Command) -> Command:
    """`--metric NAME`, of what has been measured."""
    text = "Only what was measured in this metric.  [default: the newest]"
    return click.option("--metric", metavar="NAME", help=text)(command)


PROMPT_OPTIONS = (
    click.option(
        "--num-fewshot", type=click.IntRange(min=0), help="Examples before each question.  [default: the task's]"
    ),
    click.option("--seed", type=int, default=1234, show_default=True, help="Seed of the few-shot sampler."),
    click.option(
        "--datasets-dir",
        envvar="EEBENCH_DATASETS",
        type=click.Path(path_type=Path, file_okay=False, exists=True),
        help="Data sets in the hub's layout, used where a task's is found there.  [env: EEBENCH_DATASETS]",
    ),
)


def prompt_options(command: Command) -> Command:
    """What prompts are made of, as options: fields of `eebench.harness.TaskOptions`."""
    for option in reversed(PROMPT_OPTIONS):
        command = option(command)
    return command


def quiet_option(command: Command) -> Command:
    """`--quiet`."""
    return click.option("--quiet", is_flag=True, help="No progress, only warnings and errors.")(command)


def db_option(command: Command) -> Command:
    """`--db URL`, also from EEBENCH_DB."""
    return click.option(
        "--db",
        envvar="EEBENCH_DB",
        metavar="URL",
        help="Where results are kept: an SQLAlchemy URL or an SQLite file.  [env: EEBENCH_DB]",
    )(command)


LOAD_OPTIONS = (
    click.option("--device", help="cpu, cuda, cuda:1, mps.  [default: cuda if there is one]"),
    click.option("--dtype", help="float32, bfloat16, float16 or auto.  [default: float32 on a CPU, else auto]"),
    click.option("--device-map", metavar="auto", help="Spread the model over all devices, by accelerate."),
    click.option("--quantize", type=click.Choice(["4bit", "8bit"]), help="Load in fewer bits, by bitsandbytes."),
    click.option("--trust-remote-code", is_flag=True, help="Run code that comes with a model."),
    click.option("--allow-pickle", is_flag=True, help="Read pickled weights, which can run code."),
    click.option("--offline", is_flag=True, help="Never ask the hub for anything."),
)


def half_layers_option(command: Command) -> Command:
    """`--half-layers`."""
    text = "Likelihood tasks: exits after each block's attention as well as after its MLP."
    return click.option("--half-layers", is_flag=True, help=text)(command)


def load_options(command: Command) -> Command:
    """The fields of `eebench.models.loading.LoadOptions` as options."""
    for option in reversed(LOAD_OPTIONS):
        command = option(command)
    return command
