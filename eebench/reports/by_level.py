"""What each policy saves where 99, 95 or 90% of the full model is to be kept: of its predictions, or of its quality.

The setting is picked on the calibration documents of each (model, task), and its figures are those of the test
documents; means over (model, task).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from eebench.ranking.board import Board
from eebench.ranking.picking import KEEPING, LEVELS, Keeping, Picked, at_levels
from eebench.ranking.skill import by_evaluation
from eebench.records.results import StoredResult
from eebench.reports.formats import Column, Record, Sheet, percent


def level_records(board: Board) -> list[Record]:
    """A record per policy, in the order of the ranking."""
    return [
        {"rank": row.rank, "policy": row.policy, "kind": row.kind, **_documents(own), **_figures(own)}
        for row in board.ranking
        if (own := _of(row.policy, board))
    ]


def _documents(results: Sequence[StoredResult]) -> dict[str, int]:
    """How many (model, task) the figures are means over, and how many documents these have."""
    evaluations = [settings[0].evaluation for settings in by_evaluation(results).values()]
    return {"n_pairs": len(evaluations), "n_docs": sum(evaluation.n_docs for evaluation in evaluations)}


def _of(policy: str, board: Board) -> list[StoredResult]:
    return [stored for stored in board.results if stored.result.policy == policy]


def _figures(results: Sequence[StoredResult]) -> dict[str, float | None]:
    """Layers and compute saved, and what is kept, at every level; None where nothing can be picked."""
    picked: dict[tuple[Keeping, float], list[Picked]] = defaultdict(list)
    for settings in by_evaluation(results).values():
        for keeping, level, choice in at_levels(settings):
            picked[keeping, level].append(choice)
    figures: dict[str, float | None] = {}
    for keeping in KEEPING:
        for level in LEVELS:
            choices = picked[keeping, level]
            kept = [one.test.faithful if keeping == "fidelity" else one.test.retention for one in choices]
            figures[_name("layers_saved", keeping, level)] = _mean([one.test.layers_saved for one in choices])
            figures[_name("compute_saved", keeping, level)] = _mean([one.test.compute_saved for one in choices])
            figures[_name("kept", keeping, level)] = _mean([one for one in kept if one is not None])
    return figures


def _name(figure: str, keeping: Keeping, level: float) -> str:
    return f"{figure}_{keeping}_{round(100 * level)}"


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _columns(figure: str, keeping: Keeping) -> list[Column]:
    """What is kept stands in the data only."""
    group = f"{figure.partition('_')[0]}/{keeping}"
    return [Column(f"{level:.0%}", group, _share(_name(figure, keeping, level))) for level in LEVELS]


def _share(name: str) -> Callable[[Record], str]:
    return lambda record: percent(record[name])


_POLICY = Column("policy", "", lambda r: r["policy"], is_text=True)
_LAYERS, _COMPUTE = (
    [column for keeping in KEEPING for column in _columns(figure, keeping)]
    for figure in ("layers_saved", "compute_saved")
)

WIDE = 110
"""Characters that the table takes with compute saved in it."""

LEGEND = (
    "Layers and compute saved by the setting that saves most layers at this level on calibration documents, as "
    "measured on test documents; where none does, the full model is taken, which saves nothing. Means over models and "
    "tasks.",
    "fidelity: share of positions at which the exit layer's top-1 is the full model's; retention: quality above "
    "chance, as a share of the full model's, on tasks on which the full model is better than chance.",
    "What is kept on test documents may be less than what was asked for on the others: --format json has it.",
)


def level_sheet(records: Sequence[Record], width: int = WIDE) -> Sheet:
    """The table with what it means; compute saved is left out of one that is narrow."""
    if width >= WIDE:
        return Sheet((_POLICY, *_LAYERS, *_COMPUTE), records, LEGEND)
    return Sheet((_POLICY, *_LAYERS), records, (*LEGEND, "No room here for compute saved: --format markdown has it."))
