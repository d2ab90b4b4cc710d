"""The page of KV modes: each setting that was measured under several, with what a mode changes against `full`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from eebench.records.results import KV_MODES, KvMode, StoredResult
from eebench.reports.by_kv_mode import FIGURES, MEANINGS, TO_FULL, averages, by_setting, kv_mode_records
from eebench.reports.formats import Record, percent, quality, signed
from eebench.site.commands import command
from eebench.site.material import Material
from eebench.site.slugs import model_page, policy_page, task_page
from eebench.site.tables import Cell, Header, Row, Table, number, words

SHOWN: Mapping[str, Callable[[float | None], str]] = {"quality": quality, "fidelity": percent}
"""Figures that stand side by side, and how each is written."""

Place = tuple[str, KvMode, bool]
"""A column: the figure, the mode, and whether it is the difference to `full`."""


def kv_modes_context(material: Material) -> dict[str, Any]:
    """What the page of KV modes says."""
    records = kv_mode_records(material.by_mode)
    modes = [mode for mode in KV_MODES if any(record["kv_mode"] == mode for record in records)]
    return {
        "meanings": [(mode, MEANINGS[mode]) for mode in modes],
        "table": _table(material, list(_places(records, modes))),
        "notes": [*averages(records), TO_FULL, FIGURES],
    }


def _places(records: Sequence[Record], modes: Sequence[KvMode]) -> Iterator[Place]:
    """The columns: each figure under every mode, then the differences that there are."""
    for figure in SHOWN:
        yield from ((figure, mode, False) for mode in modes)
        compared = {record["kv_mode"] for record in records if record[f"{figure}_to_full"] is not None}
        yield from ((figure, mode, True) for mode in modes if mode in compared)


def _table(material: Material, places: Sequence[Place]) -> Table:
    headers = [
        *(Header(name) for name in ("setting", "model", "task")),
        *(Header(mode, f"{figure} to full" if to_full else figure, numeric=True) for figure, mode, to_full in places),
        Header("repeat", sortable=False),
    ]
    paged = {stored.result.policy for stored in material.results}
    rows = [_row(of_setting, material, places, paged) for of_setting in by_setting(material.by_mode)]
    return Table("kv-modes", "The same settings on the same documents under several KV modes", headers, rows)


def _row(
    of_setting: Sequence[StoredResult], material: Material, places: Sequence[Place], paged: Collection[str]
) -> Row:
    """A setting on a (model, task).

    Args:
        paged: policies that have a page: one that was measured on older documents alone has none.
    """
    evaluation, result = of_setting[0].evaluation, of_setting[0].result
    records = {record["kv_mode"]: record for record in kv_mode_records(of_setting)}
    cells = [
        words(
            result.setting.replace(",", ", "),
            href=policy_page(result.policy) if result.policy in paged else "",
            kind="" if result.kind == "policy" else result.kind,
        ),
        words(evaluation.model, href=model_page(evaluation.model)),
        words(evaluation.task, href=task_page(evaluation.task), note=evaluation.metric.removesuffix(",none")),
        *(_cell(records.get(mode), figure, to_full) for figure, mode, to_full in places),
        Cell("", command=command(of_setting, material.runs)),
    ]
    return Row(cells, result.kind)


def _cell(record: Record | None, figure: str, to_full: bool) -> Cell:
    value = record[f"{figure}_to_full" if to_full else figure] if record else None
    shown = SHOWN[figure](value)
    return number(value, signed(shown) if to_full else shown)
