"""`eebench policies new` and `check`: a policy of one's own, from its first line to the entry exam."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from eebench.ranking.board import Board


@click.command()
@click.argument("name")
@click.option(
    "--output",
    "-o",
    "folder",
    type=click.Path(path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Where the two files go.  [default: the current folder]",
)
def new(name: str, folder: Path) -> None:
    """Begin a policy: for the NAME my_policy, my_policy.py, which is complete, and its test."""
    from eebench.plugins.template import NewPolicy, write_new

    begun = NewPolicy(name, folder)
    write_new(begun)
    file, test = (shlex.quote(os.path.join(".", path)) for path in (begun.file, begun.test))
    click.echo(f"Wrote {file}, the policy {begun.name}, complete and yours to change, and {test}. What to do next:\n")
    steps = {
        f"pytest {test}": "its decisions against its rule in slow and obvious words",
        f"eebench policies check {file}": "what every policy promises",
        f"eebench policies check {file} --score": "and its rank, without weights: on the traces that come with EEBench",
        f"eebench run -p all,{file}": "on a model and tasks of your choice; eebench report ranks it among the others",
    }
    width = max(map(len, steps))
    for command, does in steps.items():
        click.echo(f"  {command:<{width}}   # {does}")


@click.command()
@click.argument("policy", metavar="FILE[:Class]")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Lines, or data."
)
@click.option("--score", is_flag=True, help="Rank it, if it passes, on the traces that come with EEBench: in seconds.")
@click.pass_context
def check(ctx: click.Context, policy: str, form: str, score: bool) -> None:
    """The entry exam of a policy: what every policy promises, a line each.

    Needs no model. The exit code is 1 if a promise is broken. The name of a built-in or installed policy works as well.
    """
    from eebench import strict_json
    from eebench.exam.apart import examine_apart
    from eebench.exam.policy_exam import Line

    exam = examine_apart(policy)
    lines: list[Line] = []
    for line in exam.lines:
        lines.append(line)
        if form == "text":
            click.echo(f"{'ok' if line.ok else 'FAIL':<4}  {line.promise:<22}  {line}")
    broken = [line.promise for line in lines if not line.ok]
    board = _standing(policy, quiet=form == "json") if score and not broken else None
    if form == "json":
        from eebench.published.standing import as_data

        about = {"policy": exam.name, "kind": exam.kind, "passed": not broken}
        standing = {"standing": as_data(board, [exam.name])} if board else {}
        click.echo(strict_json.dumps({**about, "promises": [line.as_data() for line in lines], **standing}, indent=2))
    else:
        click.echo(f"{exam.name} " + (f"breaks: {', '.join(broken)}." if broken else "keeps every promise."))
        if board:
            from eebench.cli.rank import print_standing

            click.echo()
            print_standing(board)
    ctx.exit(1 if broken else 0)


def _standing(policy: str, quiet: bool) -> Board:
    """The policy among the built-in ones, on the traces that come with EEBench."""
    from eebench.progress import Terminal
    from eebench.published.standing import shipped_traces, standing

    return standing(policy, shipped_traces(), ["all"], "layers", Terminal(quiet=quiet))
