"""The entry exam: for every promise a policy that breaks this one and no other, and policies that keep them all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from eebench import statistics
from eebench.cli.policies import policies as group
from eebench.errors import EEBenchError
from eebench.exam import apart
from eebench.exam import declarations as exam_declarations
from eebench.exam.policy_exam import PROMISES, Line, examine
from eebench.exam.traces import VOCAB, all_at, extreme, likely, many
from eebench.plugins.registry import builtin_policies
from eebench.traces.trace import Trace

HEADER = """
from typing import Any, Literal, Self
import numpy as np
from pydantic import Field, PrivateAttr, field_serializer, field_validator
from eebench.policy import Bound, ExitPolicy, fitted, swept
"""

PLAIN = '''
class Mine(ExitPolicy):
    """Stop once the lens is confident."""

    formula = "max_prob(k) >= threshold"
    source = "an example"

    threshold: float = swept(0.5, over=(0.2, 0.5, 0.9), ge=0, le=1)

    def stops(self, layer):
        return layer.max_prob >= self.threshold
'''

LEARNS = """
    learns = True
    rates: Any = fitted()

    def fit(self, calibration):
        top1 = calibration.all_layers("top1")
        return self.model_copy(update={"rates": tuple((top1 == top1[-1]).mean(axis=1).tolist())})
"""
"""A body that goes on with PLAIN: it learns how often each layer is right, as it should."""

STOPS = "        return layer.max_prob >= self.threshold\n"

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a policy file, and give its path."""
    monkeypatch.setattr(exam_declarations, "SPEED_POSITIONS", 10_000)

    def write(text: str) -> str:
        path = tmp_path / "mine.py"
        path.write_text(HEADER + text)
        return str(path)

    return write


def lines(text: str) -> dict[str, Line]:
    return {line.promise: line for line in examine(text).lines}


def deciding(*statements: str, also: str = "") -> str:
    """The plain policy with other statements in its `stops`, and more in its body."""
    body = "".join(f"        {statement}\n" for statement in statements)
    return PLAIN.replace(STOPS, body) + also


def broken_only(promise: str, path: str) -> Line:
    """The line of the one promise that is broken."""
    exam = lines(path)
    assert {name: str(line) for name, line in exam.items() if not line.ok}.keys() == {promise}, exam
    assert not exam[promise].seen.endswith(".")
    assert "\n" not in str(exam[promise])
    return exam[promise]


# --- policies that keep their promises ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", builtin_policies())
def test_a_built_in_policy_keeps_every_promise(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exam_declarations, "SPEED_POSITIONS", 10_000)
    exam = lines(name)
    assert list(exam) == list(PROMISES)
    assert [str(line) for line in exam.values() if not line.ok] == []
    exempt = "exempt: a bound sees the layers to come by its nature, and is never ranked"
    assert (exam["causal"].seen == exempt) == (builtin_policies()[name].kind == "bound")


def test_what_learns_under_some_parameters_only_is_tried_with_them() -> None:
    assert "learns" in PROMISES
    assert lines("confidence")["learns"].seen == "scaling: 16 numbers from 300 positions of 8 layers"
    assert lines("entropy")["learns"].seen == "nothing: it needs no fit"


def test_plain_policies_keep_every_promise(write: Write) -> None:
    for text in (PLAIN, PLAIN + LEARNS):
        assert [str(line) for line in lines(write(text)).values() if not line.ok] == []


def test_a_statistic_of_its_own_is_there(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "REGISTRY", dict(statistics.REGISTRY))
    register = (
        "from eebench.statistics import statistic\n@statistic(reads_head=False)\ndef state_norm(lens):\n"
        '    """Length of the state."""\n    return lens.state.norm(dim=-1)\n'
    )
    exam = lines(write(register + deciding("return layer.state_norm >= self.threshold")))
    assert [str(line) for line in exam.values() if not line.ok] == []


