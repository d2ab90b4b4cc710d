"""`eebench run` as a user types it: results, traces that are used again, stopping and going on, and wrong input."""

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

from eebench.cache import traces_dir
from eebench.cli import main
from eebench.task_traces import SHARD_DOCUMENTS
from eebench.traces import tracing
from tests.conftest import STOPPABLE
from tests.small_models import save_small_model

TASK = ("-t", "eebench_agreement", "--limit", "12")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_small_model(tmp_path_factory.mktemp("models") / "small"))


def eebench(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def report(*arguments: str) -> dict[str, Any]:
    answer = eebench("report", "--format", "json", *arguments)
    assert answer.exit_code == 0, answer.output
    content: dict[str, Any] = json.loads(answer.stdout)
    return content


def refused(*arguments: str) -> str:
    """The one sentence that wrong input gets, with exit code 2 and no traceback."""
    answer = eebench(*arguments)
    assert answer.exit_code == 2, (answer.exit_code, answer.output)
    assert isinstance(answer.exception, SystemExit)
    (sentence,) = [line for line in answer.stderr.splitlines() if line.startswith("Error: ")]
    return sentence.removeprefix("Error: ")


class TestRunning:
    def test_all_policies_on_one_task_make_a_board(self, model: str) -> None:
        assert eebench("run", "-m", model, *TASK).exit_code == 0
        board = report()
        names = {row["policy"] for row in board["ranking"]}
        assert len(names) >= 12
        assert {"confidence", "gate", "oracle", "random", "static", "full"} <= names
        ranks = [row["rank"] for row in board["ranking"] if row["kind"] == "policy"]
        assert len(ranks) == 9
        assert ranks[0] == 1
        assert all(1 <= rank <= place for place, rank in enumerate(ranks, start=1))  # shared where nothing tells apart
        assert all(row["rank"] is None for row in board["ranking"] if row["bound"] or row["kind"] == "control")
        oracle = next(row for row in board["ranking"] if row["policy"] == "oracle")
        assert oracle["ee_score_layers"] == pytest.approx(100)

    def test_references_are_measured_with_any_policy(self, model: str) -> None:
        assert eebench("run", "-m", model, "-p", "entropy:threshold=0.5", *TASK).exit_code == 0
        assert [row["setting"] for row in report()["results"]] == ["entropy:threshold=0.5", "full", "oracle"]

    def test_the_json_contract(self, model: str) -> None:
        assert eebench("run", "-m", model, "-p", "patience:patience=1", *TASK).exit_code == 0
        board = report()
        ranking = "rank policy ee_score_layers ee_score_compute ee_score_quality skill_layers bound n_tasks n_models"
        result = (
            "model task policy params kv_mode metric quality quality_stderr quality_full chance retention num_layers "
            "mean_exit_layer layers_saved compute_saved lens_reads fidelity n_docs n_positions bound"
        )
        assert set(ranking.split()) <= board["ranking"][0].keys()
        assert set(result.split()) <= board["results"][0].keys()
        row = board["results"][0]
        assert (row["kv_mode"], row["metric"], row["n_docs"], row["num_layers"]) == ("full", "acc", 12, 5)
        assert row["layers_saved"] == pytest.approx(1 - row["mean_exit_layer"] / 5)

    def test_a_policy_in_a_file_is_ranked_with_the_others(self, model: str, tmp_path: Path) -> None:
        policy = tmp_path / "my_policy.py"
        policy.write_text(
            "from eebench.policy import Bools, ExitPolicy, LayerView, swept\n"
            "class Ratio(ExitPolicy):\n"
            "    threshold: float = swept(0.5, over=(0.2, 0.5))\n"
            "    def stops(self, layer: LayerView) -> Bools:\n"
            "        return layer.max_prob > self.threshold * layer.entropy_norm\n"
        )
        assert eebench("run", "-m", model, *TASK, "-p", "entropy").exit_code == 0
        assert eebench("run", "-m", model, *TASK, "-p", str(policy)).exit_code == 0
        rows = {row["policy"]: row for row in report()["ranking"]}
        assert rows["ratio"]["rank"] is not None
        assert {"entropy", "ratio", "oracle"} <= rows.keys()

    def test_dry_run_says_what_would_be_done_and_does_nothing(self, model: str) -> None:
        answer = eebench("run", "-m", model, *TASK, "--dry-run")
        assert answer.exit_code == 0
        assert "5 layers" in answer.stdout
        assert "eebench_agreement" in answer.stdout
        assert "TFLOP" in answer.stdout
        assert not traces_dir().exists()
        assert "no results yet" in refused("report")

    def test_nothing_is_overwritten(self, model: str) -> None:
        for _ in range(2):
            assert eebench("run", "-m", model, "-p", "full", *TASK).exit_code == 0
        from eebench.records.store import Store

        with Store.open() as store:
            assert [run.n_results for run in store.runs()] == [2, 2]
        assert len(report()["results"]) == 2

    def test_a_password_is_kept_nowhere(self, model: str) -> None:
        from eebench.cli.recording import _command

        command = _command("postgresql://me:secret@host/db")
        assert "secret" not in command


class TestTraces:
    def test_a_second_run_reuses_them_and_says_so(self, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
        assert eebench("run", "-m", model, "-p", "full", *TASK).exit_code == 0
        monkeypatch.setattr("eebench.task_traces.trace_documents", _never)
        answer = eebench("run", "-m", model, "-p", "entropy", *TASK)
        assert answer.exit_code == 0, answer.output
        assert "1 of 1 trace shards reused" in answer.stderr

    def test_no_cache_neither_reads_nor_writes_them(self, model: str) -> None:
        assert eebench("run", "-m", model, "-p", "full", *TASK, "--no-cache").exit_code == 0
        assert not traces_dir().exists()

    def test_a_damaged_trace_is_made_again_with_a_warning(self, model: str) -> None:
        assert eebench("run", "-m", model, "-p", "entropy", *TASK).exit_code == 0
        before = report()["results"]
        (shard,) = traces_dir().glob("*/*.parquet")
        content = bytearray(shard.read_bytes())
        content[len(content) // 2] ^= 1
        shard.write_bytes(content)
        answer = eebench("run", "-m", model, "-p", "entropy", *TASK)
        assert answer.exit_code == 0
        assert "was damaged; it is made again" in answer.stderr
        ignored = ("run", "finished")
        assert [{k: v for k, v in row.items() if k not in ignored} for row in before] == [
            {k: v for k, v in row.items() if k not in ignored} for row in report()["results"]
        ]

    def test_another_model_has_traces_of_its_own(self, model: str, tmp_path: Path) -> None:
        other = str(save_small_model(tmp_path / "other", seed=9))
        assert eebench("run", "-m", f"{model},{other}", "-p", "full", *TASK).exit_code == 0
        assert len(list(traces_dir().glob("*/*.parquet"))) == 2

    def test_a_stopped_run_goes_on_at_the_last_shard(self, model: str, monkeypatch: pytest.MonkeyPatch) -> None:
        limit = 3 * SHARD_DOCUMENTS
        command = ("run", "-m", model, "-p", "full", "-t", "eebench_agreement", "--limit", str(limit))
        traced: list[int] = []

        def stop_at_the_third(*arguments: Any) -> Any:
            if len(traced) == 2:
                raise KeyboardInterrupt
            traced.append(len(arguments[1]))
            return tracing.trace_documents(*arguments)

        monkeypatch.setattr("eebench.task_traces.trace_documents", stop_at_the_third)
        answer = eebench(*command)
        assert answer.exit_code == 130
        assert "the same command goes on from there" in answer.stderr
        traced.clear()
        answer = eebench(*command)
        assert answer.exit_code == 0
        assert traced == [SHARD_DOCUMENTS]
        assert "2 of 3 trace shards reused" in answer.stderr

    def test_a_larger_limit_uses_the_shards_of_a_smaller_one(self, model: str) -> None:
        task = ("run", "-m", model, "-p", "full", "-t", "eebench_agreement", "--limit")
        assert eebench(*task, str(SHARD_DOCUMENTS)).exit_code == 0
        assert "1 of 2 trace shards reused" in eebench(*task, str(2 * SHARD_DOCUMENTS)).stderr


def test_ctrl_c_ends_cleanly(model: str) -> None:
    command = [sys.executable, "-c", STOPPABLE, "run", "-m", model]
    command += ["-t", "eebench_passages,eebench_longwords", "--no-cache", "-p", "static"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("Tracing"):
            process.send_signal(signal.SIGINT)
            break
    said = process.stderr.read()
    assert process.wait() == 130
    assert "stopped; what was finished is kept" in said
    assert "Traceback" not in said


def _never(*_arguments: Any) -> Any:
    raise AssertionError("another pass over the model")


def writing_task(folder: Path, *generation: str) -> Path:
    """A generation task of one document."""
    (folder / "docs.jsonl").write_text('{"q": "a", "a": "b"}\n')
    task = folder / "write.yaml"
    task.write_text(
        "task: write\ndataset_path: json\ndataset_kwargs:\n  data_files:\n"
        f"    test: {folder / 'docs.jsonl'}\n"
        "test_split: test\noutput_type: generate_until\ndoc_to_text: '{{q}}'\ndoc_to_target: '{{a}}'\n"
        + ("generation_kwargs:\n" + "".join(f"  {line}\n" for line in generation) if generation else "")
        + "metric_list:\n  - metric: exact_match\n    aggregation: mean\n    higher_is_better: true\n"
    )
    return task


class TestWrongInput:
    def test_an_unknown_policy_is_named_with_those_near_it(self) -> None:
        assert "unknown policy 'entrpy': did you mean entropy?" in refused("run", "-p", "entrpy")

    def test_a_bad_parameter(self) -> None:
        assert "threshold=abc" in refused("run", "-p", "entropy:threshold=abc")

    def test_an_empty_and_a_reversed_sweep(self) -> None:
        assert "empty sweep" in refused("run", "-p", "entropy:threshold=0.1..2/0")
        assert "turn it round" in refused("run", "-p", "patience:patience=8..1")

    def test_an_unknown_model(self) -> None:
        assert "unknown model 'smollm2-135': did you mean smollm2-135m" in refused("run", "-m", "smollm2-135", *TASK)

    def test_an_unknown_task(self, model: str) -> None:
        sentence = refused("run", "-m", model, "-t", "arc_esy")
        assert "unknown task 'arc_esy'" in sentence
        assert "arc_easy" in sentence

    def test_a_task_file_that_is_not_there(self, model: str) -> None:
        assert "no task file at ./my.yaml" in refused("run", "-m", model, "-t", "./my.yaml")

    def test_a_generation_task_that_leaves_no_room_for_its_prompt(self, model: str, tmp_path: Path) -> None:
        sentence = refused("run", "-m", model, "-t", str(writing_task(tmp_path)))
        assert "task write cannot be decoded: its longest answer leaves no room for a prompt in a model" in sentence
        assert "give a lower --max-gen-toks" in sentence

    def test_a_generation_task_that_asks_for_sampling(self, model: str, tmp_path: Path) -> None:
        task = writing_task(tmp_path, "do_sample: true", "temperature: 0.7", "max_gen_toks: 4")
        assert "it asks for do_sample=True, and EEBench decodes greedily" in refused(
            "run", "-m", model, "-t", str(task)
        )

    def test_a_task_without_a_metric_that_is_a_number(self, model: str, tmp_path: Path) -> None:
        task = tmp_path / "silent.yaml"
        (tmp_path / "docs.jsonl").write_text('{"q": "a", "a": "b"}\n')
        task.write_text(
            "task: silent\ndataset_path: json\ndataset_kwargs:\n  data_files:\n"
            f"    test: {tmp_path / 'docs.jsonl'}\n"
            "test_split: test\noutput_type: loglikelihood\ndoc_to_text: '{{q}}'\ndoc_to_target: '{{a}}'\n"
            "metric_list:\n  - metric: bypass\n    aggregation: bypass\n    higher_is_better: true\n"
        )
        sentence = refused("run", "-m", model, "-t", str(task))
        assert "task 'silent' defines no metric that is a number" in sentence

    def test_a_damaged_task_file(self, model: str, tmp_path: Path) -> None:
        task = tmp_path / "damaged.yaml"
        task.write_text("task: damaged\n  output_type: [")
        assert f"task '{task}' could not be loaded" in refused("run", "-m", model, "-t", str(task))

    def test_a_layer_the_model_does_not_have(self, model: str) -> None:
        assert "layer=9, but the model has 5 layers" in refused("run", "-m", model, "-p", "static:layer=9", *TASK)

    def test_a_policy_that_raises_keeps_what_was_finished(self, model: str, tmp_path: Path) -> None:
        policy = tmp_path / "broken.py"
        policy.write_text(
            "from eebench.policy import ExitPolicy\n"
            "class Broken(ExitPolicy):\n"
            "    def stops(self, layer):\n"
            "        return layer.entropy / 'a'\n"
        )
        sentence = refused("run", "-m", model, "-p", f"full,oracle,{policy}", *TASK)
        assert "policy broken raised" in sentence
        assert [row["setting"] for row in report()["results"]] == ["full", "oracle"]

    @pytest.mark.parametrize("limit", ["0", "-3"])
    def test_a_limit_of_nothing(self, limit: str) -> None:
        assert "--limit" in refused("run", "--limit", limit)

    def test_no_such_device_and_dtype(self, model: str) -> None:
        assert "no device 'banana'" in refused("run", "-m", model, "--device", "banana", *TASK)
        assert "dtype 'float7'" in refused("run", "-m", model, "--dtype", "float7", *TASK)

    def test_a_batch_size_of_nothing(self) -> None:
        assert "--batch-size 0" in refused("run", "--batch-size", "0")

    def test_a_database_that_cannot_be_opened_or_is_another_programs(self, model: str, tmp_path: Path) -> None:
        import sqlite3

        full = ("run", "-m", model, "-p", "full", *TASK)
        missing = tmp_path / "no" / "such" / "results.db"
        assert str(missing) in refused(*full, "--db", str(missing))
        other = tmp_path / "other.db"
        with sqlite3.connect(other) as database:
            database.execute("create table recipes (name text)")
        content = other.read_bytes()
        assert "EEBench" in refused(*full, "--db", str(other))
        assert other.read_bytes() == content
        text = tmp_path / "text.db"
        text.write_text("this is not a database, whatever its name says, and it is long enough to be one" * 10)
        assert str(text) in refused(*full, "--db", str(text))

    def test_datasets_dir_that_is_not_there(self) -> None:
        assert "does not exist" in refused("run", "--datasets-dir", "./no-such-folder")
