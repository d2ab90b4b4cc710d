"""`eebench report`: its options, its other views, and what it says of wrong input."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from eebench.cli.report import report
from eebench.records.store import Store
from eebench.reports.text import FORMATS
from tests.records import evaluation, provenance, result, summary, timing

# --- the command -------------------------------------------------------------------------------------------------


@pytest.fixture
def db(tmp_path: Path) -> str:
    """A database with three policies on two tasks, and an older result that cannot be compared."""
    path = str(tmp_path / "results.db")
    with Store.open(path) as store:
        run = store.begin_run(provenance())
        old = store.add_evaluation(run, evaluation(task_version="0"))
        store.add_result(old, result())
        for task in ("agreement", "facts"):
            kept = store.add_evaluation(run, evaluation(task=task))
            for policy, kind in (("entropy", "policy"), ("patience", "policy"), ("oracle", "bound")):
                store.add_result(kept, result(policy, kind=kind))
    return path


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(report, arguments, env={"COLUMNS": "100"}, catch_exceptions=False)


def test_the_command_prints_a_table_of_the_newest_results(db: str) -> None:
    said = invoke("--db", db)
    assert said.exit_code == 0
    assert said.stdout.startswith("Exit policies ranked by layers saved, tiny on 2 tasks, 8 documents\n")
    assert "Left out: 1 older result of tiny on agreement, measured with another task version." in said.stdout
    assert said.stderr == ""


def test_the_database_may_be_named_by_the_environment(db: str) -> None:
    said = CliRunner().invoke(report, ["--format", "json"], env={"EEBENCH_DB": db})
    assert len(json.loads(said.stdout)["results"]) == 6


def test_models_tasks_and_policies_may_be_repeated_or_separated_by_commas(db: str) -> None:
    said = invoke("--db", db, "--format", "json", "-t", "facts", "-p", "entropy,oracle", "-m", "tiny")
    made = json.loads(said.stdout)
    assert {(record["task"], record["policy"]) for record in made["results"]} == {
        ("facts", "entropy"),
        ("facts", "oracle"),
    }
    assert {record["policy"] for record in made["ranking"]} == {"entropy", "oracle"}


def test_json_goes_to_stdout_alone_and_its_notes_to_stderr(db: str) -> None:
    said = invoke("--db", db, "--format", "json")
    assert set(json.loads(said.stdout)) == {"ranking", "results", "timings"}
    assert "Left out: 1 older result of tiny on agreement" in said.stderr


def test_rank_by_is_what_the_table_says_it_is_ranked_by(db: str) -> None:
    assert invoke("--db", db, "--rank-by", "compute").stdout.startswith("Exit policies ranked by compute saved")


def test_results_shows_every_setting(db: str) -> None:
    said = invoke("--db", db, "--results")
    assert said.stdout.count("threshold=0.5") == 6


@pytest.mark.parametrize("form", ["table", *FORMATS])
def test_output_writes_the_report_to_a_file_in_one_piece(db: str, tmp_path: Path, form: str) -> None:
    path = tmp_path / "report"
    path.write_text("an older report")
    said = invoke("--db", db, "--format", form, "--output", str(path))
    assert said.exit_code == 0
    assert said.stdout == ""
    assert said.stderr.endswith(f"Written to {path}.\n")
    text = path.read_text(encoding="utf-8")
    assert "entropy" in text
    assert "\x1b" not in text
    assert sorted(tmp_path.glob("*report*")) == [path]


def test_output_to_a_link_writes_where_it_points(db: str, tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    invoke("--db", db, "--format", "csv", "--output", str(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there").read_text().startswith("rank,policy")


def test_output_to_a_device_does_not_take_its_place(db: str) -> None:
    said = invoke("--db", db, "--format", "csv", "--output", os.devnull)
    assert said.exit_code == 0
    assert not Path(os.devnull).is_file()


def test_output_to_a_missing_folder_is_a_sentence(db: str, tmp_path: Path) -> None:
    path = tmp_path / "none" / "report.md"
    said = invoke("--db", db, "--output", str(path))
    assert said.exit_code == 2
    assert said.stderr == f"Error: {path} cannot be written: there is no folder {path.parent}\n"


def test_output_that_cannot_be_written_is_a_sentence(db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    said = invoke("--db", db, "--output", str(tmp_path / "report.md"))
    assert said.exit_code == 2
    assert said.stderr == f"Error: {tmp_path / 'report.md'} cannot be written: No space left on device\n"
    assert not (tmp_path / "report.md").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "tony"], "unknown model 'tony': did you mean tiny? There are results of tiny."),
        (["--task", "fact"], "unknown task 'fact': did you mean facts? There are results of agreement, facts."),
        (["--policy", "oracel"], "unknown policy 'oracel': did you mean oracle?"),
        (["--db", "none.db"], "no results yet in none.db: start with `eebench run`"),
    ],
)
def test_bad_input_is_one_sentence(db: str, arguments: list[str], said: str) -> None:
    answer = invoke("--db", db, *arguments)
    assert answer.exit_code == 2
    assert answer.stdout == ""
    assert answer.stderr.startswith(f"Error: {said}")
    assert answer.stderr.count("\n") == 1


def test_the_command_imports_nothing_heavy(executed: str) -> None:
    script = (
        "import sys; from eebench.cli.report import report; report(sys.argv[1:], standalone_mode=False);"
        "print(sorted({'torch', 'lm_eval', 'transformers', 'alembic', 'scipy', 'sklearn'}"
        " & set(sys.modules)))"
    )
    for view in ([], ["--by", "time"], ["--by", "kv-mode"]):
        command = [sys.executable, "-c", script, "--db", executed, *view]
        said = subprocess.run(command, check=True, capture_output=True, text=True)
        assert said.stdout.splitlines()[-1] == "[]"


# --- the command's other views -----------------------------------------------------------------------------------


@pytest.fixture
def executed(db: str) -> str:
    """The same database after executions and timings."""
    with Store.open(db) as store:
        run = store.begin_run(provenance())
        for mode in ("full", "copy"):
            kept = store.add_evaluation(run, evaluation(task="lists", kv_mode=mode, coin_end={}))
            for policy in ("entropy", "patience"):
                store.add_result(kept, result(policy, summaries={"all": summary(answer_length=12.5)}))
        store.add_timings(run, [timing("full"), timing(), timing("entropy:threshold=0.5"), timing(model="other")])
    return db


def test_the_board_ranks_kv_mode_full_and_names_the_others(executed: str) -> None:
    said = invoke("--db", executed).stdout
    assert said.startswith("Exit policies ranked by layers saved, tiny on 3 tasks, 12 documents\n")
    assert "Also measured under other KV modes: copy (eebench report --kv-mode copy)." in said
    assert "Measured time, tiny (float32)" in said
    assert "Measured time, other" not in said


def test_another_kv_mode_is_shown_on_request(executed: str) -> None:
    said = invoke("--db", executed, "--kv-mode", "copy")
    assert said.exit_code == 0
    assert "Exit policies under KV mode copy, tiny on lists" in said.stdout
    assert "no EE-scores and no ranks under KV mode copy" in " ".join(said.stdout.split())
    made = json.loads(invoke("--db", executed, "--kv-mode", "copy", "--format", "json").stdout)
    assert {record["kv_mode"] for record in made["results"]} == {"copy"}
    assert {record["ee_score_layers"] for record in made["ranking"]} == {None}


@pytest.fixture
def in_two_metrics(db: str) -> str:
    """The same database after one task was measured in another metric, under two KV modes."""
    with Store.open(db) as store:
        run = store.begin_run(provenance())
        for mode in ("full", "copy"):
            kept = store.add_evaluation(run, evaluation(metric="acc_norm", kv_mode=mode))
            for policy, kind in (("state", "policy"), ("oracle", "bound")):
                store.add_result(kept, result(policy, kind=kind))
    return db


def test_a_metric_is_ranked_apart_on_request(in_two_metrics: str) -> None:
    made = json.loads(invoke("--db", in_two_metrics, "--metric", "acc_norm", "--format", "json").stdout)
    assert {(record["task"], record["metric"]) for record in made["results"]} == {("agreement", "acc_norm")}
    assert {record["policy"] for record in made["ranking"]} == {"state", "oracle"}
    made = json.loads(invoke("--db", in_two_metrics, "--metric", "acc", "--format", "json").stdout)
    assert {record["metric"] for record in made["results"]} == {"acc,none"}
    assert {record["task"] for record in made["results"]} == {"agreement", "facts"}


def test_the_newest_metric_of_a_task_is_shown_and_the_others_are_told(in_two_metrics: str) -> None:
    said = invoke("--db", in_two_metrics)
    left_out = (
        "Left out: 4 older results of tiny on agreement, measured with another task version or another main metric."
    )
    assert left_out in " ".join(said.stdout.split())


@pytest.mark.parametrize("view", ["model", "family", "level", "kv-mode"])
def test_other_views_take_a_metric(in_two_metrics: str, view: str) -> None:
    assert invoke("--db", in_two_metrics, "--by", view, "--metric", "acc_norm").exit_code == 0
    answer = invoke("--db", in_two_metrics, "--by", view, "--metric", "f1")
    assert answer.exit_code == 2
    assert answer.stderr.startswith(
        "Error: no results measured in f1 yet: there are some in acc, acc_norm, and `eebench"
    )


def test_models_are_ranked_by_what_was_measured_in_the_metric_named(in_two_metrics: str) -> None:
    tasks = {}
    for metric in ("acc", "acc_norm"):
        said = invoke("--db", in_two_metrics, "--by", "model", "--metric", metric, "--format", "json").stdout
        (record,) = json.loads(said)["models"]
        tasks[metric] = record["n_tasks"]
    assert tasks == {"acc": 2, "acc_norm": 1}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("view", "name"), [("kv-mode", "kv_modes"), ("time", "timings")])
def test_other_views_come_in_every_format(executed: str, form: str, view: str, name: str) -> None:
    said = invoke("--db", executed, "--by", view, "--format", form)
    assert said.exit_code == 0
    assert "entropy:threshold=0.5" in said.stdout
    if form == "json":
        (key,) = json.loads(said.stdout)
        assert key == name


def test_views_show_the_models_tasks_and_policies_named(executed: str) -> None:
    said = invoke("--db", executed, "--by", "time", "--format", "csv", "-m", "tiny", "-p", "entropy")
    assert [line["setting"] for line in csv.DictReader(io.StringIO(said.stdout))] == ["entropy:threshold=0.5"]
    said = invoke("--db", executed, "--by", "kv-mode", "--format", "csv", "-p", "patience", "-t", "lists")
    assert {line["policy"] for line in csv.DictReader(io.StringIO(said.stdout))} == {"patience"}


def test_measured_time_needs_no_results(tmp_path: Path) -> None:
    path = str(tmp_path / "timed.db")
    with Store.open(path) as store:
        store.add_timings(store.begin_run(provenance()), [timing("full"), timing()])
    assert "static:layer=3" in invoke("--db", path, "--by", "time").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--by", "time"], "nothing has been timed here yet: `eebench time` does."),
        (["--by", "kv-mode"], "nothing has been measured under more than one KV mode on the same documents yet"),
        (["--kv-mode", "copy"], "no results under KV mode copy yet: there are some under full, as in `eebench report"),
        (["--by", "time", "--metric", "acc"], "--metric says what quality is measured in, and --by time shows none."),
        (["--by", "time", "--results"], "--results goes with the ranking of policies, not with --by time."),
        (["--by", "model", "-p", "entropy"], "--by model shows the best policy by layers: leave out --policy."),
        (
            ["--by", "family", "--rank-by", "quality"],
            "--by family shows the best policy by layers: leave out --rank-by.",
        ),
        (["--top", "1", "-p", "oracle"], "--top shows the first of the ranked policies, and none of these is ranked"),
        (["--top", "1", "-p", "entrpy"], "unknown policy 'entrpy'"),
    ],
)
def test_a_view_of_nothing_is_one_sentence(db: str, arguments: list[str], said: str) -> None:
    answer = invoke("--db", db, *arguments)
    assert answer.exit_code == 2
    assert answer.stderr.startswith(f"Error: {said}")
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize("view", ["kv-mode", "time"])
def test_an_unknown_policy_in_a_view_is_named_with_near_ones(executed: str, view: str) -> None:
    answer = invoke("--db", executed, "--by", view, "-p", "entrpy")
    assert answer.exit_code == 2
    assert "unknown policy 'entrpy': did you mean entropy?" in answer.stderr


@pytest.mark.parametrize("form", ["table", *FORMATS])
@pytest.mark.parametrize("view", ["policy", "model", "family", "level"])
def test_every_view_comes_in_every_format(db: str, view: str, form: str) -> None:
    answer = invoke("--db", db, "--by", view, "--format", form)
    assert answer.exit_code == 0, answer.output
    assert answer.stdout.strip()


def test_the_first_of_some_policies_are_those_of_the_ranking(db: str) -> None:
    both = invoke("--db", db, "--top", "1")
    assert both.stdout.count("entropy") > 0
    chosen = json.loads(invoke("--db", db, "--top", "1", "-p", "patience,oracle", "--format", "json").stdout)
    assert [row["policy"] for row in chosen["ranking"]] == ["patience"]
