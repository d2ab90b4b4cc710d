"""The policies against slow, obvious references that decide one position at a time."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import eebench.policies
from eebench.errors import EEBenchError
from eebench.fitting import fit_all
from eebench.plugins.registry import builtin_policies
from eebench.policies import gate
from eebench.policy import Bools, ExitPolicy, Floats, Hindsight, LayerView, fitted, swept
from eebench.replaying import Decisions, replay
from eebench.spec import parse_policies, settings_for
from eebench.traces.trace import Trace
from tests.traces import random_trace, with_statistics

untimed = settings(deadline=None)

# --- the references ----------------------------------------------------------------------------------------------


class Seen:
    """One position of a trace, number by number."""

    def __init__(self, trace: Trace, i: int) -> None:
        self._trace, self._i = trace, i
        self.layers = trace.num_layers
        self.t, self.longest, self.key = int(trace.position[i]), int(trace.length[i]), int(trace.key[i])

    def __call__(self, name: str, k: int) -> float:
        return float(self._trace.statistics[name][k - 1][self._i])


def patience(policy: Any, seen: Seen, looks: Sequence[int]) -> bool:
    count = 0
    for before, k in pairwise(looks):
        count = count + 1 if seen("top1", k) == seen("top1", before) else 0
    return bool(count >= policy.patience)


def similarity(policy: Any, seen: Seen, looks: Sequence[int]) -> bool:
    last = looks[-policy.patience :]
    close = [k > 1 and seen("divergence", k) <= policy.threshold for k in last]
    return len(last) == policy.patience and all(close)


def decay(policy: Any, seen: Seen, looks: Sequence[int]) -> bool:
    asked = 0.9 * policy.threshold + 0.1 * math.exp(-policy.temperature * seen.t / seen.longest)
    return bool(seen("top2_margin", looks[-1]) >= min(max(asked, 0), 1))


def schedule(policy: Any, seen: Seen, looks: Sequence[int]) -> bool:
    way = Fraction(seen.t, seen.longest - 1) if seen.longest > 1 else Fraction(0)
    return bool(looks[-1] >= policy.first + (policy.last - policy.first) * way)


def gate_rule(policy: Any, seen: Seen, looks: Sequence[int]) -> bool:
    *weights, intercept = policy.weights[looks[-1] - 1]
    score = intercept + sum(w * seen(name, looks[-1]) for w, name in zip(weights, gate.STATISTICS, strict=True))
    return bool(1 / (1 + math.exp(-score)) >= policy.threshold)


def coin(key: int, seed: int) -> float:
    """SplitMix64 in whole numbers."""
    z = (key + (seed + 1) * 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return ((z ^ (z >> 31)) >> 11) / 2**53


def is_final(seen: Seen, k: int) -> bool:
    return seen("top1", k) == seen("top1", seen.layers)


RULES: dict[str, Callable[[Any, Seen, Sequence[int]], bool]] = {
    "confidence": lambda policy, seen, looks: seen("max_prob", looks[-1]) >= policy.threshold,
    "margin": lambda policy, seen, looks: seen("top2_margin", looks[-1]) >= policy.threshold,
    "entropy": lambda policy, seen, looks: (
        seen("entropy_norm" if policy.normalized else "entropy", looks[-1]) <= policy.threshold
    ),
    "patience": patience,
    "state": lambda policy, seen, looks: looks[-1] > 1 and seen("state_cosine", looks[-1]) >= policy.threshold,
    "similarity": similarity,
    "decay": decay,
    "schedule": schedule,
    "gate": gate_rule,
    "random": lambda policy, seen, looks: len(looks) == 1 and coin(seen.key, policy.seed) < policy.p,
    "static": lambda policy, seen, looks: looks[-1] >= policy.layer,
    "full": lambda policy, seen, looks: False,
    "oracle": lambda policy, seen, looks: is_final(seen, looks[-1]),
    "oracle-stable": lambda policy, seen, looks: all(is_final(seen, k) for k in range(looks[-1], seen.layers + 1)),
}
"""Whether a position stops at the last of the layers looked at so far."""

READS_NO_HEAD = {"state", "schedule", "static", "full", "random", "oracle", "oracle-stable"}


def heads_read(name: str, looks: Sequence[int]) -> set[int]:
    """The layers whose heads are read to decide, the exit layer's own for the answer not included."""
    if name in READS_NO_HEAD:
        return set()
    if name == "similarity":
        return {layer for k in looks if k > 1 for layer in (k - 1, k)}
    return set(looks)


