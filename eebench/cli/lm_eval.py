"""`eebench lm-eval`: lm-eval's own command line, with EEBench's model registered."""

from __future__ import annotations

import sys

import click


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lm_eval(arguments: tuple[str, ...]) -> None:
    """lm-eval's own command line, with --model eebench registered.

    \b
      eebench lm-eval --model eebench --tasks arc_easy \\
          --model_args pretrained=smollm2-135m,policy=entropy,threshold=0.5
    """
    import lm_eval.__main__ as harness

    import eebench.lm  # noqa: F401 - importing it registers the model
    from eebench.own_tasks import own_tasks_dir

    runs = "--tasks" in arguments or "-t" in arguments
    own_tasks = ("--include_path", str(own_tasks_dir())) if runs and "--include_path" not in arguments else ()
    sys.argv = ["lm-eval", *arguments, *own_tasks]
    harness.cli_evaluate()
