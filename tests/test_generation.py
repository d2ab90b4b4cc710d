"""Generation tasks the whole way on small random models: texts are plain lm-eval's, at L and at every cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from lm_eval.evaluator import evaluate
from lm_eval.models.huggingface import HFLM

from eebench.cli import main
from eebench.generation.answers import common_prefix, depth_with_kv, repetition, tokens_of
from eebench.harness import LoadedTask, TaskOptions, load_tasks
from eebench.policy import ExitPolicy
from eebench.records.store import Store
from eebench.run import evaluation_of
from eebench.scoring import coin_end_setting
from eebench.spec import parse_policies, settings_for
from eebench.subject import Subject, load_subject
from eebench.task_traces import Traced, trace_task
from eebench.traces.cache import TraceCache
from tests.small_models import FAMILIES, LAYERS, save_small_model, small_model, small_tokenizer
from tests.test_lens import cut

TASK = "eebench_lists"
OPTIONS = TaskOptions(limit=4, num_fewshot=0, max_gen_toks=8)


@pytest.fixture(scope="module")
def task() -> LoadedTask:
    (loaded,) = load_tasks([TASK], OPTIONS)
    return loaded


@pytest.fixture(scope="module", params=FAMILIES)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return load_subject(str(save_small_model(tmp_path_factory.mktemp(request.param), request.param, seed=3)))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return load_subject(str(save_small_model(tmp_path_factory.mktemp("llama"))))


@pytest.fixture(scope="module")
def traced(llama: Subject, task: LoadedTask) -> Traced:
    return trace_task(llama, task, OPTIONS)


def setting(text: str) -> ExitPolicy:
    (policy,) = settings_for(parse_policies([text]), LAYERS)
    return policy


def written(lm: Any, task: LoadedTask) -> list[str]:
    """What lm-eval has a model write, document by document."""
    task.task.set_fewshot_seed(OPTIONS.seed)
    results = evaluate(lm, {"tasks": {task.name: task.task}}, limit=OPTIONS.limit, bootstrap_iters=0)
    assert results is not None
    return [sample["resps"][0][0] for sample in results["samples"][task.name]]


def plain_texts(model: Any, tokenizer: Any, task: LoadedTask, backend: str = "causal") -> list[str]:
    """What plain lm-eval has a model write."""
    return written(HFLM(pretrained=model, tokenizer=tokenizer, backend=backend, batch_size=1), task)


def texts(traced: Traced, policy: ExitPolicy) -> list[str]:
    return [response for (response,) in traced.scorer.answerer.answers(policy).responses]


def test_full_writes_what_plain_lm_eval_has_it_write_and_static_k_what_the_model_cut_at_k_does(
    subject: Subject, task: LoadedTask
) -> None:
    traced = trace_task(subject, task, OPTIONS)
    by_layer = {}
    for k in range(1, LAYERS + 1):
        by_layer[k] = plain_texts(cut(subject.loaded.model, k), subject.loaded.tokenizer, task)
        assert texts(traced, setting(f"static:layer={k}")) == by_layer[k], k
    assert texts(traced, setting("full")) == by_layer[LAYERS]
    assert len(set(map(tuple, by_layer.values()))) > 1  # the answer moves when the exit layer moves


# transformers takes a decoder's cache to be as deep as the encoder
@pytest.mark.parametrize(("name", "deep"), [("t5", {"num_layers": LAYERS}), ("bart", {"encoder_layers": LAYERS})])
def test_encoder_decoders_write_what_plain_lm_eval_has_them_write(
    name: str, deep: dict[str, int], tmp_path: Path, task: LoadedTask
) -> None:
    small_model(name, **deep).save_pretrained(tmp_path)
    small_tokenizer().save_pretrained(tmp_path)
    subject = load_subject(str(tmp_path))
    plain = plain_texts(subject.loaded.model, subject.loaded.tokenizer, task, backend="seq2seq")
    assert texts(trace_task(subject, task, OPTIONS), setting("full")) == plain


def test_lm_evals_own_command_line_writes_the_same(llama: Subject, task: LoadedTask, traced: Traced) -> None:
    from eebench.lm import EEBenchLM

    lm = EEBenchLM(pretrained=llama.loaded.name, policy="patience", patience=1, device="cpu")
    assert written(lm, task) == texts(traced, setting("patience:patience=1"))
    assert written(lm, task) != texts(traced, setting("full"))


def test_figures_follow_from_the_answers(llama: Subject, task: LoadedTask, traced: Traced) -> None:
    for text in ("patience:patience=1", "confidence:threshold=0.2", "static:layer=2"):
        result = traced.scorer.score(setting(text))
        answers = traced.scorer.answerer.answers(setting(text))
        own, whole, columns = answers.trace, result.summaries["all"], result.documents
        assert whole.n_positions == own.num_positions == sum(result.exit_histogram) == columns["n_positions"].sum()
        assert whole.mean_exit_layer == pytest.approx(answers.decisions.exit_layer.mean())
        top1 = own.statistics["top1"]
        np.testing.assert_array_equal(own.target, top1[answers.decisions.exit_layer - 1, np.arange(own.num_positions)])
        assert whole.fidelity == pytest.approx((own.target == top1[-1]).mean())  # judged on its own prefix
        depth = depth_with_kv(answers.decisions.exit_layer, own.request)
        flops = llama.cost.flops(depth, answers.decisions.lens_reads, own.context)
        assert whole.compute_saved == pytest.approx(1 - flops.sum() / llama.cost.full(own.context).sum())
        assert whole.answer_length == columns["answer_length"].mean() == pytest.approx(whole.n_positions / 4)
        assert sum(result.selection.values()) == pytest.approx(1.0)
    evaluation = evaluation_of(llama, task, OPTIONS, traced)
    assert evaluation.chance == 0.0
    assert evaluation.metric == "exact_match"
    assert evaluation.n_positions == traced.trace.num_positions
    assert evaluation.documents["layer_agrees"][:, -1].tolist() == evaluation.documents["n_positions"].tolist()
    end = traced.scorer.score(coin_end_setting()).summaries["all"]
    assert evaluation.coin_end["all"] == end
    assert end.mean_exit_layer == 1.0


def test_sequences_are_compared_with_the_full_models(traced: Traced) -> None:
    full = traced.scorer.score(setting("full")).summaries["all"]
    assert (full.departs, full.fidelity) == (0.0, 1.0)
    assert full.common_prefix == full.answer_length
    assert full.kept == 1.0
    first = traced.scorer.score(setting("static:layer=1"))
    columns = first.documents
    assert (columns["departs"] == (columns["common_prefix"] < columns["answer_length"])).all()
    assert (columns["departs"] == (columns["kept"] < 1)).all()
    oracle = traced.scorer.score(setting("oracle")).summaries["all"]
    assert (oracle.departs, oracle.fidelity) == (0.0, 1.0)  # it emits what the full model emits, from lower layers


def test_common_prefix() -> None:
    assert common_prefix("abcd", "abxd") == 2
    assert common_prefix("ab", "abc") == 2
    assert common_prefix("", "abc") == 0


def test_repetition_is_the_share_of_four_grams_that_stood_before() -> None:
    assert repetition([1, 2, 3]) == 0.0
    assert repetition([1, 2, 3, 4, 5]) == 0.0
    assert repetition([7] * 9) == 1 - 1 / 6
    assert repetition([1, 2, 1, 2, 1, 2]) == 1 - 2 / 3


# --- trees in the cache ------------------------------------------------------------------------------------------


def test_a_tree_comes_back_from_the_cache_as_it_was(llama: Subject, task: LoadedTask, tmp_path: Path) -> None:
    cache = TraceCache(tmp_path)
    first = trace_task(llama, task, OPTIONS, cache=cache)
    chosen = [setting("confidence:threshold=0.2"), setting("static:layer=2"), setting("similarity:threshold=0.3")]
    first.decode(chosen)
    again = trace_task(llama, task, OPTIONS, cache=cache)
    for policy in chosen:
        assert again.scorer.score(policy).metrics == first.scorer.score(policy).metrics
        one, other = (traced.scorer.answerer.answers(policy) for traced in (first, again))
        np.testing.assert_array_equal(one.decisions.exit_layer, other.decisions.exit_layer)
        for name, values in one.trace.statistics.items():
            assert values.tobytes() == other.trace.statistics[name].tobytes()
    assert len(list(tmp_path.glob("*/*.parquet"))) == 1  # the tree that holds less has made room


def test_no_model_is_needed_for_ways_that_a_cached_tree_holds(
    llama: Subject, task: LoadedTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = TraceCache(tmp_path)
    trace_task(llama, task, OPTIONS, cache=cache).decode([setting("static:layer=2")])
    again = trace_task(llama, task, OPTIONS, cache=cache)

    def never(*_args: Any) -> None:
        raise AssertionError("the model was run")

    monkeypatch.setattr("eebench.generation.tree_decoding.decode", never)
    again.scorer.score(setting("static:layer=2"))
    again.scorer.score(setting("schedule:first=2,last=2"))
    with pytest.raises(AssertionError, match="the model was run"):
        again.scorer.score(setting("static:layer=3"))


def test_a_damaged_tree_is_made_again(llama: Subject, task: LoadedTask, tmp_path: Path) -> None:
    cache = TraceCache(tmp_path)
    whole = trace_task(llama, task, OPTIONS, cache=cache)
    (path,) = tmp_path.glob("*/*.parquet")
    path.write_bytes(path.read_bytes()[:-200])
    again = trace_task(llama, task, OPTIONS, cache=cache)
    assert texts(again, setting("full")) == texts(whole, setting("full"))


# --- as a user types it ------------------------------------------------------------------------------------------


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["run", "--limit", "3", "--max-gen-toks", "6", "-t", TASK, *arguments])


def test_a_run_puts_generation_on_the_board(llama: Subject) -> None:
    answer = run("-m", llama.loaded.name)
    assert answer.exit_code == 0, answer.output
    board = CliRunner().invoke(main, ["report"]).output
    for name in ("confidence", "gate", "schedule", "oracle-stable", "random"):
        assert name in board
    again = run("-m", llama.loaded.name, "-p", "confidence")
    assert "trace shards reused from the cache" in again.output


def test_policies_that_learn_learn_from_the_full_models_answers(llama: Subject, task: LoadedTask) -> None:
    from eebench.fitting import fitted_settings

    options = TaskOptions(limit=8, num_fewshot=0, max_gen_toks=8)
    traced = trace_task(llama, task, options)
    (gate,) = fitted_settings(parse_policies(["gate:threshold=0.5"]), traced.trace)
    assert gate.params()["weights"] is not None
    assert 0 < traced.scorer.score(gate).summaries["all"].layers_saved < 1


def test_what_greedy_decoding_leaves_out_is_said(llama: Subject, tmp_path: Path) -> None:
    model = small_model("llama")
    model.generation_config.repetition_penalty = 1.2
    model.save_pretrained(tmp_path)
    small_tokenizer().save_pretrained(tmp_path)
    assert (
        "asks for repetition_penalty=1.2, which plain lm-eval applies" in run("-m", str(tmp_path), "-p", "full").output
    )
    assert "repetition_penalty" not in run("-m", llama.loaded.name, "-p", "full").output


# --- by execution ------------------------------------------------------------------------------------------------


EXECUTED = ("full", "static:layer=2", "confidence:threshold=0.3", "patience:patience=1", "state:threshold=0.5",
            "schedule:first=4,last=1", "similarity:threshold=0.3", "random:p=0.5")  # fmt: skip


def test_execution_under_full_answers_and_costs_what_replay_says(subject: Subject, task: LoadedTask) -> None:
    traced = trace_task(subject, task, OPTIONS)
    assert traced.executed is not None
    executed = traced.executed("full")
    for text in EXECUTED:
        one, other = (scorer.answerer.answers(setting(text)) for scorer in (traced.scorer, executed))
        np.testing.assert_array_equal(one.trace.target, other.trace.target, err_msg=text)
        for name in ("position", "length", "context", "key", "request"):
            np.testing.assert_array_equal(getattr(one.trace, name), getattr(other.trace, name), err_msg=name)
        np.testing.assert_array_equal(one.decisions.exit_layer, other.decisions.exit_layer, err_msg=text)
        np.testing.assert_array_equal(one.decisions.lens_reads, other.decisions.lens_reads, err_msg=text)
        np.testing.assert_array_equal(one.agrees, other.agrees, err_msg=text)
        assert one.flops.sum() == pytest.approx(other.flops.sum(), rel=1e-9), text  # K/V made up included
        assert one.responses == other.responses
        replayed, real = traced.scorer.score(setting(text)), executed.score(setting(text))
        assert real.metrics == replayed.metrics
        assert real.selection == replayed.selection
        assert real.exit_histogram == replayed.exit_histogram


def test_depth_is_the_deepest_exit_to_come() -> None:
    exits, request = np.array([2, 5, 1, 3, 1, 4]), np.array([0, 0, 0, 1, 1, 1])
    assert depth_with_kv(exits, request).tolist() == [5, 5, 1, 4, 4, 4]
    assert exits.tolist() == [2, 5, 1, 3, 1, 4]


def test_fidelity_under_another_kv_mode_is_judged_by_the_full_model_on_the_own_prefix(
    llama: Subject, task: LoadedTask, traced: Traced
) -> None:
    assert traced.executed is not None
    answers = traced.executed("copy").answerer.answers(setting("confidence:threshold=0.2"))
    trace = answers.trace
    prompts = [d.requests[0].prompt for d in llama.encoder.encode_prompts(task.requests(OPTIONS, llama.encoder))]
    for request, tokens in enumerate(tokens_of(trace)):
        ids = torch.tensor([prompts[request].tokens + tokens])
        own = llama.loaded.model(ids).logits[0, len(prompts[request].tokens) - 1 : -1].argmax(-1).numpy()
        np.testing.assert_array_equal(answers.agrees[trace.request == request], own == np.array(tokens))


def test_verify_answers_what_the_full_model_answers(traced: Traced) -> None:
    assert traced.executed is not None
    verified = traced.executed("verify").score(setting("confidence:threshold=0.2"))
    assert verified.metrics == traced.scorer.score(setting("full")).metrics
    assert verified.summaries["all"].fidelity == 1.0
    assert verified.summaries["all"].departs == 0.0
    assert verified.summaries["all"].layers_saved == 0.0  # the check runs every block on every token


def test_a_run_under_several_kv_modes_keeps_them_apart(llama: Subject) -> None:
    answer = run(
        "-m", llama.loaded.name, "-p", "static,confidence:threshold=[0.2,0.4]", "--kv-mode", "full,copy,truncate"
    )
    assert answer.exit_code == 0, answer.output
    assert "Executing 8 settings on eebench_lists, KV mode copy" in answer.output
    assert "Executing 6 settings on eebench_lists, KV mode truncate" in answer.output  # what stops at one layer
    assert "truncate left out for confidence" in answer.output
    with Store.open() as store:
        modes = {(run.n_results) for run in store.runs()}
    assert modes == {9 + 8 + 6}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--kv-mode", "coppy"), "unknown KV mode 'coppy': did you mean copy?"),
        (("-t", "eebench_facts", "--kv-mode", "copy"), "is of type multiple_choice, where nothing is decoded"),
        (("-t", "eebench_facts", "--execute"), "--execute and --kv-mode are for generation tasks"),
    ],
)
def test_what_cannot_be_executed_is_refused_in_a_sentence(
    llama: Subject, arguments: tuple[str, ...], sentence: str
) -> None:
    answer = run("-m", llama.loaded.name, *arguments)
    assert answer.exit_code == 2
    assert sentence in answer.output
    assert "Traceback" not in answer.output
