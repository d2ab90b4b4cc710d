"""Each figure, from the newest results of a store."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from eebench.errors import EEBenchError, unknown
from eebench.plots.heatmap import heatmap
from eebench.plots.layers import histograms, lens
from eebench.plots.pareto import pareto, with_data
from eebench.plots.points import Point, X, Y, curves, left_out, no_skill_end, points
from eebench.plots.style import Chart, policy_series
from eebench.ranking.board import RankBy
from eebench.ranking.rank import KIND_ORDER, rank
from eebench.ranking.skill import by_evaluation
from eebench.records.results import KvMode, StoredResult
from eebench.records.store import Store

MOST_HISTOGRAMS = 48
"""Settings in one figure."""

FIDELITY = 0.9
"""Of a policy the setting is shown that saves most layers at this fidelity, unless one is named."""


Pair = tuple[str, str]
"""(model, task)"""


@dataclass(frozen=True)
class Chosen:
    """What a figure is of."""

    models: Collection[str] = ()
    tasks: Collection[str] = ()
    policies: Collection[str] = ()
    kv_mode: KvMode = "full"
    metric: str | None = None
    x: X = "layers"
    y: Y = "fidelity"
    per_task: bool = False

    @property
    def by(self) -> RankBy:
        """The axes of the EE-score that go with x and y."""
        if self.y == "quality" and self.x == "compute":
            raise EEBenchError("there is no EE-score by compute and quality: leave --x or --y out.")
        by = "quality" if self.y == "quality" else self.x
        return next(axes for axes in get_args(RankBy) if axes == by)


def draw_pareto(store: Store, chosen: Chosen) -> Chart:
    """Settings on the plane of saving against what is kept, means over the tasks of one model."""
    results = _of_one_model(store, chosen)
    kinds = {stored.result.policy: stored.result.kind for stored in _named(results, chosen.policies)}
    shown = [stored for stored in results if stored.result.policy in kinds]
    chart = pareto(chosen.x, chosen.y, policy_series(kinds), width=520, columns=6)
    drawn = [point for point in points(results) if point["policy"] in kinds]
    lines = {policy: curve for policy, curve in curves(results, chosen.x, chosen.y).items() if policy in kinds}
    if not lines and not drawn:
        raise EEBenchError("nothing of this was measured on all the tasks there are: name some with --task.")
    if not lines and all(point[chosen.y] is None for point in drawn):
        raise EEBenchError("there is no quality to retain here: take --y fidelity, or tasks the model is better at.")
    title: dict[str, str | list[str]] = {"text": _title(results)}
    if said := list(_of_means(shown, drawn)):  # an empty one would leave a gap
        title["subtitle"] = said
    return with_data(chart, chosen.x, chosen.y, drawn, lines, no_skill_end(results)).properties(title=title)


def _of_means(shown: Sequence[StoredResult], drawn: Sequence[Point]) -> Iterator[str]:
    """What there is to know of points and curves that are means over tasks."""
    if len(by_evaluation(shown)) > 1:
        yield "points are means over the tasks; curves as well, at equal shares of their no-skill lines"
    if lacking := left_out(shown, drawn):
        yield f"settings without a point, since they were not measured on all these tasks: {lacking}"


def draw_histogram(store: Store, chosen: Chosen) -> Chart:
    """Where settings of one model stop, over all positions of its tasks, beside the oracle."""
    results = _of_one_model(store, chosen)
    counts = {setting: _summed(of_setting) for setting, of_setting in settings_in_order(results).items()}
    names = _settings_to_show(results, chosen.policies)
    if len(names) > MOST_HISTOGRAMS:
        raise EEBenchError(f"{len(names)} settings are too many for a figure: name at most {MOST_HISTOGRAMS} with -p.")
    reference = counts.get("oracle") if names != ["oracle"] else None
    chart = histograms({name: counts[name] for name in names if name != "oracle" or len(names) == 1}, reference)
    beside = "; the ticks are the oracle's" if reference is not None else ""
    return chart.properties(title=f"{_title(results)}{beside}")


def draw_lens(store: Store, chosen: Chosen) -> Chart:
    """How often each layer's top-1 is the full model's: per model the mean over its tasks, or a line per task."""
    if chosen.policies:
        raise EEBenchError("a lens figure is of models, whatever the policy: leave --policy out.")
    results = store.newest(chosen.models, chosen.tasks, chosen.kv_mode, chosen.metric).results
    curves = agreement(store, results)
    tasks: dict[str, list[str]] = {}
    for model, task in curves:
        tasks.setdefault(model, []).append(task)
    if not chosen.per_task and len(curves) > len(tasks):
        return _mean_lens(curves, tasks)
    named = {task if len(tasks) == 1 else f"{task}, {model}": shares for (model, task), shares in curves.items()}
    return lens(named, columns=2).properties(title=next(iter(tasks)) if len(tasks) == 1 else "")


def _mean_lens(curves: Mapping[Pair, Sequence[float]], tasks: Mapping[str, Sequence[str]]) -> Chart:
    """A line per model; each task counts the same, as in the ranking."""
    means = {model: _mean([curves[model, task] for task in some], model) for model, some in tasks.items()}
    if len(means) == 1:
        (model,) = means
        return lens(means).properties(title=f"{model}, mean over {len(tasks[model])} tasks")
    if len({tuple(some) for some in tasks.values()}) == 1:
        return lens(means, columns=2).properties(title=f"mean over {len(next(iter(tasks.values())))} tasks")
    counted = {f"{model}, {_tasks(len(tasks[model]))}": shares for model, shares in means.items()}
    return lens(counted, columns=2).properties(title="means over tasks, which are not the same for all models")


def _mean(curves: Sequence[Sequence[float]], model: str) -> list[float]:
    if len({len(shares) for shares in curves}) > 1:
        raise EEBenchError(f"{model} has not as many layers on every task: draw them apart with --per-task.")
    return [float(share) for share in np.mean(curves, axis=0)]


def _tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count} tasks"


def draw_heatmap(store: Store, chosen: Chosen) -> Chart:
    """EE-scores of policies on tasks, a table per model."""
    by = chosen.by
    results = store.newest(chosen.models, chosen.tasks, chosen.kv_mode, chosen.metric).results
    shown = {stored.result.policy for stored in _named(results, chosen.policies)}
    overall = [row.policy for row in rank(results, by).ranking if row.policy in shown]
    cells = [
        {"model": model, "task": task, "policy": row.policy, "score": getattr(row, f"ee_score_{by}")}
        for (model, task), of_pair in by_evaluation(results).items()
        for row in rank(of_pair, by).ranking
        if row.policy in shown
    ]
    if all(cell["score"] is None for cell in cells):
        raise EEBenchError(f"there are no EE-scores by {by} here: `eebench report` says why.")
    return heatmap(cells, overall, sorted({cell["task"] for cell in cells}))


FIGURES = {"pareto": draw_pareto, "histogram": draw_histogram, "lens": draw_lens, "heatmap": draw_heatmap}


def agreement(store: Store, results: Sequence[StoredResult]) -> dict[Pair, list[float]]:
    """(model, task) -> share of positions at which each layer's top-1 is the full model's. [layers]"""
    newest = {key: max(of_pair, key=lambda stored: stored.evaluation_id) for key, of_pair in _pairs(results).items()}
    curves = {}
    for key, stored in newest.items():
        documents = store.of_evaluation(stored.evaluation_id)
        agrees = np.asarray(documents["layer_agrees"], dtype=np.int64).sum(axis=0)
        total = int(np.asarray(documents["n_positions"], dtype=np.int64).sum())
        curves[key] = [float(share) for share in agrees / max(1, total)]
    return curves


# --- what is chosen ----------------------------------------------------------------------------------------------


def _pairs(results: Sequence[StoredResult]) -> Mapping[Pair, list[StoredResult]]:
    return dict(sorted(by_evaluation(results).items()))


def _of_one_model(store: Store, chosen: Chosen) -> list[StoredResult]:
    results = store.newest(chosen.models, chosen.tasks, chosen.kv_mode, chosen.metric).results
    models = sorted({stored.evaluation.model for stored in results})
    if len(models) > 1:
        raise EEBenchError(f"this figure is of one model, and there are {', '.join(models)}: name one with --model.")
    return results


def _named(results: Sequence[StoredResult], names: Collection[str]) -> list[StoredResult]:
    """The results of these policies or settings; all when none is named."""
    policies = {stored.result.policy for stored in results}
    settings = {stored.result.setting for stored in results}
    for name in names:
        if name not in policies | settings:
            known = ", ".join(sorted(policies, key=lambda policy: policy))
            raise unknown("policy", name, policies | settings, f"There are results of {known}.")
    return [
        stored for stored in results if not names or stored.result.policy in names or stored.result.setting in names
    ]


def settings_in_order(results: Sequence[StoredResult]) -> dict[str, list[StoredResult]]:
    """Results by setting: policies first, then controls and bounds, each by name and mean exit layer."""
    ordered = sorted(
        results,
        key=lambda stored: (
            KIND_ORDER[stored.result.kind],
            stored.result.policy,
            stored.result.summaries["all"].mean_exit_layer,
            stored.result.setting,
        ),
    )
    grouped: dict[str, list[StoredResult]] = {}
    for stored in ordered:
        grouped.setdefault(stored.result.setting, []).append(stored)
    return grouped


def _summed(of_setting: Sequence[StoredResult]) -> list[int]:
    return [sum(counts) for counts in zip(*(stored.result.exit_histogram for stored in of_setting), strict=True)]


def _settings_to_show(results: Sequence[StoredResult], names: Collection[str]) -> list[str]:
    """The settings that are named; where none is, of each policy that is ranked a telling one."""
    grouped = settings_in_order(_named(results, names))
    ranked = {stored.result.policy for stored in results if stored.result.kind == "policy"}
    if names or not ranked:
        return list(grouped)
    by_policy: dict[str, list[str]] = {}
    for setting, of_setting in grouped.items():
        if of_setting[0].result.policy in ranked:
            by_policy.setdefault(of_setting[0].result.policy, []).append(setting)
    return [telling(settings, grouped) for settings in by_policy.values()]


def telling(settings: Sequence[str], grouped: Mapping[str, Sequence[StoredResult]]) -> str:
    """Of one policy's settings, the one that saves most layers at `FIDELITY`, else the most faithful one."""

    def figures(setting: str) -> tuple[bool, float]:
        summaries = [stored.result.summaries["all"] for stored in grouped[setting]]
        fidelity = float(np.mean([summary.faithful for summary in summaries]))
        saved = float(np.mean([summary.layers_saved for summary in summaries]))
        return (True, saved) if fidelity >= FIDELITY else (False, fidelity)

    return max(settings, key=figures)


def _title(results: Sequence[StoredResult]) -> str:
    tasks = {stored.evaluation.task for stored in results}
    return f"{results[0].evaluation.model} on {next(iter(tasks)) if len(tasks) == 1 else f'{len(tasks)} tasks'}"