def decided_slowly(policy: ExitPolicy, trace: Trace) -> tuple[list[int], list[int]]:
    """Exit layers and lens reads, one position at a time. [positions] each"""
    exits, reads = [], []
    for i in range(trace.num_positions):
        looks = list(range(policy.min_layer, trace.num_layers, policy.every))
        seen = Seen(trace, i)
        stop = (n for n in range(1, len(looks) + 1) if RULES[policy.name](policy, seen, looks[:n]))
        n = next(stop, None)
        exits.append(looks[n - 1] if n else trace.num_layers)
        reads.append(len(heads_read(policy.name, looks[:n]) | {exits[-1]}))
    return exits, reads


# --- what is drawn -----------------------------------------------------------------------------------------------

NAMES = list(builtin_policies())
CAUSAL = [name for name, policy in builtin_policies().items() if policy.kind != "bound"]


@st.composite
def a_setting(draw: st.DrawFn, num_layers: int, names: Sequence[str] = NAMES) -> ExitPolicy:
    """A setting of any built-in policy's default sweep, looking at any layers."""
    name = draw(st.sampled_from(names))
    policy = draw(st.sampled_from(settings_for(parse_policies([name]), num_layers)))
    looks = {"min_layer": draw(st.integers(1, num_layers)), "every": draw(st.integers(1, 3))}
    other: dict[str, Any] = {"normalized": draw(st.booleans())} if name == "entropy" else {}
    if name == "random":
        other = {"seed": draw(st.integers(0, 3))}
    return made_up_gate(policy.model_copy(update={**looks, **other}), num_layers)


def made_up_gate(policy: ExitPolicy, num_layers: int) -> ExitPolicy:
    """A gate with random weights; any other policy as it is."""
    weights = np.random.default_rng(num_layers).normal(0, 2, (num_layers, len(gate.STATISTICS) + 1))
    return policy.model_copy(update={"weights": tuple(map(tuple, weights.tolist()))}) if policy.learns else policy


def setting(text: str, num_layers: int = 6) -> ExitPolicy:
    (policy,) = settings_for(parse_policies([text]), num_layers)
    return policy


def exits(text: str, trace: Trace) -> list[int]:
    decided: list[int] = replay(setting(text, trace.num_layers), trace).exit_layer.tolist()
    return decided


def same(one: Decisions, other: Decisions) -> bool:
    return bool(
        one.exit_layer.tolist() == other.exit_layer.tolist() and one.lens_reads.tolist() == other.lens_reads.tolist()
    )


# --- what all policies promise -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
class TestEveryPolicy:
    @untimed
    @given(st.data(), st.integers(0, 1000), st.integers(1, 9))
    def test_decides_and_reads_as_its_rule_says(self, name: str, data: st.DataObject, seed: int, layers: int) -> None:
        trace = random_trace(seed, layers)
        policy = data.draw(a_setting(layers, [name]))
        decided = replay(policy, trace)
        assert (decided.exit_layer.tolist(), decided.lens_reads.tolist()) == decided_slowly(policy, trace)

    @untimed
    @given(st.data(), st.integers(2, 8), st.integers(0, 1000))
    def test_stops_only_where_it_looks(self, name: str, data: st.DataObject, layers: int, seed: int) -> None:
        policy = data.draw(a_setting(layers, [name]))
        stops = set(replay(policy, random_trace(seed, layers)).exit_layer.tolist())
        assert stops <= {*range(policy.min_layer, layers, policy.every), layers}

    @untimed
    @given(st.data(), st.integers(0, 1000))
    def test_decides_each_position_by_itself(self, name: str, data: st.DataObject, seed: int) -> None:
        trace = random_trace(seed)
        policy = data.draw(a_setting(trace.num_layers, [name]))
        some = np.arange(len(trace.documents)) % 2 == 0
        rows = some[trace.document]
        whole, part = replay(policy, trace), replay(policy, trace.select(some))
        assert same(Decisions(whole.exit_layer[rows], whole.lens_reads[rows]), part)

    def test_says_what_it_is(self, name: str) -> None:
        policy = builtin_policies()[name]
        assert policy.__doc__
        assert policy.formula
        assert "\n" not in policy.formula
        assert policy.source
        assert policy.kind != "policy" or "arXiv" in policy.source

    @pytest.mark.parametrize("layers", [1, 2, 12, 30, 48])
    def test_has_a_default_sweep_on_any_model(self, name: str, layers: int) -> None:
        sweep = settings_for(parse_policies([name]), layers)
        assert 1 <= len(sweep) <= max(24, layers)
        assert len(set(sweep)) == len(sweep)

    def test_decides_on_no_positions(self, name: str) -> None:
        trace = random_trace()
        nothing = trace.select(np.zeros(len(trace.documents), dtype=bool))
        for policy in settings_for(parse_policies([name]), trace.num_layers):
            assert len(replay(made_up_gate(policy, trace.num_layers), nothing).exit_layer) == 0


