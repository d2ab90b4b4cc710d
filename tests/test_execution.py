"""Execution really skips blocks, and under KV mode `full` says exactly what replay says.

Every claim is held against something slow and obvious: whole sequences run anew without a cache at each step, or the
model's own blocks with K/V changed by hand.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import DynamicCache, EncoderDecoderCache

from eebench.cost import CostModel, cost_model
from eebench.errors import EEBenchError
from eebench.generation.execution import Execution, ExecutionMode, Executor
from eebench.generation.stepped_cache import SteppedCache
from eebench.models.blocks import LayerReader
from eebench.models.loading import load_model
from eebench.plugins.registry import find_policy
from eebench.policy import Bools, ExitPolicy, LayerView
from eebench.replaying import replay
from eebench.traces.prompts import Prompt, StopRule, position_keys
from eebench.traces.trace import Document, Request, Trace
from eebench.traces.tracing import EncodedDocument, EncodedRequest, Window, trace_documents
from tests.families.check import cut
from tests.families.shrink import small_model
from tests.small_models import small_model as small_pair
from tests.small_models import small_tokenizer

TYPES = [
    model_type
    for line in (
        # plain decoders, learned positions, rotary, parallel blocks, scaled and soft-capped logits, projections
        "llama qwen2 qwen3 gpt2 gptj gpt_neo gpt_neox opt phi phi3 gemma granite cohere olmo olmo2 stablelm smollm3",
        "nemotron glm glm4 helium biogpt codegen gpt_bigcode xglm",
        # ALiBi, sliding windows narrower than the prompt, mixtures of experts, latent attention
        "bloom falcon mpt mistral starcoder2 gemma2 gemma3_text cohere2 ministral",
        "mixtral qwen2_moe qwen3_moe olmoe gpt_oss deepseek_v3",
    )
    for model_type in line.split()
]
SOME = ("llama", "gpt2", "mistral", "gemma2")

ANSWER = 10
KEYS = position_keys("document", 0, 16)
NO_END = StopRule(None, frozenset())


@dataclass(frozen=True)
class Small:
    """A small random model, ready to be read and executed."""

    model: Any
    reader: LayerReader
    executor: Executor
    prompt: Prompt


@cache
def small(model_type: str) -> Small:
    model = small_model(model_type, seed=3)
    reader = LayerReader(model)
    torch.manual_seed(5)
    tokens = torch.randint(2, model.config.get_text_config(decoder=True).vocab_size, (11,)).tolist()
    executor = Executor(reader, cost_model(model, list(reader.blocks)))
    return Small(model, reader, executor, Prompt(tuple(tokens), (), ANSWER))


@cache
def pair(family: str) -> Small:
    """A small random encoder-decoder model."""
    model = small_pair(family, seed=2)
    reader = LayerReader(model)
    executor = Executor(reader, cost_model(model, list(reader.blocks)))
    return Small(model, reader, executor, Prompt((0,), (), ANSWER, source=(17, 5, 200, 31, 8, 99)))


class Reference:
    """Greedy answers with nothing kept from step to step: each runs the whole sequence through every layer."""

    def __init__(self, reader: LayerReader, prompt: Prompt) -> None:
        self.reader = reader
        self.prompt = prompt
        self._traces: dict[tuple[int, ...], Trace] = {}

    def trace(self, answer: tuple[int, ...]) -> Trace:
        """What all layers say after a prefix, as one position."""
        if answer not in self._traces:
            window = Window(self.prompt.tokens + answer, (0,), self.prompt.source)
            document = EncodedDocument(0, "", (EncodedRequest(0, (window,)),))
            traced = trace_documents(self.reader, [document])
            t, length = np.array([[len(answer)], [self.prompt.max_new_tokens]], dtype=np.int32)
            self._traces[answer] = replace(traced, position=t, length=length, key=KEYS[len(answer) :][:1])
        return self._traces[answer]

    def answer(self, policy: ExitPolicy) -> tuple[tuple[int, ...], list[int], list[int]]:
        """Tokens, exit layers, lens reads."""
        tokens: tuple[int, ...] = ()
        exits, reads = [], []
        while len(tokens) < self.prompt.max_new_tokens:
            trace = self.trace(tokens)
            decided = replay(policy, trace)
            exits.append(int(decided.exit_layer[0]))
            reads.append(int(decided.lens_reads[0]))
            tokens += (int(trace.statistics["top1"][exits[-1] - 1, 0]),)
        return tokens, exits, reads


class Planned(ExitPolicy):
    """Stops each position at the layer planned for it, and reads no head on the way."""

    exits: tuple[int, ...]

    def stops(self, layer: LayerView) -> Bools:
        return layer.index >= np.array(self.exits)[layer.position]


def policy(name: str, **parameters: Any) -> ExitPolicy:
    return find_policy(name)(**parameters)


def settings(reader: LayerReader, prompt: Prompt) -> dict[str, ExitPolicy]:
    """A setting of every policy, its threshold between what the model says at its layers, so that exits vary."""
    tokens = prompt.tokens
    window = Window(tokens, (0,) * (len(tokens) - 1), prompt.source)
    trace = trace_documents(reader, [EncodedDocument(0, "", (EncodedRequest(0, (window,)),))])

    def between(name: str) -> float:
        at_layer_2 = np.sort(trace.statistics[name][1])
        middle = len(at_layer_2) // 2
        return float(at_layer_2[middle - 1 : middle + 1].mean())

    middles = {name: between(name) for name in ("max_prob", "entropy", "state_cosine")}
    last = reader.num_layers
    row = (8.0, -1.0, 5.0, -8.0 * middles["max_prob"] + middles["entropy"] - 5.0 * middles["state_cosine"])
    return {
        "full": policy("full"),
        "static": policy("static", layer=2),
        "random": policy("random", p=0.6),
        "schedule": policy("schedule", first=last, last=1),
        "confidence": policy("confidence", threshold=between("max_prob")),
        "margin": policy("margin", threshold=between("top2_margin")),
        "entropy": policy("entropy", threshold=between("entropy")),
        "entropy, normalized": policy("entropy", threshold=between("entropy_norm"), normalized=True, min_layer=2),
        "patience": policy("patience", patience=1),
        "state": policy("state", threshold=between("state_cosine")),
        "similarity": policy("similarity", threshold=between("divergence")),
        "similarity, every other": policy("similarity", threshold=between("divergence"), every=2),
        "decay": policy("decay", threshold=min(1.0, between("top2_margin"))),
        "gate": policy("gate", threshold=0.5, weights=(row,) * last),
    }


LOOKING = ("confidence", "margin", "entropy", "entropy, normalized", "patience", "state", "similarity", "decay", "gate")


def executed(
    subject: Small, setting: ExitPolicy, mode: ExecutionMode = "full", stop: StopRule = NO_END, **more: Any
) -> Execution:
    return subject.executor.execute(more.pop("prompt", subject.prompt), setting, stop, KEYS, mode, **more)


def said(execution: Execution) -> tuple[tuple[int, ...], list[int], list[int]]:
    return execution.tokens, execution.exit_layer.tolist(), execution.lens_reads.tolist()


# --- full: what replay says ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("model_type", TYPES)
def test_full_says_what_replay_says_token_for_token(model_type: str) -> None:
    subject = small(model_type)
    reference = Reference(subject.reader, subject.prompt)
    varied, seen = 0, set()
    for name, setting in settings(subject.reader, subject.prompt).items():
        tokens, exits, reads = reference.answer(setting)
        assert said(executed(subject, setting)) == (tokens, exits, reads), name
        varied += name in LOOKING and len(set(exits)) > 1
        seen |= set(exits)
    assert seen == set(range(1, subject.reader.num_layers + 1))
    assert varied >= 1, "no policy's exits vary within its answer"


@pytest.mark.parametrize("model_type", SOME)
def test_full_is_exact_for_any_order_of_exits(model_type: str) -> None:
    subject = small(model_type)
    reference = Reference(subject.reader, subject.prompt)
    rng = np.random.default_rng(0)
    for _ in range(10):
        setting = Planned(exits=tuple(rng.integers(1, subject.reader.num_layers + 1, ANSWER).tolist()))
        assert said(executed(subject, setting)) == reference.answer(setting), setting.exits


@pytest.mark.parametrize("family", ["t5", "flan-t5", "mt5", "bart"])
def test_full_says_what_replay_says_of_an_encoder_and_a_decoder(family: str) -> None:
    subject = pair(family)
    reference = Reference(subject.reader, subject.prompt)
    rng = np.random.default_rng(0)
    plans = [Planned(exits=tuple(rng.integers(1, subject.reader.num_layers + 1, ANSWER).tolist())) for _ in range(6)]
    own = reference.answer(policy("full"))
    assert said(executed(subject, policy("full"))) == own
    for setting in (*plans, policy("random", p=0.5), policy("patience", patience=2)):
        assert said(executed(subject, setting)) == reference.answer(setting)
        assert executed(subject, setting, "verify").tokens == own[0]


@pytest.mark.parametrize("model_type", TYPES)
def test_a_policy_that_never_stops_is_the_models_own_generate(model_type: str) -> None:
    subject = small(model_type)
    assert executed(subject, policy("full")).tokens == generated(subject.model, subject.prompt)


def generated(model: Any, prompt: Prompt) -> tuple[int, ...]:
    context = torch.tensor([prompt.tokens])
    model.generation_config.eos_token_id = None
    longer = model.generate(
        context,
        attention_mask=torch.ones_like(context),
        max_new_tokens=prompt.max_new_tokens,
        do_sample=False,
        pad_token_id=0,
    )
    return tuple(longer[0, context.shape[1] :].tolist())


@pytest.mark.parametrize("model_type", SOME)
def test_no_block_runs_twice_on_a_token_nor_on_one_that_no_later_token_needs(model_type: str) -> None:
    subject = small(model_type)
    for name, setting in settings(subject.reader, subject.prompt).items():
        execution = executed(subject, setting)
        needed = [np.flatnonzero(execution.exit_layer >= k) for k in range(1, subject.reader.num_layers + 1)]
        assert execution.blocks_run == sum(positions[-1] + 1 for positions in needed if len(positions)), name
        assert execution.heads_read == execution.lens_reads.sum()
        assert execution.kv_fills == 0


def test_flops_are_those_of_the_cost_model_where_nothing_is_made_up() -> None:
    subject = small("mistral")
    cost = subject.executor.cost
    context = len(subject.prompt.tokens) + np.arange(ANSWER)
    whole = executed(subject, policy("full"))
    assert whole.flops == pytest.approx(cost.full(context).sum())
    for setting in (policy("static", layer=2), policy("schedule", first=4, last=1)):
        execution = executed(subject, setting)
        assert execution.flops == pytest.approx(cost.flops(execution.exit_layer, execution.lens_reads, context).sum())


def test_flops_of_k_v_made_up_later_are_counted() -> None:
    subject = small("mistral")
    cost: CostModel = subject.executor.cost
    execution = executed(subject, Planned(exits=(1, 1, 3, *[1] * (ANSWER - 3))))
    context = len(subject.prompt.tokens) + np.arange(ANSWER)
    decided = cost.flops(execution.exit_layer, execution.lens_reads, context).sum()
    made_up = sum(float(cost.single_blocks(np.array([2, 3]), context[t]).sum()) for t in (0, 1))
    assert execution.flops == pytest.approx(decided + made_up)


def test_executing_leaves_the_model_as_it_was() -> None:
    subject = small("llama")
    context = torch.tensor([subject.prompt.tokens])
    with torch.inference_mode():
        before = subject.model(input_ids=context).logits
        executed(subject, policy("random"))
        executed(subject, policy("static", layer=1), "truncate")
        torch.testing.assert_close(subject.model(input_ids=context).logits, before, rtol=0, atol=0)


# --- the other KV modes: K/V changed by hand ------------------------------------------------------------------------


def by_hand(subject: Small, setting: ExitPolicy, skip: Callable[..., None]) -> tuple[tuple[int, ...], list[int]]:
    """Tokens and exit layers: every step runs the whole model, and then `skip` puts other K/V above the exit."""
    reader, prompt = subject.reader, subject.prompt
    kept = DynamicCache()
    tokens, exits = list(prompt.tokens), []
    with torch.inference_mode():
        if len(tokens) > 1:
            feed(subject, torch.tensor([tokens[:-1]]), kept)
        for t in range(prompt.max_new_tokens):
            newest = torch.tensor([tokens[-1:]])
            before = copy.deepcopy(kept)
            states = states_of_step(subject, newest, kept)
            logits = torch.cat([reader.logits(state) for state in states])
            decided = replay(setting, one_position(logits, states, t, prompt))
            exits.append(int(decided.exit_layer[0]))
            skip(subject, newest, before, kept, exits[-1], states)
            tokens.append(int(logits[exits[-1] - 1].argmax()))
    return tuple(tokens[len(prompt.tokens) :]), exits


def feed(subject: Small, ids: torch.Tensor, kept: Any) -> None:
    if subject.prompt.source:
        source = torch.tensor([subject.prompt.source])
        both = EncoderDecoderCache(kept, DynamicCache())
        subject.model(input_ids=source, decoder_input_ids=ids, past_key_values=both, use_cache=True)
    else:
        subject.model(input_ids=ids, past_key_values=kept, use_cache=True)


def states_of_step(subject: Small, newest: torch.Tensor, kept: Any, exit_layer: int | None = None) -> Any:
    """The state after each block, [1, hidden]; blocks above `exit_layer`, if given, hand on what they were given."""
    states: list[torch.Tensor] = []

    def hook(block: Any, args: Any, output: Any) -> Any:
        is_tuple = isinstance(output, tuple)
        state = output[0] if is_tuple else output
        if exit_layer is not None and len(states) >= exit_layer:
            state = states[-1][None]
        states.append(state[0].clone())
        return (state, *output[1:]) if is_tuple else state

    handles = [block.register_forward_hook(hook) for block in subject.reader.blocks]
    try:
        feed(subject, newest, kept)
    finally:
        for handle in handles:
            handle.remove()
    return states


def one_position(logits: torch.Tensor, states: Any, t: int, prompt: Prompt) -> Trace:
    """What the policies used here look at, as the trace of one position."""
    probs = logits.softmax(dim=-1)
    cosine = [-1.0, *(float(torch.cosine_similarity(*pair)) for pair in pairwise(states))]
    statistics = {
        "top1": logits.argmax(dim=-1, keepdim=True),
        "max_prob": probs.amax(dim=-1, keepdim=True),
        "state_cosine": torch.tensor(cosine)[:, None],
    }
    nothing = np.zeros(1, dtype=np.int32)
    return Trace(
        statistics={name: values.numpy() for name, values in statistics.items()},
        target_logprob=np.zeros((len(states), 1)),
        final_divergence=np.zeros((len(states), 1)),
        target=nothing,
        position=nothing + t,
        length=nothing + prompt.max_new_tokens,
        context=nothing,
        key=KEYS[t : t + 1],
        request=nothing,
        requests=(Request(0, 0),),
        documents=(Document(0, ""),),
    )


def propagated(subject: Small, newest: torch.Tensor, before: Any, kept: Any, exit_layer: int, _states: Any) -> None:
    """K/V that each skipped block makes of the exit state, by running it whole."""
    states_of_step(subject, newest, before, exit_layer)
    kept.layers = before.layers


def copied(_subject: Small, _newest: torch.Tensor, _before: Any, kept: Any, exit_layer: int, _states: Any) -> None:
    """The newest token's K/V of the exit layer in every later layer."""
    at_exit = kept.layers[exit_layer - 1]
    for later in kept.layers[exit_layer:]:
        later.keys[..., -1, :] = at_exit.keys[..., -1, :]
        later.values[..., -1, :] = at_exit.values[..., -1, :]


