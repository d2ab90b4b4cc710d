"""A task's page: how it was measured, how policies rank on it, and what the layers of each model know of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from eebench.records.results import Evaluation, KvMode
from eebench.reports.formats import quality
from eebench.site.about_model import lens_table, lens_words
from eebench.site.boards import Boards
from eebench.site.material import Material
from eebench.site.plots import POINT, lens_spec, pareto_data
from eebench.site.slugs import model_page
from eebench.site.tables import Cell, Header, Row, Table, number, words


def task_context(name: str, material: Material, boards: Boards, specs: dict[str, Any]) -> dict[str, Any]:
    """What the page of a task says."""
    evaluations = [e for (_mode, _model, task), e in material.evaluations().items() if task == name]
    return {
        "facts": list(_facts(evaluations[-1])),
        "models": _models(name, material),
        "modes": [mode for kv_mode in material.kv_modes for mode in _modes(name, kv_mode, material, boards)],
        "specs": specs,
    }


def _facts(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    yield "version", evaluation.task_version
    yield "metric", evaluation.metric.removesuffix(",none")
    yield "better is", "higher" if evaluation.metric_direction > 0 else "lower"
    yield "examples before each question", str(evaluation.num_fewshot)
    yield "chat template", "yes" if evaluation.chat_template else "no"
    yield "hash of documents and prompts", evaluation.documents_hash


def _models(name: str, material: Material) -> Table:
    """Each model on the task, with the full model's quality."""
    headers = (
        Header("model"),
        Header("full model", "quality", numeric=True),
        Header("chance", "quality", numeric=True),
        Header("informative"),
        Header("documents", numeric=True),
        Header("positions", numeric=True),
    )
    full = {
        (stored.evaluation.kv_mode, stored.evaluation.model): stored.result.quality_full
        for stored in material.results
        if stored.evaluation.task == name
    }
    rows = [
        Row(_model(evaluation, full.get((kv_mode, model))))
        for (kv_mode, model, task), evaluation in material.evaluations().items()
        if task == name
    ]
    return Table("models", f"Models that were measured on {name}", headers, rows)


def _model(evaluation: Evaluation, full: float | None) -> list[Cell]:
    mode = "" if evaluation.kv_mode == "full" else f"KV mode {evaluation.kv_mode}"
    return [
        words(evaluation.model, href=model_page(evaluation.model), note=mode),
        number(full, quality(full)),
        number(evaluation.chance, quality(evaluation.chance)),
        words("yes" if evaluation.informative else "no", note=evaluation.informative_note),
        number(evaluation.n_docs, str(evaluation.n_docs)),
        number(evaluation.n_positions, str(evaluation.n_positions)),
    ]


def _modes(name: str, kv_mode: KvMode, material: Material, boards: Boards) -> Iterator[dict[str, Any]]:
    """What there is under a KV mode: nothing where nothing was measured."""
    view = boards.find(kv_mode, task=name)
    results = [stored for stored in material.newest[kv_mode].results if stored.evaluation.task == name]
    if not view or not results:
        return
    models = sorted({stored.evaluation.model for stored in results})
    curves = {model: shares for (model, task), shares in material.agreement[kv_mode].items() if task == name}
    figures = [
        {"title": f"{model} on {name}", **pareto_data([s for s in results if s.evaluation.model == model])}
        for model in models
    ]
    yield {
        "kv_mode": kv_mode,
        "view": view,
        "table": view.table(id=f"ranking-{kv_mode}"),
        "pareto": {"columns": POINT, "figures": figures},
        "lens": lens_spec(curves),
        "lens_table": lens_table(f"layers-{kv_mode}", curves),
        "lens_words": lens_words(curves),
    }
