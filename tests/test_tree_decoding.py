"""Tree decoding: many settings decoded together say what each would say alone, and the full model is Hugging Face's."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import eebench.generation.tree_runner
from eebench.generation.growing import GrowingTree
from eebench.generation.tree_decoding import decode
from eebench.generation.tree_runner import TreeRunner, attention_windows
from eebench.models.blocks import LayerReader
from eebench.plugins.registry import find_policy
from eebench.policy import ExitPolicy
from eebench.replaying import replay
from eebench.spec import parse_policies, settings_for
from eebench.task_traces import FullModelReadWhole
from eebench.traces.prompts import Prompt, StopRule
from eebench.traces.trace import Document, Request
from eebench.traces.tracing import EncodedDocument, EncodedRequest, Window, trace_documents
from eebench.traces.trees import Leaf, Tree, concatenate_trees
from tests.families.shrink import small_model as family_model
from tests.small_models import ENCODER_DECODERS, FAMILIES, LAYERS, VOCAB, small_model
from tests.test_families import EXACT

LENGTHS = (4, 1, 13)
NEW_TOKENS = 7
SETTINGS = (
    "full", "static", "confidence:threshold=[0.1,0.3,0.6]", "margin:threshold=[0.05,0.3]",
    "entropy:threshold=[2.0,4.0]", "entropy:threshold=3.0,min_layer=2,every=2", "patience:patience=[1,2]",
    "state:threshold=[0.3,0.8]",
    "similarity:threshold=[0.05,0.3],patience=[1,2]", "decay:threshold=[0.1,0.6]", "schedule:first=4,last=2",
    "random:p=[0.3,0.7]", "oracle", "oracle-stable",
)  # fmt: skip

OWN_POSITIONS = ("roberta",)
"""`generate` counts positions from 0 where the model's own forward leaves room for the padding token."""


def prompts(vocab: int = VOCAB, lengths: Sequence[int] = LENGTHS, new_tokens: int = NEW_TOKENS) -> list[Prompt]:
    generator = torch.Generator().manual_seed(5)
    return [
        Prompt(tuple(torch.randint(3, vocab, (length,), generator=generator).tolist()), (), new_tokens)
        for length in lengths
    ]


def settings(*texts: str, num_layers: int = LAYERS) -> list[ExitPolicy]:
    return settings_for(parse_policies(texts), num_layers)


def new_tree(num_layers: int, asked: Sequence[Prompt]) -> GrowingTree:
    requests = [Request(number, 0) for number in range(len(asked))]
    return GrowingTree(num_layers, asked, requests, [Document(number, f"d{number}") for number in range(len(asked))])


def decoded(
    runner: TreeRunner,
    asked: Sequence[Prompt],
    chosen: Sequence[ExitPolicy],
    stop: StopRule | None = None,
    base: Tree | None = None,
) -> Tree:
    """All settings decoded together, on a tree that is there or on a new one."""
    growing = GrowingTree.grown_from(base, asked) if base else new_tree(runner.reader.num_layers, asked)
    everywhere = {request: Leaf(request, None) for request in range(len(asked))}
    leaves = [base.walk(setting).leaves if base else everywhere for setting in chosen]
    decode(runner, growing, chosen, leaves, stop or StopRule(None, frozenset()))
    return growing.finished()


def answers(tree: Tree, setting: ExitPolicy) -> list[list[tuple[int, int, int]]]:
    """For each request, the tokens that a setting emits, where it stops for them, and after how many reads."""
    walk = tree.walk(setting)
    assert not walk.leaves
    rows = zip(tree.request[walk.nodes], walk.tokens, walk.decisions.exit_layer, walk.decisions.lens_reads, strict=True)
    told: list[list[tuple[int, int, int]]] = [[] for _ in tree.requests]
    for request, *emitted in rows:
        told[request].append(tuple(int(value) for value in emitted))  # type: ignore[arg-type]
    return told