@pytest.mark.parametrize("name", CAUSAL)
class TestNoPolicySeesTheFuture:
    @untimed
    @given(st.data(), st.integers(0, 1000), st.integers(1, 6))
    def test_layers_above_k_change_no_decision_up_to_k(self, name: str, data: st.DataObject, seed: int, k: int) -> None:
        trace = random_trace(seed, layers=7)
        other = np.random.default_rng(seed).permutation(trace.num_positions)
        changed = {key: np.concatenate([rows[:k], rows[k:, other][::-1]]) for key, rows in trace.statistics.items()}
        policy = data.draw(a_setting(7, [name]))
        before, after = replay(policy, trace), replay(policy, with_statistics(trace, **changed))
        stopped = before.exit_layer <= k
        assert stopped.tolist() == (after.exit_layer <= k).tolist()
        assert same(*(Decisions(made.exit_layer[stopped], made.lens_reads[stopped]) for made in (before, after)))


def test_a_threshold_that_is_met_exactly_stops() -> None:
    trace = random_trace()
    statistics = {"confidence": "max_prob", "margin": "top2_margin", "entropy": "entropy", "state": "state_cosine"}
    for name, statistic in {**statistics, "similarity": "divergence"}.items():
        met = float(trace.statistics[statistic][2, 0])
        assert exits(f"{name}:threshold={met!r},min_layer=3", trace)[0] == 3, name


# --- each policy, by hand ----------------------------------------------------------------------------------------


def predicting(*layers: str) -> Trace:
    """A trace whose layers predict these tokens, one letter to a position."""
    trace = random_trace(layers=len(layers), documents=len(layers[0]), longest=1)
    return with_statistics(trace, top1=np.array([[ord(letter) for letter in row] for row in layers]))


class TestPatience:
    trace = predicting("aab", "abb", "abb", "abc", "bbc", "bbc", "bbc")

    @pytest.mark.parametrize(
        ("text", "layers"),
        [
            ("patience:patience=1", [2, 3, 2]),
            ("patience:patience=2", [3, 4, 3]),
            ("patience:patience=3", [4, 5, 7]),  # the third changes at layer 4: 4, 5 and 6 make two looks unchanged
            ("patience:patience=1,min_layer=3", [4, 4, 5]),  # the count starts at 0 on the first look
            ("patience:patience=1,every=2", [3, 5, 3]),  # compared with the look before, not the layer before
        ],
    )
    def test_counts_looks_that_leave_the_prediction_unchanged(self, text: str, layers: list[int]) -> None:
        assert exits(text, self.trace) == layers


class TestOracles:
    trace = predicting("abc", "bba", "aaa", "bba", "bba")

    def test_stop_at_the_first_layer_that_is_right_and_the_first_that_stays_so(self) -> None:
        assert exits("oracle", self.trace) == [2, 1, 2]
        assert exits("oracle-stable", self.trace) == [4, 4, 2]

    @untimed
    @given(st.integers(0, 1000), st.sampled_from(["oracle", "oracle-stable"]))
    def test_agree_with_the_full_model_everywhere_for_one_read(self, seed: int, name: str) -> None:
        trace = random_trace(seed)
        decided = replay(setting(name), trace)
        assert trace.agrees[decided.exit_layer - 1, np.arange(trace.num_positions)].all()
        assert set(decided.lens_reads.tolist()) == {1}

    def test_cannot_be_asked_layer_by_layer(self) -> None:
        with pytest.raises(TypeError, match="oracle is a bound"):
            setting("oracle").stops(None)  # type: ignore[arg-type]


