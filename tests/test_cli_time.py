"""`eebench time` as a user types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from eebench.cli import main
from eebench.generation.execution import Executor
from eebench.records.store import Store
from tests.conftest import STOPPABLE
from tests.small_models import save_small_model

SMALL = ("--limit", "1", "--new-tokens", "4", "--rounds", "2", "--num-fewshot", "0")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_small_model(tmp_path_factory.mktemp("models") / "small"))


def eebench(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"COLUMNS": "120"})


def refused(*arguments: str) -> str:
    """The one sentence that wrong input gets, with exit code 2 and no traceback."""
    answer = eebench("time", *arguments)
    assert answer.exit_code == 2, (answer.exit_code, answer.output)
    assert isinstance(answer.exception, SystemExit)
    (sentence,) = [line for line in answer.stderr.splitlines() if line.startswith("Error: ")]
    return sentence.removeprefix("Error: ")


def test_a_telling_few_are_timed_printed_and_kept(model: str) -> None:
    answer = eebench("time", "-m", model, *SMALL)
    assert answer.exit_code == 0, answer.output
    for text in ("Measured time, ", "tokens/s", "predicted", "static:layer=3", "truncate", "confidence:threshold=0.9"):
        assert text in answer.stdout
    assert "Kept; show it with: eebench report --by time" in answer.stderr
    shown = eebench("report", "--by", "time", "--format", "json")
    timings = json.loads(shown.stdout)["timings"]
    assert [timing["policy"] for timing in timings] == ["full", "static", "schedule", "state", "confidence"]
    assert {timing["n_rounds"] for timing in timings} == {2}


def test_the_run_is_kept_with_its_provenance(model: str) -> None:
    assert eebench("time", "-m", model, "-p", "static:layer=2", "--seed", "7", *SMALL, "--quiet").exit_code == 0
    with Store.open() as store:
        (run,) = store.runs()
        assert (run.status, run.n_results, run.provenance.seed) == ("finished", 0, 7)
        assert {stored.run_id for stored in store.newest_timings().timings} == {run.id}
        assert {stored.timing.device_name for stored in store.newest_timings().timings} == {run.provenance.device_name}


def test_kv_modes_may_be_repeated_or_separated_by_commas(model: str) -> None:
    modes = ("--kv-mode", "full,propagate", "--kv-mode", "copy,truncate,verify", "--draft-length", "3")
    answer = eebench("time", "-m", model, "-p", "static:layer=2", *modes, *SMALL)
    assert answer.exit_code == 0, answer.output
    for mode in ("full", "propagate", "copy", "truncate", "verify 3"):
        assert f"\n  {mode}" in answer.stdout


def test_several_models_and_tasks_have_a_table_each(model: str, tmp_path: Path) -> None:
    other = str(save_small_model(tmp_path / "other", "gpt2"))
    tasks = ("-t", "eebench_records,eebench_lists")
    answer = eebench("time", "-m", f"{model},{other}", *tasks, "-p", "static:layer=2", *SMALL, "--quiet")
    assert answer.exit_code == 0, answer.output
    assert answer.stdout.count("Measured time, ") == 4
    assert "Timing" not in answer.stderr


def test_of_all_policies_what_cannot_be_timed_is_named(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eebench.timing.measure", lambda _plan, _progress: iter(()))
    answer = eebench("time", "-m", model, "-p", "all", *SMALL)
    assert answer.exit_code == 0
    assert "Warning: gate left out: it learns from calibration documents, and timing has none." in answer.stderr
    assert "Warning: oracle left out: it is a bound" in answer.stderr


def test_stopping_keeps_models_and_tasks_that_were_done_and_nothing_of_the_others(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute, done = Executor.execute, []

    def stop_in_the_second_task(*arguments: Any) -> Any:
        if len(done) == 6 + 3:
            raise KeyboardInterrupt
        done.append(1)
        return execute(*arguments)

    monkeypatch.setattr(Executor, "execute", stop_in_the_second_task)
    answer = eebench("time", "-m", model, "-t", "eebench_records,eebench_lists", "-p", "static:layer=2", *SMALL)
    assert answer.exit_code == 130
    assert "stopped; models and tasks whose rounds were all done are kept" in answer.stderr
    with Store.open() as store:
        assert [stored.timing.task for stored in store.newest_timings().timings] == ["eebench_records"] * 2
        assert [run.status for run in store.runs()] == ["interrupted"]


def test_ctrl_c_ends_cleanly(model: str) -> None:
    command = [sys.executable, "-c", STOPPABLE, "time", "-m", model, "--rounds", "1000"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("Timing"):
            process.send_signal(signal.SIGINT)
            break
    said = process.stderr.read()
    assert process.wait() == 130
    assert "Warning: stopped;" in said
    assert "Traceback" not in said


class TestWrongInput:
    def test_a_bound_and_a_policy_that_goes_with_no_kv_mode(self) -> None:
        assert refused("-p", "oracle").startswith("oracle is a bound: it sees the layers to come")
        assert "take static, or another KV mode" in refused("-p", "entropy", "--kv-mode", "truncate")

    def test_an_unknown_kv_mode_is_named_with_those_near_it(self) -> None:
        assert refused("--kv-mode", "full,copi").startswith("unknown KV mode 'copi': did you mean copy?")

    def test_unknown_policies_models_and_tasks(self, model: str) -> None:
        assert "unknown policy 'entrpy'" in refused("-p", "entrpy")
        assert "unknown model 'smollm2-135'" in refused("-m", "smollm2-135", *SMALL)
        assert "unknown task 'eebench_record'" in refused("-m", model, "-t", "eebench_record", *SMALL)

    def test_a_task_without_prompts_to_go_on_from(self, model: str) -> None:
        assert "task eebench_facts asks how likely given answers are" in refused("-m", model, "-t", "eebench_facts")

    def test_a_layer_the_model_does_not_have(self, model: str) -> None:
        assert "layer=9, but the model has 5 layers" in refused("-m", model, "-p", "static:layer=9", *SMALL)

    @pytest.mark.parametrize("option", ["--rounds=1", "--new-tokens=0", "--limit=0", "--draft-length=0"])
    def test_numbers_that_mean_nothing(self, option: str) -> None:
        assert option.partition("=")[0] in refused(option)

    def test_more_new_tokens_than_the_model_can_take(self, model: str) -> None:
        assert "leaves no room for a prompt" in refused("-m", model, "--new-tokens", "4000")

    def test_a_policy_that_raises_leaves_nothing_half_written(self, model: str, tmp_path: Path) -> None:
        policy = tmp_path / "broken.py"
        policy.write_text(
            "from eebench.policy import ExitPolicy\n"
            "class Broken(ExitPolicy):\n"
            "    def stops(self, layer):\n"
            "        return layer.entropy / 'a'\n"
        )
        assert "policy broken raised" in refused("-m", model, "-p", f"static:layer=2,{policy}", *SMALL)
        with Store.open() as store:
            assert store.newest_timings().timings == []
            assert [run.status for run in store.runs()] == ["failed"]


def test_help_and_refusals_import_nothing_heavy() -> None:
    script = (
        "import click, sys; from eebench.cli import main\n"
        "try: main(sys.argv[1:], standalone_mode=False)\n"
        "except click.ClickException: pass\n"
        "print(sorted({'torch', 'lm_eval', 'transformers', 'pandas', 'sqlalchemy'} & set(sys.modules)))"
    )
    for arguments in (["time", "--help"], ["time", "-p", "oracle"]):
        command = [sys.executable, "-c", script, *arguments]
        said = subprocess.run(command, check=True, capture_output=True, text=True)
        assert said.stdout.splitlines()[-1] == "[]"
