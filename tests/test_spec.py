"""The grammar of settings: what is meant, and one sentence for what cannot be."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eebench.errors import EEBenchError
from eebench.plugins.registry import builtin_policies
from eebench.policy import ExitPolicy
from eebench.spec import PolicySpec, default_sweeps, parse_policies, settings_for

LAYERS = 30

POLICY = """
from typing import Literal

from pydantic import field_validator
from eebench.policy import ExitPolicy, swept

class Mine(ExitPolicy):
    threshold: float = swept(0.5, over=(0.25, 0.75))
    how: Literal["soft", "hard"] = "soft"
    label: str = "x"

    @field_validator("label")
    @classmethod
    def _known(cls, label):
        if label == "bad":
            raise ValueError("no such label")
        return label

    def stops(self, layer):
        return layer.none()

class Needy(ExitPolicy):
    level: int

    def stops(self, layer):
        return layer.none()
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "my_policy.py"
    path.write_text(POLICY)
    return str(path)


def meant(*texts: str, num_layers: int = LAYERS) -> list[ExitPolicy]:
    return settings_for(parse_policies(texts), num_layers)


def shown(*texts: str, num_layers: int = LAYERS) -> list[str]:
    return [setting.setting() for setting in meant(*texts, num_layers=num_layers)]


def values(text: str, parameter: str) -> list[Any]:
    return [getattr(setting, parameter) for setting in meant(text)]


def refused(*texts: str, num_layers: int = LAYERS) -> str:
    with pytest.raises(EEBenchError) as error:
        meant(*texts, num_layers=num_layers)
    message = error.value.message
    assert "\n" not in message
    assert message.endswith(".")
    return message


class TestSettings:
    def test_all_parameters_given_are_one_setting(self) -> None:
        (setting,) = meant("entropy:threshold=0.5,min_layer=4,every=2")
        assert setting.params() == {"threshold": 0.5, "normalized": False, "min_layer": 4, "every": 2}

    def test_a_bare_name_is_the_default_sweep(self) -> None:
        assert values("patience", "patience") == [1, 2, 3, 4, 5, 6, 7, 8]

    def test_a_default_sweep_is_the_product_of_all_sweeps(self) -> None:
        pairs = {(s.threshold, s.patience) for s in meant("similarity")}  # type: ignore[attr-defined]
        sweeps = default_sweeps(builtin_policies()["similarity"], LAYERS)
        assert len(pairs) == len(sweeps["threshold"]) * len(sweeps["patience"]) == 24

    def test_parameters_of_no_sweep_leave_the_default_sweep(self) -> None:
        assert values("patience:every=2", "patience") == values("patience", "patience")
        assert set(values("patience:every=2", "every")) == {2}

    def test_a_swept_parameter_given_fixes_the_other_swept_ones(self) -> None:
        assert shown("similarity:patience=[1,2]") == [
            "similarity:threshold=0.05,patience=1",
            "similarity:threshold=0.05,patience=2",
        ]

    def test_several_swept_parameters_make_a_grid(self) -> None:
        assert len(meant("similarity:threshold=0.1..0.3/3,patience=1..4,every=[1,2]")) == 3 * 4 * 2

    @pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False)])
    def test_booleans_are_true_and_false(self, text: str, value: bool) -> None:
        assert set(values(f"entropy:normalized={text}", "normalized")) == {value}

    def test_space_around_what_is_written_means_nothing(self) -> None:
        assert meant(" entropy:threshold = [0.1 , 0.5] , every = 2 ") == meant("entropy:threshold=[0.1,0.5],every=2")

    def test_a_setting_named_twice_is_one(self) -> None:
        assert shown("full", "entropy:threshold=[0.5,0.1]", "entropy:threshold=0.50", "full") == [
            "full",
            "entropy:threshold=0.5",
            "entropy:threshold=0.1",
        ]

    def test_all_is_every_built_in_policy(self) -> None:
        assert meant("all") == meant(*builtin_policies())
        assert {setting.name for setting in meant("all")} == set(builtin_policies())

    def test_settings_that_cannot_be_are_left_out_of_a_sweep(self) -> None:
        assert all(setting.last <= setting.first for setting in meant("schedule"))  # type: ignore[attr-defined]

    @given(st.data())
    @settings(deadline=None)
    def test_what_a_setting_shows_means_that_setting(self, data: st.DataObject) -> None:
        layers = data.draw(st.integers(1, 64))
        setting = data.draw(st.sampled_from(meant("all", num_layers=layers)))
        changes: dict[str, Any] = {"min_layer": st.integers(1, layers), "every": st.integers(1, 5)}
        numbers = {"threshold": st.floats(0, 1), "temperature": st.floats(0, 1e6), "p": st.floats(0, 1)}
        changes |= {**numbers, "normalized": st.booleans(), "seed": st.integers(-5, 2**70)}
        drawn = {name: data.draw(values) for name, values in changes.items() if name in type(setting).model_fields}
        setting = type(setting).model_validate({**setting.model_dump(), **drawn})
        assert meant(setting.setting(), num_layers=layers) == [setting]


