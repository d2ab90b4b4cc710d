"""Two policies, settings, models or runs side by side, paired document by document.

A policy stands for the setting that is picked of it on calibration documents, so its figures are those of the test
documents. Of two models or two runs it is each policy's EE-score that is compared, since a mean over all settings that
happened to be measured says nothing of either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from eebench.errors import EEBenchError
from eebench.policy import Bools
from eebench.quality import Items, follows, quality_of
from eebench.ranking.board import RankBy
from eebench.ranking.bootstrap import Estimate, interval
from eebench.ranking.curves import curve, mean_curve
from eebench.ranking.drawn_figures import Documents, DrawnFigures, Draws, drawn_figures, weights_of
from eebench.ranking.draws import ScoreDraws
from eebench.ranking.sides import Side, What, place
from eebench.ranking.skill import AXES, by_evaluation, by_policy
from eebench.records.results import StoredResult


@dataclass(frozen=True)
class Measure:
    """A figure of both, means over pairs, and B - A with its interval."""

    name: str
    a: float
    b: float
    difference: Estimate


@dataclass(frozen=True)
class Curves:
    """The Pareto curves of both, (layers saved, fidelity) each, as the EE-score has them: `eebench.ranking.skill`.

    Their vertices are chosen on calibration documents and valued on test documents; their ends are the no-skill line's.

    Attributes:
        where: what they are of: a model and a task; of two models or runs a policy, whose mean over tasks they are.
    """

    where: Mapping[str, str]
    a: NDArray[np.float64]
    b: NDArray[np.float64]


@dataclass(frozen=True)
class Changed:
    """A document that one side answers better than the other; quality as the task's metric has it."""

    model: str
    task: str
    document: int
    a: float
    b: float


@dataclass(frozen=True)
class Comparison:
    """What two sides differ in.

    Attributes:
        pairs: how many pairs of results there are; `documents` is how many documents they have.
        measures: figures of what is paired; of two models what the full model and the oracle do.
        scores: B - A of the EE-scores, of two policies, or of each policy on two models or in two runs.
        changed: answers whose quality differs, `same` how many have the same on both sides.
        aggregate_only: (task, metric) where only all documents together have a quality, as an F1 score; in neither.
        apart: in what the sides differ besides, as the number of shots, in words.
    """

    a: Side
    b: Side
    pairs: int
    documents: int
    measures: Sequence[Measure]
    scores: Sequence[Measure]
    changed: Sequence[Changed]
    same: int
    aggregate_only: Sequence[tuple[str, str]]
    apart: Sequence[str]
    curves: Sequence[Curves]


# --- the comparison ----------------------------------------------------------------------------------------------


def compare(a: Side, b: Side, results: Sequence[StoredResult], documents: Documents) -> Comparison:
    """Pair two sides' results on the same documents.

    Raises:
        EEBenchError: they are of different kinds, or were never measured on the same documents.
    """
    if {a.what, b.what} > {a.what} and not {a.what, b.what} <= {"policy", "setting"}:
        raise EEBenchError(f"{a.name} is a {a.what} and {b.name} a {b.what}: compare two of a kind.")
    keys = [key for key in a.results if key in b.results and _same_documents(a.results[key], b.results[key], documents)]
    if not keys:
        raise EEBenchError(
            f"{a.name} and {b.name} have not been measured on the same documents: `eebench run` both on one task."
        )
    pairs = [(a.results[key], b.results[key]) for key in keys]
    rows = _Rows(documents, [stored for pair in pairs for stored in pair], "policy" in (a.what, b.what))
    answers = _answers(pairs, a.what)
    changed, same = _changed([pair for pair in answers if follows(pair[0].evaluation.metric)], rows)
    places = {(one.evaluation.task, one.evaluation.metric) for one, _other in answers}
    return Comparison(
        a,
        b,
        len(pairs),
        sum({place(first): int(rows.where(first).sum()) for first, _second in pairs}.values()),
        list(_measures(pairs, rows) if a.what != "model" else _measures_of_models(pairs, rows)),
        list(_scores(a, b, results, _tasks(pairs), documents)),
        changed,
        same,
        sorted(place for place in places if not follows(place[1])),
        _apart(pairs),
        list(_curves(a, b, _tasks(pairs))),
    )