def test_a_policy_of_several_is_named_by_its_class(write: Write) -> None:
    path = write(PLAIN + PLAIN.replace("Mine", "Yours"))
    exam = examine(f"{path}:Yours")
    assert (exam.name, exam.kind) == ("yours", "policy")
    assert all(line.ok for line in exam.lines)


# --- and those that break one ------------------------------------------------------------------------------------


class TestLoadsWithoutTorch:
    def test_what_imports_torch(self, write: Write) -> None:
        line = broken_only("loads without torch", write("import torch\n" + PLAIN))
        assert line.seen == "importing it imports torch"
        assert "numpy" in line.change

    def test_what_imports_it_when_it_decides(self, write: Write) -> None:
        path = write(deciding("import torch", STOPS.strip()))
        assert broken_only("loads without torch", path).seen == "deciding with it imports torch"


class TestDeterministic:
    def test_what_depends_on_the_process(self, write: Write) -> None:
        path = write(deciding("return layer.uniform(hash('a word')) >= self.threshold"))
        assert broken_only("deterministic", path).seen == "in another process it decides otherwise"

    def test_what_remembers_on_itself(self, write: Write) -> None:
        asked = "\n    _asked: list = PrivateAttr(default_factory=list)\n"
        remembering = ("self._asked.append(0)", "first = len(self._asked) <= 1", "return layer.none() | first")
        seen = lines(write(deciding(*remembering, also=asked)))["deterministic"].seen
        assert seen.endswith("asked again, decides otherwise at 60 of 60 positions")

    def test_what_tosses_its_own_coins(self, write: Write) -> None:
        path = write(deciding("return np.random.default_rng().random(len(layer.max_prob)) >= self.threshold"))
        line = lines(path)["deterministic"]
        assert not line.ok
        assert "layer.uniform(seed)" in line.change

    def test_what_writes_into_the_trace(self, write: Write) -> None:
        path = write(deciding("p = layer.max_prob", "p *= 0.5", "return p >= self.threshold"))
        line = lines(path)["deterministic"]
        assert line.seen == (
            "policy mine:threshold=0.2 writes into what it is shown at layer 1: copy an array before changing it in "
            "its `stops`"
        )

    @pytest.mark.parametrize("what", ["position", "length", "uniform(1)", "_keys", "previous.entropy", "state_cosine"])
    def test_nothing_that_a_policy_is_shown_can_be_written_to(self, write: Write, what: str) -> None:
        writes = ("if layer.index > 1:", f"    layer.{what}[:] = 1", STOPS.strip())
        said = lines(write(deciding(*writes)))["causal"]
        assert said.ok == (what == "uniform(1)")  # which is made anew each time
        assert said.ok or said.seen.startswith(
            "policy mine:threshold=0.2 writes into what it is shown at layer 2: copy"
        )

    @pytest.mark.parametrize("what", ["max_prob", "position", "length"])
    def test_what_unlocks_what_it_is_shown_is_told(self, write: Write, what: str) -> None:
        unlocks = (f"shown = layer.{what}", "shown.flags.writeable = True", "shown[:] = 1", STOPS.strip())
        line = lines(write(deciding(*unlocks)))["deterministic"]
        assert line.seen == "mine:threshold=0.2 writes into what it is shown"
        assert line.change == "copy an array first"


class TestCausal:
    def test_what_looks_at_the_next_layer(self, write: Write) -> None:
        ahead = 'layer._source.statistic("max_prob", min(layer.index + 1, layer.num_layers))'
        line = broken_only("causal", write(deciding(f"return {ahead} >= self.threshold")))
        assert line.seen.startswith("mine:threshold=0.2 decides otherwise at ")
        assert line.seen.endswith(" of 60 positions up to layer 1 when the layers above it say something else")

    def test_a_bound_that_would_be_ranked(self, write: Write) -> None:
        bound = PLAIN.replace("ExitPolicy", "Bound").replace("def stops(self, layer)", "def could_stop(self, layer)")
        bound = bound.replace(STOPS, '        return layer.all_layers("max_prob") >= self.threshold\n')
        assert lines(write(bound))["causal"].ok
        assert broken_only("causal", write(bound + '    kind = "policy"\n')).seen.endswith("would be ranked")


