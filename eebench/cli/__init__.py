"""The command line. Each command is imported only when it is used, so that help appears at once."""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = {
    "run": "eebench.cli.run:run",
    "time": "eebench.cli.time:time",
    "tune": "eebench.cli.tune:tune",
    "study": "eebench.cli.study:study",
    "compare": "eebench.cli.compare:compare",
    "report": "eebench.cli.report:report",
    "plot": "eebench.cli.plot:plot",
    "site": "eebench.cli.site:site",
    "rank": "eebench.cli.rank:rank",
    "export": "eebench.cli.export:export",
    "leaderboard": "eebench.cli.leaderboard:leaderboard",
    "policies": "eebench.cli.policies:policies",
    "models": "eebench.cli.models:models",
    "tasks": "eebench.cli.tasks:tasks",
    "traces": "eebench.cli.traces:traces",
    "lm-eval": "eebench.cli.lm_eval:lm_eval",
}

SHORT_HELP = {
    "run": "Trace models on tasks and measure exit policies on the traces.",
    "time": "Measure time, by decoding with blocks really skipped.",
    "tune": "Train a model so that every layer can be stopped at.",
    "study": "Study how early a model could stop, and what training it for that changes.",
    "report": "Print the ranked leaderboard.",
    "plot": "Draw a figure of what has been measured.",
    "site": "Build the leaderboard as a web site, or look at one.",
    "compare": "Compare two policies, settings, models or runs, document by document.",
    "rank": "Rank a policy of your own on traces, in seconds and without the model.",
    "export": "Write the results of a run to a bundle that others can check.",
    "leaderboard": "Check bundles of results, and keep those that hold.",
    "policies": "List, describe, begin or check exit policies.",
    "models": "List models, describe one, or pull one for offline use.",
    "tasks": "List tasks, or describe one.",
    "traces": "List, publish, import or remove cached traces.",
    "lm-eval": "lm-eval's own command line, with --model eebench registered.",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(SHORT_HELP.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="eebench")
def main() -> None:
    """EEBench: how much of a language model can each early-exit policy skip, and what does it cost?

    Trace a model once, replay every policy, rank them:

    \b
      eebench run --policy entropy --models smollm2-135m
      eebench report
    """
