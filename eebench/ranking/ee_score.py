"""The EE-score: how far a policy rises above tossing a coin, as a share of how far an oracle does.

On the plane of saving x against fidelity y (in generation the share of the answer that is kept: `Summary.faithful`),
every setting of a policy is a point, and so are the two ends of the no-skill line: never stopping (0, 1), and always
stopping at layer 1. Mixing two settings by a coin is itself a policy, so the upper concave envelope of these points is
what the policy can do. Its vertices are chosen on the calibration documents and valued on the test documents. Skill is
the area between that curve and the no-skill line divided by the line's length in x; EE-score is 100 × the policy's mean
skill over (model, task) / the oracle's over the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from eebench.models.catalogue import catalogue
from eebench.ranking.board import Board, RankBy, RankingRow
from eebench.records.results import Columns, Evaluation, StoredResult, Summary

Key = tuple[str, str]
"""(model, task)"""

Point = tuple[float, float]
"""(saving, quality), both fractions."""

PICK_FIDELITY = 0.99
"""The setting shown per policy is the one that saves most layers at this fidelity on the calibration documents."""

LEVELS = (0.99, 0.95, 0.9)
"""What a user may ask to be kept of the full model."""

Keeping = Literal["fidelity", "retention"]
KEEPING: tuple[Keeping, ...] = get_args(Keeping)

FAINT_SKILL = 0.05
"""An oracle's mean skill below which a score that is a share of it says little."""

KIND_ORDER = {"policy": 0, "control": 1, "bound": 2}


@dataclass(frozen=True)
class Axes:
    """What is plotted against what, and whether uninformative tasks have a place on it."""

    x: Callable[[Summary], float]
    y: Callable[[Summary], float | None]
    informative_only: bool = False


AXES: dict[RankBy, Axes] = {
    "layers": Axes(lambda s: s.layers_saved, lambda s: s.faithful),
    "compute": Axes(lambda s: s.compute_saved, lambda s: s.faithful),
    "quality": Axes(lambda s: s.layers_saved, lambda s: s.retention, informative_only=True),
}


# --- the curve of one policy on one (model, task) ----------------------------------------------------------------


def envelope(points: Sequence[Point]) -> list[int]:
    """Which points are vertices of the upper concave envelope, from left to right (Andrew's monotone chain, 1979)."""
    order = sorted(range(len(points)), key=lambda i: points[i])
    hull: list[int] = []
    for i in order:
        while hull and points[hull[-1]][0] == points[i][0]:
            hull.pop()  # straight above: the higher one comes later in the order
        while len(hull) > 1 and _turns_left(points[hull[-2]], points[hull[-1]], points[i]):
            hull.pop()
        hull.append(i)
    return hull


def _turns_left(a: Point, b: Point, c: Point) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) >= 0


def skill(calibration: Sequence[Point], test: Sequence[Point], coin_calibration: Point, coin_test: Point) -> float:
    """Area between a policy's curve and the no-skill line, divided by the line's length in x.

    Args:
        calibration: a point per setting, on the calibration documents; the vertices are chosen here.
        test: the same settings on the test documents; the vertices are valued here.
        coin_calibration: where the no-skill line that starts at (0, 1) ends, on the calibration documents.
        coin_test: the same on the test documents.
    """
    if coin_test[0] <= 0 or coin_calibration[0] <= 0:
        return 0.0  # stopping at once saves nothing here, so there is nothing to be skilful about
    curve = np.array([(0.0, 1.0), *(test[i] for i in vertices(calibration, coin_calibration)), coin_test])
    return float(area_above(curve[:, 0], curve[:, 1]))


def vertices(calibration: Sequence[Point], coin: Point) -> list[int]:
    """Which settings are on a policy's curve, from left to right, the two ends of the no-skill line apart.

    Args:
        calibration: a point per setting, on the calibration documents.
        coin: where the no-skill line ends, on the same.
    """
    # A setting that costs more than the full model, or saves more than the coin can, lies beside the line.
    beside = [i for i, (x, _y) in enumerate(calibration) if 0 < x < coin[0]]
    candidates = [(0.0, 1.0), *(calibration[i] for i in beside), coin]
    return [beside[vertex - 1] for vertex in envelope(candidates) if 0 < vertex < len(candidates) - 1]