MODES: dict[ExecutionMode, Callable[..., None]] = {"propagate": propagated, "copy": copied}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("model_type", ["llama", "gpt2", "mistral", "gemma3_text", "mpt", "mixtral", "opt"])
def test_propagate_and_copy_are_what_is_done_by_hand(model_type: str, mode: ExecutionMode) -> None:
    subject = small(model_type)
    rng = np.random.default_rng(1)
    known = settings(subject.reader, subject.prompt)
    plans = [Planned(exits=tuple(rng.integers(1, 5, ANSWER).tolist())) for _ in range(2)]
    for setting in (*plans, *(known[name] for name in ("confidence", "state", "patience", "random"))):
        execution = executed(subject, setting, mode)
        assert (execution.tokens, execution.exit_layer.tolist()) == by_hand(subject, setting, MODES[mode])
        assert execution.blocks_run == execution.exit_layer.sum()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", ["t5", "bart"])
def test_propagate_and_copy_in_a_decoder_are_what_is_done_by_hand(family: str, mode: ExecutionMode) -> None:
    subject = pair(family)
    rng = np.random.default_rng(1)
    for _ in range(5):
        setting = Planned(exits=tuple(rng.integers(1, subject.reader.num_layers + 1, ANSWER).tolist()))
        execution = executed(subject, setting, mode)
        assert (execution.tokens, execution.exit_layer.tolist()) == by_hand(subject, setting, MODES[mode])


