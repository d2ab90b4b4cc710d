"""The EE-score: 0 is the coin, 100 the oracle, and a dominated policy never stands above the one that dominates it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eebench.ranking.board import Board
from eebench.ranking.draws import ScoreDraws
from eebench.ranking.picking import batch_saving, pick
from eebench.ranking.rank import rank
from eebench.ranking.sentences import summary as said_of
from eebench.ranking.skill import Point, by_policy, ee_score_of, envelope, skill, skill_of
from eebench.records.results import Evaluation, StoredResult, Summary
from eebench.traces.trace import Document
from tests.records import evaluation, stored, summary

fractions = st.floats(0, 1)
points = st.lists(st.tuples(fractions, fractions), max_size=12)
COIN = (0.8, 0.1)


def on_the_line(x: float, coin: Point = COIN) -> Point:
    return x, 1 + (coin[1] - 1) * x / coin[0]


def highest_mixture(points: Sequence[Point], x: float) -> float:
    """The best that mixing two points by a coin gives at x: the envelope's definition, tried pair by pair."""
    best = max((y for px, y in points if px == x), default=float("-inf"))
    for left in points:
        for right in points:
            if left[0] < x < right[0]:
                share = (x - left[0]) / (right[0] - left[0])
                best = max(best, left[1] + share * (right[1] - left[1]))
    return best


class TestEnvelope:
    @given(points)
    def test_no_mixture_of_points_rises_above_it(self, some: list[Point]) -> None:
        everything = [(0.0, 1.0), *some, (1.0, 0.0)]
        corners = [everything[i] for i in envelope(everything)]
        for x, _y in everything:
            assert highest_mixture(corners, x) == pytest.approx(highest_mixture(everything, x), abs=1e-9)

    def test_it_goes_from_left_to_right_over_the_top(self) -> None:
        some = [(0.0, 1.0), (0.5, 0.9), (0.5, 0.2), (0.4, 0.5), (1.0, 0.0)]
        assert envelope(some) == [0, 1, 4]


class TestSkill:
    def test_of_one_setting_is_the_area_of_a_triangle(self) -> None:
        # line from (0, 1) to (1, 0); a setting at (0.5, 1) makes a triangle of base 1 and height 0.5
        assert skill([(0.5, 1.0)], [(0.5, 1.0)], (1.0, 0.0), (1.0, 0.0)) == pytest.approx(0.25)

    @given(st.lists(st.floats(0.01, 0.79), max_size=8))
    def test_of_the_coin_itself_is_0(self, shares: list[float]) -> None:
        coin = [on_the_line(x) for x in shares]
        assert skill(coin, coin, COIN, COIN) == pytest.approx(0, abs=1e-9)

    def test_there_is_no_share_of_what_rounding_leaves(self) -> None:
        task = ("tiny", "agreement")
        assert ee_score_of({task: 0.05}, {task: 1e-17}) is None
        assert ee_score_of({task: 0.05}, {task: 0.5}) == pytest.approx(10)

    @given(points)
    def test_is_never_negative_where_settings_are_chosen_and_valued_on_the_same_documents(
        self, some: list[Point]
    ) -> None:
        assert skill(some, some, COIN, COIN) >= -1e-9

    @given(points, st.lists(st.tuples(st.floats(0, 0.2), st.floats(0, 0.2)), min_size=12, max_size=12))
    def test_of_a_dominated_policy_is_never_higher(self, some: list[Point], losses: list[Point]) -> None:
        worse = [(x, y - loss) for (x, y), (_more, loss) in zip(some, losses, strict=False)]
        assert skill(worse, worse, COIN, COIN) <= skill(some, some, COIN, COIN) + 1e-9

    @given(points)
    def test_more_settings_never_hurt_on_the_documents_they_are_chosen_on(self, some: list[Point]) -> None:
        assert skill(some[:-1], some[:-1], COIN, COIN) <= skill(some, some, COIN, COIN) + 1e-9

    def test_a_setting_picked_by_luck_counts_for_what_it_is_worth_on_the_test_documents(self) -> None:
        lucky, in_truth = [(0.4, 1.0)], [(0.4, 0.3)]
        assert skill(lucky, in_truth, (1.0, 0.0), (1.0, 0.0)) < 0

    def test_settings_that_cost_more_than_the_full_model_do_not_count(self) -> None:
        assert skill([(-3.0, 1.0)], [(-3.0, 1.0)], COIN, COIN) == pytest.approx(0.0)