def area_above(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area between a curve and the straight line between its two ends, divided by the line's length in x.

    Args:
        x, y: the curve from (0, 1) to the end of the no-skill line. [points] or [points, draws]
    """
    with np.errstate(invalid="ignore", divide="ignore"):  # a draw may have nothing to retain, and so no value
        above = y - (1.0 + (y[-1] - 1.0) * x / x[-1])
        area: NDArray[np.float64] = ((x[1:] - x[:-1]) * (above[:-1] + above[1:]) / 2).sum(axis=0) / x[-1]
    return area


def skill_of(results: Sequence[StoredResult], by: RankBy) -> float | None:
    """Skill of one policy's settings on one evaluation, or None where the axes have no place for it."""
    points = points_of(results, by)
    if points is None:
        return None
    return skill(points["calibration"][1:], points["test"][1:], points["calibration"][0], points["test"][0])


def points_of(results: Sequence[StoredResult], by: RankBy) -> dict[str, list[Point]] | None:
    """Where the coin ends, and then each of one policy's settings, on the `calibration` and the `test` documents.

    None where the axes have no place for them.
    """
    axes, evaluation = AXES[by], results[0].evaluation
    if axes.informative_only and not evaluation.informative:
        return None
    points = {}
    for part in ("calibration", "test"):
        if part not in evaluation.coin_end:
            return None
        ends_and_settings = [evaluation.coin_end[part], *(result.result.summaries[part] for result in results)]
        plotted = [(axes.x(summary), axes.y(summary)) for summary in ends_and_settings]
        known = [(x, y) for x, y in plotted if y is not None]
        if len(known) < len(plotted):
            return None
        points[part] = known
    return points


# --- the setting picked at a fidelity ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Picked:
    """The setting a user would take, chosen on the calibration documents, with its figures on the test documents."""

    setting: str
    test: Summary
    exit_histogram: Sequence[int]


def batch_saving(exit_histogram: Sequence[int], batch: int) -> float:
    """Layers saved by a batch whose sequences leave a layer only when all of them may: 1 - E[max of B exits] / L.

    Args:
        exit_histogram: positions that stop at each layer; the batch's are drawn from it independently. [layers]
    """
    reached = np.cumsum(exit_histogram) / np.sum(exit_histogram)  # P(exit <= k)
    return 1 - float(np.sum(1 - np.concatenate([[0.0], reached[:-1]]) ** batch)) / len(exit_histogram)


def pick(
    results: Sequence[StoredResult],
    level: float = PICK_FIDELITY,
    keeping: Keeping = "fidelity",
) -> Picked | None:
    """The setting of one policy on one evaluation that saves most layers on calibration documents at a level kept.

    Where no setting keeps that much, or those that do save nothing, a user would run the full model: nothing saved,
    nothing lost. None where the documents cannot be split, or where there is nothing to retain.

    Args:
        keeping: what must not fall below `level`: fidelity, or the retention of quality on informative tasks.
    """
    if keeping == "retention" and not results[0].evaluation.informative:
        return None
    coin_end = results[0].evaluation.coin_end
    if not {"calibration", "test"} <= coin_end.keys():
        return None
    useful = [r.result for r in results if _useful(r.result.summaries["calibration"], level, keeping)]
    if not useful:
        num_layers = results[0].evaluation.num_layers
        return Picked("full", _full_model(coin_end["test"], num_layers), [*[0] * (num_layers - 1), 1])
    best = max(
        useful, key=lambda r: (r.summaries["calibration"].layers_saved, r.summaries["calibration"].compute_saved)
    )
    return Picked(best.setting, best.summaries["test"], best.exit_histogram)


def _useful(calibration: Summary, level: float, keeping: Keeping) -> bool:
    kept = calibration.faithful if keeping == "fidelity" else calibration.retention
    return kept is not None and kept >= level and calibration.layers_saved > 0


def _full_model(some: Summary, num_layers: int) -> Summary:
    retention = None if some.retention is None else 1.0
    kept = None if some.kept is None else 1.0
    full = replace(some, mean_exit_layer=num_layers, layers_saved=0, compute_saved=0, lens_reads=1, fidelity=1)
    return replace(full, retention=retention, kept=kept)


def at_levels(results: Sequence[StoredResult]) -> Iterator[tuple[Keeping, float, Picked]]:
    """What is picked of one policy on one evaluation at every level of fidelity and of retention, where it can be."""
    for keeping in KEEPING:
        for level in LEVELS:
            if choice := pick(results, level, keeping):
                yield keeping, level, choice


def decisive(results: Sequence[StoredResult]) -> list[StoredResult]:
    """One policy's settings on one evaluation that its scores rest on; without the others they are the same.

    These are the vertices of its curves, and what is picked at a fidelity or retention of 99, 95 and 90%; the first
    where there are none, so that the policy is not lost.
    """
    names = {choice.setting for _kept, _level, choice in at_levels(results)}
    for by in AXES:
        if points := points_of(results, by):
            coin, *settings = points["calibration"]
            names |= {results[vertex].result.setting for vertex in vertices(settings, coin)}
    return [stored for stored in results if stored.result.setting in names] or list(results[:1])


# --- the board ---------------------------------------------------------------------------------------------------


def rank(results: Sequence[StoredResult], by: RankBy = "layers", documents: Documents | None = None) -> Board:
    """Rank policies by EE-score; controls and bounds are shown and never ranked.

    Args:
        documents: the per-document rows of results; with them there are intervals, and policies that cannot be told
            apart share a rank.
    """
    from eebench.ranking.draws import ScoreDraws

    by_policy = _by_policy(results)
    oracle = {axis: _skills(by_policy.get("oracle", []), axis) for axis in AXES}
    rows = [_row(policy, settings, oracle) for policy, settings in by_policy.items()]
    draws = ScoreDraws(by_policy, documents) if documents else None
    if draws:
        rows = [draws.with_intervals(row) for row in rows]
    score = {row.policy: getattr(row, f"ee_score_{by}") for row in rows}
    rows.sort(key=lambda row: (KIND_ORDER[row.kind], -_or_lowest(score[row.policy]), -row.skill_layers, row.policy))
    ranked = [row for row in rows if row.kind == "policy" and score[row.policy] is not None]
    ranks = {row.policy: number for number, row in enumerate(ranked, start=1)}
    if draws:
        ranks = draws.shared_ranks([row.policy for row in ranked], by)
    rows = [replace(row, rank=ranks.get(row.policy)) for row in rows]
    return Board(rows, list(results), _summary(rows, results, by), _notes(rows, results), by)


class Documents(Protocol):
    """Where the per-document rows of results are."""

    def of_results(self, results: Sequence[StoredResult]) -> Mapping[int, Columns]:
        """The columns of `eebench.records.results.Result.documents`, by the results' ids."""
        ...

    def of_evaluation(self, evaluation_id: int) -> Columns:
        """The columns of `eebench.records.results.Evaluation.documents`."""
        ...


def _by_policy(results: Iterable[StoredResult]) -> dict[str, list[StoredResult]]:
    grouped: dict[str, list[StoredResult]] = defaultdict(list)
    for result in results:
        grouped[result.result.policy].append(result)
    return grouped


def by_evaluation(results: Iterable[StoredResult]) -> dict[Key, list[StoredResult]]:
    """Results by (model, task)."""
    grouped: dict[Key, list[StoredResult]] = defaultdict(list)
    for result in results:
        grouped[(result.evaluation.model, result.evaluation.task)].append(result)
    return grouped


def _skills(results: Iterable[StoredResult], by: RankBy) -> dict[Key, float]:
    """A policy's skill on each (model, task) that has a place on the axes."""
    skills = {key: skill_of(settings, by) for key, settings in by_evaluation(results).items()}
    return {key: value for key, value in skills.items() if value is not None}


def _ee_score(skills: dict[Key, float], oracle: dict[Key, float]) -> float | None:
    """100 × a ratio of means over the (model, task) both were measured on."""
    shared = skills.keys() & oracle.keys()
    most = sum(oracle[key] for key in shared)
    return 100 * sum(skills[key] for key in shared) / most if most > 0 else None


def _row(policy: str, results: list[StoredResult], oracle: dict[RankBy, dict[Key, float]]) -> RankingRow:
    layers = _skills(results, "layers")
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
        ee_score_layers=_ee_score(layers, oracle["layers"]),
        ee_score_compute=_ee_score(_skills(results, "compute"), oracle["compute"]),
        ee_score_quality=_ee_score(_skills(results, "quality"), oracle["quality"]),
        skill_layers=_mean(list(layers.values())) or 0.0,
        n_tasks=len({task for _model, task in grouped}),
        n_models=len({model for model, _task in grouped}),
        setting_99=picked[0].setting if len(grouped) == 1 and picked else None,
        layers_saved_99=_mean([choice.test.layers_saved for choice in picked]),
        compute_saved_99=_mean([choice.test.compute_saved for choice in picked]),
        fidelity_99=_mean([choice.test.faithful for choice in picked]),
        retention_99=_mean(informative),
        layers_saved_99_batch_8=_mean([batch_saving(choice.exit_histogram, 8) for choice in picked]),
        layers_saved_99_batch_32=_mean([batch_saving(choice.exit_histogram, 32) for choice in picked]),
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _or_lowest(score: float | None) -> float:
    return float("-inf") if score is None else score


# --- what it means, in sentences ---------------------------------------------------------------------------------


def _summary(rows: Sequence[RankingRow], results: Sequence[StoredResult], by: RankBy) -> list[str]:
    sentences = []
    best = next((row for row in rows if row.rank == 1), None)
    if best:
        score = _or_lowest(getattr(best, f"ee_score_{by}"))
        verdict = "no policy beats the coin" if score <= 0 else "its settings rise above the coin by that much"
        sentences.append(
            f"Best by {by}: {best.policy}, EE-score {score:.1f}: of the skill that a perfect choice of layer (the "
            f"oracle) has over tossing a coin, it has {score:.1f}%; {verdict}."
        )
    sentences += _beaten_by_a_cut(rows, by)
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


def _beaten_by_a_cut(rows: Sequence[RankingRow], by: RankBy) -> Iterator[str]:
    """Which policies a model that is cut at one layer does better than."""
    scores = {row.policy: getattr(row, f"ee_score_{by}") for row in rows}
    cut = scores.get("static")
    if cut is None:
        return
    beaten = [row.policy for row in rows if row.rank is not None and scores[row.policy] < cut]
    if beaten:
        yield f"Cutting the model at one layer (static) has an EE-score of {cut:.1f}, above {', '.join(beaten)}."


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
    by_policy = _by_policy(results)
    oracle, saved = _skills(by_policy.get("oracle", []), "layers"), _oracle_saves(results)
    scores = {
        policy: score
        for policy, settings in by_policy.items()
        if settings[0].result.kind == "policy" and (score := _ee_score(_skills(settings, "layers"), oracle)) is not None
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
    return _mean([choice.test.layers_saved for settings in grouped.values() if (choice := pick(settings))])


def _notes(rows: Sequence[RankingRow], results: Sequence[StoredResult]) -> list[str]:
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
    oracle = _skills([result for result in results if result.result.policy == "oracle"], "quality")
    if oracle and sum(oracle.values()) / len(oracle) < FAINT_SKILL:
        notes.append(
            "By quality the oracle itself hardly rises above the coin here: it keeps each prediction, not the "
            "likelihoods that answers are chosen by. Scores by quality are shares of next to nothing, so do not lean "
            "on them."
        )
    if any(result.result.summaries["all"].answer_length is not None for result in results):
        notes.append(
            "In generation fidelity is here the share of the answer before it departs from the full model's, and "
            "compute saved counts exact K/V: blocks that a token skipped are run for it after all once a later token "
            "goes deeper."
        )
    partial = [row.policy for row in rows if row.n_tasks * row.n_models < len(evaluations)]
    if partial:
        notes.append(f"Measured on fewer of the {len(evaluations)} (model, task) pairs: {', '.join(partial)}.")
    return notes


def _unsplit(evaluation: Evaluation) -> str:
    return f"its {evaluation.n_docs} documents all fall in one part of the calibration/test split; run more of them."
