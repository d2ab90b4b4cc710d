"""Two policies, settings, models or runs side by side, paired document by document."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from eebench.errors import EEBenchError, unknown
from eebench.quality import Items, follows, quality_of
from eebench.ranking.board import RankBy
from eebench.ranking.bootstrap import Estimate, interval
from eebench.ranking.drawn_figures import Documents, DrawnFigures, Draws, drawn_figures, weights_of
from eebench.ranking.draws import ScoreDraws
from eebench.ranking.picking import pick
from eebench.ranking.skill import Point, by_evaluation, envelope
from eebench.records.results import Columns, StoredResult

What = Literal["policy", "setting", "model", "run"]


@dataclass(frozen=True)
class Side:
    """One of the two: what it is, and its results by what they are paired by."""

    name: str
    what: What
    results: Mapping[tuple[str, ...], StoredResult]


@dataclass(frozen=True)
class Measure:
    """A figure of both, means over pairs, and B - A with its interval."""

    name: str
    a: float
    b: float
    difference: Estimate


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
        scores: B - A of the EE-scores, where both are policies.
        changed: documents whose quality differs, `same` how many have the same on both sides.
        aggregate_only: (task, metric) where only all documents together have a quality, as an F1 score; in neither.
        curves: of a policy or a setting's policy, (layers saved, fidelity) along its Pareto front, mean over tasks'
            test documents; of the sides by name.
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
    curves: Mapping[str, Mapping[tuple[str, str], Sequence[Point]]]


# --- the two sides -----------------------------------------------------------------------------------------------


def side(name: str, results: Sequence[StoredResult]) -> Side:
    """What a name means among results: a policy, a setting, a model, or `run:N`.

    Raises:
        EEBenchError: nothing is called so.
    """
    if run := re.fullmatch(r"run:(\d+)", name):
        own = [stored for stored in results if stored.run_id == int(run[1])]
        if not own:
            raise EEBenchError(f"there are no results of {name} that can be compared: `eebench report` shows what is.")
        return Side(name, "run", {_in_run(stored): stored for stored in own})
    policies = {stored.result.policy for stored in results}
    settings = {stored.result.setting for stored in results}
    models = {stored.evaluation.model for stored in results}
    if name in policies:
        return Side(name, "policy", _picked([stored for stored in results if stored.result.policy == name]))
    if name in settings:
        own = [stored for stored in results if stored.result.setting == name]
        return Side(name, "setting", {_place(stored): stored for stored in own})
    if name in models:
        own = [stored for stored in results if stored.evaluation.model == name]
        return Side(name, "model", {(stored.evaluation.task, stored.result.setting): stored for stored in own})
    raise unknown("policy, setting or model", name, policies | settings | models, "A run is written run:N.")


def _place(stored: StoredResult) -> tuple[str, ...]:
    return stored.evaluation.model, stored.evaluation.task


def _in_run(stored: StoredResult) -> tuple[str, ...]:
    return (*_place(stored), stored.result.setting)


def _picked(results: Sequence[StoredResult]) -> dict[tuple[str, ...], StoredResult]:
    """Of a policy, on each (model, task), the setting a user would take: picked at fidelity 99% if any is."""
    chosen: dict[tuple[str, ...], StoredResult] = {}
    for key, settings in by_evaluation(results).items():
        choice = pick(settings)
        named = [stored for stored in settings if choice and stored.result.setting == choice.setting]
        most_faithful = max(settings, key=lambda stored: stored.result.summaries["all"].faithful)
        chosen[key] = named[0] if named else most_faithful
    return chosen


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
    rows = documents.of_results([stored for pair in pairs for stored in pair])
    answers = _answers(pairs, a.what)
    changed, same = _changed([pair for pair in answers if follows(pair[0].evaluation.metric)], rows, documents)
    places = {(one.evaluation.task, one.evaluation.metric) for one, _other in answers}
    return Comparison(
        a,
        b,
        len(pairs),
        sum({_place(first): first.evaluation.n_docs for first, _second in pairs}.values()),
        list(_measures(pairs, rows)),
        _scores(a, b, results, documents),
        changed,
        same,
        sorted(place for place in places if not follows(place[1])),
        {one.name: _curves(one, results) for one in (a, b)},
    )


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


def _measures(pairs: Sequence[tuple[StoredResult, StoredResult]], rows: Mapping[int, Columns]) -> Iterator[Measure]:
    """Means over pairs of what all of them have; qualities only where all are of one metric."""
    drawn = [[_drawn(stored, rows) for stored in pair] for pair in pairs]
    one_metric = len({stored.evaluation.metric for pair in pairs for stored in pair}) == 1
    for name, of in MEASURES.items():
        both = [[value for figures in side if (value := of(figures)) is not None] for side in zip(*drawn, strict=True)]
        if all(len(values) == len(pairs) for values in both) and (name != "quality" or one_metric):
            a, b = (np.mean(values, axis=0) for values in both)
            yield Measure(name, float(a[0]), float(b[0]), interval(b - a))


def _drawn(stored: StoredResult, rows: Mapping[int, Columns]) -> DrawnFigures:
    columns = rows[stored.result_id]
    return drawn_figures(columns, weights_of(stored.evaluation.task, len(columns["n_positions"])), stored.evaluation)


def _scores(a: Side, b: Side, results: Sequence[StoredResult], documents: Documents) -> list[Measure]:
    """EE-scores of two policies."""
    if (a.what, b.what) != ("policy", "policy"):
        return []
    grouped: dict[str, list[StoredResult]] = {}
    for stored in results:
        grouped.setdefault(stored.result.policy, []).append(stored)
    draws = ScoreDraws(grouped, documents)
    measures = []
    for by in get_args(RankBy):
        one, other = draws.scores(a.name, by), draws.scores(b.name, by)
        if one is not None and other is not None:
            measures.append(Measure(f"EE-score by {by}", float(one[0]), float(other[0]), interval(other - one)))
    return measures


def _answers(pairs: Sequence[tuple[StoredResult, StoredResult]], what: What) -> list[tuple[StoredResult, StoredResult]]:
    """The pairs whose answers are compared: of two models, the full model's; those measured in one metric."""
    return [
        (one, other)
        for one, other in pairs
        if one.evaluation.metric == other.evaluation.metric and (what != "model" or one.result.policy == "full")
    ]


def _changed(
    pairs: Sequence[tuple[StoredResult, StoredResult]], rows: Mapping[int, Columns], documents: Documents
) -> tuple[list[Changed], int]:
    changed, same = [], 0
    for first, second in pairs:
        ids = documents.of_evaluation(first.evaluation_id)["id"]
        a, b = (np.asarray(rows[stored.result_id]["quality"], dtype=np.float64) for stored in (first, second))
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


def _curves(one: Side, results: Sequence[StoredResult]) -> dict[tuple[str, str], list[Point]]:
    """The Pareto front of a side's policy on each (model, task), on test documents; of models and runs, none."""
    if one.what not in ("policy", "setting"):
        return {}
    policy = next(iter(one.results.values())).result.policy
    fronts = {}
    for key, settings in by_evaluation(stored for stored in results if stored.result.policy == policy).items():
        figures = [s.result.summaries["test"] for s in settings if "test" in s.result.summaries]
        points = [(0.0, 1.0), *((summary.layers_saved, summary.faithful) for summary in figures)]
        fronts[key] = [points[i] for i in envelope(points)]
    return fronts


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
        "curves": {
            name: [{"model": model, "task": task, "points": list(points)} for (model, task), points in fronts.items()]
            for name, fronts in found.curves.items()
        },
    }
