"""The exam in a process of its own: whatever a policy's code does there, what is said here is a verdict.

Code that others have written may end the process it runs in, or never end. So it passes only where the process has
said so of every promise, within a time limit.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from threading import Timer
from typing import Any, TextIO

from eebench.errors import EEBenchError
from eebench.exam import declarations
from eebench.exam.candidate import fresh_process
from eebench.exam.policy_exam import PROMISES, Exam, Line, examine

EXAM_SECONDS = 600.0
"""A policy that is to be replayed in seconds is examined in minutes."""


def examine_apart(text: str) -> Exam:
    """As `examine`, in a process of its own.

    Raises:
        EEBenchError: as `examine`.
    """
    command, environment = fresh_process(f"from {__name__} import answer_parent; answer_parent()")
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True, encoding="utf-8"
    )
    said = _Said(process)
    said.ask({"text": text, "speed_positions": declarations.SPEED_POSITIONS})
    first = said.next()
    if first is None:
        return Exam(text, "", iter([said.why_no_more("loads without torch")]))
    if "error" in first:
        said.end()
        raise EEBenchError(first["error"])
    return Exam(first["name"], first["kind"], _lines(said))


def _lines(said: _Said) -> Iterator[Line]:
    left = list(PROMISES)
    try:
        while (line := said.next()) is not None:
            if "done" in line:
                return
            left = [promise for promise in left if promise != line["promise"]]
            yield Line(**line)
        yield said.why_no_more(left[0] if left else "deterministic")
    finally:
        said.end()


class _Said:
    """What the process says, a line of JSON at a time, for so long."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._late = False
        self._timer = Timer(EXAM_SECONDS, self._too_late)
        self._timer.daemon = True
        self._timer.start()

    def _too_late(self) -> None:
        self._late = True
        self._process.kill()

    def ask(self, question: dict[str, Any]) -> None:
        """Tell the process what to examine."""
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(question))
            self._process.stdin.close()
        except OSError:  # it has ended already, and there is nothing to be read of it
            pass

    def next(self) -> dict[str, Any] | None:
        """The next line; None where the process ended, or says what is no line."""
        assert self._process.stdout
        try:
            line = json.loads(self._process.stdout.readline())
        except ValueError:
            return None
        return line if isinstance(line, dict) else None

    def why_no_more(self, promise: str) -> Line:
        """The line of the promise in the midst of which the process ended."""
        self.end()
        if self._late:
            change = "decide with numpy on whole arrays, without a loop over positions, and wait for nothing"
            return Line(promise, f"the exam had not ended after {EXAM_SECONDS:,.0f} s, and was stopped", change)
        code = self._process.returncode
        change = "let no code of the policy end the process that it runs in"
        return Line(promise, f"the process that examined it ended with code {code} and without a verdict", change)

    def end(self) -> None:
        """End the process, if it has not ended."""
        self._timer.cancel()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()


def answer_parent() -> None:
    """What runs in the other process: read what to examine from stdin, and write the lines to stdout."""
    out, sys.stdout = sys.stdout, sys.stderr  # what a policy prints is no part of the lines
    question = json.loads(sys.stdin.read())
    declarations.SPEED_POSITIONS = question["speed_positions"]
    try:
        _examine_aloud(question["text"], out)
    except EEBenchError as error:
        _say(out, {"error": error.message})
    except KeyboardInterrupt:  # the person's or the policy's: no verdict in either case
        sys.exit(130)


def _examine_aloud(text: str, out: TextIO) -> None:
    exam = examine(text)
    _say(out, {"name": exam.name, "kind": exam.kind})
    for line in exam.lines:
        _say(
            out,
            {"promise": line.promise, "seen": line.seen, "change": line.change, "figures": dict(line.figures)},
        )
    _say(out, {"done": True})


def _say(out: TextIO, line: dict[str, Any]) -> None:
    out.write(f"{json.dumps(line)}\n")
    out.flush()
