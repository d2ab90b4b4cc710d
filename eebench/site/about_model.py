"""A model's page: what it is, what a read of its head costs, what its layers already know, and where settings stop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from eebench.models.catalogue import catalogue
from eebench.plots.figures import settings_in_order, telling
from eebench.records.results import Evaluation, KvMode, StoredResult
from eebench.reports.formats import decimal, percent, quality
from eebench.site.boards import Boards
from eebench.site.material import Material
from eebench.site.plots import POINT, histogram_data, histogram_spec, lens_spec, pareto_data
from eebench.site.slugs import task_page
from eebench.site.tables import Header, Row, Table, number, share, words
from eebench.site.times import timing_table

MOST_LINES = 8
"""In one plot of layers."""


def model_context(name: str, material: Material, boards: Boards, specs: dict[str, Any]) -> dict[str, Any]:
    """What the page of a model says."""
    evaluations = [e for (_mode, model, _task), e in material.evaluations().items() if model == name]
    timings = [stored for stored in material.timings if stored.timing.model == name]
    return {
        "facts": list(_facts(evaluations[-1])),
        "cost": _cost(evaluations[-1]),
        "tasks": _tasks(name, evaluations),
        "modes": [mode for kv_mode in material.kv_modes for mode in _modes(name, kv_mode, material, boards)],
        "specs": specs,
        "timings": timing_table(timings) if timings else None,
    }


def _facts(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    entry = catalogue().get(evaluation.model)
    yield "resolves to", evaluation.model_id
    yield "revision", evaluation.revision
    yield "dtype", evaluation.dtype
    yield "layers, L", str(evaluation.num_layers)
    yield "a read of the head costs, r", f"{evaluation.cost['head_to_layer']:.3g} layers"
    yield "break-even layer, (L + r) / (1 + r)", decimal(evaluation.cost["break_even_layer"])
    if entry:
        yield "parameters", entry.parameters
        yield "licence", entry.licence


def _cost(evaluation: Evaluation) -> str:
    return (
        f"A policy that reads the head at every layer saves compute only if it stops before layer "
        f"{decimal(evaluation.cost['break_even_layer'])} of {evaluation.num_layers} on average."
    )


def _tasks(name: str, evaluations: Sequence[Evaluation]) -> Table:
    headers = (
        Header("task"),
        Header("metric"),
        Header("chance", numeric=True),
        Header("informative"),
        Header("documents", numeric=True),
        Header("positions", numeric=True),
    )
    rows = []
    for evaluation in evaluations:
        mode = "" if evaluation.kv_mode == "full" else f"KV mode {evaluation.kv_mode}"
        cells = (
            words(evaluation.task, href=task_page(evaluation.task), note=mode),
            words(evaluation.metric.removesuffix(",none")),
            number(evaluation.chance, quality(evaluation.chance)),
            words("yes" if evaluation.informative else "no", note=evaluation.informative_note),
            number(evaluation.n_docs, str(evaluation.n_docs)),
            number(evaluation.n_positions, str(evaluation.n_positions)),
        )
        rows.append(Row(cells))
    return Table("tasks", f"Tasks that {name} was measured on", headers, rows)


# --- under each KV mode ------------------------------------------------------------------------------------------


def _modes(name: str, kv_mode: KvMode, material: Material, boards: Boards) -> Iterator[dict[str, Any]]:
    """What there is under a KV mode: nothing where nothing was measured."""
    view = boards.find(kv_mode, name)
    results = [stored for stored in material.newest[kv_mode].results if stored.evaluation.model == name]
    if not view or not results:
        return
    curves = {task: shares for (model, task), shares in material.agreement[kv_mode].items() if model == name}
    drawn = _to_draw(curves)
    yield {
        "kv_mode": kv_mode,
        "view": view,
        "table": view.table(id=f"ranking-{kv_mode}"),
        "pareto": {"columns": POINT, "figures": [{"title": view.scope, **pareto_data(results)}]},
        "lens": lens_spec(drawn),
        "lens_table": lens_table(f"layers-{kv_mode}", {**drawn, **curves}),
        "lens_words": lens_words(drawn),
        "histogram": {"spec": histogram_spec(), "counts": histogram_data(results)},
        "shown_first": _first_shown(results),
        "settings": list(settings_in_order(results)),
    }


def _to_draw(curves: Mapping[str, Sequence[float]]) -> Mapping[str, Sequence[float]]:
    """A line per task; where those are too many to tell apart, their mean, with each task's in the table."""
    if len(curves) <= MOST_LINES or len({len(shares) for shares in curves.values()}) > 1:
        return curves
    return {f"mean over {len(curves)} tasks": [fmean(shares) for shares in zip(*curves.values(), strict=True)]}


def _first_shown(results: Sequence[StoredResult]) -> str:
    """The setting whose exit layers are shown first: a telling one of the first policy that is ranked."""
    grouped = settings_in_order(results)
    policy = next(iter(grouped.values()))[0].result.policy
    return telling([name for name, some in grouped.items() if some[0].result.policy == policy], grouped)


def lens_table(id: str, curves: Mapping[str, Sequence[float]]) -> Table:
    """The numbers of the agreement curves, a row per layer."""
    depth = max(map(len, curves.values()))
    headers = [Header("layer", numeric=True), *(Header(name, numeric=True) for name in curves)]
    rows = [
        Row(
            [
                number(layer, str(layer)),
                *(share(shares[layer - 1] if layer <= len(shares) else None) for shares in curves.values()),
            ]
        )
        for layer in range(1, depth + 1)
    ]
    return Table(id, "Positions at which each layer's top-1 is the full model's", headers, rows)


def lens_words(curves: Mapping[str, Sequence[float]]) -> str:
    """The curves in words, for who does not see them: what a quarter, half and three quarters of the depth agree on."""
    said = []
    for name, shares in curves.items():
        at = [max(1, round(len(shares) * part)) for part in (0.25, 0.5, 0.75)]
        said.append(f"{name}: {', '.join(f'{percent(shares[layer - 1])} at layer {layer}' for layer in at)}")
    return f"Line chart of agreement with the full model by layer. {'; '.join(said)}; 100% at the last layer."