def alone(reader: LayerReader, prompt: Prompt, number: int, setting: ExitPolicy) -> list[tuple[int, int, int]]:
    """One setting decoded by itself: the whole sequence run anew for each token, traced, and replayed at its end."""
    from eebench.traces.prompts import position_keys

    emitted: list[tuple[int, int, int]] = []
    keys = position_keys(f"d{number}", 0, prompt.max_new_tokens)
    for t in range(prompt.max_new_tokens):
        tokens = prompt.tokens + tuple(token for token, *_ in emitted)
        request = EncodedRequest(0, (Window(tokens, (0,), prompt.source),))
        trace = trace_documents(reader, [EncodedDocument(number, f"d{number}", (request,))])
        here: Any = SimpleNamespace(
            num_layers=trace.num_layers, num_positions=1, all_layers=trace.all_layers, at_layer=trace.at_layer,
            position=np.array([t]), length=np.array([prompt.max_new_tokens]), key=keys[t : t + 1],
        )  # fmt: skip
        decisions = replay(setting, here)
        exit_layer = int(decisions.exit_layer[0])
        emitted.append((int(trace.statistics["top1"][exit_layer - 1, 0]), exit_layer, int(decisions.lens_reads[0])))
    return emitted


def generated(model: Any, prompt: Prompt) -> list[int]:
    """What Hugging Face's `generate` emits, greedily and to the full length."""
    for configured in (model.generation_config, model.config):
        configured.eos_token_id = None
    model.generation_config.forced_eos_token_id = None
    ids = torch.tensor([prompt.tokens])
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=prompt.max_new_tokens, do_sample=False, pad_token_id=0
    )
    emitted: list[int] = out[0, len(prompt.tokens) :].tolist()
    return emitted


@pytest.fixture(scope="module", params=FAMILIES)
def reader(request: pytest.FixtureRequest) -> LayerReader:
    return LayerReader(small_model(request.param, seed=2))


@pytest.fixture(scope="module")
def llama() -> TreeRunner:
    return TreeRunner(LayerReader(small_model("llama", seed=2)))


# --- what is emitted ---------------------------------------------------------------------------------------------


def test_settings_decoded_together_emit_what_each_emits_alone(reader: LayerReader) -> None:
    runner = TreeRunner(reader)
    assert runner.shares
    chosen = settings(*SETTINGS)
    tree = decoded(runner, prompts(), chosen)
    exits = set()
    for setting in chosen:
        together = answers(tree, setting)
        for number, prompt in enumerate(prompts()):
            assert together[number] == alone(reader, prompt, number, setting), (setting.setting(), number)
            exits.update(exit_layer for _token, exit_layer, _reads in together[number])
    assert exits == set(range(1, LAYERS + 1))


@pytest.mark.parametrize("model_type", EXACT)
def test_full_emits_what_generate_emits(model_type: str) -> None:
    model = family_model(model_type)
    reader = LayerReader(model)
    asked = prompts(int(model.config.get_text_config(decoder=True).vocab_size), (4, 13))
    tree = decoded(TreeRunner(reader), asked, [find_policy("full")()])
    for number, (prompt, told) in enumerate(zip(asked, answers(tree, find_policy("full")()), strict=True)):
        tokens = [token for token, *_ in told]
        if model_type in OWN_POSITIONS:
            assert told == alone(reader, prompt, number, find_policy("full")())
        else:
            assert tokens == generated(model, prompt)


def test_most_families_share_their_cache() -> None:
    shared = [name for name in EXACT if TreeRunner(LayerReader(family_model(name))).shares]
    assert len(shared) >= 40
    assert {"mamba", "rwkv", "bloom", "jamba", "gpt_neo"}.isdisjoint(shared)


@pytest.mark.parametrize("name", ENCODER_DECODERS)
def test_encoder_decoders_decode_after_their_source(name: str) -> None:
    reader = LayerReader(small_model(name))
    start = int(reader.model.config.decoder_start_token_id)
    asked = [Prompt((start,), (), 5, source=prompt.tokens) for prompt in prompts(lengths=(3, 9))]
    chosen = settings("full", "static:layer=2", "confidence:threshold=0.3")
    tree = decoded(TreeRunner(reader), asked, chosen)
    for setting in chosen:
        assert answers(tree, setting) == [alone(reader, prompt, n, setting) for n, prompt in enumerate(asked)]


# --- how it is computed changes nothing --------------------------------------------------------------------------


