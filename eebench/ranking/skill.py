"""The EE-score: how far a policy rises above tossing a coin, as a share of how far an oracle does.

On the plane of saving x against fidelity y (in generation the share of the answer that is kept: `Summary.faithful`),
every setting of a policy is a point, and so are the two ends of the no-skill line: never stopping (0, 1), and always
stopping at layer 1. Mixing two settings by a coin is itself a policy, so the upper concave envelope of these points is
what the policy can do. Its vertices are chosen on the calibration documents and valued on the test documents. Skill is
the area between that curve and the no-skill line divided by the line's length in x; EE-score is 100 × the policy's mean
skill over (model, task) / the oracle's over the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eebench.ranking.board import RankBy
from eebench.records.results import StoredResult, Summary

Key = tuple[str, str]
"""(model, task)"""

Point = tuple[float, float]
"""(saving, quality), both fractions."""

ROUNDING = 1e-9
"""Skill that is no more than floating-point arithmetic leaves of none, over all (model, task) together."""


@dataclass(frozen=True)
class Axes:
    """What is plotted against what, and whether uninformative tasks have a place on it."""

    x: Callable[[Summary], float]
    y: Callable[[Summary], float | None]
    informative_only: bool = False


AXES: dict[RankBy, Axes] = {
    "layers": Axes(lambda s: s.layers_saved, lambda s: s.faithful),
    "compute": Axes(lambda s: s.compute_saved, lambda s: s.faithful),
    "quality": Axes(lambda s: s.layers_saved, lambda s: s.retention, informative_only=True),
}


# --- the curve of one policy on one (model, task) ----------------------------------------------------------------


def envelope(points: Sequence[Point]) -> list[int]:
    """Which points are vertices of the upper concave envelope, from left to right (Andrew's monotone chain, 1979)."""
    order = sorted(range(len(points)), key=lambda i: points[i])
    hull: list[int] = []
    for i in order:
        while hull and points[hull[-1]][0] == points[i][0]:
            hull.pop()  # straight above: the higher one comes later in the order
        while len(hull) > 1 and _turns_left(points[hull[-2]], points[hull[-1]], points[i]):
            hull.pop()
        hull.append(i)
    return hull


def _turns_left(a: Point, b: Point, c: Point) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) >= 0


def skill(calibration: Sequence[Point], test: Sequence[Point], coin_calibration: Point, coin_test: Point) -> float:
    """Area between a policy's curve and the no-skill line, divided by the line's length in x.

    Args:
        calibration: a point per setting, on the calibration documents; the vertices are chosen here.
        test: the same settings on the test documents; the vertices are valued here.
        coin_calibration: where the no-skill line that starts at (0, 1) ends, on the calibration documents.
        coin_test: the same on the test documents.
    """
    curve = curve_of(calibration, test, coin_calibration, coin_test)
    return float(area_above(curve[:, 0], curve[:, 1])) if coin_test[0] > 0 else 0.0


def curve_of(
    calibration: Sequence[Point], test: Sequence[Point], coin_calibration: Point, coin_test: Point
) -> NDArray[np.float64]:
    """A policy's curve, from the full model to the end of the no-skill line: see `skill`. [points, 2]

    It is the no-skill line itself where stopping at once saves nothing, so that there is nothing to be skilful about.
    """
    if coin_test[0] <= 0 or coin_calibration[0] <= 0:
        return np.array([(0.0, 1.0), coin_test])
    return np.array([(0.0, 1.0), *(test[i] for i in vertices(calibration, coin_calibration)), coin_test])


def vertices(calibration: Sequence[Point], coin: Point) -> list[int]:
    """Which settings are on a policy's curve, from left to right, the two ends of the no-skill line apart.

    Args:
        calibration: a point per setting, on the calibration documents.
        coin: where the no-skill line ends, on the same.
    """
    # A setting that costs more than the full model, or saves more than the coin can, lies beside the line.
    beside = [i for i, (x, _y) in enumerate(calibration) if 0 < x < coin[0]]
    candidates = [(0.0, 1.0), *(calibration[i] for i in beside), coin]
    return [beside[vertex - 1] for vertex in envelope(candidates) if 0 < vertex < len(candidates) - 1]


def area_above(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area between a curve and the straight line between its two ends, divided by the line's length in x.

    Args:
        x, y: the curve from (0, 1) to the end of the no-skill line. [points] or [points, draws]
    """
    with np.errstate(invalid="ignore", divide="ignore"):  # a draw may have nothing to retain, and so no value
        above = y - (1.0 + (y[-1] - 1.0) * x / x[-1])
        area: NDArray[np.float64] = ((x[1:] - x[:-1]) * (above[:-1] + above[1:]) / 2).sum(axis=0) / x[-1]
    return area


def skill_of(results: Sequence[StoredResult], by: RankBy) -> float | None:
    """Skill of one policy's settings on one evaluation, or None where the axes have no place for it."""
    points = points_of(results, AXES[by])
    if points is None:
        return None
    return skill(points["calibration"][1:], points["test"][1:], points["calibration"][0], points["test"][0])


def points_of(results: Sequence[StoredResult], axes: Axes) -> dict[str, list[Point]] | None:
    """Where the coin ends, and then each of one policy's settings, on the `calibration` and the `test` documents.

    None where the axes have no place for them.
    """
    evaluation = results[0].evaluation
    if axes.informative_only and not evaluation.informative:
        return None
    points = {}
    for part in ("calibration", "test"):
        if part not in evaluation.coin_end:
            return None
        ends_and_settings = [evaluation.coin_end[part], *(result.result.summaries[part] for result in results)]
        plotted = [(axes.x(summary), axes.y(summary)) for summary in ends_and_settings]
        known = [(x, y) for x, y in plotted if y is not None]
        if len(known) < len(plotted):
            return None
        points[part] = known
    return points


# --- over several (model, task) ----------------------------------------------------------------------------------


def by_policy(results: Iterable[StoredResult]) -> dict[str, list[StoredResult]]:
    """Results by policy."""
    grouped: dict[str, list[StoredResult]] = defaultdict(list)
    for result in results:
        grouped[result.result.policy].append(result)
    return grouped


def by_evaluation(results: Iterable[StoredResult]) -> dict[Key, list[StoredResult]]:
    """Results by (model, task), in the order of their settings' names.

    Settings may be alike on the calibration documents and differ on the test documents; which of them is taken must not
    hang on the order in which they were stored.
    """
    grouped: dict[Key, list[StoredResult]] = defaultdict(list)
    for result in sorted(results, key=lambda result: result.result.setting):
        grouped[(result.evaluation.model, result.evaluation.task)].append(result)
    return grouped


def skills_of(results: Iterable[StoredResult], by: RankBy) -> dict[Key, float]:
    """A policy's skill on each (model, task) that has a place on the axes."""
    skills = {key: skill_of(settings, by) for key, settings in by_evaluation(results).items()}
    return {key: value for key, value in skills.items() if value is not None}


def ee_score_of(skills: dict[Key, float], oracle: dict[Key, float]) -> float | None:
    """100 × a ratio of means over the (model, task) both were measured on; None where the oracle has no skill."""
    shared = [key for key in skills if key in oracle]
    most = sum(oracle[key] for key in shared)
    return 100 * sum(skills[key] for key in shared) / most if most > ROUNDING else None


def mean(values: Sequence[float]) -> float | None:
    """The mean, or None of nothing."""
    return sum(values) / len(values) if values else None
