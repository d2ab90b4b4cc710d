"""`eebench policies`: what can be measured, and how each policy decides."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args, get_origin

import click
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eebench.cli.own_policy import check, new
from eebench.errors import EEBenchError
from eebench.plugins.modules import not_theirs, one_line
from eebench.plugins.registry import builtin_policies, installed_policies
from eebench.policy import ExitPolicy, field_extra
from eebench.spec import PolicySpec, default_sweeps, parameters, parse_policies

_LAYERS = 32
"""Some default sweeps depend on the model's depth: this one stands for the example."""

_FILE_WIDTH = 120
"""Characters in a line that does not go to a terminal."""


@click.group(invoke_without_command=True)
@click.pass_context
def policies(ctx: click.Context) -> None:
    """List the policies; `show NAME` describes one, `new` begins one of your own, `check` is its entry exam.

    A policy is a built-in one, one of an installed package, or one in a file: `show ./my_policy.py`.
    """
    if not ctx.invoked_subcommand:
        print_list(_console())


policies.add_command(new)
policies.add_command(check)


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=_FILE_WIDTH, highlight=False)


def print_list(console: Console) -> None:
    """All built-in policies and all of installed packages, one to a row; what of these cannot be used, on stderr."""
    table = _list_table("policy", "kind")
    for name, policy in builtin_policies().items():
        _add_row(table, policy, name, policy.kind)
    console.print(table)
    broken = _print_installed(console)
    console.print(
        Text(
            f"\nsettings: the default sweep, on a model of {_LAYERS} layers; (n): how many values of a parameter are "
            f"in it. Every policy also takes min_layer and every. `eebench policies show NAME` says more; a policy of "
            f"your own is a file, as in `eebench run -p ./my_policy.py`; `eebench policies new my_policy` begins one."
        )
    )
    for sentence in broken:
        click.echo(f"Warning: {sentence}", err=True)


def _print_installed(console: Console) -> list[str]:
    """The policies of installed packages; returns a sentence for each that cannot be used."""
    table, broken = _list_table("installed", "package", "kind"), []
    for entry in installed_policies().values():
        try:
            policy = entry.load()
            _add_row(table, policy, policy.name, entry.package, policy.kind)
        except EEBenchError as error:
            broken.append(error.message)
        except BaseException as error:  # a package's code may raise anything
            not_theirs(error)
            broken.append(f"{entry} could not be described: {one_line(error)}.")
    if table.row_count:
        console.print()
        console.print(table)
    return broken


