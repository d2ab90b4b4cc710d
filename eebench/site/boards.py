"""Rankings of everything a reader may pick: each KV mode, all models or one, all tasks or one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, get_args

from eebench.ranking.board import Board, Interval, RankBy, RankingRow
from eebench.ranking.rank import rank
from eebench.records.results import KvMode, StoredResult
from eebench.reports.formats import MISSING, decimal
from eebench.site.commands import command
from eebench.site.material import Material
from eebench.site.slugs import policy_page
from eebench.site.tables import Cell, Header, Row, Table, number, share, words
from eebench.submission.checks import Proof

RANK_BY: tuple[RankBy, ...] = get_args(RankBy)

BY = {"layers": "layers saved", "compute": "compute saved", "quality": "retained quality"}

HEADERS = (
    Header("rank", numeric=True, name="rank"),
    Header("policy", name="policy"),
    Header("layers", "EE-score by", numeric=True, name="layers"),
    Header("compute", "EE-score by", numeric=True, name="compute"),
    Header("quality", "EE-score by", numeric=True, name="quality"),
    Header("layers", "saved at 99%", numeric=True, name="layers_saved"),
    Header("compute", "saved at 99%", numeric=True, name="compute_saved"),
    Header("of 8", "saved at 99%", numeric=True, name="batch_8"),
    Header("of 32", "saved at 99%", numeric=True, name="batch_32"),
    Header("fidelity", "kept at 99%", numeric=True, name="fidelity"),
    Header("retention", "kept at 99%", numeric=True, name="retention"),
    Header("repeat", sortable=False),
)
CHECKED = Header("checked", name="checked")

_FAR = 1000.0
"""An end of an interval beyond it is only said to be: the oracle has next to no skill there."""

RANK, POLICY = 0, 1
"""Columns."""


@dataclass(frozen=True)
class View:
    """The rankings of what a reader picked; an empty name stands for all models or tasks."""

    kv_mode: KvMode
    model: str
    task: str
    boards: Mapping[RankBy, Board]
    commands: Mapping[str, str]
    left_out: Sequence[str]
    proofs: Mapping[str, Proof]

    def caption(self, by: RankBy) -> str:
        """What is ranked, and by what."""
        ranked = any(row.rank is not None for row in self.boards[by].ranking)
        mode = "" if self.kv_mode == "full" else f", KV mode {self.kv_mode}"
        return f"Exit policies{f' ranked by {BY[by]}' if ranked else ''}: {self.scope}{mode}"

    @property
    def scope(self) -> str:
        """The models and tasks, by name or by number, and how many documents."""
        return self.boards["layers"].scope

    def notes(self, by: RankBy) -> list[str]:
        """What was left out, and how far the ranking can be leant on."""
        return [*self.boards[by].notes, *self.left_out]

    def table(self, by: RankBy = "layers", id: str = "ranking") -> Table:
        """The ranking as a table."""
        rows = [self._row(row) for row in self.boards[by].ranking]
        headers = [*HEADERS[:-1], CHECKED, HEADERS[-1]] if self.proofs else HEADERS
        return Table(id, self.caption(by), headers, rows, named=POLICY, sorted_by=RANK, notes=self.notes(by))

    def compact(self) -> dict[str, Any]:
        """The view for the page's script: each policy's cells once, and an order for each way to rank."""
        rows = {row.policy: self._row(row) for row in self.boards["layers"].ranking}
        return {
            "rows": {policy: {"kind": row.kind, "cells": _compact(row)} for policy, row in rows.items()},
            "by": {by: self._order(by) for by in RANK_BY},
        }

    def _order(self, by: RankBy) -> dict[str, Any]:
        return {
            "order": [[row.policy, row.rank] for row in self.boards[by].ranking],
            "caption": self.caption(by),
            "summary": self.boards[by].summary,
            "notes": self.notes(by),
        }

    def _row(self, row: RankingRow) -> Row:
        cells = [
            rank_cell(row),
            Cell(row.policy, sort=row.policy.lower(), href=policy_page(row.policy), note=picked(row)),
            *scores(row),
            *at_99(row),
            *([words(self.proofs[row.policy])] if self.proofs else []),
            Cell("", command=self.commands[row.policy]),
        ]
        return Row(cells, row.kind)


def _compact(row: Row) -> list[dict[str, Any]]:
    return [cell.compact() for cell in row.cells]


def rank_cell(row: RankingRow) -> Cell:
    """The rank; controls and bounds say what they are."""
    if row.kind != "policy":
        return Cell("", kind=row.kind)
    return number(row.rank, str(row.rank or MISSING))


def scores(row: RankingRow) -> list[Cell]:
    """The EE-scores, with their intervals."""
    return [
        _score(row.ee_score_layers, row.interval_layers),
        _score(row.ee_score_compute, row.interval_compute),
        _score(row.ee_score_quality, row.interval_quality),
    ]


def _score(score: float | None, found: Interval | None) -> Cell:
    return number(score, decimal(score), note="" if score is None else interval(found))


def at_99(row: RankingRow) -> list[Cell]:
    """The figures of the setting picked at a fidelity of 99%."""
    saved = (row.layers_saved_99, row.compute_saved_99, row.layers_saved_99_batch_8, row.layers_saved_99_batch_32)
    return [share(figure) for figure in (*saved, row.fidelity_99, row.retention_99)]


def picked(row: RankingRow) -> str:
    """The setting picked at a fidelity of 99%, where there is one, without the policy's name."""
    if row.setting_99 is None or row.kind != "policy":
        return ""
    return "at 99%: the full model" if row.setting_99 == "full" else f"at 99%: {parameters(row.setting_99)}"