class TestPositionByPosition:
    def test_what_compares_positions(self, write: Write) -> None:
        most = "layer.max_prob.max(initial=0) * self.threshold"
        line = broken_only("position by position", write(deciding(f"return layer.max_prob >= {most}")))
        assert line.seen.endswith("when asked one at a time")

    def test_what_depends_on_the_order(self, write: Write) -> None:
        path = write(deciding("return (np.arange(len(layer.max_prob)) % 2 == 0) & (layer.max_prob >= self.threshold)"))
        broken_only("position by position", path)

    def test_what_reads_a_head_for_the_sake_of_another_position(self, write: Write) -> None:
        settled = "settled = layer.state_cosine >= self.threshold"
        path = write(deciding(settled, "return settled & (layer.max_prob >= 0) if settled.any() else settled"))
        assert "or reads other heads" in broken_only("position by position", path).seen


class TestParametersRoundTrip:
    def test_what_is_shown_as_no_one_can_type_it(self, write: Write) -> None:
        line = broken_only(
            "parameters round-trip", write(PLAIN + "    window: tuple[int, int] = swept((1, 2), over=[(1, 2)])\n")
        )
        assert "cannot be typed" in line.seen

    def test_what_is_typed_as_another_setting(self, write: Write) -> None:
        doubling = '    @field_validator("threshold")\n    def _half(cls, value):\n        return value / 2\n'
        line = broken_only("parameters round-trip", write(PLAIN + doubling))
        assert line.seen.endswith("'threshold': 0.05}, and not {'min_layer': 1, 'every': 1, 'threshold': 0.1}")

    def test_what_comes_back_otherwise_from_its_json(self, write: Write) -> None:
        coarse = '    @field_serializer("threshold")\n    def _coarse(self, value):\n        return round(value)\n'
        assert "comes back from its JSON as" in broken_only("parameters round-trip", write(PLAIN + coarse)).seen

    def test_parameters_of_no_sweep_are_tried_as_well(self, write: Write) -> None:
        soft = '    how: Literal["soft", "as it,is"] = "soft"\n'
        assert "as it,is" in broken_only("parameters round-trip", write(PLAIN + soft)).seen


class TestMinLayerAndEvery:
    def test_what_looks_at_every_layer(self, write: Write) -> None:
        everywhere = "    def layers_looked_at(self, num_layers):\n        return range(1, num_layers)\n"
        line = broken_only("min_layer and every", write(PLAIN + everywhere))
        assert line.seen == "mine:threshold=0.2 with min_layer=2 and every=1 looks or stops elsewhere"

    def test_what_takes_no_other_values(self, write: Write) -> None:
        fixed = '    @field_validator("min_layer")\n    def _one(cls, n):\n        assert n == 1\n        return n\n'
        fixed += '    @field_validator("every")\n    def _every(cls, n):\n        assert n == 1\n        return n\n'
        assert "refuses" in broken_only("min_layer and every", write(PLAIN + fixed)).seen

    def test_what_is_not_as_fixed_as_it_says(self, write: Write) -> None:
        assert "declared `fixed`" in broken_only("min_layer and every", write(PLAIN + "    fixed = True\n")).seen


class TestExtremes:
    def test_what_makes_nan_of_a_probability_of_0(self, write: Write) -> None:
        p = "layer.max_prob"
        line = broken_only("extremes", write(deciding(f"return -{p} * np.log({p}) <= self.threshold")))
        assert line.seen.startswith(
            "each statistic at one end of its range: mine:threshold=0.2 makes NaN (invalid value"
        )

    def test_what_rounding_makes_of_a_cosine_of_1(self, write: Write) -> None:
        path = write(deciding("return np.arccos(layer.state_cosine) <= self.threshold"))
        assert "arccos" in broken_only("extremes", path).seen

    def test_what_needs_a_position(self, write: Write) -> None:
        path = write(deciding("layer.max_prob[0]", STOPS.strip()))
        line = broken_only("extremes", path)
        assert line.seen.startswith("an empty trace: policy mine:threshold=0.2 raised IndexError at layer 1")
        assert line.change == "mend it at line 16 of mine.py"

    def test_what_needs_a_second_layer_to_learn(self, write: Write) -> None:
        line = broken_only("extremes", write(PLAIN + LEARNS.replace("[-1]", "[1]")))
        assert line.seen.startswith("1 layer: policy mine raised IndexError while fitting")


