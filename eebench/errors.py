"""Errors meant for the person at the keyboard: one sentence, exit code 2, no traceback."""

from collections.abc import Iterable
from difflib import get_close_matches

import click


class EEBenchError(click.ClickException):
    """Something the user can mend: the message says what is wrong, where, and what to do instead."""

    exit_code = 2


def unknown(kind: str, name: str, known: Iterable[str], hint: str = "") -> EEBenchError:
    """The error for a name nobody knows, with the nearest names that exist."""
    near = get_close_matches(name, list(known), n=3, cutoff=0.6)
    nearest = f" did you mean {' or '.join(near)}?" if near else ""
    return EEBenchError(f"unknown {kind} '{name}':{nearest or ' nothing has a name near it.'} {hint}".rstrip())
