"""The loss that joint optimisation lowers: the full model's own, and one for every layer that should be able to stop.

    J = F + lambda · sum over active k of w(k) D(k) / sum over active k of w(k)
    F = (1 - a) · CE(L) + a · KL(p_before || p_L)

CE(L) is the next-token cross-entropy of the full model, p_before what it said before the training: the anchor a keeps
the model what it was on text it is not trained on. D(k) is, by objective, the divergence KL(p_T || p_k) of layer k's
lens from the final distribution p_T = softmax(z_L / T), or LayerSkip's cross-entropy of layer k. A temperature T below
1 (Hinton et al. 2015, arXiv 1503.02531) teaches layer k to be sure where it will agree with the full model, which is
what a threshold on its confidence asks. w(k), and which layers are active at a step, are LayerSkip's loss scale and
curricula (Elhoushi et al. 2024, arXiv 2404.16710, section 4.1.2) and simpler ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from eebench.tuning.recipe import Curriculum, Objective, Weighting

if TYPE_CHECKING:
    from eebench.models.blocks import LayerReader


READ_AT_ONCE = 128
"""Positions read together: positions × vocabulary floats are in memory for every active layer, several times."""


def layer_weights(weighting: Weighting, num_layers: int) -> list[float]:
    """w(k) of layers 1..L-1: 1 (`uniform`), k/L (`linear`), or the sum of 1..k, LayerSkip's e(l) (`layerskip`)."""
    layers = range(1, num_layers)
    if weighting == "uniform":
        return [1.0 for _ in layers]
    if weighting == "linear":
        return [k / num_layers for k in layers]
    return [k * (k + 1) / 2 for k in layers]


