"""How sure a ranking is: EE-scores drawn again and again over test documents, the same draws for every policy.

The vertices of a policy's curve stay those that were chosen on the calibration documents; what is drawn again are the
test documents that they are valued on (a paired bootstrap, Efron 1979). Results of several models on one task are drawn
together, since their documents are the same.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from eebench.policy import Bools
from eebench.ranking.board import Interval, RankBy, RankingRow
from eebench.ranking.bootstrap import DRAWS, interval
from eebench.ranking.drawn_figures import Documents, DrawnFigures, Draws, drawn_figures, weights_of
from eebench.ranking.skill import AXES, ROUNDING, Key, area_above, by_evaluation, points_of, vertices
from eebench.records.results import COIN, Columns, StoredResult

NOTHING: Draws = np.zeros(1 + DRAWS)


class ScoreDraws:
    """EE-scores of policies under draws of the test documents."""

    def __init__(self, by_policy: Mapping[str, Sequence[StoredResult]], documents: Documents) -> None:
        self._by_policy = by_policy
        self._tasks = _Tasks(by_policy, documents)
        self._skills: dict[tuple[str, RankBy], dict[Key, Draws | None]] = {}

    def scores(self, policy: str, by: RankBy, on: Collection[Key] | None = None) -> Draws | None:
        """A policy's EE-score; None where it has none, or documents cannot be drawn again.

        Args:
            on: the (model, task) that it is over; all that the policy was measured on by default.
        """
        own, most = self._of(policy, by), self._of("oracle", by)
        shared = [key for key in own if key in most and (on is None or key in on)]
        drawn = [(own[key], most[key]) for key in shared]
        known = [(skill, oracle) for skill, oracle in drawn if skill is not None and oracle is not None]
        if not known or len(known) < len(drawn):
            return None
        skill, oracle = (np.sum(column, axis=0) for column in zip(*known, strict=True))
        if oracle[0] <= ROUNDING:
            return None  # nothing to have a share of
        scores: Draws = np.full_like(oracle, np.nan)  # of nothing no draw has a share, and differences have none either
        np.divide(100 * skill, oracle, out=scores, where=np.abs(oracle) > ROUNDING)
        return scores

    def both(self, one: str, other: str, by: RankBy) -> tuple[Draws, Draws] | None:
        """The EE-scores of two policies over the (model, task) that both were measured on; None as in `scores`."""
        shared = self._of(one, by).keys() & self._of(other, by).keys()
        first, second = (self.scores(policy, by, shared) for policy in (one, other))
        return None if first is None or second is None else (first, second)

    def with_intervals(self, row: RankingRow) -> RankingRow:
        """A policy's row with the intervals of its scores."""
        layers, compute, quality = (self._interval(row.policy, by) for by in get_args(RankBy))
        return replace(row, interval_layers=layers, interval_compute=compute, interval_quality=quality)

    def shared_ranks(self, ranked: Sequence[str], by: RankBy) -> dict[str, int]:
        """The rank of each policy: shared down the scores as long as the first that has it is not surely better.

        So nothing ranks above a better score, however far its interval reaches.

        Two are held against each other on what both were measured on. Where some have no draws, nothing is known of
        what can be told apart, and each has a rank of its own.

        Args:
            ranked: the policies, the best first.
        """
        if any(self.scores(policy, by) is None for policy in ranked):
            return {policy: number for number, policy in enumerate(ranked, start=1)}
        ranks: dict[str, int] = {}
        first = ""
        for number, policy in enumerate(ranked, start=1):
            if not first or self.surely_better(first, policy, by):
                first = policy
                ranks[policy] = number
            else:
                ranks[policy] = ranks[first]
        return ranks

    def surely_better(self, one: str, other: str, by: RankBy) -> bool:
        """Whether the interval of what one has more than the other lies above 0."""
        drawn = self.both(one, other, by) if one != other else None
        return drawn is not None and interval(drawn[0] - drawn[1]).sign > 0

    def _interval(self, policy: str, by: RankBy) -> Interval | None:
        scores = self.scores(policy, by)
        if scores is None:
            return None
        found = interval(scores)
        return (found.low, found.high) if math.isfinite(found.low) else None

    def _of(self, policy: str, by: RankBy) -> dict[Key, Draws | None]:
        if (policy, by) not in self._skills:
            self._skills[policy, by] = self._tasks.skills(self._by_policy.get(policy, ()), by)
        return self._skills[policy, by]