class TestRandom:
    trace = random_trace(documents=3000)

    @pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
    def test_stops_at_the_first_look_as_often_as_it_says(self, p: float) -> None:
        stopped = np.array(exits(f"random:p={p},min_layer=2", self.trace)) == 2
        assert stopped.mean() == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / len(stopped)))

    def test_never_and_always_are_meant_literally(self) -> None:
        assert set(exits("random:p=0", self.trace)) == {6}
        assert set(exits("random:p=1", self.trace)) == {1}

    def test_a_seed_is_a_toss_of_all_coins(self) -> None:
        first, again, other = (exits(f"random:p=0.5,seed={seed}", self.trace) for seed in (0, 0, 1))
        assert first == again
        assert np.mean(np.array(first) == other) == pytest.approx(0.5, abs=0.03)  # as unrelated coins agree

    def test_who_stops_at_a_small_p_stops_at_a_large_one(self) -> None:
        few, many = (np.array(exits(f"random:p={p}", self.trace)) == 1 for p in (0.3, 0.6))
        assert many[few].all()


class TestSchedule:
    @staticmethod
    def depths(text: str, longest: int) -> list[int]:
        trace = random_trace(layers=30, documents=200, longest=longest)
        decided = exits(text, trace)
        return [decided[trace.position.tolist().index(t)] for t in range(longest)]

    def test_falls_from_first_to_last(self) -> None:
        assert self.depths("schedule:first=10,last=4", longest=7) == [10, 9, 8, 7, 6, 5, 4]
        assert self.depths("schedule:first=10,last=4", longest=3) == [10, 7, 4]

    def test_a_depth_between_layers_is_the_next_layer(self) -> None:
        assert self.depths("schedule:first=10,last=9", longest=4) == [10, 10, 10, 9]

    def test_an_answer_of_one_token_has_the_first_depth(self) -> None:
        assert self.depths("schedule:first=10,last=4", longest=1) == [10]

    def test_whole_depths_are_not_missed_by_rounding(self) -> None:
        assert self.depths("schedule:first=23,last=1", longest=23) == list(range(23, 0, -1))

    def test_may_not_rise(self) -> None:
        with pytest.raises(EEBenchError, match="the depth falls, so last=9 cannot be deeper than first=4"):
            setting("schedule:first=4,last=9", 30)

    def test_leaves_out_what_cannot_be_in_a_grid(self) -> None:
        specs = parse_policies(["schedule:first=[4,8],last=[2,6]"])
        assert [(s.first, s.last) for s in settings_for(specs, 30)] == [(4, 2), (8, 2), (8, 6)]  # type: ignore[attr-defined]


class TestDecay:
    def test_asks_for_less_the_further_the_answer_has_come(self) -> None:
        margin = 0.9 * 0.5 + 0.05
        trace = random_trace(documents=50, longest=6)
        flat = with_statistics(trace, top2_margin=np.full_like(trace.statistics["top2_margin"], margin))
        stopped = np.array(exits("decay:threshold=0.5,temperature=4", flat)) == 1
        assert stopped.tolist() == (0.1 * np.exp(-4 * trace.position / 6) <= 0.05).tolist()
        assert set(trace.position[stopped].tolist()) == {2, 3, 4, 5}


# --- learning ----------------------------------------------------------------------------------------------------


def learned(trace: Trace) -> Any:
    (policy,) = fit_all([setting("gate:threshold=0.5", trace.num_layers)], trace)
    return policy