class TestDefaultSweep:
    def test_a_parameter_that_nobody_sweeps(self, write: Write) -> None:
        line = broken_only("default sweep", write(PLAIN.replace("swept(0.5, over=(0.2, 0.5, 0.9),", "Field(0.5,")))
        assert line.seen == "one setting, although it takes threshold"
        assert "swept(default, over=values)" in line.change

    @pytest.mark.parametrize(
        ("over", "said"),
        [
            ("()", "a default sweep of it is empty"),
            ("lambda n: [1 / 0]", "raised ZeroDivisionError"),
            ("(2, 3)", "threshold=3 should be 1 or less"),
        ],
    )
    def test_one_that_means_nothing(self, write: Write, over: str, said: str) -> None:
        line = broken_only("default sweep", write(PLAIN.replace("(0.2, 0.5, 0.9)", over)))
        assert said in line.seen

    def test_one_setting_is_enough_where_there_is_nothing_to_sweep(self, write: Write) -> None:
        parameter = "    threshold: float = swept(0.5, over=(0.2, 0.5, 0.9), ge=0, le=1)\n"
        bare = deciding("return layer.max_prob >= 0.5").replace(parameter, "")
        assert lines(write(bare))["default sweep"].seen == "one setting: it has no parameter to sweep"
        control = PLAIN.replace("swept(0.5, over=(0.2, 0.5, 0.9),", "Field(0.5,") + '    kind = "control"\n'
        assert "a control is shown for comparison" in lines(write(control))["default sweep"].seen


class TestSaysWhatItIs:
    @pytest.mark.parametrize(
        ("line", "other", "said"),
        [
            ("source =", "_source =", "it has no source"),
            ('"max_prob(k) >= threshold"', '" "', "it has no formula"),
            ('"""Stop once the lens is confident."""', "", "it has no docstring"),
            ('"max_prob(k) >= threshold"', '"one\\ntwo"', "its formula goes over several lines"),
            ("    formula", "    kind = 'best'\n    formula", "its kind is 'best'"),
        ],
    )
    def test_words_that_are_missing(self, write: Write, line: str, other: str, said: str) -> None:
        assert broken_only("says what it is", write(PLAIN.replace(line, other))).seen == said

    def test_a_name_that_cannot_be_typed(self, write: Write) -> None:
        path = write(PLAIN.replace("    formula", "    name = 'my policy, the best'\n    formula"))
        assert broken_only("says what it is", path).seen == "'my policy, the best' cannot be typed as a name"


