"""What a leaderboard's bundles say together: the newest results of every (model, task) that can be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from eebench.comparable import EVALUATION_KEY, left_out, sentences, with_newest
from eebench.errors import EEBenchError
from eebench.results import Evaluation, KvMode, Result, StoredResult
from eebench.submission.bundles import Bundle, Measured


@dataclass(frozen=True)
class Standings:
    """Results to be ranked, and in sentences what was left out to keep them comparable."""

    results: list[StoredResult]
    notes: list[str]


@dataclass(frozen=True)
class _Place:
    """An evaluation of a bundle, which answers to the names of what it must share with others."""

    bundle: Bundle
    measured: Measured

    def __getattr__(self, name: str) -> object:
        return getattr(self.measured.evaluation, name)


def standings(
    bundles: Iterable[Bundle], models: Collection[str] = (), tasks: Collection[str] = (), kv_mode: KvMode = "full"
) -> Standings:
    """The newest results of every setting, from bundles in order, the oldest first.

    Policies of one name and another source are told apart by their bundles.

    Raises:
        EEBenchError: there is nothing of these models, tasks and KV mode.
    """
    places = [
        _Place(bundle, measured)
        for bundle in bundles
        for measured in bundle.evaluations
        if _wanted(measured.evaluation, models, tasks, kv_mode)
    ]
    if not places:
        raise EEBenchError("the leaderboard has no results of these models, tasks and KV mode.")
    same, others = with_newest(places, lambda one: (one.model, one.task), EVALUATION_KEY)
    newest: dict[tuple[str, ...], StoredResult] = {}
    names = _names(same)
    for number, place in enumerate(same):
        evaluation = place.measured.evaluation
        for result in place.measured.results:
            named = replace(result, policy=names[result.policy, _origin(result)])
            key = (evaluation.model, evaluation.task, named.policy, named.setting)
            newest[key] = StoredResult(0, number, 0, place.bundle.finished, evaluation, named)
    results = [replace(stored, result_id=number) for number, stored in enumerate(newest.values())]
    return Standings(results, sentences(left_out(others, lambda one: len(one.measured.results), "result")))


def _wanted(evaluation: Evaluation, models: Collection[str], tasks: Collection[str], kv_mode: KvMode) -> bool:
    named = (not models or evaluation.model in models) and (not tasks or evaluation.task in tasks)
    return named and evaluation.kv_mode == kv_mode


def _origin(result: Result) -> str:
    """What tells policies of one name apart; built-in ones are the same in all versions."""
    return "" if result.builtin else result.policy_hash


def _names(places: Iterable[_Place]) -> Mapping[tuple[str, str], str]:
    """(policy, origin) -> what it is called: its name, with the first bundle it came in where others have that name."""
    first: dict[str, dict[str, str]] = defaultdict(dict)
    for place in places:
        for result in place.measured.results:
            first[result.policy].setdefault(_origin(result), place.bundle.name)
    return {
        (policy, origin): policy if len(origins) == 1 else f"{policy} ({bundle})"
        for policy, origins in first.items()
        for origin, bundle in origins.items()
    }