def _list_table(*what_it_is: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in what_it_is:
        table.add_column(heading, no_wrap=True)
    table.add_column("stops at layer k when", ratio=3)
    table.add_column("parameters", ratio=2)
    table.add_column("settings", justify="right", no_wrap=True)
    return table


def _add_row(table: Table, policy: type[ExitPolicy], *what_it_is: str) -> None:
    style = "" if policy.kind == "policy" else "dim"
    cells = (*what_it_is, policy.formula, _swept_in_short(policy), str(len(_default_settings(policy))))
    table.add_row(*map(Text, cells), style=style)


def _own_parameters(policy: type[ExitPolicy]) -> list[str]:
    return [name for name in parameters(policy) if name not in ExitPolicy.model_fields]


def _swept_in_short(policy: type[ExitPolicy]) -> str:
    sweeps = default_sweeps(policy, _LAYERS)
    sizes = {name: f" ({len(values)})" for name, values in sweeps.items()}
    return ", ".join(name + sizes.get(name, "") for name in _own_parameters(policy))


def _default_settings(policy: type[ExitPolicy]) -> list[ExitPolicy]:
    """The default sweep; empty where a parameter has to be given."""
    required = any(field.is_required() for field in policy.model_fields.values())
    return [] if required else PolicySpec(policy.name, policy, {}).settings(_LAYERS)


@policies.command()
@click.argument("name")
def show(name: str) -> None:
    """Describe a policy: its rule, its parameters with their default sweeps, and its source."""
    console = _console()
    for number, spec in enumerate(parse_policies([name])):
        if number:
            console.print()
        _describe(spec, console)


def _describe(spec: PolicySpec, console: Console) -> None:
    policy = spec.policy
    console.print(Text(f"{policy.name} ({policy.kind})", "bold"))
    if policy.__doc__:
        console.print(Text(inspect.cleandoc(policy.__doc__)))
    console.print()
    facts = _two_columns()
    for fact, value in _facts(spec):
        facts.add_row(Text(fact), Text(value))
    console.print(facts)
    console.print(Text("\nparameters", "bold"))
    console.print(_parameter_table(policy))
    console.print(Text("\nexample", "bold"))
    console.print(Text(f"  {_example(spec)}"), soft_wrap=True)


def _two_columns() -> Table:
    """Name and description, the second wrapped beside the first."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _facts(spec: PolicySpec) -> Iterator[tuple[str, str]]:
    policy = spec.policy
    yield "stops at k when", policy.formula or "its file says"
    yield "source", policy.source or "its file does not say"
    count = len(_default_settings(policy))
    plural = "" if count == 1 else "s"
    yield "default sweep", f"{count} setting{plural} on a model of {_LAYERS} layers" if count else "none"
    yield "defined in", inspect.getfile(policy)
    entry = installed_policies().get(spec.text.partition(":")[0].strip())
    if entry and not entry.refused:
        yield "package", entry.package


def _parameter_table(policy: type[ExitPolicy]) -> Table:
    table = _two_columns()
    sweeps = default_sweeps(policy, _LAYERS)
    learned = [name for name in policy.model_fields if field_extra(policy, name).get("fitted")]
    for name in [*parameters(policy), *learned]:
        table.add_row(Text(f"  {name}"), Text(_described(policy, name, name in learned)))
        if name in sweeps:
            table.add_row("", Text(f"sweep: {_values(sweeps[name])}", "dim"))
    return table


def _described(policy: type[ExitPolicy], name: str, learned: bool) -> str:
    field = policy.model_fields[name]
    if learned:
        facts = "learned from calibration documents"
    else:
        bounds = _bounds(field)
        default = "to be given" if field.is_required() else f"default {_value(field.default)}"
        facts = f"{_kind(policy, name)}{', ' + bounds if bounds else ''}; {default}"
    return f"{facts}: {field.description}" if field.description else facts


def _kind(policy: type[ExitPolicy], name: str) -> str:
    """The type of a parameter, in plain words."""
    annotation = policy.model_fields[name].annotation
    if field_extra(policy, name).get("layer"):
        return "a layer"
    if get_origin(annotation) is Literal:
        return f"one of {', '.join(map(_value, get_args(annotation)))}"
    words: dict[Any, str] = {float: "a number", int: "a whole number", bool: "true or false", str: "a word"}
    return words.get(annotation) or str(getattr(annotation, "__name__", annotation))


def _bounds(field: FieldInfo) -> str:
    """What a value may be at most and at least, in plain words."""
    bound = {key: value for rule in field.metadata for key, value in _bounds_in(rule).items()}
    if "ge" in bound and "le" in bound:
        return f"{_value(bound['ge'])} to {_value(bound['le'])}"
    words = {"ge": "{} or more", "gt": "more than {}", "le": "{} or less", "lt": "less than {}"}
    return " and ".join(text.format(_value(bound[key])) for key, text in words.items() if key in bound)


def _bounds_in(rule: object) -> dict[str, Any]:
    """The bounds in one piece of a field's metadata."""
    return {key: getattr(rule, key) for key in ("ge", "gt", "le", "lt") if hasattr(rule, key)}


def _values(values: Sequence[Any]) -> str:
    """The values of a sweep; a range where they are whole numbers without a gap."""
    listed = list(values)
    whole = len(listed) > 2 and all(type(value) is int for value in listed)
    if whole and listed == list(range(listed[0], listed[-1] + 1)):
        return f"{listed[0]}..{listed[-1]}"
    return ", ".join(map(_value, listed))


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _example(spec: PolicySpec) -> str:
    """A command line with one setting, from the middle of the default sweep."""
    if spec.values:
        return f"eebench run --policy {spec.text}"
    settings = _default_settings(spec.policy)
    if not settings:
        given = [f"{name}=..." for name, field in spec.policy.model_fields.items() if field.is_required()]
        return f"eebench run --policy {spec.text}:{','.join(given)}"
    _name, colon, assignments = settings[len(settings) // 2].setting().partition(":")
    return f"eebench run --policy {spec.text}{colon}{assignments}"
