"""What a run says while it works: stages with a bar, notes and warnings, on stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

Advance = Callable[[int], None]


class Progress(Protocol):
    """Where the engine reports to."""

    def stage(self, text: str, total: int | None = None) -> AbstractContextManager[Advance]:
        """A piece of work of `total` steps (unknown if None); call what it yields with the steps done."""
        ...

    def note(self, text: str) -> None:
        """Something worth knowing."""
        ...

    def warn(self, text: str) -> None:
        """Something that went wrong and was mended."""
        ...


class Silent:
    """Says nothing: for the Python API and for tests."""

    def stage(self, text: str, total: int | None = None) -> AbstractContextManager[Advance]:
        return nullcontext(_ignore)

    def note(self, text: str) -> None:
        return None

    def warn(self, text: str) -> None:
        return None


def _ignore(_steps: int) -> None:
    return None


class Terminal:
    """Bars by rich on a terminal; where stderr is a file, a line at the start and the end of each stage."""

    def __init__(self, quiet: bool = False) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)
        self._quiet = quiet

    @contextmanager
    def stage(self, text: str, total: int | None = None) -> Iterator[Advance]:
        if self._quiet:
            yield _ignore
        elif self._console.is_terminal:
            with self._bar(text, total) as advance:
                yield advance
        else:
            self._console.print(f"{text} ...", markup=False, soft_wrap=True)
            yield _ignore

    def note(self, text: str) -> None:
        if not self._quiet:
            self._console.print(text, style="dim", markup=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        self._console.print(f"Warning: {text}", style="yellow", markup=False, soft_wrap=True)

    @contextmanager
    def _bar(self, text: str, total: int | None) -> Iterator[Advance]:
        from rich.progress import (
            BarColumn,
            Progress,
            SpinnerColumn,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        parts = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*parts, console=self._console, transient=False) as bars:
            bar = bars.add_task(text, total=total)
            yield lambda steps: bars.update(bar, advance=steps)
            bars.update(bar, total=total or 1, completed=total or 1)
