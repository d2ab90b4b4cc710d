"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def comma_separated(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """An option that is repeatable and comma-separated, without empty names and repeats."""
    names = (name.strip() for value in values for name in value.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


def db_option(command: Command) -> Command:
    """`--db URL`, also from EEBENCH_DB."""
    return click.option(
        "--db",
        envvar="EEBENCH_DB",
        metavar="URL",
        help="Where results are kept: an SQLAlchemy URL or an SQLite file.  [env: EEBENCH_DB]",
    )(command)
