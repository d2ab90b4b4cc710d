"""What a leaderboard's bundles say together: the newest results of every (model, task) that can be compared.

What a trace has verified comes before what is newer and only consistent: whoever says when a run ended, and of which
revision and documents it was, could else put anything in the place of what was proved.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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

    @property
    def proven(self) -> bool:
        return is_proven(self.bundle, self.measured)


def standings(
    bundles: Iterable[Bundle], models: Collection[str] = (), tasks: Collection[str] = (), kv_mode: KvMode = "full"
) -> Standings:
    """The newest results of every setting, from bundles in order, the oldest first, and verified ones before others.

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
    places.sort(key=lambda place: place.proven)
    same, others = with_newest(places, lambda one: (one.model, one.task), EVALUATION_KEY)
    newest: dict[tuple[str, ...], StoredResult] = {}
    proofs: dict[tuple[str, ...], float] = {}
    in_order = sorted(same, key=lambda place: place.number)
    names = names_apart((place.bundle.name, result) for place in in_order for result in place.measured.results)
    for number, place in enumerate(same):
        of_policy = _proofs(place)
        evaluation = place.measured.evaluation
        for result in place.measured.results:
            named = replace(result, policy=names[result.policy, origin(result)])
            key = (evaluation.model, evaluation.task, named.policy, named.setting)
            if proofs.get(key, 0) > of_policy[result.policy]:
                continue
            proofs[key] = of_policy[result.policy]
            newest[key] = StoredResult(place.number, number, 0, place.bundle.finished, evaluation, named)
    results = [replace(stored, result_id=number) for number, stored in enumerate(newest.values())]
    return Standings(results, list(_notes(others, same)), {place.number: place.bundle.name for place in places})


def is_proven(bundle: Bundle, measured: Measured) -> bool:
    """Whether a trace has proved anything of an evaluation, and so that it is of the model and documents it names."""
    return any(bundle.verified.get(str(measured), {}).values())


def _proofs(place: _Place) -> Mapping[str, float]:
    """Policy -> the share of its entries that a trace has proved."""
    entries = Counter(result.policy for result in place.measured.results)
    verified = place.bundle.verified.get(str(place.measured), {})
    return {policy: verified.get(policy, 0) / count for policy, count in entries.items()}


def _notes(others: Sequence[tuple[_Place, list[str]]], same: Sequence[_Place]) -> Iterator[str]:
    """What is left out for being older, and what for being unverified where something else is verified."""
    proven = {(place.model, place.task) for place in same if place.proven}
    for unverified in (False, True):
        some = [one for one in others if ((one[0].model, one[0].task) in proven and not one[0].proven) == unverified]
        for said in sentences(left_out(some, _entries, "result")):
            yield said.replace(" older ", " unverified ", 1) if unverified else said


def _entries(place: _Place) -> int:
    return len(place.measured.results)


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
