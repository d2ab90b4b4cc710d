"""A policy's curve over several tasks: its area above the no-skill line is its mean skill, as the EE-score has it.

Tasks end their no-skill lines at different savings, so their curves are averaged at equal shares f of those lines:

    x(f) = f · mean x_end(t),    y(f) = mean y(t, f · x_end(t)),    0 <= f <= 1

with t a (model, task), x_end(t) where its no-skill line ends, and y(t, x) its curve. The area between this curve and
the mean no-skill line, divided by that line's length, is the mean of the tasks' areas divided by theirs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eebench.ranking.skill import Axes, Point, by_evaluation, curve_of, points_of
from eebench.records.results import StoredResult

SHARES = np.linspace(0, 1, 51)
"""Where along the no-skill line the mean of several curves is taken."""


def mean_curve(results: Sequence[StoredResult], axes: Axes) -> NDArray[np.float64] | None:
    """The curve of one policy, as the mean over the evaluations of these results. [points, 2]

    None where the axes have no place for any of them.
    """
    curves = [curve(settings, axes) for settings in by_evaluation(results).values()]
    return _mean([one for one in curves if one is not None])


def curve(settings: Sequence[StoredResult], axes: Axes) -> NDArray[np.float64] | None:
    """The curve of one policy on one evaluation, from end to end of its no-skill line; None as above. [points, 2]"""
    points = points_of(settings, axes)
    if points is None:
        return None
    (coin_calibration, *calibration), (coin_test, *test) = points["calibration"], points["test"]
    if settings[0].result.policy == "static":
        return _cut_curve(test, coin_test)
    return curve_of(calibration, test, coin_calibration, coin_test)


def _cut_curve(test: Sequence[Point], coin_test: Point) -> NDArray[np.float64]:
    """What cutting the model keeps at every depth, good or bad: nobody mixes cut models by a coin. [points, 2]"""
    return np.array([(0.0, 1.0), *sorted(point for point in test if 0 < point[0] < coin_test[0]), coin_test])


def _mean(curves: Sequence[NDArray[np.float64]]) -> NDArray[np.float64] | None:
    if len(curves) < 2:
        return curves[0] if curves else None
    heights = [_height(curve) for curve in curves]
    ends = [curve[-1, 0] for curve in curves]
    return np.column_stack([SHARES * np.mean(ends), np.mean(heights, axis=0)])


def _height(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """The curve at `SHARES` of its length; vertices that changed places on the test documents are put in order."""
    order = np.argsort(curve[1:-1, 0], kind="stable") + 1  # of none, where the curve is the no-skill line itself
    shares = np.concatenate([[0.0], (curve[order, 0] / curve[-1, 0]).clip(0, 1), [1.0]])
    height: NDArray[np.float64] = np.interp(SHARES, shares, curve[[0, *order, -1], 1])
    return height