def setting(policy: str, saved: float, fidelity: float, of: Evaluation, **changes: object) -> StoredResult:
    figures = summary(layers_saved=saved, compute_saved=saved - 0.3, fidelity=fidelity, retention=fidelity)
    kind = {"oracle": "bound", "random": "control"}.get(policy, "policy")
    return stored(
        of=of,
        policy=policy,
        kind=kind,
        setting=f"{policy}:{saved}",
        summaries=dict.fromkeys(("all", "calibration", "test"), figures),
        **changes,
    )


@pytest.fixture
def plane() -> Evaluation:
    """No-skill line from (0, 1) to (0.8, 0)."""
    end = summary(layers_saved=0.8, compute_saved=0.6, fidelity=0.0, retention=0.0)
    return evaluation(coin_end=dict.fromkeys(("all", "calibration", "test"), end))


class TestBoard:
    def test_the_oracle_scores_100_and_the_coin_0(self, plane: Evaluation) -> None:
        results = [setting("oracle", 0.4, 1.0, plane), setting("random", 0.4, 0.5, plane)]
        rows = {row.policy: row for row in rank(results).ranking}
        assert rows["oracle"].ee_score_layers == pytest.approx(100)
        assert rows["random"].ee_score_layers == pytest.approx(0)
        assert rows["oracle"].rank is None
        assert rows["random"].rank is None

    def test_policies_are_ranked_and_bounds_and_controls_are_not(self, plane: Evaluation) -> None:
        results = [
            setting("oracle", 0.4, 1.0, plane),
            setting("good", 0.4, 0.9, plane),
            setting("better", 0.4, 0.95, plane),
            setting("random", 0.4, 0.5, plane),
        ]
        assert [(row.policy, row.rank) for row in rank(results).ranking] == [
            ("better", 1),
            ("good", 2),
            ("random", None),
            ("oracle", None),
        ]

    def test_the_score_is_a_ratio_of_means_over_tasks(self, plane: Evaluation) -> None:
        import dataclasses

        other = dataclasses.replace(plane, task="other")
        results = [
            setting("oracle", 0.4, 1.0, plane),
            setting("oracle", 0.2, 1.0, other),
            setting("mine", 0.4, 0.75, plane),
            setting("mine", 0.2, 1.0, other),
        ]
        skills = [skill_of([result], "layers") or 0 for result in results]
        rows = {row.policy: row for row in rank(results).ranking}
        assert rows["mine"].ee_score_layers == pytest.approx(100 * (skills[2] + skills[3]) / (skills[0] + skills[1]))
        assert (rows["mine"].n_tasks, rows["mine"].n_models) == (2, 1)

    def test_uninformative_tasks_are_left_out_of_the_quality_score_with_their_reason(self, plane: Evaluation) -> None:
        import dataclasses

        guessing = dataclasses.replace(plane, informative=False, informative_note="it guesses.")
        board = rank([setting("oracle", 0.4, 1.0, guessing), setting("mine", 0.4, 0.9, guessing)])
        assert all(row.ee_score_quality is None for row in board.ranking)
        assert all(row.ee_score_layers is not None for row in board.ranking)
        assert any("left out of the quality score: it guesses." in note for note in board.notes)

    def test_a_task_whose_documents_cannot_be_split_is_not_ranked(self, plane: Evaluation) -> None:
        import dataclasses

        unsplit = dataclasses.replace(plane, coin_end={"all": plane.coin_end["all"], "test": plane.coin_end["test"]})
        board = rank([setting("oracle", 0.4, 1.0, unsplit), setting("mine", 0.4, 0.9, unsplit)])
        assert all(row.rank is None for row in board.ranking)
        assert any("one part of the calibration/test split" in note for note in board.notes)

    def test_without_an_oracle_there_are_no_scores_and_no_ranks_and_a_note_says_why(self, plane: Evaluation) -> None:
        import dataclasses

        executed = dataclasses.replace(plane, kv_mode="copy")
        board = rank([setting("good", 0.4, 0.9, executed), setting("better", 0.4, 0.95, executed)])
        assert [(row.policy, row.rank) for row in board.ranking] == [("better", None), ("good", None)]  # by skill
        assert {row.ee_score_layers for row in board.ranking} == {None}
        assert board.kv_mode == "copy"
        assert any("no EE-scores and no ranks under KV mode copy" in note for note in board.notes)

    def test_an_evaluation_whose_coin_was_never_tossed_is_shown_without_scores(self, plane: Evaluation) -> None:
        import dataclasses

        executed = dataclasses.replace(plane, kv_mode="copy", coin_end={})
        (row,) = rank([setting("mine", 0.4, 0.9, executed)]).ranking
        assert (row.rank, row.ee_score_layers, row.setting_99) == (None, None, None)


