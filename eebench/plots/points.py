"""What a Pareto plot is drawn from: a point per setting, a curve per policy, and where the no-skill line ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Literal

from eebench.ranking.board import RankBy
from eebench.ranking.curves import mean_curve
from eebench.ranking.skill import AXES, by_evaluation, by_policy
from eebench.records.results import Evaluation, StoredResult, Summary

X = Literal["layers", "compute"]
Y = Literal["fidelity", "quality"]

PLANES: Sequence[tuple[X, Y]] = tuple(product(("layers", "compute"), ("fidelity", "quality")))
"""Every saving against all that may be kept."""

Point = dict[str, Any]
"""A setting.

`policy`, `kind`, `setting`, `exit` (mean exit layer); as fractions `layers`, `compute` and `fidelity`, and, over
informative tasks alone, `quality`, `quality_layers` and `quality_compute`.
"""

Curves = Mapping[str, Sequence[tuple[float, float]]]
"""Policy -> its curve, as what is saved and what is kept there, from the full model on."""

START: Point = {
    "layers": 0.0,
    "compute": 0.0,
    "fidelity": 1.0,
    "quality": 1.0,
    "quality_layers": 0.0,
    "quality_compute": 0.0,
}
"""The full model, where every no-skill line begins."""


def saving(x: X, y: Y) -> str:
    """Which of a point's fields is plotted as `x` where `y` is what is kept."""
    return x if y == "fidelity" else f"quality_{x}"


def points(results: Sequence[StoredResult]) -> list[Point]:
    """A point per setting of one model: means over its tasks, on test documents where there are any.

    Only settings that were measured on all the tasks have a point, or their means would not be of the same.
    """
    by_task = by_evaluation(results)
    by_setting: dict[str, list[StoredResult]] = {}
    for result in (result for of_task in by_task.values() for result in of_task):
        by_setting.setdefault(result.result.setting, []).append(result)
    whole = [of_setting for of_setting in by_setting.values() if len(of_setting) == len(by_task)]
    return [_point(of_setting) for of_setting in whole]


def left_out(results: Iterable[StoredResult], made: Iterable[Point]) -> int:
    """How many settings have none of these points, since they were not measured on all the tasks."""
    return len({stored.result.setting for stored in results} - {point["setting"] for point in made})


def no_skill_end(results: Iterable[StoredResult]) -> Point | None:
    """Where tossing a coin ends: stopping everywhere at layer 1; None where nobody has measured that."""
    evaluations = [of_task[0].evaluation for of_task in by_evaluation(results).values()]
    if not evaluations or not all(evaluation.coin_end for evaluation in evaluations):
        return None
    return _means([(evaluation, _shown(evaluation.coin_end)) for evaluation in evaluations])


def _point(of_setting: Sequence[StoredResult]) -> Point:
    result = of_setting[0].result
    measured = [(stored.evaluation, _shown(stored.result.summaries)) for stored in of_setting]
    exit_layer = _mean([summary.mean_exit_layer for _evaluation, summary in measured])
    about = {"policy": result.policy, "kind": result.kind, "setting": result.setting, "exit": exit_layer}
    return about | _means(measured)


def _shown(summaries: Mapping[str, Summary]) -> Summary:
    return summaries["test"] if "test" in summaries else summaries["all"]


def _means(measured: Sequence[tuple[Evaluation, Summary]]) -> Point:
    """Means over tasks; of quality, over those whose quality says something."""
    every = [summary for _evaluation, summary in measured]
    telling = [s for evaluation, s in measured if evaluation.informative and s.retention is not None]
    return {
        "layers": _mean([summary.layers_saved for summary in every]),
        "compute": _mean([summary.compute_saved for summary in every]),
        "fidelity": _mean([summary.faithful for summary in every]),
        "quality": _mean([summary.retention for summary in telling if summary.retention is not None]),
        "quality_layers": _mean([summary.layers_saved for summary in telling]),
        "quality_compute": _mean([summary.compute_saved for summary in telling]),
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


# --- curves ------------------------------------------------------------------------------------------------------


def curves(results: Sequence[StoredResult], x: X, y: Y) -> Curves:
    """Each policy's curve on a plane, over the tasks of one model; of policies that were measured on all of them."""
    kept_by: RankBy = "quality" if y == "quality" else "layers"
    axes = replace(AXES[kept_by], x=AXES[x].x)
    tasks = by_evaluation(results).keys()
    found = {}
    for policy, settings in by_policy(results).items():
        if by_evaluation(settings).keys() == tasks and (curve := mean_curve(settings, axes)) is not None:
            found[policy] = [(float(saved), float(kept)) for saved, kept in curve]
    return found
