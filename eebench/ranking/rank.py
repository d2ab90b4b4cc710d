"""The ranking: a row per policy, its EE-scores with their intervals, and what it means in sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from eebench.ranking.board import Board, RankBy, RankingRow
from eebench.ranking.drawn_figures import Documents
from eebench.ranking.draws import ScoreDraws
from eebench.ranking.picking import batch_saving, pick
from eebench.ranking.sentences import notes, summary
from eebench.ranking.skill import AXES, Key, by_evaluation, by_policy, ee_score_of, mean, skills_of
from eebench.records.results import StoredResult

KIND_ORDER = {"policy": 0, "control": 1, "bound": 2}


def rank(results: Sequence[StoredResult], by: RankBy = "layers", documents: Documents | None = None) -> Board:
    """Rank policies by EE-score; controls and bounds are shown and never ranked.

    Nor is a policy that was not measured where most were: it could have chosen where it does well.

    Args:
        documents: the per-document rows of results; with them there are intervals, and policies that cannot be told
            apart share a rank.
    """
    policies = by_policy(results)
    oracle = {axis: skills_of(policies.get("oracle", []), axis) for axis in AXES}
    rows = [_row(policy, settings, oracle) for policy, settings in policies.items()]
    draws = ScoreDraws(policies, documents) if documents else None
    if draws:
        rows = [draws.with_intervals(row) for row in rows]
    score = {row.policy: getattr(row, f"ee_score_{by}") for row in rows}
    rows.sort(key=lambda row: (KIND_ORDER[row.kind], -_or_lowest(score[row.policy]), -row.skill_layers, row.policy))
    ground = _ground({row.policy: policies[row.policy] for row in rows if row.kind == "policy"})
    able = [row for row in rows if row.kind == "policy" and score[row.policy] is not None]
    ranked = [row for row in able if ground <= by_evaluation(policies[row.policy]).keys()]
    ranks = {row.policy: number for number, row in enumerate(ranked, start=1)}
    if draws:
        ranks = draws.shared_ranks([row.policy for row in ranked], by)
    rows = [replace(row, rank=ranks.get(row.policy)) for row in rows]
    rows.sort(key=lambda row: (KIND_ORDER[row.kind], row.rank is None, row.rank or 0))
    return Board(rows, list(results), summary(rows, results, by, draws), notes(rows, results, ground), by)


def _ground(policies: Mapping[str, Sequence[StoredResult]]) -> set[Key]:
    """The (model, task) that more than half of the policies were measured on."""
    measured = Counter(key for settings in policies.values() for key in by_evaluation(settings))
    return {key for key, times in measured.items() if 2 * times > len(policies)}


def _row(policy: str, results: list[StoredResult], oracle: dict[RankBy, dict[Key, float]]) -> RankingRow:
    layers = skills_of(results, "layers")
    grouped = by_evaluation(results)
    picked = [choice for settings in grouped.values() if (choice := pick(settings))]
    informative = [
        choice.test.retention
        for settings in grouped.values()
        if settings[0].evaluation.informative and (choice := pick(settings)) and choice.test.retention is not None
    ]
    kind = results[0].result.kind
    return RankingRow(
        rank=None,
        policy=policy,
        kind=kind,
        bound=kind == "bound",
        ee_score_layers=ee_score_of(layers, oracle["layers"]),
        ee_score_compute=ee_score_of(skills_of(results, "compute"), oracle["compute"]),
        ee_score_quality=ee_score_of(skills_of(results, "quality"), oracle["quality"]),
        skill_layers=mean(list(layers.values())) or 0.0,
        n_tasks=len({task for _model, task in grouped}),
        n_models=len({model for model, _task in grouped}),
        setting_99=picked[0].setting if len(grouped) == 1 and picked else None,
        layers_saved_99=mean([choice.test.layers_saved for choice in picked]),
        compute_saved_99=mean([choice.test.compute_saved for choice in picked]),
        fidelity_99=mean([choice.test.faithful for choice in picked]),
        retention_99=mean(informative),
        layers_saved_99_batch_8=mean([batch_saving(choice.exit_histogram, 8) for choice in picked]),
        layers_saved_99_batch_32=mean([batch_saving(choice.exit_histogram, 32) for choice in picked]),
    )


def _or_lowest(score: float | None) -> float:
    return float("-inf") if score is None else score