@pytest.mark.parametrize("mode", MODES)
def test_the_modes_differ_where_k_v_matter(mode: ExecutionMode) -> None:
    subject = small("llama")
    plans = [Planned(exits=(1, 4) * 5), Planned(exits=(2, 1, 4, 4, 4) * 2)]
    assert any(executed(subject, plan).tokens != executed(subject, plan, mode).tokens for plan in plans)


def test_projecting_k_v_costs_the_projections() -> None:
    subject = small("llama")
    plan = Planned(exits=(1,) * ANSWER)
    copying, projecting = executed(subject, plan, "copy"), executed(subject, plan, "propagate")
    attention = subject.model.model.layers[1].self_attn
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    assert projecting.kv_fills == 3 * ANSWER
    assert copying.kv_fills == 0
    fill = 2 * sum(projection.weight.numel() for projection in projections)
    assert projecting.flops - copying.flops == pytest.approx(3 * ANSWER * fill)


@pytest.mark.parametrize("model_type", [*SOME, "opt", "mpt"])
@pytest.mark.parametrize("layer", [1, 3, 4])
def test_truncate_is_the_model_cut(model_type: str, layer: int) -> None:
    subject = small(model_type)
    shorter = cut(subject.model, subject.reader.path, layer)
    tokens = list(subject.prompt.tokens)
    with torch.inference_mode():
        for _ in range(ANSWER):
            tokens.append(int(shorter(input_ids=torch.tensor([tokens]), use_cache=False).logits[0, -1].argmax()))
    execution = executed(subject, policy("static", layer=layer), "truncate")
    assert execution.tokens == tuple(tokens[-ANSWER:])
    assert set(execution.exit_layer) == {layer}
    assert set(execution.lens_reads) == {1}
    assert execution.blocks_run == layer * ANSWER


