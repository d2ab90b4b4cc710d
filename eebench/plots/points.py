"""What a Pareto plot is drawn from: a point per setting, and where the no-skill line ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any, Literal

from eebench.ranking.skill import by_evaluation, vertices
from eebench.records.results import Evaluation, StoredResult, Summary

X = Literal["layers", "compute"]
Y = Literal["fidelity", "quality"]

PLANES: Sequence[tuple[X, Y]] = tuple(product(("layers", "compute"), ("fidelity", "quality")))
"""Every saving against all that may be kept."""

Point = dict[str, Any]
"""A setting, or an end of a policy's curve, which has no setting.

`policy`, `kind`, `setting`, `exit` (mean exit layer); as fractions `layers`, `compute` and `fidelity`, and, over
informative tasks alone, `quality`, `quality_layers` and `quality_compute`; `curve`, which has a bit set for each of
`PLANES` in which the point is a vertex of its policy's curve.
"""

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
    made = {of_setting[0].result.setting: _point(of_setting) for of_setting in whole}
    _mark_curves(made, whole)
    return [*made.values(), *_ends(list(made.values()), no_skill_end(results))]


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
    about = {"policy": result.policy, "kind": result.kind, "setting": result.setting, "exit": exit_layer, "curve": 0}
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


def _mark_curves(made: Mapping[str, Point], whole: Sequence[Sequence[StoredResult]]) -> None:
    """Mark the settings that are vertices of their policy's curve, chosen on the calibration documents."""
    end = _calibration_end(whole)
    by_policy: dict[str, list[tuple[Point, Point]]] = {}
    for of_setting in whole:
        point = made[of_setting[0].result.setting]
        if point["policy"] == "static":
            point["curve"] = 2 ** len(PLANES) - 1  # the cut model is a line of its own, good or bad
        elif end and all("calibration" in stored.result.summaries for stored in of_setting):
            chosen_on = _means([(s.evaluation, s.result.summaries["calibration"]) for s in of_setting])
            by_policy.setdefault(point["policy"], []).append((point, chosen_on))
    for settings in by_policy.values():
        for bit, (x, y) in enumerate(PLANES):
            known = [(point, (at[saving(x, y)], at[y])) for point, at in settings if at[y] is not None]
            if end and end[y] is not None:
                for vertex in vertices([at for _point, at in known], (end[saving(x, y)], end[y])):
                    known[vertex][0]["curve"] |= 2**bit


def _ends(made: Sequence[Point], end: Point | None) -> list[Point]:
    """The two ends of the curve of each policy that has a vertex: mixing it with the coin is a policy as well."""
    planes: dict[tuple[str, str], int] = {}
    for point in made:
        if point["curve"] and point["policy"] != "static":
            whose = (point["policy"], point["kind"])
            planes[whose] = planes.get(whose, 0) | point["curve"]
    return [
        {"policy": policy, "kind": kind, "setting": None, "exit": None, "curve": curve, **at}
        for (policy, kind), curve in planes.items()
        for at in (START, end or START)
    ]


def _calibration_end(whole: Sequence[Sequence[StoredResult]]) -> Point | None:
    evaluations = [stored.evaluation for stored in whole[0]] if whole else []
    if not evaluations or not all("calibration" in evaluation.coin_end for evaluation in evaluations):
        return None
    return _means([(evaluation, evaluation.coin_end["calibration"]) for evaluation in evaluations])