class _Rows:
    """The rows of the documents that are compared: of a policy, whose setting is picked on the others, the test's."""

    def __init__(self, documents: Documents, results: Sequence[StoredResult], test_only: bool) -> None:
        self._documents = documents
        self._columns = documents.of_results(results)
        self._test_only = test_only

    def where(self, stored: StoredResult) -> Bools:
        """Which of a result's documents are compared. [documents]"""
        part = np.asarray(self._documents.of_evaluation(stored.evaluation_id)["part"])
        chosen: Bools = part == "test" if self._test_only else np.ones(len(part), dtype=bool)
        return chosen

    def ids(self, stored: StoredResult) -> NDArray[np.int64]:
        """The documents' ids."""
        return np.asarray(self._documents.of_evaluation(stored.evaluation_id)["id"])[self.where(stored)]

    def columns(self, stored: StoredResult) -> dict[str, NDArray[np.float64]]:
        """The columns of `eebench.records.results.Result.documents`."""
        where = self.where(stored)
        return {
            name: np.asarray(values, dtype=np.float64)[where]
            for name, values in self._columns[stored.result_id].items()
        }


def _tasks(pairs: Sequence[tuple[StoredResult, StoredResult]]) -> set[tuple[str, ...]]:
    """The (model, task) of both sides of what is paired."""
    return {place(stored) for pair in pairs for stored in pair}


def _same_documents(one: StoredResult, other: StoredResult, documents: Documents) -> bool:
    if one.evaluation_id == other.evaluation_id:
        return True
    first, second = (documents.of_evaluation(stored.evaluation_id)["hash"] for stored in (one, other))
    return list(first) == list(second)


MEASURES: Mapping[str, Callable[[DrawnFigures], Draws | None]] = {
    "layers saved": lambda figures: figures.layers_saved,
    "compute saved": lambda figures: figures.compute_saved,
    "fidelity": lambda figures: figures.faithful,
    "quality": lambda figures: figures.quality,
}


def _measures(pairs: Sequence[tuple[StoredResult, StoredResult]], rows: _Rows) -> Iterator[Measure]:
    """Means over pairs of what all of them have; qualities only where all are of one metric."""
    drawn = [[_drawn(stored, rows) for stored in pair] for pair in pairs]
    one_metric = len({stored.evaluation.metric for pair in pairs for stored in pair}) == 1
    for name, of in MEASURES.items():
        both = [[value for figures in side if (value := of(figures)) is not None] for side in zip(*drawn, strict=True)]
        if all(len(values) == len(pairs) for values in both) and (name != "quality" or one_metric):
            a, b = (np.mean(values, axis=0) for values in both)
            yield Measure(name, float(a[0]), float(b[0]), interval(b - a))


def _measures_of_models(pairs: Sequence[tuple[StoredResult, StoredResult]], rows: _Rows) -> Iterator[Measure]:
    """What two models do at full depth, and what an oracle could save of each."""
    for policy, name, shown in (("full", "quality", "quality"), ("oracle", "layers saved", "layers an oracle saves")):
        for measure in _measures([pair for pair in pairs if pair[0].result.policy == policy], rows):
            if measure.name == name:
                yield replace(measure, name=shown)


def _drawn(stored: StoredResult, rows: _Rows) -> DrawnFigures:
    columns = rows.columns(stored)
    weights = weights_of(stored.evaluation.task, len(columns["n_positions"]))
    if weights.shape[1] < 2:
        weights[1:] = np.nan  # a document alone is drawn again and again, which says nothing of another one
    return drawn_figures(columns, weights, stored.evaluation)


def _scores(
    a: Side, b: Side, results: Sequence[StoredResult], tasks: Collection[tuple[str, ...]], documents: Documents
) -> Iterator[Measure]:
    """EE-scores of two policies; or of each policy on two models, or in two runs."""
    if (a.what, b.what) == ("policy", "policy"):
        draws = ScoreDraws(by_policy(results), documents)
        for by in get_args(RankBy):
            if both := draws.both(a.name, b.name, by):
                yield _score(f"EE-score by {by}", *both)
    elif a.what in ("model", "run"):
        one, other = (by_policy(stored for stored in side.own if place(stored) in tasks) for side in (a, b))
        first, second = (ScoreDraws(side, documents) for side in (one, other))
        for policy in sorted(one.keys() & other.keys()):
            if one[policy][0].result.kind == "policy":
                scores = first.scores(policy, "layers"), second.scores(policy, "layers")
                if scores[0] is not None and scores[1] is not None:
                    yield _score(f"EE-score of {policy}", scores[0], scores[1])