# --- verify: the full model's answer, drafted -----------------------------------------------------------------------


@pytest.mark.parametrize("draft_length", [1, 3, 20])
@pytest.mark.parametrize("model_type", [*SOME, "qwen3_moe", "mpt"])
def test_verify_says_what_the_full_model_says(model_type: str, draft_length: int) -> None:
    subject = small(model_type)
    reference = Reference(subject.reader, subject.prompt)
    own = executed(subject, policy("full")).tokens
    for name, setting in settings(subject.reader, subject.prompt).items():
        execution = executed(subject, setting, "verify", draft_length=draft_length)
        assert execution.tokens == own, name
        drafted = np.flatnonzero(execution.exit_layer < subject.reader.num_layers)
        assert len(drafted) <= sum(execution.accepted) <= sum(execution.drafted)
        assert max(execution.drafted) <= draft_length
        for t in drafted:
            assert execution.exit_layer[t] == replay(setting, reference.trace(own[:t])).exit_layer[0], name


def test_verify_keeps_drafts_that_agree_and_drops_others() -> None:
    executions = [
        executed(small(model_type), setting, "verify")
        for model_type in ("llama", "gpt_bigcode", "phi", "opt")
        for setting in (policy("static", layer=3), policy("static", layer=1))
    ]
    assert sum(sum(execution.accepted) for execution in executions) > 0
    assert any(sum(execution.accepted) < sum(execution.drafted) for execution in executions)


