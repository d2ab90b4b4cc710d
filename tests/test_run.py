"""The whole path on small random models: EEBench's numbers are plain lm-eval's, at full depth and at every cut."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM

from eebench.harness import LoadedTask, TaskOptions, load_tasks
from eebench.plugins.registry import find_policy
from eebench.policy import ExitPolicy
from eebench.run import evaluation_of
from eebench.spec import parse_policies, settings_for
from eebench.subject import Subject, load_subject
from eebench.task_traces import Traced, trace_task
from tests.small_models import FAMILIES, LAYERS, save_small_model
from tests.test_lens import cut

TASKS = ("eebench_agreement", "eebench_longwords", "eebench_lastword", "eebench_passages")
OPTIONS = TaskOptions(limit=6)


@pytest.fixture(scope="module")
def tasks() -> dict[str, LoadedTask]:
    return {task.name: task for task in load_tasks(TASKS, OPTIONS)}


@pytest.fixture(scope="module", params=FAMILIES)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = save_small_model(tmp_path_factory.mktemp(request.param), request.param, seed=3)
    return load_subject(str(folder))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return load_subject(str(save_small_model(tmp_path_factory.mktemp("llama"))))


def setting(text: str) -> ExitPolicy:
    (policy,) = settings_for(parse_policies([text]), LAYERS)
    return policy


def plain_lm_eval(model: Any, tokenizer: Any, task: LoadedTask) -> dict[str, float]:
    """Every metric of a task as lm-eval's own `hf` model gives it."""
    lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=4)
    task.task.set_fewshot_seed(OPTIONS.seed)
    results = evaluate(lm, {"tasks": {task.name: task.task}}, limit=OPTIONS.limit, bootstrap_iters=0)
    assert results is not None
    values = results["results"][task.name]
    return {key: value for key, value in values.items() if "," in key and "stderr" not in key}


def scored(traced: Traced, text: str) -> dict[str, float | None]:
    return {key: metric.value for key, metric in traced.scorer.score(setting(text)).metrics.items()}


@pytest.mark.parametrize("name", TASKS)
def test_full_is_plain_lm_eval_and_static_k_is_the_model_cut_at_k(
    subject: Subject, tasks: dict[str, LoadedTask], name: str
) -> None:
    traced = trace_task(subject, tasks[name], OPTIONS)
    for k in range(1, LAYERS + 1):
        plain = plain_lm_eval(cut(subject.loaded.model, k), subject.loaded.tokenizer, tasks[name])
        replayed = scored(traced, f"static:layer={k}")
        assert replayed.keys() == plain.keys()
        for metric, value in plain.items():
            assert replayed[metric] == pytest.approx(value, rel=1e-4, abs=1e-4), (k, metric)
    assert scored(traced, "full") == replayed


@pytest.mark.parametrize("name", TASKS)
def test_batch_size_changes_nothing(llama: Subject, tasks: dict[str, LoadedTask], name: str) -> None:
    single = trace_task(llama, tasks[name], OPTIONS, batch_size=1).trace
    for batch_size in (3, 64, None):
        batched = trace_task(llama, tasks[name], OPTIONS, batch_size=batch_size).trace
        np.testing.assert_allclose(batched.target_logprob, single.target_logprob, atol=1e-4)
        np.testing.assert_array_equal(batched.key, single.key)
        for statistic, values in single.statistics.items():
            np.testing.assert_allclose(batched.statistics[statistic], values, atol=1e-4, err_msg=statistic)


def test_document_order_changes_nothing(llama: Subject, tasks: dict[str, LoadedTask]) -> None:
    from eebench.traces.tracing import trace_documents

    documents = llama.encoder.encode(tasks["eebench_longwords"].requests(OPTIONS, llama.encoder))
    forwards = trace_documents(llama.reader, documents)
    backwards = trace_documents(llama.reader, documents[::-1])
    for number, document in enumerate(forwards.documents):
        one = forwards.select(np.arange(len(documents)) == number)
        other = backwards.select(np.arange(len(documents)) == len(documents) - 1 - number)
        assert other.documents == (document,)
        np.testing.assert_allclose(one.target_logprob, other.target_logprob, atol=1e-4)
        np.testing.assert_array_equal(one.key, other.key)


def test_only_scored_positions_are_traced(llama: Subject, tasks: dict[str, LoadedTask]) -> None:
    task = tasks["eebench_longwords"]
    traced = trace_task(llama, task, OPTIONS)
    choices = sum(len(f" {choice}".encode()) for doc in list(task.task.eval_docs)[:6] for choice in doc["choices"])
    assert traced.trace.num_positions == choices  # the tokenizer makes one token of each byte


