"""What a name stands for in a comparison: a policy, a setting, a model or a run, and the results it is compared by."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from eebench.errors import EEBenchError, unknown
from eebench.ranking.picking import pick
from eebench.ranking.skill import by_evaluation
from eebench.records.results import StoredResult

What = Literal["policy", "setting", "model", "run"]


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        results: what is paired, by what it is paired by.
        own: everything it was measured with: of a policy or a setting all that its policy has.
    """

    name: str
    what: What
    results: Mapping[tuple[str, ...], StoredResult]
    own: Sequence[StoredResult]


def side(name: str, results: Sequence[StoredResult]) -> Side:
    """What a name means among results: a policy, a setting, a model, or `run:N`.

    Raises:
        EEBenchError: nothing is called so.
    """
    if run := re.fullmatch(r"run:(\d+)", name):
        own = [stored for stored in results if stored.run_id == int(run[1])]
        if not own:
            raise EEBenchError(f"there are no results of {name} that can be compared: `eebench report` shows what is.")
        return Side(name, "run", {_in_run(stored): stored for stored in own}, own)
    policies = {stored.result.policy for stored in results}
    settings = {stored.result.setting for stored in results}
    models = {stored.evaluation.model for stored in results}
    if name in policies:
        own = [stored for stored in results if stored.result.policy == name]
        return Side(name, "policy", _picked(own, results), own)
    if name in settings:
        paired = {place(stored): stored for stored in results if stored.result.setting == name}
        policy = next(iter(paired.values())).result.policy
        return Side(name, "setting", paired, [stored for stored in results if stored.result.policy == policy])
    if name in models:
        own = [stored for stored in results if stored.evaluation.model == name]
        return Side(name, "model", {(stored.evaluation.task, stored.result.setting): stored for stored in own}, own)
    raise unknown("policy, setting or model", name, policies | settings | models, "A run is written run:N.")


def place(stored: StoredResult) -> tuple[str, ...]:
    """(model, task)"""
    return stored.evaluation.model, stored.evaluation.task


def _in_run(stored: StoredResult) -> tuple[str, ...]:
    return (*place(stored), stored.result.setting)


def _picked(own: Sequence[StoredResult], results: Iterable[StoredResult]) -> dict[tuple[str, ...], StoredResult]:
    """Of a policy, on each (model, task), the setting a user would take at fidelity 99%; it may be the full model."""
    full = {place(stored): stored for stored in results if stored.result.policy == "full"}
    chosen: dict[tuple[str, ...], StoredResult] = {}
    for key, settings in by_evaluation(own).items():
        if choice := pick(settings):
            named = next((stored for stored in settings if stored.result.setting == choice.setting), full.get(key))
            if named is not None:
                chosen[key] = named
    return chosen