def _score(name: str, a: Draws, b: Draws) -> Measure:
    return Measure(name, float(a[0]), float(b[0]), interval(b - a))


def _apart(pairs: Sequence[tuple[StoredResult, StoredResult]]) -> list[str]:
    """In what two sides were measured differently, where that is not what is compared."""
    words = {"task_version": "version", "num_fewshot": "shots", "chat_template": "chat template", "kv_mode": "KV mode"}
    differ: dict[str, None] = {}
    for first, second in ((one.evaluation, other.evaluation) for one, other in pairs):
        for field, word in (*words.items(), ("metric", "metric")):
            values = getattr(first, field), getattr(second, field)
            if values[0] != values[1]:
                differ[f"{first.task}: {word} {values[0]} under A, {values[1]} under B"] = None
    return list(differ)


def _answers(pairs: Sequence[tuple[StoredResult, StoredResult]], what: What) -> list[tuple[StoredResult, StoredResult]]:
    """The pairs whose answers are compared: of two models, the full model's; those measured in one metric."""
    return [
        (one, other)
        for one, other in pairs
        if one.evaluation.metric == other.evaluation.metric and (what != "model" or one.result.policy == "full")
    ]


def _changed(pairs: Sequence[tuple[StoredResult, StoredResult]], rows: _Rows) -> tuple[list[Changed], int]:
    changed, same = [], 0
    for first, second in pairs:
        ids = rows.ids(first)
        a, b = (rows.columns(stored)["quality"] for stored in (first, second))
        differs = ~((a == b) | (np.isnan(a) & np.isnan(b))).all(axis=1)
        same += int((~differs).sum())
        where = first.evaluation
        for number in np.flatnonzero(differs):
            one, other = (_quality(where.metric, items[[number]]) for items in (a, b))
            changed.append(Changed(where.model, where.task, int(ids[number]), one, other))
    return changed, same


def _quality(metric: str, item: Items) -> float:
    """Of one document; NaN where it has none."""
    value = quality_of(metric, item)
    return math.nan if value is None else value


def _curves(a: Side, b: Side, tasks: Collection[tuple[str, ...]]) -> Iterator[Curves]:
    """Of two policies, or settings' policies, on each (model, task); of two models or runs, of each policy."""
    own = [[stored for stored in side.own if place(stored) in tasks] for side in (a, b)]
    axes = AXES["layers"]
    if a.what in ("model", "run"):
        one, other = (by_policy(side) for side in own)
        found = [
            ({"policy": policy}, mean_curve(one[policy], axes), mean_curve(other[policy], axes))
            for policy in sorted(one.keys() & other.keys())
            if one[policy][0].result.kind == "policy"
        ]
    else:
        first, second = (by_evaluation(side) for side in own)
        found = [
            ({"model": key[0], "task": key[1]}, curve(first[key], axes), curve(second[key], axes))
            for key in first
            if key in second
        ]
    for where, left, right in found:
        if left is not None and right is not None:
            yield Curves(where, left, right)


# --- records -----------------------------------------------------------------------------------------------------


def comparison_record(found: Comparison) -> dict[str, Any]:
    """A comparison as plain data."""

    def plain(measure: Measure) -> dict[str, Any]:
        low, high = measure.difference.low, measure.difference.high
        return {
            "name": measure.name,
            "a": measure.a,
            "b": measure.b,
            "difference": measure.difference.value,
            "low": low,
            "high": high,
        }

    return {
        "a": {"name": found.a.name, "what": found.a.what},
        "b": {"name": found.b.name, "what": found.b.what},
        "pairs": found.pairs,
        "documents": found.documents,
        "measures": [plain(measure) for measure in found.measures],
        "scores": [plain(measure) for measure in found.scores],
        "same": found.same,
        "changed": [vars(one) for one in found.changed],
        "aggregate_only": [{"task": task, "metric": metric} for task, metric in found.aggregate_only],
        "apart": list(found.apart),
        "curves": [{**one.where, "a": one.a.tolist(), "b": one.b.tolist()} for one in found.curves],
    }
