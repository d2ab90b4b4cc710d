"""What a leaderboard's bundles say together: the newest results of every (model, task) that can be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from eebench.errors import EEBenchError
from eebench.records.comparable import EVALUATION_KEY, left_out, sentences, with_newest
from eebench.records.results import Evaluation, KvMode, Result, StoredResult
from eebench.submission.bundles import Bundle, Measured


@dataclass(frozen=True)
class Standings:
    """Results to be ranked, and in sentences what was left out to keep them comparable.

    Attributes:
        bundles: the run of a result, as it is numbered here -> the bundle it came in.
    """

    results: list[StoredResult]
    notes: list[str]
    bundles: Mapping[int, str]


@dataclass(frozen=True)
class _Place:
    """An evaluation of a bundle, which answers to the names of what it must share with others."""

    number: int
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
        _Place(run, bundle, measured)
        for run, bundle in enumerate(bundles)
        for measured in bundle.evaluations
        if _wanted(measured.evaluation, models, tasks, kv_mode)
    ]
    if not places:
        raise EEBenchError("the leaderboard has no results of these models, tasks and KV mode.")
    same, others = with_newest(places, lambda one: (one.model, one.task), EVALUATION_KEY)
    newest: dict[tuple[str, ...], StoredResult] = {}
    names = names_apart((place.bundle.name, result) for place in same for result in place.measured.results)
    for number, place in enumerate(same):
        evaluation = place.measured.evaluation
        for result in place.measured.results:
            named = replace(result, policy=names[result.policy, origin(result)])
            key = (evaluation.model, evaluation.task, named.policy, named.setting)
            newest[key] = StoredResult(place.number, number, 0, place.bundle.finished, evaluation, named)
    results = [replace(stored, result_id=number) for number, stored in enumerate(newest.values())]
    notes = sentences(left_out(others, lambda one: len(one.measured.results), "result"))
    return Standings(results, notes, {place.number: place.bundle.name for place in places})


def _wanted(evaluation: Evaluation, models: Collection[str], tasks: Collection[str], kv_mode: KvMode) -> bool:
    named = (not models or evaluation.model in models) and (not tasks or evaluation.task in tasks)
    return named and evaluation.kv_mode == kv_mode


def origin(result: Result) -> str:
    """What tells policies of one name apart; built-in ones are the same in all versions."""
    return "" if result.builtin else result.policy_hash


def names_apart(results: Iterable[tuple[str, Result]]) -> Mapping[tuple[str, str], str]:
    """(policy, origin) -> what it is called: its name, with the first bundle it came in where others have that name.

    Args:
        results: the name of a bundle, and a result in it; the oldest bundle first.
    """
    first: dict[str, dict[str, str]] = defaultdict(dict)
    for bundle, result in results:
        first[result.policy].setdefault(origin(result), bundle)
    return {
        (policy, of): policy if len(origins) == 1 else f"{policy} ({bundle})"
        for policy, origins in first.items()
        for of, bundle in origins.items()
    }