class TestSpeed:
    def test_what_takes_longer_than_anyone_waits(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(exam_declarations, "SPEED_SECONDS", 1e-9)
        line = broken_only("speed", write(PLAIN))
        assert line.seen.startswith("it would take about ")
        assert line.seen.endswith("s for 10,000 positions of 12 layers, mine:threshold=0.9")
        monkeypatch.setattr(exam_declarations, "_seconds", lambda setting, trace: 2e-9 * (trace.num_positions > 1000))
        assert broken_only("speed", write(PLAIN)).seen.startswith("it takes 0 s for 10,000 positions")

    def test_is_measured_on_a_million_positions(self) -> None:
        line = lines("margin")["speed"]
        assert "s for 1,000,000 positions of 12 layers, margin:threshold=0.999)" in line.seen
        assert line.figures["positions_per_second"] == pytest.approx(1e6 / line.figures["seconds"], rel=0.1)


class TestLearns:
    def test_numbers_that_are_not_finite(self, write: Write) -> None:
        infinite = LEARNS.replace("(top1 == top1[-1])", "((top1 == top1[-1]) / 0)")
        line = broken_only("learns", write(PLAIN + infinite))
        assert line.seen.startswith("rates holds what is no plain finite number: (nan,")

    def test_an_array(self, write: Write) -> None:
        array = LEARNS.replace("tuple((top1 == top1[-1]).mean(axis=1).tolist())", "np.float32(top1.mean())")
        assert "rates holds what is no plain finite number" in broken_only("learns", write(PLAIN + array)).seen

    def test_nothing_that_is_kept(self, write: Write) -> None:
        lost = LEARNS.replace("Any = fitted()", 'Any = Field(0, description="")')
        assert lines(write(PLAIN + lost))["learns"].seen == "nothing is kept of what it learns"

    def test_what_depends_on_other_parameters(self, write: Write) -> None:
        depends = LEARNS.replace("(top1 == top1[-1])", "(self.threshold * (top1 == top1[-1]))")
        line = lines(write(PLAIN + depends))["learns"]
        assert line.seen == "it learns something else when fitted again or with other parameters"

    def test_a_fit_that_raises(self, write: Write) -> None:
        fails = (
            PLAIN
            + "    learned: bool = False\n"
            + LEARNS.replace("learns = True", "@property\n    def needs_fit(self):\n        return self.learned")
        )
        line = broken_only("learns", write(fails.replace("        top1 =", "        1 / 0\n        top1 =")))
        assert line.seen.startswith("policy mine raised ZeroDivisionError while fitting")

    def test_a_fit_that_writes_into_the_trace(self, write: Write) -> None:
        writes = LEARNS.replace("        return", "        top1 += 1\n        return")
        seen = lines(write(PLAIN + writes))["learns"].seen
        assert seen.startswith("policy mine writes into what it is shown while fitting: copy an array")

    def test_a_fit_that_needs_many_positions(self, write: Write) -> None:
        picky = LEARNS.replace("        return", "        assert top1.shape[1] > 1, 'too few'\n        return")
        assert "AssertionError while fitting: too few" in broken_only("learns", write(PLAIN + picky)).seen


class TestRaising:
    def test_a_fresh_process_that_dies_is_a_line(self, write: Write) -> None:
        dies = "import os\n" + deciding('os.environ.get("PYTHONHASHSEED") == "random" and os._exit(7)', STOPS.strip())
        exam = lines(write(dies))
        assert [name for name, line in exam.items() if not line.ok] == ["loads without torch", "deterministic"]
        assert exam["deterministic"].seen.endswith(
            "a fresh process that decides with it ended with code 7: nothing was said"
        )

    def test_a_parameter_that_is_a_list_is_told(self, write: Write) -> None:
        exam = lines(write(PLAIN + "    weights: list[float] = swept([1.0], over=[[1.0], [2.0]])\n"))
        assert "has a list or a dictionary as a parameter" in exam["default sweep"].seen
        assert exam["causal"].seen == exam["speed"].seen == exam["default sweep"].seen

    def test_is_a_line_that_names_where(self, write: Write) -> None:
        exam = lines(write(deciding("raise KeyError('x')")))
        assert exam["default sweep"].ok
        assert exam["causal"].seen == "policy mine:threshold=0.2 raised KeyError at layer 1: 'x'; mend its `stops`"
        assert exam["causal"].change == "mend it at line 16 of mine.py"

    def test_to_leave_the_program_is_a_line_as_well(self, write: Write) -> None:
        exam = lines(write(deciding("raise SystemExit(3)")))
        assert exam["causal"].seen == "policy mine:threshold=0.2 raised SystemExit at layer 1: 3; mend its `stops`"
        assert exam["deterministic"].change == "mend it at line 16 of mine.py"

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            ("GeneratorExit('x')", "raised GeneratorExit at layer 1: x; mend"),
            ("Silent", "raised Silent at layer 1; mend"),
            ("ValueError('a\\x1b[31m\\nkeeps every promise.')", "raised ValueError at layer 1: a [31m; mend"),
            ("Well('all is well')", "all is well"),
        ],
    )
    def test_whatever_is_raised_is_a_sentence(self, write: Write, error: str, said: str) -> None:
        errors = (
            "from eebench.errors import EEBenchError\nclass Well(EEBenchError):\n    exit_code = 0\n"
            "class Silent(Exception):\n    def __str__(self):\n        raise SystemExit(0)\n"
        )
        line = lines(write(errors + deciding(f"raise {error}")))["causal"]
        assert said in line.seen
        assert not line.ok

    def test_a_wrong_answer_is_told(self, write: Write) -> None:
        seen = lines(write(deciding("return True")))["causal"].seen
        assert "answered bool of shape [] at layer 1" in seen

    def test_a_file_that_cannot_be_run_has_one_line(self, write: Write) -> None:
        path = write("1 / 0")
        exam = examine(path)
        (line,) = exam.lines
        assert (exam.name, line.promise, line.ok) == (path, "loads without torch", False)
        assert line.seen == f"{path} could not be read at line 6: ZeroDivisionError: division by zero"

    def test_a_parameter_that_has_to_be_given_is_asked_for(self, write: Write) -> None:
        path = write(PLAIN + "    label: str\n")
        exam = lines(path)
        assert not exam["default sweep"].ok
        assert exam["causal"].seen == f"'{path}': label is missing, write label=value"
        assert lines(f"{path}:label=x,threshold=0.3")["causal"].ok


