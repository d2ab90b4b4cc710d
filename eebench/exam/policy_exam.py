"""The entry exam of a policy: what every policy promises, tried without a model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from sys import stderr
from typing import Any

import numpy as np

from eebench.errors import EEBenchError
from eebench.exam import decisions, declarations
from eebench.exam.candidate import Broken, Candidate, Seen
from eebench.plugins.modules import ModuleRaised, line_in, not_theirs, one_line

Promise = Callable[[Candidate], Seen]

PROMISES: Mapping[str, Promise] = {
    "loads without torch": declarations.loads_without_torch,
    "deterministic": decisions.deterministic,
    "causal": decisions.causal,
    "position by position": decisions.one_by_one,
    "parameters round-trip": declarations.round_trip,
    "min_layer and every": decisions.honours_looks,
    "extremes": decisions.handles_extremes,
    "default sweep": declarations.has_a_sweep,
    "says what it is": declarations.says_what_it_is,
    "speed": declarations.is_fast,
    "learns": declarations.learns_plain_numbers,
}


@dataclass(frozen=True)
class Line:
    """A promise: what was seen of it, and, if it is not kept, what to change."""

    promise: str
    seen: str
    change: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the promise is kept."""
        return not self.change

    def __str__(self) -> str:
        return f"{self.seen}; {self.change}" if self.change else self.seen

    def as_data(self) -> dict[str, Any]:
        """The line as plain JSON values."""
        return {"promise": self.promise, "ok": self.ok, "seen": self.seen, "change": self.change, **self.figures}


@dataclass(frozen=True)
class Exam:
    """A policy at its exam.

    Attributes:
        name: the policy's, or the text that names it where its file cannot be run.
        kind: the policy's; empty where its file cannot be run.
        lines: one for each promise, tried as it is asked for.
    """

    name: str
    kind: str
    lines: Iterator[Line]


def examine(text: str) -> Exam:
    """The exam of a policy: a name, or a file and a class in it where it has several.

    A policy that raises breaks the promise that is tried, and nothing else.

    Raises:
        EEBenchError: there is no such file or policy, or there are several.
    """
    try:
        candidate = Candidate(text)
    except ModuleRaised as error:
        return Exam(text, "", iter([Line("loads without torch", error.message.rstrip("."), "mend the file")]))
    return Exam(candidate.policy.name, candidate.policy.kind, _lines(candidate))


def _lines(candidate: Candidate) -> Iterator[Line]:
    """A line for each promise; of a policy so slow that nobody would wait for them, the one that says so."""
    try:
        with redirect_stdout(stderr), np.errstate(all="ignore"):
            declarations.check_roughly_fast(candidate)
    except Broken as broken:
        yield Line("speed", broken.seen, broken.change)
        return
    except BaseException as error:  # a contributor's code may raise anything: the promises say what, and where
        not_theirs(error)
    for name, promise in PROMISES.items():
        with redirect_stdout(stderr), np.errstate(all="ignore"):  # what a policy prints is no part of the lines
            line = _line(name, promise, candidate)
        yield line


def _line(name: str, promise: Promise, candidate: Candidate) -> Line:
    try:
        seen = promise(candidate)
        return Line(name, seen.text, figures=seen.figures)
    except Broken as broken:
        return Line(name, broken.seen, broken.change)
    except BaseException as error:  # a contributor's code may raise anything
        not_theirs(error)
        said = error.message.rstrip(".") if isinstance(error, EEBenchError) else f"it raised {one_line(error)}"
        return Line(name, said, _where(candidate, error.__cause__ or error))


def _where(candidate: Candidate, error: BaseException) -> str:
    """What to change where a policy raised: the line that did, where it can be told."""
    file = Path(inspect.getfile(candidate.policy))
    line = line_in(file, error)
    return f"mend it{line} of {file.name}" if line else "mend that"
