"""`eebench run --metric`: quality in a metric that is named, on every task that defines it; all else is unchanged."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import eebench as api
from eebench.cache import traces_dir
from eebench.cli import main
from eebench.errors import EEBenchError
from eebench.harness import LoadedTask, TaskOptions, load_tasks
from eebench.metrics import find_metric, metrics_of, spelled
from eebench.named_metric import named_metric
from eebench.plugins.registry import find_policy
from eebench.quality import drawn_quality, follows, is_mean
from eebench.records.store import Run
from eebench.run import evaluation_of
from eebench.site.commands import command
from eebench.subject import Subject, load_subject
from eebench.task_traces import trace_task
from tests.records import evaluation, provenance, stored
from tests.small_models import save_small_model

OPTIONS = TaskOptions(limit=12)
CHOICE, WORD, ROLLING = "eebench_longwords", "eebench_lastword", "eebench_passages"
LIMIT = ("--limit", "12")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_small_model(tmp_path_factory.mktemp("models") / "small"))


@pytest.fixture(scope="module")
def subject(model: str) -> Subject:
    return load_subject(model)


@pytest.fixture(scope="module")
def tasks() -> dict[str, LoadedTask]:
    return {task.name: task for task in load_tasks([CHOICE, WORD, ROLLING], OPTIONS)}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["run", "-p", "static", *LIMIT, *arguments])


def ran(*arguments: str) -> Result:
    answer = run(*arguments)
    assert answer.exit_code == 0, answer.output
    return answer


def report(*arguments: str) -> list[dict[str, Any]]:
    answer = CliRunner().invoke(main, ["report", "--format", "json", *arguments])
    assert answer.exit_code == 0, answer.output
    rows: list[dict[str, Any]] = json.loads(answer.stdout)["results"]
    return rows


def compared(*arguments: str) -> str:
    answer = CliRunner().invoke(main, ["compare", "static:layer=1", "static:layer=2", *arguments])
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def refused(*arguments: str) -> str:
    """The one sentence that wrong input gets, with exit code 2 and no traceback."""
    answer = CliRunner().invoke(main, arguments)
    assert answer.exit_code == 2, answer.output
    assert isinstance(answer.exception, SystemExit)
    (sentence,) = [line for line in answer.stderr.splitlines() if line.startswith("Error: ")]
    return sentence.removeprefix("Error: ")


def a_task(folder: Path, output_type: str, metrics: str, filters: str = "") -> str:
    """A task of three documents in a file."""
    folder.mkdir()
    rows = [{"q": f"{number} ", "choices": ["b", "cc"], "a": "b", "gold": number % 2} for number in range(3)]
    (folder / "docs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    target = (
        "doc_to_choice: choices\ndoc_to_target: gold\n"
        if output_type == "multiple_choice"
        else "doc_to_target: '{{a}}'\n"
    )
    path = folder / "task.yaml"
    path.write_text(
        f"task: {folder.name}\ndataset_path: json\ndataset_kwargs:\n  data_files:\n"
        f"    test: {folder / 'docs.jsonl'}\n"
        f"test_split: test\noutput_type: {output_type}\ndoc_to_text: '{{{{q}}}}'\n"
        f"{target}{filters}"
        f"metric_list:\n{metrics}"
    )
    return str(path)


FILTERS = "".join(
    f"  - name: {name}\n    filter:\n      - function: regex\n        regex_pattern: '(no such text)'\n"
    f"        fallback: {fallback}\n      - function: take_first\n"
    for name, fallback in (("never", "c"), ("always", "b"))
)
"""A filter that makes a wrong answer of every text, and then one that makes a right one."""


@pytest.fixture
def filtered(tmp_path: Path) -> str:
    """A generation task whose answers are taken through two filters."""
    exact = "  - metric: exact_match\n    aggregation: mean\n    higher_is_better: true\n"
    decoding = "generation_kwargs:\n  max_gen_toks: 3\n"
    return a_task(tmp_path / "filtered", "generate_until", exact, f"{decoding}filter_list:\n{FILTERS}")


# --- the scorer --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "metric", "direction", "chance"),
    [
        (CHOICE, "acc_norm", 1, 1 / 3),
        (CHOICE, "acc_norm,none", 1, 1 / 3),
        (WORD, "perplexity", -1, None),
        (ROLLING, "byte_perplexity", -1, 384.0),  # one token per byte
    ],
)
def test_quality_retention_and_chance_are_those_of_the_named_metric(
    subject: Subject, tasks: dict[str, LoadedTask], task: str, metric: str, direction: int, chance: float | None
) -> None:
    traced = trace_task(subject, tasks[task], OPTIONS, metric=metric)
    name = metric.removesuffix(",none")
    made = evaluation_of(subject, tasks[task], OPTIONS, traced)
    assert (made.metric, made.metric_direction) == (name, direction)
    assert chance is None or made.chance == pytest.approx(chance, rel=1e-5)
    assert made.chance > 0
    result = traced.scorer.score(find_policy("static")(layer=1))  # type: ignore[call-arg]
    figures, full = result.summaries["all"], traced.scorer.score(find_policy("full")())
    assert figures.quality == result.metrics[f"{name},none"].value
    assert result.quality_full == full.metrics[f"{name},none"].value
    assert figures.quality is not None
    assert result.quality_full is not None
    assert figures.quality != result.quality_full
    expected = (figures.quality - made.chance) / (result.quality_full - made.chance)
    assert figures.retention == pytest.approx(expected)


def test_all_that_is_not_quality_is_the_same_in_every_metric(subject: Subject, tasks: dict[str, LoadedTask]) -> None:
    one, other = (trace_task(subject, tasks[CHOICE], OPTIONS, metric=metric) for metric in (None, "acc_norm"))
    a, b = (traced.scorer.score(find_policy("oracle")()) for traced in (one, other))
    assert a.metrics == b.metrics
    assert a.exit_histogram == b.exit_histogram
    assert a.summaries["all"].quality != b.summaries["all"].quality
    assert a.summaries["all"].fidelity == b.summaries["all"].fidelity


def test_a_metric_that_the_task_does_not_define_is_told_with_those_it_does(
    subject: Subject, tasks: dict[str, LoadedTask]
) -> None:
    with pytest.raises(EEBenchError) as raised:
        trace_task(subject, tasks[CHOICE], OPTIONS, metric="f1")
    assert raised.value.message == (
        "task 'eebench_longwords' defines no metric 'f1' that is a number: there are acc, acc_norm."
    )


def test_a_plain_name_is_the_first_filter_that_has_it() -> None:
    keys = [("acc", "none"), ("exact_match", "strict"), ("exact_match", "flexible")]
    assert find_metric("exact_match", keys) == ("exact_match", "strict")
    assert find_metric("exact_match,flexible", keys) == ("exact_match", "flexible")
    assert find_metric("acc,none", keys) == ("acc", "none")
    assert find_metric("exact_match,none", keys) is None
    assert find_metric("exact", keys) is None
    assert spelled(keys) == ["acc", "exact_match", "exact_match,flexible"]
    assert [find_metric(name, keys) for name in spelled(keys)] == keys


def test_a_metric_is_what_it_is_under_any_filter() -> None:
    assert follows("exact_match,flexible-extract")
    assert is_mean("exact_match,flexible-extract")
    assert not follows("f1,flexible-extract")


def test_a_document_weighs_alike_under_any_filter() -> None:
    import numpy as np

    items, weights = np.array([[1.0, 1.0], [0.0, 1.0]]), np.array([[1.0, 1.0], [2.0, 0.0]])
    drawn = drawn_quality("exact_match,flexible-extract", items, weights)
    assert drawn is not None
    assert drawn.tolist() == [0.5, 1.0]


# --- the plan ----------------------------------------------------------------------------------------------------


def test_the_metrics_of_a_task_are_known_without_a_model(tasks: dict[str, LoadedTask], filtered: str) -> None:
    (written,) = load_tasks([filtered], OPTIONS)
    assert spelled(metrics_of(tasks[CHOICE], OPTIONS)) == ["acc", "acc_norm"]
    assert set(spelled(metrics_of(tasks[WORD], OPTIONS))) == {"acc", "perplexity"}
    assert spelled(metrics_of(written, OPTIONS)) == ["exact_match", "exact_match,always"]


def test_asking_for_them_does_not_change_the_tasks_requests(subject: Subject) -> None:
    options = TaskOptions(limit=20, num_fewshot=2)
    (plain,), (asked,) = (load_tasks(["eebench_agreement"], options) for _ in range(2))
    metrics_of(asked, options)
    one, other = (task.requests(options, subject.encoder) for task in (plain, asked))
    assert [request.args for request in one] == [request.args for request in other]


def test_tasks_that_lack_it_keep_their_own(tasks: dict[str, LoadedTask]) -> None:
    named = named_metric("acc_norm", list(tasks.values()), OPTIONS)
    assert [named.of(task) for task in tasks.values()] == ["acc_norm", None, None]
    assert named.keeps_their_own() == (
        "metric acc_norm is not defined by eebench_lastword, eebench_passages, where quality stays the task's own main "
        "metric."
    )


# --- the command that measures it again --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recorded", "given", "again"),
    [
        ("acc_norm", "acc_norm", "--metric acc_norm"),
        ("exact_match", "exact_match,strict", "--metric exact_match,strict"),
        ("bits_per_byte", "acc_norm", ""),  # a task that lacks it, alone on the line
    ],
)
def test_a_row_is_measured_again_in_its_metric(recorded: str, given: str, again: str) -> None:
    text = f"eebench run -t a,b --metric {given}"
    runs = {1: Run(1, "finished", "2026-01-02", None, provenance(command=text), 1)}
    said = command([stored(of=evaluation(metric=recorded))], runs)
    assert (again in said) if again else ("--metric" not in said)


# --- the command -------------------------------------------------------------------------------------------------


def test_a_run_measures_in_it_and_warns_once_of_tasks_that_lack_it(model: str) -> None:
    answer = ran("-m", model, "-t", f"{CHOICE},{WORD}", "--metric", "acc_norm")
    (warning,) = [line for line in answer.stderr.splitlines() if "metric acc_norm" in line]
    assert warning.startswith("Warning: metric acc_norm is not defined by eebench_lastword, where quality stays")
    assert {(row["task"], row["metric"]) for row in report()} == {(CHOICE, "acc_norm"), (WORD, "acc")}
    for row in report():
        assert row["quality"] == row["metrics"][f"{row['metric']},none"]["value"]
        assert row["quality_stderr"] == row["metrics"][f"{row['metric']},none"]["stderr"]
    assert "Warning" not in ran("-m", model, "-t", CHOICE, "--metric", "acc_norm").stderr


def test_another_metric_needs_no_other_pass_over_the_model(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ran("-m", model, "-t", CHOICE)

    def never(*_arguments: Any) -> Any:
        raise AssertionError("another pass over the model")

    monkeypatch.setattr("eebench.task_traces.trace_documents", never)
    assert "1 of 1 trace shards reused" in ran("-m", model, "-t", CHOICE, "--metric", "acc_norm").stderr


@pytest.mark.parametrize("order", [(None, "acc_norm"), ("acc_norm", None)])
def test_what_is_kept_beside_a_trace_names_the_tasks_own_metric_whichever_a_run_names(
    model: str, order: tuple[str | None, ...]
) -> None:
    kept = []
    for metric in order:
        ran("-m", model, "-t", CHOICE, *(("--metric", metric) if metric else ()))
        (manifest,) = traces_dir().glob("*/documents-*.json")
        kept.append(manifest.read_bytes())
    assert kept[0] == kept[1]
    said = json.loads(kept[0])
    assert (said["metric"], said["metric_direction"], said["chance"]) == ("acc", 1, pytest.approx(1 / 3))


def test_what_guessing_reaches_in_the_tasks_own_metric_is_kept_of_a_run_in_another_kind_of_metric(model: str) -> None:
    ran("-m", model, "-t", WORD, "--metric", "perplexity")
    (manifest,) = traces_dir().glob("*/documents-*.json")
    said = json.loads(manifest.read_bytes())
    assert (said["metric"], said["metric_direction"], said["chance"]) == ("acc", 1, 0.0)


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_metric_that_no_task_defines_is_refused_and_nothing_is_stored(model: str, dry: tuple[str, ...]) -> None:
    sentence = refused("run", "-m", model, "-t", f"{CHOICE},{WORD}", *LIMIT, "--metric", "acc_nrm", *dry)
    assert sentence.startswith("no task here defines a metric 'acc_nrm': there are acc, acc_norm, perplexity")
    assert not traces_dir().exists()
    assert "no results yet" in refused("report")


def test_a_dry_run_says_what_quality_would_be_measured_in(model: str) -> None:
    said = " ".join(ran("-m", model, "-t", f"{CHOICE},{WORD}", "--metric", "acc_norm", "--dry-run").stdout.split())
    assert "Quality is measured in acc_norm. But metric acc_norm is not defined by eebench_lastword, where" in said


def test_metrics_of_one_task_are_ranked_apart(model: str) -> None:
    ran("-m", model, "-t", CHOICE, "--metric", "acc_norm")
    ran("-m", model, "-t", CHOICE)
    assert {row["metric"] for row in report()} == {"acc"}
    assert {row["metric"] for row in report("--metric", "acc_norm")} == {"acc_norm"}
    answer = CliRunner().invoke(main, ["report"])
    assert f"of {model} on {CHOICE}, measured with another main metric." in " ".join(answer.stdout.split())
    assert "there are some in acc_norm, acc" in refused("report", "--metric", "f1")


def test_a_filter_is_part_of_what_quality_is_measured_in(model: str, filtered: str) -> None:
    """Two filters of one metric are never mixed; the first goes by the metric's name, however it was named."""
    for name, recorded, reached in (
        ("exact_match,always", "exact_match,always", 1.0),
        ("exact_match,never", "exact_match", 0.0),
        ("exact_match", "exact_match", 0.0),
    ):
        ran("-m", model, "-t", filtered, "--metric", name)
        rows = report("--metric", name)
        assert {row["metric"] for row in rows} == {recorded}
        assert {row["quality"] for row in rows} == {reached}
        assert {row["quality_full"] for row in rows} == {reached}
    assert {row["metric"] for row in report("--metric", "exact_match,always")} == {"exact_match,always"}
    assert {row["metric"] for row in report()} == {"exact_match"}


