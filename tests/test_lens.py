"""The lens reads what the model would say: at L its own logits, at k those of the model cut at k."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import AutoConfig

from eebench.errors import EEBenchError
from eebench.models.blocks import LayerReader, find_blocks
from tests.small_models import FAMILIES, LAYERS, VOCAB, small_model


def cut(model: Any, k: int) -> Any:
    """The model with its block list cut at k: slicing the list works where setting the configuration does nothing."""
    shorter = copy.deepcopy(model)
    path, blocks = find_blocks(shorter)
    *parents, name = path.split(".")
    setattr(shorter.get_submodule(".".join(parents)), name, nn.ModuleList(blocks[:k]))
    return shorter


def everywhere(input_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    batch, length = input_ids.shape
    return torch.arange(batch).repeat_interleave(length), torch.arange(length).repeat(batch)


@pytest.mark.parametrize("family", FAMILIES)
class TestFamily:
    def test_the_lens_at_the_last_layer_is_the_models_own_logits(self, family: str) -> None:
        model = small_model(family)
        reader = LayerReader(model)
        input_ids = torch.randint(2, VOCAB, (3, 11))
        with torch.inference_mode():
            own = model(input_ids=input_ids).logits.flatten(0, 1)
        lens = reader.logits(reader.states(input_ids, *everywhere(input_ids))[-1])
        assert reader.num_layers == LAYERS
        torch.testing.assert_close(lens, own, rtol=0, atol=1e-5)

    def test_the_lens_at_every_layer_is_the_model_cut_there(self, family: str) -> None:
        model = small_model(family, seed=1)
        reader = LayerReader(model)
        input_ids = torch.randint(2, VOCAB, (2, 9))
        states = reader.states(input_ids, *everywhere(input_ids))
        for k in range(1, LAYERS + 1):
            with torch.inference_mode():
                own = cut(model, k)(input_ids=input_ids, use_cache=False).logits.flatten(0, 1)
            torch.testing.assert_close(reader.logits(states[k - 1]), own, rtol=0, atol=1e-5)

    def test_layers_differ_so_that_reading_a_wrong_one_shows(self, family: str) -> None:
        reader = LayerReader(small_model(family, seed=1))
        input_ids = torch.randint(2, VOCAB, (2, 9))
        states = reader.states(input_ids, *everywhere(input_ids))
        top1 = torch.stack([reader.logits(state).argmax(-1) for state in states])
        assert all((top1[k] != top1[k + 1]).any() for k in range(LAYERS - 1))

    def test_reading_leaves_the_model_as_it_was(self, family: str) -> None:
        model = small_model(family)
        input_ids = torch.randint(2, VOCAB, (2, 7))
        with torch.inference_mode():
            before = model(input_ids=input_ids).logits
            reader = LayerReader(model)
            reader.logits(reader.states(input_ids, *everywhere(input_ids))[2])
            torch.testing.assert_close(model(input_ids=input_ids).logits, before, rtol=0, atol=0)


def test_a_model_with_damaged_weights_is_refused() -> None:
    model = small_model("llama")
    with torch.no_grad():
        model.model.norm.weight[3] = float("nan")
    with pytest.raises(EEBenchError, match="not finite"):
        LayerReader(model)


def test_a_model_read_wrongly_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    original = LayerReader.logits
    monkeypatch.setattr(LayerReader, "logits", lambda self, state: original(self, state) * 1.01)
    with pytest.raises(EEBenchError, match="self-check failed for LlamaForCausalLM"):
        LayerReader(small_model("llama"))


def test_a_model_that_leaves_out_some_of_its_blocks_is_refused() -> None:
    model = small_model("llama")
    model.config.num_hidden_layers = LAYERS - 1
    with pytest.raises(EEBenchError, match="has no list of blocks that a forward pass calls once each, in order"):
        find_blocks(model)


def test_a_model_that_loops_over_its_blocks_is_refused() -> None:
    model = small_model("llama")
    model.model.layers[1] = model.model.layers[0]
    with pytest.raises(EEBenchError, match="has no list of blocks that a forward pass calls once each, in order"):
        find_blocks(model)


def test_a_model_that_looks_ahead_is_refused() -> None:
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "bert", vocab_size=VOCAB, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48
    )
    with pytest.raises(EEBenchError, match="BertLMHeadModel is not causal as it is configured"):
        LayerReader(AutoModelForCausalLM.from_config(config).eval())
