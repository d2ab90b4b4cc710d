"""Tables of settings: what each saves and keeps, over all documents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from eebench.records.results import KV_MODES, StoredResult
from eebench.records.store import Run
from eebench.reports.formats import decimal, quality
from eebench.site.boards import parameters
from eebench.site.commands import command
from eebench.site.slugs import run_page, task_page
from eebench.site.tables import Cell, Header, Row, Table, number, share, words

Column = tuple[Header, Callable[[StoredResult], Cell]]


def _quality(stored: StoredResult) -> Cell:
    value = stored.result.summaries["all"].quality
    metric = stored.evaluation.metric.removesuffix(",none")
    return number(value, quality(value), note=metric)


SETTING = 1
"""The column that names a row."""

COLUMNS: Sequence[Column] = (
    (Header("task"), lambda s: words(s.evaluation.task, href=task_page(s.evaluation.task), note=_mode(s))),
    (Header("setting"), lambda s: words(parameters(s.result.setting))),
    (Header("quality", numeric=True), _quality),
    (Header("retention", "kept", numeric=True), lambda s: share(s.result.summaries["all"].retention)),
    (Header("fidelity", "kept", numeric=True), lambda s: share(s.result.summaries["all"].faithful)),
    (Header("layers", "saved", numeric=True), lambda s: share(s.result.summaries["all"].layers_saved)),
    (Header("compute", "saved", numeric=True), lambda s: share(s.result.summaries["all"].compute_saved)),
    (Header("exit", "mean", numeric=True), lambda s: _mean(s.result.summaries["all"].mean_exit_layer)),
    (Header("reads", "mean", numeric=True), lambda s: _mean(s.result.summaries["all"].lens_reads)),
    (Header("run", numeric=True), lambda s: number(s.run_id, str(s.run_id), href=run_page(s.run_id))),
)


def settings_table(id: str, caption: str, results: Sequence[StoredResult], runs: Mapping[int, Run]) -> Table:
    """A row per setting of one policy on one model."""
    headers = [*(header for header, _cell in COLUMNS), Header("repeat", sortable=False)]
    rows = [
        Row([*(cell(stored) for _header, cell in COLUMNS), Cell("", command=command([stored], runs))])
        for stored in sorted(results, key=_order)
    ]
    return Table(id, caption, headers, rows, named=SETTING)


def _order(stored: StoredResult) -> tuple[object, ...]:
    evaluation, result = stored.evaluation, stored.result
    mode = KV_MODES.index(evaluation.kv_mode)
    return (evaluation.task, mode, result.summaries["all"].layers_saved, result.setting)


def _mean(value: float) -> Cell:
    return number(value, decimal(value))


def _mode(stored: StoredResult) -> str:
    mode = stored.evaluation.kv_mode
    return "" if mode == "full" else f"KV mode {mode}"