class TestSweeps:
    def test_holds_both_ends_and_is_even(self) -> None:
        assert values("entropy:threshold=0.1..2.0/20", "threshold") == [round(0.1 * n, 1) for n in range(1, 21)]

    def test_ends_are_exactly_as_written(self) -> None:
        sweep = values("entropy:threshold=0.123456789..0.987654321/5", "threshold")
        assert (sweep[0], sweep[-1], len(sweep)) == (0.123456789, 0.987654321, 5)

    def test_of_one_value_is_the_first(self) -> None:
        assert values("entropy:threshold=0.5..2/1", "threshold") == [0.5]

    def test_from_a_value_to_itself_is_that_value(self) -> None:
        assert values("patience:patience=3..3", "patience") == [3]
        assert values("entropy:threshold=0.5..0.5/4", "threshold") == [0.5]

    def test_of_whole_numbers_goes_one_by_one(self) -> None:
        assert values("static:layer=4..7", "layer") == [4, 5, 6, 7]

    def test_may_begin_below_zero(self) -> None:
        assert values("state:threshold=-1..1/3", "threshold") == [-1, 0, 1]

    def test_of_whole_numbers_may_be_cut_evenly(self) -> None:
        assert values("static:layer=1..30/30", "layer") == list(range(1, 31))


class TestSeveralSpecs:
    @pytest.mark.parametrize(
        ("text", "specs"),
        [
            ("confidence,patience:patience=1..8", ["confidence", "patience:patience=1..8"]),
            ("entropy:threshold=0.5,min_layer=4,margin", ["entropy:threshold=0.5,min_layer=4", "margin"]),
            ("entropy:threshold=[0.1,0.5],margin", ["entropy:threshold=[0.1,0.5]", "margin"]),
            ("full,entropy:threshold=[0.1,0.5],every=2,full", ["full", "entropy:threshold=[0.1,0.5],every=2", "full"]),
            ("full, margin ,", ["full", "margin"]),
            ("oracle-stable,full", ["oracle-stable", "full"]),
        ],
    )
    def test_are_cut_at_the_commas_that_begin_one(self, text: str, specs: list[str]) -> None:
        assert [spec.text for spec in parse_policies([text])] == specs

    def test_may_also_be_given_one_by_one(self) -> None:
        assert parse_policies(["entropy", "full"]) == parse_policies(["entropy,full"])


