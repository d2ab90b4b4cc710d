"""SmolLM2-135M-Instruct on real tasks: the invariants hold where the numbers mean something."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM

from eebench.cli import main
from eebench.harness import LoadedTask, TaskOptions, load_tasks
from eebench.models.loading import LoadOptions
from eebench.own_tasks import GENERATION_TASKS, LIKELIHOOD_TASKS
from eebench.policy import ExitPolicy
from eebench.spec import parse_policies, settings_for
from eebench.subject import Subject, load_subject
from eebench.task_traces import Traced, trace_task

pytestmark = pytest.mark.real_weights

OPTIONS = TaskOptions(limit=20)
CUTS = (1, 8, 15, 22, 29, 30)


@pytest.fixture(scope="module")
def subject(smollm2: Path) -> Subject:
    return load_subject(str(smollm2))


@pytest.fixture(scope="module")
def tasks() -> dict[str, LoadedTask]:
    return {task.name: task for task in load_tasks(LIKELIHOOD_TASKS, OPTIONS)}


@pytest.fixture(scope="module")
def traced(subject: Subject, tasks: dict[str, LoadedTask]) -> dict[str, Traced]:
    return {name: trace_task(subject, task, OPTIONS) for name, task in tasks.items()}


def setting(text: str) -> ExitPolicy:
    (policy,) = settings_for(parse_policies([text]), 30)
    return policy


def plain(subject: Subject, task: LoadedTask, options: TaskOptions, batch_size: int = 16) -> list[dict[str, Any]]:
    """Every document as plain lm-eval scores it."""
    lm = HFLM(pretrained=subject.loaded.model, tokenizer=subject.loaded.tokenizer, batch_size=batch_size)
    task.task.set_fewshot_seed(options.seed)
    results = evaluate(lm, {"tasks": {task.name: task.task}}, limit=options.limit, bootstrap_iters=0)
    assert results is not None
    samples: list[dict[str, Any]] = results["samples"][task.name]
    return samples


def assert_same_to_the_last_document(subject: Subject, task: LoadedTask, traced: Traced, options: TaskOptions) -> None:
    scorer = traced.scorer
    replayed = scorer.task.score(scorer._full.answers.responses)
    for sample in plain(subject, task, options):  # one for each document and filter
        for metric in sample["metrics"]:
            assert replayed[(metric, sample["filter"])][sample["doc_id"]] == pytest.approx(sample[metric], rel=1e-4), (
                metric
            )


@pytest.mark.parametrize("name", LIKELIHOOD_TASKS)
class TestOwnTask:
    def test_full_is_plain_lm_eval_to_the_last_document(
        self, name: str, subject: Subject, tasks: dict[str, LoadedTask], traced: dict[str, Traced]
    ) -> None:
        assert_same_to_the_last_document(subject, tasks[name], traced[name], OPTIONS)

    def test_its_score_moves_when_the_exit_layer_moves(self, name: str, traced: dict[str, Traced]) -> None:
        scored = [traced[name].scorer.score(setting(f"static:layer={k}")) for k in CUTS]
        assert len({result.summaries["all"].quality for result in scored}) >= 2  # exact matches are all or nothing
        assert len({tuple(result.documents["agrees"]) for result in scored}) >= 3

    def test_the_oracle_agrees_everywhere_and_saves_layers(self, name: str, traced: dict[str, Traced]) -> None:
        summary = traced[name].scorer.score(setting("oracle")).summaries["all"]
        assert summary.fidelity == 1.0
        assert 0.0 <= summary.layers_saved < 1.0
        assert summary.lens_reads == 1.0

    def test_a_policy_that_never_fires_is_full(self, name: str, traced: dict[str, Traced]) -> None:
        full = traced[name].scorer.score(setting("full"))
        never = traced[name].scorer.score(setting("patience:patience=30"))
        assert never.metrics == full.metrics
        assert (never.documents["quality"] == full.documents["quality"]).all()


class TestWriting:
    """Generation tasks: texts, and the same settings by tree and by execution."""

    OPTIONS = TaskOptions(limit=3)

    @pytest.mark.parametrize("name", GENERATION_TASKS)
    def test_own_tasks_are_written_as_in_plain_lm_eval(self, name: str, subject: Subject) -> None:
        (task,) = load_tasks([name], self.OPTIONS)
        traced = trace_task(subject, task, self.OPTIONS)
        assert_same_to_the_last_document(subject, task, traced, self.OPTIONS)
        assert texts(traced, "full") == [sample["resps"][0][0] for sample in plain(subject, task, self.OPTIONS, 1)]
        assert len({tuple(texts(traced, f"static:layer={k}")) for k in (15, 29, 30)}) == 3  # moves with the exit layer

    @pytest.mark.real_data
    @pytest.mark.parametrize(
        ("name", "shots"),
        [("gsm8k", 5), ("gsm8k", 0), ("bbh_fewshot_boolean_expressions", 3), ("bbh_zeroshot_word_sorting", 0)],
    )
    def test_public_tasks_are_written_as_in_plain_lm_eval(
        self, name: str, shots: int, subject: Subject, datasets_dir: Path
    ) -> None:
        options = TaskOptions(limit=1, num_fewshot=shots, datasets_dir=datasets_dir, max_gen_toks=16)
        (task,) = load_tasks([name], options)
        assert_same_to_the_last_document(subject, task, trace_task(subject, task, options), options)

    def test_gemma3_writes_what_plain_lm_eval_has_it_write(self, gemma3: Path) -> None:
        gemma = load_subject(str(gemma3))
        assert gemma.runner.shares
        (task,) = load_tasks(["eebench_lists"], self.OPTIONS)
        traced = trace_task(gemma, task, self.OPTIONS)
        assert texts(traced, "full") == [sample["resps"][0][0] for sample in plain(gemma, task, self.OPTIONS, 1)]

    def test_execution_is_the_tree_token_for_token(self, subject: Subject) -> None:
        (task,) = load_tasks(["eebench_edits"], self.OPTIONS)
        traced = trace_task(subject, task, self.OPTIONS)
        assert traced.executed is not None
        executed = traced.executed("full")
        for text in ("confidence:threshold=0.9", "state:threshold=0.95", "entropy:threshold=1.0,every=4"):
            one, other = (scorer.answerer.answers(setting(text)) for scorer in (traced.scorer, executed))
            np.testing.assert_array_equal(one.trace.target, other.trace.target, err_msg=text)
            np.testing.assert_array_equal(one.decisions.exit_layer, other.decisions.exit_layer, err_msg=text)
            assert one.flops.sum() == pytest.approx(other.flops.sum(), rel=1e-9), text


def texts(traced: Traced, text: str) -> list[str]:
    return [response for (response,) in traced.scorer.answerer.answers(setting(text)).responses]


def test_bfloat16_gives_finite_float32_statistics(smollm2: Path, tasks: dict[str, LoadedTask]) -> None:
    half = load_subject(str(smollm2), LoadOptions(dtype="bfloat16"))
    options = dataclasses.replace(OPTIONS, limit=4)
    trace = trace_task(half, tasks["eebench_facts"], options).trace
    for name, values in trace.statistics.items():
        assert np.isfinite(values).all(), name
    assert trace.statistics["entropy"].dtype == np.float32
    assert half.loaded.dtype == "bfloat16"


def test_lm_evals_own_command_line_gives_the_same_score(
    smollm2: Path, traced: dict[str, Traced], monkeypatch: pytest.MonkeyPatch
) -> None:
    from eebench.lm import EEBenchLM

    lm = EEBenchLM(pretrained=str(smollm2), policy="entropy", threshold=2.0, min_layer=20, device="cpu")
    (task,) = load_tasks(["eebench_facts"], OPTIONS)
    results = evaluate(lm, {"tasks": {task.name: task.task}}, limit=OPTIONS.limit, bootstrap_iters=0)
    assert results is not None
    replayed = traced["eebench_facts"].scorer.score(setting("entropy:threshold=2.0,min_layer=20"))
    assert results["results"]["eebench_facts"]["acc,none"] == replayed.metrics["acc,none"].value


def test_the_chat_template_is_lm_evals(subject: Subject) -> None:
    options = TaskOptions(limit=3, chat_template=True, num_fewshot=1)
    (task,) = load_tasks(["eebench_facts"], options)
    context = task.requests(options, subject.encoder)[0].args[0]
    assert context.count("<|im_start|>user") == 2
    traced = trace_task(subject, task, options)
    lm = HFLM(pretrained=subject.loaded.model, tokenizer=subject.loaded.tokenizer, batch_size=4)
    task.task.set_fewshot_seed(options.seed)
    results = evaluate(
        lm, {"tasks": {task.name: task.task}}, limit=3, bootstrap_iters=0, apply_chat_template=True,
        fewshot_as_multiturn=True,
    )  # fmt: skip
    assert results is not None
    score = traced.scorer.score(setting("full")).metrics["acc,none"].value
    assert results["results"]["eebench_facts"]["acc,none"] == score


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["arc_easy", "piqa", "blimp_anaphor_number_agreement"])
def test_public_tasks_score_as_in_plain_lm_eval(name: str, subject: Subject, datasets_dir: Path) -> None:
    options = TaskOptions(limit=8, datasets_dir=datasets_dir)
    (task,) = load_tasks([name], options)
    assert_same_to_the_last_document(subject, task, trace_task(subject, task, options), options)


def test_the_api_gives_frames(smollm2: Path) -> None:
    import eebench

    traced = eebench.trace(str(smollm2), "eebench_facts", limit=6)
    assert traced.traced.trace.statistics["entropy"].shape == (30, traced.traced.trace.num_positions)
    frame = eebench.replay(traced, "patience:patience=1..3")
    assert list(frame["setting"]) == [f"patience:patience={n}" for n in (1, 2, 3)]
    results, ranking = eebench.evaluate("entropy", str(smollm2), "eebench_facts", limit=6)
    assert set(ranking["policy"]) == {"entropy", "full", "oracle"}
    assert len(results) == 16


def test_an_alias_runs_from_its_local_copy(smollm2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eebench.models.loading.local_copy", lambda _alias: smollm2)
    command = ("run", "-m", "smollm2-135m", "-t", "eebench_facts", "--limit", "2", "-p", "full", "--quiet", "--offline")
    answer = CliRunner().invoke(main, command)
    assert answer.exit_code == 0, answer.output
    assert "smollm2-135m" in CliRunner().invoke(main, ("report", "--format", "markdown")).output


def test_gemma3_scores_as_in_plain_lm_eval(gemma3: Path, tasks: dict[str, LoadedTask]) -> None:
    gemma = load_subject(str(gemma3))
    options = dataclasses.replace(OPTIONS, limit=6)
    for name in ("eebench_facts", "eebench_lastword", "eebench_passages"):
        assert_same_to_the_last_document(gemma, tasks[name], trace_task(gemma, tasks[name], options), options)
