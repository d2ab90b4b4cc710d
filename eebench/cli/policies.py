"""`eebench policies`: what can stop a model."""

from __future__ import annotations

import inspect
import re
from typing import Any

import click
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.table import Table

from eebench.policy import ExitPolicy, field_extra
from eebench.registry import builtin_policies
from eebench.spec import PolicySpec, parse_policies

EXAMPLE_LAYERS = 32


@click.group(invoke_without_command=True)
@click.pass_context
def policies(ctx: click.Context) -> None:
    """List built-in policies; `show NAME` describes one, also one in a file."""
    if ctx.invoked_subcommand:
        return
    table = Table("policy", "kind", "stops at layer k when", "settings", box=None, pad_edge=False)
    for name, policy in builtin_policies().items():
        settings = len(PolicySpec(name, policy, {}).settings(EXAMPLE_LAYERS))
        table.add_row(name, policy.kind, policy.formula, str(settings))
    Console().print(table)
    click.echo(f"\nsettings: the default sweep on a model of {EXAMPLE_LAYERS} layers.")
    click.echo("A policy of your own is a file: eebench run -p ./my_policy.py")


@policies.command()
@click.argument("name")
def show(name: str) -> None:
    """Describe a policy: its rule, source, parameters and default sweep. NAME may be a file."""
    (spec, *_others) = parse_policies([name])
    policy = spec.policy
    click.echo(f"{policy.name} ({policy.kind})\n")
    click.echo(f"{inspect.cleandoc(policy.__doc__ or '')}\n")
    click.echo(f"stops at layer k when  {policy.formula or 'its file says'}")
    click.echo(f"source                 {policy.source or 'not given'}")
    click.echo(f"defined in             {inspect.getfile(policy)}\n")
    click.echo("parameters")
    for parameter, field in policy.model_fields.items():
        click.echo(f"  {parameter:<12} {_describe(policy, parameter, field)}")
    settings = spec.settings(EXAMPLE_LAYERS)
    click.echo(f"\n{len(settings)} settings on a model of {EXAMPLE_LAYERS} layers:")
    for setting in settings:
        click.echo(f"  {setting.setting()}")


def _describe(policy: type[ExitPolicy], parameter: str, field: FieldInfo) -> str:
    """Type, bounds, default, meaning and default sweep of a parameter, in one line."""
    extra = field_extra(policy, parameter)
    if extra.get("fitted"):
        return f"fitted on calibration documents: {field.description}"
    sweep = extra.get("sweep")
    swept = f"; swept over {_values(sweep(EXAMPLE_LAYERS))}" if sweep else ""
    kind = "layer" if extra.get("layer") else {int: "whole number", float: "number", bool: "true or false"}.get(
        _plain_type(field), "value"
    )  # fmt: skip
    description = f", {field.description}" if field.description else ""
    return f"{kind}{_bounds(field)}, default {str(field.default).lower()}{description}{swept}"


def _plain_type(field: FieldInfo) -> Any:
    return field.annotation


def _bounds(field: FieldInfo) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    bounds = [
        f"{words[name]} {getattr(bound, name)}" for bound in field.metadata for name in words if hasattr(bound, name)
    ]
    return f" {' and '.join(bounds)}" if bounds else ""


def _values(values: Any) -> str:
    shown = ", ".join(str(value) for value in values)
    return re.sub(r"^((?:[^,]+, ){4}).*, ([^,]+)$", r"\1..., \2", shown) if len(values) > 6 else shown
