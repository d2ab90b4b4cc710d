"""What a document can have cost at least and at most, when all that is known are sums over its positions.

Reads of the head are counted, so they are exact. Blocks follow from the sum of the exit layers: exactly where all
blocks cost the same, and within the envelope of their costs where they do not. Attention depends on how many tokens
each position saw, which is known in sum from what the full model takes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eebench.cost import CostModel
from eebench.ranking.skill import envelope

Numbers = NDArray[np.float64]

SLACK = 1e-9
"""Relative: sums of floats in another order."""


@dataclass(frozen=True)
class Sums:
    """Sums over each document's positions, [documents], and the shallowest and deepest layer that any stopped at."""

    n_positions: Numbers
    exit_layers: Numbers
    lens_reads: Numbers
    flops_full: Numbers
    shallowest: int
    deepest: int


def least_full(cost: CostModel, n_positions: Numbers) -> Numbers:
    """What the full model takes at least: its blocks and one read, without attention. [documents]"""
    return n_positions * (sum(cost.block) + cost.head)


def least(cost: CostModel, sums: Sums) -> Numbers:
    """What documents cost at least. [documents]"""
    blocks = _blocks(cost, sums, sign=-1)
    lowest = np.maximum(sums.shallowest, sums.exit_layers - (sums.n_positions - 1) * sums.deepest)
    attention = _attention(cost, sums) * (_share(cost, lowest) if _alike(cost) else 0.0)
    total: Numbers = blocks + sums.lens_reads * cost.head + attention
    return total * (1 - SLACK)


def most(cost: CostModel, sums: Sums) -> Numbers:
    """What documents cost at most, where nothing is run for a position beyond its exit layer. [documents]"""
    blocks = _blocks(cost, sums, sign=1)
    highest = np.minimum(sums.deepest, sums.exit_layers - (sums.n_positions - 1) * sums.shallowest)
    attention = _attention(cost, sums) * (_share(cost, highest) if _alike(cost) else 1.0)
    total: Numbers = blocks + sums.lens_reads * cost.head + attention
    return total * (1 + SLACK)


def most_with_kv(cost: CostModel, sums: Sums) -> Numbers:
    """What documents cost at most, where exact K/V has skipped blocks run after all. [documents]"""
    total: Numbers = sums.flops_full + (sums.lens_reads - sums.n_positions) * cost.head
    return total * (1 + SLACK)


def _blocks(cost: CostModel, sums: Sums, sign: int) -> Numbers:
    """Blocks alone, at least (`sign` -1) or at most (+1): their mean over positions lies in the hull of the layers'."""
    layers = np.arange(1, cost.num_layers + 1)
    total = np.cumsum(cost.block)
    points = list(zip(layers.tolist(), (sign * total).tolist(), strict=True))
    hull = envelope(points)
    mean = sums.exit_layers / sums.n_positions
    blocks: Numbers = sums.n_positions * np.interp(mean, layers[hull], total[hull])
    return blocks


def _attention(cost: CostModel, sums: Sums) -> Numbers:
    """Attention of the full model."""
    attention: Numbers = np.maximum(sums.flops_full - least_full(cost, sums.n_positions), 0.0)
    return attention


def _alike(cost: CostModel) -> bool:
    """Whether all layers attend to the same tokens, so that each has a fixed share of all attention."""
    return len(set(cost.window)) == 1


def _share(cost: CostModel, layer: Numbers) -> Numbers:
    """The share that the first layers have of all attention."""
    total = np.concatenate([[0.0], np.cumsum(cost.attention)])
    share: Numbers = total[layer.astype(np.int64)] / (total[-1] or 1.0)
    return share