def test_neither_batching_nor_memory_changes_an_answer(llama: TreeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(*SETTINGS)
    want = [answers(decoded(llama, prompts(), chosen), setting) for setting in chosen]

    def same(runner: TreeRunner) -> None:
        tree = decoded(runner, prompts(), chosen)
        assert [answers(tree, setting) for setting in chosen] == want

    one_by_one = new_tree(llama.reader.num_layers, prompts())
    everywhere = {request: Leaf(request, None) for request in range(len(prompts()))}
    stop = StopRule(None, frozenset())
    decode(llama, one_by_one, chosen, [everywhere for _ in chosen], stop, batch_size=1)
    assert [answers(one_by_one.finished(), setting) for setting in chosen] == want
    with monkeypatch.context() as patch:  # prompts in pieces of two tokens, nodes in batches of three
        patch.setattr("eebench.generation.tree_cache.FEED_TOKENS", {"cpu": 6})
        patch.setattr("eebench.generation.tree_decoding.LIVE_AT_ONCE", 3)
        same(llama)
    unshared = TreeRunner(llama.reader)
    unshared.shares = False
    same(unshared)
    slot = llama._slot_bytes
    for slots in (1, 60, 120, 200):  # nothing fits; what is of no more use must go, again and again
        same(TreeRunner(llama.reader, cache_bytes=slots * slot))


def test_a_small_cache_lets_go_of_dead_branches(llama: TreeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[int] = []
    keep = eebench.generation.tree_runner.TreeCache.keep

    def counted(cache: Any, nodes: Sequence[int]) -> None:
        before = cache.num_slots
        keep(cache, nodes)
        kept.append(before - cache.num_slots)

    monkeypatch.setattr(eebench.generation.tree_runner.TreeCache, "keep", counted)
    few = [Prompt(prompt.tokens, (), 24) for prompt in prompts()]
    decoded(
        TreeRunner(llama.reader, cache_bytes=300 * llama._slot_bytes), few, settings("static", "random:p=[0.3,0.7]")
    )
    assert max(kept, default=0) > 0


def test_heads_are_read_only_where_a_setting_asks(llama: TreeRunner) -> None:
    tree = decoded(llama, prompts(), settings("static:layer=2"))
    assert tree.known.sum(axis=1).tolist() == [0, tree.num_positions, 0, 0, tree.num_positions]  # its own, and the last
    tree = decoded(llama, prompts(), settings("state:threshold=1.0"))
    assert tree.known[:-1].sum() <= (tree.statistics["state_cosine"][:-1] >= 1.0).sum()


# --- trees are traces --------------------------------------------------------------------------------------------


def test_a_tree_is_extended_and_not_made_again(llama: TreeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    first, all_of_them = settings("full", "confidence:threshold=0.3"), settings(*SETTINGS)
    small = decoded(llama, prompts(), first)
    at_once = decoded(llama, prompts(), all_of_them)
    ran: list[int] = []
    run = eebench.generation.tree_runner.Group.run
    monkeypatch.setattr(
        eebench.generation.tree_runner.Group, "run", lambda group, nodes: (ran.extend(nodes), run(group, nodes))[1]
    )
    grown = decoded(llama, prompts(), all_of_them, base=small)
    assert grown.num_positions == at_once.num_positions
    for setting in all_of_them:
        assert answers(grown, setting) == answers(at_once, setting), setting.setting()
    np.testing.assert_array_equal(grown.token[: small.num_positions], small.token)
    assert len(set(ran)) == len(ran)  # no node twice
    ran.clear()
    again = decoded(llama, prompts(), all_of_them, base=grown)
    assert ran == []
    assert again.num_positions == grown.num_positions


def test_what_a_tree_does_not_hold_is_said_and_not_made_up(llama: TreeRunner) -> None:
    tree = decoded(llama, prompts(), settings("static:layer=2"))
    for text in ("confidence:threshold=0.9", "oracle", "static:layer=3", "similarity:threshold=0.3"):
        (setting,) = settings(text)
        assert set(tree.walk(setting).leaves) == {0, 1, 2}, text
    (same,) = settings("schedule:first=2,last=2")  # another policy on the same way
    assert not tree.walk(same).leaves


def test_trees_of_several_documents_are_one_tree(llama: TreeRunner) -> None:
    chosen = settings("full", "static:layer=2", "confidence:threshold=0.3")
    apart = [decoded(llama, [prompt], chosen) for prompt in prompts()]
    together = concatenate_trees(apart)
    for setting in chosen:
        assert answers(together, setting) == [answers(tree, setting)[0] for tree in apart]
    assert [document.hash for document in together.documents] == ["d0"] * 3


def test_policies_learn_from_every_layer_of_the_full_models_way(llama: TreeRunner) -> None:
    tree = decoded(llama, prompts(), [FullModelReadWhole()])
    assert tree.known.all()
    assert tree.compared.all()
    assert answers(tree, FullModelReadWhole()) == answers(tree, find_policy("full")())


# --- where answers end -------------------------------------------------------------------------------------------


class Letters:
    """A tokenizer of one letter per token."""

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        return [ord(letter) for letter in text]

    def decode(self, tokens: Sequence[int]) -> str:
        return "".join(map(chr, tokens))


class TestStopRule:
    rule = StopRule(Letters(), frozenset({0}))

    @staticmethod
    def tokens(text: str) -> list[int]:
        return [ord(letter) for letter in text]

    def test_ends_at_the_longest_length(self) -> None:
        prompt = Prompt((1,), (), 3)
        assert [self.rule.ends(prompt, self.tokens("abc"[:n])) for n in (1, 2, 3)] == [False, False, True]

    def test_ends_at_the_end_of_sequence(self) -> None:
        assert self.rule.ends(Prompt((1,), (), 9), [5, 0])

    def test_ends_as_soon_as_a_string_is_there(self) -> None:
        prompt = Prompt((1,), ("\n\n", "END"), 99)
        assert not self.rule.ends(prompt, self.tokens("one\n"))
        assert self.rule.ends(prompt, self.tokens("one\n\n"))
        assert not self.rule.ends(prompt, self.tokens("the EN"))
        assert self.rule.ends(prompt, self.tokens("the END"))

    def test_looks_back_no_further_than_lm_eval(self) -> None:
        prompt = Prompt((1,), ("x",), 99)
        assert self.rule.ends(prompt, self.tokens("xab"))
        assert not self.rule.ends(prompt, self.tokens("xabc"))


def test_a_token_that_ends_an_answer_ends_it_for_that_setting_alone(llama: TreeRunner) -> None:
    free = decoded(llama, prompts(), settings("full", "static:layer=2"))
    (full,), (second,) = settings("full"), settings("static:layer=2")
    eos = answers(free, full)[0][2][0]  # the third token that the full model emits
    ended = decoded(llama, prompts(), settings("full", "static:layer=2"), StopRule(None, frozenset({eos})))
    for setting in (full, second):
        for long, short in zip(answers(free, setting), answers(ended, setting), strict=True):
            tokens = [token for token, *_ in long]
            end = tokens.index(eos) + 1 if eos in tokens else len(tokens)
            assert short == long[:end]
    assert len(answers(ended, full)[0]) <= 3


# --- which caches can be shared ----------------------------------------------------------------------------------


def config(**values: Any) -> Any:
    made = SimpleNamespace(**values)
    made.get_text_config = lambda decoder: made
    return made


@pytest.mark.parametrize(
    ("configured", "windows"),
    [
        ({}, 0),
        ({"sliding_window": 8}, 8),
        ({"sliding_window": 8, "use_sliding_window": False, "max_window_layers": 2}, 0),
        ({"sliding_window": 8, "layer_types": ["sliding_attention"] * 2}, 8),
        ({"sliding_window": 8, "layer_types": ["full_attention"] * 2}, 0),
        ({"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]},
         {"full_attention": 0, "sliding_attention": 8}),
        ({"layer_types": ["conv", "full_attention"]}, None),
        ({"attention_chunk_size": 128}, None),
        ({"window_size": 256, "attention_types": [[["local"], 2]]}, None),
    ],
)  # fmt: skip
def test_only_limits_of_attention_that_masks_can_say_are_taken(configured: dict[str, Any], windows: Any) -> None:
    assert attention_windows(config(**configured)) == windows


def test_a_small_cache_changes_nothing_where_a_tree_is_extended(llama: TreeRunner) -> None:
    chosen = settings(*SETTINGS)
    base = decoded(llama, prompts(), settings("full", "patience:patience=1"))
    want = [answers(decoded(llama, prompts(), chosen, base=base), setting) for setting in chosen]
    for slots in (1, 60, 120):  # some settings wait deeper in the tree while the cache is emptied for others
        runner = TreeRunner(llama.reader, cache_bytes=slots * llama._slot_bytes)
        tree = decoded(runner, prompts(), chosen, base=base)
        assert [answers(tree, setting) for setting in chosen] == want