def active_layers(
    curriculum: Curriculum, num_layers: int, step: int, total_steps: int, count: int, seed: int
) -> list[int]:
    """The layers, of 1..L-1, that have a loss at a step.

    Args:
        curriculum: `random`, so many layers drawn anew; `rotational`, every (L-1)/count-th one, shifted by one from
            step to step; `gradual`, from the last downward, all of them from half of the steps on; `all`.
        count: how many layers a step has under `random` and `rotational`.
    """
    early = num_layers - 1
    if curriculum == "all" or count >= early:
        return list(range(1, num_layers))
    if curriculum == "rotational":
        stride = -(-early // count)
        return list(range(1 + step % stride, num_layers, stride))
    if curriculum == "gradual":
        reached = min(early, 1 + int(early * step / max(1, total_steps / 2)))
        return list(range(num_layers - reached, num_layers))
    drawn = np.random.default_rng((seed, step)).choice(early, size=count, replace=False)
    return sorted(int(layer) + 1 for layer in drawn)


@dataclass(frozen=True)
class Anchor:
    """The model as it was before the training, which the final layer is kept near.

    Attributes:
        weight: a, from 0 to 1.
        reader: reads that model, within `as_it_was`.
        as_it_was: a context in which an adapter that is being trained is switched off.
    """

    weight: float
    reader: LayerReader
    as_it_was: Callable[[], AbstractContextManager[Any]]

    @torch.no_grad()
    def final_states(self, input_ids: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """[batch, length] -> [positions, hidden]"""
        with self.as_it_was():
            return self.reader.captured_with_grad({"input_ids": input_ids, "use_cache": False}, rows, columns)[-1]

    @torch.no_grad()
    def logits(self, states: Tensor) -> Tensor:
        """[positions, hidden] -> [positions, vocabulary]"""
        with self.as_it_was():
            return self.reader.logits_with_grad(states)


@dataclass(frozen=True)
class Losses:
    """What a batch says.

    Attributes:
        total: what is minimised; its gradient reaches the blocks.
        full: F, nats per token; CE(L) where there is no anchor.
        early: the weighted mean of D(k), nats per token.
    """

    total: Tensor
    full: float
    early: float


@dataclass(frozen=True)
class ExitLoss:
    """The early-exit loss of a model whose layers can be read.

    Attributes:
        early_weight: lambda.
        weights: w(k) of layers 1..L-1.
        temperature: T, of the final distribution that earlier layers are drawn towards.
        anchor: the model as it was, if the final layer is kept near it.
    """

    reader: LayerReader
    objective: Objective
    early_weight: float
    weights: Sequence[float]
    temperature: float = 1.0
    anchor: Anchor | None = None

    def __call__(self, input_ids: Tensor, positions: Tensor, layers: Sequence[int]) -> Losses:
        """The loss of a batch at some of its positions and layers.

        Logits are the large thing: positions × layers × vocabulary. So a few positions at a time are read, and their
        gradient goes back as far as the states at once; what is returned carries it on from there.

        Args:
            input_ids: [batch, length]
            positions: numbers of the positions, row by row, the last of each row (which has no next token) left out:
                0 .. batch · (length - 1) - 1. [positions]
            layers: the active layers, of 1..L-1.
        """
        width = input_ids.shape[1] - 1
        rows, columns = positions // width, positions % width
        targets = input_ids[rows, columns + 1]
        states = self.reader.captured_with_grad({"input_ids": input_ids, "use_cache": False}, rows, columns)
        read = [states[-1], *(states[layer - 1] for layer in layers)]
        weights = [self.weights[layer - 1] for layer in layers]
        weights = [self.early_weight * weight / sum(weights) for weight in weights]
        cut = [state.detach().requires_grad_() for state in read]
        before = None if self.anchor is None else self.anchor.final_states(input_ids, rows, columns)
        full = early = 0.0
        for some in torch.split(torch.arange(len(targets)), READ_AT_ONCE):
            was = None if before is None else before[some]
            at_final, at_layers = self._parts([state[some] for state in cut], targets[some], weights, was)
            share = len(some) / len(targets)
            torch.autograd.backward((at_final + at_layers) * share)
            full, early = full + share * float(at_final.detach()), early + share * float(at_layers.detach())
        grads = [leaf.grad for leaf in cut if leaf.grad is not None]  # all have one: each was read
        carried = torch.stack([(state * grad).sum() for state, grad in zip(read, grads, strict=True)]).sum()
        total = carried - carried.detach() + full + early  # the value is the loss, the gradient is the states'
        return Losses(total, full, early / self.early_weight if self.early_weight else 0.0)

    def _parts(
        self, states: Sequence[Tensor], targets: Tensor, weights: Sequence[float], before: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """F, and the weighted sum of D(k), over a few positions; `states` has the final one first."""
        final = self.reader.logits_with_grad(states[0])
        at_final = functional.cross_entropy(final, targets)
        if self.anchor and before is not None:
            kept = _divergence(self.anchor.logits(before), final)
            at_final = torch.lerp(at_final, kept, self.anchor.weight)
        teacher = final / self.temperature
        teacher = teacher if self.objective == "mutual" else teacher.detach()
        at_layers = at_final.new_zeros(())
        for state, weight in zip(states[1:], weights, strict=True):
            logits = self.reader.logits_with_grad(state)
            if self.objective == "cross-entropy":
                loss = functional.cross_entropy(logits, targets)
            else:
                loss = _divergence(teacher, logits)
            at_layers = at_layers + weight * loss
        return at_final, at_layers


def _divergence(p_logits: Tensor, q_logits: Tensor) -> Tensor:
    """Mean KL(p || q) over positions. [positions, vocabulary] each -> []"""
    mean: Tensor = Divergence.apply(p_logits, q_logits).mean()  # type: ignore[no-untyped-call]
    return mean


class Divergence(torch.autograd.Function):
    """KL(p || q) in nats of two batches of logits, with its gradient written out.

    What autograd would keep and pass over are a dozen arrays of positions × vocabulary; the gradients are two:
    d/dz_q = q - p, and d/dz_p = p · (ln p - ln q - KL).
    """

    @staticmethod
    def forward(ctx: Any, p_logits: Tensor, q_logits: Tensor) -> Tensor:
        """[positions, vocabulary] each, float32 -> [positions]"""
        log_p = p_logits - p_logits.logsumexp(-1, keepdim=True)
        log_q = q_logits - q_logits.logsumexp(-1, keepdim=True)
        p = log_p.exp()
        ratio = log_p.sub_(log_q)
        divergence: Tensor = (p * ratio).sum(-1)
        ctx.save_for_backward(p, log_q, ratio if ctx.needs_input_grad[0] else None, divergence)
        return divergence

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """[positions] -> [positions, vocabulary] each"""
        p, log_q, ratio, divergence = ctx.saved_tensors
        grad = grads[0].unsqueeze(-1)
        to_q = log_q.exp().sub_(p).mul_(grad) if ctx.needs_input_grad[1] else None
        to_p = (ratio - divergence.unsqueeze(-1)).mul_(p).mul_(grad) if ctx.needs_input_grad[0] else None
        return to_p, to_q