def test_a_policy_that_never_stops_drafts_nothing() -> None:
    subject = small("llama")
    full, verified = executed(subject, policy("full")), executed(subject, policy("full"), "verify")
    assert said(verified) == said(full)
    assert verified.flops == pytest.approx(full.flops)
    assert set(verified.drafted) == {0}


def test_heads_read_for_a_check_are_counted() -> None:
    subject = small("llama")
    execution = executed(subject, policy("static", layer=1), "verify", draft_length=2)
    checks = len(execution.drafted)
    assert execution.heads_read == sum(execution.drafted) + sum(drafted + 1 for drafted in execution.drafted)
    assert checks + sum(execution.accepted) >= ANSWER


# --- where an answer begins and ends --------------------------------------------------------------------------------

EVERY_MODE: tuple[ExecutionMode, ...] = ("full", "propagate", "copy", "truncate", "verify")


@pytest.mark.parametrize("mode", EVERY_MODE)
@pytest.mark.parametrize("model_type", SOME)
def test_a_context_of_one_token_has_no_prefill(model_type: str, mode: ExecutionMode) -> None:
    subject = replace(small(model_type), prompt=Prompt((7,), (), 6))
    setting = policy("static", layer=2) if mode == "truncate" else Planned(exits=(1, 3, 4, 2, 1, 4))
    execution = executed(subject, setting, mode)
    assert len(execution.tokens) == 6
    if mode in MODES:
        assert (execution.tokens, execution.exit_layer.tolist()) == by_hand(subject, setting, MODES[mode])
    if mode == "full":
        assert said(execution) == Reference(subject.reader, subject.prompt).answer(setting)


