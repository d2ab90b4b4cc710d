"""The leaderboard by model or by family of models: how early each could stop, and what the best policy gets of that."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eebench.models.catalogue import catalogue
from eebench.ranking.drawn_figures import Documents
from eebench.ranking.eas import eas
from eebench.ranking.picking import pick
from eebench.ranking.rank import rank
from eebench.ranking.skill import by_evaluation
from eebench.records.results import Columns, StoredResult
from eebench.reports.formats import Column, Record, Sheet, decimal, percent
from eebench.reports.text import interval_text

OTHER = "other"
"""The family of models that the catalogue does not know."""


def model_records(results: Sequence[StoredResult], documents: Documents) -> list[Record]:
    """A record per model, those that an oracle saves most on first."""
    grouped: dict[str, list[StoredResult]] = {}
    for stored in results:
        grouped.setdefault(stored.evaluation.model, []).append(stored)
    records = [_record(model, own, documents) for model, own in grouped.items()]
    return sorted(records, key=lambda record: -(record["oracle_saves"] or 0.0))


def family_records(results: Sequence[StoredResult], documents: Documents) -> list[Record]:
    """A record per family of models of the catalogue."""
    grouped: dict[str, list[StoredResult]] = {}
    for stored in results:
        grouped.setdefault(family_of(stored.evaluation.model), []).append(stored)
    records = [
        {**_record(family, own, documents), "n_models": len({stored.evaluation.model for stored in own})}
        for family, own in grouped.items()
    ]
    return sorted(records, key=lambda record: -(record["oracle_saves"] or 0.0))


def family_of(model: str) -> str:
    """The family of a model, whichever adapter is on it."""
    entry = catalogue().get(model.partition("+")[0].partition("@")[0])
    return entry.family if entry else OTHER


def _record(name: str, results: Sequence[StoredResult], documents: Documents) -> Record:
    board = rank(results, documents=documents)
    best = next((row for row in board.ranking if row.rank is not None), None)
    evaluations = [settings[0].evaluation for settings in by_evaluation(results).values()]
    cost = evaluations[0].cost
    return {
        "name": name,
        "num_layers": evaluations[0].num_layers,
        "head_to_layer": cost["head_to_layer"],
        "break_even_layer": cost["break_even_layer"],
        "eas": _eas(results, documents),
        "oracle_saves": _saves(results, "oracle"),
        "oracle_stable_saves": _saves(results, "oracle-stable"),
        "best_policy": best.policy if best else None,
        "best_ee_score": best.ee_score_layers if best else None,
        "best_interval": best.interval_layers if best else None,
        "n_tasks": len({evaluation.task for evaluation in evaluations}),
        "n_docs": sum(evaluation.n_docs for evaluation in evaluations),
        "n_models": 1,
    }


def _saves(results: Sequence[StoredResult], bound: str) -> float | None:
    grouped = by_evaluation(stored for stored in results if stored.result.policy == bound)
    saved = [choice.test.layers_saved for settings in grouped.values() if (choice := pick(settings))]
    return sum(saved) / len(saved) if saved else None


def _eas(results: Sequence[StoredResult], documents: Documents) -> float | None:
    """EAS, mean over (model, task): of how often each layer's top-1 is the full model's."""
    ids = {key: settings[0].evaluation_id for key, settings in by_evaluation(results).items()}
    scores = [_eas_of(documents.of_evaluation(evaluation_id)) for evaluation_id in ids.values()]
    return float(np.mean(scores)) if scores else None


def _eas_of(about: Columns) -> float:
    agrees = np.asarray(about["layer_agrees"], dtype=np.float64)
    return eas(agrees.sum(axis=0) / float(np.sum(about["n_positions"])))


_COMMON = (
    Column("layers", "", lambda r: str(r["num_layers"])),
    Column("r", "", lambda r: decimal(r["head_to_layer"])),
    Column("e*", "", lambda r: decimal(r["break_even_layer"])),
    Column("EAS", "", lambda r: decimal(r["eas"], 3)),
    Column("oracle", "could save", lambda r: percent(r["oracle_saves"])),
    Column("stable", "could save", lambda r: percent(r["oracle_stable_saves"])),
    Column("policy", "best by layers", lambda r: r["best_policy"] or "–", is_text=True),
    Column("EE-score", "best by layers", lambda r: decimal(r["best_ee_score"])),
    Column("95%", "best by layers", lambda r: interval_text(r["best_interval"])),
    Column("tasks", "", lambda r: str(r["n_tasks"])),
    Column("documents", "", lambda r: str(r["n_docs"]), spared=True),
)

MODEL_COLUMNS = (Column("model", "", lambda r: r["name"], is_text=True), *_COMMON)

FAMILY_COLUMNS = (
    Column("family", "", lambda r: r["name"], is_text=True),
    Column("models", "", lambda r: str(r["n_models"])),
    *_COMMON[3:],
)

LEGEND = (
    "r: a read of the head in layers; e*: a policy that reads it at every layer must stop below it to save compute.",
    "EAS: mean over l < L of S_l^a · w_l^(1-a), w_l = (L-l)/L, a = 0.5 (Wei et al., arXiv 2603.23701); S_l is here how "
    "often layer l's top-1 is the full model's.",
    "could save: layers that an oracle saves without changing a prediction; stable: if it waits until none changes.",
)


def sheet(records: Sequence[Record], by_family: bool) -> Sheet:
    """The table with what it means."""
    return Sheet(FAMILY_COLUMNS if by_family else MODEL_COLUMNS, records, LEGEND)
