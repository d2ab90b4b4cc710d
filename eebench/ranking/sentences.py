"""What a ranking means, in sentences."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from eebench.models.catalogue import catalogue
from eebench.ranking.board import RankBy, RankingRow
from eebench.ranking.picking import pick
from eebench.ranking.skill import ROUNDING, Key, by_evaluation, by_policy, ee_score_of, mean, skills_of
from eebench.records.results import Evaluation, StoredResult

if TYPE_CHECKING:
    from eebench.ranking.draws import ScoreDraws

FAINT_SKILL = 0.05
"""An oracle's mean skill below which a score that is a share of it says little."""


def summary(
    rows: Sequence[RankingRow], results: Sequence[StoredResult], by: RankBy, draws: ScoreDraws | None = None
) -> list[str]:
    """What a ranking says: the best, what cutting does, what an oracle could, and what a read of the head costs.

    Args:
        draws: by which it is told what is surely better.
    """
    sentences = [*_best(rows, by), *_beaten_by_a_cut(rows, by, draws)]
    oracle = next((row for row in rows if row.policy == "oracle" and row.layers_saved_99 is not None), None)
    if oracle and oracle.layers_saved_99 is not None:
        sentences.append(f"The oracle could skip {oracle.layers_saved_99:.1%} of layers without changing a prediction.")
    evaluations = {result.evaluation.model: result.evaluation for result in results}
    sentences += _joint_optimisation(results, [model for model in evaluations if model in catalogue()])
    for model, evaluation in sorted(evaluations.items()):
        cost = evaluation.cost
        sentences.append(
            f"On {model} one read of the head costs as much as {cost['head_to_layer']:.2g} of its "
            f"{evaluation.num_layers} layers: a policy that reads it at every layer saves compute only if it stops "
            f"before layer {cost['break_even_layer']:.1f} on average."
        )
    return sentences


def _best(rows: Sequence[RankingRow], by: RankBy) -> Iterator[str]:
    """What the first of a ranking has, whether that is surely more than a coin has, and who shares its rank."""
    first = [row for row in rows if row.rank == 1]
    if not first:
        return
    score, interval = getattr(first[0], f"ee_score_{by}"), getattr(first[0], f"interval_{by}")
    if score <= ROUNDING:
        verdict = "no policy beats the coin"
    elif interval is not None and interval[0] <= ROUNDING:
        verdict = "that cannot be told from the coin's 0"
    else:
        verdict = "its settings rise above the coin by that much"
    yield (
        f"Best by {by}: {first[0].policy}, EE-score {score:.1f}: of the skill that a perfect choice of layer (the "
        f"oracle) has over tossing a coin, it has {score:.1f}%; {verdict}."
    )
    if len(first) > 1:
        others = ", ".join(row.policy for row in first[1:])
        yield f"It is not surely better than {others}, with which it shares its rank."


def _beaten_by_a_cut(rows: Sequence[RankingRow], by: RankBy, draws: ScoreDraws | None) -> Iterator[str]:
    """Which policies a model that is cut at one layer does better than."""
    scores = {row.policy: getattr(row, f"ee_score_{by}") for row in rows}
    cut = scores.get("static")
    if cut is None:
        return
    below = [row.policy for row in rows if row.rank is not None and scores[row.policy] < cut]
    surely = [policy for policy in below if draws and draws.surely_better("static", policy, by)]
    if below:
        told = "" if draws is None else f"; surely above {', '.join(surely)}" if surely else "; surely above none"
        yield f"Cutting the model at one layer (static) has an EE-score of {cut:.1f}, above {', '.join(below)}{told}."


def _joint_optimisation(results: Sequence[StoredResult], models: Sequence[str]) -> Iterator[str]:
    """What training a model for early exit bought, for every pair of models of which one was trained from the other."""
    for tuned in models:
        plain = catalogue()[tuned].adapter_on
        if plain in models:
            before, after = (
                _saved_and_located([r for r in results if r.evaluation.model == model]) for model in (plain, tuned)
            )
            if before and after:
                yield f"{plain}: {before}. Trained for early exit ({tuned}): {after}."