def test_a_metric_whose_documents_have_no_number_of_their_own(model: str, tmp_path: Path) -> None:
    metrics = "  - metric: acc\n  - metric: f1\n    aggregation: f1\n    higher_is_better: true\n"
    ran("-m", model, "-t", a_task(tmp_path / "scored", "multiple_choice", metrics), "--metric", "f1")
    for row in report():
        assert row["metric"] == "f1"
        assert row["quality"] == row["metrics"]["f1,none"]["value"]
    found = json.loads(compared("--format", "json"))
    assert (found["changed"], found["same"]) == ([], 0)
    (aggregate_only,) = found["aggregate_only"]
    assert aggregate_only["metric"] == "f1"
    assert f"{aggregate_only['task']} is measured in f1, which no single document has." in " ".join(compared().split())


def test_documents_that_changed_are_told_apart_in_the_metric_itself(model: str) -> None:
    """A perplexity is the geometric mean of its documents', and no sum of log-probabilities."""
    ran("-m", model, "-t", WORD, "--metric", "perplexity")
    found = json.loads(compared("--metric", "perplexity", "--format", "json"))
    assert found["same"] == 0
    (quality,) = [measure for measure in found["measures"] if measure["name"] == "quality"]
    for side in "ab":
        assert statistics.geometric_mean(one[side] for one in found["changed"]) == pytest.approx(quality[side])


def test_a_bundle_under_another_filter_is_consistent(
    model: str, filtered: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran("-m", model, "-t", filtered, "--metric", "exact_match,always")
    assert CliRunner().invoke(main, ["export", "-o", str(tmp_path / "bundle")]).exit_code == 0
    monkeypatch.setenv("EEBENCH_CACHE", str(tmp_path / "no-cache"))
    verified = CliRunner().invoke(main, ["leaderboard", "verify", str(tmp_path / "bundle")])
    assert verified.exit_code == 0, verified.output


def test_the_api_takes_it_as_well(model: str) -> None:
    results, _ranking = api.evaluate("static", model, CHOICE, limit=12, metric="acc_norm", use_cache=False)
    assert set(results["metric"]) == {"acc_norm"}
    measured = api.trace(model, CHOICE, limit=12, metric="acc_norm", use_cache=False)
    assert measured.evaluation.metric == "acc_norm"
    with pytest.raises(EEBenchError, match="defines no metric 'f1'"):
        api.trace(model, CHOICE, limit=12, metric="f1", use_cache=False)
