"""`eebench tasks`: what can be measured on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from eebench.own_tasks import OWN_TASKS


@click.group(invoke_without_command=True)
@click.option("--all", "everything", is_flag=True, help="Every task, tag and group of lm-eval too (takes seconds).")
@click.pass_context
def tasks(ctx: click.Context, everything: bool) -> None:
    """List EEBench's own tasks, or with --all everything lm-eval has; `show NAME` describes one."""
    if ctx.invoked_subcommand:
        return
    if everything:
        from eebench.harness import all_task_names

        click.echo("\n".join(all_task_names()))
        return
    table = Table("task", "type", "documents", "an example", box=None, pad_edge=False)
    for name, path in OWN_TASKS.items():
        documents = _documents(path)
        table.add_row(name, _output_type(path), str(len(documents)), _example(documents[0]))
    Console().print(table)
    click.echo("\nAny lm-eval task, tag, group or YAML file works as well: eebench tasks --all")


@tasks.command()
@click.argument("name")
def show(name: str) -> None:
    """Describe a task: its type, documents, metrics and first document."""
    if name not in OWN_TASKS:
        from eebench.harness import task_file

        path = task_file(name)
        click.echo(f"{name}, one of lm-eval's tasks ({path}):\n")
        click.echo(path.read_text(encoding="utf-8").strip())
        return
    path = OWN_TASKS[name]
    documents = _documents(path)
    click.echo(
        f"{name} ({_output_type(path)}), {len(documents)} documents\n\n{path.read_text(encoding='utf-8').strip()}"
    )
    click.echo(f"\nfirst document:\n{json.dumps(documents[0], indent=2, ensure_ascii=False)}")


def _documents(path: Path) -> list[dict[str, Any]]:
    """The scored documents of one of EEBench's own tasks."""
    lines = path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
    return [document for document in map(json.loads, lines) if document.pop("split", "test") == "test"]


def _output_type(path: Path) -> str:
    """From the YAML file, or the one it includes: read as text, since lm-eval's tags need lm-eval."""
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key == "output_type":
            return value.strip()
        if key == "include":
            included = _output_type(path.parent / value.strip())
            if included:
                return included
    return ""


def _example(document: dict[str, Any]) -> str:
    text = str(document.get("context") or document.get("text") or next(iter(document.values())))
    return text if len(text) <= 60 else text[:59] + "…"