def _saved_and_located(results: Sequence[StoredResult]) -> str:
    """What the oracle could save of one model's layers, and how much of its skill the best policy has."""
    policies = by_policy(results)
    oracle, saved = skills_of(policies.get("oracle", []), "layers"), _oracle_saves(results)
    scores = {
        policy: score
        for policy, settings in policies.items()
        if settings[0].result.kind == "policy"
        and (score := ee_score_of(skills_of(settings, "layers"), oracle)) is not None
    }
    if saved is None or not scores:
        return ""
    best = max(scores, key=lambda policy: scores[policy])
    return (
        f"the oracle could skip {saved:.1%} of layers, and the best policy, {best}, has an EE-score of "
        f"{scores[best]:.1f}"
    )


def _oracle_saves(results: Sequence[StoredResult]) -> float | None:
    """The share of layers that the oracle saves, mean over (model, task)."""
    grouped = by_evaluation(result for result in results if result.result.policy == "oracle")
    return mean([choice.test.layers_saved for settings in grouped.values() if (choice := pick(settings))])


def notes(rows: Sequence[RankingRow], results: Sequence[StoredResult], ground: Collection[Key]) -> list[str]:
    """What to keep in mind: what is left out and why, and which scores say little.

    Args:
        ground: the (model, task) that most policies were measured on.
    """
    notes = []
    evaluations = {key: settings[0].evaluation for key, settings in sorted(by_evaluation(results).items())}
    for (model, task), evaluation in evaluations.items():
        if not evaluation.informative:
            notes.append(f"{task} on {model} is left out of the quality score: {evaluation.informative_note}")
        if evaluation.coin_end and not {"calibration", "test"} <= evaluation.coin_end.keys():
            notes.append(f"{task} on {model} is not ranked: {_unsplit(evaluation)}")
    if results and not any(row.policy == "oracle" for row in rows):
        mode = results[0].evaluation.kv_mode
        why = "" if mode == "full" else ": it sees the layers to come, so it cannot be executed"
        notes.append(
            f"There are no EE-scores and no ranks under KV mode {mode}, since they are shares of the oracle's and it "
            f"has not been measured{why}."
        )
    oracle = skills_of([result for result in results if result.result.policy == "oracle"], "quality")
    if oracle and sum(oracle.values()) / len(oracle) < FAINT_SKILL:
        notes.append(
            "By quality the oracle itself hardly rises above the coin here: it keeps each prediction, not the "
            "likelihoods that answers are chosen by. Scores by quality are shares of next to nothing, so do not lean "
            "on them."
        )
    if any(result.result.summaries["all"].answer_length is not None for result in results):
        notes.append(
            "In generation it is the share of the answer before it departs from the full model's that scores and the "
            "setting at 99% go by, and compute saved counts exact K/V: blocks that a token skipped are run for it "
            "after all once a later token goes deeper."
        )
    notes += _elsewhere(rows, results, ground)
    return notes


def _elsewhere(rows: Sequence[RankingRow], results: Sequence[StoredResult], ground: Collection[Key]) -> Iterator[str]:
    """Which policies were measured elsewhere than most were, and what that does to their ranks."""
    policies = by_policy(results)
    measured = {row.policy: set(by_evaluation(policies[row.policy])) for row in rows if row.kind == "policy"}
    other = [f"{policy} on {len(pairs)}" for policy, pairs in measured.items() if pairs != set(ground)]
    if other:
        yield (
            f"Most policies were measured on the same {len(ground)} (model, task) pairs, {', '.join(other)}: scores "
            f"are over a policy's own, and two are told apart on those that both have."
        )
    lacking = [policy for policy, pairs in measured.items() if not pairs >= set(ground)]
    if lacking:
        yield (
            f"Not ranked, for want of pairs that most policies were measured on: {', '.join(lacking)}. Measure them "
            f"there (`eebench run`), or narrow the board to where they were (--model, --task)."
        )


def _unsplit(evaluation: Evaluation) -> str:
    return f"its {evaluation.n_docs} documents all fall in one part of the calibration/test split; run more of them."
