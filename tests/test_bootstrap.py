"""Intervals: their coverage by simulation, and that what is compared is drawn together."""

from __future__ import annotations

import numpy as np
import pytest

from eebench.ranking import draws
from eebench.ranking.bootstrap import Estimate, Resampler, interval
from tests.records import stored


def test_coverage_is_near_its_level() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(300):
        sizes = rng.integers(1, 20, 60).astype(float)
        rates = rng.beta(2, 3, 60)  # documents differ, so positions are not independent
        found = Resampler([60], draws=300, seed=seed).ratio(rng.binomial(sizes.astype(int), rates), sizes)
        hits += found.low <= 0.4 <= found.high
    assert 0.89 <= hits / 300 <= 0.98


def test_the_sample_itself_comes_first() -> None:
    numerator, denominator = np.array([1.0, 5.0, 2.0]), np.array([4.0, 6.0, 5.0])
    draws = Resampler([3]).ratios(numerator, denominator)
    assert draws[0] == 8 / 15
    assert len(draws) == 1001


def test_differences_of_the_same_thing_are_nothing() -> None:
    values = np.random.default_rng(1).random(40)
    one, other = (Resampler([25, 15]).ratios(values, np.ones(40)) for _ in range(2))
    assert interval(one - other) == Estimate(0.0, 0.0, 0.0)
    assert interval(one - other).sign == 0
    assert interval(one - other + 0.1).sign == 1
    assert interval(one - other - 0.1).sign == -1


def test_strata_keep_their_sizes() -> None:
    weights = Resampler([5, 7], draws=50).weights
    assert (weights[:, :5].sum(axis=1) == 5).all()
    assert (weights[:, 5:].sum(axis=1) == 7).all()


def test_several_figures_at_once_are_those_one_by_one() -> None:
    rng = np.random.default_rng(2)
    above, below = rng.random((20, 3)), rng.random(20)
    resampler = Resampler([20])
    together = resampler.ratios(above, below)
    for column in range(3):
        np.testing.assert_allclose(together[:, column], resampler.ratios(above[:, column], below))


def test_nothing_to_divide_by_is_no_value() -> None:
    found = Resampler([4]).ratio(np.zeros(4), np.zeros(4))
    assert np.isnan(found.value)
    assert found.sign == 0


@pytest.mark.filterwarnings("error")
def test_a_draw_in_which_an_oracle_gains_nothing_has_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    skills = {"oracle": [2.0, 4.0, 0.0], "entropy": [1.0, 1.0, 1.0], "patience": [0.5, 1.0, 0.5]}
    results = {policy: [stored(policy=policy)] for policy in skills}

    class Drawn:
        def __init__(self, *_arguments: object) -> None: ...

        def skills(self, some: list[draws.StoredResult], _by: str) -> dict[str, np.ndarray]:
            return {one.evaluation.task: np.array(skills[one.result.policy]) for one in some}

    monkeypatch.setattr(draws, "_Tasks", Drawn)
    scores = draws.ScoreDraws(results, None)  # type: ignore[arg-type]
    np.testing.assert_equal(scores.scores("entropy", "layers"), [50, 25, np.nan])
    assert scores.shared_ranks(["entropy", "patience"], "layers") == {"entropy": 1, "patience": 1}
