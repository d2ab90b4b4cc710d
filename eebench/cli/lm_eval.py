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

    sys.argv = ["lm-eval", *arguments]
    harness.cli_evaluate()
