"""A policy's page: its rule, its parameters, its scores and its settings."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

from eebench.plugins.registry import builtin_policies, source_hash
from eebench.policy import ExitPolicy
from eebench.ranking.board import RankingRow
from eebench.records.results import Evaluation, StoredResult
from eebench.reports.formats import MISSING
from eebench.site.boards import HEADERS, POLICY, Boards, at_99, picked, rank_cell, scores
from eebench.site.commands import command
from eebench.site.material import Material
from eebench.site.settings import settings_table
from eebench.site.slugs import model_page, task_page
from eebench.site.tables import Cell, Header, Row, Table, words
from eebench.spec import default_sweeps, parameters

_LAYERS = 32
"""Some default sweeps depend on the model's depth: this one stands for the example."""

_MOST_VALUES = 6

SCORE_HEADERS = (
    Header("model"),
    Header("task"),
    Header("rank", numeric=True, name="rank"),
    *HEADERS[POLICY + 1 :],
)
"""Those of a ranking, with the model and the task in the policy's place."""


def policy_context(name: str, material: Material, boards: Boards) -> dict[str, Any]:
    """What the page of a policy says."""
    results = [stored for stored in material.results if stored.result.policy == name]
    known = builtin_policies().get(name) if results[0].result.builtin else None
    return {
        "kind": results[0].result.kind,
        "doc": inspect.cleandoc(known.__doc__) if known and known.__doc__ else "",
        "facts": list(_facts(known, results)),
        "parameters": _parameters(known) if known else None,
        "scores": _scores(name, results, material, boards),
        "settings": list(_settings(name, results, material)),
    }


def _settings(name: str, results: Sequence[StoredResult], material: Material) -> Iterator[Table]:
    """A table per model."""
    for number, model in enumerate(sorted({stored.evaluation.model for stored in results}), start=1):
        some = [stored for stored in results if stored.evaluation.model == model]
        caption = f"Settings of {name} on {model}, over all documents"
        yield settings_table(f"settings-{number}", caption, some, material.runs)


def _facts(known: type[ExitPolicy] | None, results: Sequence[StoredResult]) -> Iterator[tuple[str, str]]:
    hashes = sorted({stored.result.policy_hash for stored in results})
    if known:
        yield "stops at layer k when", known.formula or "its file says"
        yield "source", known.source or "its file does not say"
        if source_hash(known)[1] not in hashes:
            yield "measured with", "an older version of its file than that of this EEBench"
    else:
        yield "defined in", "a file or a package of its own, not among EEBench's policies"
    yield "SHA-256 of the file", ", ".join(hashes)


def _parameters(policy: type[ExitPolicy]) -> Table:
    headers = [Header(label, sortable=False) for label in ("parameter", "what it is", "default", "default sweep")]
    sweeps = default_sweeps(policy, _LAYERS)
    rows = []
    for name in parameters(policy):
        field = policy.model_fields[name]
        default = MISSING if field.is_required() else _shown(field.default)
        cells = (name, field.description or "", default, _sweep(sweeps.get(name, ())))
        rows.append(Row([words(text) for text in cells]))
    return Table("parameters", f"Parameters; default sweeps on a model of {_LAYERS} layers", headers, rows)


def _sweep(values: Sequence[Any]) -> str:
    shown = [_shown(value) for value in values]
    if len(shown) > _MOST_VALUES:
        return f"{shown[0]}, {shown[1]}, … {shown[-1]} ({len(shown)} values)"
    return ", ".join(shown)


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}"


def _scores(name: str, results: Sequence[StoredResult], material: Material, boards: Boards) -> Table:
    """A row for each (model, task) under each KV mode."""
    rows = []
    for (kv_mode, model, task), evaluation in material.evaluations().items():
        some = [s for s in results if _same(s.evaluation, evaluation)]
        view = boards.find(kv_mode, model, task)
        found = next((row for row in view.boards["layers"].ranking if row.policy == name), None) if view else None
        if some and found:
            rows.append(_score(found, evaluation, command(some, material.runs)))
    return Table("scores", f"EE-scores of {name} on each model and task", SCORE_HEADERS, rows, named=1)


def _score(row: RankingRow, evaluation: Evaluation, reproduce: str) -> Row:
    mode = "" if evaluation.kv_mode == "full" else f"KV mode {evaluation.kv_mode}"
    cells = [
        words(evaluation.model, href=model_page(evaluation.model), note=mode),
        words(evaluation.task, href=task_page(evaluation.task), note=picked(row)),
        rank_cell(row),
        *scores(row),
        *at_99(row),
        Cell("", command=reproduce),
    ]
    return Row(cells, row.kind)


def _same(one: Evaluation, other: Evaluation) -> bool:
    return (one.kv_mode, one.model, one.task) == (other.kv_mode, other.model, other.task)