# --- the statistics it is tried on -------------------------------------------------------------------------------


class TestTraces:
    @pytest.mark.parametrize("trace", [likely(4, 300), extreme(4, 300), all_at(0, 4, 9), all_at(1, 4, 9), many(4, 9)])
    def test_lie_where_a_models_would(self, trace: Trace) -> None:
        ends = {"max_prob": (0, 1), "top2_margin": (0, 1), "entropy": (0, np.log(VOCAB)), "entropy_norm": (0, 1)}
        for name, (lowest, highest) in {**ends, "state_cosine": (-1, 1), "divergence": (0, np.log(2))}.items():
            values = trace.statistics[name]
            assert values.dtype == np.float32
            assert lowest - 1e-6 <= values.min() <= values.max() <= highest + 1e-6
        assert (trace.statistics["state_cosine"][0] == -1).all()
        assert (trace.statistics["divergence"][0] == np.float32(np.log(2))).all()
        assert (trace.position < trace.length).all()

    def test_likely_ones_belong_together(self) -> None:
        trace = likely(6, 500)
        assert (trace.statistics["top2_margin"] <= trace.statistics["max_prob"]).all()
        assert np.corrcoef(trace.statistics["max_prob"][3], trace.statistics["entropy"][3])[0, 1] < -0.8
        assert (trace.statistics["top1"][-1] == trace.statistics["top1"][-2]).mean() > 0.3

    def test_extreme_ones_reach_both_ends(self) -> None:
        trace = extreme(4, 300)
        assert set(np.unique(trace.statistics["max_prob"])) == {0, 1}
        assert trace.statistics["state_cosine"].max() > 1

    def test_ask_for_a_statistic_that_exists(self) -> None:
        with pytest.raises(EEBenchError, match="unknown statistic 'entropi': did you mean entropy"):
            likely(2, 3).at_layer("entropi", 1, np.ones(3, dtype=bool))


# --- the command -------------------------------------------------------------------------------------------------


def check(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["check", *arguments])