def parameters(setting: str) -> str:
    """A setting without its policy's name, with room to break between parameters."""
    return setting.partition(":")[2].replace(",", ", ") or setting


def interval(found: Interval | None) -> str:
    """From and to, where there is an interval and it is more than a point."""
    if found is None or decimal(found[0]) == decimal(found[1]):
        return ""
    return " to ".join(_end(end) for end in found)


def _end(end: float) -> str:
    return decimal(end) if abs(end) < _FAR else f"{'<' if end < 0 else '>'} {math.copysign(_FAR, end):.0f}"


# --- all of them -------------------------------------------------------------------------------------------------


class Boards:
    """All views of a site, each ranked once. Where there is one model or task only, all of them are that one."""

    def __init__(self, material: Material) -> None:
        self._single_model, self._single_task = len(material.models) == 1, len(material.tasks) == 1
        models = [""] if self._single_model else ["", *material.models]
        tasks = [""] if self._single_task else ["", *material.tasks]
        self._views: dict[tuple[KvMode, str, str], View] = {}
        for kv_mode, model, task in product(material.kv_modes, models, tasks):
            chosen = [
                stored
                for stored in material.newest[kv_mode].results
                if _picked(model, stored.evaluation.model) and _picked(task, stored.evaluation.task)
            ]
            if chosen:
                self._views[kv_mode, model, task] = _view(material, kv_mode, model, task, chosen)

    def find(self, kv_mode: KvMode, model: str = "", task: str = "") -> View | None:
        """The view of a KV mode, model and task, if anything was measured there."""
        return self._views.get((kv_mode, "" if self._single_model else model, "" if self._single_task else task))

    def compact(self) -> dict[str, dict[str, dict[str, Any]]]:
        """KV mode -> model -> task -> view, for the page's script."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for (kv_mode, model, task), view in self._views.items():
            found.setdefault(kv_mode, {}).setdefault(model, {})[task] = view.compact()
        return found


def _picked(wanted: str, name: str) -> bool:
    return wanted in ("", name)


def _view(material: Material, kv_mode: KvMode, model: str, task: str, chosen: Sequence[StoredResult]) -> View:
    by_policy: dict[str, list[StoredResult]] = {}
    for stored in chosen:
        by_policy.setdefault(stored.result.policy, []).append(stored)
    return View(
        kv_mode,
        model,
        task,
        {by: rank(chosen, by, material.documents) for by in RANK_BY},
        {policy: command(results, material.runs) for policy, results in by_policy.items()},
        material.left_out(kv_mode, model, task),
        material.checks.by_policy(chosen) if material.checks else {},
    )