class TestFiles:
    def test_a_class_is_named_after_the_file(self, file: str) -> None:
        assert [setting.params()["threshold"] for setting in meant(f"{file}:Mine")] == [0.25, 0.75]

    def test_parameters_follow(self, file: str) -> None:
        specs = parse_policies([f"{file}:Mine:threshold=0.5,how=hard,{file}:Needy:level=[1,2],full"])
        assert [setting.setting() for setting in settings_for(specs, LAYERS)] == [
            "mine:threshold=0.5,how=hard",
            "needy:level=1",
            "needy:level=2",
            "full",
        ]

    def test_parameters_follow_a_file_with_one_policy_at_once(self, tmp_path: Path) -> None:
        path = tmp_path / "one.py"
        path.write_text(POLICY.partition("class Needy")[0])
        assert shown(f"{path}:threshold=0.1") == ["mine:threshold=0.1"]

    def test_a_relative_path_is_meant_from_here(self, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(Path(file).parent)
        assert meant("./my_policy.py:Mine") == meant("my_policy.py:Mine") == meant(f"{file}:Mine")

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("Mine:how=medium", "how=medium should be 'soft' or 'hard'."),
            ("Mine:label=bad", "label=bad: no such label."),
            ("Mine:label", "'label' is not parameter=value."),
            ("Mine:", "ends in a colon: write "),
            ("Needy", "level is missing, write level=value."),
            ("Mne", "unknown policy in "),
            ("Mne", "'Mne': did you mean Mine? It defines Mine, Needy."),
        ],
    )
    def test_errors_in_them_are_sentences_too(self, file: str, text: str, sentence: str) -> None:
        assert sentence in refused(f"{file}:{text}")

    def test_two_policies_of_one_name_cannot_be_told_apart(self, file: str, tmp_path: Path) -> None:
        other = tmp_path / "other.py"
        other.write_text(POLICY)
        assert "are two policies named mine: rename one of them." in refused(f"{file}:Mine", f"{other}:Mine")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("entrpy", "unknown policy 'entrpy': did you mean entropy? See `eebench policies`"),
        ("zzz", "unknown policy 'zzz': nothing has a name near it. See `eebench policies`"),
        ("oracle-stabel", "did you mean oracle-stable or oracle?"),
        ("", "no policy is named"),
        (" , ", "no policy is named"),
        ("entropy:treshold=1", "unknown parameter of entropy 'treshold': did you mean threshold?"),
        ("entropy:zzz=1", "It takes threshold, normalized, min_layer, every."),
        ("entropy:name=x", "unknown parameter of entropy 'name'"),
        ("gate:weights=1", "'gate:weights=1': weights is learned from calibration documents and cannot be given."),
        ("entropy:threshold=high", "'entropy:threshold=high': threshold=high should be a number."),
        ("entropy:threshold=-1", "threshold=-1 should be 0 or more."),
        ("confidence:threshold=[0.5,1.5]", "threshold=1.5 should be 1 or less."),
        ("margin:threshold=nan", "threshold=nan should be a finite number."),
        ("entropy:threshold=inf", "threshold=inf should be a finite number."),
        ("patience:patience=0", "patience=0 should be 1 or more."),
        ("patience:patience=1.5", "patience=1.5 should be a whole number."),
        ("entropy:every=0", "every=0 should be 1 or more."),
        ("entropy:normalized=maybe", "normalized=maybe should be true or false."),
        ("entropy:threshold=2..1/5", "is a sweep from the larger to the smaller value: turn it round."),
        ("patience:patience=8..1", "patience=8..1 is a sweep from the larger to the smaller value"),
        ("entropy:threshold=0.1..2", "threshold=0.1..2 needs a number of values, as in 0.1..2/20."),
        ("entropy:threshold=0..1/0", "the number of values after / should be a whole number, 1 or more."),
        ("entropy:threshold=0..1/-3", "the number of values after / should be a whole number, 1 or more."),
        ("entropy:threshold=0..1/2.5", "the number of values after / should be a whole number, 1 or more."),
        ("entropy:threshold=0..1/", "the number of values after / should be a whole number, 1 or more."),
        ("entropy:threshold=..2", "threshold=..2 is not a sweep, as in threshold=1..8 or threshold=0.1..2.0/20."),
        ("entropy:threshold=a..b", "is not a sweep"),
        ("patience:patience=1..1000000", "means 1000000 values; 100000 are the most."),
        ("entropy:threshold=0..1/9999999999", "means 9999999999 values; 100000 are the most."),
        ("entropy:threshold=0..1/1000,every=1..1000", "means 1000000 settings; 100000 are the most."),
        ("patience:patience=1..8/5", "patience=2.75 should be a whole number."),
        ("entropy:threshold=[]", "threshold=[] is not a list of values, as in threshold=[1,2]."),
        ("entropy:threshold=[0.1,,0.5]", "is not a list of values"),
        ("entropy:threshold=[0.1,0.5", "is not a list of values"),
        ("entropy:threshold=0.1,0.5]", "is not a list of values"),
        ("entropy:threshold=[0.1]x", "is not a list of values"),
        ("entropy:threshold=0.1,0.5", "'0.5' is no policy: several values are a list, as in threshold=[0.1,0.5]."),
        ("entropy:threshold=1,threshold=2", "gives threshold twice: write a list, as in threshold=[1,2]."),
        ("entropy:threshold", "'entropy:threshold': 'threshold' is not parameter=value."),
        ("entropy:threshold=", "'threshold=' is not parameter=value."),
        ("entropy:=1", "'=1' is not parameter=value."),
        ("entropy:", "'entropy:' ends in a colon: write entropy, or entropy:parameter=value."),
        ("threshold=0.5", "parameters follow a policy and a colon, as in entropy:threshold=0.5."),
        ("all:every=2", "'all:every=2': all takes no parameters; give them to policies by name."),
        ("no_such_file.py", "no policy file at no_such_file.py: give the path of a Python file that exists."),
        ("entropy:min_layer=31", "'entropy:min_layer=31': min_layer=31, but the model has 30 layers."),
        ("static:layer=[1,99]", "'static:layer=[1,99]': layer=99, but the model has 30 layers."),
        ("schedule:first=40,last=2", "first=40, but the model has 30 layers."),
        ("schedule:first=3,last=9", "the depth falls, so last=9 cannot be deeper than first=3."),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(text: str, sentence: str) -> None:
    assert sentence in refused(text)


def test_a_policy_whose_sweep_is_empty_is_told() -> None:
    from eebench.policy import Bools, LayerView, swept

    class Nothing(ExitPolicy):
        level: int = swept(1, over=())

        def stops(self, layer: LayerView) -> Bools:
            return layer.none()

    with pytest.raises(EEBenchError, match="'nothing' means no setting"):
        PolicySpec("nothing", Nothing, {}).settings(LAYERS)


@given(st.text(st.sampled_from("entropy:threshold=0.15..2/[],all -"), max_size=40))
@settings(deadline=None)
def test_any_text_is_understood_or_refused_in_a_sentence(text: str) -> None:
    with contextlib.suppress(EEBenchError):
        assert parse_policies([text])
