"""A policy that takes the entry exam: the settings of it that are tried, here and in a fresh process."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence, Sized
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args, get_origin

import numpy as np
from pydantic import ValidationError

from eebench.errors import EEBenchError
from eebench.exam.traces import likely
from eebench.fitting import fit_all
from eebench.plugins.modules import FILE_MODULE, not_theirs, one_line
from eebench.policy import ExitPolicy, field_extra
from eebench.replaying import replay
from eebench.spec import parameters, parse_policies

LAYERS, POSITIONS, CALIBRATION_POSITIONS = 8, 60, 300

SWEEP_SETTINGS = 6
"""Settings of the default sweep that are tried, from its first to its last."""

HEAVY = ("torch", "transformers", "lm_eval")

_CHILD_SECONDS = 300.0


@dataclass(frozen=True)
class Seen:
    """What was seen of a promise that is kept, in words and as figures by name."""

    text: str
    figures: Mapping[str, float] = field(default_factory=dict)


class Broken(Exception):
    """A promise that is not kept: what was seen, and what to change."""

    def __init__(self, seen: str, change: str) -> None:
        super().__init__(seen)
        self.seen = seen
        self.change = change


class Candidate:
    """A policy and some settings of it."""

    def __init__(self, text: str) -> None:
        """
        Args:
            text: the policy as `--policy` takes it, with parameters or without.

        Raises:
            EEBenchError: it means no policy or more than one, or its parameters mean no setting.
            ModuleRaised: its file raised when it was read.
        """
        specs = parse_policies([text])
        if len(specs) != 1:
            raise EEBenchError(f"'{text}' means {len(specs)} policies: check one at a time.")
        (self.spec,) = specs
        self.policy = self.spec.policy
        if self.spec.values:
            self.spec.settings(LAYERS)  # what the user has given wrongly is no fault of the policy's

    @cached_property
    def unfitted(self) -> list[ExitPolicy]:
        """Settings of the sweep, and one for each parameter that is in no sweep."""
        chosen = sorted({round(at) for at in np.linspace(0, len(self.named) - 1, SWEEP_SETTINGS)})
        return list(dict.fromkeys([*(self.named[at] for at in chosen), *_varied(self.named[len(self.named) // 2])]))

    @cached_property
    def named(self) -> list[ExitPolicy]:
        """All that the policy means as it was named; its default setting where its sweep is at fault."""
        try:
            return self.spec.settings(LAYERS)
        except EEBenchError as error:
            try:
                return list({self.policy()})
            except (ValidationError, TypeError):  # a parameter has to be given, or is a list
                raise error from None

    @property
    def looking_elsewhere(self) -> Iterator[ExitPolicy]:
        """The same settings with other values of min_layer and every, where they take them."""
        for setting in self.unfitted:
            with suppress(ValidationError):
                yield with_values(setting, min_layer=2, every=3)

    def settings(self, layers: int = LAYERS) -> list[ExitPolicy]:
        """The settings fitted for a model of so many layers.

        Raises:
            EEBenchError: none can be tried, or a fit failed.
        """
        return fit_all(self._tried, likely(layers, CALIBRATION_POSITIONS, seed=9))

    @cached_property
    def _tried(self) -> list[ExitPolicy]:
        """All settings; where what they learn is at fault, which is a promise of its own, those that need no fit."""
        try:
            fit_all(self.unfitted, likely(LAYERS, CALIBRATION_POSITIONS, seed=9))
        except EEBenchError:
            no_fit = [setting for setting in self.unfitted if not setting.needs_fit]
            if not no_fit:
                raise
            return no_fit
        return self.unfitted

    def typed(self, setting: ExitPolicy) -> str:
        """A setting of it as a user types it: that of a file begins with the file and its class."""
        _name, colon, assignments = setting.setting().partition(":")
        return f"{self._place}{colon}{assignments}"

    @property
    def _place(self) -> str:
        in_file = self.policy.__module__.startswith(FILE_MODULE)
        return f"{inspect.getfile(self.policy)}:{self.policy.__name__}" if in_file else self.policy.name

    @cached_property
    def child(self) -> dict[str, Any]:
        """What a fresh process found.

        `imported` and `later`: heavy libraries that came with the policy, and with its decisions; `decided`:
        the exit layers of all settings; `raised`: what ended it before that.

        Raises:
            EEBenchError: the process did not answer.
        """
        command, environment = fresh_process(f"from {__name__} import answer_parent; answer_parent()")
        try:
            done = subprocess.run(
                command, input=self.spec.text, env=environment, capture_output=True, text=True, timeout=_CHILD_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise EEBenchError(f"a fresh process did not decide within {_CHILD_SECONDS:.0f} s.") from None
        if done.returncode:
            *_, last = ("nothing was said", *done.stderr.strip().splitlines())
            raise EEBenchError(f"a fresh process that decides with it ended with code {done.returncode}: {last}.")
        try:
            answer: dict[str, Any] = json.loads(done.stdout)
        except ValueError:  # it ended as if all were well, and has said nothing: that is no answer
            raise EEBenchError("a fresh process that decides with it ended before it had decided.") from None
        return answer


def fresh_process(code: str) -> tuple[list[str], dict[str, str]]:
    """The command that runs some code in another Python as this one is set up, and its environment."""
    paths = [path or os.getcwd() for path in sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "random"}
    return [sys.executable, "-P", "-c", code], environment


def answer_parent() -> None:
    """What runs in the fresh process: read the policy's text from stdin, and write what was found to stdout."""
    out, sys.stdout = sys.stdout, sys.stderr  # what a policy prints is no part of the answer
    before = _heavy()
    candidate = Candidate(sys.stdin.read())
    answer: dict[str, Any] = {"imported": _heavy(but=before), "decided": None, "raised": ""}
    try:
        trace = likely(LAYERS, POSITIONS)
        answer["decided"] = [replay(setting, trace).exit_layer.tolist() for setting in candidate.settings()]
    except BaseException as error:  # a contributor's code may raise anything
        not_theirs(error)
        answer["raised"] = one_line(error)
    answer["later"] = _heavy(but=[*before, *answer["imported"]])
    out.write(json.dumps(answer))