@pytest.mark.parametrize("mode", EVERY_MODE)
def test_an_answer_ends_with_the_end_of_sequence_token(mode: ExecutionMode) -> None:
    subject = small("llama")
    setting = policy("static", layer=3)
    whole = executed(subject, setting, mode).tokens
    for t in range(1, ANSWER):
        ended = executed(subject, setting, mode, StopRule(None, frozenset({whole[t]})))
        assert ended.tokens == whole[: whole.index(whole[t]) + 1]
        assert len(ended.exit_layer) == len(ended.lens_reads) == len(ended.tokens)


def test_an_answer_ends_with_a_string() -> None:
    subject = small("llama")
    tokenizer = small_tokenizer()
    whole = executed(subject, policy("random")).tokens
    text = tokenizer.decode([whole[3]])
    prompt = replace(subject.prompt, until=(text,))
    ended = executed(subject, policy("random"), stop=StopRule(tokenizer, frozenset()), prompt=prompt)
    assert ended.tokens == whole[: len(ended.tokens)]
    assert text in tokenizer.decode(list(ended.tokens))
    assert len(ended.tokens) <= 4


# --- refused in a sentence --------------------------------------------------------------------------------------------

REFUSED = ("mamba", "mamba2", "rwkv", "recurrent_gemma", "jamba", "bamba", "falcon_h1", "qwen3_next", "openai-gpt")