class TestGate:
    trace = random_trace(3, layers=5, documents=400)

    def test_finds_what_tells_right_from_wrong(self) -> None:
        sure = self.trace.statistics["max_prob"] > 0.6
        told = with_statistics(self.trace, top1=np.where(sure, 1, 2 + np.arange(5)[:, None] % 2))
        told.statistics["top1"][-1] = 1
        stops = np.array(replay(learned(told), told).exit_layer) == 1
        assert (stops == sure[0]).mean() > 0.97

    def test_is_sure_more_often_than_right_by_chance(self) -> None:
        decided = replay(learned(self.trace), self.trace).exit_layer
        agrees = self.trace.agrees[decided - 1, np.arange(len(decided))]
        assert agrees.mean() > self.trace.agrees[0].mean()

    def test_its_weights_are_those_of_standardised_statistics(self) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        settled = 1 - 1e-5 * (1 - self.trace.statistics["state_cosine"])  # cosines that differ in the sixth digit only
        trace = with_statistics(self.trace, state_cosine=settled.astype(np.float64))
        x = np.stack([trace.statistics[name][2] for name in gate.STATISTICS], axis=-1)
        pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, trace.agrees[2])
        *weights, intercept = learned(trace).weights[2]
        np.testing.assert_allclose(x @ weights + intercept, pipeline.decision_function(x), atol=2e-3)

    def test_learns_the_same_twice(self) -> None:
        assert learned(self.trace).weights == learned(self.trace).weights

    def test_keeps_plain_finite_numbers(self) -> None:
        weights = learned(self.trace).params()["weights"]
        assert [len(row) for row in weights] == [len(gate.STATISTICS) + 1] * 5
        assert all(isinstance(w, float) and math.isfinite(w) for row in weights for w in row)

    def test_a_layer_that_is_always_or_never_right_needs_no_weights(self) -> None:
        top1 = np.repeat([[1], [0], [0]], 20, axis=1)
        trace = random_trace(layers=3, documents=20, longest=1)
        never, always, last = learned(with_statistics(trace, top1=top1)).weights
        assert never == (0, 0, 0, -30)
        assert always == last == (0, 0, 0, 30)

    def test_a_statistic_that_never_varies_does_no_harm(self) -> None:
        flat = np.ones_like(self.trace.statistics["state_cosine"])
        assert np.isfinite(learned(with_statistics(self.trace, state_cosine=flat)).weights).all()

    def test_learns_from_some_positions_where_there_are_very_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sizes: list[int] = []
        monkeypatch.setattr(gate, "MOST_POSITIONS", 100)

        def fit_layer(statistics: Floats, is_final: Bools) -> tuple[float, ...]:
            assert len(statistics) == len(is_final)
            sizes.append(len(statistics))
            return (0.0,)

        monkeypatch.setattr(gate, "_fit_layer", fit_layer)
        learned(self.trace)
        assert set(sizes) == {math.ceil(self.trace.num_positions / (1 + self.trace.num_positions // 100))}
        assert max(sizes) <= 100

    def test_has_to_learn_first(self) -> None:
        with pytest.raises(EEBenchError, match="the gate learns from calibration documents first"):
            replay(setting("gate:threshold=0.5"), random_trace())


class Learner(ExitPolicy):
    """Learns how often layer 1 is right."""

    learns = True
    threshold: float = swept(0.5, over=(0.1, 0.9))
    rate: float | None = fitted()

    def stops(self, layer: LayerView) -> Bools:
        return layer.none()

    def fit(self, calibration: Hindsight) -> Self:
        top1 = calibration.all_layers("top1")
        fits.append(top1.shape[1])
        return self.model_copy(update={"rate": float(np.mean(top1[0] == top1[-1]))})


fits: list[int] = []
"""How many positions each fit was given."""


class TestFitting:
    def test_is_done_once_for_all_settings_of_a_policy(self) -> None:
        trace = random_trace()
        fits.clear()
        made: list[Any] = fit_all([Learner(threshold=0.1), setting("full"), Learner(threshold=0.9, every=2)], trace)
        assert fits == [trace.num_positions]
        assert made[0] == Learner(threshold=0.1, rate=float(trace.agrees[0].mean()))
        assert made[1] == setting("full")
        assert made[2] == Learner(threshold=0.9, every=2, rate=made[0].rate)

    def test_needs_calibration_documents(self) -> None:
        trace = random_trace()
        nothing = trace.select(np.zeros(len(trace.documents), dtype=bool))
        with pytest.raises(EEBenchError, match="learner cannot learn: the task has no calibration documents"):
            fit_all([Learner()], nothing)
        assert fit_all([setting("full")], nothing) == [setting("full")]

    def test_what_raises_is_named(self) -> None:
        class Hasty(Learner):
            def fit(self, calibration: Hindsight) -> Self:
                raise ZeroDivisionError("float division by zero")

        with pytest.raises(EEBenchError, match="policy hasty raised ZeroDivisionError while fitting: float division"):
            fit_all([Hasty()], random_trace())

    def test_what_is_learned_has_the_type_it_was_declared_with(self) -> None:
        class Wordy(Learner):
            def fit(self, calibration: Hindsight) -> Self:
                return self.model_copy(update={"rate": "often"})

        with pytest.raises(EEBenchError, match="policy wordy learned rate wrongly"):
            fit_all([Wordy()], random_trace())


# --- the shop window ---------------------------------------------------------------------------------------------


def imported(tree: ast.AST) -> set[str]:
    """Modules named in imports, wherever they stand."""
    nodes = list(ast.walk(tree))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize("path", sorted(Path(eebench.policies.__path__[0]).glob("*.py")), ids=lambda path: path.stem)
def test_a_policy_file_is_a_screenful_and_knows_only_the_protocol(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    known = {"eebench.policy", "eebench.errors", "numpy", "pydantic", "typing", "sklearn.linear_model"}
    assert imported(ast.parse(text)) <= known
