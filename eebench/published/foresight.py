"""Whether a policy that did not come with EEBench decides by the layers so far, tried on the trace it is scored on.

Every setting is decided twice: as it is scored, and before that from a module read anew, the settings in reverse order,
on a copy of the trace that says something else above some layer k of each position. No decision up to k may differ: if
one does, the policy has seen a layer above, another position, or what another setting was shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from eebench.errors import EEBenchError
from eebench.generation.answers import Answers
from eebench.plugins.modules import anew, not_theirs, one_line
from eebench.plugins.registry import source_hash
from eebench.policy import Bound, ExitPolicy, Ints
from eebench.replaying import replay
from eebench.traces.trace import Trace

FEWEST_TRIED = 2_000
"""Decisions that a trace of few positions is tried at, by trying each at several layers; `MOST_ROUNDS` of them."""

MOST_ROUNDS = 4


def is_suspect(setting: ExitPolicy) -> bool:
    """Whether it could have foresight and must not: what came with EEBench has its own tests, and a bound may."""
    may = isinstance(setting, Bound) and setting.kind == "bound"
    return not may and not source_hash(type(setting))[0]


def key_of(setting: ExitPolicy) -> str:
    """What tells a setting from others of the same policies."""
    return f"{type(setting).__name__}:{json.dumps(setting.params(), sort_keys=True)}"


@dataclass(frozen=True)
class _Changed:
    """A trace that says something else above some layer of each position.

    Attributes:
        up_to: the last layer at which a position is shown what it was. [positions]
    """

    trace: Trace
    up_to: Ints


class Foresight:
    """The settings that are to be scored on a trace, decided beforehand on copies of it that end otherwise."""

    def __init__(self, settings: Sequence[ExitPolicy], trace: Trace | None) -> None:
        """
        Args:
            settings: all that will be scored.
            trace: None where each setting makes positions of its own; it is then decided on these when it is checked.

        Raises:
            EEBenchError: a policy raised.
        """
        self._trace = trace
        self._changed: list[_Changed] = []
        self._decided: dict[str, list[Ints]] = {}
        suspects = [setting for setting in settings if is_suspect(setting)]
        if trace is not None and suspects:
            self._changed = list(_changed(trace))
            for changed in self._changed:
                for setting, exits in _decided_anew(suspects[::-1], changed.trace):
                    self._decided.setdefault(key_of(setting), []).append(exits)

    def wrong_with(self, setting: ExitPolicy, answers: Answers) -> str:
        """What a setting, as it was scored, has seen and should not have, as a sentence; empty if nothing shows.

        Raises:
            EEBenchError: the policy raised.
        """
        if not is_suspect(setting):
            return ""
        if answers.trace is self._trace:
            changed, decided = self._changed, self._decided[key_of(setting)]
        else:
            changed = list(_changed(answers.trace))
            decided = [exits for one in changed for _s, exits in _decided_anew([setting], one.trace)]
        for one, exits in zip(changed, decided, strict=True):
            if why := _differs(setting, answers, one.up_to, exits):
                return why
        return ""


def _differs(setting: ExitPolicy, answers: Answers, up_to: Ints, anew_exits: Ints) -> str:
    scored = answers.decisions.exit_layer
    different = np.where(scored <= up_to, scored, 0) != np.where(anew_exits <= up_to, anew_exits, 0)
    if not different.any():
        return ""
    count, positions = int(different.sum()), len(scored)
    first = np.minimum(scored, anew_exits)[different].min()
    where = f"at {count:,} of {positions:,} positions, the first at layer {first}"
    ((_setting, alone),) = _decided_anew([setting], answers.trace)
    if (alone != scored).any():
        return (
            f"policy {setting.setting()} decides otherwise {where}, when it is asked alone in a module read anew: keep "
            f"running values in layer.state, and nothing from one setting to another"
        )
    return (
        f"policy {setting.setting()} has foresight: {where}, it decides otherwise when the layers above, or other "
        f"positions, say something else; decide by layer k and layer.previous"
    )


def _changed(trace: Trace) -> Iterator[_Changed]:
    """Copies of a trace, of the same class: above a layer drawn for each position stand another position's numbers."""
    layers, positions = trace.num_layers, trace.num_positions
    if layers < 2 or not positions:
        return
    rng = np.random.default_rng(positions)
    for _round in range(min(MOST_ROUNDS, -(-FEWEST_TRIED // positions))):
        up_to: Ints = rng.integers(1, layers, positions)
        yield _Changed(_ending_as(trace, rng.permutation(positions), up_to), up_to)


def _ending_as(trace: Trace, other: Ints, up_to: Ints) -> Trace:
    """The trace with other positions' numbers above some layers, the last first, and with their targets. [positions]"""
    layer = np.arange(trace.num_layers)[:, None]  # from 0
    above = layer >= up_to
    rows = np.where(above, trace.num_layers - 1 + up_to - layer, layer)
    columns = np.where(above, other, np.arange(trace.num_positions))

    def changed(values: NDArray[Any]) -> NDArray[Any]:
        return values[rows, columns]

    return replace(
        trace,
        statistics={name: changed(values) for name, values in trace.statistics.items()},
        target_logprob=changed(trace.target_logprob),
        final_divergence=changed(trace.final_divergence),
        target=trace.target[other],
    )


def _decided_anew(settings: Sequence[ExitPolicy], trace: Trace) -> Iterator[tuple[ExitPolicy, Ints]]:
    """Settings in this order, each policy's module read anew, and where they stop. [positions] each"""
    classes: dict[type[ExitPolicy], type[ExitPolicy]] = {}
    for setting in settings:
        policy = type(setting)
        classes[policy] = classes.get(policy) or anew(policy)
        yield setting, replay(_made_anew(classes[policy], setting), trace).exit_layer


def _made_anew(policy: type[ExitPolicy], setting: ExitPolicy) -> ExitPolicy:
    try:
        return policy.model_validate(setting.params())
    except BaseException as error:  # a contributor's code may raise anything
        not_theirs(error)
        said = error.errors()[0]["msg"] if isinstance(error, ValidationError) else one_line(error)
        raise EEBenchError(
            f"policy {setting.name} cannot be made again from its parameters: {said}; keep them plain."
        ) from error
