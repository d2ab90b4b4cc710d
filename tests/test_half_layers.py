"""The grid of half layers: states after attention, against blocks whose MLP adds nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from click.testing import CliRunner

from eebench.cli import main
from eebench.cost import cost_model
from eebench.errors import EEBenchError
from eebench.models.blocks import LayerReader
from eebench.models.half_layers import HalfLayerReader
from eebench.models.loading import LoadOptions
from eebench.subject import load_subject
from tests.small_models import LAYERS, save_small_model, small_model

IDS = torch.arange(2, 12).view(1, 10)
ROWS, COLUMNS = torch.zeros(3, dtype=torch.long), torch.tensor([0, 4, 9])

LAST_OF_MLP = {
    "llama": "mlp",
    "qwen2": "mlp",
    "gemma2": "post_feedforward_layernorm",
    "gpt2": "mlp",
}
"""Families whose blocks run attention before the MLP, and the part whose output is added last."""


def without_mlp(model: Any, part: str, block: int) -> torch.Tensor:
    """The state after a block whose MLP branch is made to add nothing."""
    reader = LayerReader(model)
    branch = getattr(reader.blocks[block], part)
    hook = branch.register_forward_hook(lambda _part, _args, output: torch.zeros_like(output))
    try:
        return reader.states(IDS, ROWS, COLUMNS)[block]
    finally:
        hook.remove()


@pytest.mark.parametrize("family", LAST_OF_MLP)
def test_odd_ones_are_states_after_attention_and_even_ones_after_the_block(family: str) -> None:
    model = small_model(family)
    half = HalfLayerReader(model)
    assert half.num_layers == 2 * LAYERS
    states = half.states(IDS, ROWS, COLUMNS)
    whole = LayerReader(model).states(IDS, ROWS, COLUMNS)
    for block in range(LAYERS):
        torch.testing.assert_close(states[2 * block + 1], whole[block], rtol=0, atol=0)
        torch.testing.assert_close(
            states[2 * block], without_mlp(model, LAST_OF_MLP[family], block), rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("family", ["gpt_neox", "opt", "cohere"])
def test_blocks_without_a_state_between_are_refused(family: str) -> None:
    # gpt_neox and cohere run attention and MLP side by side; this opt norms after each, so neither input is the stream.
    with pytest.raises(EEBenchError, match="has no state between its attention and its MLP"):
        HalfLayerReader(small_model(family))


def test_half_blocks_cost_what_whole_ones_do_together() -> None:
    model = small_model("llama")
    half = HalfLayerReader(model)
    whole = cost_model(model, list(half.blocks))
    cost = half.half_costs(whole)
    assert cost.num_layers == 2 * LAYERS
    attention = sum(weight.numel() for weight in half.blocks[0].self_attn.parameters() if weight.ndim >= 2)
    assert cost.block[0] == pytest.approx(2 * attention)
    assert [a + b for a, b in zip(cost.block[::2], cost.block[1::2], strict=True)] == pytest.approx(whole.block)
    assert cost.attention[::2] == whole.attention
    assert not any(cost.attention[1::2])


def test_to_a_board_it_is_another_model(tmp_path: Any) -> None:
    folder = str(save_small_model(tmp_path / "small"))
    half, whole = load_subject(folder, LoadOptions(half_layers=True)), load_subject(folder)
    assert half.loaded.model_id != whole.loaded.model_id
    assert half.loaded.name == f"{folder} by half layers"
    arguments = ["-m", folder, "-t", "eebench_agreement", "--limit", "6", "-p", "static,oracle"]
    for flags in ([], ["--half-layers"]):
        assert CliRunner().invoke(main, ["run", *arguments, *flags]).exit_code == 0
    answer = CliRunner().invoke(main, ["report", "--format", "json"])
    assert f'"static:layer={2 * LAYERS}"' in answer.stdout


def test_generation_tasks_are_refused(tmp_path: Any) -> None:
    folder = str(save_small_model(tmp_path / "small"))
    answer = CliRunner().invoke(main, ["run", "-m", folder, "-t", "eebench_lists", "--half-layers"])
    assert answer.exit_code == 2
    assert "leave --half-layers out" in answer.stderr
