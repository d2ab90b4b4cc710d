"""Timing: what takes turns with what, on what, and which settings can be timed at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eebench import run, timing
from eebench.errors import EEBenchError
from eebench.generation.execution import Execution, Executor
from eebench.harness import TaskOptions
from eebench.own_tasks import DEFAULT_GENERATION_TASK as DEFAULT_TASK
from eebench.records.results import KvMode, Timing
from eebench.spec import parse_policies, settings_for
from eebench.subject import load_subject
from eebench.timing import TimingPlan, choose
from eebench.traces.prompts import StopRule, position_keys
from tests.small_models import LAYERS, save_small_model

NEW_TOKENS = 6
ROUNDS = 3
PROMPTS = 2

Call = tuple[str, str, tuple[int, ...], Execution]
"""Setting, KV mode, the prompt's tokens, what came of it."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_small_model(tmp_path_factory.mktemp("models") / "small"))


def planned(model: str, policies: tuple[str, ...], modes: tuple[KvMode, ...] = ()) -> TimingPlan:
    options = TaskOptions(limit=PROMPTS, num_fewshot=0, max_gen_toks=NEW_TOKENS)
    base = run.plan(("full",), (model,), (DEFAULT_TASK,), options)
    return timing.plan(base, choose(policies, modes), NEW_TOKENS, ROUNDS, draft_length=2)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Every execution, in order."""
    seen: list[Call] = []
    execute = Executor.execute

    def noted(self: Executor, prompt: Any, policy: Any, stop: Any, keys: Any, kv_mode: Any, draft_length: int) -> Any:
        done = execute(self, prompt, policy, stop, keys, kv_mode, draft_length)
        seen.append((policy.setting(), kv_mode, prompt.tokens, done))
        return done

    monkeypatch.setattr(Executor, "execute", noted)
    return seen


def sides(policies: tuple[str, ...], modes: tuple[KvMode, ...] = (), num_layers: int = 30) -> list[tuple[str, str]]:
    return [(side.policy.setting(), side.kv_mode) for side in choose(policies, modes).sides(num_layers)]


class TestWhatIsTimed:
    def test_the_full_model_is_always_first_and_once(self) -> None:
        assert sides(("full,static:layer=4,full",), ("full", "copy")) == [
            ("full", "full"),
            ("static:layer=4", "full"),
            ("static:layer=4", "copy"),
        ]
        assert sides(("full",), ("full", "verify")) == [("full", "full")]

    def test_without_policies_a_few_that_tell_are_timed_on_any_depth(self) -> None:
        assert sides(())[:2] == [("full", "full"), ("static:layer=15", "truncate")]
        for num_layers in (1, 2, 5, 80):
            names = [setting.partition(":")[0] for setting, _mode in sides((), num_layers=num_layers)]
            assert names == ["full", "static", "schedule", "state", "confidence"]

    def test_kv_modes_apply_to_all_settings_that_go_with_them(self) -> None:
        chosen = choose(("static:layer=4", "confidence:threshold=0.9"), ("truncate", "verify"))
        assert [(side.policy.name, side.kv_mode) for side in chosen.sides(30)] == [
            ("full", "full"),
            ("static", "truncate"),
            ("static", "verify"),
            ("confidence", "verify"),
        ]
        assert chosen.warnings == ["truncate left out for confidence: it cuts the model at one layer, as static does."]

    @pytest.mark.parametrize(
        ("policy", "modes", "words"),
        [
            ("oracle", (), "oracle is a bound: it sees the layers to come, so it can be replayed and not executed."),
            ("confidence", ("truncate",), "confidence stops at several layers, and truncate cuts the model at one"),
            ("gate", (), "there is nothing to time: gate left out: it learns from calibration documents"),
            ("entrpy", (), "unknown policy 'entrpy': did you mean entropy?"),
        ],
    )
    def test_what_cannot_be_timed_is_refused(self, policy: str, modes: tuple[KvMode, ...], words: str) -> None:
        with pytest.raises(EEBenchError) as raised:
            choose((policy,), modes)
        assert raised.value.message.startswith(words)

    def test_of_all_policies_those_that_cannot_be_timed_are_left_out_with_a_warning(self) -> None:
        chosen = choose(("all",), ())
        names = {side.policy.name for side in chosen.sides(4)}
        assert {"confidence", "static", "random"} <= names
        assert not {"gate", "oracle", "oracle-stable"} & names
        assert [warning.partition(" left out")[0] for warning in chosen.warnings] == ["gate", "oracle", "oracle-stable"]

    def test_prompts_have_to_come_from_a_generation_task(self, model: str) -> None:
        base = run.plan(("full",), (model,), ("eebench_facts",), TaskOptions(limit=1))
        with pytest.raises(EEBenchError, match="take a generation task, such as eebench_records"):
            timing.plan(base, choose((), ()), 4, 2)


class TestRounds:
    def test_all_settings_take_turns_on_every_prompt_in_every_round_and_a_warm_up(
        self, model: str, calls: list[Call]
    ) -> None:
        (timings,) = timing.measure(planned(model, ("static:layer=2",), ("full", "copy")))
        together = [calls[start : start + 3] for start in range(0, len(calls), 3)]
        assert len(together) == (ROUNDS + 1) * PROMPTS
        for turns in together:
            assert {call[:2] for call in turns} == {
                ("full", "full"),
                ("static:layer=2", "full"),
                ("static:layer=2", "copy"),
            }
            assert len({call[2] for call in turns}) == 1
        assert len({turns[0][:2] for turns in together}) == 3  # no setting is always the first
        assert [len(made.decode_seconds) for made in timings] == [ROUNDS] * 3

    def test_every_setting_decodes_as_many_tokens_whatever_they_are(self, model: str, calls: list[Call]) -> None:
        (timings,) = timing.measure(planned(model, ("confidence:threshold=0.2",), ("full", "verify")))
        assert {len(call[3].tokens) for call in calls} == {NEW_TOKENS}
        assert {made.new_tokens for made in timings} == {NEW_TOKENS}
        assert {made.n_prompts for made in timings} == {PROMPTS}
        assert [made.draft_length for made in timings] == [None, None, 2]

    def test_seconds_are_those_of_the_counted_rounds_paired_with_the_full_models(
        self, model: str, calls: list[Call]
    ) -> None:
        (timings,) = timing.measure(planned(model, ("static:layer=2",), ("truncate",)))
        full, cut = timings
        assert cut.full_decode_seconds == full.full_decode_seconds == full.decode_seconds
        assert full.ratios == [1.0] * ROUNDS
        assert not full.inside_noise
        for name, made in (("full", full), ("static:layer=2", cut)):
            own = [done for setting, _mode, _tokens, done in calls if setting == name][PROMPTS:]
            for number in range(ROUNDS):
                this = own[number * PROMPTS : (number + 1) * PROMPTS]
                assert made.decode_seconds[number] == sum(done.decode_seconds for done in this)
                assert made.prefill_seconds[number] == sum(done.prefill_seconds for done in this)

    def test_figures_are_those_of_the_executions(self, model: str) -> None:
        plan = planned(model, ("random:p=0.5",))
        ((full, made),) = timing.measure(plan)
        subject = load_subject(model)
        (setting,) = settings_for(parse_policies(["random:p=0.5"]), LAYERS)
        prompts = timing.prompts_of(plan, subject, plan.base.tasks[0])
        done = [
            subject.executor.execute(p, setting, StopRule(None, frozenset()), position_keys("time", n, NEW_TOKENS))
            for n, p in enumerate(prompts)
        ]
        assert made.flops == sum(execution.flops for execution in done)
        assert made.mean_exit_layer == pytest.approx(np.mean([execution.exit_layer for execution in done]))
        assert 1 < made.mean_exit_layer < LAYERS == full.mean_exit_layer
        assert made.full_flops == full.flops
        assert made.predicted_ratio == full.flops / made.flops
        assert (full.departs, full.predicted_ratio) == (0.0, 1.0)
        assert made.prompt_tokens == np.mean([len(prompt.tokens) for prompt in prompts])

    def test_answers_that_the_whole_model_checks_do_not_depart(self, model: str) -> None:
        ((_full, drafted, first),) = timing.measure(planned(model, ("static:layer=1",), ("verify", "truncate")))
        assert (drafted.kv_mode, drafted.departs) == ("verify", 0.0)
        assert (first.kv_mode, first.departs) == ("truncate", 1.0)

    def test_provenance_names_what_the_time_depends_on(self, model: str) -> None:
        ((full, cut),) = timing.measure(planned(model, ("static:layer=2",)))
        shared = ("model", "revision", "dtype", "task", "num_fewshot", "prompts_hash", "device_name", "threads")
        assert [getattr(full, name) for name in shared] == [getattr(cut, name) for name in shared]
        assert isinstance(full, Timing)
        assert (full.model, full.task, full.num_layers) == (model, DEFAULT_TASK, LAYERS)
        assert full.device_name
        assert full.threads >= 1