@pytest.mark.parametrize("model_type", REFUSED)
def test_a_family_whose_state_is_not_k_v_by_layer_is_refused(model_type: str) -> None:
    model = small_model(model_type)
    reader = LayerReader(model)
    cost = cost_model(model, list(reader.blocks))
    with pytest.raises(EEBenchError, match=f"{type(model).__name__} cannot be executed with early exits .* replay it"):
        Executor(reader, cost)


def test_a_cache_that_forgets_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    update = SteppedCache.update
    monkeypatch.setattr(SteppedCache, "update", lambda self, k, v, *more, **named: update(self, k, 0 * v, *more))
    reader = LayerReader(small_model("llama"))
    cost = cost_model(reader.model, list(reader.blocks))
    with pytest.raises(EEBenchError, match=r"LlamaForCausalLM cannot be executed with early exits \(off by"):
        Executor(reader, cost)


@pytest.mark.parametrize("name", ["oracle", "oracle-stable"])
def test_a_bound_is_refused(name: str) -> None:
    with pytest.raises(EEBenchError, match=f"{name} is a bound: it sees the layers to come"):
        executed(small("llama"), policy(name))


def test_only_a_fixed_layer_can_be_cut_at() -> None:
    with pytest.raises(EEBenchError, match="truncate cuts the model at one layer, and confidence stops at several"):
        executed(small("llama"), policy("confidence", threshold=0.5), "truncate")


@pytest.mark.parametrize(
    ("model_type", "mode", "sentence"),
    [
        ("mimo_v2_flash", "copy", "copy needs K/V of one shape, and those of MiMoV2FlashForCausalLM differ"),
        ("longcat_flash", "copy", "copy needs K/V of every block, and not every block of LongcatFlash"),
        ("longcat_flash", "propagate", "propagate needs K/V of every block, and not every block of LongcatFlash"),
    ],
)
def test_k_v_that_cannot_be_had_are_refused(model_type: str, mode: ExecutionMode, sentence: str) -> None:
    with pytest.raises(EEBenchError, match=sentence):
        executed(small(model_type), policy("random"), mode)


def test_what_a_policy_does_wrong_is_said() -> None:
    class Broken(ExitPolicy):
        def stops(self, layer: LayerView) -> Bools:
            raise KeyError("threshold")

    with pytest.raises(EEBenchError, match="policy broken raised KeyError at layer 1"):
        executed(small("llama"), Broken())
    assert executed(small("llama"), policy("full")).tokens == generated(small("llama").model, small("llama").prompt)


# --- real weights -----------------------------------------------------------------------------------------------------


@pytest.mark.real_weights
def test_smollm2_says_what_replay_says(smollm2: Path) -> None:
    assert_real_weights_say_what_replay_says(smollm2, "def fibonacci(n):\n    ", "The capital of France is")


@pytest.mark.real_weights
def test_gemma3_says_what_replay_says(gemma3: Path) -> None:
    assert_real_weights_say_what_replay_says(gemma3, "Paris is the capital of France, and Rome")


def assert_real_weights_say_what_replay_says(folder: Path, *texts: str) -> None:
    loaded = load_model(str(folder))
    reader = LayerReader(loaded.model)
    executor = Executor(reader, cost_model(loaded.model, list(reader.blocks)))
    seen: set[int] = set()
    for text in texts:
        prompt = Prompt(tuple(loaded.tokenizer.encode(text)), (), 4)
        subject = Small(loaded.model, reader, executor, prompt)
        reference = Reference(reader, prompt)
        for setting in (
            policy("confidence", threshold=0.7, every=4),
            policy("state", threshold=0.97),
            policy("patience", patience=4),
        ):
            execution = executed(subject, setting)
            assert said(execution) == reference.answer(setting), (text, setting.setting())
            seen |= set(execution.exit_layer.tolist())
        own = generated(loaded.model, prompt)
        assert executed(subject, policy("full")).tokens == own
        assert executed(subject, policy("static", layer=reader.num_layers - 2), "verify").tokens == own
    assert len(seen) >= 3
