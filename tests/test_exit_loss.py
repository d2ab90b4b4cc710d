"""The early-exit loss: its value and gradient against plain autograd, its weights and curricula."""

from __future__ import annotations

from collections import Counter
from contextlib import nullcontext
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch.nn import functional

from eebench.models.blocks import LayerReader
from eebench.tuning import exit_loss
from eebench.tuning.exit_loss import Anchor, Divergence, ExitLoss, active_layers, layer_weights
from eebench.tuning.recipe import CURRICULA, OBJECTIVES, Objective
from tests.small_models import LAYERS, small_model

IDS = torch.arange(2, 26).view(2, 12)
POSITIONS = torch.tensor([0, 3, 4, 10, 11, 15, 21])
ACTIVE = [1, 3, 4]


def test_divergence_is_that_of_torch_with_its_gradient() -> None:
    torch.manual_seed(0)
    p, q = (torch.randn(4, 9, dtype=torch.float64, requires_grad=True) for _ in range(2))
    theirs = functional.kl_div(q.log_softmax(-1), p.log_softmax(-1), log_target=True, reduction="none").sum(-1)
    torch.testing.assert_close(Divergence.apply(p, q), theirs)
    assert torch.autograd.gradcheck(Divergence.apply, (p, q))


def slow_loss(
    reader: LayerReader,
    objective: Objective,
    weights: list[float],
    early_weight: float,
    temperature: float,
    anchor: Anchor | None,
) -> torch.Tensor:
    """The formula of the module's first lines, all logits at once."""
    states: list[torch.Tensor] = []
    hooks = [
        block.register_forward_hook(lambda _b, _a, out: states.append(out[0] if isinstance(out, tuple) else out))
        for block in reader.blocks
    ]
    logits = reader.model(input_ids=IDS, use_cache=False).logits
    for hook in hooks:
        hook.remove()
    targets = IDS[:, 1:].flatten()[POSITIONS]

    def at(values: torch.Tensor) -> torch.Tensor:
        return values[:, :-1].flatten(0, 1)[POSITIONS]

    final = at(logits)
    p = (final / temperature).log_softmax(-1)
    p = p if objective == "mutual" else p.detach()
    early = torch.zeros(())
    for layer in ACTIVE:
        q = reader.logits_with_grad(at(states[layer - 1])).log_softmax(-1)
        divergence = (p.exp() * (p - q)).sum(-1).mean()
        loss = functional.nll_loss(q, targets) if objective == "cross-entropy" else divergence
        early = early + weights[layer - 1] * loss / sum(weights[k - 1] for k in ACTIVE)
    full = functional.cross_entropy(final, targets)
    if anchor is not None:
        was = at(anchor.reader.model(input_ids=IDS, use_cache=False).logits.detach()).log_softmax(-1)
        kept = (was.exp() * (was - final.log_softmax(-1))).sum(-1).mean()
        full = (1 - anchor.weight) * full + anchor.weight * kept
    return full + early_weight * early


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize(("temperature", "anchored"), [(1.0, 0.0), (0.5, 0.3)])
def test_value_and_gradient_are_those_of_the_formula(
    objective: Objective, family: str, temperature: float, anchored: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exit_loss, "READ_AT_ONCE", 3)  # in several pieces
    model = small_model(family).requires_grad_(True)
    reader = LayerReader(model)
    weights = layer_weights("linear", LAYERS)
    before = deepcopy(model)
    with torch.no_grad():
        before.get_input_embeddings().weight.mul_(1.1)  # another model than the one that is trained
    anchor = Anchor(anchored, LayerReader(before), nullcontext) if anchored else None
    wanted = slow_loss(reader, objective, weights, 0.7, temperature, anchor)
    wanted.backward()
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    losses = ExitLoss(reader, objective, 0.7, weights, temperature, anchor)(IDS, POSITIONS, ACTIVE)
    losses.total.backward()
    torch.testing.assert_close(losses.total, wanted, rtol=1e-4, atol=1e-4)
    assert losses.full + 0.7 * losses.early == pytest.approx(float(wanted.detach()), rel=1e-4)
    for name, weight in model.named_parameters():
        if name in gradients:
            assert weight.grad is not None, name
            torch.testing.assert_close(
                weight.grad, gradients[name], rtol=1e-3, atol=1e-4 * float(gradients[name].abs().max())
            )
    assert any(float(gradient.abs().max()) > 0 for gradient in gradients.values())


def test_distillation_leaves_the_final_layer_alone_and_mutual_does_not() -> None:
    found: dict[str, Any] = {}
    for objective in ("distillation", "mutual"):
        model = small_model("llama").requires_grad_(True)
        reader = LayerReader(model)
        loss = ExitLoss(reader, objective, 1.0, layer_weights("uniform", LAYERS))  # type: ignore[arg-type]
        with_early = loss(IDS, POSITIONS, ACTIVE)
        with_early.total.backward()
        found[objective] = reader.blocks[-1].mlp.down_proj.weight.grad.clone()
    model = small_model("llama").requires_grad_(True)
    reader = LayerReader(model)
    ExitLoss(reader, "distillation", 1.0, layer_weights("uniform", LAYERS))(IDS, POSITIONS, []).total.backward()
    alone = reader.blocks[-1].mlp.down_proj.weight.grad
    torch.testing.assert_close(found["distillation"], alone, rtol=1e-3, atol=1e-5)
    assert not torch.allclose(found["mutual"], alone, rtol=1e-2)


def test_layer_weights() -> None:
    assert layer_weights("uniform", 4) == [1, 1, 1]
    assert layer_weights("linear", 4) == [0.25, 0.5, 0.75]
    assert layer_weights("layerskip", 5) == [1, 3, 6, 10]


@pytest.mark.parametrize("curriculum", CURRICULA)
def test_curricula_take_turns_over_all_early_layers(curriculum: Any) -> None:
    steps = 60
    seen: Counter[int] = Counter()
    for step in range(steps):
        layers = active_layers(curriculum, 12, step, steps, 4, seed=1)
        assert layers == sorted(set(layers))
        assert all(1 <= layer <= 11 for layer in layers)
        assert layers == active_layers(curriculum, 12, step, steps, 4, seed=1)
        seen.update(layers)
    assert set(seen) == set(range(1, 12))


def test_rotational_shifts_by_one_and_gradual_comes_down_from_the_last() -> None:
    assert active_layers("rotational", 9, 0, 10, 2, 0) == [1, 5]
    assert active_layers("rotational", 9, 1, 10, 2, 0) == [2, 6]
    assert active_layers("gradual", 9, 0, 100, 2, 0) == [8]
    assert active_layers("gradual", 9, 25, 100, 2, 0) == [4, 5, 6, 7, 8]
    assert active_layers("gradual", 9, 60, 100, 2, 0) == list(range(1, 9))
    assert len(active_layers("random", 9, 3, 100, 5, 0)) == 5