def test_a_policy_that_never_fires_is_full(llama: Subject, tasks: dict[str, LoadedTask]) -> None:
    traced = trace_task(llama, tasks["eebench_longwords"], OPTIONS)
    full = traced.scorer.score(setting("full"))
    never = traced.scorer.score(setting("entropy:threshold=0"))
    assert never.metrics == full.metrics
    assert never.summaries["all"].fidelity == 1.0
    assert never.summaries["all"].layers_saved == 0.0
    assert never.summaries["all"].compute_saved < 0  # it reads the head at every layer and gains nothing


def test_full_and_oracle_agree_with_the_full_model_everywhere(llama: Subject, tasks: dict[str, LoadedTask]) -> None:
    traced = trace_task(llama, tasks["eebench_passages"], OPTIONS)
    for name in ("full", "oracle", "oracle-stable"):
        result = traced.scorer.score(find_policy(name)())
        assert result.summaries["all"].fidelity == 1.0
    assert result.selection["before"] == 0.0
    full = traced.scorer.score(find_policy("full")())
    assert full.summaries["all"].compute_saved == 0.0
    assert full.summaries["all"].lens_reads == 1.0
    assert full.summaries["all"].retention == 1.0


def test_every_tasks_score_moves_when_the_exit_layer_moves(subject: Subject, tasks: dict[str, LoadedTask]) -> None:
    for task in tasks.values():
        traced = trace_task(subject, task, OPTIONS)
        results = [traced.scorer.score(setting(f"static:layer={k}")) for k in range(1, LAYERS + 1)]
        logprobs = {tuple(traced.trace.target_logprob[k]) for k in range(LAYERS)}
        assert len(logprobs) == LAYERS, task.name
        if task.output_type == "loglikelihood_rolling":
            assert len({result.summaries["all"].quality for result in results}) == LAYERS


def test_summaries_follow_from_the_per_document_columns(llama: Subject, tasks: dict[str, LoadedTask]) -> None:
    traced = trace_task(llama, tasks["eebench_longwords"], OPTIONS)
    evaluation = evaluation_of(llama, tasks["eebench_longwords"], OPTIONS, traced)
    result = traced.scorer.score(setting("patience:patience=1"))
    columns, positions = result.documents, evaluation.documents["n_positions"]
    whole = result.summaries["all"]
    assert whole.n_positions == positions.sum() == sum(result.exit_histogram)
    assert whole.mean_exit_layer == pytest.approx(columns["exit_layers"].sum() / positions.sum())
    assert whole.layers_saved == pytest.approx(1 - whole.mean_exit_layer / LAYERS)
    assert whole.fidelity == pytest.approx(columns["agrees"].sum() / positions.sum())
    assert whole.quality == pytest.approx(columns["quality"][:, 0].mean())
    assert sum(result.selection.values()) == pytest.approx(1.0)
    parts = [result.summaries[part] for part in ("calibration", "test") if part in result.summaries]
    assert sum(part.n_docs for part in parts) == whole.n_docs


def test_chance_of_choices_is_one_over_their_number_and_of_text_the_vocabulary(
    llama: Subject, tasks: dict[str, LoadedTask]
) -> None:
    chances = {name: trace_task(llama, task, OPTIONS).scorer.task.chance for name, task in tasks.items()}
    assert chances["eebench_agreement"] == pytest.approx(1 / 2)
    assert chances["eebench_longwords"] == pytest.approx(1 / 3)
    assert chances["eebench_lastword"] == 0.0
    # one token per byte, and a guess costs log2 V bits per token
    assert chances["eebench_passages"] == pytest.approx(math.log2(384), rel=1e-6)


def test_few_shot_examples_and_seed_are_lm_evals(llama: Subject) -> None:
    options = dataclasses.replace(OPTIONS, num_fewshot=2, limit=3)
    (task,) = load_tasks(["eebench_agreement"], options)
    once = [request.args for request in task.requests(options, llama.encoder)]
    again = [request.args for request in task.requests(options, llama.encoder)]
    assert once == again  # lm-eval's sampler moves on with each use unless it is seeded again
    assert once[0][0].count("\n\n") == 2
    other = dataclasses.replace(options, seed=99)
    assert once != [request.args for request in task.requests(other, llama.encoder)]