class TestPick:
    def test_takes_the_setting_that_saves_most_at_the_fidelity_on_calibration_documents(
        self, plane: Evaluation
    ) -> None:
        results = [
            setting("mine", 0.2, 0.995, plane),
            setting("mine", 0.3, 0.992, plane),
            setting("mine", 0.5, 0.9, plane),
        ]
        picked = pick(results)
        assert picked is not None
        assert picked.setting == "mine:0.3"

    def test_reports_it_on_the_test_documents(self, plane: Evaluation) -> None:
        import dataclasses

        chosen = setting("mine", 0.3, 0.995, plane)
        on_test = summary(layers_saved=0.28, fidelity=0.97)
        result = dataclasses.replace(chosen.result, summaries={**chosen.result.summaries, "test": on_test})
        picked = pick([dataclasses.replace(chosen, result=result)])
        assert picked is not None
        assert (picked.test.layers_saved, picked.test.fidelity) == (0.28, 0.97)

    def test_a_setting_that_saves_nothing_is_no_better_than_the_full_model(self, plane: Evaluation) -> None:
        picked = pick([setting("mine", 0.0, 1.0, plane)])
        assert picked is not None
        assert (picked.setting, picked.test.compute_saved) == ("full", 0)

    def test_where_no_setting_is_faithful_the_full_model_is_what_a_user_would_run(self, plane: Evaluation) -> None:
        picked = pick([setting("mine", 0.5, 0.9, plane)])
        assert picked is not None
        assert picked.setting == "full"
        assert (picked.test.layers_saved, picked.test.compute_saved, picked.test.fidelity) == (0, 0, 1)


def at(layers: float, fidelity: float, kept: float) -> dict[str, Summary]:
    """A setting of a generation task, the same on every part."""
    figures = summary(layers_saved=layers, fidelity=fidelity, kept=kept, answer_length=9.0)
    return dict.fromkeys(("all", "calibration", "test"), figures)


def test_in_generation_a_setting_that_is_lost_in_a_loop_is_not_taken_for_a_faithful_one() -> None:
    of = evaluation(coin_end=at(0.9, 0.95, 0.1))  # on its own prefix the full model would go on with it
    oracle = stored(1, of, policy="oracle", kind="bound", setting="oracle", summaries=at(0.2, 1.0, 1.0))
    loops = stored(2, of, policy="loops", setting="loops", summaries=at(0.6, 0.99, 0.2))
    board = rank([oracle, loops])
    by_policy = {row.policy: row for row in board.ranking}
    assert by_policy["oracle"].ee_score_layers == pytest.approx(100)
    assert by_policy["loops"].ee_score_layers == pytest.approx(0)
    assert (by_policy["loops"].layers_saved_99, by_policy["loops"].fidelity_99) == (0, 1)  # nobody would pick it