def _heavy(but: Sequence[str] = ()) -> list[str]:
    return [name for name in HEAVY if name in sys.modules and name not in but]


def _varied(setting: ExitPolicy) -> Iterator[ExitPolicy]:
    """A setting with each parameter that is in no sweep at another value."""
    policy = type(setting)
    for name in parameters(policy):
        if name not in ExitPolicy.model_fields and "sweep" not in field_extra(policy, name):
            for value in _other_values(policy, name, getattr(setting, name)):
                try:
                    yield with_values(setting, **{name: value})
                except ValidationError:
                    continue
                break


def _other_values(policy: type[ExitPolicy], name: str, value: Any) -> Sequence[Any]:
    annotation = policy.model_fields[name].annotation
    if isinstance(value, bool):
        return [not value]
    if get_origin(annotation) is Literal:
        return [other for other in get_args(annotation) if other != value]
    if isinstance(value, int | float):
        return [value + 1, value / 2, value - 1]
    return []


def values_of(setting: ExitPolicy) -> dict[str, Any]:
    """Parameter -> its value, and nothing that the policy keeps beside its parameters."""
    return {name: getattr(setting, name) for name in type(setting).model_fields}


def with_values(setting: ExitPolicy, **changes: Any) -> ExitPolicy:
    """A setting made as a user's would be, with other values of some parameters."""
    return type(setting)(**{**values_of(setting), **changes})


def counted(settings: Sized) -> str:
    """How many settings there are, in words."""
    return "1 setting" if len(settings) == 1 else f"{len(settings)} settings"