class TestCommand:
    def test_has_a_line_for_each_promise(self, write: Write) -> None:
        result = check(write(PLAIN))
        assert result.exit_code == 0
        *promises, last = result.output.splitlines()
        assert [line[:2] + line[6:].partition("  ")[0] for line in promises] == [f"ok{name}" for name in PROMISES]
        assert last == "mine keeps every promise."

    def test_fails_with_what_to_change(self, write: Write) -> None:
        result = check(write(PLAIN.replace("source =", "_source =")))
        assert result.exit_code == 1
        said = "FAIL  says what it is         it has no source; say when it stops, and where that was published"
        assert said in result.output.splitlines()
        assert result.output.endswith("mine breaks: says what it is.\n")

    def test_says_the_same_as_data(self, write: Write) -> None:
        path = write(PLAIN.replace("source =", "_source =") + "print('loaded')\n")
        result = check(path, "--format", "json")
        data = json.loads(result.stdout.removeprefix("loaded\n"))
        assert result.exit_code == 1
        assert (data["policy"], data["kind"], data["passed"]) == ("mine", "policy", False)
        assert [line["promise"] for line in data["promises"]] == list(PROMISES)
        failed = [line for line in data["promises"] if not line["ok"]]
        assert [(line["promise"], line["seen"]) for line in failed] == [("says what it is", "it has no source")]
        assert all(bool(line["change"]) != line["ok"] for line in data["promises"])
        assert any(line.get("positions_per_second", 0) > 0 for line in data["promises"])

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("none.py", "no policy file at none.py: give the path of a Python file that exists."),
            ("entrpy", "unknown policy 'entrpy': did you mean entropy?"),
            ("entropy,margin", "'entropy,margin' means 2 policies: check one at a time."),
            ("static:layer=20", "'static:layer=20': layer=20, but the model has 8 layers."),
        ],
    )
    def test_what_is_no_policy_is_said_in_a_sentence(self, text: str, sentence: str) -> None:
        result = check(text)
        assert result.exit_code == 2
        assert result.output.startswith(f"Error: {sentence}")
        assert result.output.count("\n") == 1

    @pytest.mark.parametrize("code", [0, 3])
    def test_a_file_that_ends_the_process_fails(self, write: Write, code: int) -> None:
        result = check(write(f"import os\nos._exit({code})\n" + PLAIN))
        assert result.exit_code == 1
        said = (
            f"the process that examined it ended with code {code} and without a verdict; let no code of the policy end"
        )
        assert said in result.output

    def test_a_policy_that_ends_the_process_as_if_all_were_well_fails(self, write: Write) -> None:
        result = check(write("import os\n" + deciding("layer.num_layers == 12 and os._exit(0)", STOPS.strip())))
        assert result.exit_code == 1
        assert "FAIL  speed                   the process that examined it ended with code 0" in result.output
        assert result.output.endswith("mine breaks: speed.\n")

    def test_an_interrupt_of_the_policys_own_is_no_pass(self, write: Write) -> None:
        result = check(write(deciding("raise KeyboardInterrupt")))
        assert result.exit_code == 1
        assert "without a verdict" in result.output

    def test_a_policy_that_nobody_would_wait_for_is_called_slow_at_once(self, write: Write) -> None:
        result = check(write("import time\n" + deciding("time.sleep(0.2)", STOPS.strip())))
        assert result.exit_code == 1
        promise, last = result.output.splitlines()
        assert promise.startswith("FAIL  speed                   it takes 1.")
        assert "s for 60 positions of 8 layers, mine:threshold=0.2; decide with numpy on whole arrays" in promise
        assert last == "mine breaks: speed."

    def test_an_exam_has_a_time_limit(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(apart, "EXAM_SECONDS", 1.0)
        result = check(write("import time\ntime.sleep(60)\n" + PLAIN))
        assert result.exit_code == 1
        assert "the exam had not ended after 1 s, and was stopped; decide with numpy" in result.output

    def test_a_path_that_leads_nowhere_is_said_in_a_sentence(self, tmp_path: Path) -> None:
        loop = tmp_path / "loop.py"
        loop.symlink_to(loop)
        for path in (str(loop), "~nobody-of-this-name/mine.py", "./a\0.py"):
            result = check(path)
            assert result.exit_code == 2
            assert result.output.startswith("Error: ")
            assert result.output.count("\n") == 1

    def test_a_file_that_cannot_be_run_fails(self, write: Write) -> None:
        result = check(write("1 / 0"))
        assert result.exit_code == 1
        assert result.output.startswith("FAIL  loads without torch")