class TestBatch:
    @given(st.lists(st.integers(0, 30), min_size=1, max_size=9).filter(any), st.integers(1, 5))
    def test_is_what_the_deepest_of_independent_positions_leaves(self, histogram: list[int], batch: int) -> None:
        layers = len(histogram)
        shares = np.array(histogram) / sum(histogram)
        deepest = 0.0
        for exits in np.ndindex(*[layers] * batch) if layers**batch <= 3000 else ():
            deepest += np.prod(shares[list(exits)]) * (max(exits) + 1)
        if layers**batch <= 3000:
            assert batch_saving(histogram, batch) == pytest.approx(1 - deepest / layers)

    def test_a_batch_of_one_saves_what_positions_do_and_more_never_save_more(self) -> None:
        histogram = [5, 0, 3, 2]
        assert batch_saving(histogram, 1) == pytest.approx(1 - (5 * 1 + 3 * 3 + 2 * 4) / 10 / 4)
        saved = [batch_saving(histogram, batch) for batch in (1, 2, 8, 32, 1000)]
        assert saved == sorted(saved, reverse=True)
        assert saved[-1] == pytest.approx(0)
        assert batch_saving([0, 7, 0, 0], 32) == pytest.approx(0.5)


class TestIntervals:
    """Scores drawn again over test documents, the same draws for every policy."""

    DOCUMENTS = 40
    LAYERS = 5

    def setup_method(self) -> None:
        self.rng = np.random.default_rng(5)
        hashes = [f"document-{number}" for number in range(self.DOCUMENTS)]
        self.parts = np.array([Document(0, digest).part for digest in hashes])
        self.positions = self.rng.integers(3, 9, self.DOCUMENTS)
        self.rows: dict[int, Any] = {}

    def columns_of(self, saved: float, fidelity: float) -> dict[str, Any]:
        """A setting's rows: stops at layer 1 or 5, so that so many layers are saved, and agrees so often."""
        n = self.positions
        early = self.rng.binomial(n, min(1.0, saved / 0.8))
        exits = early + self.LAYERS * (n - early)
        return {
            "n_positions": n,
            "exit_layers": exits,
            "lens_reads": n,
            "agrees": self.rng.binomial(n, fidelity),
            "flops": 10.0 * exits + n,
            "flops_full": 10.0 * self.LAYERS * n + n,
            "quality": np.stack([self.rng.binomial(1, fidelity, len(n)), np.ones(len(n))], axis=1).astype(float),
        }

    def summaries(self, rows: dict[str, Any], full: Any = None) -> dict[str, Summary]:
        parts = {"all": np.ones(self.DOCUMENTS, bool), **{p: self.parts == p for p in ("calibration", "test")}}
        made = {}
        for part, where in parts.items():
            sums = {name: np.asarray(values, float)[where].sum(axis=0) for name, values in rows.items()}
            value = sums["quality"][0] / sums["quality"][1]
            best = value if full is None else np.asarray(full["quality"])[where][:, 0].mean()
            made[part] = summary(
                layers_saved=1 - sums["exit_layers"] / sums["n_positions"] / self.LAYERS,
                compute_saved=1 - sums["flops"] / sums["flops_full"],
                fidelity=sums["agrees"] / sums["n_positions"],
                quality=value,
                retention=(value - 0.25) / (best - 0.25),
            )
        return made

    def board(self, settings: dict[str, list[Point]]) -> tuple[Board, list[StoredResult]]:
        full = self.columns_of(0.0, 1.0)
        coin = self.columns_of(0.8, 0.1)
        about = {"part": self.parts, "layer_agrees": np.zeros((self.DOCUMENTS, self.LAYERS))}
        evaluation_rows = {**about, **{f"coin_{name}": values for name, values in coin.items()}}
        of = evaluation(self.DOCUMENTS, self.LAYERS, coin_end=self.summaries(coin, full), chance=0.25, metric="acc")
        results = []
        for policy, points in {"full": [(0.0, 1.0)], "oracle": [(0.5, 1.0)], **settings}.items():
            for point in points:
                rows = full if policy == "full" else self.columns_of(*point)
                kind = {"oracle": "bound", "full": "control"}.get(policy, "policy")
                made = stored(of=of, policy=policy, kind=kind, summaries=self.summaries(rows, full))
                made = replace(made, result_id=len(results) + 1)
                self.rows[made.result_id] = rows
                results.append(made)
        outer = self

        class Rows:
            def of_results(self, some: Sequence[StoredResult]) -> dict[int, Any]:
                return {one.result_id: outer.rows[one.result_id] for one in some}

            def of_evaluation(self, _evaluation_id: int) -> dict[str, Any]:
                return evaluation_rows

        self.documents = Rows()
        return rank(results, documents=self.documents), results

    def draws(self, results: Sequence[StoredResult]) -> ScoreDraws:
        return ScoreDraws(by_policy(results), self.documents)

    def test_the_first_draw_is_the_score_itself(self) -> None:
        board, results = self.board({"mine": [(0.3, 0.9), (0.5, 0.7)]})
        assert board.ranking[0].ee_score_layers == rank(results).ranking[0].ee_score_layers
        for row in board.ranking:
            for by in ("layers", "compute", "quality"):
                interval, score = getattr(row, f"interval_{by}"), getattr(row, f"ee_score_{by}")
                assert interval is not None
                assert interval[0] <= score + 1e-9
                assert score - 1e-9 <= interval[1]

    def test_the_oracle_is_100_in_every_draw(self) -> None:
        board, _results = self.board({"mine": [(0.3, 0.9)]})
        oracle = next(row for row in board.ranking if row.policy == "oracle")
        assert oracle.interval_layers == pytest.approx((100, 100))

    def test_what_cannot_be_told_apart_shares_a_rank(self) -> None:
        board, _results = self.board({"one": [(0.4, 0.9)], "twin": [(0.4, 0.9)], "far": [(0.4, 0.45)]})
        ranks = {row.policy: row.rank for row in board.ranking}
        assert ranks["one"] == ranks["twin"] == 1
        assert ranks["far"] == 3

    def test_ranks_and_scores_do_not_hang_on_the_order_of_results(self) -> None:
        board, results = self.board({"one": [(0.4, 0.9), (0.2, 0.8)], "twin": [(0.4, 0.9)], "far": [(0.4, 0.45)]})
        alike = [  # on calibration documents, and not on test documents
            replace(one, result=replace(one.result, summaries={**one.result.summaries, "calibration": same}))
            for one in results
            for same in [results[2].result.summaries["calibration"] if one.result.policy == "one" else None]
            if same is not None
        ]
        assert len(alike) == 2
        settings = [
            replace(one, result=replace(one.result, setting=f"one:threshold=0.{number}"))
            for number, one in enumerate(alike)
        ]
        rest = [one for one in results if one.result.policy != "one"]
        boards = [rank([*rest, *some]) for some in (settings, settings[::-1])]
        assert boards[0].ranking == boards[1].ranking
        assert board.ranking[0].policy in ("one", "twin")

    def test_a_policy_that_was_not_measured_where_most_were_is_not_ranked(self) -> None:
        board, results = self.board({"one": [(0.4, 0.9)], "other": [(0.4, 0.8)], "third": [(0.4, 0.7)]})
        assert all(row.rank for row in board.ranking if row.kind == "policy")
        second = [
            replace(one, evaluation=replace(one.evaluation, task="another"))
            for one in results
            if one.result.policy != "other"
        ]
        partial = rank([*results, *second])
        assert [(row.policy, row.rank) for row in partial.ranking] == [
            ("one", 1),
            ("third", 2),
            ("other", None),
            ("full", None),
            ("oracle", None),
        ]
        assert any("Not ranked, for want of pairs" in note and "other" in note for note in partial.notes)
        elsewhere = rank([*results, *(one for one in second if one.result.policy in ("one", "full", "oracle"))])
        assert {row.policy: row.rank for row in elsewhere.ranking if row.kind == "policy"} == {
            "one": 1,
            "other": 2,
            "third": 3,
        }
        assert any("scores are over a policy's own" in note and "one on 2" in note for note in elsewhere.notes)

    def test_two_are_told_apart_on_what_both_were_measured_on(self) -> None:
        _board, results = self.board({"one": [(0.4, 0.9)], "twin": [(0.4, 0.9)]})
        mine = dict(self.rows)
        _board, worse = self.board({"one": [(0.4, 0.2)]})
        hard = [replace(r, result_id=100 + r.result_id, evaluation=replace(r.evaluation, task="hard")) for r in worse]
        self.rows = {**mine, **{100 + number: rows for number, rows in self.rows.items()}}
        draws = self.draws([*results, *hard])
        one, twin = draws.both("one", "twin", "layers")
        alone = self.draws(results)
        np.testing.assert_allclose(one, alone.scores("one", "layers"))
        np.testing.assert_allclose(twin, alone.scores("twin", "layers"))
        assert draws.scores("one", "layers")[0] < one[0]

    def test_what_is_said_of_the_best_goes_by_its_interval(self) -> None:
        board, _results = self.board({"one": [(0.4, 0.9)], "twin": [(0.4, 0.9)]})
        assert "its settings rise above the coin by that much" in board.summary[0]
        twin = board.ranking[1].policy
        assert board.summary[1] == f"It is not surely better than {twin}, with which it shares its rank."
        (doubtful, *_rest) = said_of([replace(board.ranking[0], interval_layers=(-1.0, 90.0))], board.results, "layers")
        assert "that cannot be told from the coin's 0" in doubtful

    def test_a_rank_is_shared_as_long_as_its_first_is_not_surely_better(self, monkeypatch: pytest.MonkeyPatch) -> None:
        _board, results = self.board({name: [(0.4, 0.9)] for name in "abcde"})
        surely = {("a", "c"), ("a", "e"), ("b", "c"), ("c", "e")}  # d is too unsure to be told from any
        monkeypatch.setattr(ScoreDraws, "surely_better", lambda _self, one, other, _by: (one, other) in surely)
        ranks = self.draws(results).shared_ranks("abcde", "layers")
        assert ranks == {"a": 1, "b": 1, "c": 3, "d": 3, "e": 5}

    def test_without_rows_there_are_no_intervals(self) -> None:
        _board, results = self.board({"mine": [(0.3, 0.9)]})
        assert all(row.interval_layers is None for row in rank(results).ranking)


def test_what_training_for_early_exit_bought_is_said_in_a_sentence(plane: Evaluation) -> None:
    before, after = (replace(plane, model=model) for model in ("smollm2-135m", "smollm2-135m-joint"))
    results = [
        setting("oracle", 0.2, 1.0, before),
        setting("mine", 0.2, 0.75, before),
        setting("oracle", 0.4, 1.0, after),
        setting("mine", 0.4, 0.9, after),
    ]
    (said,) = [sentence for sentence in rank(results).summary if "Trained for early exit" in sentence]
    assert said.startswith("smollm2-135m: the oracle could skip 20.0% of layers, and the best policy, mine, has")
    assert "Trained for early exit (smollm2-135m-joint): the oracle could skip 40.0% of layers" in said
    alone = [result for result in results if result.evaluation.model == "smollm2-135m"]
    assert not any("Trained" in sentence for sentence in rank(alone).summary)
