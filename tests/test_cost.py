"""The cost model against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from eebench.cost import CostModel, cost_model
from eebench.models.blocks import find_blocks
from tests.small_models import VOCAB, small_model

SMOLLM2 = CostModel(block=(2.0 * 3_538_944,) * 30, attention=(0.0,) * 30, window=(0,) * 30, head=2.0 * 576 * 49152)


def test_a_setting_costs_its_blocks_and_its_reads() -> None:
    costs = CostModel(block=(10.0, 20.0, 30.0), attention=(0.0,) * 3, window=(0,) * 3, head=100.0)
    flops = costs.flops(np.array([1, 2, 3]), np.array([1, 2, 0]), np.array([5, 5, 5]))
    assert flops.tolist() == [110, 230, 160]  # whoever reads no head on the way reads one for the answer
    assert costs.full(np.array([5, 5])).tolist() == [160, 160]


def test_attention_is_paid_per_token_attended_to_up_to_the_window() -> None:
    costs = CostModel(block=(0.0, 0.0), attention=(1.0, 3.0), window=(0, 4), head=0.0)
    assert costs.flops(np.array([1, 2, 2]), np.ones(3, int), np.array([10, 10, 2])).tolist() == [10, 22, 8]


def test_the_designs_figures_for_smollm2() -> None:
    assert SMOLLM2.head_to_layer == pytest.approx(8.0)
    assert SMOLLM2.break_even_layer == pytest.approx(4.2, abs=0.05)


def test_reading_at_every_layer_breaks_even_where_it_should() -> None:
    layer = int(np.floor(SMOLLM2.break_even_layer))
    context = np.array([1])
    full = SMOLLM2.full(context)
    assert SMOLLM2.flops(np.array([layer]), np.array([layer]), context) < full
    assert SMOLLM2.flops(np.array([layer + 1]), np.array([layer + 1]), context) > full


def test_a_llama_costs_what_its_shapes_say() -> None:
    model = small_model("llama")
    costs = cost_model(model, list(find_blocks(model)[1]))
    d, ff, kv = 32, 48, 16
    assert costs.block[0] == 2 * (2 * d * d + 2 * d * kv + 3 * d * ff)
    assert costs.head == 2 * d * VOCAB
    assert costs.attention[0] == 4 * d
    assert len(costs.block) == 5


def test_a_projection_before_the_head_is_part_of_a_read() -> None:
    model = small_model("opt")  # states of 32 projected to embeddings of 16
    assert cost_model(model, list(find_blocks(model)[1])).head == 2 * (32 * 16 + 16 * VOCAB)


def test_sliding_windows_are_those_of_the_configuration() -> None:
    model = small_model("gemma2")
    assert cost_model(model, list(find_blocks(model)[1])).window == (6, 0, 6, 0, 6)


def test_it_survives_json() -> None:
    assert CostModel.from_json(SMOLLM2.to_json()) == SMOLLM2
