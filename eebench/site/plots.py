"""What the plots of the pages are drawn from: specs made here by Altair, and data that the pages' script puts in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eebench.plots.layers import histogram, lens
from eebench.plots.pareto import pareto
from eebench.plots.points import PLANES, START, curves, left_out, no_skill_end, points
from eebench.plots.style import policy_series
from eebench.records.results import StoredResult
from eebench.site.material import Material

POINT = ("policy", "kind", "setting", *START, "exit")
"""What a point has, in the order of its numbers on the page."""

Spec = dict[str, Any]


def pareto_specs(material: Material) -> dict[str, dict[str, Spec]]:
    """What is saved -> what is kept -> the chart without its data; every policy looks the same on all pages."""
    look = policy_series({stored.result.policy: stored.result.kind for stored in material.results})
    specs: dict[str, dict[str, Spec]] = {}
    for x, y in PLANES:
        specs.setdefault(x, {})[y] = pareto(x, y, look).to_dict()
    return specs


def pareto_data(results: Sequence[StoredResult]) -> dict[str, Any]:
    """What one model's plots are drawn from.

    `points` and `coin`, the two ends of the no-skill line; `curves`, by what is saved, what is kept and policy; the
    `kinds` of policies; and how many settings have no point, `left_out`.
    """
    end, made = no_skill_end(results), points(results)
    return {
        "points": [[_rounded(point[name]) for name in POINT] for point in made],
        "curves": _curves(results),
        "kinds": {stored.result.policy: stored.result.kind for stored in results},
        "coin": [START, {name: _rounded(value) for name, value in end.items()}] if end else [],
        "left_out": left_out(results, made),
    }


def _curves(results: Sequence[StoredResult]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for x, y in PLANES:
        on_plane = curves(results, x, y)
        found.setdefault(x, {})[y] = {
            policy: [[_rounded(saved), _rounded(kept)] for saved, kept in curve] for policy, curve in on_plane.items()
        }
    return found


def all_pareto_data(material: Material) -> dict[str, dict[str, dict[str, Any]]]:
    """KV mode -> model -> task -> points; an empty task stands for the means over all."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for kv_mode, newest in material.newest.items():
        for model in sorted({stored.evaluation.model for stored in newest.results}):
            of_model = [stored for stored in newest.results if stored.evaluation.model == model]
            tasks = sorted({stored.evaluation.task for stored in of_model})
            by_task = {task: [s for s in of_model if s.evaluation.task == task] for task in tasks}
            views = {"": of_model, **by_task}
            found.setdefault(kv_mode, {})[model] = {task: pareto_data(some) for task, some in views.items()}
    return found


def _rounded(value: Any) -> Any:
    return round(value, 5) if isinstance(value, float) else value


# --- layers ------------------------------------------------------------------------------------------------------


def lens_spec(curves: Mapping[str, Sequence[float]]) -> Spec:
    """Agreement with the full model, layer by layer, with its data."""
    rounded = {name: [round(share, 5) for share in shares] for name, shares in curves.items()}
    spec: Spec = lens(rounded, "container").to_dict()
    return spec


def histogram_spec() -> Spec:
    """Exit layers of a setting, without data."""
    spec: Spec = histogram("container").to_dict()
    return spec


def histogram_data(results: Iterable[StoredResult]) -> dict[str, dict[str, list[int]]]:
    """Task -> setting -> positions that stop at each layer, of one model."""
    found: dict[str, dict[str, list[int]]] = {}
    for stored in sorted(results, key=lambda stored: (stored.evaluation.task, stored.result_id)):
        found.setdefault(stored.evaluation.task, {})[stored.result.setting] = list(stored.result.exit_histogram)
    return found