class _Tasks:
    """Every (model, task): its draws, and the points of settings under them."""

    def __init__(self, by_policy: Mapping[str, Sequence[StoredResult]], documents: Documents) -> None:
        self._documents = documents
        every = [result for results in by_policy.values() for result in results]
        self._full = {(r.evaluation.model, r.evaluation.task): r for r in by_policy.get("full", ())}
        self._evaluations = {(r.evaluation.model, r.evaluation.task): r for r in every}
        self._weights: dict[Key, NDArray[np.float64]] = {}
        self._columns: dict[int, Columns] = {}

    def skills(self, results: Sequence[StoredResult], by: RankBy) -> dict[Key, Draws | None]:
        """A policy's skill on each (model, task) that has a place on the axes."""
        skills = {}
        for key, settings in by_evaluation(results).items():
            points = points_of(settings, AXES[by])
            if points is not None:
                chosen = [settings[i] for i in vertices(points["calibration"][1:], points["calibration"][0])]
                skills[key] = self._skill(key, chosen, by) if points["test"][0][0] > 0 else NOTHING
        return skills

    def _skill(self, key: Key, chosen: Sequence[StoredResult], by: RankBy) -> Draws | None:
        about = self._documents.of_evaluation(self._evaluations[key].evaluation_id)
        coin = {name.removeprefix(COIN): values for name, values in about.items() if name.startswith(COIN)}
        if not coin:
            return None  # measured before the coin was kept document by document
        test = np.asarray(about["part"]) == "test"
        drawn = [self._columns_of(chosen)[result.result_id] for result in chosen]
        points = [self._point(key, columns, test, by) for columns in (*drawn, coin)]
        if any(point is None for point in points):
            return None
        x, y = (np.stack(values) for values in zip(*(point for point in points if point is not None), strict=True))
        start = np.zeros((1, x.shape[1]))
        return area_above(np.concatenate([start, x]), np.concatenate([start + 1, y]))

    def _columns_of(self, results: Sequence[StoredResult]) -> Mapping[int, Columns]:
        missing = [result for result in results if result.result_id not in self._columns]
        if missing:
            self._columns |= self._documents.of_results(missing)
        return self._columns

    def _point(self, key: Key, columns: Columns, test: Bools, by: RankBy) -> tuple[Draws, Draws] | None:
        """Saving and what is kept, of a setting."""
        figures = self._figures(key, columns, test)
        kept = self._retention(key, figures.quality, test) if by == "quality" else figures.faithful
        saved = figures.compute_saved if by == "compute" else figures.layers_saved
        return None if kept is None else (saved, kept)

    def _figures(self, key: Key, columns: Columns, test: Bools) -> DrawnFigures:
        if key not in self._weights:
            self._weights[key] = weights_of(key[1], int(test.sum()))
        rows = {name: np.asarray(values)[test] for name, values in columns.items()}
        return drawn_figures(rows, self._weights[key], self._evaluations[key].evaluation)

    def _retention(self, key: Key, quality: Draws | None, test: Bools) -> Draws | None:
        full = self._full.get(key)
        if full is None or quality is None:
            return None
        most = self._figures(key, self._columns_of([full])[full.result_id], test).quality
        if most is None:
            return None
        chance = full.evaluation.chance
        with np.errstate(invalid="ignore", divide="ignore"):
            return (quality - chance) / (most - chance)
